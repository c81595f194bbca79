"""All that is known of layers: one file a family, one class a layer."""

from tf_diet.rules import (
    applications,
    convolution,
    dense,
    elementwise,
    embedding,
    merging,
    normalization,
    pooling,
    recurrent,
    regularization,
    reshaping,
    slicing,
)

__all__ = [
    "applications",
    "convolution",
    "dense",
    "elementwise",
    "embedding",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "regularization",
    "reshaping",
    "slicing",
]
