# SPDX-License-Identifier: MIT
"""How far a converted model is from Keras, and whether that can be meant."""

import warnings
from dataclasses import dataclass

import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.quantization import Quantization
from tf_diet.errors import ConversionError

# A larger error than this is worth a warning.
NOTABLE = 0.05


class QuantizationWarning(UserWarning):
    """A converted model differs from Keras by more than a little."""


@dataclass(frozen=True)
class Fidelity:
    """How far the outputs of a converted model are from those of Keras.

    Args:
        max_error: the largest difference, relative to the largest output.
        rms_error: root mean square of the differences, relative to that of
            the outputs. Both are of the worst output.
        output: which one that is.
        calls: how many were compared; of a step model in a row, its states
            fed back.
        real: on data of the user's, not on random numbers.
        clipped: inputs that leave the range that was calibrated.
    """

    max_error: float
    rms_error: float
    output: str
    calls: int
    real: bool
    clipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        on = "real" if self.real else "random"
        clipped = ", ".join(self.clipped)
        return (
            f"error {self.rms_error:.2g} rms, {self.max_error:.2g} at most, "
            f"of {self.output!r} over {self.calls:,} calls of {on} input"
            f"{'; clipped: ' + clipped if clipped else ''}"
        )


def differences(wanted: Array, got: Array) -> tuple[float, float]:
    """Returns the largest and the root-mean-square relative difference.

    Relative to the largest value, and to the root mean square of all, of what
    is wanted. Shapes: any, alike.
    """
    wanted = np.asarray(wanted, np.float64)
    apart = np.asarray(got, np.float64) - wanted
    if not wanted.size:
        return 0.0, 0.0
    if not np.isfinite(apart).all():
        return float("inf"), float("inf")
    tiny = float(np.finfo(np.float32).tiny)
    largest = max(float(np.abs(wanted).max()), tiny)
    power = max(float(np.sqrt(np.mean(wanted**2))), tiny)
    return (
        float(np.abs(apart).max()) / largest,
        float(np.sqrt(np.mean(apart**2))) / power,
    )


def judge(
    fidelity: Fidelity,
    model: str,
    how: tuple[str, Quantization],
    blame: str = "",
) -> None:
    """Refuses a conversion that is wrong, and warns of one that is poor.

    Args:
        fidelity: what was measured.
        model: the name of the model.
        how: name and quantization, which says how much may be meant.
        blame: a sentence on where the error comes from.

    Raises:
        ConversionError: the error is larger than quantization explains.
    """
    name, quantization = how
    remedy = {
        "int8": "Try quantize='int16x8' (activations of 16 bits) or 'wi8' "
        "(computes with floats), or more calibration data of the kind that "
        "the model will meet.",
        "float32": "Take another layer in place of the one that is lost.",
    }.get(name, "Try quantize='wi8' or 'float32'.")
    remedy = " ".join(filter(None, (blame, remedy)))
    if fidelity.rms_error > quantization.tolerance:
        raise ConversionError(
            f"The model {model!r} as {name} does not give what Keras gives. "
            f"Received: {fidelity}; at most {quantization.tolerance:g} rms is "
            f"allowed. {remedy}"
        )
    if fidelity.rms_error > NOTABLE and fidelity.real:
        warnings.warn(
            f"The model {model!r} as {name}: {fidelity}. {remedy}",
            QuantizationWarning,
            stacklevel=3,
        )
