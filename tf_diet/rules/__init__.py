"""All that is known of layers: one file a family, one class a layer."""

from tf_diet.rules import (
    applications,
    attention,
    contraction,
    convolution,
    dense,
    einsum_dense,
    elementwise,
    embedding,
    heads,
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
    "attention",
    "contraction",
    "convolution",
    "dense",
    "einsum_dense",
    "elementwise",
    "embedding",
    "heads",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "regularization",
    "reshaping",
    "slicing",
]
