# SPDX-License-Identifier: MIT
"""The pruning plan: plain data between ranking and surgery."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from rich.table import Table

from tf_diet.arrays import Ints
from tf_diet.errors import PlanError
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.cost import Cost
from tf_diet.graph.groups import Barrier, Held, Options, Pinned
from tf_diet.graph.labels import kept_positions
from tf_diet.graph.names import listed
from tf_diet.graph.show import shortened
from tf_diet.pruning.budget import Budget, nearest_rate
from tf_diet.pruning.optimizer import compile_like
from tf_diet.pruning.trim import trim_pairs
from tf_diet.pruning.units import (
    FLOOR,
    LOCKED,
    UNSCORED,
    Numbers,
    PlannedUnit,
    gone,
    rows,
)
from tf_diet.text import render

# Lists of numbers in JSON, a line each.
_LISTS = re.compile(
    r"\[\s+(?:-?[\d.e+-]+|null)(?:,\s+(?:-?[\d.e+-]+|null))*\s+\]"
)


@dataclass(frozen=True)
class PruningPlan:
    """Which units stay, and what that saves.

    Args:
        fingerprint: of the graph that it was made for.
        kept_units: per group, the units that stay, in order.
        widths: per group, how many units there were.
        rate: the share of parameters asked for; None where a budget was, or
            the units themselves.
        reached: the share that goes of the parameters that count.
        settings: criterion, scope, scaling, seed, and the budget if any; or
            the units that were given.
        cost_before: of one call of the full model.
        cost_after: of one call of the trimmed model.
        barriers: operations that stop the graph.
        pinned: units that could not be considered, with the reason.
        alignment: how activations met the target, by group.
        not_reached: says that less goes than was asked for; empty when the
            goal is reached.
        options: what the graph was built with.
        inexact: units without a promise of equivalence once some of them go.
        spent: for each bound of a budget, what the trimmed model costs.
        constants: the weights that no rate counts, by path, each with its
            number of elements; `tf_diet.plan` says which they are.
        scores: by group, what the criterion gave each unit; None where it
            could not see what the unit does, which then stays.
        scaled: by group, the scores as the scope compared them.
        locked: by group, the units that limits keep whatever their score.
        spared: by group, the units that would have gone, had not so many of
            their group or layer to stay.
        held: where the goal is not reached, what holds the parameters that
            count and are left.
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
    constants: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Numbers] = field(default_factory=dict)
    scaled: Mapping[str, Numbers] = field(default_factory=dict)
    locked: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    spared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    held: tuple[Held, ...] = ()

    @property
    def budget(self) -> Budget | None:
        """The budget that it was made for, None where a rate was given."""
        given = self.settings.get("budget")
        return Budget(**given) if given else None

    @property
    def counted(self) -> int:
        """How many of the full model's parameters a rate counts."""
        return self.cost_before.parameters - sum(self.constants.values())

    @property
    def reached_of_all(self) -> float:
        """The share that goes of all parameters, constants included."""
        before, after = self.cost_before.parameters, self.cost_after.parameters
        return (before - after) / max(before, 1)

    @property
    def nearest_rate(self) -> float | None:
        """The largest rate, to four digits or so, that this plan reaches.

        Where the goal is not reached, that is the rate to ask for; None where
        nothing goes.
        """
        gone = self.cost_before.parameters - self.cost_after.parameters
        return nearest_rate(gone, self.counted)

    @property
    def removed_units(self) -> dict[str, tuple[int, ...]]:
        """By group, the units that go, those of the lowest score in front."""
        found = {}
        for name, width in self.widths.items():
            going = gone(self.kept_units[name], width)
            if name in self.scores:
                score = np.array(self.scores[name], np.float64)
                going = going[np.argsort(score[going], kind="stable")]
            found[name] = tuple(going.tolist())
        return found

    @property
    def thresholds(self) -> dict[str, float | None]:
        """By group, the highest score of a unit that goes, None without."""
        found: dict[str, float | None] = {}
        for name, going in self.removed_units.items():
            scores = self.scores.get(name)
            found[name] = scores[going[-1]] if scores and going else None
        return found

    def table(self, group: str | None = None) -> list[PlannedUnit]:
        """Returns a row a unit: whether it goes, its score, what holds it.

        Args:
            group: the group to show; all of them when left out.

        Raises:
            PlanError: the plan has no such group.

        Example:
            >>> pandas.DataFrame(plan.table("conv1d"))
        """
        if group is not None and group not in self.widths:
            near = difflib.get_close_matches(str(group), self.widths, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise PlanError(
                f"The plan has no group of that name. Received: {group!r}. "
                f"Its groups: {listed(self.widths)}.{hint}"
            )
        names = self.widths if group is None else [group]
        return [row for name in names for row in self._rows(name)]

    def _rows(self, name: str) -> list[PlannedUnit]:
        width = self.widths[name]
        score, scaled = (
            np.array(known.get(name, [None] * width), np.float64)
            for known in (self.scores, self.scaled)
        )
        held_by: dict[str, Sequence[int]] = {
            LOCKED: self.locked.get(name, ()),
            FLOOR: self.spared.get(name, ()),
        }
        if name in self.scores:
            held_by[UNSCORED] = np.flatnonzero(np.isnan(score)).tolist()
        going = gone(self.kept_units[name], width)
        return rows(name, going, score, scaled, held_by)

    @property
    def exact(self) -> bool:
        """Whether the trimmed model computes what the masked one does."""
        return all(
            len(self.kept_units[i.name]) == self.widths[i.name]
            for i in self.inexact
        )

    @property
    def lawful(self) -> bool:
        """Returns `exact`, which it was called before."""
        return self.exact

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
        self._check_units(graph)
        return graph

    def _check_units(self, graph: ChannelGraph) -> None:
        """Checks what someone may have written into a plan.

        Raises:
            PlanError: a group or unit is not there, or a group is emptied.
        """
        for name, units in self.kept_units.items():
            width, kept = graph.group(name).n_units, set(units)
            if not kept <= set(range(width)) or not 0 < len(kept) == len(units):
                raise PlanError(
                    f"The plan keeps units of {name!r} that cannot be kept. "
                    f"Received: {len(units)} numbers, {min(units, default=0)} "
                    f"to {max(units, default=0)}, of {width} units. Keep one "
                    f"or more, each once, from 0 to {width - 1}."
                )

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

    def kept(self, model: keras.Model) -> dict[str, tuple[Ints, ...]]:
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
        """Returns the plan as JSON text, as strict readers take it."""
        facts = asdict(self)
        text = json.dumps(facts, indent=2, sort_keys=True, allow_nan=False)
        # A number a line would make a plan of a million of them unreadable.
        return _LISTS.sub(
            lambda found: f"[{' '.join(found[0][1:-1].split())}]", text
        )

    @classmethod
    def from_json(cls, text: str) -> "PruningPlan":
        """Returns the plan that `to_json` wrote.

        Raises:
            PlanError: the text is not a plan.
        """
        try:
            data = json.loads(text)
            # Older plans have no scores.
            newer = ("scores", "scaled", "locked", "spared")
            data = {**{name: {} for name in newer}, **data}
            for name in ("kept_units", *newer):
                data[name] = {g: tuple(v) for g, v in data[name].items()}
            data["held"] = tuple(Held(**h) for h in data.get("held", ()))
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
        """Returns a table of who goes, what it saves and what stays.

        The first line says so where less goes than was asked for. The
        threshold of a group is the highest score of a unit that goes;
        `table()` has the score of each.
        """
        table = Table("group")
        names = ["units", "kept", "removed"]
        names += ["threshold"] if self.scores else []
        for name in names:
            table.add_column(name, justify="right")
        thresholds = self.thresholds
        for name, width in self.widths.items():
            kept = len(self.kept_units[name])
            top = thresholds[name]
            said = "-" if top is None else f"{top:.4g}"
            row = (str(width), str(kept), f"{1 - kept / width:.0%}", said)
            table.add_row(name, *row[: len(names)])
        lines = [repr(self), render(table)]
        if self.not_reached:
            lines.insert(0, f"not reached: {self.not_reached}")
        before, after = self.cost_before, self.cost_after
        for name in asdict(before):
            old, new = getattr(before, name), getattr(after, name)
            lines.append(f"{name}: {old:,} -> {new:,}")
        for name, spent in self.spent.items():
            top = self.settings["budget"][name]
            lines.append(f"budget: {name}: {spent:,} of {top:,}")
        if self.constants:
            count = sum(self.constants.values())
            lines.append(
                f"constants: {count:,} parameters that no rate counts: "
                f"{shortened(list(self.constants), 3)}"
            )
        lines += [
            f"held: {h.parameters:,} parameters: {h.reason}" for h in self.held
        ]
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
        if not self.exact:
            lines.append("equivalence is not promised for this plan: retrain")
        return "\n".join(lines)

    def __repr__(self) -> str:
        kept = sum(len(units) for units in self.kept_units.values())
        share = f"{self.reached:.1%} of the parameters"
        if self.constants:
            share += f" that count, {self.reached_of_all:.1%} of all"
        return (
            f"<PruningPlan keeps {kept} of {sum(self.widths.values())} units, "
            f"removes {share}>"
        )
