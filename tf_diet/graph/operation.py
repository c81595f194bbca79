# SPDX-License-Identifier: MIT
"""What tf_diet reads of the operations, variables and tensors of Keras.

Keras ships no types. These protocols say what graph, rules and surgery count
on for every kind; what only some kinds have is known to their rules.
"""

from collections.abc import Sequence
from typing import Any, Protocol

# The arguments of calls and constructors may be anything.
Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Config = dict[str, Any]
# Unknown sizes are None.
Shape = tuple[int | None, ...]


class Tensor(Protocol):
    """A tensor of any backend, or an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""

    def __getitem__(self, index: Any) -> Any:
        """Returns a part, as NumPy does."""


class Variable(Protocol):
    """A weight or a state of a layer."""

    name: str
    path: str
    trainable: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""

    @property
    def dtype(self) -> str:
        """The name of its type, such as "float32"."""

    @property
    def value(self) -> Tensor:
        """What it holds."""

    def assign(self, value: Tensor) -> object:
        """Replaces what it holds."""


class Operation(Protocol):
    """A layer, or an operation of `keras.ops`."""

    name: str

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Applies it to tensors."""

    def get_config(self) -> Config:
        """Returns the arguments that would make another one like it."""

    @classmethod
    def from_config(cls, config: Config) -> "Operation":
        """Makes one from what `get_config` returns."""

    def __getattr__(self, name: str) -> Any:
        """Returns what only some kinds have, such as `units` of Dense."""


def weights_of(operation: Operation) -> Sequence[Variable]:
    """Returns the weights of a layer; operations of `keras.ops` have none."""
    return getattr(operation, "weights", ())


def variables_of(operation: Operation) -> Sequence[Variable]:
    """Returns the variables of a layer, states such as seeds included."""
    return getattr(operation, "variables", ())
