"""tf_diet: physical structured pruning of Keras 3 models."""

from tf_diet import rules as _rules  # noqa: F401  (files the shipped rules)

__version__ = "0.1.0"
