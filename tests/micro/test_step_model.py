# SPDX-License-Identifier: MIT
"""StepModel: numbers scaled, states carried, every mismatch named."""

from pathlib import Path

import numpy as np
import pytest
from fake_step_model import FakeModel

pytestmark = pytest.mark.slow

HOST = Path(__file__).parent / "host"


@pytest.fixture
def build(compiled, library, tmp_path):
    """Returns a function that compiles a model together with StepModel."""

    def compile_model(model, *, data=None, flags=(), standard="c++17"):
        tables = model.write(tmp_path / "tables")
        if data is not None:
            written = data.write(tmp_path / "data") / "model_data.cc"
            (tables / "model_data.cc").write_bytes(written.read_bytes())
        sources = [
            HOST / "step_model.cpp",
            HOST / "stub_model.cpp",
            library / "src" / "tf_diet" / "step_model.cpp",
            tables / "model_data.cc",
        ]
        return compiled(
            f"step_model_{tmp_path.name}",
            sources,
            include=[tables, HOST],
            flags=["-Wl,--wrap=malloc", *flags],
            standard=standard,
        )

    return compile_model


def make_inputs(frames, seed=0):
    rng = np.random.default_rng(seed)
    pitch = rng.uniform(0.3, 0.7, frames)
    level = rng.uniform(0, 1, frames)
    instrument = np.tile([0.0, 1.0], (frames, 1))
    rows = np.column_stack([level, instrument, pitch]).astype("<f4")
    return rows, pitch, level, instrument


KINDS = {
    "float32": {},
    "int8_same_scales": {
        "kind": "int8",
        "scales": (0.02, 0.02),
        "zeros": (3, 3),
    },
    "int8": {"kind": "int8", "scales": (0.005, 0.023), "zeros": (-25, 14)},
    "int16": {
        "kind": "int16",
        "scales": (1 / 9000, 1.002 / 9000),
        "zeros": (0, 0),
    },
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("namespace", ["tflite", "tflite_micro"])
def test_equals_numpy_over_fed_back_frames(
    kind, namespace, build, run_program, tmp_path
):
    model = FakeModel(**KINDS[kind])
    flags = ["-DSTUB_MICRO_NAMESPACE"] if namespace == "tflite_micro" else []
    program = build(model, flags=flags)
    rows, pitch, level, instrument = make_inputs(50)
    refused = np.full((1, 4), np.nan, "<f4")
    again = np.full((1, 4), 2000, "<f4")
    np.concatenate([rows[:20], refused, rows[20:], again, rows]).tofile(
        tmp_path / "inputs"
    )
    run_program(program, "run", tmp_path / "inputs", tmp_path / "controls")
    got = np.fromfile(tmp_path / "controls", "<f4").reshape(-1, 106)
    expected = model.run(pitch, level, instrument)
    # Where the two round a tie apart, they differ by one step.
    step = model.outputs[1].scale
    for half in (got[:50], got[50:]):
        np.testing.assert_allclose(half, expected, atol=1e-6 + 1.01 * step)
    assert np.abs(got[:50] - expected).mean() < 1e-6 + 0.01 * step


def test_compiles_as_cpp11(build, run_program):
    program = build(FakeModel(), standard="c++11")
    assert run_program(program, "begin") == "ok\n"


def changed(**changes):
    model = FakeModel()
    for name, value in changes.items():
        setattr(model, name, value)
    return model


@pytest.mark.parametrize(
    ("words", "changes", "flags"),
    [
        ("another TFLite schema", {"version": 2}, []),
        ("too small or an operator", {"arena_bytes": 4096}, []),
        ("too small or an operator", {}, ["-DOPERATORS=2"]),
        ("memory given to begin() is too small", {}, ["-DSHORT_BY=1100"]),
    ],
)
def test_begin_says_what_is_wrong(words, changes, flags, build, run_program):
    data = changed(**changes)
    program = build(FakeModel(), data=data, flags=flags)
    assert words in run_program(program, "begin")


def test_begin_compares_the_tables(build, run_program):
    data = FakeModel()
    data.inputs.pop()
    assert "other tensors" in run_program(
        build(FakeModel(), data=data), "begin"
    )


def test_begin_compares_sizes(build, run_program):
    data = FakeModel()
    data.outputs[1].size = 105
    assert "another size" in run_program(build(FakeModel(), data=data), "begin")


def test_begin_knows_the_types(build, run_program):
    data = FakeModel("int8", scales=(0.0, 0.1))
    program = build(FakeModel(), data=data)
    assert "int8, int16 nor int32" in run_program(program, "begin")


@pytest.mark.parametrize("states", [[(0, 0)], [(9, 2)], [(0, 2), (0, 2)]])
def test_begin_checks_the_wiring(states, build, run_program):
    model = changed(states=states)
    assert "table of states" in run_program(build(model), "begin")


def test_one_output_must_be_free(build, run_program):
    model = changed(states=[(0, 2)])
    assert "other tensors" in run_program(build(model), "begin")
