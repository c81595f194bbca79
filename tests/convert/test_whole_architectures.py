# SPDX-License-Identifier: MIT
"""What people run whole is built and converted; `benchmarks/conversion.py`
measures it in every quantization."""

import keras
import pytest
from whole_models import WHOLE

from tf_diet.convert.tflite import to_tflite
from tf_diet.testing import randomise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow",
        reason="converts with TensorFlow",
    ),
]


@pytest.mark.parametrize("name", WHOLE)
def test_converted(name):
    model = WHOLE[name]()
    randomise(model)
    lite = to_tflite(model)
    assert lite.quantize == "float32"
    assert lite.fidelity.rms_error < 1e-5
    assert [d.shape for d in lite.inputs] == [
        (1, *tensor.shape[1:]) for tensor in model.inputs
    ]
