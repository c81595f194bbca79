# SPDX-License-Identifier: MIT
"""Scores every unit of a model by one criterion."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Floats
from tf_diet.criteria import calibration
from tf_diet.criteria.alignment import Target, with_estimators
from tf_diet.criteria.calibration import Calibration
from tf_diet.criteria.criterion import (
    Accumulated,
    Criterion,
    Observed,
    Seen,
    Weight,
    get,
    without_data,
)
from tf_diet.criteria.gradient_statistics import accumulate
from tf_diet.criteria.inputs import InputObserver
from tf_diet.criteria.observation import Observer
from tf_diet.criteria.order import by_content
from tf_diet.criteria.scores import UNSEEN, Scores
from tf_diet.data.reader import kept, read
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group

NEEDS = frozenset({"weights", "gradients", "activations", "inputs", "targets"})


def rank(
    model: keras.Model,
    graph: ChannelGraph,
    data: Any,
    criterion: str | Criterion,
    *,
    seed: int = 0,
) -> Scores:
    """Scores every unit of a model.

    Data is looked at in an order that depends on its content and the seed, so
    that scores do not depend on how it was shuffled.

    Args:
        model: the model; it is not changed.
        graph: its channel graph.
        data: calibration data, see `plan`; not looked at by criteria that
            need none.
        criterion: a registered name or an instance.
        seed: of every random choice.

    Returns:
        A number a unit; the larger, the longer it stays. It is infinite
        where a criterion cannot judge a unit, such as one of a head inside an
        attention layer, which no tensor shows: it must not go on a guess.

    Raises:
        InputError: the criterion is unknown or needs data, or the data does
            not fit the model.
    """
    chosen = get(criterion)
    _check_needs(chosen)
    if chosen.needs - {"weights"} and data is None:
        raise InputError(
            f"Criterion {chosen.name!r} looks at what units do. Received: "
            f"data=None for the model {model.name!r}. Pass calibration data, "
            f"data=(x, y), or a criterion that needs none: "
            f"{', '.join(without_data())}."
        )
    data = kept(data, calibration.inputs_of(graph.walk), seed=seed)
    watched = _Watched(chosen, model, graph, data, seed)
    unseen = chosen.blind or UNSEEN
    values: dict[str, Floats] = {}
    alignment: dict[str, str] = {}
    for group, sites in watched:
        if watched.observer and not sites:
            score = np.full(group.n_units, np.inf)
        else:
            seen = replace(watched.seen, sites=sites)
            score = _checked(chosen, group, chosen.score(group, seen))
        if watched.observer and sites:
            shown = np.concatenate([site.units for site in sites])
            score[~np.isin(np.arange(group.n_units), shown)] = np.inf
        if np.isinf(score).all():
            alignment[group.name] = f"{unseen}: these units stay whole"
        elif watched.observer:
            rule = watched.observer.describe(group)
            used = chosen.estimators(sites)
            alignment[group.name] = with_estimators(rule, used)
        values[group.name] = _frozen(score)
    return Scores(
        criterion=chosen.name,
        settings=chosen.settings(),
        values={g.name: values[g.name] for g in graph.groups},
        alignment={k: v for k, v in alignment.items() if v},
        reason=unseen,
    )


def check_calibration(
    chosen: Criterion, graph: ChannelGraph, data: Any, seed: int = 0
) -> None:
    """Checks calibration data as a criterion will read it.

    Raises:
        InputError: the criterion cannot use it.
    """
    if "gradients" in chosen.needs:
        read(data, calibration.inputs_of(graph.walk), targets=True, seed=seed)
    if chosen.needs & {"activations", "inputs"}:
        _loaded(chosen, graph, data, seed)


def _loaded(
    chosen: Criterion, graph: ChannelGraph, data: Any, seed: int
) -> Calibration:
    targets = "targets" in chosen.needs
    return calibration.load(graph.walk, data, targets=targets, seed=seed)


class _Watched:
    """What a criterion asked to see, group by group."""

    def __init__(
        self,
        chosen: Criterion,
        model: keras.Model,
        graph: ChannelGraph,
        data: Any,
        seed: int,
    ) -> None:
        self.graph = graph
        self.observer: Observer | InputObserver | None = None
        gradients: dict[str, Accumulated] = {}
        if "gradients" in chosen.needs:
            gradients = accumulate(
                model,
                graph,
                data,
                kinds=chosen.accumulates,
                batch_size=chosen.batch_size,
                seed=seed,
            )
        if chosen.needs & {"activations", "inputs"}:
            self.observer = _observer(chosen, graph, data, seed)
        weights = _weights(graph) if "weights" in chosen.needs else {}
        self.seen = Seen(weights, (), seed, gradients)

    def __iter__(self) -> Iterator[tuple[Group, tuple[Observed, ...]]]:
        if self.observer is None:
            return iter([(group, ()) for group in self.graph.groups])
        return self.observer(self.graph.groups)


def _observer(
    chosen: Criterion, graph: ChannelGraph, data: Any, seed: int
) -> Observer | InputObserver:
    loaded = _loaded(chosen, graph, data, seed)
    y = [] if loaded.y is None else [loaded.y]
    order = by_content([*loaded.inputs, *y], seed)
    loaded = replace(loaded, order=order)
    target = _target(chosen, graph, loaded)
    if "inputs" in chosen.needs:
        return InputObserver(graph, loaded, seed)
    return Observer(graph, loaded, target, seed)


def _target(
    chosen: Criterion, graph: ChannelGraph, loaded: Calibration
) -> Target | None:
    if loaded.y is None:
        return None
    outputs = [graph.walk.tensors[key].shape for key in graph.walk.outputs]
    return Target(
        loaded.y,
        chosen.target_features,
        outputs,
        chosen.lags,
    )


def _weights(graph: ChannelGraph) -> dict[str, Weight]:
    return {
        path: Weight(
            keras.ops.convert_to_numpy(variable.value), variable.trainable
        )
        for path, variable in graph.variables.items()
    }


def _check_needs(chosen: Criterion) -> None:
    unknown = sorted(set(chosen.needs) - NEEDS)
    if unknown:
        raise InputError(
            f"Criterion {chosen.name!r} asks for what nothing shows. "
            f"Received: needs {', '.join(map(repr, unknown))}. Known: "
            f"{', '.join(sorted(NEEDS))}."
        )
    if {"inputs", "targets"} <= chosen.needs:
        raise InputError(
            f"Criterion {chosen.name!r} asks for inputs and targets, of which "
            "an activation meets one at a time. Received: needs "
            f"{', '.join(sorted(chosen.needs))}. Make two criteria of it."
        )


def _checked(chosen: Criterion, group: Group, score: Any) -> Floats:
    values = np.array(score, dtype=np.float64)
    bad = ~np.isfinite(values)
    if chosen.blind:
        bad &= ~np.isposinf(values)
    if values.shape != (group.n_units,) or bad.any():
        raise InputError(
            f"Criterion {chosen.name!r} must give one finite number a unit. "
            f"Received: shape {values.shape}, {int(bad.sum())} not finite, "
            f"for the {group.n_units} units of {group.name!r}. Return an "
            "array of shape (group.n_units,)."
        )
    return values


def _frozen(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
