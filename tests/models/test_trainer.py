# SPDX-License-Identifier: MIT
"""Training a model of sounds from Python."""

import json

import numpy as np
import pytest
import soundfile

from tf_diet.errors import InputError, RunFolderError
from tf_diet.models import Trained, train
from tf_diet.models.families import families

pytestmark = pytest.mark.slow

NOTES = ("C4", "D4", "E4", "F4", "G4", "A4")
SIZES = {"hidden": 8, "gru_units": 8, "harmonics": 6, "noise_bands": 5}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    time = np.arange(17600) / 16000
    for number, note in enumerate(NOTES):
        sound = 0.3 * np.sin(2 * np.pi * (262 + 30 * number) * time)
        soundfile.write(folder / f"a_{note}.wav", sound, 16000)
    return folder


def test_what_was_trained_comes_back_and_goes_on(sounds, tmp_path, monkeypatch):
    monkeypatch.setattr(families.get("ddsp"), "epoch", 2)
    told = []
    given = {
        "model": "ddsp",
        "data": sounds,
        "folder": tmp_path / "strings",
        "preset": "tiny",
        "sizes": SIZES,
        "steps": 4,
        "seconds": 1.1,
        "cache": tmp_path / "cache",
        "jobs": 1,
        "say": told.append,
    }
    trained = train(**given)
    assert isinstance(trained, Trained)
    assert "6 clips" in told[0]
    text = (tmp_path / "strings" / "training.jsonl").read_text()
    losses = [json.loads(line)["val_loss"] for line in text.splitlines()]
    assert len(losses) == 2
    assert trained.validation_loss == pytest.approx(min(losses), rel=1e-4)
    assert "loss" in repr(trained)
    assert trained.config.hidden == 8
    with pytest.raises(RunFolderError, match="resume=True"):
        train(**given)
    with pytest.raises(RunFolderError, match="steps: 4 there, 6 now"):
        train(**{**given, "steps": 6}, resume=True)
    again = train(**given, resume=True)
    assert again.validation_loss == trained.validation_loss
    pairs = zip(
        trained.model.get_weights(), again.model.get_weights(), strict=True
    )
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)
    assert Trained.load(tmp_path / "strings").validation_loss is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": {"widht": 3}}, "Received: 'widht=3'. Known: hidden"),
        ({"sizes": {"hidden": 3.5}}, "Received: 'hidden=3.5'"),
        ({"model": "dsp"}, "ddsp"),
    ],
)
def test_what_cannot_be_trained(sounds, tmp_path, changes, message):
    given = {"model": "ddsp", "data": sounds, "folder": tmp_path / "run"}
    with pytest.raises(InputError, match=message):
        train(**{**given, **changes})
    assert not (tmp_path / "run").exists()
