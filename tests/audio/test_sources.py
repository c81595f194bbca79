# SPDX-License-Identifier: MIT
"""Folders of every layout give the notes that are in them."""

import json

import numpy as np
import pytest
import soundfile

from tf_diet.audio.sources import SHIPPED, read_source
from tf_diet.errors import InputError


def write(path, seconds=0.1, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 440 * time), rate)


def nsynth(folder, part, rows):
    table = {}
    for instrument, pitch, more in rows:
        name = f"{instrument}-{pitch:03d}-100"
        write(folder / f"nsynth-{part}" / "audio" / f"{name}.wav")
        table[name] = {
            "instrument_str": instrument,
            "pitch": pitch,
            "velocity": 100,
            **more,
        }
    path = folder / f"nsynth-{part}" / "examples.json"
    path.write_text(json.dumps(table))
    return path


def test_nsynth_folders(tmp_path):
    nsynth(tmp_path, "train", [("flute_acoustic_000", 60, {})])
    nsynth(tmp_path, "valid", [("bass_synthetic_001", 40, {"recording": "r"})])
    source = read_source(tmp_path)
    assert source.layout == "NSynth"
    one, two = source.notes
    assert (one.instrument, one.pitch, one.velocity, one.part) == (
        *("flute_acoustic_000", 60, 100),
        "train",
    )
    assert one.recording == "flute_acoustic_000 60"
    assert (two.part, two.recording) == ("valid", "r")
    # One part alone keeps its name.
    assert read_source(tmp_path / "nsynth-valid").notes[0].part == "valid"


def test_a_listed_file_that_is_missing_is_reported(tmp_path):
    nsynth(tmp_path, "test", [("a", 60, {}), ("a", 61, {})])
    (tmp_path / "nsynth-test" / "audio" / "a-061-100.wav").unlink()
    source = read_source(tmp_path)
    assert len(source.notes) == 1
    ((name, why),) = source.problems
    assert "a-061-100" in name
    assert "missing" in why


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("pitch"), r"KeyError\('pitch'\)"),
        (lambda row: row.update(pitch="high"), "ValueError"),
        (lambda row: row.pop("instrument_str"), "instrument_str"),
    ],
)
def test_labels_that_cannot_be_read(tmp_path, change, message):
    path = nsynth(tmp_path, "train", [("a", 60, {})])
    table = json.loads(path.read_text())
    change(table["a-060-100"])
    path.write_text(json.dumps(table))
    with pytest.raises(InputError, match=message) as error:
        read_source(tmp_path)
    assert "'a-060-100' in " in str(error.value)
    assert str(path) in str(error.value)
    path.write_text("[1]")
    with pytest.raises(InputError, match="no object of notes by name"):
        read_source(tmp_path)


def test_what_ships():
    source = read_source(SHIPPED)
    assert source.layout == "notes.json"
    assert source.instruments == ("flute", "violin")
    assert len({note.recording for note in source.notes}) == 24


def test_what_ships_goes_by_a_name(tmp_path, monkeypatch):
    assert read_source("shipped").notes == read_source(SHIPPED).notes
    # A folder of this name comes first.
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "shipped" / "oboe_A4.wav")
    assert read_source("shipped").instruments == ("oboe",)


@pytest.mark.parametrize(
    "table", ["{", "[]", '{"clips": [{"file": "x"}]}', '{"clips": 3}']
)
def test_a_damaged_table_of_notes(tmp_path, table):
    (tmp_path / "notes.json").write_text(table)
    with pytest.raises(InputError, match=r"notes\.json cannot be used"):
        read_source(tmp_path)


def test_a_table_that_lists_a_missing_file(tmp_path):
    row = {"instrument": "violin", "pitch": 69, "recording": "one"}
    rows = [{"file": name, **row} for name in ("gone.flac", "there.flac")]
    (tmp_path / "notes.json").write_text(json.dumps({"clips": rows}))
    write(tmp_path / "there.flac")
    source = read_source(tmp_path)
    assert [note.name for note in source.notes] == ["there.flac"]
    ((name, why),) = source.problems
    assert name == "gone.flac"
    assert "missing, though" in why


def test_hidden_files_are_not_notes(tmp_path):
    write(tmp_path / "violin_A4.wav")
    (tmp_path / "._violin_B4.wav").write_bytes(b"resource fork")
    assert len(read_source(tmp_path).notes) == 1


def test_the_folder_names_instruments_that_files_do_not(tmp_path):
    write(tmp_path / "Cello" / "Fs3.wav")
    (note,) = read_source(tmp_path / "Cello").notes
    assert (note.instrument, note.pitch) == ("cello", 54)


def test_files_by_note_names_and_folders_of_classes(tmp_path):
    for name in ("violin_A4.wav", "train/drum/hit.flac", "oboe/valid/Bb3.wav"):
        write(tmp_path / "set" / name)
    (tmp_path / "set" / "readme.txt").write_text("no sound")
    source = read_source(tmp_path / "set")
    found = {
        n.name: (n.instrument, n.pitch, n.part, n.recording)
        for n in source.notes
    }
    assert found == {
        "violin_A4.wav": ("violin", 69, None, "violin_A4"),
        "train/drum/hit.flac": ("drum", None, "train", "train/drum/hit"),
        "oboe/valid/Bb3.wav": ("oboe", 58, "valid", "oboe/valid/Bb3"),
    }


def test_a_folder_without_audio(tmp_path):
    (tmp_path / "readme.txt").write_text("no sound")
    with pytest.raises(InputError, match=r"no audio.*\.wav"):
        read_source(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_source(tmp_path / "none")


def test_tfrecords_are_unpacked_once(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "nsynth-valid.tfrecord"
    sound = (0.5 * np.sin(np.arange(1600) / 9)).astype("float32")

    def feature(value):
        if isinstance(value, str):
            data = tf.train.BytesList(value=[value.encode()])
            return tf.train.Feature(bytes_list=data)
        if isinstance(value, int):
            data = tf.train.Int64List(value=[value])
            return tf.train.Feature(int64_list=data)
        data = tf.train.FloatList(value=value)
        return tf.train.Feature(float_list=data)

    row = {
        "note_str": "reed_acoustic_023-067-075",
        "instrument_str": "reed_acoustic_023",
        "pitch": 67,
        "velocity": 75,
        "sample_rate": 16000,
        "audio": sound,
    }
    example = tf.train.Example(
        features=tf.train.Features(
            feature={name: feature(value) for name, value in row.items()}
        )
    )
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    source = read_source(tmp_path)
    (note,) = source.notes
    assert (note.instrument, note.pitch, note.velocity, note.part) == (
        *("reed_acoustic_023", 67, 75),
        "valid",
    )
    heard, rate = soundfile.read(note.path)
    assert rate == 16000
    np.testing.assert_allclose(heard, sound, atol=1e-4)
    made = note.path.stat().st_mtime_ns
    assert read_source(tmp_path).notes[0].path.stat().st_mtime_ns == made

    damaged = tmp_path / "other" / "x.tfrecord"
    damaged.parent.mkdir()
    damaged.write_bytes(path.read_bytes()[:-9] + b"123456789")
    with pytest.raises(InputError, match="damaged"):
        read_source(damaged.parent)
    assert [p.name for p in damaged.parent.iterdir()] == ["x.tfrecord"]
