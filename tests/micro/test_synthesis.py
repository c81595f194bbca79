# SPDX-License-Identifier: MIT
"""The C++ synthesis against the same mathematics in float64 numpy."""

import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from ddsp_reference import reference, xorshift32

from tf_diet.audio.synthesis import synthesize

SOURCE = Path(__file__).parent / "host" / "synthesis.cpp"
RATE, HOP, HARMONICS, BANDS, SEED = 16000, 160, 40, 65, 7
# What the library promises: greatest difference over 2 s, of the peak.
TOLERANCE = 5e-6


def make_frames(seconds, rate, hop, harmonics, bands, seed=0):
    """Returns frames [f0, a, d.., n..] of a voice that glides and swells."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate / hop)
    time = np.arange(count) * hop / rate
    # From 90 Hz to where all but two harmonics lie above the Nyquist limit.
    f0 = 90 * (0.35 * rate / 90) ** (time / time[-1])
    f0 *= 1 + 0.02 * np.sin(2 * np.pi * 5 * time)
    controls = rng.normal(size=(count, 1 + harmonics + bands)).cumsum(0) * 0.3
    controls = np.clip(controls, -6, 6)
    controls[:, 0] = 2 + np.sin(2 * np.pi * 1.5 * time)
    return np.column_stack([f0, controls]).astype(np.float32)


@pytest.fixture(scope="module")
def render(compiled, run_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("render")
    programs = {}

    def run(
        part,
        frames,
        sizes=(HARMONICS, HOP, BANDS),
        rate=RATE,
        standard="c++17",
    ):
        key = (sizes, rate, standard)
        if key not in programs:
            name = "synthesis_" + "_".join(map(str, (*sizes, rate, standard)))
            flags = [
                f"-DHARMONICS={sizes[0]}",
                f"-DHOP={sizes[1]}",
                f"-DBANDS={sizes[2]}",
                f"-DRATE={rate}.0f",
                f"-DSEED={SEED}u",
                "-Wl,--wrap=malloc",
            ]
            programs[key] = compiled(
                name, [SOURCE], flags=flags, standard=standard
            )
        frames.astype("<f4").tofile(folder / "frames")
        said = run_program(
            programs[key], part, folder / "frames", folder / "audio"
        )
        assert said.startswith("0 allocations"), said
        return np.fromfile(folder / "audio", dtype="<f4").astype(float)

    return run


def expected_audio(part, frames, sizes=(HARMONICS, HOP, BANDS), rate=RATE):
    harmonics, hop, bands = sizes
    return reference(
        frames,
        rate=rate,
        hop=hop,
        harmonics=harmonics,
        bands=bands,
        seed=SEED,
        part=part,
    )


def distance(got, expected):
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("part", ["harmonics", "noise", "all"])
def test_equals_float64_over_two_seconds(render, part):
    frames = make_frames(2.0, RATE, HOP, HARMONICS, BANDS)
    assert (
        distance(render(part, frames), expected_audio(part, frames)) < TOLERANCE
    )


@pytest.mark.slow
def test_harmonics_stay_exact_over_a_minute(render):
    frames = make_frames(60.0, RATE, HOP, HARMONICS, BANDS)
    got = render("harmonics", frames)
    expected = expected_audio("harmonics", frames)
    assert distance(got[-RATE:], expected[-RATE:]) < TOLERANCE


# Odd sizes: groups of four and pairs of harmonics do not divide them.
@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [(1, 64, 2), (7, 33, 9), (60, 250, 65), (5, 3, 33), (4, 1, 5)],
)
@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_any_size(render, sizes, standard):
    frames = make_frames(0.25, 22050, sizes[1], sizes[0], sizes[2], seed=3)
    got = render("all", frames, sizes, 22050, standard)
    assert (
        distance(got, expected_audio("all", frames, sizes, 22050)) < TOLERANCE
    )


def test_low_pitches_where_a_plain_recurrence_loses_digits(render):
    frames = make_frames(1.0, RATE, HOP, HARMONICS, BANDS, seed=4)
    frames[:, 0] = 4.0 + np.linspace(0, 1, len(frames))
    got = render("harmonics", frames)
    assert distance(got, expected_audio("harmonics", frames)) < TOLERANCE


def test_reset_begins_again(render):
    frames = make_frames(0.5, RATE, HOP, HARMONICS, BANDS)
    stop = frames[:1].copy()
    stop[:, 0] = -1
    got = render("all", np.concatenate([frames[7:29], stop, frames]))
    np.testing.assert_array_equal(got[22 * HOP :], render("all", frames))


def test_silent_above_nyquist(render):
    frames = make_frames(0.5, RATE, HOP, HARMONICS, BANDS)
    frames[:, 0] = 8000.0
    assert not render("harmonics", frames).any()


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
def test_cross_compiles(core, library, tmp_path):
    compiler = shutil.which("arm-none-eabi-g++")
    if compiler is None:
        pytest.skip("arm-none-eabi-g++ is not installed")
    main = tmp_path / "main.cpp"
    main.write_text(
        '#include "TFDiet.h"\n'
        "static tf_diet::DdspSynth<40, 160, 65> synth;\n"
        "float controls[synth.kControls], audio[160];\n"
        "int main() {\n"
        "  synth.begin(16000.0f);\n"
        "  return static_cast<int>(synth.process(440.0f, controls, audio));\n"
        "}\n"
    )
    done = subprocess.run(
        [
            *(compiler, f"-mcpu={core}", "-mthumb", "-std=gnu++14", "-Os"),
            *("-Wall", "-Wextra", "-Werror", "-Wdouble-promotion"),
            *("-fno-exceptions", "-fno-rtti", "-c", str(main)),
            *("-I", str(library / "src"), "-o", str(tmp_path / "main.o")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(7, 33, 9), (4, 1, 5), (2, 6, 2)])
def test_no_undefined_behaviour(sizes, compiled, run_program, tmp_path):
    flags = [
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(f"-DHARMONICS={sizes[0]}", f"-DHOP={sizes[1]}"),
        *(f"-DBANDS={sizes[2]}", f"-DRATE={RATE}.0f", f"-DSEED={SEED}u"),
        "-DNO_HEAP_COUNTER",
    ]
    program = compiled(f"sanitized_{sizes}", [SOURCE], flags=flags)
    frames = make_frames(0.2, RATE, sizes[1], sizes[0], sizes[2])
    frames.astype("<f4").tofile(tmp_path / "frames")
    run_program(program, "all", tmp_path / "frames", tmp_path / "audio")
    got = np.fromfile(tmp_path / "audio", "<f4").astype(float)
    assert distance(got, expected_audio("all", frames, sizes)) < TOLERANCE


def test_equals_the_keras_synthesis(render):
    frames = make_frames(2.0, RATE, HOP, HARMONICS, BANDS, seed=5)
    white = xorshift32(SEED, len(frames) * HOP).astype("float32")
    expected = keras.ops.convert_to_numpy(
        synthesize(
            frames[None, :, :1],
            frames[None, :, 1:],
            white[None],
            harmonics=HARMONICS,
            sample_rate=RATE,
            hop=HOP,
        )
    )[0].astype(float)
    assert distance(render("all", frames), expected) < 1e-5
