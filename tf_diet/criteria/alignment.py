# SPDX-License-Identifier: MIT
"""What a unit is compared with: the target at the unit's own position.

A unit's activation belongs to a place in its example. The rule depends on
which of the two has more positions:

- as many: they are paired, unit and target at the nearest position;
- the target has more, and is a signal of floats (at least 1,024 samples an
  example): the log-power spectrum of the window centred on the unit's
  position;
- the target has more, and holds integers, such as mu-law codes: the code in
  the middle of the stretch of samples that the position stands for;
- the target has fewer, or one for a whole example: the unit is pooled over
  the positions that belong to each target, by mean and by maximum. It is seen
  twice, and the better score counts;
- lags, on request: the target some positions of the unit earlier, as a layer
  that delays needs. Each is a view of its own, and the best score counts;
- features of the user's own replace the target before any of this.

Positions are shares of an axis, so strides need not be known.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.errors import InputError
from tf_diet.registry import name_of

WINDOW = 1024
BANDS = 40
# Softer than this share of the loudest band is silence (-70 dB).
_SILENCE = 1e-7
# A signal less than this many times finer than a unit is compared directly.
_FINER = 2
_FRAMES_OF_A_WHOLE = 16
_CHUNK = 512


class Target:
    """The targets of all examples.

    Args:
        y: as `fit` takes them.
        features: the user's own features of the targets of a batch.
        outputs: the shapes of the model's outputs. Where one has an axis more
            than `y`, `y` holds a code for each position, not a vector.
        lags: by how many of its own positions a unit may come later than the
            target; negative where it comes earlier. At the ends of an example
            the first or last position stands in. They mean nothing where a
            whole example has one target.

    Raises:
        InputError: `features` returns nothing that can be used, or `lags`
            are not whole numbers.
    """

    def __init__(
        self,
        y: Array,
        features: Callable[[Array], Any] | None = None,
        outputs: Sequence[tuple[int | None, ...]] = (),
        lags: Sequence[int] = (0,),
    ) -> None:
        self.lags = _checked_lags(lags)
        self.own = features is not None
        if features is None and any(_holds_codes(y, o) for o in outputs):
            y = y[..., None]
        self.signal = features is None and _is_signal(y)
        if features is not None:
            y = _own_features(y, features)
        elif self.signal:
            y = y.reshape(len(y), y.shape[1], -1)
        elif y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        self.y = y

    @property
    def whole(self) -> bool:
        """Whether there is one target for a whole example."""
        return not self.signal and self.y.ndim <= 2

    def spectral(self, shape: tuple[int, ...]) -> bool:
        """Whether units on this many positions are compared with spectra.

        Args:
            shape: positions along each axis of the unit's tensor.
        """
        if not self.signal:
            return False
        if not shape:
            return True
        finer = self.y.shape[1] >= _FINER * shape[0]
        return finer and self.y.dtype.kind == "f"

    def grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the positions that units have once they are pooled.

        Args:
            shape: positions along each axis of the unit's tensor.

        Returns:
            As `shape`, but as few as the target has along an axis where that
            is less than half, and one along an axis that the target lacks.
        """
        if self.whole:
            return (1,) * len(shape)
        if self.spectral(shape):
            return shape
        have = (*self.y.shape[1:-1], *[1] * len(shape))
        return tuple(
            wanted if size >= _FINER * wanted else size
            for size, wanted in zip(shape, have, strict=False)
        )

    def lags_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the lags that mean something on this many positions."""
        return (0,) if self.whole or not shape else self.lags

    def describe(self, shape: tuple[int, ...]) -> str:
        """Says what units on this many positions are compared with.

        Args:
            shape: positions along each axis of the unit's tensor.
        """
        said = "target_features: " if self.own else ""
        said += self._rule(shape)
        if np.prod(self.grid(shape)) < np.prod(shape):
            said += ", units pooled by mean and by maximum, the better counts"
        lags = self.lags_of(shape)
        if lags != (0,):
            said += f", best of lags {', '.join(map(str, lags))}"
        return said

    def _rule(self, shape: tuple[int, ...]) -> str:
        if self.whole:
            return "one target an example"
        if self.spectral(shape):
            where = "at the unit's position" if shape else "averaged over time"
            size = min(WINDOW, _window(self.y.shape[1]))
            return f"log-power spectrum of {size} samples {where}"
        if self.signal and self.y.shape[1] >= _FINER * shape[0]:
            return "the code in the middle of the unit's position"
        if self.grid(shape) != shape:
            return "the target at each of its own positions"
        return "the target at the unit's position"

    def at(
        self, examples: Ints, centres: Floats, shape: tuple[int, ...]
    ) -> Array:
        """Returns the target's features at positions of examples.

        Args:
            examples: which example, one a row.
            centres: where in it, as shares of each axis, one row each.
            shape: positions along each axis of the unit's tensor.

        Shapes:
            examples: (rows,).
            centres: (rows, axes).

        Returns:
            (rows,) or (rows, features).
        """
        if self.whole:
            return self.y[examples]
        if self.spectral(shape):
            return self._spectra(examples, centres)
        return _at_positions(self.y, examples, centres)

    def _spectra(self, examples: Ints, centres: Floats) -> Floats:
        if centres.shape[1]:
            frames = [centres[:, 0]]
        else:
            spread = (np.arange(_FRAMES_OF_A_WHOLE) + 0.5) / _FRAMES_OF_A_WHOLE
            frames = [np.full(len(examples), share) for share in spread]
        power = np.mean(
            [_band_power(self.y, examples, share) for share in frames], axis=0
        )
        return np.log(power + _SILENCE * power.max() + np.finfo(float).tiny)


def with_estimators(
    rule: str, chosen: Iterable[str | Callable[..., Any]]
) -> str:
    """Adds to a rule of alignment which estimators were used.

    Args:
        rule: what `Target.describe` says.
        chosen: the estimators of each view, by name or as functions.

    Example:
        >>> with_estimators("one target an example", ["classes", "classes"])
        'one target an example; estimator: classes'
    """
    said = ", ".join(dict.fromkeys(map(name_of, chosen)))
    return f"{rule}; estimator: {said}" if said else rule


def _checked_lags(lags: Sequence[int]) -> tuple[int, ...]:
    whole = isinstance(lags, Sequence) and all(
        isinstance(lag, int | np.integer) and not isinstance(lag, bool)
        for lag in lags
    )
    if not whole or isinstance(lags, str) or not lags:
        raise InputError(
            "Lags must be a short list of whole numbers of positions. "
            f"Received: lags={lags!r}. Pass lags=(0, 1, 2), or leave it out."
        )
    return tuple(dict.fromkeys(int(lag) for lag in lags))


def _is_signal(y: Array) -> bool:
    long = y.ndim in (2, 3) and y.shape[1] >= WINDOW
    return long and (y.ndim == 2 or y.shape[2] <= 2)


def _holds_codes(y: Array, output: tuple[int | None, ...]) -> bool:
    return (
        y.ndim > 1
        and len(output) == y.ndim + 1
        and all(
            want is None or want == have
            for want, have in zip(output[1:-1], y.shape[1:], strict=True)
        )
    )


def _own_features(y: Array, features: Callable[[Array], Any]) -> Array:
    own = np.asarray(features(y))
    if own.ndim < 1 or len(own) != len(y) or own.dtype.kind not in "fiubUS":
        raise InputError(
            "target_features must return one row of features an example. "
            f"Received: shape {own.shape}, dtype {own.dtype} for {len(y)} "
            "examples. Return (examples, features) or (examples, positions, "
            "features)."
        )
    if own.dtype.kind == "f" and not np.isfinite(own).all():
        raise InputError(
            "target_features must return finite numbers. Received: NaN or "
            "infinity. Add a floor before taking logarithms."
        )
    return own


def _at_positions(y: Array, examples: Ints, centres: Floats) -> Array:
    """Picks the nearest positions; averages axes that units lack."""
    axes = min(y.ndim - 2, centres.shape[1])
    places = tuple(
        np.minimum((centres[:, axis] * size).astype(np.int64), size - 1)
        for axis, size in enumerate(y.shape[1 : 1 + axes])
    )
    values = y[(examples, *places)]
    missing = tuple(range(1, values.ndim - 1))
    if missing:
        values = values.mean(axis=missing)
    return values[:, 0] if values.shape[1] == 1 else values


def _window(samples: int) -> int:
    return int(2 ** np.floor(np.log2(samples)))


def _band_power(signal: Array, examples: Ints, shares: Floats) -> Floats:
    """Power in bands that widen with frequency, as hearing does.

    Args:
        signal: the targets.
        examples: which example, one a row.
        shares: the window's centre as a share of the example's length.

    Shapes:
        signal: (examples, samples, channels).
        examples: (rows,).
        shares: (rows,).

    Returns:
        (rows, bands).
    """
    size = min(WINDOW, _window(signal.shape[1]))
    window = np.hanning(size)
    edges = _band_edges(size // 2 + 1)
    offsets = np.arange(size) - size // 2
    powers = np.empty((len(examples), len(edges) - 1))
    for start in range(0, len(examples), _CHUNK):
        rows = slice(start, start + _CHUNK)
        centre = (shares[rows] * signal.shape[1]).astype(np.int64)
        places = centre[:, None] + offsets
        outside = (places < 0) | (places >= signal.shape[1])
        places = np.clip(places, 0, signal.shape[1] - 1)
        frames = signal[examples[rows, None], places].astype(np.float64)
        frames[outside] = 0.0
        frames *= window[:, None]
        spectrum = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        bins = spectrum.sum(axis=2)
        powers[rows] = np.add.reduceat(bins, edges[:-1], axis=1)
    return powers


def _band_edges(bins: int) -> Ints:
    """Edges of about 40 bands, one bin wide at least."""
    edges = np.geomspace(2, bins, BANDS)
    return np.unique(np.r_[0, np.ceil(edges).astype(np.int64)])
