# SPDX-License-Identifier: MIT
"""Kinds of Keras that stop the graph for good, and why.

Whatever is neither here nor has a rule stops the graph too, but then nobody
has looked at it: a test lists every kind of the installed Keras.
"""

from tf_diet.graph.rule_table import register_barrier

register_barrier(
    "it is an abstract base, and a subclass may do anything",
    "layers.BaseAdaptiveAveragePooling",
    "layers.BaseAdaptiveMaxPooling",
    "layers.BaseAdaptivePooling",
    "layers.BaseConv",
    "layers.BaseConvTranspose",
    "layers.BaseDepthwiseConv",
    "layers.BaseGlobalPooling",
    "layers.BaseImagePreprocessingLayer",
    "layers.BasePooling",
    "layers.BaseSeparableConv",
    "layers.BaseSpatialDropout",
    "layers.ConvLSTM",
    "layers.IndexLookup",
    "layers.Layer",
    "layers.Merge",
    "layers.Wrapper",
    "ops.SegmentReduction",
)
register_barrier(
    "it runs a function whose inside cannot be seen",
    "layers.FlaxLayer",
    "layers.JaxLayer",
    "layers.Lambda",
    "layers.TFSMLayer",
    "layers.TorchModuleWrapper",
    "ops.AssociativeScan",
    "ops.Cond",
    "ops.ForiLoop",
    "ops.Function",
    "ops.JVP",
    "ops.Map",
    "ops.Scan",
    "ops.Switch",
    "ops.VectorizedMap",
    "ops.WhileLoop",
)
register_barrier(
    "it is a cell, which only makes sense inside a recurrent layer",
    "layers.ConvLSTMCell",
)
register_barrier(
    "it takes data, not features",
    "layers.CategoryEncoding",
    "layers.DataLayer",
    "layers.Discretization",
    "layers.FeatureSpace",
    "layers.HashedCrossing",
    "layers.Hashing",
    "layers.InputLayer",
    "layers.IntegerLookup",
    "layers.MelSpectrogram",
    "layers.Pipeline",
    "layers.STFTSpectrogram",
    "layers.StringLookup",
    "layers.TFDConcat",
    "layers.TFDIdentity",
    "layers.TextVectorization",
    "ops.MultiHot",
    constant=True,
)
register_barrier(
    "it takes images and reads their colours",
    "layers.AutoContrast",
    "layers.ContrastLimitedAdaptiveHistogramEqualization",
    "layers.Equalization",
    "layers.MaxNumBoundingBoxes",
    "layers.Solarization",
    "ops.HSVToRGB",
    "ops.PSNR",
    "ops.RGBToGrayscale",
    "ops.RGBToHSV",
    "ops.SSIM",
)
register_barrier(
    "it takes images and changes them at random",
    "layers.AugMix",
    "layers.CutMix",
    "layers.MixUp",
    "layers.RandAugment",
    "layers.RandomBrightness",
    "layers.RandomColorDegeneration",
    "layers.RandomColorJitter",
    "layers.RandomContrast",
    "layers.RandomCrop",
    "layers.RandomElasticTransform",
    "layers.RandomErasing",
    "layers.RandomFlip",
    "layers.RandomGaussianBlur",
    "layers.RandomGrayscale",
    "layers.RandomHue",
    "layers.RandomInvert",
    "layers.RandomPerspective",
    "layers.RandomPosterization",
    "layers.RandomRotation",
    "layers.RandomSaturation",
    "layers.RandomSharpness",
    "layers.RandomShear",
    "layers.RandomTranslation",
    "layers.RandomZoom",
    "ops.ElasticTransform",
)
register_barrier(
    "it stands in for a layer of an older Keras",
    "legacy.AlphaDropout",
    "legacy.RandomHeight",
    "legacy.RandomWidth",
    "legacy.ThresholdedReLU",
)
register_barrier(
    "it mixes all positions of a matrix",
    "ops.CDist",
    "ops.Cholesky",
    "ops.CholeskyInverse",
    "ops.Corrcoef",
    "ops.Correlate",
    "ops.Cross",
    "ops.Det",
    "ops.Eig",
    "ops.Eigh",
    "ops.Inv",
    "ops.Kron",
    "ops.Logdet",
    "ops.Lstsq",
    "ops.LuFactor",
    "ops.MatrixRank",
    "ops.Pinv",
    "ops.Qr",
    "ops.SVD",
    "ops.Slogdet",
    "ops.Solve",
    "ops.SolveTriangular",
)
register_barrier(
    "it reads or writes at positions that are numbers in a tensor",
    "ops.MapCoordinates",
    "ops.Scatter",
    "ops.ScatterUpdate",
    "ops.SegmentMax",
    "ops.SegmentMin",
    "ops.SegmentProd",
    "ops.SegmentSum",
    "ops.SliceUpdate",
    "ops.UnravelIndex",
)
register_barrier(
    "it is a loss or a score",
    "ops.BinaryCrossentropy",
    "ops.CTCDecode",
    "ops.CTCLoss",
    "ops.CategoricalCrossentropy",
    "ops.InTopK",
    "ops.SparseCategoricalCrossentropy",
)
register_barrier(
    "its result depends on how many values there are",
    "ops.AllClose",
    "ops.Bincount",
    "ops.Histogram",
    "ops.Ndim",
    "ops.Nonzero",
    "ops.Size",
    "ops.Unique",
)
register_barrier(
    "it makes a tensor of a size of its own",
    "ops.Arange",
    "ops.Diag",
    "ops.Diagflat",
    "ops.Full",
    "ops.Geomspace",
    "ops.Linspace",
    "ops.Logspace",
    "ops.Meshgrid",
    "ops.Vander",
)
register_barrier(
    "its values are not defined",
    "ops.EmptyLike",
)
register_barrier(
    "it reads the same bytes as numbers of another type",
    "ops.View",
)
register_barrier(
    "its sizes sit in a pattern; write it as reshape and transpose",
    "ops.Rearrange",
)
register_barrier(
    "its sizes sit in its arguments",
    "ops.Fold",
    "ops.ScaleAndTranslate",
    "ops.SobelEdges",
    "ops.Unfold",
)
register_barrier(
    "it rounds to the levels of a quantised model, axis by axis",
    "layers.FakeQuantWithMinMaxVars",
)
