# SPDX-License-Identifier: MIT
"""A step model gives, frame by frame, what the model gives at once."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.convert.streaming import StreamingModel, to_streaming
from tf_diet.errors import InputError, StreamingError, UnsupportedModelError
from tf_diet.graph import rule_table
from tf_diet.graph.labels import Labels
from tf_diet.graph.rule import Rule, Signature
from tf_diet.models import WaveNetConfig, wavenet

BIASED = keras.initializers.RandomNormal(0.0, 0.5, seed=5)


def gru(x, **changes):
    return layers.GRU(
        6, **{"return_sequences": True, "bias_initializer": BIASED, **changes}
    )(x)


def gated(x):
    for number, dilation in enumerate((1, 2, 4)):
        both = layers.Conv1D(
            8,
            3,
            padding="causal",
            dilation_rate=dilation,
            bias_initializer=BIASED,
            name=f"gate_{number}",
        )(x)
        signal, gate = keras.ops.split(both, 2, axis=-1)
        y = keras.ops.tanh(signal) * keras.ops.sigmoid(gate)
        x = layers.Add()([x, layers.Conv1D(3, 1)(y)])
    return x


CASES = {
    "gru": gru,
    "gru, reset before": lambda x: gru(x, reset_after=False),
    "gru without bias": lambda x: gru(x, use_bias=False),
    "gru, other activations": lambda x: gru(
        x, activation="relu", recurrent_activation="hard_sigmoid"
    ),
    "two recurrent layers": lambda x: gru(gru(x)),
    "lstm": lambda x: layers.LSTM(5, return_sequences=True)(x),
    "simple rnn": lambda x: layers.SimpleRNN(5, return_sequences=True)(x),
    "dilated convolution": lambda x: layers.Conv1D(
        4, 3, padding="causal", dilation_rate=5, activation="relu"
    )(x),
    "grouped convolution": lambda x: layers.Conv1D(
        6, 2, padding="causal", groups=3, use_bias=False
    )(x),
    "gated convolutions": gated,
    "dense and batch normalization": lambda x: layers.BatchNormalization()(
        layers.Dense(4)(x)
    ),
}


def built(case):
    x = keras.Input((None, 3), name="audio")
    return keras.Model(x, CASES[case](x))


def gap(model, streaming, frames=40):
    x = np.random.default_rng(0).standard_normal((frames, 3))
    x = x.astype("float32")
    wanted = keras.ops.convert_to_numpy(model(x[None]))[0]
    return np.abs(streaming.run({"audio": x}) - wanted).max()


@pytest.mark.slow
def test_frames_beside_samples_last_for_many_steps():
    config = WaveNetConfig(
        cycles=2,
        layers=3,
        channels=6,
        skip_channels=8,
        conditioning=5,
        hop=4,
        instruments=3,
    )
    model = wavenet(config)
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    )
    streaming = to_streaming(model)
    codes = rng.integers(256, size=40)
    frames = rng.normal(size=(10, 5)).astype("float32")
    given = {"codes": codes[None], "conditioning": frames[None]}
    wanted = model({**given, "instrument": np.array([[2]])})[0]
    got = streaming.run(
        {
            "codes": codes,
            "conditioning": np.repeat(frames, 4, axis=0),
            "instrument": np.full(40, 2),
        }
    )
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("frame", [1, 2])
def test_states_before_repeated_steps_give_several_for_each(frame):
    x = keras.Input((None, 3), name="audio")
    y = layers.Conv1D(2, 2, padding="causal")(x)
    model = keras.Model(x, layers.UpSampling1D(3)(y))
    streaming = to_streaming(model, frame)
    assert streaming.free_outputs[0].shape == (1, 3 * frame, 2)
    assert gap(model, streaming) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_step_equals_offline(case):
    model = built(case)
    assert gap(model, to_streaming(model)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["gru", "lstm", "grouped convolution", "gated convolutions"]
)
def test_several_frames_a_call(case):
    model = built(case)
    assert gap(model, to_streaming(model, frame=4)) < 1e-5


@pytest.mark.slow
def test_decoder_over_a_whole_note(streaming, sequences, offline):
    assert np.abs(streaming.run(sequences) - offline).max() < 1e-5


def test_names_states_and_repr(streaming):
    assert {d.name for d in streaming.free_inputs} == {"pitch", "level"}
    assert [d.name for d in streaming.free_outputs] == ["controls"]
    ((source, target),) = streaming.states
    assert streaming.inputs[source].name == "gru_state"
    assert streaming.outputs[target].name == "gru_state_next"
    for word in ("pitch[1, 1, 1]", "controls[1, 1, 10]", "gru_state[1, 16]"):
        assert word in repr(streaming)


def test_steps_go_on_where_the_last_one_ended(streaming, sequences, offline):
    rows = streaming.rows(sequences)
    streaming.reset()
    steps = [streaming.step(row)["controls"].ravel() for row in rows]
    assert np.abs(np.stack(steps) - offline).max() < 1e-5
    # Without the memory of the frames before, the answer is another.
    streaming.reset()
    alone = streaming.step(rows[-1])["controls"].ravel()
    assert np.abs(alone - offline[-1]).max() > 1e-2


@pytest.mark.slow
def test_saves_and_reloads(tmp_path, streaming, sequences):
    streaming.save(tmp_path / "step.keras")
    again = StreamingModel.load(tmp_path / "step.keras", sample_rate=16000)
    assert again.sample_rate == 16000
    assert again.states == streaming.states
    np.testing.assert_array_equal(
        again.run(sequences), streaming.run(sequences)
    )


def test_the_model_is_left_alone():
    x = keras.Input((None, 3), name="audio")
    model = keras.Model(x, layers.Dense(2)(gru(layers.Dense(4)(x))))
    before = [weight.copy() for weight in model.get_weights()]
    streaming = to_streaming(model)
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)
    for weight in streaming.step_model.weights:
        weight.assign(np.zeros(weight.shape))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_running_the_step_model_leaves_the_weights_of_the_model():
    x = keras.Input((None, 3), name="audio")
    model = keras.Model(x, layers.Dense(2)(gru(layers.Dense(4)(x))))
    sound = np.ones((1, 6, 3), "float32")
    before = keras.ops.convert_to_numpy(model(sound))
    to_streaming(model).run({"audio": sound[0]})
    np.testing.assert_array_equal(model(sound), before)


@pytest.mark.slow
def test_a_sequential_model():
    model = keras.Sequential(
        [
            keras.Input((None, 3), name="audio"),
            layers.Conv1D(4, 2, padding="causal"),
            layers.GRU(4, return_sequences=True, name="last"),
        ]
    )
    streaming = to_streaming(model)
    assert streaming.free_outputs[0].name == "last"
    assert gap(model, streaming) < 1e-5


def test_a_fixed_length_and_a_vector_for_the_whole_sequence():
    x = keras.Input((30, 3), name="audio")
    speaker = keras.Input((2,), name="speaker")
    y = layers.Dense(4)(speaker)[:, None]
    model = keras.Model([x, speaker], gru(x) + layers.Dense(6)(y))
    sound = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")
    voice = np.array([[0.5, -2.0]], "float32")
    got = to_streaming(model).run(
        {"audio": sound, "speaker": np.repeat(voice, 30, axis=0)}
    )
    wanted = keras.ops.convert_to_numpy(model([sound[None], voice]))[0]
    assert np.abs(got - wanted).max() < 1e-5
    model = keras.Model([x, speaker], [gru(x), layers.Dense(4)(speaker)])
    streaming = to_streaming(model)
    results = streaming.run(
        {"audio": np.zeros((5, 3)), "speaker": np.ones((5, 2))}
    )
    assert [r.shape for r in results.values()] == [(5, 6), (5, 4)]


@pytest.mark.slow
def test_classes_in_time():
    x = keras.Input((None,), dtype="int32", name="classes")
    model = keras.Model(x, gru(layers.Embedding(8, 3)(x)))
    for frame in (1, 2):
        streaming = to_streaming(model, frame)
        classes = np.arange(8) % 5
        wanted = keras.ops.convert_to_numpy(model(classes[None]))[0]
        got = streaming.run({"classes": classes})
        assert np.abs(got - wanted).max() < 1e-5


def test_several_outputs_come_by_name():
    x = keras.Input((None, 3), name="audio")
    first = layers.Dense(2, name="first")(x)
    model = keras.Model(x, {"b": first, "a": gru(x, name="second")})
    got = to_streaming(model).run({"audio": np.zeros((4, 3))})
    assert {name: values.shape for name, values in got.items()} == {
        "first": (4, 2),
        "second": (4, 6),
    }


class Unknown(layers.Layer):
    def call(self, x):
        return x + 1


REFUSED = {
    "looks ahead": (
        lambda x: layers.Conv1D(4, 3, padding="same", name="wide")(x),
        r"'wide'.*padding='same'.*causal",
    ),
    "drops frames": (
        lambda x: layers.Conv1D(4, 3, name="short")(x),
        r"'short'.*padding='valid'",
    ),
    "skips frames": (
        lambda x: layers.Conv1D(4, 1, strides=2, name="skipping")(x),
        r"'skipping'.*skips frames",
    ),
    "runs backwards": (
        lambda x: gru(x, go_backwards=True, name="back"),
        r"'back'.*from the end",
    ),
    "answer for all beside single steps": (
        lambda x: layers.Concatenate(name="both")(
            [x, gru(x, return_sequences=False)[:, None] + 0 * x[..., :1]]
        ),
        r"'add.*single time steps.*known at its end",
    ),
    "pools over time": (
        lambda x: layers.GlobalAveragePooling1D(name="mean")(x),
        r"'mean'.*mixes time steps.*causal",
    ),
    "both directions": (
        lambda x: layers.Bidirectional(
            layers.GRU(2, return_sequences=True), name="both"
        )(x),
        r"'both'.*Received: Bidirectional.*mixes time steps",
    ),
    "no rule": (
        lambda x: Unknown(name="unknown")(x),
        r"'unknown'.*Received: Unknown.*no rule",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_streamed_is_named(case):
    build, message = REFUSED[case]
    x = keras.Input((None, 3), name="audio")
    model = keras.Model(x, build(x))
    with pytest.raises(StreamingError, match=message):
        to_streaming(model)


def test_a_wrong_rule_is_found_out(monkeypatch):
    class Cumulative(layers.Layer):
        def call(self, x):
            return keras.ops.cumsum(x, axis=1)

    class Careless(Rule):
        pointwise_in_time = True

        def signature(self, call, inputs, fresh):
            return Signature(outputs=[Labels.none(3)])

    monkeypatch.setitem(rule_table._RULES, Cumulative, Careless())
    x = keras.Input((None, 3), name="audio")
    model = keras.Model(x, Cumulative(name="sum")(x))
    with pytest.raises(StreamingError, match=r"'sum'.*Received: a difference"):
        to_streaming(model)


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedModelError, match="Received: Own"):
        to_streaming(Own())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pitch": np.zeros((5, 2))}, r"'pitch' must have shape \(time, 1\)"),
        ({"pitch": np.zeros((1, 5, 1))}, "without a batch axis"),
        ({"pitch": np.zeros((4, 1))}, "not equally long"),
        ({"gru_state": np.zeros((5, 16))}, "states are kept"),
    ],
)
def test_bad_sequences(streaming, change, message):
    given = {"pitch": np.zeros((5, 1)), "level": np.zeros((5, 1)), **change}
    with pytest.raises(InputError, match=message):
        streaming.run(given)


def test_a_missing_input_and_a_whole_sequence_as_one_step(streaming):
    with pytest.raises(InputError, match=r"Received: \['pitch'\]"):
        streaming.step({"pitch": 0.5})
    with pytest.raises(InputError, match=r"holds 1 numbers.*\(9, 1\)"):
        streaming.step({"pitch": np.zeros((9, 1)), "level": 0.1})
