# SPDX-License-Identifier: MIT
"""Pairs of numbers whose mutual information is known.

Every case has its truth from a closed form or from quadrature, and beside it
the logarithm of the density ratio, whose mean over a large sample must come to
the same: `tests/criteria/test_information_panel.py` checks both ways.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln, log_ndtr, ndtr
from scipy.stats import multivariate_t, norm
from scipy.stats import t as student_t

Array = Any
GRID = np.linspace(-8, 8, 1601)
STEP = 0.004
MASS = norm.pdf(GRID) * (GRID[1] - GRID[0])


@dataclass(frozen=True)
class Case:
    """Two dependent numbers.

    Args:
        draw: `draw(rng, samples)` returns x and y.
        nats: the truth.
        ratio: `ratio(x, y)` is ln p(x, y) / p(x) p(y); None where the truth
            is zero by construction.
        map: a strictly monotone map that x goes through after it is drawn.
        family: "page" for those of the page that set the goals, "held out"
            for its second panel, "ours" for what we added.
    """

    draw: Callable[[np.random.Generator, int], tuple[Array, Array]]
    nats: float
    ratio: Callable[[Array, Array], Array] | None = None
    map: Callable[[Array], Array] = lambda x: x
    family: str = "page"

    def sample(
        self, rng: np.random.Generator, samples: int
    ) -> tuple[Array, Array]:
        """Returns what an estimator is shown: (samples, 1) and (samples,)."""
        x, y = self.draw(rng, samples)
        return self.map(x)[:, None], y


def gaussian(rho: float, **more: Any) -> Case:
    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        x, e = rng.standard_normal((2, samples))
        return x, rho * x + np.sqrt(1 - rho**2) * e

    def ratio(x: Array, y: Array) -> Array:
        power = (rho * x) ** 2 + (rho * y) ** 2 - 2 * rho * x * y
        return -np.log1p(-(rho**2)) / 2 - power / (2 * (1 - rho**2))

    return Case(draw, -np.log1p(-(rho**2)) / 2, ratio, **more)


def uniform_noise(width: float) -> Case:
    """A uniform number and a narrower uniform number added to it."""

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        y, e = rng.random((2, samples))
        return y + width * e, y

    def ratio(x: Array, y: Array) -> Array:
        # The density of the sum is a trapezoid of height one.
        height = np.minimum(np.minimum(x, 1 + width - x) / width, 1)
        return -np.log(width) - np.log(height)

    return Case(draw, width / 2 - np.log(width), ratio)


def additive(
    signal: Callable[[Array], Array],
    density: Callable[[Array], Array],
    noise: Callable[[np.random.Generator, int], Array],
    family: str = "page",
    total: Callable[[Array], Array] | None = None,
) -> Case:
    """A function of a normal number, with noise; `total` is their density."""
    out = np.arange(-20, 20, STEP)
    mixed = np.zeros_like(out) if total is None else total(out)
    if total is None:
        for value, weight in zip(signal(GRID), MASS, strict=True):
            mixed += weight * density(out - value)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        y = rng.standard_normal(samples)
        return signal(y) + noise(rng, samples), y

    def ratio(x: Array, y: Array) -> Array:
        return np.log(density(x - signal(y)) / np.interp(x, out, mixed))

    nats = _entropy(mixed, STEP) - _entropy(density(out), STEP)
    return Case(draw, nats, ratio, family=family)


def gaussian_noise(
    signal: Callable[[Array], Array], scale: float, family: str = "page"
) -> Case:
    return additive(
        signal,
        lambda e: norm.pdf(e, scale=scale),
        lambda rng, samples: scale * rng.standard_normal(samples),
        family,
    )


def _entropy(density: Array, step: float) -> float:
    p = np.maximum(density, 1e-300)
    return float(-np.sum(p * np.log(p)) * step)


def clipped(low: float, high: float, scale: float) -> Case:
    """A noisy normal number, clipped: what sticks at an end is a tie."""
    ends = {low: -1.0, high: 1.0}
    ends = {end: side for end, side in ends.items() if np.isfinite(end)}
    spread = np.hypot(1, scale)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        y, e = rng.standard_normal((2, samples))
        return np.clip(y + scale * e, low, high), y

    def ratio(x: Array, y: Array) -> Array:
        inside = norm.logpdf(x, y, scale) - norm.logpdf(x, scale=spread)
        for end, side in ends.items():
            at = log_ndtr(side * (y - end) / scale)
            at -= log_ndtr(side * -end / spread)
            inside = np.where(x == end, at, inside)
        return inside

    # Kullback and Leibler's divergence of each given value, over the values.
    nats = 0.0
    x = np.linspace(max(low, -9), min(high, 9), 2001)
    step = x[1] - x[0]
    trapezoid = np.full(x.shape, step)
    trapezoid[[0, -1]] = step / 2
    for y, weight in zip(GRID, MASS, strict=True):
        p = norm.pdf(x, y, scale)
        q = norm.logpdf(x, y, scale) - norm.logpdf(x, scale=spread)
        nats += weight * np.sum(trapezoid * p * q)
        for end, side in ends.items():
            at = log_ndtr(side * (y - end) / scale)
            all_at = log_ndtr(side * -end / spread)
            nats += weight * np.exp(at) * (at - all_at)
    return Case(draw, nats, ratio)


def folded(scale: float) -> Case:
    """The size of a noisy normal number: its sign is lost."""
    spread = np.hypot(1, scale)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        y, e = rng.standard_normal((2, samples))
        return np.abs(y + scale * e), y

    def ratio(x: Array, y: Array) -> Array:
        sides = norm.logpdf(x, y, scale), norm.logpdf(-x, y, scale)
        return np.logaddexp(*sides) - np.log(2) - norm.logpdf(x, scale=spread)

    x = np.linspace(0, 9 * spread, 2001)
    step = x[1] - x[0]
    whole = _entropy(2 * norm.pdf(x, scale=spread), step)
    for y, weight in zip(GRID, MASS, strict=True):
        p = norm.pdf(x, y, scale) + norm.pdf(-x, y, scale)
        whole -= weight * _entropy(p, step)
    return Case(draw, whole, ratio, family="ours")


def student(rho: float, nu: float) -> Case:
    """The bivariate t distribution; its entropies are in closed form."""
    shape = np.array([[1, rho], [rho, 1]])

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        pair = rng.multivariate_normal([0, 0], shape, samples)
        return tuple((pair / np.sqrt(rng.chisquare(nu, (samples, 1)) / nu)).T)

    def ratio(x: Array, y: Array) -> Array:
        joint = multivariate_t(shape=shape, df=nu).logpdf(np.stack([x, y], 1))
        return joint - student_t.logpdf(x, nu) - student_t.logpdf(y, nu)

    def entropy(d: int) -> float:
        half = (nu + d) / 2
        at_mode = gammaln(nu / 2) - gammaln(half) + d / 2 * np.log(nu * np.pi)
        return at_mode + half * (digamma(half) - digamma(nu / 2))

    both = entropy(2) + np.log1p(-(rho**2)) / 2
    return Case(draw, 2 * entropy(1) - both, ratio)


def heteroscedastic() -> Case:
    """Noise whose scale is what is known."""
    logs = np.linspace(-22, 6, 5601)
    x = np.exp(logs)
    density = np.zeros_like(x)
    for value, weight in zip(GRID, MASS, strict=True):
        density += weight * norm.pdf(x, scale=np.exp(value / 2))

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        y, e = rng.standard_normal((2, samples))
        return np.exp(y / 2) * e, y

    def ratio(x: Array, y: Array) -> Array:
        known = norm.logpdf(x, scale=np.exp(y / 2))
        return known - np.log(np.interp(np.log(np.abs(x)), logs, density))

    # Both signs; given y the entropy is that of a normal, y / 2 higher.
    p = np.maximum(density, 1e-300)
    whole = -2 * np.sum(p * np.log(p) * x) * (logs[1] - logs[0])
    return Case(draw, whole - np.log(2 * np.pi * np.e) / 2, ratio)


def copula(
    density: Callable[[Array, Array], Array],
    inverse: Callable[[Array, Array], Array],
    family: str = "held out",
) -> Case:
    """Two uniform numbers.

    Args:
        density: of the pair.
        inverse: `inverse(u, w)` is v at which the chance of less, given u,
            is w.
        family: see `Case`.
    """
    # Denser towards the corners, where some densities rise without end.
    nodes, weights = np.polynomial.legendre.leggauss(400)
    s = np.pi / 2 * (nodes + 1)
    u = np.sin(s / 2) ** 2
    weights = weights * np.pi / 2 * np.sin(s) / 2
    cells = density(*np.meshgrid(u, u))
    nats = float(weights @ (cells * np.log(cells)) @ weights)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        u, w = rng.random((2, samples))
        return u, inverse(u, w)

    return Case(draw, nats, lambda u, v: np.log(density(u, v)), family=family)


def clayton(theta: float) -> Case:
    def density(u: Array, v: Array) -> Array:
        tail = u**-theta + v**-theta - 1
        return (1 + theta) * (u * v) ** (-1 - theta) * tail ** (-2 - 1 / theta)

    def inverse(u: Array, w: Array) -> Array:
        rest = w ** (-theta / (1 + theta)) - 1
        return (rest * u**-theta + 1) ** (-1 / theta)

    return copula(density, inverse)


def frank(theta: float) -> Case:
    whole = -np.expm1(-theta)

    def density(u: Array, v: Array) -> Array:
        below = whole - np.expm1(-theta * u) * np.expm1(-theta * v)
        return theta * whole * np.exp(-theta * (u + v)) / below**2

    def inverse(u: Array, w: Array) -> Array:
        slope = np.exp(-theta * u)
        return np.log1p(-w * whole / (w + (1 - w) * slope)) / -theta

    return copula(density, inverse)


def morgenstern() -> Case:
    """The weak dependence of Farlie, Gumbel and Morgenstern at its most."""

    def inverse(u: Array, w: Array) -> Array:
        a = 1 - 2 * u
        return 2 * w / (1 + a + np.sqrt((1 + a) ** 2 - 4 * a * w))

    return copula(
        lambda u, v: 1 + (1 - 2 * u) * (1 - 2 * v), inverse, family="ours"
    )


def crossed(rho: float) -> Case:
    """Two Gaussians laid over each other as an X."""

    def ratio(x: Array, y: Array) -> Array:
        one, other = gaussian(rho).ratio, gaussian(-rho).ratio
        return np.logaddexp(one(x, y), other(x, y)) - np.log(2)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        x, y = gaussian(rho).draw(rng, samples)
        return x * rng.choice([-1, 1], samples), y

    axis = np.linspace(-7, 7, 2801)
    x, y = np.meshgrid(axis, axis)
    log_ratio = ratio(x, y)
    joint = np.exp(log_ratio) * norm.pdf(x) * norm.pdf(y)
    nats = float(np.sum(joint * log_ratio)) * (axis[1] - axis[0]) ** 2
    return Case(draw, nats, ratio, family="held out")


def ring(width: float) -> Case:
    """Points around a circle: no correlation, much information."""
    angle = (np.arange(2000) + 0.5) / 2000 * np.pi / 2
    out = np.linspace(0, 1 + 9 * width, 4001)

    def joint(x: Array, y: Array) -> Array:
        r = np.maximum(np.hypot(x, y), 1e-9)
        return norm.pdf(r, 1, width) / (2 * np.pi * r)

    # The other coordinate as a tangent, so that its range is finite.
    y = np.tan(angle)
    step = np.pi / 2 / 2000 / np.cos(angle) ** 2
    marginal = np.array([2 * np.sum(joint(x, y) * step) for x in out])

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        a = rng.uniform(0, 2 * np.pi, samples)
        r = 1 + width * rng.standard_normal(samples)
        return r * np.cos(a), r * np.sin(a)

    def ratio(x: Array, y: Array) -> Array:
        sides = [np.log(np.interp(np.abs(v), out, marginal)) for v in (x, y)]
        return np.log(joint(x, y)) - sides[0] - sides[1]

    apart = 2 * 2 * _entropy(marginal, out[1] - out[0])
    radius = np.linspace(1 - 9 * width, 1 + 9 * width, 4001)
    radius = radius[radius > 0]
    p = norm.pdf(radius, 1, width)
    log_p = norm.logpdf(radius, 1, width) - np.log(2 * np.pi * radius)
    both = -np.sum(p * log_p) * (radius[1] - radius[0])
    return Case(draw, float(apart - both), ratio, family="ours")


def sparse(chance: float, rho: float) -> Case:
    """A Gaussian unit that is zero most of the time, whatever the target."""
    known = gaussian(rho)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        x, y = known.draw(rng, samples)
        return np.where(rng.random(samples) < chance, x, 0.0), y

    def ratio(x: Array, y: Array) -> Array:
        return np.where(x == 0, 0.0, known.ratio(x, y))

    return Case(draw, chance * known.nats, ratio, family="ours")


def codes(count: int, scale: float) -> Case:
    """The target in equal steps, as a code."""
    edges = np.linspace(-2.5, 2.5, count - 1)
    ends = np.concatenate([[-np.inf], edges, [np.inf]])
    share = np.diff(ndtr(ends))
    spread = np.hypot(1, scale)

    def given(x: Array, low: Array, high: Array) -> Array:
        # The normal number given x is normal too.
        mean, deviation = x / spread**2, scale / spread
        return ndtr((high - mean) / deviation) - ndtr((low - mean) / deviation)

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        w, e = rng.standard_normal((2, samples))
        return w + scale * e, np.searchsorted(edges, w)

    def ratio(x: Array, y: Array) -> Array:
        chance = given(x, ends[y], ends[y + 1])
        return np.log(np.maximum(chance, 1e-300) / share[y])

    x = spread * GRID
    nats = 0.0
    for code in range(count):
        p = np.maximum(given(x, ends[code], ends[code + 1]), 1e-300)
        nats += np.sum(MASS * p * np.log(p / share[code]))
    return Case(draw, float(nats), ratio, family="ours")


def chequers(squares: int) -> Case:
    """Uniform on the dark squares of a board."""

    def draw(rng: np.random.Generator, samples: int) -> tuple[Array, Array]:
        u, v = rng.random((2, samples))
        row = rng.integers(squares, size=samples)
        column = 2 * rng.integers(squares // 2, size=samples) + row % 2
        return (row + u) / squares, (column + v) / squares

    return Case(
        draw,
        np.log(2),
        lambda x, y: np.full(x.shape, np.log(2)),
        family="ours",
    )
