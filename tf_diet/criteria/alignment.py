"""What a unit is compared with: the target at the unit's own position.

A unit's activation belongs to a place in its example. `Target.at` returns the
features of the target there:

- a signal (at least 1,024 samples an example) that is finer in time than the
  unit: the log-power spectrum of the window centred on the unit's position;
- a target with positions of its own: its value at the nearest position;
- one target an example: that target, for every position of the example.

Positions are shares of an axis, so strides need not be known.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tf_diet.errors import InputError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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

    Raises:
        InputError: `features` returns nothing that can be used.
    """

    def __init__(
        self,
        y: Array,
        features: Callable[[Array], Any] | None = None,
        outputs: Sequence[tuple[int | None, ...]] = (),
    ) -> None:
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
        return not shape or self.y.shape[1] >= _FINER * shape[0]

    def describe(self, shape: tuple[int, ...]) -> str:
        """Says what units on this many positions are compared with."""
        if self.whole:
            return "one target an example, units averaged over positions"
        if not self.spectral(shape):
            return "the target at the unit's position"
        where = "at the unit's position" if shape else "averaged over time"
        size = min(WINDOW, _window(self.y.shape[1]))
        return f"log-power spectrum of {size} samples {where}"

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
