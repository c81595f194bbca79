# SPDX-License-Identifier: MIT
"""Everything causal streams, and what cannot stream says why."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers, ops
from long_runs import apart
from streaming_models import CASES, built, left

from tf_diet.convert.runtime import LiteRTRunner
from tf_diet.convert.streaming import StreamingModel, to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import InputError, StreamingError

ACCEPTED = [name for name, case in CASES.items() if not case.refused]
REFUSED = [name for name, case in CASES.items() if case.refused]


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCEPTED)
def test_step_equals_offline_over_thousands_of_steps(name):
    case = CASES[name]
    _, error = apart(built(name), 2000, case.frame, **case.settings)
    assert error < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCEPTED[::3])
def test_longer_frames(name):
    case = CASES[name]
    _, error = apart(built(name), 480, 3 * case.frame, **case.settings)
    assert error < 1e-6


@pytest.mark.parametrize(
    "name",
    [
        "Delta features",
        "Keyword head: last output of a GRU",
        "CRUSE",
        "U-Net with skips over two rates",
        "Look-ahead with a stated delay",
    ],
)
def test_step_equals_offline(name):
    case = CASES[name]
    _, error = apart(built(name), 64, case.frame, **case.settings)
    assert error < 1e-6


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_stream_says_why(name):
    with pytest.raises(StreamingError, match=CASES[name].refused):
        to_streaming(built(name), CASES[name].frame)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "CRUSE",
        "Delta features",
        "RAVE decoder, transposed convolutions",
        "Causal attention over a bounded past",
        "Left padding, DepthwiseConv1D",
    ],
)
def test_converted_to_tflite(name):
    case = CASES[name]
    streaming = to_streaming(built(name), case.frame, **case.settings)
    (details,) = streaming.free_inputs
    x = np.random.default_rng(0).normal(
        size=(12 * case.frame, *details.shape[2:])
    )
    got = LiteRTRunner(to_tflite(streaming), case.frame).run(
        {details.name: x.astype("float32")}
    )
    wanted = streaming.run({details.name: x.astype("float32")})
    assert np.abs(got.reshape(wanted.shape) - wanted).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantize", "bound"), [("int8", 0.1), ("int16x8", 0.01)]
)
@pytest.mark.filterwarnings("ignore:.* as int8. error:UserWarning")
def test_attention_keeps_its_scores_in_integers(quantize, bound):
    case = CASES["Causal attention over a bounded past"]
    streaming = to_streaming(
        built("Causal attention over a bounded past"),
        case.frame,
        **case.settings,
    )
    x = np.random.default_rng(0).normal(size=(2, 600, 4)).astype("float32")
    lite = to_tflite(streaming, quantize, x)
    assert lite.fidelity.rms_error < bound


# Random causal graphs: each kind makes a sequence of another.


def windowed(x, size, dilation):
    past = (size - 1) * dilation
    return layers.Conv1D(4, size, dilation_rate=dilation)(left(x, past))


KINDS = {
    "causal": lambda x, n: layers.Conv1D(
        4, 1 + n, padding="causal", activation="tanh"
    )(x),
    "padded": lambda x, n: windowed(x, 2, n),
    "depthwise": lambda x, n: layers.DepthwiseConv1D(n)(left(x, n - 1)),
    "pooled": lambda x, n: layers.MaxPooling1D(n, strides=1)(left(x, n - 1)),
    "delay": lambda x, n: ops.pad(x, ((0, 0), (n, 0), (0, 0)))[:, :-n],
    "recurrent": lambda x, n: layers.GRU(4, return_sequences=True)(x),
    "sum": lambda x, n: 0.1 * ops.cumsum(x, axis=1),
    "slices": lambda x, n: ops.concatenate([x[..., n:], x[..., :n]], -1),
    "mean": lambda x, n: x - ops.mean(x, axis=-1, keepdims=True),
    "heads": lambda x, n: layers.Reshape((-1, 4))(
        layers.Dense(2)(layers.Reshape((-1, 2, 2))(x))
    ),
    "dense": lambda x, n: layers.Dense(4, activation="relu")(x),
    "slope": lambda x, n: left(x[:, n:] - x[:, :-n], n),
    "up and down": lambda x, n: layers.AveragePooling1D(2)(
        layers.Conv1D(4, 3, padding="causal")(layers.UpSampling1D(2)(x))
    ),
    "down and up": lambda x, n: layers.UpSampling1D(2)(
        layers.Conv1D(4, 2, strides=2, padding="causal")(x)
    ),
    "ahead": lambda x, n: layers.Conv1D(4, 1 + n, padding="same")(x),
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(KINDS)),
        st.integers(1, 3),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=6,
)


def program(steps):
    """Each step reads one earlier tensor, and adds another one to it."""
    x = keras.Input((None, 4), name="x")
    made = [x]
    for kind, number, source, other in steps:
        y = KINDS[kind](made[source % len(made)], number)
        made.append(y + made[other % len(made)])
    return keras.Model(x, made[-1])


@pytest.mark.slow
@given(STEPS, st.sampled_from([2, 4, 6]))
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_random_graphs(steps, frame):
    keras.utils.set_random_seed(0)
    streaming, error = apart(program(steps), 96, frame, latency=True)
    assert error < 1e-5, (steps, frame)
    ahead = any(kind == "ahead" for kind, *_ in steps)
    assert ahead or not streaming.latency


# Latency.


def ahead(x):
    y = layers.Conv1D(3, 5, padding="same", name="ahead")(x)
    return layers.Add()([y, layers.Dense(3)(x)])


def sequence_model(head, width=4):
    x = keras.Input((None, width), name="x")
    return keras.Model(x, head(x))


def test_latency_is_taken_only_where_allowed():
    model = sequence_model(ahead)
    with pytest.raises(StreamingError, match=r"'ahead'.*latency=2"):
        to_streaming(model)
    with pytest.raises(StreamingError, match=r"latency=2"):
        to_streaming(model, latency=1)
    for allowed in (2, 7, True):
        streaming = to_streaming(model, latency=allowed)
        assert streaming.latency == 2
    assert "latency 2" in repr(streaming)


@pytest.mark.parametrize("wrong", [-1, 1.5, "allow"])
def test_latency_is_a_number(wrong):
    with pytest.raises(InputError, match="latency is the number"):
        to_streaming(sequence_model(ahead), latency=wrong)


@pytest.mark.parametrize("setting", ["frame", "hop", "attention_window"])
def test_settings_are_positive(setting):
    model = sequence_model(layers.Dense(2))
    with pytest.raises(InputError, match=f"{setting} is a positive"):
        to_streaming(model, **{setting: 0})


def test_lagging_sequences_have_no_answer_for_all():
    model = sequence_model(lambda x: layers.GRU(3, name="answer")(ahead(x)))
    with pytest.raises(StreamingError, match=r"'ahead'.*'answer'.*cannot lag"):
        to_streaming(model, latency=True)


# Rates.


def test_a_frame_that_is_no_multiple_of_the_strides():
    model = sequence_model(
        lambda x: layers.Conv1D(3, 4, strides=4, name="patches")(x)
    )
    with pytest.raises(
        StreamingError, match=r"'patches'.*skips frames.*frame=4\."
    ):
        to_streaming(model, frame=6)
    assert to_streaming(model, frame=8).free_outputs[0].shape == (1, 2, 3)


def test_a_slow_input_that_cannot_be_repeated():
    model = built("SampleRNN, two tiers")
    with pytest.raises(
        StreamingError, match=r"'frames' has one step for 4.*frame=4"
    ):
        to_streaming(model, frame=2)
    streaming = to_streaming(model, frame=4)
    assert [d.shape for d in streaming.free_inputs] == [(1, 1, 3), (1, 4, 1)]


def test_two_rates_that_never_meet():
    x = keras.Input((8, 4), name="x")
    slow = layers.AveragePooling1D(2)(x)
    model = keras.Model(x, layers.Concatenate()([x, left(slow, 4)]))
    with pytest.raises(StreamingError, match="1/2 and 1 steps for each step"):
        to_streaming(model, frame=2)
    outputs = to_streaming(keras.Model(x, [x, slow]), frame=2).free_outputs
    assert [d.shape for d in outputs] == [(1, 2, 4), (1, 1, 4)]


# What is said.


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            lambda x: layers.Lambda(lambda t: 2 * t, name="own")(x),
            r"'own'.*Received: Lambda.*inside cannot be seen",
        ),
        (lambda x: x[:, 0], r"takes time step 0"),
        (lambda x: x[:, 3:7], r"time steps \[3:7:1\] of a stream without an"),
        (lambda x: ops.mean(x, axis=1), r"Mean.*axis 1, which is time"),
        (lambda x: ops.flip(x, axis=1), r"Flip.*axis 1, which is time"),
        (
            lambda x: ops.matmul(ops.transpose(x, (0, 2, 1)), x),
            r"Matmul.*sums over time",
        ),
        (
            lambda x: layers.MultiHeadAttention(2, 2)(
                x, x, use_causal_mask=True
            ),
            r"memory has a bound.*attention_window=",
        ),
        (
            lambda x: layers.GroupNormalization(2)(x),
            r"GroupNormalization.*axis 1, which is time",
        ),
        (
            lambda x: layers.DepthwiseConv1D(3, padding="same", name="d")(x),
            r"'d'.*looks ahead.*ZeroPadding1D\(\(2, 0\)\).*latency=1",
        ),
        (
            lambda x: layers.Conv1DTranspose(
                2, 4, strides=2, padding="same", name="up"
            )(x),
            r"'up'.*looks ahead.*x\[:, :-2\].*latency=1",
        ),
        (
            lambda x: layers.AveragePooling1D(3, 1, padding="same")(x),
            r"mean of fewer steps at the start",
        ),
        (
            lambda x: (
                layers.UpSampling1D(2)(x)[..., None]
                + ops.expand_dims(ops.transpose(x, (0, 2, 1)), 1)
            ),
            r"pairs every time step with every other",
        ),
    ],
)
def test_reasons(head, message):
    with pytest.raises(StreamingError, match=message):
        to_streaming(sequence_model(head))


def test_a_value_for_every_time_step():
    x = keras.Input((6, 4), name="x")
    table = np.arange(24, dtype="float32").reshape(6, 4)
    with pytest.raises(StreamingError, match="each of 6 time steps"):
        to_streaming(keras.Model(x, x + table))


# Settings that are kept.


def test_hop_and_rate_are_kept(tmp_path):
    model = built("SoundStream encoder")
    streaming = to_streaming(model, 8, sample_rate=48000)
    assert streaming.hop == 8
    path = streaming.save(tmp_path / "step.keras")
    again = StreamingModel.load(path)
    assert (again.frame, again.sample_rate, again.hop) == (8, 48000, 8)
    assert again.steps == streaming.steps
    assert again.inputs == streaming.inputs
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    np.testing.assert_array_equal(again.run({"x": x}), streaming.run({"x": x}))
    assert StreamingModel.load(path, hop=256).hop == 256
    assert keras.models.load_model(path).name == streaming.step_model.name


def test_hop_is_unknown_without_a_rate():
    model = sequence_model(layers.Dense(2))
    assert to_streaming(model).hop is None
    assert to_streaming(model, hop=160, sample_rate=16000).hop == 160


def test_a_file_without_settings(tmp_path):
    streaming = to_streaming(sequence_model(layers.Dense(2)))
    streaming.step_model.save(tmp_path / "old.keras")
    again = StreamingModel.load(tmp_path / "old.keras", sample_rate=16000)
    assert (again.frame, again.sample_rate, again.latency) == (1, 16000, 0)


def test_operations_of_the_model_get_no_new_calls():
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, ops.relu(x)[..., :2])
    to_streaming(model)
    calls = [len(op._inbound_nodes) for op in model.operations]
    assert calls == [1] * len(calls)
