"""tf_diet: physical structured pruning of Keras 3 models."""

__version__ = "0.1.0"
