"""The C++ synthesis against the same mathematics in float64 numpy."""

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


def test_harmonics_stay_exact_over_a_minute(render):
    frames = make_frames(60.0, RATE, HOP, HARMONICS, BANDS)
    got = render("harmonics", frames)
    expected = expected_audio("harmonics", frames)
    assert distance(got[-RATE:], expected[-RATE:]) < TOLERANCE


# Odd sizes: groups of four and pairs of harmonics do not divide them.
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
