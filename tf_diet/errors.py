# SPDX-License-Identifier: MIT
"""Every exception of tf_diet.

```
DietError
├── InputError (ValueError)              bad data, sizes, names or files
├── UnsupportedModelError (TypeError)    a model that cannot be walked
├── PlanError (ValueError)               a plan that does not fit its model
├── StreamingError (ValueError)          a layer without a step form
├── ConversionError (RuntimeError)       TFLite or TFLite Micro said no
├── RunFolderError (OSError)             an output folder in the way
├── DivergedError (ArithmeticError)       a training whose loss is not finite
└── MissingDependencyError (ImportError) an extra that is not installed
```

Every message has three parts: what is wrong and where, what was received,
what to do.
"""


class DietError(Exception):
    """Base class of everything that tf_diet raises on purpose."""


class InputError(DietError, ValueError):
    """An argument, array, name or file that cannot be used."""


class UnsupportedModelError(DietError, TypeError):
    """A model that is neither functional nor Sequential."""


class PlanError(DietError, ValueError):
    """A pruning plan that does not fit the model it is applied to."""


class StreamingError(DietError, ValueError):
    """A model that cannot run one time step at a time."""


class ConversionError(DietError, RuntimeError):
    """A model that TFLite or TFLite Micro cannot represent or run."""


class RunFolderError(DietError, OSError):
    """An output folder that is not empty or belongs to another run."""


class DivergedError(DietError, ArithmeticError):
    """A training whose loss is not a number, or without bound."""


class MissingDependencyError(DietError, ImportError):
    """An optional package that is needed and not installed."""
