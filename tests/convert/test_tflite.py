# SPDX-License-Identifier: MIT
"""TFLite in both interpreters gives what Keras gives, in the same order."""

import keras
import numpy as np
import pytest

from tf_diet.convert import converter, flatbuffer, quantization
from tf_diet.convert.lowering import lower
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite import to_tflite
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError, InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
LIMITS = {"float32": 1e-4, "int16x8": 0.05, "int8": 0.15}
RUNNERS = {"LiteRT": LiteRTRunner, "TFLite Micro": MicroRunner}


def error(got, wanted):
    assert got.shape == wanted.shape
    return np.abs(got - wanted).max() / np.abs(wanted).max()


def names(details):
    return [d.name for d in details]


@pytest.mark.slow
@pytest.mark.parametrize("quantize", LIMITS)
@pytest.mark.parametrize("runner", RUNNERS)
def test_equals_keras_over_a_note(
    converted, sequences, offline, runner, quantize
):
    got = RUNNERS[runner](converted[quantize].data).run(sequences)
    assert error(got, offline) < LIMITS[quantize]


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_state_matters(converted, sequences, offline, runner):
    """A runner that forgot its state would be caught by the test above."""
    step = RUNNERS[runner](converted["float32"])
    forgotten = []
    for row in step.rows(sequences):
        step.reset()
        forgotten.append(step.step(row)["controls"].ravel())
    assert error(np.stack(forgotten), offline) > 0.05


def test_interpreters_differ_by_a_few_steps_of_rounding(converted, sequences):
    lite = converted["int16x8"]
    one, other = (R(lite).run(sequences) for R in RUNNERS.values())
    assert np.abs(one - other).max() < 10 * lite.outputs[0].scale


