"""Speed and error of the estimators of mutual information.

Run `OPENBLAS_NUM_THREADS=1 python tests/benchmarks/estimators.py`. The panel
was not used to tune anything; its truths come from quadrature.
"""

import argparse
import time

import numpy as np
from scipy.stats import spearmanr

from tf_diet.criteria.estimators import gain, mutual_information
from tf_diet.criteria.estimators.ladder import ladder

GRID = np.linspace(-8, 8, 4001)


def normal(e, scale):
    return np.exp(-((e / scale) ** 2) / 2) / scale / np.sqrt(2 * np.pi)


def additive_nats(function, density, low=-14.0, high=22.0, step=0.004):
    """I(w; f(w) + e) for standard normal w: H(f(w) + e) - H(e)."""
    out = np.arange(low, high, step)
    weights = normal(GRID, 1.0) * (GRID[1] - GRID[0])
    mixed = np.zeros_like(out)
    for value, weight in zip(function(GRID), weights, strict=True):
        mixed += weight * density(out - value)
    noise = density(out)
    entropies = [
        -np.sum(p * np.log(np.maximum(p, 1e-300))) * step
        for p in (mixed, noise)
    ]
    return entropies[0] - entropies[1]


def copula_nats(density):
    u = (np.arange(2000) + 0.5) / 2000
    cells = density(*np.meshgrid(u, u))
    cells = cells / cells.mean()
    return np.mean(cells * np.log(np.maximum(cells, 1e-300)))


def clayton(theta):
    def density(u, v):
        tail = u**-theta + v**-theta - 1
        return (1 + theta) * (u * v) ** (-1 - theta) * tail ** (-2 - 1 / theta)

    def draw(rng, samples):
        u, w = rng.random((2, samples))
        rest = w ** (-theta / (1 + theta)) - 1
        return u, (rest * u**-theta + 1) ** (-1 / theta)

    return draw, copula_nats(density)


def frank(theta):
    whole = -np.expm1(-theta)

    def density(u, v):
        below = whole - np.expm1(-theta * u) * np.expm1(-theta * v)
        return theta * whole * np.exp(-theta * (u + v)) / below**2

    def draw(rng, samples):
        u, w = rng.random((2, samples))
        ratio = np.exp(-theta * u)
        v = np.log1p(-w * whole / (w + (1 - w) * ratio)) / -theta
        return u, v

    return draw, copula_nats(density)


def crossed(rho):
    def density(u, v, sign):
        power = u**2 + v**2 - 2 * sign * rho * u * v
        scale = 2 * np.pi * np.sqrt(1 - rho**2)
        return np.exp(-power / 2 / (1 - rho**2)) / scale

    def draw(rng, samples):
        w = rng.standard_normal(samples)
        sign = rng.choice([-1, 1], samples)
        rest = np.sqrt(1 - rho**2) * rng.standard_normal(samples)
        return w, sign * rho * w + rest

    axis = np.linspace(-6, 6, 1501)
    x, y = np.meshgrid(axis, axis)
    joint = (density(x, y, 1) + density(x, y, -1)) / 2
    ratio = np.maximum(joint, 1e-300) / (normal(x, 1) * normal(y, 1))
    return draw, np.sum(joint * np.log(ratio)) * (axis[1] - axis[0]) ** 2


def additive(function, density, noise):
    def draw(rng, samples):
        w = rng.standard_normal(samples)
        return function(w), function(w) + noise(rng, samples)

    return draw, additive_nats(function, density)


def gaussian_noise(function, scale):
    return additive(
        function,
        lambda e: normal(e, scale),
        lambda rng, samples: scale * rng.standard_normal(samples),
    )


def panel():
    """Returns pairs of a sampler and the true nats, by name."""
    return {
        "clayton 1": clayton(1.0),
        "clayton 3": clayton(3.0),
        "frank 5": frank(5.0),
        "crossed": crossed(0.9),
        "laplace noise": additive(
            lambda w: w,
            lambda e: np.exp(-2 * np.abs(e)),
            lambda rng, samples: rng.laplace(0, 0.5, samples),
        ),
        "exponential noise": additive(
            lambda w: w,
            lambda e: np.where(e >= 0, np.exp(-np.maximum(e, 0)), 0.0),
            lambda rng, samples: rng.exponential(1.0, samples),
        ),
        "leaky relu": gaussian_noise(lambda w: np.maximum(w, 0.1 * w), 0.3),
        "clip": gaussian_noise(lambda w: np.clip(w, -1, 1), 0.5),
        "triangle": gaussian_noise(lambda w: np.abs((w + 100.5) % 2 - 1), 0.2),
        "independent": (lambda rng, samples: rng.random((2, samples)), 0.0),
    }


def show_errors(repeats):
    estimates = {
        "ladder, z=3": lambda x, y: ladder(x, y, z=3.0),
        "ladder, z=4": ladder,
        "neighbours": lambda x, y: mutual_information(x, y, "neighbours"),
        "gaussian": lambda x, y: mutual_information(x, y, "gaussian"),
        "histogram": lambda x, y: mutual_information(x, y, "histogram"),
        "edge": lambda x, y: mutual_information(x, y, "edge"),
    }
    cases = panel()
    for samples in (1000, 5000):
        for name, estimate in estimates.items():
            errors = []
            for seed in range(repeats):
                rng = np.random.default_rng(seed)
                for draw, truth in cases.values():
                    x, y = draw(rng, samples)
                    errors.append(estimate(x[:, None], y)[0] - truth)
            mean = np.abs(errors).mean()
            print(f"MAE {mean:.4f} nats, {samples} samples, {name}")


def show_weak_layer(samples, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.exp(rng.uniform(np.log(5e-4), np.log(0.6), 1000))
    truth[rng.random(1000) < 0.2] = 0
    rho = np.sqrt(-np.expm1(-2 * truth))
    y = rng.standard_normal(samples)
    x = np.sqrt(1 - rho**2) * rng.standard_normal((samples, 1000))
    nats = mutual_information(x + rho * y[:, None], y)
    null = nats[truth == 0]
    print(
        f"weak layer, {samples} samples: Spearman "
        f"{spearmanr(nats, truth)[0]:.3f}, MAE "
        f"{np.abs(nats - truth).mean():.4f}, null mean {null.mean():.5f}, "
        f"null max {null.max():.4f}"
    )


def show_speed(units):
    for samples in (500, 1000, 5000, 20000):
        rng = np.random.default_rng(samples)
        y = rng.standard_normal((samples, 40))
        # Units as rows in memory, the way observations keep them.
        x = rng.standard_normal((units, samples)).astype(np.float32).T
        calls = {
            "ladder": lambda x=x, y=y: mutual_information(x, y[:, 0]),
            "vector, 40 dimensions": lambda x=x, y=y: mutual_information(x, y),
            "classes, 256": lambda x=x, y=y, n=samples: mutual_information(
                x, np.arange(n) % 256, "classes"
            ),
            "gain, 40 dimensions": lambda x=x, y=y: gain(x, y),
            "edge": lambda x=x, y=y: mutual_information(x, y[:, 0], "edge"),
            "edge, 40 dimensions": lambda x=x, y=y: mutual_information(
                x, y, "edge"
            ),
        }
        for name, call in calls.items():
            call()
            # Time of this process only: other work on the machine is not
            # the estimator's.
            start = time.process_time()
            call()
            rate = units / (time.process_time() - start)
            print(f"{rate:8.0f} units/s, {samples} samples, {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--speed-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.speed_only:
        show_errors(arguments.repeats)
        for number in (256, 1000, 5000):
            show_weak_layer(number)
    show_speed(arguments.units)
