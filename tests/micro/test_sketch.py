# SPDX-License-Identifier: MIT
"""A generated sketch folder is complete, compiles alone and plays."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ddsp_reference import reference
from fake_step_model import FakeModel

from tf_diet.convert.sketch import library_sources, toolchains, write_sketch
from tf_diet.errors import ConversionError, InputError, RunFolderError

HOST = Path(__file__).parent / "host"


@pytest.fixture(scope="module")
def model_files(tmp_path_factory):
    return FakeModel().write(tmp_path_factory.mktemp("model"))


@pytest.fixture
def build(compiled, tmp_path):
    """Compiles a sketch folder without the library's own include path."""

    def compile_sketch(folder, *, flags=(), standard="c++17"):
        sources = [HOST / "sketch.cpp", HOST / "stub_model.cpp"]
        sources += sorted(folder.rglob("*.cpp"))
        return compiled(
            f"sketch_{tmp_path.name}",
            sources,
            include=[folder],
            flags=[f'-DSKETCH="{folder.name}.ino"', *flags],
            standard=standard,
            library=False,
        )

    return compile_sketch


def melody_frames(folder):
    """Returns f0 (frames,) and loudness (frames,) as melody.h has them."""
    text = (folder / "melody.h").read_text()
    table = text[text.index("kNotes[]") :]
    notes = [
        (int(a), int(b)) for a, b in re.findall(r"\{(\d+), (\d+)\}", table)
    ]
    number = {
        name: float(value)
        for name, value in re.findall(r"(k\w+) = ([-\d.]+)f?;", text)
    }
    beat = int(number["kMillisecondsPerSixteenth"])
    f0, loudness = [], []
    for midi, sixteenths in notes:
        for time in range(0, sixteenths * beat, 10):
            age, length = time / 1000, sixteenths * beat / 1000
            swell = min(
                age / number["kAttackSeconds"],
                (length - age) / number["kReleaseSeconds"],
                1.0,
            )
            quiet, loud = number["kQuiet"], number["kLoud"]
            loudness.append(quiet + (loud - quiet) * swell)
            bend = number["kVibratoSemitones"] * np.sin(
                2 * np.pi * number["kVibratoHertz"] * age
            )
            f0.append(440 * 2 ** ((midi - 69 + bend) / 12))
    return np.array(f0), np.array(loudness)


def test_the_folder_is_complete(tmp_path, model_files):
    folder = write_sketch(tmp_path, model_files, board="nano-33-ble")
    assert folder == tmp_path / "DdspSynth"
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found >= {
        "DdspSynth.ino",
        "README.md",
        "audio_out.h",
        "melody.h",
        "model_data.cpp",
        "model_data.h",
        "model_ops.h",
        "model_settings.h",
        "model_settings.json",
        "src/TFDiet.h",
        "src/tf_diet/step_model.cpp",
        "src/tf_diet/step_model.h",
        "tflite_library.h",
    }
    assert not list(tmp_path.glob(".*"))
    readme = (folder / "README.md").read_text()
    for words in (
        "CONCATENATION, FULLY_CONNECTED, TANH",
        "1,024 bytes",
        "Arduino Nano 33 BLE",
        "tflite-micro-arduino-examples",
        "`gru_state` (6), `conv_state` (3)",
    ):
        assert words in readme
    assert "ESP32" not in readme
    assert "$" not in readme.replace("$PATH", "")


@pytest.mark.slow
def test_the_sketch_plays_what_python_plays(
    tmp_path, model_files, build, run_program
):
    folder = write_sketch(tmp_path, model_files)
    program = build(folder, flags=["-DTF_DIET_AUDIO_OUT=TF_DIET_AUDIO_CUSTOM"])
    f0, loudness = melody_frames(folder)
    # One more call is the pause, then the tune begins again.
    said = run_program(program, 2 * len(f0) + 1, tmp_path / "audio")
    got = np.fromfile(tmp_path / "audio", "<f4").astype(float)
    pitch = (69 + 12 * np.log2(f0 / 440)) / 127
    controls = FakeModel().run(
        pitch, loudness / 80 + 1, np.tile([1.0, 0.0], (len(f0), 1))
    )
    expected = reference(
        np.column_stack([f0, controls]),
        rate=16000,
        hop=160,
        harmonics=40,
        bands=65,
        seed=1,
    )
    assert len(got) == 2 * len(expected)
    # The pitch of the sketch is float32: its phase drifts over eight seconds.
    worst = np.abs(got[: len(expected)] - expected).max()
    assert worst < 2e-3 * np.abs(expected).max()
    np.testing.assert_array_equal(got[: len(expected)], got[len(expected) :])
    assert "arena 1024 of 1024 bytes" in said
    assert re.search(
        r"model \d+ us, synthesis \d+ us a frame of 10000 us: "
        r"[\d.]+ x real time",
        said,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "output",
    [
        "NONE",
        "I2S_ESP32",
        "PWM_RP2040",
        "I2S_RP2040",
        "PWM_NRF52",
    ],
)
def test_every_output_compiles_and_plays(
    output, tmp_path, model_files, build, run_program
):
    folder = write_sketch(tmp_path, model_files, name="Tune")
    program = build(
        folder,
        flags=[f"-DTF_DIET_AUDIO_OUT=TF_DIET_AUDIO_{output}"],
        standard="c++14",
    )
    assert "x real time" in run_program(program, 101)


