# SPDX-License-Identifier: MIT
"""What a pruned model may cost at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from numbers import Integral, Real
from typing import TYPE_CHECKING

from tf_diet.errors import InputError

if TYPE_CHECKING:
    from tf_diet.graph.channels import ChannelGraph
    from tf_diet.graph.labels import Mask

BYTES_A_WEIGHT = 4
# What a .tflite file holds for each weight tensor and each operation besides
# the weights themselves: names, shapes, quantisation and padding.
BYTES_A_TENSOR = 200
BYTES_AN_OPERATION = 200

Costs = Mapping[str, float]
BOUNDS = ("parameters", "flops", "disk_bytes", "ram_bytes")


@dataclass(frozen=True)
class Budget:
    """Upper bounds of what a model may cost; all that are given must be met.

    Args:
        parameters: elements of all weights, trainable or not.
        flops: floating-point operations of one call at batch size 1, or of a
            second of audio where `calls_per_second` is given.
        disk_bytes: of a float32 `.tflite` file: 4 bytes a parameter, 200 for
            each weight tensor and each operation. An estimate: low where
            whole sequences are converted (a recurrent layer then brings its
            loop along), high where normalisations are folded into kernels.
        ram_bytes: the largest input plus output of one call at batch size 1,
            float32; not weights, states or what a runtime needs itself.
        calls_per_second: how often the model is called in a second of audio;
            `flops` is then a bound of that second.

    Example:
        >>> small = tf_diet.prune(model, (x, y), to=Budget(parameters=50_000))
    """

    parameters: int | None = None
    flops: float | None = None
    disk_bytes: int | None = None
    ram_bytes: int | None = None
    calls_per_second: float = 1.0

    def bounds(self) -> dict[str, float]:
        """Returns the bounds that are given, by name.

        Raises:
            InputError: there is none, or a number is not above 0.
        """
        given = {n: v for n in BOUNDS if (v := getattr(self, n)) is not None}
        if not given:
            raise InputError(
                "A budget needs a bound. Received: Budget(). Give one or more "
                f"of {', '.join(BOUNDS)}."
            )
        numbers = {**given, "calls_per_second": self.calls_per_second}
        for name, value in numbers.items():
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not number or not 0 < float(value) < float("inf"):
                raise InputError(
                    f"{name} of a budget must be a number above 0. Received: "
                    f"{name}={value!r}. Pass, say, {name}=50_000, or leave it "
                    "out where there is no bound."
                )
        return given

    def costs(self, graph: "ChannelGraph", alive: "Mask") -> Costs:
        """Returns, for each bound, what a selection of units costs.

        Args:
            graph: the channel graph of the full model.
            alive: which labels live.
        """
        names = self.bounds()
        found: dict[str, float] = {"parameters": graph.parameters(alive)}
        if "flops" in names or "ram_bytes" in names:
            cost = graph.cost(alive)
            found["flops"] = cost.per_second(self.calls_per_second).flops
            found["ram_bytes"] = cost.peak_activation_bytes
        found["disk_bytes"] = disk_bytes(graph, int(found["parameters"]))
        return {name: found[name] for name in names}

    def settings(self) -> dict[str, float]:
        """Returns what is given as plain numbers, for a plan's settings."""
        given = self.bounds()
        if self.calls_per_second != 1:
            given["calls_per_second"] = self.calls_per_second
        return {
            name: int(value) if isinstance(value, Integral) else float(value)
            for name, value in given.items()
        }

    def met(self, costs: Costs) -> bool:
        """Says whether every bound holds."""
        return all(costs[name] <= top for name, top in self.bounds().items())


def disk_bytes(graph: "ChannelGraph", parameters: int) -> int:
    """Returns about how large a float32 `.tflite` file is.

    Args:
        graph: of the full model: weights and operations stay as many.
        parameters: how many elements of weights are left.
    """
    return (
        BYTES_A_WEIGHT * parameters
        + BYTES_A_TENSOR * len(graph.variables)
        + BYTES_AN_OPERATION * len(graph.walk.calls)
    )


def most_parameters(total: int, rate: float) -> int:
    """Returns how many parameters may be left when a share is removed.

    The rate is meant as it is written: 0.1 of ten is one, though no float is
    a tenth.

    Args:
        total: of the full model.
        rate: the share to remove.
    """
    share = Fraction(repr(float(rate)))
    return floor(total * (1 - share))


def nearest_rate(gone: int, total: int) -> float | None:
    """Returns the largest rate, to four digits or so, that is reached.

    Args:
        gone: how many parameters go.
        total: of how many.

    Returns:
        A rate for which `most_parameters` asks for no more than goes; None
        where nothing goes.
    """
    if not 0 < gone <= total:
        return None
    for digits in range(4, 16):
        whole = gone * 10**digits // total
        if whole:
            break
    # A rate of 1 would leave nothing.
    return min(whole, 10**digits - 1) / 10**digits
