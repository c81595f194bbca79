# SPDX-License-Identifier: MIT
"""From histograms of rising resolution to one number: which to believe."""

import dataclasses
import itertools

import numpy as np

from tf_diet.arrays import Bools, Floats
from tf_diet.criteria.estimators import copula

# What a dependence is finer than a Gaussian's falls by half from one
# resolution to the next, within half of that; and by this share of the
# estimate where it seemed to have ended.
_DECAY = 0.5
_DOUBT = 0.5
_REST = 0.01
# Nothing is known of it when it first shows: a share of the estimate.
_FIRST = 0.3
# The distance over which a slope is taken, nats.
_STEP = 1e-3


@dataclasses.dataclass(frozen=True)
class Rungs:
    """What histograms say of some units, coarsest first.

    Args:
        guess: information of the Gaussian copula that fits.
        plug_in: of every histogram.
        chance: N times what the plug-in gains by chance: in the coarsest
            histogram, then from each to the next.
        whole: no bin of the finest histogram, on either side, holds more than
            one value: there is nothing finer.

    Shapes:
        guess: (units,).
        whole: (units,).
        plug_in: (len(copula.LEVELS), units) or fewer levels.
        chance: as plug_in.
    """

    guess: Floats
    plug_in: Floats
    chance: Floats
    whole: Bools

    @staticmethod
    def joined(parts: "list[Rungs]") -> "Rungs":
        """Returns the units of all parts."""
        return Rungs(
            np.concatenate([part.guess for part in parts]),
            np.concatenate([part.plug_in for part in parts], axis=1),
            np.concatenate([part.chance for part in parts], axis=1),
            np.concatenate([part.whole for part in parts]),
        )


def multiscale_histogram(rungs: Rungs, samples: int, z: float) -> Floats:
    """Returns the information of every unit, nats.

    The Gaussian guess stands until a histogram sees more, or less, than the
    guess allows and chance explains by `z` standard errors. From there on the
    unit is known not to be Gaussian: every finer histogram then counts by its
    precision against what is expected of it, which is that the difference
    halves from step to step, and what lies beyond the finest is extrapolated.

    Args:
        rungs: the histograms.
        samples: in each of them.
        z: standard errors that a histogram must stand out by.
    """
    levels = copula.LEVELS[: len(rungs.plug_in)]
    gain = np.diff(rungs.plug_in, axis=0, prepend=0)
    gain -= rungs.chance / samples
    up = [_upper(chance, z) / samples for chance in rungs.chance]
    error = np.sqrt(np.maximum(rungs.chance, 0.5)) / samples
    apart = gain[0] - copula.seen(rungs.guess, levels[0])
    shows = (apart > up[0]) | (-apart > z * error[0])
    best = np.where(shows, copula.true(gain[0], levels[0]), rungs.guess)
    expected, doubt = np.zeros_like(best), _FIRST * np.abs(best)
    for i, (coarse, fine) in enumerate(itertools.pairwise(levels), start=1):
        doubt = np.where(shows, doubt, 0.0)
        now = copula.seen(best, coarse) + gain[i]
        slope = _slope(best, fine)
        deviation = copula.true(now, fine) - best - expected
        above = np.hypot(up[i] * slope, z * doubt)
        below = np.hypot(error[i] * slope, doubt) * z
        odd = (deviation > above) | (-deviation > below)
        # What fine cells say by chance alone is never believed at first.
        odd &= shows | (now > np.sqrt(2) * (fine - 1) / samples)
        noise = (error[i] * slope) ** 2
        trust = np.where(odd, 1.0, doubt**2 / (doubt**2 + noise))
        step = expected + trust * deviation
        best, shows = best + step, shows | odd
        expected = _DECAY * step
        doubt = _DOUBT * np.abs(step) + _REST * np.abs(best)
    finest = best + expected / (1 - _DECAY)
    return np.where(rungs.whole & shows, gain.sum(axis=0), finest)


def _upper(chance: Floats, z: float) -> Floats:
    """How far above its mean chance reaches: N times nats.

    N times the plug-in of independent cells is half a chi squared variable
    with twice its mean as degrees of freedom, whose upper quantile
    Wilson and Hilferty (1931) approximate.
    """
    mean = np.maximum(chance, 0.5)
    return mean * (1 - 1 / (9 * mean) + z / (3 * np.sqrt(mean))) ** 3 - mean


def _slope(information: Floats, bins: int) -> Floats:
    """How much true information a change of what the bins see stands for."""
    above = copula.seen(information + _STEP, bins)
    below = copula.seen(information - _STEP, bins)
    return 2 * _STEP / np.maximum(above - below, 1e-9)
