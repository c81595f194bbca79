# SPDX-License-Identifier: MIT
"""The paper's baseline: small weights are put to zero, one by one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import keras
import numpy as np
from keras import ops

from tf_diet.arrays import Array, Bools
from tf_diet.errors import InputError
from tf_diet.extensions import register_method
from tf_diet.files import replacing
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.composite import sublayers
from tf_diet.graph.groups import Member
from tf_diet.graph.rule_table import is_constant
from tf_diet.lottery.methods import Method
from tf_diet.lottery.resets import Removal
from tf_diet.lottery.round_context import RoundContext
from tf_diet.lottery.run_folder import RunFolder
from tf_diet.pruning.budget import Budget
from tf_diet.training.saving import save_model

Masks = Mapping[str, Bools]


@register_method()
@dataclass(frozen=True)
class Mask(Method):
    """The smallest weights of all kernels are put to zero and stay there.

    Unstructured magnitude pruning: the model stays as large as it was, and
    criterion, scaling and limits have no say. A line's `parameters` are those
    that are not masked; `removable_units` is how many units are wholly masked
    and could really go.

    Args:
        scope: "global", one threshold for all kernels, or "local", the same
            share of each.

    Source:
        Esling et al., DAFx-20, section 3 and figure 1; Frankle and Carbin,
        "The Lottery Ticket Hypothesis", ICLR 2019.
    """

    scope: str = "global"

    def check(self, context: RoundContext, graph: ChannelGraph) -> None:
        """Says what masking cannot give.

        Args:
            context: the settings of the run.
            graph: of the full model.

        Raises:
            InputError: the schedule wants more than fewer parameters, or the
                scope is unknown.
        """
        to = context.schedule.budget()
        if to is not None and set(to.bounds()) != {"parameters"}:
            raise InputError(
                "Masked weights make nothing smaller but the number of those "
                f"that count. Received: {to}. Bound parameters alone, or trim."
            )
        if self.scope not in ("global", "local"):
            raise InputError(
                "Weights are masked globally or locally. Received: "
                f"scope={self.scope!r}. Pass 'global' or 'local'."
            )

    def start(self, context: RoundContext) -> bool:
        """Masks, and writes masks and what retraining starts from."""
        trained, early = context.trained(), context.early()
        with context.watch.time("planning"):
            old = read_masks(context.folder, context.number - 1) or _nothing(
                trained
            )
            masks = self._masks(trained, old, context)
        if all(np.array_equal(masks[path], old[path]) for path in old):
            return False
        with context.watch.time("masking"):
            removal = _Masking(trained=trained, early=early, masks=masks)
            model = context.reset.restart(removal)
        with context.watch.time("saving"):
            path = mask_path(context.folder, context.number)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **dict[str, Any](masks))
            save_model(model, context.folder.early_path(context.number))
        return True

    def _masks(
        self, trained: keras.Model, old: Masks, context: RoundContext
    ) -> Masks:
        """Returns which weights are left after a round."""
        goal, full = context.goal, context.lines[0]
        total = full.parameters - full.constants
        if isinstance(goal, Budget):
            asked = goal.bounds()["parameters"] - full.constants
            goal = 1 - asked / max(total, 1)
        sizes = {path: mask.size for path, mask in old.items()}
        gone = min(ceil(goal * total - 1e-6), sum(sizes.values()) - len(sizes))
        values = {
            variable.path: np.abs(ops.convert_to_numpy(variable))
            for variable in kernels(trained)
        }
        # What is masked comes before everything that is not.
        held = {p: np.where(old[p], values[p], -1.0) for p in old}
        if self.scope == "global":
            return _below(held, gone)
        share = gone / sum(sizes.values())
        parts = (
            _below({p: held[p]}, floor(share * size))
            for p, size in sizes.items()
        )
        return {path: mask for part in parts for path, mask in part.items()}

    @contextmanager
    def hold(self, context: RoundContext, model: keras.Model) -> Iterator[None]:
        """Makes the optimizer put masked weights back to zero for a while."""
        masks = read_masks(context.folder, context.number)
        variables = [v for v in kernels(model) if v.path in masks]
        before = [variable.constraint for variable in variables]
        for variable in variables:
            variable.constraint = _Zeros(
                masks[variable.path], variable.constraint
            )
        try:
            yield
        finally:
            for variable, constraint in zip(variables, before, strict=True):
                variable.constraint = constraint

    def figures(
        self, context: RoundContext, graph: ChannelGraph
    ) -> dict[str, Any]:
        """Returns `parameters` without those masked, and `removable_units`."""
        if not context.number:
            return {"removable_units": 0}
        masks = read_masks(context.folder, context.number)
        masked = sum(int((~mask).sum()) for mask in masks.values())
        return {
            "parameters": graph.cost().parameters - masked,
            "removable_units": removable(graph, masks),
        }


@dataclass(frozen=True, kw_only=True)
class _Masking(Removal):
    """Nothing is taken out: weights of a model are put to zero, in place."""

    masks: Masks

    def apply(
        self, model: keras.Model, *, repaired: bool = True
    ) -> keras.Model:
        for variable in kernels(model):
            mask = self.masks.get(variable.path)
            if mask is not None:
                variable.assign(variable * mask.astype(variable.dtype))
        return model


class _Zeros(keras.constraints.Constraint):
    """Puts masked weights to zero, after another constraint if there is one."""

    def __init__(self, mask: Bools, other: Any) -> None:
        self.mask = mask
        self.other = other

    def __call__(self, w: Any) -> Any:
        """Returns the weights with zeros where they are masked."""
        w = w if self.other is None else self.other(w)
        return w * ops.cast(self.mask, w.dtype)


def kernels(model: keras.Model) -> list[Any]:
    """Returns the weights that are masked: all but biases and scales."""
    return [v for v in model.trainable_variables if len(v.shape) > 1]


def mask_path(folder: RunFolder, number: int) -> Any:
    """The file that says which weights of a round are left."""
    return folder.folder / f"mask_{number:02d}.npz"


def _nothing(model: keras.Model) -> Masks:
    """Returns masks under which all weights are left.

    Those of a fixed transform, such as the kernels of a Fourier transform,
    have no mask.
    """
    fixed = {
        id(variable)
        for layer in sublayers(model)
        if is_constant(layer)
        for variable in layer.variables
    }
    return {
        v.path: np.ones(v.shape, np.bool_)
        for v in kernels(model)
        if id(v) not in fixed
    }


def read_masks(folder: RunFolder, number: int) -> Masks:
    """Returns which weights of a round are left; nothing for round 0."""
    if not number:
        return {}
    with np.load(mask_path(folder, number), allow_pickle=False) as read:
        return {path: read[path] for path in read.files}


def _below(values: Mapping[str, Array], gone: int) -> Masks:
    """Returns masks that leave out the `gone` smallest of all values."""
    flat = np.concatenate([value.ravel() for value in values.values()])
    left = np.ones(flat.size, np.bool_)
    left[np.argsort(flat, kind="stable")[:gone]] = False
    masks, place = {}, 0
    for path, value in values.items():
        masks[path] = left[place : place + value.size].reshape(value.shape)
        place += value.size
    return masks


def removable(graph: ChannelGraph, masks: Masks) -> int:
    """Counts units of which every weight that makes or reads them is masked.

    Either is enough: what nothing makes says nothing but its bias, and what
    nothing reads is not heard.

    Args:
        graph: of the masked model.
        masks: which of its weights are left.
    """
    found = 0
    known = {
        path: masks[variable.path]
        for path, variable in graph.variables.items()
        if variable.path in masks
    }
    for group in graph.groups:
        gone = np.zeros(group.n_units, np.bool_)
        for role in ("out", "in"):
            members = [
                member
                for member in group.members
                if member.role == role and member.path in known
            ]
            if members:
                left = [_left(m, known[m.path], group.n_units) for m in members]
                gone |= ~np.any(left, axis=0)
        found += int(gone.sum())
    return found


def _left(member: Member, mask: Bools, units: int) -> Bools:
    """Says of which units a weight has something left."""
    other = tuple(axis for axis in range(mask.ndim) if axis != member.axis)
    some = np.asarray(mask.any(axis=other))
    here = member.units >= 0
    left = np.zeros(units, np.bool_)
    np.logical_or.at(left, member.units[here], some[here])
    return left
