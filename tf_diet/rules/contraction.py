# SPDX-License-Identifier: MIT
"""Sums of products: einsum, and whatever can be written as one."""

import inspect
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import Axis, Labels, Mask, Vector, take
from tf_diet.graph.operation import Args, Kwargs, Operation
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm
from tf_diet.rules.elementwise import constant
from tf_diet.rules.in_time import carried
from tf_diet.rules.outcomes import pinned

Index = Hashable
Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Term:
    """An operand of a contraction.

    Args:
        labels: of its axes.
        shape: of the tensor.
        indices: a name for each axis; axes of one name run together.
        cut: it is an array, which can be cut as its partners are.
    """

    labels: Labels
    shape: Shape
    indices: tuple[Index, ...] = ()
    cut: bool = False

    def named(self, indices: Iterable[Index], cut: bool = False) -> "Term":
        """Returns the operand with names for its axes."""
        return Term(self.labels, self.shape, tuple(indices), cut)


@dataclass(frozen=True, eq=False)
class Contraction:
    """What a contraction does to labels.

    Args:
        axes: the labels that each index carries.
        ties: vectors that meet on one index.
        frozen: vectors that meet what cannot be cut.
    """

    axes: Mapping[Index, Axis]
    ties: Sequence[tuple[Vector, Vector]]
    frozen: Sequence[tuple[Vector, str]]

    def labels(self, indices: Iterable[Index]) -> Labels:
        """Returns the labels of a tensor with these indices."""
        return Labels(tuple(self.axes.get(index) for index in indices))


def contract(call: Call, terms: Sequence[Term]) -> Contraction:
    """Ties the axes that share an index in a sum of products.

    A dead unit is zero in each operand that carries it, so it adds nothing
    where it is summed over, and gives zero where it is kept. Operands that do
    not carry it keep it alive.
    """
    met: dict[Index, list[tuple[Axis, int | None, bool]]] = {}
    for term in terms:
        for index, axis, size in zip(
            term.indices, term.labels.axes, term.shape, strict=True
        ):
            met.setdefault(index, []).append((axis, size, term.cut))
    axes: dict[Index, Axis] = {}
    ties: list[tuple[Vector, Vector]] = []
    frozen: list[tuple[Vector, str]] = []
    for index, found in met.items():
        seen = [axis for axis, *_ in found if axis is not None]
        width = max(
            [size or 0 for _, size, _ in found] + [len(axis) for axis in seen]
        )
        full = [axis for axis in seen if len(axis) == width]
        axes[index] = full[0] if full else None
        ties += [(full[0], other) for other in full[1:]]
        frozen += [
            (axis, f"{call.path!r} spreads one channel over many")
            for axis in seen
            if len(axis) != width
        ]
        data = any(
            axis is None and not cut and (size != 1 or width == 1)
            for axis, size, cut in found
        )
        if full and data:
            frozen.append((full[0], f"{call.path!r} combines it with data"))
    return Contraction(axes, ties, frozen)


def bound(call: Call) -> Kwargs:
    """Returns the arguments of a call by the names of its parameters."""
    return bind(call.operation, call.args, call.kwargs)


def bind(operation: Operation, args: Args, kwargs: Mapping[str, Any]) -> Kwargs:
    """Returns arguments by the names of the parameters of `call`."""
    signature = inspect.signature(operation.call)
    return dict(signature.bind(*args, **kwargs).arguments)


def operand(call: Call, inputs: Sequence[Labels], argument: Any) -> Term:
    """Returns labels and shape of an argument, be it tensor or constant."""
    if isinstance(argument, Slot):
        place = call.inputs.index(argument.key)
        return Term(inputs[place], call.input_specs[place].shape)
    shape: Shape = tuple(
        argument.shape if hasattr(argument, "shape") else np.shape(argument)
    )
    return Term(Labels.none(len(shape)), shape)


