# SPDX-License-Identifier: MIT
"""From calls and rules to a channel graph: units, groups and barriers."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from tf_diet.errors import InputError, UnsupportedModelError
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.composite import sublayers
from tf_diet.graph.groups import (
    MINIMUM_WIDTH,
    Barrier,
    Group,
    Member,
    Options,
    Pinned,
    Site,
)
from tf_diet.graph.labels import (
    Axis,
    Labels,
    Partition,
    Vector,
    meet,
    touches,
    union,
)
from tf_diet.graph.operation import Args, Kwargs, Variable
from tf_diet.graph.probe import passes
from tf_diet.graph.rule import Fresh, Signature, own_variables, stopped
from tf_diet.graph.rule_table import barrier_reason, rule_for
from tf_diet.graph.walk import walk


def build(model: keras.Model, options: Options | None = None) -> ChannelGraph:
    """Builds the channel graph of a functional or Sequential model.

    Args:
        model: the model; it is not touched.
        options: what may be removed, and what is tied by hand.

    Raises:
        InputError: a tie names no group, or groups of unequal width.
        UnsupportedModelError: for any other model, and for one with
            quantised or LoRA layers.
    """
    options = Options() if options is None else options
    walked = walk(model, lambda operation: rule_for(operation) is None)
    _check_plain(walked)
    builder = _Builder(walked, options)

    def apply(call: Call, args: Args, kwargs: Kwargs) -> Sequence[Labels]:
        inputs = [labels[key] for key in call.inputs]
        outputs = builder.visit(call, inputs)
        labels.update(zip(call.outputs, outputs, strict=True))
        return outputs

    labels = {
        key: Labels.none(len(walked.tensors[key].shape))
        for key in walked.inputs
    }
    replay(walked, [labels[key] for key in walked.inputs], apply)
    return builder.finish(labels)


def _check_plain(walked: Walk) -> None:
    for call in walked.calls:
        for layer in sublayers(call.operation):
            state = (
                "quantised"
                if getattr(layer, "quantization_mode", None)
                else "a LoRA layer"
                if getattr(layer, "lora_enabled", False)
                else ""
            )
            if state:
                raise UnsupportedModelError(
                    f"The layer {call.path!r} is {state}, and its weights "
                    "cannot be cut. Received: "
                    f"{type(layer).__name__} {layer.name!r}. Prune the model "
                    "before it is quantised, or merge the LoRA weights first."
                )


class _Builder:
    """Collects what each call does to labels, then solves it."""

    def __init__(self, walked: Walk, options: Options) -> None:
        self.walk = walked
        self.options = options
        self.partition = Partition()
        self.blocks: list[tuple[str, Vector]] = []
        self.makers: dict[int, Call] = {}
        self.signatures: list[Signature] = []
        self.stops: list[tuple[Call, str, list[Vector]]] = []
        self.inexact: list[tuple[Vector, str]] = []
        self.variables: dict[str, Variable] = {}
        self.axes: dict[str, tuple[Axis, ...]] = {}
        self.roles: dict[tuple[str, int], str] = {}
        self.paths: dict[int, str] = {}

    def visit(self, call: Call, inputs: Sequence[Labels]) -> Sequence[Labels]:
        rule = rule_for(call.operation)
        fresh = Fresh(self.partition)
        if rule is None:
            signature = self.unknown(call, inputs)
            weights = own_variables(call.operation)
        else:
            signature = rule.signature(call, inputs, fresh)
            weights = rule.weights(call.operation)
        if signature.stop:
            seen = [v for x in inputs for v in x.known()]
            self.stops.append((call, signature.stop, seen))
        self.constrain(signature.ties, signature.frozen)
        for vector, reason in signature.inexact:
            if self.options.exact:
                self.partition.freeze(vector, reason)
            else:
                self.inexact.append((vector, reason))
        outputs = _made(signature) if weights else union([])
        for name, variable in weights.items():
            none = (None,) * len(variable.shape)
            axes = signature.weights.get(name, none)
            self.add_weight(call, variable, axes, outputs)
        for part, vector in fresh.made:
            name = f"{call.layer_path}.{part}" if part else call.layer_path
            self.blocks.append((name, vector))
            self.makers[call.index] = call
        self.signatures.append(signature)
        return signature.outputs

    def constrain(
        self,
        ties: Iterable[tuple[Vector, Vector]],
        frozen: Iterable[tuple[Vector, str]],
    ) -> None:
        for first, second in ties:
            self.partition.tie(first, second)
        for vector, reason in frozen:
            self.partition.freeze(vector, reason)

    def unknown(self, call: Call, inputs: Sequence[Labels]) -> Signature:
        """What stops the graph, or what the probe lets through."""
        if self.options.probe:
            outputs = passes(call, inputs)
            if outputs is not None:
                known = [x for x in inputs if x.channels is not None]
                return Signature(
                    outputs=outputs,
                    ties=[
                        (known[0].channels, x.channels)
                        for x in known[1:]
                        if known[0].channels is not None
                        and x.channels is not None
                    ],
                )
        why = call.closed or barrier_reason(call.operation)
        return stopped(call, inputs, why)

    def add_weight(
        self,
        call: Call,
        variable: Variable,
        axes: tuple[Axis, ...],
        outputs: Vector,
    ) -> None:
        if id(variable) not in self.paths:
            path = _path(call, variable)
            while path in self.variables:
                path += "_"
            self.paths[id(variable)] = path
            self.variables[path] = variable
            self.axes[path] = axes
            produces = [
                number
                for number, axis in enumerate(axes)
                if axis is not None and touches(axis, outputs)
            ]
            for number in range(len(axes)):
                out = bool(produces) and number == produces[-1]
                self.roles[path, number] = "out" if out else "in"
            return
        path = self.paths[id(variable)]
        reason = f"{path!r} is shared with a place that is fixed"
        pairs = zip(self.axes[path], axes, strict=True)
        self.constrain(*meet(pairs, reason))

    def tie_by_hand(self) -> None:
        """Ties the groups that the options name."""
        made: dict[str, Vector] = {}
        for name, vector in self.blocks:
            made.setdefault(name, vector)
        for names in self.options.ties:
            for name in names:
                if name not in made:
                    raise InputError(
                        "A tie names no layer that makes units. Received: "
                        f"{name!r}. Such layers: {', '.join(made)}."
                    )
            first, *others = (made[name] for name in names)
            for name, other in zip(names[1:], others, strict=True):
                if len(other) != len(first):
                    raise InputError(
                        "Only layers with equally many units can be tied. "
                        f"Received: {names[0]!r} with {len(first)} and "
                        f"{name!r} with {len(other)}. Leave one out."
                    )
                self.partition.tie(first, other)

    def finish(self, labels: Mapping[int, Labels]) -> ChannelGraph:
        self.tie_by_hand()
        for key in self.walk.outputs:
            for vector in labels[key].known():
                self.partition.freeze(vector, "it is an output of the model")
        roots = self.partition.roots()
        reasons = self.partition.reasons(roots)
        kinds = {
            reason: n
            for n, reason in enumerate(dict.fromkeys(reasons.values()))
        }
        reason_of = np.full(len(roots), -1, np.int64)
        reason_of[list(reasons)] = [
            kinds[reason] for reason in reasons.values()
        ]
        frozen = np.zeros(len(roots), bool)
        frozen[list(reasons)] = True
        group_of = np.full(len(roots), -1, np.int64)
        unit_of = np.full(len(roots), -1, np.int64)
        names: dict[str, int] = {}
        pinned: list[Pinned] = []
        for name, units in self.components(roots):
            stays = units[frozen[units]]
            units = units[~frozen[units]]
            if len(stays):
                pinned.append(Pinned(name, len(stays), reasons[int(stays[0])]))
            if len(units):
                while name in names:
                    name += "_"
                group_of[units] = len(names)
                unit_of[units] = np.arange(len(units))
                names[name] = len(units)
        group_of, unit_of = group_of[roots], unit_of[roots]
        members = self.members(group_of, unit_of, len(names))
        sites = self.sites(group_of, unit_of, len(names), labels)
        groups = tuple(
            Group(
                name,
                count,
                tuple(members[number]),
                tuple(sites[number]),
                min(MINIMUM_WIDTH, count),
            )
            for number, (name, count) in enumerate(names.items())
        )
        return ChannelGraph(
            walk=self.walk,
            groups=groups,
            barriers=tuple(self.barriers(roots)),
            pinned=tuple(pinned),
            inexact=tuple(self.shrinkable(group_of, unit_of, groups)),
            variables=self.variables,
            axes=self.axes,
            labels=labels,
            signatures=tuple(self.signatures),
            group_of=group_of,
            unit_of=unit_of,
            reasons=tuple(kinds),
            reason_of=reason_of[roots],
            options=self.options,
        )

    def barriers(self, roots: Vector) -> Iterable[Barrier]:
        for call, why, vectors in self.stops:
            kind = type(call.operation).__name__
            count = len(np.unique(roots[union(vectors)]))
            yield Barrier(call.path, kind, why, count)

    def shrinkable(
        self, group_of: Vector, unit_of: Vector, groups: Sequence[Group]
    ) -> Iterable[Pinned]:
        for vector, reason in self.inexact:
            for number in np.unique(group_of[vector]):
                if number >= 0:
                    mine = group_of[vector] == number
                    count = len(np.unique(unit_of[vector][mine]))
                    yield Pinned(groups[number].name, count, reason)

    def components(self, roots: Vector) -> list[tuple[str, Vector]]:
        """Joins the blocks of fresh labels that share a unit.

        Returns:
            For each, the name of the first block and its units in order.
        """
        blocks = Partition()
        blocks.make(len(self.blocks))
        if not self.blocks:
            return []
        units = roots[np.concatenate([v for _, v in self.blocks])]
        owners = np.repeat(
            np.arange(len(self.blocks)), [len(v) for _, v in self.blocks]
        )
        _, first, which = np.unique(
            units, return_index=True, return_inverse=True
        )
        blocks.tie(owners[first[which]], owners)
        component = blocks.roots()[owners]
        return [
            (self.blocks[number][0], np.unique(units[component == number]))
            for number in np.unique(component)
        ]

    def members(
        self, group_of: Vector, unit_of: Vector, count: int
    ) -> list[list[Member]]:
        found: list[list[Member]] = [[] for _ in range(count)]
        for path, axes in self.axes.items():
            for place, axis in enumerate(axes):
                for number, units in _split(axis, group_of, unit_of):
                    role = self.roles[path, place]
                    found[number].append(Member(path, place, units, role))
        return found

    def sites(
        self,
        group_of: Vector,
        unit_of: Vector,
        count: int,
        labels: Mapping[int, Labels],
    ) -> list[list[Site]]:
        found: list[list[Site]] = [[] for _ in range(count)]
        for call in self.makers.values():
            for output, key in enumerate(call.outputs):
                for place, axis in enumerate(labels[key].axes):
                    for number, units in _split(axis, group_of, unit_of):
                        site = Site(call.index, output, place, units)
                        found[number].append(site)
        return found


def _split(
    axis: Axis, group_of: Vector, unit_of: Vector
) -> Iterable[tuple[int, Vector]]:
    """Yields each group on an axis, and its unit at each position or -1."""
    if axis is None:
        return
    owners = group_of[axis]
    for number in np.unique(owners[owners >= 0]).tolist():
        yield number, np.where(owners == number, unit_of[axis], -1)


def _made(signature: Signature) -> Vector:
    """Returns the labels of the outputs, and what the call ties to them."""
    outputs = union(v for o in signature.outputs for v in o.known())
    tied = [
        other
        for pair in signature.ties
        for one, other in (pair, pair[::-1])
        if touches(one, outputs)
    ]
    return union([outputs, *tied])


def _path(call: Call, variable: Variable) -> str:
    """Returns a variable's path below the nested models that hold it.

    Keras puts the names of some enclosing models in front, which it numbers.
    """
    *parents, name = call.layer_path.split("/")
    parts = variable.path.split("/")
    if name in parts:
        parts = parts[parts.index(name) :]
    return "/".join([*parents, *parts])