@pytest.mark.slow
def test_the_installed_library_is_the_other_layout(
    tmp_path, model_files, compiled, library, run_program
):
    example = library / "examples" / "DdspSynth"
    program = compiled(
        "installed",
        [
            HOST / "sketch.cpp",
            HOST / "stub_model.cpp",
            library / "src" / "tf_diet" / "step_model.cpp",
            model_files / "model_data.cc",
        ],
        include=[example, model_files],
        flags=['-DSKETCH="DdspSynth.ino"'],
    )
    assert "x real time" in run_program(program, 101)


@pytest.mark.slow
def test_a_failing_status_is_printed_and_stops(tmp_path, build):
    model = FakeModel()
    files = model.write(tmp_path / "model")
    model.arena_bytes = 4096
    other = model.write(tmp_path / "other")
    (files / "model_data.cc").write_bytes(
        (other / "model_data.cc").read_bytes()
    )
    program = build(write_sketch(tmp_path, files))
    done = subprocess.run(
        [program, "5"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    assert "Stopped: TensorFlow Lite Micro could not place" in done.stdout
    assert "x real time" not in done.stdout


@pytest.mark.slow
def test_an_unknown_input_stops(tmp_path, build):
    model = FakeModel()
    model.inputs[3].name = "vibrato"
    program = build(write_sketch(tmp_path, model.write(tmp_path / "model")))
    done = subprocess.run(
        [program, "1"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    assert "Input of the model: vibrato" in done.stdout


def test_the_benchmark_runs(compiled, library, run_program):
    program = compiled(
        "benchmark",
        [HOST / "sketch.cpp"],
        include=[library / "examples" / "LatencyBenchmark"],
        flags=['-DSKETCH="LatencyBenchmark.ino"'],
    )
    said = run_program(program, 1)
    assert len(re.findall(r"\d+ us a frame.* x real time", said)) == 4


def test_the_benchmark_needs_no_tensorflow_lite(compiled, library, tmp_path):
    # The library is compiled whole even where only its sound is used.
    source = library / "src" / "tf_diet" / "step_model.cpp"
    main = tmp_path / "main.cpp"
    main.write_text("int main() { return 0; }\n")
    compiled("alone", [source, main], stubs=False)


@pytest.mark.parametrize("name", ["", "my sketch", "../up", "a-b", "a" * 64])
def test_bad_names_are_refused(name, tmp_path, model_files):
    with pytest.raises(InputError, match="letters, digits"):
        write_sketch(tmp_path / "out", model_files, name=name)
    assert not (tmp_path / "out").exists()


def test_unknown_boards_are_refused(tmp_path, model_files):
    with pytest.raises(InputError, match=r"Did you mean 'esp32-s3'"):
        write_sketch(tmp_path / "out", model_files, board="esp32s3")
    assert not (tmp_path / "out").exists()


def test_every_board_has_its_words():
    for name in toolchains.names():
        described = toolchains.get(name).describe()
        assert "TF_DIET_AUDIO_" in described
        assert "Core: " in described


def test_missing_model_files_are_named(tmp_path):
    files = FakeModel().write(tmp_path / "model")
    (files / "model_ops.h").unlink()
    with pytest.raises(InputError, match=r"lacks model_ops\.h"):
        write_sketch(tmp_path / "out", files)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"inputs": []})])
