# SPDX-License-Identifier: MIT
"""Random small functional graphs: drawn as data, printed and built as code.

A graph is a list of steps. A step is a line of code with a hole for each
tensor that it reads, and the shapes of what it makes. `Graph.code()` prints a
program, and `Graph.model()` runs that very program, so what a failure prints
is what has failed. Draws are made through a `Chooser`: hypothesis is one (and
shrinks), a numpy generator another (and counts through thousands).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

Shape = tuple[int, ...]

HEADER = """\
import keras
import numpy as np
from keras import layers, ops

keras.config.set_floatx({floatx!r})
"""
FOOTER = """
from tf_diet.testing import assert_law
assert_law(model, rate={rate}, seed={seed})
"""


class Chooser:
    """Draws numbers; 0 is the simplest.

    Args:
        number: draws from low to high, both included.
    """

    def __init__(self, number: Callable[[int, int], int]) -> None:
        self.number = number

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[self.number(0, len(choices) - 1)]

    def one_in(self, count: int) -> bool:
        return self.number(0, count - 1) == count - 1


@dataclass(frozen=True)
class Step:
    """Some code that makes tensors of tensors.

    Args:
        kind: its name in the tables of what was covered.
        code: an expression; "{0}" is the first tensor that it reads.
        sources: the numbers of those tensors.
        shapes: of each tensor that it makes, without the batch.
        setup: lines before; "{me}" is a name that no other step has.
        inner: a graph of one input that becomes the model "{me}".
    """

    kind: str
    code: str
    sources: tuple[int, ...]
    shapes: tuple[Shape, ...]
    setup: tuple[str, ...] = ()
    inner: "Graph | None" = None


@dataclass(frozen=True)
class Source:
    """An input of a graph: its shape without the batch, and its dtype."""

    shape: Shape
    dtype: str | None = None


@dataclass(frozen=True, repr=False)
class Graph:
    """A functional model as data, with the plan to try on it.

    Args:
        inputs: its inputs, the first tensors.
        steps: what makes the others, in order.
        outputs: the numbers of the tensors that come out.
        structure: "list" or "dict", for inputs and outputs alike.
        rate: the mean share of units to remove.
        seed: of weights, units and data.
    """

    inputs: tuple[Source, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    structure: str = "list"
    rate: float = 0.5
    seed: int = 0

    def kinds(self) -> Iterator[str]:
        for step in self.steps:
            yield step.kind
            if step.inner:
                yield from step.inner.kinds()

    def lines(self, name: str = "model", tensor: str = "t") -> list[str]:
        """Returns the lines of a program that makes the model."""
        found: list[str] = []
        number = 0
        for source in self.inputs:
            dtype = f", dtype={source.dtype!r}" if source.dtype else ""
            label = f", name='in{number}'" if name == "model" else ""
            shape = source.shape
            found.append(
                f"{tensor}{number} = keras.Input({shape}{dtype}{label})"
            )
            number += 1
        for place, step in enumerate(self.steps):
            me = f"{tensor}_{place}"
            if step.inner:
                found += step.inner.lines(me, f"{me}_")
            made = [f"{tensor}{number + n}" for n in range(len(step.shapes))]
            read = [f"{tensor}{source}" for source in step.sources]
            found += [line.format(*read, me=me) for line in step.setup]
            code = step.code.format(*read, me=me)
            found.append(f"{', '.join(made)} = {code}")
            number += len(made)
        ins = self.packed("in", [*range(len(self.inputs))], tensor)
        outs = self.packed("out", self.outputs, tensor)
        return [*found, f"{name} = keras.Model({ins}, {outs})"]

    def packed(self, side: str, numbers: Sequence[int], tensor: str) -> str:
        names = [f"{tensor}{number}" for number in numbers]
        if len(names) == 1:
            return names[0]
        if self.structure == "list":
            return f"[{', '.join(names)}]"
        pairs = [f"'{side}{n}': {name}" for n, name in enumerate(names)]
        return "{" + ", ".join(pairs) + "}"

    def code(self) -> str:
        """Returns a program that builds the model and asserts the law."""
        header = HEADER.format(floatx=keras.config.floatx())
        footer = FOOTER.format(rate=self.rate, seed=self.seed)
        return header + "\n" + "\n".join(self.lines()) + "\n" + footer

    def model(self) -> keras.Model:
        """Runs the program up to the model, and checks the shapes drawn."""
        space: dict[str, Any] = {
            "keras": keras,
            "layers": keras.layers,
            "ops": keras.ops,
            "np": np,
        }
        exec("\n".join(self.lines()), space)
        shapes = [source.shape for source in self.inputs]
        for step in self.steps:
            shapes += step.shapes
        for number, shape in enumerate(shapes):
            real = tuple(space[f"t{number}"].shape[1:])
            assert real == shape, f"t{number} is {real}, not {shape}: {self}"
        return space["model"]

    def __repr__(self) -> str:
        return "\n" + self.code()


class Pool:
    """The tensors that a graph has so far."""

    def __init__(self, choose: Chooser, inputs: Sequence[Source]) -> None:
        self.choose = choose
        self.inputs = list(inputs)
        self.shapes = [source.shape for source in inputs]
        self.whole = [bool(source.dtype) for source in inputs]
        self.used = [False] * len(inputs)
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        self.steps.append(step)
        for source in step.sources:
            self.used[source] = True
        self.shapes += step.shapes
        self.whole += [False] * len(step.shapes)
        self.used += [False] * len(step.shapes)

    def where(self, fits: Callable[[Shape], bool]) -> list[int]:
        """Returns the tensors of numbers that fit, unread ones first."""
        found = [
            number
            for number, shape in enumerate(self.shapes)
            if not self.whole[number] and fits(shape)
        ]
        return sorted(found, key=lambda n: (self.used[n], -n))

    def pick(self, fits: Callable[[Shape], bool]) -> int | None:
        """Draws a tensor that fits: mostly one that nothing reads yet."""
        found = self.where(fits)
        if not found:
            return None
        fresh = [number for number in found if not self.used[number]]
        if fresh and not self.choose.one_in(4):
            found = fresh
        return self.choose.pick(found)

    def another(self, number: int, fits: Callable[[Shape], bool]) -> int:
        """Draws a second tensor that fits; the same one if need be."""
        found = [n for n in self.where(fits) if n != number]
        return self.choose.pick([*found, number])


Draw = Callable[[Chooser, Pool], Step | None]
KINDS: dict[str, Draw] = {}


def kind(draw: Draw) -> Draw:
    """Files a function that draws a step, or None where nothing fits."""
    KINDS[draw.__name__] = draw
    return draw