def parse(
    equation: str, ranks: Sequence[int]
) -> tuple[list[tuple[Index, ...]], tuple[Index, ...]]:
    """Returns the indices of the operands of an einsum and of its result.

    Args:
        equation: as einsum takes it, with or without "->" and "...".
        ranks: of the operands whose rank is known; the others have no "...".
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    specs = left.split(",")
    if not arrow:
        letters = left.replace(",", "").replace("...", "")
        once = sorted(x for x in set(letters) if letters.count(x) == 1)
        right = ("..." if "..." in left else "") + "".join(once)
    hidden = [
        rank - len(spec.replace("...", ""))
        for spec, rank in zip(specs, ranks, strict=False)
    ]
    hidden += [0] * (len(specs) - len(hidden))
    terms = [_spelt(*pair) for pair in zip(specs, hidden, strict=True)]
    return terms, _spelt(right, max(hidden))


def _spelt(spec: str, hidden: int) -> tuple[Index, ...]:
    """Spells the axes out that "..." stands for, counted from the right."""
    before, dots, after = spec.partition("...")
    shared = [("...", place) for place in range(hidden, 0, -1) if dots]
    return (*before, *shared, *after)


class _ContractionRule(Rule):
    """An operation without weights that sums products of its operands."""

    def operands(self, given: Kwargs) -> Sequence[Any]:
        """Returns the arguments that are multiplied."""
        return list(given.values())

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Returns the indices of each operand and of the result."""
        raise NotImplementedError

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties the axes that share an index; the others pass."""
        terms, out = self.terms(call, inputs)
        solved = contract(call, terms)
        return Signature(
            outputs=[solved.labels(out)],
            ties=solved.ties,
            frozen=solved.frozen,
        )

    def terms(
        self, call: Call, inputs: Sequence[Labels]
    ) -> tuple[list[Term], Sequence[Index]]:
        """Returns the operands, and the indices of the result."""
        given = self.operands(bound(call))
        terms = [operand(call, inputs, x) for x in given]
        indices, out = self.indices(call, [term.shape for term in terms])
        return [
            term.named(each, cut=constant(x) is not None)
            for x, term, each in zip(given, terms, indices, strict=True)
        ], out

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Carries time with its index.

        Raises:
            StreamingError: it is summed over, or meets another one, or a
                constant with a value for each time step.
        """
        blank = [Labels.none(len(spec.shape)) for spec in call.input_specs]
        terms, out = self.terms(call, blank)
        slots = iter(axes)
        times = [
            next(slots) if isinstance(given, Slot) else None
            for given in self.operands(bound(call))
        ]
        return carried(
            call,
            [term.indices for term in terms],
            [term.shape for term in terms],
            times,
            out,
        )

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Cuts the arrays among the operands as their partners are cut."""
        terms, _ = self.terms(call, inputs)
        if not any(term.cut for term in terms):
            return args, kwargs
        axes = contract(call, terms).axes
        given = bind(call.operation, args, kwargs)
        operands = [
            _sliced(constant(value), term, axes, alive) if term.cut else value
            for value, term in zip(self.operands(given), terms, strict=True)
        ]
        return tuple(operands), dict(given.get("kwargs", {}))


def _sliced(
    array: Any, term: Term, axes: Mapping[Index, Axis], alive: Mask
) -> Any:
    """Returns the positions of an array whose partners live."""
    met = [axes[index] for index in term.indices]
    full = [
        axis if axis is not None and len(axis) == size else None
        for axis, size in zip(met, term.shape, strict=True)
    ]
    return take(array, full, alive)


@register_rule("ops.Einsum")
class EinsumRule(_ContractionRule):
    """Any equation over any number of operands."""

    def operands(self, given: Kwargs) -> Sequence[Any]:
        """Returns the operands; the equation is a setting."""
        return given["operands"]

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Reads the equation."""
        ranks = [len(shape) for shape in shapes]
        return parse(call.operation.subscripts, ranks)


def _free(side: str, rank: int) -> list[Index]:
    return [(side, place) for place in range(rank)]


