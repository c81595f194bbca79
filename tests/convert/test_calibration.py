# SPDX-License-Identifier: MIT
"""Which steps integer ranges are taken from, and with which states."""

import keras
import numpy as np
import pytest

from tf_diet.convert import calibration
from tf_diet.convert.calibration import calls_of
from tf_diet.errors import InputError

pytestmark = pytest.mark.slow


def walked(streaming, sequences):
    """Every step of some sequences, run one by one."""
    found = []
    for sequence in sequences:
        streaming.reset()
        for row in streaming.rows(sequence):
            found.append(streaming.stored_inputs(row))
            streaming.step(row)
    streaming.reset()
    return found


def told(step):
    """What tells one step from another: the two inputs that are no states."""
    return step[0].item(), step[1].item()


def test_states_are_those_of_the_run(streaming, melody):
    sequences = [melody(seed, 60) for seed in range(3)]
    found, every = (
        calls_of(streaming, sequences).steps,
        walked(streaming, sequences),
    )
    assert len(found) == len(every) == 180
    for one, other in zip(found, every, strict=True):
        for given, wanted in zip(one, other, strict=True):
            assert given.shape == wanted.shape
            assert given.dtype == wanted.dtype
            np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_steps_are_spread_over_all_sequences_and_their_whole_length(
    streaming, melody
):
    sequences = [melody(seed, 900) for seed in range(4)]
    # Here an input goes where it goes nowhere else.
    sequences[2]["pitch"][701] = 5.0
    found = calls_of(streaming, sequences).steps
    assert 900 < len(found) < 1100
    every = walked(streaming, sequences)
    seen = {
        tuple(map(float, (s[0].ravel()[0], s[1].ravel()[0]))) for s in found
    }
    places = [
        place
        for place, s in enumerate(every)
        if tuple(map(float, (s[0].ravel()[0], s[1].ravel()[0]))) in seen
    ]
    tenths = np.histogram(places, 40, (0, 3600))[0]
    assert tenths.min() >= 20
    assert 2 * 900 + 701 in places
    again = calls_of(streaming, sequences).steps
    for one, other in zip(found, again, strict=True):
        for given, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(given, wanted)


def test_long_recordings_are_run_in_pieces(streaming, melody, monkeypatch):
    monkeypatch.setattr(calibration, "MOST_RUN", 200)
    monkeypatch.setattr(calibration, "MOST_IN_A_ROW", 50)
    run = []
    over = calibration.FedBack.over

    def counted(self, calls, chosen):
        run.append(min(map(len, calls.values())))
        return over(self, calls, chosen)

    monkeypatch.setattr(calibration.FedBack, "over", counted)
    found = calls_of(streaming, melody(0, 1000)).steps
    assert run == [50] * 4
    assert len(found) == 200


def test_examples_of_a_plain_model_are_spread_and_hold_the_extremes():
    x = keras.Input((3,), name="x")
    net = keras.Model(x, keras.layers.Dense(2)(x))
    data = np.random.default_rng(0).normal(size=(4000, 3)).astype("float32")
    found = np.concatenate([call[0] for call in calls_of(net, data).steps])
    assert 1000 <= len(found) <= 1002
    assert found.min() == data.min()
    assert found.max() == data.max()
    places = np.flatnonzero((data[:, None] == found[None]).all(-1).any(1))
    assert np.diff(places).max() <= 5
    few = calls_of(net, data[:7]).steps
    np.testing.assert_array_equal(np.concatenate([c[0] for c in few]), data[:7])


def test_inputs_of_several_lengths_are_refused():
    inputs = [keras.Input((3,), name="a"), keras.Input((2,), name="b")]
    net = keras.Model(inputs, keras.layers.Concatenate()(inputs))
    data = {"a": np.ones((5, 3)), "b": np.ones((4, 2))}
    with pytest.raises(InputError, match=r"one length. Received: \[4, 5\]"):
        calls_of(net, data)
