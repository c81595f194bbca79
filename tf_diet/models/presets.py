# SPDX-License-Identifier: MIT
"""Sizes that go by a name."""

import dataclasses
from typing import Any, ClassVar, Self

from tf_diet.registry import Registry


@dataclasses.dataclass(frozen=True)
class Preset:
    """A frozen configuration with named sizes.

    Attributes:
        presets: the configurations by name.
    """

    presets: ClassVar[Registry[Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        kind = cls.__name__.removesuffix("Config")
        cls.presets = Registry(f"{kind} preset")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Returns the sizes known as `name`, with fields changed.

        Args:
            name: a registered one, such as "paper", "small" or "tiny".
            **changes: fields to set otherwise.

        Raises:
            InputError: the name is unknown.
        """
        return dataclasses.replace(cls.presets.get(name), **changes)
