# SPDX-License-Identifier: MIT
"""Scores of whole models: who is found, and with what data."""

import keras
import numpy as np
import pytest
from graphs import ddsp_decoder, ddsp_synthesiser, small_convnet, tiny_wavenet
from keras import layers

from tf_diet.criteria import (
    Criterion,
    InformationGain,
    MutualInformation,
    observation,
    rank,
)
from tf_diet.errors import InputError
from tf_diet.graph.build import build


def planted(width=6, inputs=3, time=None):
    """A linear layer that passes inputs through: units 0.. are inputs 0.."""
    model = keras.Sequential(
        [
            keras.Input((inputs,) if time is None else (time, inputs)),
            layers.Dense(width, name="units"),
            layers.Dense(1, name="out"),
        ]
    )
    kernel = np.zeros((inputs, width), np.float32)
    kernel[range(inputs), range(inputs)] = 1
    model.get_layer("units").set_weights([kernel, np.arange(width) * 0.1])
    return model


def scores_of(model, data, criterion, **kwargs):
    return rank(model, build(model), data, criterion, **kwargs)


def test_information_finds_the_unit_that_knows_the_target():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 3))
    y = 2 * x[:, 1] + rng.standard_normal(2000)
    scores = scores_of(planted(), (x, y), "mutual_information")
    values = scores.values["units"]
    assert values[1] == pytest.approx(-np.log(1 - 0.8) / 2, rel=0.05)
    assert max(values[0], values[2]) < 0.01
    assert (values[3:] == 0).all()
    assert scores.criterion == "mutual_information"
    assert "one target an example" in scores.alignment["units"]
    assert "6 units" in repr(scores)


def test_integers_of_examples_are_classes_unless_told_otherwise():
    rng = np.random.default_rng(1)
    y = rng.integers(3, size=3000)
    # Class 0 and class 2 look alike: a number's order would say so.
    x = np.stack([1.0 * (y == 1), 1.0 * y, 0.0 * y], axis=1)
    x += 0.3 * rng.standard_normal(x.shape)
    model = planted()
    auto = scores_of(model, (x, y), "mutual_information").values["units"]
    as_text = scores_of(model, (x, y.astype(str)), "mutual_information")
    np.testing.assert_array_equal(auto, as_text.values["units"])
    ordered = scores_of(model, (x, y), MutualInformation(method="ladder"))
    assert not np.array_equal(auto, ordered.values["units"])
    gains = scores_of(model, (x, y), "information_gain").values["units"]
    assert gains[1] > 0.3
    assert gains[0] > 0.1


def test_gain_ranks_copies_last_where_information_cannot():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2000, 3))
    x[:, 1] = x[:, 0]
    y = np.stack([x[:, 0], 0.3 * x[:, 2] + rng.standard_normal(2000)], axis=1)
    nats = scores_of(planted(), (x, y), "mutual_information").values["units"]
    gains = scores_of(planted(), (x, y), InformationGain()).values["units"]
    assert nats[0] == nats[1] > nats[2]
    assert min(gains[:2]) < gains[2] < max(gains[:2])


def test_activation_is_the_mean_of_absolute_values():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((100, 3)).astype(np.float32)
    model = planted()
    values = scores_of(model, (x, None), "activation").values["units"]
    z = x @ np.eye(3, 6) + np.arange(6) * 0.1
    np.testing.assert_allclose(values, np.abs(z).mean(axis=0), rtol=1e-5)
    # Targets are not needed, so they are not looked at either.
    alone = scores_of(model, x, "activation").values["units"]
    np.testing.assert_array_equal(alone, values)


def test_units_of_frames_are_compared_with_the_sound_of_their_frame():
    rng = np.random.default_rng(4)
    level = rng.random((30, 30, 1))
    audio = level.repeat(1024, axis=1)[..., 0]
    audio = audio * rng.standard_normal(audio.shape)
    shifted = np.roll(level, 15, axis=1)
    x = np.concatenate([level, shifted, rng.random(level.shape)], axis=2)
    scores = scores_of(planted(time=30), (x, audio), "mutual_information")
    values = scores.values["units"]
    assert values[0] > 0.3
    assert values[1:3].max() < 0.02
    assert "log-power spectrum" in scores.alignment["units"]


def test_own_target_features():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((500, 3))
    y = rng.standard_normal((500, 40))

    def features(y):
        return x[:, 2:] + 0 * y[:, :1]

    own = MutualInformation(target_features=features)
    values = scores_of(planted(), (x, y), own).values["units"]
    assert values[2] > 2 > 0.05 > values[:2].max()


