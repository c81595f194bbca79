# SPDX-License-Identifier: MIT
"""When each tensor of a model is known in a stream: rates, delays, holds.

Nothing is computed here but integers and fractions. `stepping` builds the step
model that they describe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, lcm
from typing import Any

import keras

from tf_diet.errors import StreamingError
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.rule import Rule
from tf_diet.graph.rule_table import barrier_reason, rule_for
from tf_diet.graph.timing import StepForm, refused


@dataclass(frozen=True)
class Timing:
    """Where the steps of a tensor's sequence are in a stream.

    Step `k` of the stream is step `k + offset` of the sequence: below zero it
    lags, and above zero the sequence begins with steps, such as padding, that
    the stream leaves out.

    Args:
        axis: the axis of time; None for a tensor without one.
        rate: steps of the sequence for each step of the fastest input; 0 for
            what is the same at all times.
        offset: see above.
        hold: calls' worth of steps: how often the stream repeats each step.
        origins: the model inputs that it is made of.
        cause: the call that makes it lag, as an error would say it.
    """

    axis: int | None = None
    rate: Fraction = Fraction(0)
    offset: int = 0
    hold: int = 1
    origins: frozenset[int] = frozenset()
    cause: str = ""

    @property
    def timed(self) -> bool:
        """Says whether it has a step for each point in time."""
        return self.axis is not None

    @property
    def running(self) -> bool:
        """Says whether it is an answer for all steps so far."""
        return self.axis is None and self.rate > 0

    def steps(self, frame: int) -> int:
        """Returns how many steps one call of the step model has."""
        return int(self.rate * self.hold * frame)


@dataclass(frozen=True)
class Planned:
    """How one call is run.

    Args:
        outputs: the timing of each output.
        rule: what is known of the layer.
        form: what its outputs are made of; None where no time is involved.
        offset: to which its inputs are delayed first.
    """

    outputs: tuple[Timing, ...]
    rule: Rule | None = None
    form: StepForm | None = None
    offset: int = 0


@dataclass(frozen=True)
class Schedule:
    """The timing of a whole model.

    Args:
        calls: of each call of the walk.
        inputs: the timing of each model input.
        outputs: that of each model output, all with the same latency.
        known: the timing of every tensor.
        latency: by how many steps of the fastest input the outputs lag.
        exact: steps after which a bounded past is noticed; 0 is never.
    """

    calls: tuple[Planned, ...]
    inputs: tuple[Timing, ...]
    outputs: tuple[Timing, ...]
    known: Mapping[int, Timing]
    latency: int
    exact: int


class _Rescale(Exception):
    """Some inputs turn out to be slower than thought."""

    def __init__(self, origins: frozenset[int], ratio: Fraction) -> None:
        super().__init__()
        self.origins = origins
        self.ratio = ratio


class _Unheld(Exception):
    """The steps of some inputs cannot be repeated."""

    def __init__(self, origins: frozenset[int]) -> None:
        super().__init__()
        self.origins = origins


def schedule(
    walked: Walk, frame: int, latency: int | None, past: int | None
) -> Schedule:
    """Returns when each tensor is known.

    Args:
        walked: the model.
        frame: steps of the fastest input in one call.
        latency: by how many of them the outputs may lag; None is any number.
        past: steps that attention remembers; None where it is not bounded.

    Raises:
        StreamingError: the model cannot run one frame at a time.
    """
    rates = {
        key: Fraction(has_time(walked.tensors[key].shape))
        for key in walked.inputs
    }
    unheld: set[int] = set()
    while True:
        attempt = _Attempt(walked, frame, rates, unheld, past)
        try:
            return attempt.run(latency)
        except _Rescale as found:
            for key in found.origins:
                rates[key] *= found.ratio
            fastest = max(rates.values())
            rates = {key: rate / fastest for key, rate in rates.items()}
        except _Unheld as found:
            unheld |= found.origins


def has_time(shape: Sequence[int | None]) -> bool:
    """Says whether axis 1 of a model input is time.

    An input of rank 2 is a sequence of classes where its length is unknown,
    and otherwise one vector for the whole sequence.
    """
    return len(shape) > 2 or (len(shape) == 2 and shape[1] is None)


class _Attempt:
    """One pass over the calls with assumed rates of the inputs."""

    def __init__(
        self,
        walked: Walk,
        frame: int,
        rates: Mapping[int, Fraction],
        unheld: set[int],
        past: int | None,
    ) -> None:
        self.walked = walked
        self.frame = frame
        self.past = past
        self.exact = 0
        self.calls: list[Planned] = []
        self.inputs = [
            Timing(
                axis=1 if rates[key] else None,
                rate=rates[key],
                hold=self.hold(rates[key], key in unheld),
                origins=frozenset({key}),
            )
            for key in walked.inputs
        ]

    @staticmethod
    def hold(rate: Fraction, unheld: bool) -> int:
        """Returns how often the steps of an input are repeated."""
        slow = rate and rate.numerator == 1
        return rate.denominator if slow and not unheld else 1

    def run(self, latency: int | None) -> Schedule:
        """Returns the schedule."""
        known = replay(self.walked, self.inputs, self.apply)
        self.check_frame(known)
        outputs = [known[key] for key in self.walked.outputs]
        lags = [Fraction(-t.offset) / t.rate for t in outputs if t.timed]
        lag = ceil(max([Fraction(0), *lags]))
        unit = lcm(*(t.rate.denominator for t in outputs if t.timed))
        lag = ceil(lag / unit) * unit
        if latency is not None and lag > latency:
            cause = next(t.cause for t in outputs if t.timed and t.cause)
            raise StreamingError(
                f"{cause} Or let the answer lag, by {lag} steps: pass "
                f"latency={lag}."
            )
        return Schedule(
            calls=tuple(self.calls),
            inputs=tuple(self.inputs),
            outputs=tuple(
                replace(t, offset=-int(lag * t.rate)) if t.timed else t
                for t in outputs
            ),
            known=known,
            latency=lag,
            exact=self.exact,
        )

    def apply(self, call: Call, args: Any, kwargs: Any) -> list[Timing]:
        """Returns the timings of a call's outputs."""
        given = [
            leaf
            for leaf in keras.tree.flatten((args, kwargs))
            if isinstance(leaf, Timing)
        ]
        planned = self.plan(call, given)
        self.calls.append(planned)
        return list(planned.outputs)

    def plan(self, call: Call, given: Sequence[Timing]) -> Planned:
        """Returns how a call is run on inputs of these timings."""
        timed = [t for t in given if t.timed]
        origins = frozenset().union(*(t.origins for t in given))
        running = [t for t in given if t.running]
        if running and timed:
            raise refused(
                call,
                "which joins single time steps to an answer for the whole "
                "sequence, known at its end",
                "Give that answer as an output, or as an input.",
            )
        rule = rule_for(call.operation)
        if not timed:
            rate = max((t.rate for t in running), default=Fraction(0))
            output = Timing(rate=rate, origins=origins)
            return Planned((output,) * len(call.outputs))
        if rule is None:
            raise _unknown(call)
        if self.past is not None:
            rule = rule.bounded(self.past)
        form = rule.in_time(call, [t.axis for t in given])
        together = self.together(call, timed)
        return self.placed(call, rule, form, together, given)

    def together(self, call: Call, timed: Sequence[Timing]) -> Timing:
        """Returns the common timing of inputs; the latest offset counts."""
        first = timed[0]
        for other in timed[1:]:
            if other.rate != first.rate:
                slow, fast = sorted((first, other), key=lambda t: t.rate)
                if slow.origins & fast.origins:
                    raise refused(
                        call,
                        f"whose inputs have {slow.rate} and {fast.rate} steps "
                        "for each step of the model's input",
                        "Bring them to one rate, with strides or UpSampling1D.",
                    )
                raise _Rescale(fast.origins, slow.rate / fast.rate)
            if other.hold != first.hold:
                held = max(first, other, key=lambda t: t.hold)
                raise _Unheld(held.origins)
        last = min(timed, key=lambda t: t.offset)
        origins = frozenset().union(*(t.origins for t in timed))
        return replace(last, origins=origins)

    def placed(
        self,
        call: Call,
        rule: Rule,
        form: StepForm,
        together: Timing,
        given: Sequence[Timing],
    ) -> Planned:
        """Returns where the outputs of a call are in the stream."""
        hold, offset, origins = together.hold, together.offset, together.origins
        if hold > 1 and not form.plain:
            if not form.copies or hold % form.factor:
                raise _Unheld(origins)
            hold //= form.factor
        # What stands before the first step is a constant only where all
        # inputs that have no time are.
        if form.carries or any(not t.timed for t in given):
            offset = min(offset, 0)
        if None in form.outputs:
            offset = min(offset, 0)
            if offset < 0:
                raise StreamingError(
                    f"{together.cause} What comes after it is one answer for "
                    f"the whole sequence ({call.path!r}), which cannot lag."
                )
        if form.carries and offset < 0:
            steps = max(together.steps(self.frame), 1)
            offset = -ceil(-offset / steps) * steps
        seen = offset + form.left + form.stride - form.span
        after = seen // form.stride * form.factor - form.skip
        cause = together.cause
        if after < 0 and not cause:
            cause = str(refused(call, f"and {form.why}", form.remedy))
        rate = together.rate / form.stride * form.factor
        if form.exact:
            steps = int(form.exact / together.rate)
            self.exact = min(self.exact or steps, steps)
        outputs = tuple(
            Timing(axis, rate, after, hold, origins, cause)
            if axis is not None
            else Timing(None, together.rate, origins=origins)
            for axis in form.outputs
        )
        return Planned(outputs, rule, form, offset)

    def check_frame(self, known: Mapping[int, Timing]) -> None:
        """Checks that a call has whole steps of every tensor.

        Raises:
            StreamingError: a frame is cut.
        """
        parts = {
            key: (t.rate * t.hold).denominator
            for key, t in known.items()
            if t.timed
        }
        unit = lcm(*parts.values())
        if self.frame % unit == 0:
            return
        key = next(k for k, part in parts.items() if self.frame % part)
        call = self.walked.producers.get(key)
        advice = (
            f"One call must hold a multiple of {unit} steps. Pass frame={unit}."
        )
        if call is None:
            name = self.walked.input_names[self.walked.inputs.index(key)]
            raise StreamingError(
                f"The input {name!r} has one step for {parts[key]} of the "
                f"fastest input. Received: frame={self.frame}. {advice}"
            )
        raise refused(
            call,
            f"and it skips frames, with frame={self.frame}: one of its steps "
            f"lasts for {parts[key]}",
            advice,
        )


def _unknown(call: Call) -> StreamingError:
    kind = type(call.operation).__name__
    reason = call.closed or barrier_reason(call.operation)
    return StreamingError(
        f"The layer {call.path!r} has no step form. Received: {kind}, for "
        f"which there is no rule: {reason}. Register one with a step method, "
        "or leave it out of the model and compute it before."
    )
