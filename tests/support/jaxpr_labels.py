# SPDX-License-Identifier: MIT
"""A second opinion on groups: labels pushed through a model's jaxpr.

Needs the JAX backend and knows no layer: it sees the primitives that a forward
pass is made of. Every axis of every weight gets labels of its own, primitives
tie and freeze them, and what is left must be the groups of the rules. It is
blind to constants baked in, and takes every sum over units for a mean.

`python tests/jaxpr_labels.py` prints as JSON where models of `jaxpr_models`
and the rules disagree.
"""

import json
import sys

import jax
import keras
import numpy as np

from tf_diet.graph.build import build
from tf_diet.graph.labels import Partition

# What stands on an axis: labels, data that stays, or None where all is equal.
DATA = "data"

_NAMES = """
abs add add_any and atan2 cbrt ceil clamp convert_element_type copy cos div eq
erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow is_finite le log log1p
logistic lt max min mul ne neg nextafter not or pow rem round rsqrt select_n
sign sin sqrt square stop_gradient sub tan tanh xor
"""
ELEMENTWISE = set(_NAMES.split())


class Flow:
    """Pushes labels through a jaxpr."""

    def __init__(self):
        self.partition = Partition()

    def freeze(self, axes):
        for axis in axes:
            if isinstance(axis, np.ndarray):
                self.partition.freeze(axis, "mixed")

    def meet(self, axes):
        """Labels of axes that are combined position by position."""
        vectors = [axis for axis in axes if isinstance(axis, np.ndarray)]
        data = any(isinstance(axis, str) for axis in axes)
        for other in vectors[1:]:
            self.partition.tie(vectors[0], other)
        if data:
            self.freeze(vectors[:1])
        return vectors[0] if vectors else DATA if data else None

    def run(self, jaxpr, consts, args):
        known = {}

        def read(var):
            if hasattr(var, "val"):
                return (DATA,) * np.ndim(var.val)
            return known[var]

        for var, value in zip(jaxpr.constvars, consts, strict=True):
            known[var] = (DATA,) * np.ndim(value)
        known.update(zip(jaxpr.invars, args, strict=True))
        for eqn in jaxpr.eqns:
            outputs = self.step(eqn, [read(var) for var in eqn.invars])
            known.update(zip(eqn.outvars, outputs, strict=True))
        return [read(var) for var in jaxpr.outvars]

    def step(self, eqn, given):
        name = eqn.primitive.name
        shape = eqn.outvars[0].aval.shape
        if name in ELEMENTWISE:
            return [self.elementwise(eqn, given, shape)]
        if name.startswith(("reduce_window", "select_and")):
            return [self.window(eqn, given[0])]
        if name.startswith(("reduce_", "arg")):
            return [self.reduce(eqn.params["axes"], given[0])]
        if hasattr(self, name):
            return getattr(self, name)(eqn, *given)
        for inner in eqn.params.values():
            if hasattr(inner, "jaxpr") and name not in ("scan", "while"):
                return self.run(inner.jaxpr, inner.consts, given)
        for axes in given:
            self.freeze(axes)
        return [(DATA,) * len(var.aval.shape) for var in eqn.outvars]

    def elementwise(self, eqn, given, shape):
        full = []
        for var, axes in zip(eqn.invars, given, strict=True):
            if len(axes) == len(shape):
                sizes = zip(axes, var.aval.shape, shape, strict=True)
                spread = [a for a, size, whole in sizes if size != whole]
                self.freeze(spread)
                sizes = zip(axes, var.aval.shape, shape, strict=True)
                full.append([a if n == m else None for a, n, m in sizes])
        return tuple(self.meet(axes) for axes in zip(*full, strict=True))

    def reduce(self, gone, axes):
        self.freeze([axes[place] for place in gone])
        return tuple(a for place, a in enumerate(axes) if place not in gone)

    def window(self, eqn, axes):
        sizes = eqn.params["window_dimensions"]
        self.freeze(a for a, size in zip(axes, sizes, strict=True) if size > 1)
        pairs = zip(axes, sizes, strict=True)
        return tuple(DATA if size > 1 else axis for axis, size in pairs)

    def iota(self, eqn):
        return [(DATA,) * len(eqn.outvars[0].aval.shape)]

    def transpose(self, eqn, axes):
        return [tuple(axes[place] for place in eqn.params["permutation"])]

    def squeeze(self, eqn, axes):
        gone = eqn.params["dimensions"]
        self.freeze([axes[place] for place in gone])
        return [tuple(a for p, a in enumerate(axes) if p not in gone)]

    def rev(self, eqn, axes):
        turned = list(axes)
        for place in eqn.params["dimensions"]:
            if isinstance(turned[place], np.ndarray):
                turned[place] = turned[place][::-1]
        return [tuple(turned)]

    def broadcast_in_dim(self, eqn, axes, *sizes):
        shape = eqn.outvars[0].aval.shape
        before = eqn.invars[0].aval.shape
        found = [None] * len(shape)
        places = eqn.params["broadcast_dimensions"]
        for axis, size, place in zip(axes, before, places, strict=True):
            if size == shape[place]:
                found[place] = axis
            else:
                self.freeze([axis])
        return [tuple(found)]

    def concatenate(self, eqn, *given):
        joined = eqn.params["dimension"]
        parts = [axes[joined] for axes in given]
        found = [
            DATA if place == joined else self.meet(axes)
            for place, axes in enumerate(zip(*given, strict=True))
        ]
        if any(isinstance(part, np.ndarray) for part in parts):
            for place, part in enumerate(parts):
                if not isinstance(part, np.ndarray):
                    size = eqn.invars[place].aval.shape[joined]
                    parts[place] = self.partition.make(size)
                    self.freeze([parts[place]])
            found[joined] = np.concatenate(parts)
        return [tuple(found)]

    def slice(self, eqn, axes):
        params = eqn.params
        found = []
        for place, axis in enumerate(axes):
            if isinstance(axis, np.ndarray):
                step = params["strides"][place] if params["strides"] else 1
                start = params["start_indices"][place]
                axis = axis[start : params["limit_indices"][place] : step]
            found.append(axis)
        return [tuple(found)]

    def split(self, eqn, axes):
        place = eqn.params["axis"]
        count = len(eqn.outvars)
        parts = [axes[place]] * count
        if isinstance(axes[place], np.ndarray):
            edges = np.cumsum(eqn.params["sizes"])[:-1]
            parts = np.split(axes[place], edges)
        return [(*axes[:place], p, *axes[place + 1 :]) for p in parts]

    def pad(self, eqn, axes, value):
        found = list(axes)
        for place, config in enumerate(eqn.params["padding_config"]):
            if tuple(config) != (0, 0, 0):
                self.freeze([axes[place]])
                found[place] = DATA
        return [tuple(found)]

    def reshape(self, eqn, axes):
        before = eqn.invars[0].aval.shape
        after = eqn.outvars[0].aval.shape
        carried = [p for p, a in enumerate(axes) if isinstance(a, np.ndarray)]
        rest = DATA if any(isinstance(a, str) for a in axes) else None
        found = [rest] * len(after)
        for place in carried:
            grid = axes[place].reshape(
                [-1 if p == place else 1 for p in range(len(before))]
            )
            grid = np.broadcast_to(grid, before).reshape(after)
            varies = [
                p
                for p in range(len(after))
                if (grid != grid.take([0], axis=p)).any()
            ]
            taken = len(varies) == 1 and isinstance(
                found[varies[0]], np.ndarray
            )
            if len(varies) != 1 or taken:
                self.freeze([axes[place]])
                continue
            index = [0] * len(after)
            index[varies[0]] = slice(None)
            found[varies[0]] = grid[tuple(index)]
        return [tuple(found)]

    def dot_general(self, eqn, left, right):
        contracted, batch = eqn.params["dimension_numbers"]
        for one, other in zip(*contracted, strict=True):
            self.meet([left[one], right[other]])
        shared = [
            self.meet([left[one], right[other]])
            for one, other in zip(*batch, strict=True)
        ]
        free = [
            axis
            for axes, used, beside in zip(
                (left, right), contracted, batch, strict=True
            )
            for place, axis in enumerate(axes)
            if place not in (*used, *beside)
        ]
        return [(*shared, *free)]

    def conv_general_dilated(self, eqn, x, kernel):
        numbers = eqn.params["dimension_numbers"]
        _, feature, *places = numbers.lhs_spec
        units, reads, *window = numbers.rhs_spec
        groups = eqn.params["feature_group_count"]
        self.freeze([x[p] for p in places] + [kernel[p] for p in window])
        made = kernel[units]
        width = eqn.invars[0].aval.shape[feature]
        if groups == 1:
            self.meet([x[feature], kernel[reads]])
        elif groups == width:
            times = eqn.outvars[0].aval.shape[numbers.out_spec[1]] // groups
            self.freeze([kernel[reads]])
            seen = x[feature]
            if isinstance(seen, np.ndarray):
                seen = np.repeat(seen, times)
            made = self.meet([made, seen])
        else:
            self.freeze([x[feature], kernel[reads], made])
        found = [DATA] * len(x)
        found[numbers.out_spec[1]] = made
        return [tuple(found)]

    def gather(self, eqn, table, index):
        numbers = eqn.params["dimension_numbers"]
        found = [DATA] * len(eqn.outvars[0].aval.shape)
        sizes = eqn.params["slice_sizes"]
        gone = numbers.collapsed_slice_dims
        kept = [place for place in range(len(table)) if place not in gone]
        self.freeze([table[place] for place in gone])
        for place, out in zip(kept, numbers.offset_dims, strict=True):
            if sizes[place] == eqn.invars[0].aval.shape[place]:
                found[out] = table[place]
            else:
                self.freeze([table[place]])
        return [tuple(found)]