def test_a_model_is_left_as_it_was():
    model = ddsp_synthesiser()
    before = [np.array(v) for v in model.variables]
    x, y = synthesiser_data()
    scores_of(model, (x, y), "mutual_information")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def synthesiser_data(examples=6, frames=30):
    rng = np.random.default_rng(6)
    x = {
        "f0": rng.uniform(200, 800, (examples, frames, 1)),
        "loudness": rng.uniform(-60, -10, (examples, frames, 1)),
        "instrument": np.eye(2)[rng.integers(2, size=(examples, 1))].repeat(
            frames, axis=1
        ),
    }
    level = np.exp(x["loudness"] / 9).repeat(160, axis=1)[..., 0]
    return x, level * rng.standard_normal(level.shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build_model", "data"),
    [
        (ddsp_synthesiser, synthesiser_data),
        (
            ddsp_decoder,
            lambda: (
                [
                    np.random.default_rng(0).random((20, 30, 1)),
                    np.random.default_rng(2).random((20, 30, 1)),
                    np.ones((20, 30, 2)),
                ],
                np.random.default_rng(1).random((20, 30, 106)),
            ),
        ),
        (
            small_convnet,
            lambda: (
                np.random.default_rng(0).random((60, 8, 8, 3)),
                np.random.default_rng(1).random((60, 4)),
            ),
        ),
    ],
    ids=["synthesiser", "decoder", "convnet"],
)
@pytest.mark.parametrize(
    "criterion", ["mutual_information", "information_gain", "activation"]
)
def test_whole_models(build_model, data, criterion):
    model = build_model()
    graph = build(model)
    x, y = data()
    scores = rank(model, graph, (x, y), criterion, seed=3)
    assert list(scores.values) == [g.name for g in graph.groups]
    for group in graph.groups:
        assert scores.values[group.name].shape == (group.n_units,)
        assert (scores.values[group.name] >= 0).all()
    again = rank(model, graph, (x, y), criterion, seed=3)
    for name, values in scores.values.items():
        np.testing.assert_array_equal(values, again.values[name])
    if criterion == "mutual_information":
        assert set(scores.alignment) == set(scores.values)


def test_a_wavenet_is_ranked_by_its_codes():
    model = tiny_wavenet()
    shapes = {i.name: i.shape for i in model.inputs}
    rng = np.random.default_rng(7)
    frames = 64
    x = {
        name: rng.standard_normal((8, *(s or frames for s in shape[1:])))
        for name, shape in shapes.items()
    }
    codes = rng.integers(256, size=(8, frames))
    assert model.outputs[0].shape == (None, None, 256)
    scores = scores_of(model, (x, codes), "mutual_information")
    assert set(scores.alignment.values()) == {
        "the target at the unit's position; estimator: ladder"
    }


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size=16):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    @property
    def num_batches(self):
        return -(-len(self.y) // self.size)

    def __getitem__(self, index):
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows], self.y[rows]


def test_all_forms_of_data_give_the_same_scores():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((100, 3)).astype(np.float32)
    y = (x[:, :1] + rng.standard_normal((100, 1))).astype(np.float32)
    model = planted()
    name = model.inputs[0].name
    expected = scores_of(model, (x, y), "mutual_information").values["units"]
    assert expected[0] > 0.1
    forms = [
        ([x], y),
        ({name: x}, y[:, 0]),
        (x, y, np.ones(100)),
        Batches(x, y),
        [(x[:50], y[:50]), (x[50:], y[50:])].__iter__(),
    ]
    for data in forms:
        values = scores_of(model, data, "mutual_information").values["units"]
        np.testing.assert_allclose(values, expected, atol=1e-9)


def test_tensorflow_datasets_are_read_without_end():
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(9)
    x = rng.standard_normal((100, 3)).astype(np.float32)
    y = x[:, 0] + rng.standard_normal(100).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(25)
    model = planted()
    values = scores_of(model, dataset, "mutual_information").values["units"]
    expected = scores_of(model, (x, y), "mutual_information").values["units"]
    np.testing.assert_allclose(values, expected, atol=1e-9)
    endless = scores_of(model, dataset.repeat(), "mutual_information")
    assert endless.values["units"][0] > 0.1


def test_memory_is_bounded_by_running_again(monkeypatch):
    model = small_convnet()
    rng = np.random.default_rng(10)
    data = rng.random((60, 8, 8, 3)), rng.random((60, 4))
    whole = scores_of(model, data, "mutual_information").values
    kept = []
    look = observation.Observer._look

    def counted(self, groups):
        kept.append(len(groups))
        return look(self, groups)

    monkeypatch.setattr(observation, "KEPT_BYTES", 2000)
    monkeypatch.setattr(observation.Observer, "_look", counted)
    parts = scores_of(model, data, "mutual_information").values
    assert len(kept) > 2
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])


