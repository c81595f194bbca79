"""Scores every unit of a model by one criterion."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_diet.criteria import calibration
from tf_diet.criteria.alignment import Target
from tf_diet.criteria.criterion import (
    Array,
    Criterion,
    Floats,
    Observed,
    Seen,
    Weight,
    get,
    without_data,
)
from tf_diet.criteria.observation import Observer
from tf_diet.criteria.scores import Scores
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group

_UNSEEN = "no tensor shows these units: they stay whole"


def rank(
    model: keras.Model,
    graph: ChannelGraph,
    data: Any,
    criterion: str | Criterion,
    *,
    seed: int = 0,
) -> Scores:
    """Scores every unit of a model.

    Args:
        model: the model; it is not changed.
        graph: its channel graph.
        data: calibration data, see `plan`; not looked at by criteria that
            need none.
        criterion: a registered name or an instance.
        seed: of every random choice.

    Returns:
        A number a unit; the larger, the longer it stays. It is infinite
        where a criterion looks at what units do and no tensor shows the unit,
        such as a head inside an attention layer: it must not go on a guess.

    Raises:
        InputError: the criterion is unknown or needs data, or the data does
            not fit the model.
    """
    chosen = get(criterion)
    targets = "targets" in chosen.needs
    looks = targets or "activations" in chosen.needs
    if looks and data is None:
        raise InputError(
            f"Criterion {chosen.name!r} looks at what units do. Received: "
            f"data=None for the model {model.name!r}. Pass calibration data, "
            f"data=(x, y), or a criterion that needs none: "
            f"{', '.join(without_data())}."
        )
    weights = _weights(graph) if "weights" in chosen.needs else {}
    values: dict[str, Floats] = {}
    alignment: dict[str, str] = {}
    if looks:
        loaded = calibration.load(graph.walk, data, targets=targets, seed=seed)
        target = _target(chosen, graph, loaded.y)
        observer = Observer(graph, loaded, target, seed)
        seen: Iterator[tuple[Group, tuple[Observed, ...]]]
        seen = observer(graph.groups)
        alignment = {g.name: observer.describe(g) for g in graph.groups}
    else:
        seen = ((group, ()) for group in graph.groups)
    for group, sites in seen:
        if looks and not sites:
            values[group.name] = _frozen(np.full(group.n_units, np.inf))
            alignment[group.name] = _UNSEEN
            continue
        score = chosen.score(group, Seen(weights, sites, seed))
        checked = _checked(chosen, group, score)
        if looks:
            shown = np.concatenate([site.units for site in sites])
            checked[~np.isin(np.arange(group.n_units), shown)] = np.inf
        values[group.name] = _frozen(checked)
    return Scores(
        criterion=chosen.name,
        settings=chosen.settings(),
        values={g.name: values[g.name] for g in graph.groups},
        alignment={k: v for k, v in alignment.items() if v},
    )


def _target(
    chosen: Criterion, graph: ChannelGraph, y: Array | None
) -> Target | None:
    if y is None:
        return None
    outputs = [graph.walk.tensors[key].shape for key in graph.walk.outputs]
    return Target(y, getattr(chosen, "target_features", None), outputs)


def _weights(graph: ChannelGraph) -> dict[str, Weight]:
    return {
        path: Weight(
            keras.ops.convert_to_numpy(variable.value), variable.trainable
        )
        for path, variable in graph.variables.items()
    }


def _checked(chosen: Criterion, group: Group, score: Any) -> Floats:
    values = np.array(score, dtype=np.float64)
    if values.shape != (group.n_units,) or not np.isfinite(values).all():
        raise InputError(
            f"Criterion {chosen.name!r} must give one finite number a unit. "
            f"Received: shape {values.shape}, "
            f"{int((~np.isfinite(values)).sum())} not finite, for the "
            f"{group.n_units} units of {group.name!r}. Return an array of "
            "shape (group.n_units,)."
        )
    return values


def _frozen(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
