# SPDX-License-Identifier: MIT
import keras
import numpy as np
import pytest
from graphs import tiny_wavenet

from tf_diet.convert.lowering import lower
from tf_diet.convert.micro import to_micro
from tf_diet.convert.runtime import MicroRunner
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import ConversionError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)


def model(**options):
    codes = keras.Input((6,), batch_size=1, dtype="int32", name="codes")
    x = keras.layers.Embedding(9, 4, name="table", **options)(codes)
    return keras.Model(codes, keras.layers.Dense(3, name="top")(x))


def converted_of(net, codes):
    """What is converted, computed by Keras."""
    (found,) = lower(net)(keras.ops.convert_to_tensor(codes))
    return keras.ops.convert_to_numpy(found)


def test_a_table_is_looked_up_by_one_gather():
    before = model()
    table = before.get_layer("table")
    nodes = len(table._inbound_nodes)
    codes = np.array([[0, 3, 8, 1, 1, 5]], np.int32)
    np.testing.assert_array_equal(
        before.predict_on_batch(codes), converted_of(before, codes)
    )
    assert set(to_tflite(before).ops) - {"RESHAPE"} == {
        "FULLY_CONNECTED",
        "GATHER",
    }
    assert before.get_layer("table") is table
    assert type(table) is keras.layers.Embedding
    assert len(table._inbound_nodes) == nodes


def test_nested_and_shared_tables_are_looked_up_too():
    layers = keras.layers
    table = layers.Embedding(9, 4, name="table")
    told = keras.Input((6,), dtype="int32")
    inner = keras.Model(told, layers.Dense(4)(table(told)), name="inner")
    codes = keras.Input((6,), batch_size=1, dtype="int32", name="codes")
    plain = keras.Sequential([layers.Dense(4), layers.ReLU()], name="plain")
    x = keras.ops.abs(inner(codes)) + plain(table(codes))
    before = keras.Model(codes, layers.BatchNormalization()(x))
    rng = np.random.default_rng(1)
    for weight in before.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    nodes = len(inner._inbound_nodes)
    lite = to_tflite(before)
    assert "SELECT" not in lite.ops
    assert len(inner._inbound_nodes) == nodes
    x = rng.integers(9, size=(1, 6), dtype=np.int32)
    np.testing.assert_allclose(
        converted_of(before, x),
        keras.ops.convert_to_numpy(before(x)),
        rtol=1e-6,
    )


def test_masks_are_left_to_keras():
    before = model(mask_zero=True)
    assert "SELECT" in " ".join(to_tflite(before).ops)


@pytest.mark.parametrize(
    ("quantize", "off"), [("float32", 1e-6), ("int8", 0.1)]
)
@pytest.mark.parametrize("told", [False, True])
def test_a_wavenet_runs_in_tflite_micro(quantize, off, told, tmp_path):
    keras.utils.set_random_seed(3)
    net = tiny_wavenet(5, 2) if told else tiny_wavenet(0, 0)
    rng = np.random.default_rng(3)
    for variable in net.trainable_variables:
        noise = rng.normal(0, 0.2, variable.shape)
        variable.assign(np.asarray(variable) + noise)

    def sound(samples=80):
        held = {"codes": rng.integers(256, size=samples, dtype=np.int32)}
        if told:
            held["conditioning"] = rng.random((samples, 5), np.float32)
            held["instrument"] = np.ones(samples, np.int32)
        return held

    streaming = to_streaming(net)
    lite = to_tflite(streaming, quantize, [sound() for _ in range(4)])
    to_micro(lite, tmp_path, sample_rate=16000, hop=1)
    assert "kInt32" in (tmp_path / "model_settings.h").read_text()
    x = sound()
    whole = {name: values[None] for name, values in x.items()}
    if told:
        whole["instrument"] = whole["instrument"][:, :1]
    expected = net.predict(whole, verbose=0)[0]
    found = MicroRunner(lite).run(x).reshape(expected.shape)
    assert np.abs(found - expected).max() < off * np.ptp(expected)


def test_wide_tables_are_refused_by_name(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"codes": rng.integers(9, size=(1, 6))} for _ in range(4)]
    lite = to_tflite(model(), "int16x8", rows)
    with pytest.raises(ConversionError, match=r"INT16.*gather.*quantize="):
        to_micro(lite, tmp_path / "new", sample_rate=16000, hop=1)
