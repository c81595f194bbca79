# SPDX-License-Identifier: MIT
"""Models of fixed shapes: right in every quantization, or refused by name."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.convert import (
    flatbuffer,
    in_form,
    quantization,
    tensor_errors,
)
from tf_diet.convert.fidelity import QuantizationWarning
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.tflite import to_tflite
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError, InputError, StreamingError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
X = np.random.default_rng(0).normal(size=(60, 12, 8)).astype("float32")
LIMITS = {
    "float32": 1e-5,
    "float16": 0.002,
    "dynamic": 0.02,
    "int8": 0.05,
    "int16x8": 0.01,
    "wi8": 0.02,
    "wi4": 0.15,
}
# What TensorFlow's converter gets wrong, refuses or crashes at without a form
# of its own; and what it does not.
HEADS = {
    "dense": lambda h: layers.Dense(4, "relu")(h),
    "sum over time": lambda h: ops.sum(h, axis=1),
    "maximum": lambda h: ops.maximum(h, 0.2 * h),
    "minimum": lambda h: layers.Minimum()([h, 0.2 * h]),
    "square": lambda h: ops.square(h),
    "negative": lambda h: -h,
    "sum of one channel": lambda h: h[..., :4] + layers.Dense(1)(h),
    "one channel beside another": lambda h: layers.Add()(
        [layers.Dense(1)(h), h[..., :1]]
    ),
    "layer normalization": lambda h: layers.LayerNormalization()(h),
    "over two axes": lambda h: layers.LayerNormalization(axis=(1, 2))(h),
    "prelu": lambda h: layers.PReLU(shared_axes=[1])(h),
    "elu": lambda h: layers.ELU(0.5)(layers.Dense(4, "elu")(h)),
    "gelu": lambda h: layers.Dense(4, "gelu")(h),
    "gelu operation": lambda h: ops.gelu(h),
    "hard swish": lambda h: layers.Activation("hard_swish")(h),
    "gru": lambda h: layers.GRU(6)(h),
    "two ways": lambda h: layers.Bidirectional(layers.LSTM(3))(h),
    "softmax": lambda h: layers.Softmax()(h),
}


def net(head):
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 8), name="x")
    return keras.Model(x, head(layers.Conv1D(8, 1)(x)))


def error_in(runner, model, lite):
    """Relative to the largest output, over all examples."""
    wanted = keras.ops.convert_to_numpy(model(X))
    name = lite.outputs[0].name
    run = runner(lite)
    got = [run.step({"x": x})[name] for x in X]
    got = np.reshape(np.stack(got), wanted.shape)
    return np.abs(got - wanted).max() / np.abs(wanted).max()


# 4 bits are few.
@pytest.mark.filterwarnings("ignore:.* as wi4. error:UserWarning")
@pytest.mark.slow
@pytest.mark.parametrize("quantize", LIMITS)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_in_every_quantization(head, quantize):
    model = net(HEADS[head])
    lite = to_tflite(model, quantize, X)
    assert lite.quantize == quantize
    assert lite.fidelity.real
    assert lite.fidelity.rms_error < LIMITS[quantize]
    # Sparse large values are worth more steps than most have.
    room = 8 if "normal" in head or "axes" in head else 2
    assert error_in(LiteRTRunner, model, lite) < room * LIMITS[quantize]


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["float32", "int8", "int16x8", "wi8"])
@pytest.mark.parametrize("head", ["dense", "gru", "layer normalization"])
def test_micro_gives_the_same_without_inner_names(head, quantize):
    lite = to_tflite(net(HEADS[head]), quantize, X)
    small = TFLiteModel.from_bytes(lite.for_board())
    assert len(small) < 0.85 * len(lite)
    assert [d.name for d in small.inputs] == ["x"]
    for x in X[:5]:
        call = {"x": x}
        one, other, micro = (
            run.step(call)[lite.outputs[0].name]
            for run in (
                LiteRTRunner(lite),
                LiteRTRunner(small),
                MicroRunner(small),
            )
        )
        np.testing.assert_array_equal(one, other)
        room = 32 * lite.outputs[0].scale + 1e-5
        np.testing.assert_allclose(micro, one, rtol=0, atol=room)


@pytest.mark.parametrize("runner", [LiteRTRunner, MicroRunner])
def test_large_constants_are_in_the_model(runner):
    """litert-quantizer puts more than 256 KiB behind it."""
    x = keras.Input((600,), name="x")
    model = keras.Model(x, layers.Dense(500)(x))
    lite = to_tflite(model, "wi8")
    assert 3e5 < len(lite.for_board()) < 3.1e5
    values = np.random.default_rng(0).normal(size=(1, 600)).astype("float32")
    (got,) = runner(lite).step({"x": values}).values()
    np.testing.assert_allclose(got, model(values), atol=0.05)


@pytest.mark.slow
def test_zeros_have_a_scale():
    """LiteRT ended the process at sums of what never was but zero."""
    x = keras.Input((16, 4), name="x")
    h = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    data = np.random.default_rng(0).normal(size=(60, 16, 4))
    lite = to_tflite(keras.Model(x, h), "int16x8", data)
    assert lite.fidelity.rms_error < LIMITS["int16x8"]
    _, scales = flatbuffer.tensor_names(lite.data)
    assert min(scales.values()) > 1e-30


def test_nothing_of_the_model_changes():
    model = net(HEADS["two ways"])
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    inner = model.layers[-1].forward_layer
    to_tflite(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    assert inner.unroll is False


def test_every_file_has_a_signature():
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = net(HEADS["dense"])
    lite = to_tflite(model)
    run = interpreter.Interpreter(model_content=lite.data)
    found = run.get_signature_runner()(x=X[:1])
    (got,) = found.values()
    np.testing.assert_allclose(got, model(X[:1]), atol=1e-6)


@dataclass(frozen=True)
class Halved(quantization.Quantization):
    """Of a user's own: an equal of what ships."""

    why: str = "mine"
    tolerance: ClassVar[float] = 0.1


