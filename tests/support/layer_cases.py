# SPDX-License-Identifier: MIT
"""A case for every layer that has a rule: how to make it, what it is given.

`tests/rules/test_rules.py` runs `check_rule` on each of them, and fails where
a registered layer is in neither table.
"""

from keras import layers
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

SEQUENCE = (12, 6)
IMAGE = (8, 8, 6)
VOLUME = (4, 4, 4, 3)

# Layer: a factory, and the shape of each input without the batch.
CASES = {
    "Activation": (lambda: layers.Activation("sigmoid"), SEQUENCE),
    "ActivityRegularization": (layers.ActivityRegularization, SEQUENCE),
    "AdaptiveAveragePooling1D": (
        lambda: layers.AdaptiveAveragePooling1D(4),
        SEQUENCE,
    ),
    "AdaptiveAveragePooling2D": (
        lambda: layers.AdaptiveAveragePooling2D((2, 4)),
        IMAGE,
    ),
    "AdaptiveAveragePooling3D": (
        lambda: layers.AdaptiveAveragePooling3D(2),
        VOLUME,
    ),
    "AdaptiveMaxPooling1D": (lambda: layers.AdaptiveMaxPooling1D(4), SEQUENCE),
    "AdaptiveMaxPooling2D": (
        lambda: layers.AdaptiveMaxPooling2D((2, 4)),
        IMAGE,
    ),
    "AdaptiveMaxPooling3D": (lambda: layers.AdaptiveMaxPooling3D(2), VOLUME),
    "Add": (layers.Add, SEQUENCE, SEQUENCE),
    "AdditiveAttention": (layers.AdditiveAttention, SEQUENCE, SEQUENCE),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.2), SEQUENCE),
    "Attention": (layers.Attention, SEQUENCE, SEQUENCE),
    "Average": (layers.Average, SEQUENCE, SEQUENCE),
    "AveragePooling1D": (lambda: layers.AveragePooling1D(2), SEQUENCE),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2), IMAGE),
    "AveragePooling3D": (lambda: layers.AveragePooling3D(2), VOLUME),
    "BatchNormalization": (layers.BatchNormalization, SEQUENCE),
    "Bidirectional": (lambda: layers.Bidirectional(layers.GRU(4)), SEQUENCE),
    "CenterCrop": (lambda: layers.CenterCrop(4, 5), IMAGE),
    "Concatenate": (layers.Concatenate, SEQUENCE, SEQUENCE),
    "Conv1D": (
        lambda: layers.Conv1D(7, 3, padding="causal", dilation_rate=2),
        SEQUENCE,
    ),
    "Conv2D": (lambda: layers.Conv2D(7, 3, strides=2), IMAGE),
    "Conv3D": (lambda: layers.Conv3D(5, 2), VOLUME),
    "Conv1DTranspose": (
        lambda: layers.Conv1DTranspose(7, 3, strides=2),
        SEQUENCE,
    ),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(7, 3), IMAGE),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(5, 2), VOLUME),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(5, 2), (3, 6, 4)),
    "Cropping1D": (layers.Cropping1D, SEQUENCE),
    "Cropping2D": (layers.Cropping2D, IMAGE),
    "Cropping3D": (lambda: layers.Cropping3D(1), VOLUME),
    "CustomScaleLayer": (lambda: CustomScaleLayer(0.2), SEQUENCE, SEQUENCE),
    "Dense": (lambda: layers.Dense(9, activation="relu"), SEQUENCE),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2),
        SEQUENCE,
    ),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), IMAGE),
    "Dot": (lambda: layers.Dot(axes=2), SEQUENCE, SEQUENCE),
    "Dropout": (lambda: layers.Dropout(0.3), SEQUENCE),
    "ELU": (layers.ELU, SEQUENCE),
    "EinsumDense": (
        lambda: layers.EinsumDense("btc,cd->btd", (None, 7), bias_axes="d"),
        SEQUENCE,
    ),
    "Flatten": (layers.Flatten, SEQUENCE),
    "GRU": (lambda: layers.GRU(7, return_sequences=True), SEQUENCE),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.2), SEQUENCE),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.2), SEQUENCE),
    "GlobalAveragePooling1D": (layers.GlobalAveragePooling1D, SEQUENCE),
    "GlobalAveragePooling2D": (
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        IMAGE,
    ),
    "GlobalAveragePooling3D": (layers.GlobalAveragePooling3D, VOLUME),
    "GlobalMaxPooling1D": (layers.GlobalMaxPooling1D, SEQUENCE),
    "GlobalMaxPooling2D": (layers.GlobalMaxPooling2D, IMAGE),
    "GlobalMaxPooling3D": (layers.GlobalMaxPooling3D, VOLUME),
    "GroupNormalization": (lambda: layers.GroupNormalization(3), SEQUENCE),
    "Identity": (layers.Identity, SEQUENCE),
    "LSTM": (lambda: layers.LSTM(7), SEQUENCE),
    "LayerNormalization": (layers.LayerNormalization, SEQUENCE),
    "LayerScale": (lambda: LayerScale(1e-6, 6), SEQUENCE),
    "LeakyReLU": (layers.LeakyReLU, SEQUENCE),
    "Masking": (layers.Masking, SEQUENCE),
    "MaxPooling1D": (layers.MaxPooling1D, SEQUENCE),
    "MaxPooling2D": (layers.MaxPooling2D, IMAGE),
    "MaxPooling3D": (layers.MaxPooling3D, VOLUME),
    "Maximum": (layers.Maximum, SEQUENCE, SEQUENCE),
    "Minimum": (layers.Minimum, SEQUENCE, SEQUENCE),
    "Multiply": (layers.Multiply, SEQUENCE, SEQUENCE),
    "Normalization": (layers.Normalization, SEQUENCE),
    "PReLU": (layers.PReLU, SEQUENCE),
    "Permute": (lambda: layers.Permute((2, 1)), SEQUENCE),
    "RMSNormalization": (layers.RMSNormalization, SEQUENCE),
    "RNN": (
        lambda: layers.RNN([layers.GRUCell(4), layers.LSTMCell(5)]),
        (4, 6),
    ),
    "ReLU": (lambda: layers.ReLU(max_value=6.0), SEQUENCE),
    "RepeatVector": (lambda: layers.RepeatVector(3), (6,)),
    "Rescaling": (lambda: layers.Rescaling(0.5, 0.1), SEQUENCE),
    "Resizing": (lambda: layers.Resizing(5, 4), IMAGE),
    "Reshape": (lambda: layers.Reshape((3, 4, 6)), SEQUENCE),
    "SeparableConv1D": (
        lambda: layers.SeparableConv1D(7, 3, depth_multiplier=2),
        SEQUENCE,
    ),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(7, 3), IMAGE),
    "SimpleRNN": (lambda: layers.SimpleRNN(7), SEQUENCE),
    "Softmax": (layers.Softmax, SEQUENCE),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.2), SEQUENCE),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.2), IMAGE),
    "SpatialDropout3D": (lambda: layers.SpatialDropout3D(0.2), VOLUME),
    "SpectralNormalization": (
        lambda: layers.SpectralNormalization(layers.Dense(7)),
        SEQUENCE,
    ),
    "StochasticDepth": (lambda: StochasticDepth(0.2), SEQUENCE),
    "Subtract": (layers.Subtract, SEQUENCE, SEQUENCE),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(7)),
        (4, 6),
    ),
    "UnitNormalization": (layers.UnitNormalization, SEQUENCE),
    "UpSampling1D": (layers.UpSampling1D, SEQUENCE),
    "UpSampling2D": (layers.UpSampling2D, IMAGE),
    "UpSampling3D": (layers.UpSampling3D, VOLUME),
    "ZeroPadding1D": (layers.ZeroPadding1D, SEQUENCE),
    "ZeroPadding2D": (layers.ZeroPadding2D, IMAGE),
    "ZeroPadding3D": (lambda: layers.ZeroPadding3D(1), VOLUME),
}

# Layers that `check_rule` cannot feed, and the test file that holds them.
ELSEWHERE = {
    "ConvLSTM2D": "test_conv_recurrent.py",
    "ConvLSTM3D": "test_conv_recurrent.py",
    "Embedding": "test_rules.py",
    "GRUCell": "test_recurrent.py",
    "LSTMCell": "test_recurrent.py",
    "ReversibleEmbedding": "test_embedding.py",
    "GroupedQueryAttention": "test_heads.py",
    "MultiHeadAttention": "test_heads.py",
    "SimpleRNNCell": "test_recurrent.py",
    "StackedRNNCells": "test_recurrent.py",
}