def units_of(model, inputs):
    """Returns, per variable id, the unit of each position of each axis.

    Units are numbers; -1 stands for what must stay.
    """
    trainable, others = (
        [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
        )
    )

    def forward(trainable, others, x):
        return model.stateless_call(trainable, others, x, training=False)[0]

    closed = jax.make_jaxpr(forward)(trainable, others, inputs)
    flow = Flow()
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    axes = [
        tuple(flow.partition.make(size) for size in v.shape) for v in variables
    ]
    data = [(DATA,) * np.ndim(x) for x in jax.tree.leaves(inputs)]
    for output in flow.run(closed.jaxpr, closed.consts, [*axes, *data]):
        flow.freeze(output)
    roots = flow.partition.roots()
    frozen = list(flow.partition.reasons(roots))
    units = np.where(np.isin(roots, frozen), -1, roots)
    return {
        id(variable): [units[axis] for axis in places]
        for variable, places in zip(variables, axes, strict=True)
    }


def disagreements(model, inputs):
    """Returns where the rules and the jaxpr part weights in other ways."""
    graph = build(model)
    found = units_of(model, inputs)
    there, back, wrong = {}, {}, []
    for path, variable in graph.variables.items():
        for place, axis in enumerate(graph.axes[path]):
            theirs = found[id(variable)][place]
            for position, other in enumerate(theirs.tolist()):
                one = (-1, -1)
                if axis is not None and graph.group_of[axis[position]] >= 0:
                    label = axis[position]
                    one = int(graph.group_of[label]), int(graph.unit_of[label])
                stays = one[0] < 0, other < 0
                same = (
                    there.setdefault(one, other) == other
                    and back.setdefault(other, one) == one
                )
                if stays != (True, True) and (any(stays) or not same):
                    wrong.append(f"{path} axis {place} at {position}")
    return wrong, len(set(there) - {(-1, -1)})


if __name__ == "__main__":
    import jaxpr_models

    result = {}
    for name, make in jaxpr_models.MODELS.items():
        # Weights without values: JAX would compile an initialiser a shape.
        with keras.StatelessScope(initialize_variables=False):
            wrong, count = disagreements(*make())
        result[name] = {"wrong": wrong[:20], "units": count}
    json.dump(result, sys.stdout)
