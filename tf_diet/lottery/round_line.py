# SPDX-License-Identifier: MIT
"""The line that is filed of a finished round."""

import keras

from tf_diet.graph.build import build
from tf_diet.lottery.round_context import RoundContext
from tf_diet.lottery.run_folder import Round
from tf_diet.pruning.budget import Budget, disk_bytes
from tf_diet.training.loop import TrainingResult


def line_of(
    context: RoundContext,
    model: keras.Model,
    trained: TrainingResult,
    kind: str,
) -> Round:
    """Evaluates a model and counts what it costs.

    Args:
        context: the round; the time of the evaluation is added to its watch.
        model: as trained.
        trained: what its training did.
        kind: "round", or "scratch" for a training from fresh weights.

    Returns:
        The line; its error multiplier is 1 for the full model.
    """
    with context.watch.time("evaluation"):
        validation = context.evaluate(model, context.validation)
        test = None
        if context.test is not None:
            test = context.evaluate(model, context.test)
    graph = build(model)
    cost = graph.cost()
    rounds = context.folder.rounds()
    error, judged = validation, "validation_error"
    if test is not None:
        error, judged = test, "test_error"
    full = rounds[0] if rounds else None
    counted = {"parameters": cost.parameters}
    if kind == "round":
        counted |= context.method.figures(context, graph)
    if full is not None:
        constants = full.constants
    else:
        # As the plans of the rounds will count them.
        options = context.ranking.limits.options()
        same = options == graph.options
        ranked = graph if same else build(model, options)
        constants = sum(ranked.constants.values())
    left = counted["parameters"] - constants
    whole = full.parameters - constants if full else left
    goal = context.goal
    return Round(
        round=context.number,
        **counted,
        weights_left=left / max(whole, 1) if full else 1.0,
        flops=cost.flops,
        disk_bytes=disk_bytes(graph, cost.parameters),
        ram_bytes=cost.peak_activation_bytes,
        validation_error=validation,
        test_error=test,
        error_multiplier=error / getattr(full, judged) if full else 1.0,
        epochs=trained.epochs,
        steps=trained.steps,
        sparsity=0.0 if isinstance(goal, Budget) else goal,
        seconds={
            "training": round(trained.seconds, 2),
            **context.watch.seconds,
        },
        widths={group.name: group.n_units for group in graph.groups},
        constants=constants,
    )
