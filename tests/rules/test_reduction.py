# SPDX-License-Identifier: MIT
"""Reductions, running and sorted axes, with what is left to prune.

The tensor has shape (batch, 8, 6), its last axis six units.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.graph.groups import Options


def number(x):
    return ops.cast(x, "float32")


def turned(h):
    return ops.swapaxes(h, 1, 2)


WEIGHTS = np.arange(1, 9, dtype="float32")
REDUCTIONS = {
    "sum": (lambda h: ops.sum(h, axis=-1), 6),
    "sum of all": (lambda h: h * ops.sum(h, axis=(1, 2), keepdims=True), 6),
    "sum without axis": (lambda h: h * ops.sum(h), 6),
    "mean": (lambda h: ops.mean(h, axis=1), 6),
    "mean of units": (lambda h: ops.mean(h, axis=-1), 0),
    "max": (lambda h: ops.amax(h, axis=-2, keepdims=True), 6),
    "min of units": (lambda h: ops.min(h, axis=2), 0),
    "std": (lambda h: h - ops.std(h, axis=1, keepdims=True), 6),
    "var of units": (lambda h: ops.var(h, axis=-1), 0),
    "moments": (lambda h: ops.moments(h, axes=(1,))[1], 6),
    "norm": (lambda h: h / ops.norm(h, axis=-1, keepdims=True), 6),
    "first norm": (lambda h: ops.norm(h, ord=1, axis=-1), 6),
    "largest": (lambda h: ops.norm(h, ord=np.inf, axis=-1), 6),
    "least": (lambda h: ops.norm(h, ord=-np.inf, axis=-1), 0),
    "Frobenius": (lambda h: h * ops.norm(h, axis=(1, 2), keepdims=True), 6),
    "any": (lambda h: number(ops.any(h > 1, axis=-1)), 6),
    "all": (lambda h: number(ops.all(h > -1, axis=-1)), 0),
    "count": (lambda h: number(ops.count_nonzero(h > 0, axis=-1)), 6),
    "count in time": (lambda h: number(ops.count_nonzero(h > 0, axis=1)), 6),
    "prod": (lambda h: ops.prod(h, axis=1), 6),
    "prod of units": (lambda h: ops.prod(h, axis=-1), 0),
    "logsumexp": (lambda h: ops.logsumexp(h, axis=1), 6),
    "logsumexp of units": (lambda h: ops.logsumexp(h, axis=-1), 0),
    "argmax": (lambda h: number(ops.argmax(h, axis=1)), 6),
    "argmax of units": (lambda h: number(ops.argmax(h, axis=-1)), 0),
    "median": (lambda h: ops.median(h, axis=1), 6),
    "quantiles": (
        lambda h: ops.moveaxis(
            ops.quantile(h, np.array([0.2, 0.5], "float32"), axis=1), 0, 1
        ),
        6,
    ),
    "average": (lambda h: ops.average(h, axis=1, weights=WEIGHTS), 6),
    "average of units": (
        lambda h: ops.average(h, axis=-1, weights=WEIGHTS[:6]),
        0,
    ),
}

if keras.backend.backend() == "jax":
    # These keep their axis as a list, which Keras hands JAX as it is.
    for name in ("norm", "first norm", "largest", "least", "quantiles"):
        del REDUCTIONS[name]


@pytest.mark.parametrize("part", range(4))
def test_reduction(part, units_through):
    cases = dict(list(REDUCTIONS.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


RUNS = {
    "cumsum": (lambda h: ops.cumsum(h, axis=-1), 6),
    "cumsum in time": (lambda h: ops.cumsum(h, axis=1), 6),
    "cumsum of all": (lambda h: ops.reshape(ops.cumsum(h), (-1, 8, 6)), 0),
    "cumprod": (lambda h: ops.cumprod(h, axis=-1), 0),
    "cumprod in time": (lambda h: ops.cumprod(h, axis=1), 6),
    "diff": (lambda h: ops.diff(h, axis=1), 6),
    "diff of units": (lambda h: ops.diff(h), 0),
    "sort": (lambda h: ops.sort(h, axis=1), 6),
    "top_k": (lambda h: ops.top_k(turned(h), 3)[0], 6),
    "top_k of units": (lambda h: ops.top_k(h, 3)[0], 0),
    "tril": (lambda h: ops.tril(turned(h)[..., None] * WEIGHTS), 6),
    "fft": (lambda h: ops.fft((turned(h), ops.sin(turned(h))))[1], 6),
    "fft of units": (lambda h: ops.fft((h, h))[1], 0),
    "rfft": (lambda h: ops.rfft(turned(h))[0], 6),
    "stft": (lambda h: ops.stft(turned(h), 4, 2, 4)[0], 6),
    "softmax": (lambda h: ops.softmax(h, axis=1), 6),
    "softmax of units": (lambda h: ops.log_softmax(h), 0),
}


@pytest.mark.parametrize("part", range(4))
def test_along_an_axis(part, units_through):
    cases = dict(list(RUNS.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


@pytest.mark.parametrize("function", [ops.mean, ops.std, ops.softmax])
def test_statistics_may_shrink_where_the_law_is_given_up(function):
    x = keras.Input((8, 4))
    h = function(layers.Dense(6)(x), axis=-1)
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(h)))
    assert not build(model).groups
    graph = build(model, Options(exact=False))
    assert [group.n_units for group in graph.groups] == [6]
    assert "axis" in graph.inexact[0].reason
