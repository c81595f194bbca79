"""The front door: plan a removal, or do it in one go."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tf_diet.criteria.criterion import Criterion
from tf_diet.criteria.rank import rank
from tf_diet.criteria.scores import Scores
from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.graph.groups import Pinned
from tf_diet.pruning.limits import Limits, listed
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.scaling import scalings
from tf_diet.pruning.selection import Scope, scopes, select


def plan(
    model: keras.Model,
    data: Any = None,
    *,
    rate: float,
    criterion: str | Criterion = "mutual_information",
    scope: str | Scope = "global",
    scaling: str | Callable[..., Any] = "none",
    limits: Limits | None = None,
    seed: int = 0,
) -> PruningPlan:
    """Decides which units of a model go.

    Args:
        model: a functional or Sequential Keras model; it is not touched.
        data: calibration data, `(x, y)` as `fit` takes them, a `PyDataset`
            or a `tf.data.Dataset`; criteria that look at weights alone need
            none.
        rate: the share of the model's parameters to remove, in (0, 1).
        criterion: how much a unit matters: a registered name or an instance.
        scope: whom a unit is ranked against: "global" or "local".
        scaling: how scores are made comparable: "none", "max", "dimension".
        limits: what must be respected.
        seed: of every random choice.

    Returns:
        The plan; `plan.apply(model)` makes the smaller model.

    Raises:
        InputError: the rate, a name, a limit or the data cannot be used.
        UnsupportedModelError: the model cannot be walked.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3 (global trimming, information criterion).
    """
    if not isinstance(rate, int | float) or not 0 < rate < 1:
        raise InputError(
            "rate is the share of the parameters to remove. "
            f"Received: rate={rate!r}. Pass a number between 0 and 1, both "
            "excluded, such as 0.5."
        )
    order_of = scopes.get(scope) if isinstance(scope, str) else scope
    scale = scalings.get(scaling) if isinstance(scaling, str) else scaling
    limits = Limits() if limits is None else limits
    graph = build(model, limits.options())
    # Ranking may take long: what is wrong with the limits is said before.
    limits.bounds(graph)
    scores = rank(model, graph, data, criterion, seed=seed)
    values = {name: _scaled(v, scale) for name, v in scores.values.items()}
    order = [
        (name, unit)
        for name, unit in order_of(values)
        if np.isfinite(scores.values[name][unit])
    ]
    kept, reached = select(graph, order, rate, limits)
    not_reached = ""
    if reached < rate:
        widths = [f"{name} ({len(units)})" for name, units in kept.items()]
        not_reached = (
            f"asked to remove {rate:.1%} of the parameters, only "
            f"{reached:.1%} can go: every group is at its minimum: "
            f"{listed(widths) if widths else 'there is no removable group'}"
        )
    return PruningPlan(
        fingerprint=graph.fingerprint,
        kept_units={n: tuple(int(u) for u in k) for n, k in kept.items()},
        widths={group.name: group.n_units for group in graph.groups},
        rate=float(rate),
        reached=reached,
        settings={
            "criterion": scores.criterion,
            "scope": _name(scope),
            "scaling": _name(scaling),
            "seed": seed,
        },
        cost_before=graph.cost(),
        cost_after=graph.cost(graph.alive(kept)),
        barriers=graph.barriers,
        pinned=(*graph.pinned, *_unseen(scores)),
        alignment=dict(scores.alignment),
        not_reached=not_reached,
        options=graph.options,
        inexact=graph.inexact,
    )


def prune(
    model: keras.Model,
    data: Any = None,
    *,
    rate: float,
    criterion: str | Criterion = "mutual_information",
    scope: str | Scope = "global",
    scaling: str | Callable[..., Any] = "none",
    limits: Limits | None = None,
    seed: int = 0,
) -> keras.Model:
    """Returns a smaller model; see `plan` for the arguments.

    Example:
        >>> small = tf_diet.prune(model, (x, y), rate=0.5)
    """
    return plan(
        model,
        data,
        rate=rate,
        criterion=criterion,
        scope=scope,
        scaling=scaling,
        limits=limits,
        seed=seed,
    ).apply(model)


def _scaled(
    values: NDArray[np.float64], scale: Callable[..., Any]
) -> NDArray[np.float64]:
    """Scales the scores of the units that could be seen."""
    seen = np.isfinite(values)
    if seen.all():
        return scale(values)
    scaled = values.copy()
    if seen.any():
        scaled[seen] = scale(values[seen])
    return scaled


def _unseen(scores: Scores) -> list[Pinned]:
    """Says which units stay because a criterion cannot see what they do."""
    reason = f"no tensor shows them, so {scores.criterion!r} cannot score them"
    return [Pinned(name, n, reason) for name, n in scores.unseen.items()]


def _name(thing: Any) -> str:
    return (
        thing
        if isinstance(thing, str)
        else getattr(thing, "__name__", repr(thing))
    )