def test_unreadable_settings_are_refused(text, tmp_path):
    files = FakeModel().write(tmp_path / "model")
    (files / "model_settings.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        write_sketch(tmp_path / "out", files)
    assert not (tmp_path / "out").exists()


def test_a_full_folder_is_kept_unless_told(tmp_path, model_files):
    folder = write_sketch(tmp_path, model_files)
    mine = folder / "mine.h"
    mine.write_text("// mine")
    with pytest.raises(RunFolderError, match="overwrite=True"):
        write_sketch(tmp_path, model_files)
    assert mine.exists()
    write_sketch(tmp_path, model_files, overwrite=True)
    assert not mine.exists()
    assert (folder / "DdspSynth.ino").exists()


def test_another_library_can_be_copied(tmp_path, model_files):
    with pytest.raises(InputError, match="has no sources"):
        write_sketch(tmp_path, model_files, library=tmp_path / "nowhere")
    assert library_sources().joinpath("src", "TFDiet.h").is_file()


def numbers(frames=3):
    """Returns inputs of the fake model, (frames, 4): level, two, pitch."""
    return np.random.default_rng(1).uniform(0, 1, (frames, 4))


def expected(rows):
    return FakeModel().run(rows[:, 3], rows[:, 0], rows[:, 1:3])


@pytest.fixture
def labelled(tmp_path, model_files):
    """The files of the fake model, with a label for each of its outputs."""
    copy = tmp_path / "labelled"
    shutil.copytree(model_files, copy)
    path = copy / "model_settings.json"
    settings = json.loads(path.read_text())
    settings["labels"] = [f"class {i}" for i in range(106)]
    path.write_text(json.dumps(settings))
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_a_classifier_answers_over_the_serial_port(
    standard, tmp_path, labelled, build
):
    folder = write_sketch(
        tmp_path, labelled, example="Classifier", board="nano-33-ble"
    )
    assert folder == tmp_path / "Classifier"
    assert not (folder / "audio_out.h").exists()
    readme = (folder / "README.md").read_text()
    assert "class 0, class 1" in readme
    assert "Sound" not in readme
    assert "$" not in readme
    program = build(folder, standard=standard)
    rows = numbers()
    text = "\n".join(",".join(f"{x:.6f}" for x in row) for row in rows)
    said = subprocess.run(
        [program, "2"], input=text + "\n", capture_output=True, text=True
    ).stdout
    assert "send 2 numbers of instrument" in said
    answers = re.findall(r"(class \d+) ([-\d.]+) \d+ us", said)
    wanted = expected(rows)
    assert [name for name, _ in answers] == [
        f"class {row.argmax()}" for row in wanted
    ]
    np.testing.assert_allclose(
        [float(score) for _, score in answers], wanted.max(axis=1), atol=1e-4
    )


@pytest.mark.slow
def test_a_classifier_says_what_is_no_number(tmp_path, model_files, build):
    folder = write_sketch(tmp_path, model_files, example="Classifier")
    program = build(folder)
    row = ",".join(map(str, numbers(1)[0]))
    said = subprocess.run(
        [program, "2"],
        input=f"0.5,oops,{row}\n",
        capture_output=True,
        text=True,
    ).stdout
    assert "Not a number, begin again: oops" in said
    best = expected(numbers(1))[0].argmax()
    assert re.search(rf"^{best} [\d.]+ \d+ us", said, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_a_plain_project_reads_a_file(
    standard, tmp_path, model_files, compiled, run_program
):
    folder = write_sketch(tmp_path, model_files, example="PlainCpp")
    assert (folder / "CMakeLists.txt").is_file()
    assert not list(folder.glob("*.ino"))
    program = compiled(
        f"plain_{standard}",
        [HOST / "stub_model.cpp", *sorted(folder.rglob("*.cpp"))],
        include=[folder],
        standard=standard,
        library=False,
    )
    rows = numbers()
    (tmp_path / "in.txt").write_text(" ".join(f"{x:.7f}" for x in rows.ravel()))
    said = run_program(program, tmp_path / "in.txt")
    got = np.array([line.split() for line in said.splitlines()], float)
    np.testing.assert_allclose(got, expected(rows), rtol=1e-5, atol=1e-6)
    (tmp_path / "cut.txt").write_text("0.5 0.5")
    done = subprocess.run(
        [program, tmp_path / "cut.txt"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "in the middle" in done.stderr


def changed(tmp_path, model_files, **changes):
    copy = tmp_path / "changed"
    shutil.copytree(model_files, copy)
    path = copy / "model_settings.json"
    settings = json.loads(path.read_text())
    for name, value in changes.items():
        if value is None:
            settings.pop(name, None)
        else:
            settings[name] = value
    path.write_text(json.dumps(settings))
    return copy


def test_what_the_model_is_decides_the_example(tmp_path, model_files):
    silent = changed(tmp_path, model_files, harmonics=None)
    folder = write_sketch(tmp_path / "out", silent)
    assert folder.name == "Classifier"
    with pytest.raises(InputError, match=r"without the settings harmonics"):
        write_sketch(tmp_path / "out", silent, example="DdspSynth")
    with pytest.raises(InputError, match=r"Did you mean 'Classifier'"):
        write_sketch(tmp_path / "out", silent, example="classify")


def test_labels_are_counted(tmp_path, model_files):
    few = changed(tmp_path, model_files, labels=["yes", "no"])
    with pytest.raises(InputError, match=r"106 numbers.*Received: 2 labels"):
        write_sketch(tmp_path / "out", few, example="Classifier")


@pytest.mark.parametrize(
    "change", [{"ops": ["BATCH_MATMUL"]}, {"per_channel_dense": True}]
)
def test_a_library_that_cannot_run_the_model(change, tmp_path, model_files):
    files = changed(tmp_path, model_files, **change)
    with pytest.raises(ConversionError, match=r"'nano-33-ble'.*Arduino_Tensor"):
        write_sketch(tmp_path / "out", files, board="nano-33-ble")
    readme = write_sketch(tmp_path / "out", files) / "README.md"
    assert "ESP32" in readme.read_text()
    assert "Nano 33" not in readme.read_text()
