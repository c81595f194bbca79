# SPDX-License-Identifier: MIT
"""From any model to files for a board, in one call."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.boards.deployment import deploy
from tf_diet.convert.micro import parse_c_array
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError, InputError, RunFolderError
from tf_diet.models import DDSPConfig, ddsp

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
IMAGES = np.random.default_rng(0).normal(size=(40, 12, 12, 1))


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12, 12, 1), name="image"),
            layers.Conv2D(6, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def sequence_model():
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 4), name="x")
    y = layers.GRU(6, return_sequences=True)(x)
    return keras.Model(x, layers.Dense(2, name="y")(y), name="denoiser")


def test_a_classifier_reaches_a_microcontroller(classifier, tmp_path):
    found = deploy(
        classifier,
        (IMAGES, np.zeros(40)),
        folder=tmp_path / "out",
        board="pico",
        name="digits",
        labels=["a", "b", "c"],
    )
    assert found.model.quantize == "int8"
    assert found.fit.embeddable
    assert found.fit.real_time is None
    assert found.fit.call_ms[0] > 0
    assert found.tflite == tmp_path / "out" / "digits_int8.tflite"
    lite = TFLiteModel.load(found.tflite)
    written = parse_c_array(found.micro.folder / "model_data.cc")
    assert written == lite.for_board()
    wanted = keras.ops.convert_to_numpy(classifier(IMAGES[:1]))
    for runner in (LiteRTRunner(lite), MicroRunner(written)):
        (got,) = runner.step({"image": IMAGES[0]}).values()
        np.testing.assert_allclose(got, wanted, atol=0.03)
    assert (found.sketch / "labels.h").is_file()
    settings = (found.micro.folder / "model_settings.h").read_text()
    assert "kHop" not in settings
    facts = json.loads((found.folder / "deployment.json").read_text())
    assert facts["board"]["name"] == "pico"
    assert facts["fidelity"]["real"] is True
    assert "converted as one whole call" in repr(found)
    assert "embeddable" in repr(found)


def test_a_sequence_becomes_a_step_with_16_bit_states(sequence_model, tmp_path):
    data = np.random.default_rng(0).normal(size=(3, 60, 4))
    found = tf_diet.deploy(
        sequence_model,
        data,
        folder=tmp_path / "out",
        board="nano-33-ble",
        sample_rate=16000,
        hop=160,
    )
    assert found.model.quantize == "int16x8"
    assert found.model.states
    assert (found.model.sample_rate, found.model.hop) == (16000, 160)
    assert found.fit.real_time is True
    assert "a step with states" in found.form


def test_a_pi_gets_the_file_alone(classifier, tmp_path):
    found = deploy(classifier, IMAGES, folder=tmp_path / "out", board="pi-4")
    assert found.model.quantize == "float32"
    assert found.micro is None
    assert "LiteRT" in found.micro_problem
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {found.tflite.name, "deployment.json"}


def test_a_file_of_another_tool_is_written_as_it_is(classifier, tmp_path):
    tf = pytest.importorskip("tensorflow")
    data = tf.lite.TFLiteConverter.from_keras_model(classifier).convert()
    found = deploy(
        TFLiteModel.from_bytes(data),
        folder=tmp_path / "out",
        name="other",
        sketch=True,
    )
    assert found.tflite.name == "other.tflite"
    assert found.micro is not None
    assert found.sketch.is_dir()
    assert found.model.fidelity is None


@pytest.mark.slow
def test_a_latent_synthesiser_is_calibrated_by_its_own_inputs(tmp_path):
    config = DDSPConfig(
        hidden=8,
        mlp_layers=1,
        gru_units=8,
        harmonics=6,
        noise_bands=5,
        instruments=2,
        latent=3,
    )
    rng = np.random.default_rng(0)
    shape = (2, 40)
    data = {
        "f0": rng.uniform(200, 400, (*shape, 1)).astype("float32"),
        "loudness": rng.uniform(-60, -20, (*shape, 1)).astype("float32"),
        "instrument": np.tile([1.0, 0.0], (*shape, 1)).astype("float32"),
        "mfcc": rng.normal(size=(*shape, config.coefficients)),
    }
    keras.utils.set_random_seed(0)
    model = ddsp(config)
    found = deploy(
        model, (data, None), folder=tmp_path / "out", board="nano-33-ble"
    )
    assert found.model.quantize == "int16x8"
    assert found.model.hop == config.hop
    assert found.micro.settings["harmonics"] == config.harmonics
    assert list(found.sketch.glob("*.ino"))
    assert found.sketch.name == "DdspSynth"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"board": "picoo"}, InputError, "Did you mean 'pico'"),
        ({"quantize": "int8"}, InputError, "calibration=None"),
        ({"quantize": "int9"}, InputError, "Unknown quantization"),
        ({"quantize": "wi4", "board": "pico"}, ConversionError, "TFLite Micro"),
    ],
)
def test_nothing_is_left_of_what_fails(
    classifier, tmp_path, options, error, message
):
    folder = tmp_path / "out"
    with pytest.raises(error, match=message):
        deploy(classifier, folder=folder, **options)
    assert not folder.exists()
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_kept(classifier, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="not empty"):
        deploy(classifier, folder=tmp_path)
    deploy(classifier, folder=tmp_path, overwrite=True)
    assert not (tmp_path / "mine.txt").exists()
