# SPDX-License-Identifier: MIT
"""`tf-diet train`, as a user calls it."""

import json

import keras
import numpy as np
import pytest
import soundfile
from command_line import run

from tf_diet.models import trainer
from tf_diet.models.families import ddsp as kinds
from tf_diet.models.families import families

pytestmark = pytest.mark.slow

NOTES = ("C4", "Cs4", "D4", "Ds4", "E4", "F4", "Fs4", "G4", "Gs4", "A4")
SING = ["channels=8", "latent=4", "samples=8192", "rewrites=1"]
SIZES = {
    "ddsp": ["hidden=12", "gru_units=8", "harmonics=8", "noise_bands=9"],
    "wavenet": ["cycles=1", "layers=3", "channels=6", "skip_channels=8"],
    "sing": [*SING, "units=6", "recurrent_layers=1"],
    "sing-autoencoder": SING,
}
# Epochs of each stage, where there are several.
STAGES = {"sing": {"autoencoder": 1, "generator": 1, "model": 2}}

BESIDE = {
    "ddsp": ["static envelope", "loudness error (dB)"],
    "wavenet": ["bigram", "unigram", "8.000", "bits a sample", "in tune"],
    "sing": ["nearest training note", "silence", "in tune (of 1)"],
    "sing-autoencoder": ["nearest training note", "silence"],
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    for number, note in enumerate(NOTES):
        time = np.arange(20000) / 16000
        hertz = 440 * 2 ** ((60 + number - 69) / 12)
        sound = 0.3 * np.sin(2 * np.pi * hertz * time) * np.exp(-time)
        name = "ab"[number % 2]
        soundfile.write(folder / f"{name}_{note}.wav", sound, 16000)
    return folder


def line(sounds, out, model, *more):
    return [
        *("train", "--model", model, "--preset", "tiny", "--data", sounds),
        *("--out", out, "--seconds", "1.1", "--jobs", "1"),
        *("--cache", sounds.parent / "cache", "--set", *SIZES[model]),
        *more,
    ]


EAGER = property(lambda model: True, lambda model, given: None)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def check_playing(sounds, tmp_path, capsys, model):
    """Plays what the training of `model` left."""

    def generate(*more, out="a.wav"):
        folder = ("generate", tmp_path / "whole")
        out = ("--out", tmp_path / out, "--overwrite")
        return run(capsys, *folder, *more, *out)

    code, out = generate("--notes", "C4:0.2", "C4:0.3")
    if model == "sing-autoencoder":
        assert code == 2
        assert "plays no notes" in out
    else:
        assert code == 0, out
        sound, rate = soundfile.read(tmp_path / "a.wav")
        assert rate == 16000
        # Two notes and a release, in whole frames; SING makes half a second.
        wanted = 3200 + 8192 if model == "sing" else 16000
        assert abs(len(sound) - wanted) <= 512
        # It stays, unless it is said that it may go.
        folder = ("generate", tmp_path / "whole", "--notes", "C4")
        code, out = run(capsys, *folder, "-o", tmp_path / "a.wav")
        assert code == 2
        assert "pass --overwrite" in out
        # Only the other instrument was ever heard at this pitch.
        code, out = generate("--notes", "C#4:0.2", "--instrument", "a")
        assert code == 0, out
        code, out = generate("--notes", "C4", "C8")
        assert code == 2
        assert "MIDI 60 to 6" in out
        assert "108" in out
    recording = sounds / "a_C4.wav"
    code, out = generate("--audio", recording, out="b.flac")
    if model == "sing":
        assert code == 2
        assert "train --model sing-autoencoder" in out
        code, out = generate("--notes", "C4:2")
        assert code == 2
        assert "makes sounds of 0.5 s. Received: a note of 2.0 s" in out
    else:
        assert code == 0, out
        sound, _ = soundfile.read(tmp_path / "b.flac")
        assert 0 <= 20000 - len(sound) < 512
        assert np.isfinite(sound).all()
    for wrong, message in (
        (("--audio", tmp_path / "no.wav"), "missing"),
        (("--notes", "C4", "--instrument", "oboe"), "Known: a, b"),
    ):
        code, out = generate(*wrong)
        assert code == 2
        assert message in out
    code, out = generate("--notes", "C4", out="a.doc")
    assert code == 2
    assert ".wav, .flac, .ogg" in out
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    code, out = generate("--notes", "C4", "--ticket", tmp_path / "other.keras")
    assert code == 2
    assert "of another configuration" in out


@pytest.mark.parametrize("model", sorted(SIZES))
def test_a_killed_training_ends_as_an_unbroken_one(
    sounds, tmp_path, capsys, monkeypatch, model
):
    assert set(SIZES) == set(families.names())
    monkeypatch.setattr(families.get(model), "epoch", 2)
    monkeypatch.setattr(trainer, "_KEPT_EVERY", 0.0)
    monkeypatch.setattr(kinds, "_STATIC_STEPS", 2)
    if model != "wavenet":
        # For six steps, making a graph of the others costs ten times as much.
        monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    whole = line(sounds, tmp_path / "whole", model, "--steps", "6")
    code, out = run(capsys, *whole)
    assert code == 0, out
    assert "held-out clips" in out
    texts = (tmp_path / "whole" / "training.jsonl").read_text().splitlines()
    lines = [json.loads(text) for text in texts]
    stages = STAGES.get(model, {"model": 3})
    assert [(line["stage"], line["epoch"]) for line in lines] == [
        (stage, epoch + 1)
        for stage, epochs in stages.items()
        for epoch in range(epochs)
    ]
    # What is kept is the best epoch.
    least = min(line["val_loss"] for line in lines if line["stage"] == "model")
    assert f"held-out clips: {least:.4f}" in out

    end = trainer._Lines.on_epoch_end
    last = {(stage, epochs - 1) for stage, epochs in stages.items()}

    def killed(callback, epoch, logs=None):
        if (callback.stage, epoch) in last:
            last.remove((callback.stage, epoch))
            raise Killed
        end(callback, epoch, logs)

    broken = line(sounds, tmp_path / "broken", model, "--steps", "6")
    with monkeypatch.context() as patch:
        patch.setattr(trainer._Lines, "on_epoch_end", killed)
        for number in range(len(stages)):
            with pytest.raises(Killed):
                run(capsys, *broken, *(["--resume"] if number else []))
    assert not (tmp_path / "broken" / "model.keras").exists()
    code, out = run(capsys, *broken)
    assert code == 2
    assert "not empty" in out
    code, out = run(capsys, *broken, "--resume")
    assert code == 0, out
    models = [
        keras.models.load_model(tmp_path / name / "model.keras")
        for name in ("whole", "broken")
    ]
    for one, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (
        tmp_path / "broken" / "training.jsonl"
    ).read_text().splitlines() == texts
    left = {path.name for path in (tmp_path / "broken").iterdir()}
    assert {name for name in left if not name.startswith(".")} == {
        *("config.json", "model.keras", "templates.npz", "training.jsonl"),
        "seconds.json",
        *(f"{stage}.keras" for stage in stages),
    }
    evaluate = [
        *("evaluate", tmp_path / "whole", "--data", sounds, "--jobs", "1"),
        *("--cache", sounds.parent / "cache"),
    ]
    if model == "ddsp":
        code, out = run(capsys, *evaluate, "--part", "train")
        assert code == 0, out
        assert "8 train clips that were trained on" in out
        assert BESIDE[model][0] not in out
    code, out = run(capsys, *evaluate, "--json", tmp_path / "figures.json")
    assert code == 0, out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["clips"] == 1
    shown = [
        f"{x:.3f}" for row in figures["rows"].values() for x in row.values()
    ]
    assert shown
    assert all(number in out for number in shown)
    assert "1 test clips that were not trained on" in out
    assert all(name in out for name in BESIDE[model])
    check_playing(sounds, tmp_path, capsys, model)
    # What is done is not done again.
    assert run(capsys, *broken, "--resume")[0] == 0
    code, out = run(capsys, *broken[:-1], "8", "--resume")
    assert code == 2
    assert "steps: 6 there, 8 now" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "widht=3"], "Received: 'widht=3'. Known: hidden"),
        (["--set", "hidden=wide"], "Received: 'hidden=wide'"),
        (["--preset", "huge"], "Unknown DDSP preset"),
        (["--data", "nowhere"], "There is no such folder"),
    ],
)
def test_what_cannot_be_trained(sounds, tmp_path, capsys, more, message):
    code, out = run(capsys, *line(sounds, tmp_path / "run", "ddsp"), *more)
    assert code == 2
    assert message in out
    assert not (tmp_path / "run").exists()


def test_sing_is_told_the_pitch(sounds, tmp_path, capsys):
    folder = tmp_path / "named" / "flute"
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(sounds.glob("*.wav"))):
        (folder / f"take{'abcdefghij'[number]}.wav").write_bytes(
            path.read_bytes()
        )
    given = line(folder.parent, tmp_path / "run", "sing")
    given[given.index("--cache") + 1] = tmp_path / "cache"
    code, out = run(capsys, *given)
    assert code == 2
    assert "told the pitch of every note. Received: " in out
    assert "sing-autoencoder" in out
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_evaluated(sounds, tmp_path, capsys):
    code, out = run(capsys, "evaluate", tmp_path, "--data", sounds)
    assert code == 2
    assert "There is no training here" in out