@pytest.mark.parametrize("examples", [3, 40, 900])
@pytest.mark.parametrize("time", [1, 2, 30, 3000])
def test_positions_are_spread_and_never_side_by_side(
    monkeypatch, examples, time
):
    monkeypatch.setattr(observation, "POSITIONS", 300)
    monkeypatch.setattr(observation, "EXAMPLES", 60)
    model = planted(inputs=1, time=time)
    seen = []

    class Spy(Criterion):
        needs = frozenset({"activations"})

        def score(self, group, seen_now):
            seen.append(seen_now.sites[0].x[:, 0])
            return np.zeros(group.n_units)

    x = np.arange(examples * time, dtype=float).reshape(examples, time, 1)
    model.get_layer("units").set_weights([np.ones((1, 6)), np.zeros(6)])
    scores_of(model, (x, None), Spy(), seed=1)
    (places,) = seen
    assert len(np.unique(places)) == len(places) <= max(300, examples)
    if time > 2:
        same_example = np.diff(places // time) == 0
        assert (np.diff(places)[same_example] >= 2).all()
        assert len(places) >= min(examples, 60) * min(time // 2, 300 // 60)
    scores_of(model, (x, None), Spy(), seed=1)
    np.testing.assert_array_equal(places, seen[1])
    if examples * time > 900:
        scores_of(model, (x, None), Spy(), seed=2)
        assert not np.array_equal(places, seen[2])


def test_a_model_for_one_batch_size():
    image = keras.Input(batch_shape=(4, 6, 3))
    z = layers.Conv1D(5, 2, name="conv")(image)
    model = keras.Model(image, layers.Dense(2)(z))
    free = keras.Sequential(
        [keras.Input((6, 3)), layers.Conv1D(5, 2, name="conv"), layers.Dense(2)]
    )
    free.set_weights(model.get_weights())
    x = np.random.default_rng(11).standard_normal((10, 6, 3))
    fixed = scores_of(model, (x, None), "activation").values["conv"]
    expected = scores_of(free, (x, None), "activation").values["conv"]
    np.testing.assert_allclose(fixed, expected, rtol=1e-5)


def good(examples=20):
    rng = np.random.default_rng(12)
    return rng.standard_normal((examples, 3)), rng.standard_normal(examples)


X, Y = good()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "data=None.*needs none: .*magnitude, .*random"),
        ((X[:, :2], Y), r"\(samples, 3\). Received: \(20, 2\)"),
        ((X[0], Y), r"Received: \(3,\). Add the sample axis"),
        ((X[:0], Y[:0]), "input '.*' is empty"),
        ((X, Y[:0]), "targets are empty"),
        ((X, Y[:19]), "20 samples for input .*19 samples for the target"),
        ((X * np.nan, Y), r"input .* must be finite.*60 NaN.*\(0, 0\)"),
        ((X, Y * np.inf), "the target must be finite.*20 NaN or inf"),
        ((X.astype(str), Y), "must be numbers.*dtype <U"),
        ((X, None), "lacks targets"),
        (X, "lacks targets"),
        (([X, X], Y), "1 inputs: .*calibration data for 2"),
        (({"other": X}, Y), "lacks the input .*'other'"),
        ((X, [Y, Y]), "one target array.*list of 2"),
        ((X, {"a": Y}), "one target array.*dict of 1"),
        ((X, Y, Y, Y), "tuple of 4"),
        (3, "Received: int"),
        (iter(()), "dataset without batches"),
        (iter([(X, Y), (X[:, :2], Y)]), "must have one shape"),
        ((X[:5], Y[:5]), "at least 8 samples"),
    ],
)
def test_bad_data_is_refused_before_anything_runs(data, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        scores_of(planted(), data, "mutual_information")


def test_bad_data_says_how_to_mend_it():
    audio = keras.Input((16000, 1), name="audio")
    z = layers.Conv1D(4, 8, strides=8)(audio)
    model = keras.Model(audio, layers.Dense(2)(z))
    x = np.zeros((64, 16000))
    with pytest.raises(
        InputError,
        match=r"'audio' must have shape \(samples, 16000, 1\). Received: "
        r"\(64, 16000\). Add the channel axis: data\[..., None\]",
    ):
        scores_of(model, (x, x), "mutual_information")


def test_inputs_that_do_not_fit_each_other():
    x, y = synthesiser_data()
    x["loudness"] = x["loudness"][:, :-1]
    with pytest.raises(
        InputError, match=r"(?s)'loudness' \(6, 29, 1\).*frames"
    ):
        scores_of(ddsp_synthesiser(), (x, y), "mutual_information")


def test_units_that_blow_up_are_named():
    model = planted()
    model.get_layer("units").bias.assign(np.full(6, np.inf))
    with pytest.raises(InputError, match="Layer 'units' gives NaN or inf"):
        scores_of(model, (X, Y), "mutual_information")


def test_a_criterion_that_breaks_its_promise():
    class Wrong(Criterion):
        def score(self, group, seen):
            return np.full(group.n_units, np.nan)

    with pytest.raises(
        InputError, match=r"'wrong' must give one finite.*6 not"
    ):
        scores_of(planted(), None, Wrong())
