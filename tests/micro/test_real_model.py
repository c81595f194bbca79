# SPDX-License-Identifier: MIT
"""C++ beside Python on a converted model, over a run of TFLite Micro."""

from pathlib import Path

import keras
import numpy as np
import pytest
from fake_step_model import FakeModel, FakeTensor
from graphs import tiny_wavenet

from tf_diet.convert.micro import to_micro
from tf_diet.convert.runtime import MicroRunner
from tf_diet.convert.sketch import write_sketch
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.models.ddsp_network import DDSPConfig, ddsp, decoder

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
HOST = Path(__file__).parent / "host"
FRAMES = 100


def features(seed):
    rng = np.random.default_rng(seed)
    instrument = np.zeros((FRAMES, 2), "float32")
    instrument[:, seed % 2] = 1
    return {
        "pitch": np.repeat(rng.uniform(0.4, 0.7, FRAMES // 10), 10)
        .astype("float32")
        .reshape(-1, 1),
        "level": rng.uniform(0.2, 0.9, (FRAMES, 1)).astype("float32"),
        "instrument": instrument,
    }


@pytest.fixture(scope="module")
def streaming():
    keras.utils.set_random_seed(5)
    config = DDSPConfig.preset(
        "tiny", hidden=16, gru_units=16, instruments=2, mlp_layers=1
    )
    model = decoder(ddsp(config))
    rng = np.random.default_rng(5)
    # Biases are zero before training, and zeros hide mistakes.
    for variable in model.trainable_variables:
        noise = rng.normal(0, 0.2, variable.shape)
        variable.assign(np.asarray(variable) + noise)
    return to_streaming(model)


@pytest.fixture(scope="module", params=["float32", "int8", "int16x8"])
def converted(request, streaming, tmp_path_factory):
    calibration = [features(seed) for seed in range(1, 5)]
    lite = to_tflite(streaming, request.param, calibration)
    folder = tmp_path_factory.mktemp("micro")
    to_micro(
        lite,
        folder,
        sample_rate=16000,
        hop=160,
        settings={"harmonics": 40, "noise_bands": 65, "instruments": 2},
    )
    return request.param, lite, folder


def record(lite, sequences, path):
    """Runs TFLite Micro and writes what goes in and out of every call."""
    runner = MicroRunner(lite)
    invoke, trace = runner.invoke, bytearray()

    def recorded(stored):
        results = invoke(stored)
        for array in (*stored, *results):
            trace.extend(np.ascontiguousarray(array).tobytes())
        return results

    runner.invoke = recorded
    controls = runner.run(sequences)
    path.write_bytes(bytes(trace))
    return [details.name for details in runner.free_inputs], controls


def stand_in(lite, settings_ops):
    """The same tensors in the words of the stub interpreter."""
    model = FakeModel()
    model.inputs, model.outputs = (
        [
            FakeTensor(d.name, d.size, d.dtype, d.scale, d.zero_point)
            for d in side
        ]
        for side in (lite.inputs, lite.outputs)
    )
    model.OPS = settings_ops
    return model


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """A WaveNet, which reads codes, not numbers that were quantised."""
    keras.utils.set_random_seed(6)
    lite = to_tflite(to_streaming(tiny_wavenet(3, 0)))
    folder = tmp_path_factory.mktemp("codes")
    to_micro(lite, folder, sample_rate=16000, hop=1)
    return lite, folder


@pytest.fixture
def replay(compiled, library, run_program, tmp_path):
    """Runs C++ on what a run of TFLite Micro read and wrote.

    Returns what it differs by from the Python runner, and the summary of its
    inputs: how many, how many differ, and by how much at most.
    """

    def run(kind, lite, folder, sequences):
        names, expected = record(lite, sequences, tmp_path / "trace")
        rows = [sequences[name].reshape(FRAMES, -1) for name in names]
        numbers = np.concatenate(rows, axis=1).astype("<f4")
        numbers.tofile(tmp_path / "inputs")
        words = stand_in(lite, lite.ops).write(tmp_path / "words")
        program = compiled(
            f"replay_{kind}",
            [
                HOST / "replay.cpp",
                library / "src" / "tf_diet" / "step_model.cpp",
                words / "model_data.cc",
            ],
            include=[folder],
        )
        said = run_program(
            program,
            tmp_path / "trace",
            tmp_path / "inputs",
            tmp_path / "controls",
        )
        got = np.fromfile(tmp_path / "controls", "<f4").reshape(FRAMES, -1)
        expected = np.reshape(expected, (FRAMES, -1))
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        numbers, unequal, worst = map(float, said.split())
        assert numbers == FRAMES * sum(d.size for d in lite.inputs)
        return unequal / numbers, worst

    return run


def test_step_model_equals_the_python_runner(converted, replay):
    kind, lite, folder = converted
    unequal, worst = replay(kind, lite, folder, features(9))
    # A tie may be rounded to either side.
    assert unequal <= 0.002
    assert worst <= (0 if kind == "float32" else 1)


def test_step_model_reads_codes(codes, replay):
    lite, folder = codes
    rng = np.random.default_rng(9)
    sequences = {
        "codes": rng.integers(256, size=FRAMES, dtype=np.int32),
        "conditioning": rng.random((FRAMES, 3), np.float32),
    }
    assert replay("codes", lite, folder, sequences) == (0, 0)


def test_its_sketch_compiles(converted, compiled, tmp_path):
    kind, lite, folder = converted
    sketch = write_sketch(tmp_path, folder)
    compiled(
        f"real_sketch_{kind}",
        [
            HOST / "sketch.cpp",
            HOST / "stub_model.cpp",
            *sorted(sketch.rglob("*.cpp")),
        ],
        include=[sketch],
        flags=['-DSKETCH="DdspSynth.ino"'],
        library=False,
    )
    readme = (sketch / "README.md").read_text()
    assert all(op in readme for op in lite.ops)
    assert f"{len(lite.for_board()):,} bytes" in readme
