# SPDX-License-Identifier: MIT
"""Builds the graph of a step model: buffers, delays and the layers between."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.schedule import Planned, Schedule, Timing
from tf_diet.graph.calls import Call, TensorSpec, Walk, replay
from tf_diet.rules.copies import copied, renamed


@dataclass(frozen=True, eq=False)
class Stream:
    """A tensor of the step model.

    Args:
        value: the steps of one call, or what has no time.
        timing: where they are in the sequence.
        head: the `offset` steps of the sequence before the first of the
            stream, if there are any.
    """

    value: Any
    timing: Timing
    head: Array | None = None


def cut(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """Returns some steps along an axis."""
    whole = start in (None, 0) and stop in (None, x.shape[axis])
    key = (*(slice(None),) * axis, slice(start, stop))
    return x if whole else x[key]


class Stepper:
    """Replays a walk on the tensors of one call.

    Args:
        walked: the model.
        schedule: its timings.
        frame: steps of the fastest input in one call.

    Attributes:
        inputs: the state inputs by name.
        outputs: the next value of each, likewise.
    """

    def __init__(self, walked: Walk, schedule: Schedule, frame: int) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self._walked = walked
        self._schedule = schedule
        self._frame = frame
        self._copies: dict[int, Any] = {}
        self._uses = Counter(id(call.operation) for call in walked.calls)
        self._delays: dict[tuple[Any, ...], Any] = {}
        self._registers: dict[tuple[int, int], tuple[Any, Any]] = {}

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Returns the outputs of the step model for its inputs."""
        given = [
            Stream(value, timing)
            for value, timing in zip(inputs, self._schedule.inputs, strict=True)
        ]
        known = replay(self._walked, given, self._apply)
        return [
            self._delayed(known[key], timing.offset, "output").value
            for key, timing in zip(
                self._walked.outputs, self._schedule.outputs, strict=True
            )
        ]

    def _apply(self, call: Call, args: Any, kwargs: Any) -> list[Stream]:
        """Returns the outputs of a call."""
        planned = self._schedule.calls[call.index]
        if planned.form is None:
            args, kwargs = _filled(args, kwargs, lambda s: s.value)
            results = self._operation(call)(*args, **kwargs)
            return _streams(results, planned)
        streams = _found(args, kwargs)
        ready = {id(s): self._ready(call, s, planned) for s in streams}
        first = next(ready[id(s)] for s in streams if s.timing.timed)
        hold = first.timing.hold
        if planned.form.copies and hold > 1:
            return [Stream(first.value, t) for t in planned.outputs]
        windows = {
            id(s): self._window(call, ready[id(s)], planned) for s in streams
        }
        filled = _filled(args, kwargs, lambda s: windows[id(s)])
        results = self._step(call, planned, filled, first)
        outputs = _streams(results, planned)
        return self._headed(call, planned, outputs, (args, kwargs), ready)

    def _operation(self, call: Call) -> Any:
        """Returns a copy of the layer or operation."""
        operation = call.operation
        if not isinstance(operation, keras.Layer):
            return renamed(operation, self._name(call))
        if id(operation) in self._copies:
            return self._copies[id(operation)]
        copy = copied(operation, self._name(call))
        if self._uses[id(operation)] > 1:
            self._copies[id(operation)] = copy
        return copy

    def _name(self, call: Call) -> str:
        """Returns the name of a call's layer in the step model.

        A model output has the name of the call that makes it, unless it is
        delayed. Operations are numbered as those of the buffers are.
        """
        ends = {
            key: timing.offset
            for key, timing in zip(
                self._walked.outputs, self._schedule.outputs, strict=True
            )
            if key in call.outputs
        }
        made = {
            key: timing.offset
            for key, timing in zip(
                call.outputs,
                self._schedule.calls[call.index].outputs,
                strict=True,
            )
        }
        late = any(made[key] != offset for key, offset in ends.items())
        plain = isinstance(call.operation, keras.Layer) or ends
        return call.step_name + ("" if plain and not late else "_op")

    def _scoped(
        self, call: Call, planned: Planned, given: Any, steps: int
    ) -> Call:
        """Returns the call with the shapes that it has in the step model."""
        assert planned.form is not None
        leaves = [
            leaf
            for leaf in keras.tree.flatten(given)
            if isinstance(leaf, _Placed)
        ]
        outputs = []
        for spec, axis in zip(
            call.output_specs, planned.form.outputs, strict=True
        ):
            shape = [1, *spec.shape[1:]]
            if axis is not None:
                shape[axis] = steps
            outputs.append(TensorSpec(tuple(shape), spec.dtype))
        axis = next(p.axis for p in leaves if p.axis is not None)
        return replace(
            call,
            path=self._name(call),
            operation=self._operation(call),
            time=axis,
            input_specs=tuple(
                TensorSpec(tuple(p.value.shape), str(p.value.dtype))
                for p in leaves
            ),
            output_specs=tuple(outputs),
        )

    def _step(
        self, call: Call, planned: Planned, filled: Any, first: Stream
    ) -> Any:
        """Runs the rule's step, and keeps its states."""
        form, rule = planned.form, planned.rule
        assert form is not None
        assert rule is not None
        steps = first.timing.steps(self._frame) // form.stride * form.factor
        scoped = self._scoped(call, planned, filled, steps)
        args, kwargs = _plain(filled)
        shapes = rule.state_spec(scoped, 1)
        state = {
            name: self._state(f"{call.step_name}_{name}", shape)
            for name, shape in shapes.items()
        }
        results, after = rule.step(scoped, args, kwargs, state)
        for name, tensor in state.items():
            value = after[name]
            if planned.offset < 0:
                calls = -planned.offset // first.timing.steps(self._frame)
                value = self._chosen(calls, 1, value, 0.0, 0)
            self.outputs[tensor.name] = value
        return results

    def _headed(
        self,
        call: Call,
        planned: Planned,
        outputs: list[Stream],
        given: Any,
        ready: dict[int, Stream],
    ) -> list[Stream]:
        """Adds what the sequence begins with before the stream does."""
        form, rule = planned.form, planned.rule
        assert form is not None
        assert rule is not None
        steps = planned.outputs[0].offset
        if steps <= 0 or None in form.outputs:
            return outputs
        count = (steps // form.factor - 1) * form.stride + form.span

        def place(stream: Stream) -> _Placed:
            now = ready[id(stream)]
            axis = now.timing.axis
            if axis is None:
                return _Placed(now.value, None)
            head = cut(now.head, axis, 0, count)
            return _Placed(keras.ops.convert_to_tensor(head), axis)

        filled = _filled(given[0], given[1], place)
        scoped = self._scoped(call, planned, filled, steps)
        args, kwargs = _plain(filled)
        results, _ = rule.step(scoped, args, kwargs, {})
        return [
            replace(stream, head=keras.ops.convert_to_numpy(head))
            for stream, head in zip(
                outputs, keras.tree.flatten(results), strict=True
            )
        ]

    def _ready(self, call: Call, stream: Stream, planned: Planned) -> Stream:
        """Returns an input delayed as its partners are, and padded."""
        form = planned.form
        timing = stream.timing
        if not timing.timed or form is None:
            return stream
        stream = self._delayed(stream, planned.offset, call.step_name)
        if not form.left:
            return stream
        axis = timing.axis
        assert axis is not None
        value, offset = stream.value, planned.offset
        if form.left > 0 and offset < 0:
            # What lags has steps of its own where the padding is.
            value = self._chosen(
                -offset, value.shape[axis], value, form.fill, axis
            )
        after = offset + form.left
        timing = replace(stream.timing, offset=after)
        if after <= 0:
            return Stream(value, timing)
        shape = list(value.shape)
        shape[axis] = max(form.left, 0)
        parts = [np.full(shape, form.fill, str(value.dtype))]
        if stream.head is not None:
            parts.append(stream.head)
        head = np.concatenate(parts, axis)
        return Stream(value, timing, cut(head, axis, -after, None))

    def _window(
        self, call: Call, stream: Stream, planned: Planned
    ) -> "_Placed":
        """Returns the steps that the outputs of this call are made of."""
        form, axis = planned.form, stream.timing.axis
        if axis is None or form is None:
            return _Placed(stream.value, None)
        steps = stream.value.shape[axis]
        spare = (stream.timing.offset + form.stride - form.span) % form.stride
        past = form.span - form.stride + spare
        total = steps - form.stride + form.span
        value, start = stream.value, max(-past, 0)
        if past > 0:
            value = self._extended(stream, past, f"{call.step_name}_past")
        return _Placed(cut(value, axis, start, start + total), axis)

    def _delayed(self, stream: Stream, offset: int, name: str) -> Stream:
        """Returns a stream that lags more, from a buffer."""
        timing = stream.timing
        late = timing.offset - offset
        if not timing.timed or not late:
            return stream
        key = (id(stream.value), timing.offset, offset, timing.axis)
        axis = timing.axis
        assert axis is not None
        if key not in self._delays:
            joined = self._extended(stream, late, f"{name}_delay")
            steps = stream.value.shape[axis]
            self._delays[key] = cut(joined, axis, 0, steps)
        head = None
        if offset > 0 and stream.head is not None:
            head = cut(stream.head, axis, 0, offset)
        return Stream(self._delays[key], replace(timing, offset=offset), head)

    def _extended(self, stream: Stream, past: int, name: str) -> Any:
        """Returns the last steps of the calls before and those of this one."""
        value, axis = stream.value, stream.timing.axis
        assert axis is not None
        steps = value.shape[axis]
        shape = list(value.shape)
        shape[axis] = past
        state = self._state(name, tuple(shape), str(value.dtype))
        before = state
        if stream.head is not None and np.any(stream.head):
            known = cut(stream.head, axis, -min(past, steps_of(stream)), None)
            fill = np.zeros(shape, str(value.dtype))
            cut(fill, axis, past - known.shape[axis], None)[...] = known
            register, _ = self._register(past, steps)
            before = keras.ops.where(_along(register, axis, shape), state, fill)
        joined = keras.ops.concatenate([before, value], axis=axis)
        self.outputs[state.name] = cut(joined, axis, steps, None)
        return joined

    def _chosen(
        self, late: int, steps: int, value: Any, fill: float, axis: int
    ) -> Any:
        """Returns a value with `fill` at the first `late` steps of a stream."""
        _, joined = self._register(late, steps)
        begun = _along(cut(joined, 1, 0, steps), axis, value.shape)
        filled = np.full((1,) * len(value.shape), fill, str(value.dtype))
        return keras.ops.where(begun, value, filled)

    def _register(self, length: int, steps: int) -> tuple[Any, Any]:
        """Returns what says which of the past steps there have been."""
        key = (length, steps)
        if key not in self._registers:
            state = self._state("begun", (1, length))
            ones = np.ones((1, steps), "float32")
            joined = keras.ops.concatenate([state, ones], axis=1)
            self.outputs[state.name] = cut(joined, 1, steps, None)
            self._registers[key] = (state, joined)
        return self._registers[key]

    def _state(
        self, name: str, shape: tuple[int, ...], dtype: str = "float32"
    ) -> Any:
        """Returns a new state input."""
        taken, number = name, 0
        while taken in self.inputs:
            number += 1
            taken = f"{name}_{number}"
        tensor = keras.Input(batch_shape=shape, name=taken, dtype=dtype)
        self.inputs[taken] = tensor
        return tensor


@dataclass(frozen=True, eq=False)
class _Placed:
    """A tensor in the arguments of a step, and its axis of time."""

    value: Any
    axis: int | None


def steps_of(stream: Stream) -> int:
    """Returns how many steps stand before a stream."""
    axis = stream.timing.axis
    assert axis is not None
    assert stream.head is not None
    return int(stream.head.shape[axis])


def _along(register: Any, axis: int, shape: Sequence[int]) -> Any:
    """Returns a register as truth values along an axis."""
    wide = [1] * len(shape)
    wide[axis] = register.shape[1]
    return keras.ops.reshape(register, wide) > 0.5


def _found(args: Any, kwargs: Any) -> list[Stream]:
    leaves = keras.tree.flatten((args, kwargs))
    return [leaf for leaf in leaves if isinstance(leaf, Stream)]


def _filled(args: Any, kwargs: Any, place: Any) -> Any:
    return keras.tree.map_structure(
        lambda x: place(x) if isinstance(x, Stream) else x, (args, kwargs)
    )


def _plain(filled: Any) -> Any:
    return keras.tree.map_structure(
        lambda x: x.value if isinstance(x, _Placed) else x, filled
    )


def _streams(results: Any, planned: Planned) -> list[Stream]:
    return [
        Stream(value, timing)
        for value, timing in zip(
            keras.tree.flatten(results), planned.outputs, strict=True
        )
    ]