def adversarial():
    """Inputs and outputs whose alphabetical order is another one."""
    first = keras.Input((2,), batch_size=1, name="in1")
    second = keras.Input((2,), batch_size=1, name="in0")
    state = keras.Input((2,), batch_size=1, name="s_state")
    named = keras.layers.Identity
    after = named(name="s_state_next")(0.5 * state + second)
    out = named(name="a")(first - 2.0 * second + state)
    return keras.Model([first, second, state], [after, out])


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["float32", "int16x8"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_order_is_kept(runner, quantize):
    model = adversarial()
    rng = np.random.default_rng(0)
    rows = {n: rng.uniform(-1, 1, (50, 2)) for n in ("in1", "in0")}
    lite = to_tflite(StreamingModel(model), quantize, calibration=rows)
    assert names(lite.inputs) == ["in1", "in0", "s_state"]
    assert names(lite.outputs) == ["s_state_next", "a"]
    assert lite.states == ((2, 0),)
    state, wanted = np.zeros(2), []
    for first, second in zip(rows["in1"], rows["in0"], strict=True):
        wanted.append(first - 2.0 * second + state)
        state = 0.5 * state + second
    got = RUNNERS[runner](lite).run(rows)
    assert error(got, np.array(wanted)) < LIMITS[quantize]


def test_a_plain_model_with_a_dict_of_inputs_and_any_batch():
    inputs = {n: keras.Input((3,), name=n) for n in ("b", "a")}
    hidden = keras.layers.Dense(4, name="first")(inputs["b"])
    both = keras.layers.Concatenate(name="second")([hidden, inputs["a"]])
    model = keras.Model(inputs, {"y": hidden, "x": both})
    lite = to_tflite(model)
    x = {n: np.full((1, 3), i + 1.0) for i, n in enumerate(inputs)}
    wanted = keras.tree.flatten(model(x))
    got = LiteRTRunner(lite).step(x)
    assert sorted(names(lite.inputs)) == ["a", "b"]
    for name, values in zip(names(lite.outputs), wanted, strict=True):
        np.testing.assert_allclose(got[name], values, atol=1e-6)


def test_a_sequential_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    got = MicroRunner(to_tflite(model)).run({model.inputs[0].name: np.eye(3)})
    np.testing.assert_allclose(got, model(np.eye(3)), atol=1e-6)


def test_everything_can_be_read_from_the_bytes(converted, tmp_path):
    for name, lite in converted.items():
        assert TFLiteModel.from_bytes(lite.data) == lite
        path = lite.save(tmp_path / f"{name}.tflite")
        assert TFLiteModel.load(path) == lite
        assert path.read_bytes() == bytes(lite)
    assert "int16x8" in repr(converted["int16x8"])
    assert "states gru_state" in repr(converted["int16x8"])


def test_types_and_sizes(converted):
    kinds = {"float32": "float32", "int8": "int8", "int16x8": "int16"}
    for name, lite in converted.items():
        assert lite.quantize == name
        assert {d.dtype for d in lite.inputs + lite.outputs} == {kinds[name]}
    assert len(converted["int8"]) < len(converted["float32"])


def test_int16_states_may_be_copied_raw(converted):
    lite = converted["int16x8"]
    for source, target in lite.states:
        assert lite.inputs[source].scale == lite.outputs[target].scale
        assert lite.inputs[source].zero_point == 0


def cell():
    """A GRU cell between a state in and a state out, with biases."""
    x = keras.Input((4,), batch_size=1, name="x")
    state = keras.Input((6,), batch_size=1, name="h")
    bias = keras.initializers.RandomNormal(0.0, 0.5, seed=2)
    after, _ = keras.layers.GRUCell(6, bias_initializer=bias)(x, [state])
    y = keras.layers.Dense(3, bias_initializer=bias, name="y")(after)
    named = keras.layers.Identity(name="h_next")
    return keras.Model([x, state], [y, named(after)])


@pytest.mark.slow
def test_unifying_changes_scales_and_not_results(monkeypatch):
    rng = np.random.default_rng(1)
    calls = [
        {"x": rng.uniform(-1, 1, 4), "h": rng.uniform(-3, 3, 6)}
        for _ in range(200)
    ]
    model = cell()
    monkeypatch.setattr(flatbuffer, "unify_scales", lambda data, pairs: data)
    apart = to_tflite(model, "int16x8", calls)
    monkeypatch.undo()
    ((source, target),) = apart.states
    assert apart.inputs[source].scale != apart.outputs[target].scale
    unified = to_tflite(model, "int16x8", calls)
    assert len(unified) == len(apart)
    assert unified.inputs[source].scale == unified.outputs[target].scale
    for runner in RUNNERS.values():
        before, after = runner(apart), runner(unified)
        for call in calls[:20]:
            stored = [
                [d.encode(call[d.name]) for d in lite.inputs]
                for lite in (apart, unified)
            ]
            results = [
                [d.decode(v) for d, v in zip(s.outputs, raw, strict=True)]
                for s, raw in (
                    (before, before.invoke(stored[0])),
                    (after, after.invoke(stored[1])),
                )
            ]
            for one, other in zip(*results, strict=True):
                np.testing.assert_allclose(one, other, atol=2e-3)


@pytest.mark.slow
def test_nothing_is_printed(streaming, calibration, capfd):
    lite = to_tflite(streaming, "int8", calibration)
    LiteRTRunner(lite)
    assert MicroRunner(lite).arena_bytes > 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_quantization_of_ones_own(monkeypatch, streaming, calibration):
    monkeypatch.setattr(quantization.quantizations, "_entries", {})

    @quantization.register_quantization("mine")
    def mine(converter, samples):
        quantization.Int8().set_up(converter, samples)

    lite = to_tflite(streaming, "mine", calibration)
    assert lite.quantize == "mine"
    assert lite.inputs[0].dtype == "int8"
    assert to_tflite(streaming, mine, calibration).data == lite.data


def frames(**changes):
    return {"pitch": np.ones((5, 1)), "level": np.ones((5, 1)), **changes}


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (None, r"'int8'.*calibration=None.*1,000 steps"),
        ([], "is empty"),
        (frames(pitch=np.zeros((0, 1)), level=np.zeros((0, 1))), "is empty"),
        (frames(level=np.full((5, 1), np.nan)), r"'level'.*5 NaN"),
        (frames(level=np.ones((5, 3))), r"'level' must have shape"),
        (frames(f0=np.ones((5, 1))), r"Received: \['f0', 'level', 'pitch'\]"),
        ([np.ones((5, 1))], r"2 inputs: .*Received: calibration data for 1"),
    ],
)
def test_bad_calibration(streaming, calibration, message):
    with pytest.raises(InputError, match=message):
        to_tflite(streaming, "int8", calibration)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([], "is empty"),
        ([{"x": np.ones(4)}], r"lacks the input 'h'. Received: 'x'"),
        ([{"x": np.ones(5), "h": np.ones(6)}], r"'x'.*Received: \(5,\)"),
        ([{"x": np.ones(4), "h": np.full(6, np.inf)}], r"'h'.*6 NaN"),
    ],
)
def test_bad_calibration_of_a_plain_model(calls, message):
    with pytest.raises(InputError, match=message):
        to_tflite(cell(), "int16x8", calls)


@pytest.mark.slow
def test_batches_of_sequences_calibrate_too(streaming, calibration):
    batch = {
        name: np.stack([one[name] for one in calibration])
        for name in calibration[0]
    }
    assert (
        to_tflite(streaming, "int8", batch).data
        == to_tflite(streaming, "int8", calibration).data
    )


def test_unknown_quantization_lists_the_known(streaming):
    with pytest.raises(InputError, match=r"int16.*Did you mean 'int16x8'"):
        to_tflite(streaming, "int16x")


def test_a_model_without_fixed_shapes(model, converted):
    """Its sequences are of unknown length: it becomes a step."""
    assert names(to_tflite(model).inputs) == names(converted["float32"].inputs)
    with pytest.raises(ConversionError, match=r"'level'.*to_streaming"):
        to_tflite(model, form="whole")


def test_a_subclassed_model():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ConversionError, match="Received: Own"):
        to_tflite(Own())


def test_what_tflite_lacks():
    x = keras.Input((4,), batch_size=1, name="x")
    model = keras.Model(x, keras.ops.erf(x), name="odd")
    with pytest.raises(ConversionError, match=r"'odd' as float32.*tion Erf\."):
        to_tflite(model)


def test_other_backends_are_told_what_to_do(streaming, monkeypatch):
    lite = to_tflite(streaming)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ConversionError, match=r"'torch'.*KERAS_BACKEND"):
        converter.convert(
            lower(streaming), quantization.Float32(), None, lite.quantize
        )


def test_bytes_of_something_else():
    with pytest.raises(ConversionError, match=r"Received: 9 bytes.*b'hello"):
        TFLiteModel.from_bytes(b"hello you")