def _batch(rank: int) -> list[Index]:
    """Returns indices for leading axes that broadcast, from the right."""
    return [("batch", place) for place in range(rank, 0, -1)]


@register_rule("ops.Matmul")
class MatmulRule(_ContractionRule):
    """Matrix product; leading axes broadcast."""

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Sums over the last axis of one and the last but one of the other."""
        first, second = (len(shape) for shape in shapes)
        rows = ["row"] if first > 1 else []
        columns = ["column"] if second > 1 else []
        return (
            (
                [*_batch(first - 2), *rows, "sum"],
                [*_batch(second - 2), "sum", *columns],
            ),
            [*_batch(max(first, second) - 2), *rows, *columns],
        )


@register_rule("ops.Dot", "ops.Inner")
class DotRule(_ContractionRule):
    """Product over one axis of each, without broadcasting."""

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Sums over the last axes; Dot takes the last but one of the other."""
        first, second = (len(shape) for shape in shapes)
        one, other = _free("first", first), _free("second", second)
        if first and second:
            rows = type(call.operation).__name__ == "Dot" and second > 1
            one[-1] = other[-2 if rows else -1] = "sum"
        return (one, other), [i for i in one + other if i != "sum"]


@register_rule("ops.Tensordot")
class TensordotRule(_ContractionRule):
    """Product over pairs of axes; all other axes are kept."""

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Reads which axes meet."""
        first, second = (len(shape) for shape in shapes)
        one, other = _free("first", first), _free("second", second)
        axes = call.operation.axes
        if isinstance(axes, int):
            axes = (range(first - axes, first), range(axes))
        left, right = (np.atleast_1d(side).tolist() for side in axes)
        for number, (a, b) in enumerate(zip(left, right, strict=True)):
            one[a] = other[b] = ("sum", number)
        kept = set(_free("first", first)) | set(_free("second", second))
        return (one, other), [i for i in one + other if i in kept]


@register_rule("ops.Outer", "ops.Vdot")
class FlatteningRule(_ContractionRule):
    """Operands are flattened first: outer product, and product over all."""

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Pairs axis with axis, where flattening changes nothing."""
        first, second = (len(shape) for shape in shapes)
        if type(call.operation).__name__ == "Vdot":
            return (_free("both", first), _free("both", second)), ()
        one, other = _free("first", first), _free("second", second)
        return (one, other), [*one, *other]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Pins operands in which flattening mixes axes."""
        terms, _ = self.terms(call, inputs)
        first, second = (term.shape for term in terms)
        vector = len(first) == len(second) == 1
        same = type(call.operation).__name__ == "Vdot" and first == second
        if vector or same:
            return super().signature(call, inputs, fresh)
        return pinned(call, inputs, "mixes this axis with others")


@register_rule(keras.layers.Dot)
class DotLayerRule(_ContractionRule):
    """Product over one axis of each, example by example.

    Scaling to length 1 before is exact over units too: dead ones are zero and
    add nothing to a length.
    """

    def operands(self, given: Kwargs) -> Sequence[Any]:
        """Returns the two inputs."""
        return given["inputs"]

    def terms(
        self, call: Call, inputs: Sequence[Labels]
    ) -> tuple[list[Term], Sequence[Index]]:
        """Returns the inputs; a constant among them is data."""
        terms, out = super().terms(call, inputs)
        return [term.named(term.indices) for term in terms], out

    def indices(
        self, call: Call, shapes: Sequence[Shape]
    ) -> tuple[Sequence[Sequence[Index]], Sequence[Index]]:
        """Reads which axes meet; the batch is shared."""
        first, second = (len(shape) for shape in shapes)
        one, other = _free("first", first), _free("second", second)
        axes = call.operation.axes
        left, right = (axes, axes) if isinstance(axes, int) else axes
        one[0] = other[0] = "batch"
        one[left] = other[right] = "sum"
        kept = [i for i in one + other[1:] if i != "sum"]
        # Two vectors give one number, on an axis of its own.
        return (one, other), kept if len(kept) > 1 else [*kept, "one"]