def test_a_registered_quantization_is_known_after_a_reload(monkeypatch):
    entries = dict(quantization.quantizations._entries)
    monkeypatch.setattr(quantization.quantizations, "_entries", entries)
    quantization.register_quantization("halved")(Halved)
    for given in ("halved", Halved(), Halved):
        lite = to_tflite(net(HEADS["dense"]), given)
        assert TFLiteModel.from_bytes(lite.data).quantize == "halved"


def test_what_a_model_is_decides_the_form():
    x = keras.Input((None, 4), name="x")
    causal = keras.Model(x, layers.GRU(3, return_sequences=True)(x))
    both = keras.Model(x, layers.Bidirectional(layers.GRU(3))(x))
    assert in_form(net(HEADS["dense"])).kind == "whole"
    found = in_form(causal)
    assert found.kind == "stream"
    assert "the length of 'x' is unknown" in str(found)
    assert in_form(causal, shapes={"x": (9, 4)}).kind == "whole"
    lite = to_tflite(both, shapes={"x": (9, 4)})
    assert lite.inputs[0].shape == (1, 9, 4)
    with pytest.raises(StreamingError, match=r"as one whole call.*--shape"):
        to_tflite(both)
    with pytest.raises(ConversionError, match=r"cannot have this shape.*9, 5"):
        to_tflite(both, shapes={"x": (9, 5)})
    with pytest.raises(ConversionError, match=r"no such input.*: y\."):
        to_tflite(both, shapes={"y": (9, 4), "x": (9, 4)})
    with pytest.raises(InputError, match="'whole' or 'stream'"):
        to_tflite(causal, form="step")


@pytest.mark.parametrize("runner", [LiteRTRunner, MicroRunner])
@pytest.mark.parametrize("quantize", ["float32", "int16x8"])
def test_ends_that_share_a_tensor(runner, quantize):
    """An unused input, one that comes out as it is, an output given twice."""
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    same, y = layers.Identity(name="same")(a), layers.Dense(2, name="y")(a)
    if quantize == "int16x8":
        unused = keras.Model([a, b], y)
        with pytest.raises(ConversionError, match=r"'b' of .* is not used"):
            to_tflite(unused, quantize, {"a": X[0, :, :3], "b": X[0, :, :3]})
        y = y + layers.Dense(2)(b)
    model = keras.Model([a, b], [y, same, y])
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(50, 3)) for name in ("a", "b")}
    lite = to_tflite(model, quantize, data)
    assert [d.name for d in lite.inputs] == ["a", "b"]
    assert [d.name for d in lite.outputs] == [
        model.output_names[0],
        "same",
        f"{model.output_names[0]}:1",
    ]
    got = runner(lite).step({name: x[0] for name, x in data.items()})
    wanted = model([x[:1] for x in data.values()])
    for values, other in zip(got.values(), wanted, strict=True):
        np.testing.assert_allclose(values, other, atol=0.01)


