# SPDX-License-Identifier: MIT
"""The pruning plan: plain data between ranking and surgery."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from tf_diet.errors import PlanError
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.cost import Cost
from tf_diet.graph.groups import Barrier, Options, Pinned
from tf_diet.graph.labels import kept_positions
from tf_diet.graph.show import render
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.optimizer import compile_like
from tf_diet.pruning.trim import trim_pairs


@dataclass(frozen=True)
class PruningPlan:
    """Which units stay, and what that saves.

    Args:
        fingerprint: of the graph that it was made for.
        kept_units: per group, the units that stay, in order.
        widths: per group, how many units there were.
        rate: the share of parameters asked for; None where a budget was.
        reached: the share of parameters that goes.
        settings: criterion, scope, scaling, seed, and the budget if any.
        cost_before: of one call of the full model.
        cost_after: of one call of the trimmed model.
        barriers: operations that stop the graph.
        pinned: units that could not be considered, with the reason.
        alignment: how activations met the target, by group.
        not_reached: why less than `rate` goes; empty when it is reached.
        options: what the graph was built with.
        inexact: units that the law is not promised for once some of them go.
        spent: for each bound of a budget, what the trimmed model costs.
    """

    fingerprint: str
    kept_units: Mapping[str, tuple[int, ...]]
    widths: Mapping[str, int]
    rate: float | None
    reached: float
    settings: Mapping[str, Any]
    cost_before: Cost
    cost_after: Cost
    barriers: tuple[Barrier, ...] = ()
    pinned: tuple[Pinned, ...] = ()
    alignment: Mapping[str, str] = field(default_factory=dict)
    not_reached: str = ""
    options: Options = Options()  # noqa: RUF009  (frozen itself)
    inexact: tuple[Pinned, ...] = ()
    spent: Mapping[str, float] = field(default_factory=dict)

    @property
    def budget(self) -> Budget | None:
        """The budget that it was made for, None where a rate was given."""
        given = self.settings.get("budget")
        return Budget(**given) if given else None

    @property
    def lawful(self) -> bool:
        """Whether the trimmed model computes what the masked one does."""
        return all(
            len(self.kept_units[i.name]) == self.widths[i.name]
            for i in self.inexact
        )

    def graph(self, model: keras.Model) -> ChannelGraph:
        """Returns the channel graph of a model that this plan fits.

        Raises:
            PlanError: the plan was made for another architecture.
        """
        graph = build(model, self.options)
        if graph.fingerprint != self.fingerprint:
            raise PlanError(
                "The plan was made for another model. Received: a model with "
                f"fingerprint {graph.fingerprint}, expected "
                f"{self.fingerprint}. Make a plan for this model."
            )
        return graph

    def apply(self, model: keras.Model) -> keras.Model:
        """Returns the trimmed model; `model` is not touched.

        A compiled model gives a compiled one, with the living slices of the
        optimizer's state.

        Raises:
            PlanError: the plan was made for another architecture.
        """
        return self.cut(model, self.graph(model))

    def cut(self, model: keras.Model, graph: ChannelGraph) -> keras.Model:
        """Does what `apply` does for those who have the graph at hand.

        Args:
            model: it is not touched.
            graph: what `self.graph(model)` returns.
        """
        alive = graph.alive(self.kept_units)
        small, pairs = trim_pairs(model, graph, alive)
        compile_like(model, small, pairs, alive)
        return small

    def kept(
        self, model: keras.Model
    ) -> dict[str, tuple[NDArray[np.int64], ...]]:
        """Returns, per variable path, the kept positions of each axis."""
        graph = self.graph(model)
        alive = graph.alive(self.kept_units)
        return {
            path: tuple(
                kept_positions(axis, size, alive)
                for axis, size in zip(axes, graph.shapes[path], strict=True)
            )
            for path, axes in graph.axes.items()
        }

    def to_json(self) -> str:
        """Returns the plan as JSON text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "PruningPlan":
        """Returns the plan that `to_json` wrote.

        Raises:
            PlanError: the text is not a plan.
        """
        try:
            data = json.loads(text)
            data["kept_units"] = {
                name: tuple(units) for name, units in data["kept_units"].items()
            }
            for name in ("cost_before", "cost_after"):
                data[name] = Cost(**data[name])
            data["barriers"] = tuple(Barrier(**b) for b in data["barriers"])
            for name in ("pinned", "inexact"):
                data[name] = tuple(Pinned(**p) for p in data.get(name, ()))
            options = data.get("options", {})
            ties = tuple(tuple(t) for t in options.get("ties", ()))
            data["options"] = Options(**{**options, "ties": ties})
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(
                f"This is not a pruning plan. Received: {type(error).__name__}"
                f": {error}. Pass the text that PruningPlan.to_json returned."
            ) from error

    def summary(self) -> str:
        """Returns a table of who goes, what it saves and what stays."""
        table = Table(title=repr(self), title_justify="left")
        table.add_column("group")
        for name in ("units", "kept", "removed"):
            table.add_column(name, justify="right")
        for name, width in self.widths.items():
            kept = len(self.kept_units[name])
            share = f"{1 - kept / width:.0%}"
            table.add_row(name, str(width), str(kept), share)
        lines = [render(table)]
        before, after = self.cost_before, self.cost_after
        for name in asdict(before):
            old, new = getattr(before, name), getattr(after, name)
            lines.append(f"{name}: {old:,} -> {new:,}")
        for name, spent in self.spent.items():
            top = self.settings["budget"][name]
            lines.append(f"budget: {name}: {spent:,} of {top:,}")
        lines += [
            f"pinned: {p.name} ({p.n_units}): {p.reason}" for p in self.pinned
        ]
        lines += [
            f"barrier: {b.path} ({b.kind}): {b.reason}" for b in self.barriers
        ]
        lines += [
            f"inexact: {i.name} ({i.n_units}): {i.reason}"
            for i in self.inexact
            if len(self.kept_units[i.name]) < self.widths[i.name]
        ]
        if not self.lawful:
            lines.append("the law is not promised for this plan: retrain")
        if self.not_reached:
            lines.append(f"not reached: {self.not_reached}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        kept = sum(len(units) for units in self.kept_units.values())
        return (
            f"<PruningPlan keeps {kept} of {sum(self.widths.values())} units, "
            f"removes {self.reached:.1%} of the parameters>"
        )
