# SPDX-License-Identifier: MIT
"""The panel of cases that estimators of information are measured on."""

import functools

import numpy as np
from information_cases import (
    Array,
    Case,
    additive,
    chequers,
    clayton,
    clipped,
    codes,
    crossed,
    folded,
    frank,
    gaussian,
    gaussian_noise,
    heteroscedastic,
    morgenstern,
    ring,
    sparse,
    student,
    uniform_noise,
)
from scipy.special import ndtr
from scipy.stats import exponnorm


def independent(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
    return tuple(rng.random((2, samples)))


def constant(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
    return np.full(samples, 0.3), rng.random(samples)


def weak_layer(
    rng: np.random.Generator, samples: int, units: int
) -> tuple[Array, Array, Array]:
    """Draws a layer that knows little, a fifth of it nothing.

    Units are linear, rectified, sizes, zero for nine in ten, or saturated, and
    their information is log-uniform from 5e-4 to 0.6 nats.

    Returns:
        x (samples, units), y (samples,) and the truth (units,).
    """
    y, layer = rng.standard_normal(samples), np.empty((samples, units), "f4")
    truth = np.exp(rng.uniform(np.log(5e-4), np.log(0.6), units))
    truth[rng.random(units) < 0.2] = 0
    # Each view of a noisy target, and its information at some noises.
    scales = np.geomspace(0.3, 40, 25)
    linear = np.log1p(scales**-2.0) / 2
    views = {
        "linear": linear,
        "tanh": linear,
        "relu": [clipped(0.0, np.inf, s).nats for s in scales],
        "size": [folded(s).nats for s in scales],
        "sparse": [clipped(_top(s), np.inf, s).nats for s in scales],
    }
    for unit, nats in enumerate(truth):
        kind = ("linear", "relu", "size", "sparse", "tanh")[unit % 5]
        e = rng.standard_normal(samples)
        scale, noisy = 1.0, np.sqrt(2) * e
        if nats > 0:
            # Below this a difference of entropies is rounding.
            known = np.maximum(views[kind], 1e-5)
            log_scale = np.interp(-np.log(nats), -np.log(known), np.log(scales))
            scale = np.exp(log_scale)
            noisy = y + scale * e
        layer[:, unit] = {
            "linear": lambda v, s: v,
            "relu": lambda v, s: np.maximum(v, 0),
            "size": lambda v, s: np.abs(v),
            "sparse": lambda v, s: np.maximum(v, _top(s)),
            "tanh": lambda v, s: np.tanh(v / np.hypot(1, s)),
        }[kind](noisy, scale)
    return layer, y, truth


def _top(scale: float) -> float:
    """Above this lies a tenth of the noisy target."""
    return float(1.2816 * np.hypot(1, scale))


@functools.cache
def panel() -> dict[str, Case]:
    """Returns all cases by name."""
    gaussians = {
        f"Gaussian {rho}": gaussian(rho) for rho in (0.1, 0.3, 0.6, 0.9, 0.99)
    }
    return {
        **gaussians,
        "uniform noise 1": uniform_noise(1.0),
        "uniform noise 0.3": uniform_noise(0.3),
        "square": gaussian_noise(lambda w: w**2 / 2, 0.5),
        "sine": gaussian_noise(lambda w: np.sin(3 * w), 0.5),
        "ReLU, 50 % zeros": clipped(0.0, np.inf, 0.5),
        "ReLU, 90 % zeros": clipped(1.433, np.inf, 0.5),
        "hard tanh": clipped(-1.0, 1.0, 0.5),
        "saturated tanh": gaussian(0.8, map=lambda x: np.tanh(2 * x)),
        "Student t": student(0.5, 3.0),
        "Cauchy margin": gaussian(
            0.6, map=lambda x: np.tan(np.pi * (ndtr(x) - 0.5))
        ),
        "heteroscedastic": heteroscedastic(),
        "constant": Case(constant, 0.0),
        "independent": Case(independent, 0.0),
        "Clayton 1": clayton(1.0),
        "Clayton 3": clayton(3.0),
        "Frank 5": frank(5.0),
        "crossed": crossed(0.9),
        "Laplace noise": additive(
            lambda w: w,
            lambda e: np.exp(-2 * np.abs(e)),
            lambda rng, samples: rng.laplace(0, 0.5, samples),
            "held out",
        ),
        "exponential noise": additive(
            lambda w: w,
            lambda e: np.where(e >= 0, np.exp(-np.maximum(e, 0)), 1e-300),
            lambda rng, samples: rng.exponential(1.0, samples),
            "held out",
            lambda x: exponnorm.pdf(x, 1.0),
        ),
        "leaky ReLU": gaussian_noise(
            lambda w: np.maximum(w, 0.1 * w), 0.3, "held out"
        ),
        "clip and noise": gaussian_noise(
            lambda w: np.clip(w, -1, 1), 0.5, "held out"
        ),
        "triangle": gaussian_noise(
            lambda w: np.abs((w + 100.5) % 2 - 1), 0.2, "held out"
        ),
        "Morgenstern": morgenstern(),
        "ring": ring(0.15),
        "sparse, 90 % zeros": sparse(0.1, 0.9),
        "16 codes": codes(16, 0.5),
        "size": folded(0.3),
        "step": gaussian_noise(np.sign, 0.7, "ours"),
        "cosine": gaussian_noise(lambda w: np.cos(4 * w), 0.4, "ours"),
        "tanh and noise": gaussian_noise(lambda w: np.tanh(2 * w), 0.3, "ours"),
        "chequers": chequers(4),
    }