def half():
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(3, dtype="mixed_float16")(x))


def looped():
    x = keras.Input((12, 8), name="x")

    class Loop(layers.Layer):
        def call(self, x):
            return ops.fori_loop(0, 3, lambda i, y: y * 0.5, x)

    return keras.Model(x, Loop(name="loop")(x))


def words():
    x = keras.Input((1,), dtype="string", name="words")
    return keras.Model(x, layers.StringLookup(vocabulary=["a"])(x))


def long():
    x = keras.Input((600, 2), name="x")
    return keras.Model(x, layers.GRU(3, name="slow")(x))


def stateful():
    x = keras.Input((5, 2), batch_size=1, name="x")
    return keras.Model(x, layers.GRU(3, stateful=True, name="kept")(x))


def trained(layer):
    x = keras.Input((12, 8), name="x")
    return keras.Model(x, layer(x, training=True))


def quantized():
    model = net(HEADS["dense"])
    model.layers[-1].quantize("int8")
    return model


@pytest.mark.parametrize(
    ("make", "quantize", "message"),
    [
        (half, "float32", r"half precision.*mixed_float16.*policy 'float32'"),
        (looped, "int8", r"has a loop.*loop.*fori_loop.*'wi8'"),
        (words, "float32", r"'words'.*string.*Look the words up"),
        (long, "int8", r"'slow' is a loop over 600 steps.*to_streaming"),
        (stateful, "float32", r"'kept'.*stateful=True.*to_streaming"),
        (
            lambda: trained(layers.Dropout(0.5, name="drop")),
            "float32",
            r"'drop' is called with training=True.*Build the model without",
        ),
        (
            lambda: trained(layers.BatchNormalization(name="norm")),
            "float32",
            r"'norm' is called with training=True",
        ),
        (quantized, "float32", r"was quantized by Keras.*model.quantize"),
    ],
)
def test_what_cannot_be_converted_is_named(make, quantize, message):
    model = make()
    shape = model.inputs[0].shape[1:]
    data = None
    if quantize == "int8":
        data = np.random.default_rng(0).normal(size=(4, *shape))
    with pytest.raises(ConversionError, match=message):
        to_tflite(model, quantize, data)


def test_calibration_that_never_moves_is_refused():
    with pytest.raises(InputError, match=r"'x' never moves.*0 everywhere"):
        to_tflite(net(HEADS["dense"]), "int8", np.zeros_like(X))


def clipped():
    """A model whose inner range int8 cannot hold beside what matters."""
    keras.utils.set_random_seed(1)
    x = keras.Input((12, 8), name="x")
    h = layers.Dense(8, name="fine")(x)
    wide = layers.Lambda(lambda h: h * h * h * h * 1e3, name="wide")(h)
    h = layers.Lambda(lambda h: h**0.25, name="back")(wide + 1e-3)
    return keras.Model(x, layers.Dense(4, name="last")(h))


@pytest.mark.slow
def test_what_quantization_loses_is_refused_and_blamed():
    with pytest.raises(ConversionError, match=r"Most of it comes from.*Try"):
        to_tflite(clipped(), "int8", X)
    errors = tensor_errors(clipped(), "int8", X)
    assert errors[-1].rms_error > 0.3
    worst = max(errors, key=lambda error: error.added)
    assert "fine" not in worst.name


@pytest.mark.slow
def test_a_poor_result_is_said():
    model = net(lambda h: ops.tanh(30.0 * layers.LSTM(4)(50.0 * h)))
    with pytest.warns(QuantizationWarning, match=r"as int8: error 0\.\d+ rms"):
        to_tflite(model, "int8", X)


def test_a_converter_that_loses_something_is_caught(monkeypatch):
    """Planted: one layer of the converted model has another activation."""
    from tf_diet.rules import tflite_forms

    monkeypatch.setattr(
        tflite_forms.prelu, "__code__", (lambda c, a, k, i: a[0]).__code__
    )
    x = keras.Input((12, 8), name="x")
    slopes = keras.initializers.Constant(0.3)
    model = keras.Model(x, layers.PReLU(slopes)(x))
    with pytest.raises(ConversionError, match="does not give what Keras"):
        to_tflite(model)
