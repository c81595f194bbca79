# SPDX-License-Identifier: MIT
"""The C++ files hold the very bytes, ops and figures of the model."""

import json
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest

from tf_diet.convert import flatbuffer
from tf_diet.convert.micro import FILES, parse_c_array, to_micro
from tf_diet.convert.operators import add_method
from tf_diet.convert.runtime import MicroRunner
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import ConversionError, InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
AUDIO = {"sample_rate": 16000, "hop": 160}


@pytest.fixture(scope="module")
def written(converted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro") / "model"
    settings = {"harmonics": 4, "gain": 0.1, "loud": True, "melody": 'a "b"'}
    return to_micro(converted["int16x8"], folder, settings=settings, **AUDIO)


def test_the_bytes_come_back(written, converted):
    data = parse_c_array(written.folder / "model_data.cc")
    assert data == converted["int16x8"].for_board()
    assert written.flash_bytes == len(data)
    assert sorted(p.name for p in written.folder.iterdir()) == sorted(FILES)
    assert [path.name for path in written.files] == list(FILES)


def test_the_bytes_of_the_file_run(written, sequences, offline):
    runner = MicroRunner(parse_c_array(written.folder / "model_data.cc"))
    assert np.abs(runner.run(sequences) - offline).max() < 0.05
    assert runner.arena_bytes == written.arena_bytes


def test_operators_are_exactly_those_of_the_model(written, converted):
    names = {op.name for op in flatbuffer.operations(converted["int16x8"].data)}
    assert set(written.ops) == names >= {"FULLY_CONNECTED", "TANH"}
    text = (written.folder / "model_ops.h").read_text()
    added = re.findall(r"resolver\.(Add\w+)\(\)", text)
    assert sorted(added) == sorted(map(add_method, names))
    assert f"kOpCount = {len(names)};" in text


def test_odd_method_names():
    assert add_method("FULLY_CONNECTED") == "AddFullyConnected"
    assert add_method("CONV_2D") == "AddConv2D"
    assert add_method("BATCH_MATMUL") == "AddBatchMatMul"
    assert add_method("SPLIT_V") == "AddSplitV"
    assert add_method("RELU6") == "AddRelu6"


def test_settings_as_json(written, converted):
    lite = converted["int16x8"]
    found = json.loads((written.folder / "model_settings.json").read_text())
    assert found == written.settings
    for key, details in (("inputs", lite.inputs), ("outputs", lite.outputs)):
        for entry, wanted in zip(found[key], details, strict=True):
            assert entry == {
                "name": wanted.name,
                "index": wanted.index,
                "size": wanted.size,
                "shape": list(wanted.shape),
                "type": "int16",
                "scale": wanted.scale,
                "zero_point": wanted.zero_point,
            }
    assert found["states"] == [list(pair) for pair in lite.states]
    assert found["harmonics"] == 4
    assert found["arena_bytes"] == written.arena_bytes


STUBS = {
    # Newer releases hold the class in tflite::micro, older ones in tflite.
    "old": "namespace tflite {{ {0} }}",
    "new": "namespace tflite {{ namespace micro {{ {0} }} }}",
}
RESOLVER = """
template <unsigned int N> class MicroMutableOpResolver {
 public:
  int added = 0;
  ADDERS
};
"""
PROGRAM = """
#include "model_data.h"
#include "model_data.h"
#include "model_ops.h"
#include "model_settings.h"
#include <cstdint>
#include <cstdio>
namespace s = tf_diet::settings;
static_assert(s::kSampleRate == 16000 && s::kHop == 160, "");
static_assert(s::kHarmonics == 4 && s::kLoud, "");
static_assert(s::kGain > 0.0999f && s::kGain < 0.1001f, "");
static_assert(sizeof(s::kInputs) / sizeof(s::Tensor) == s::kInputCount, "");
static_assert(sizeof(s::kOutputs) / sizeof(s::Tensor) == s::kOutputCount, "");
static_assert(sizeof(s::kStates) / sizeof(s::State) == s::kStateCount, "");
static_assert(s::kInputs[0].type == s::kInt16, "");
int main() {
  tf_diet::OpResolver resolver;
  if (tf_diet::RegisterOps(resolver) != kTfLiteOk) return 1;
  if (resolver.added != tf_diet::kOpCount) return 2;
  if (reinterpret_cast<std::uintptr_t>(tf_diet::model_data) % 16) return 3;
  std::printf("%u %d %.9g %s|%s %d,%d\\n", tf_diet::model_data_length,
              s::kArenaBytes, static_cast<double>(s::kInputs[0].scale),
              s::kInputs[0].name, s::kMelody, s::kStates[0].input,
              s::kStates[0].output);
  return tf_diet::model_data[4] != 'T';
}
"""


@pytest.mark.parametrize("release", STUBS)
def test_compiles_without_a_warning(written, converted, tmp_path, release):
    adders = " ".join(
        f"TfLiteStatus {add_method(op)}() {{ ++added; return kTfLiteOk; }}"
        for op in written.ops
    )
    stub = tmp_path / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    stub.parent.mkdir(parents=True)
    stub.write_text(
        "#pragma once\nenum TfLiteStatus { kTfLiteOk, kTfLiteError };\n"
        + STUBS[release].format(RESOLVER.replace("ADDERS", adders))
    )
    (tmp_path / "main.cc").write_text(PROGRAM)
    strict = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
    command = [
        *("g++", "-std=c++17", *strict),
        *(f"-I{tmp_path}", f"-I{written.folder}", str(tmp_path / "main.cc")),
        *(str(written.folder / "model_data.cc"), "-o", str(tmp_path / "go")),
    ]
    subprocess.run(command, check=True)
    said = subprocess.run(
        [tmp_path / "go"], check=True, capture_output=True, text=True
    ).stdout
    lite = converted["int16x8"]
    ((source, target),) = lite.states
    figures, _, rest = said.partition(" level|")
    assert figures.split()[:2] == [
        str(len(lite.for_board())),
        str(written.arena_bytes),
    ]
    assert np.float32(figures.split()[2]) == np.float32(lite.inputs[0].scale)
    assert rest == f'a "b" {source},{target}\n'


def test_no_states_leave_one_dummy_row(tmp_path):
    x = keras.Input((3,), batch_size=1, name="x")
    lite = to_tflite(keras.Model(x, keras.layers.Dense(2)(x)))
    to_micro(lite.data, tmp_path, **AUDIO)
    text = (tmp_path / "model_settings.h").read_text()
    assert "kStateCount = 0;" in text
    assert re.search(r"kStates\[\] = \{\s*\{0, 0\},\s*\};", text)
    assert "kFloat32, 1.0e+00f, 0}" in text


def unsupported():
    layers = keras.layers
    x = keras.Input((4,), batch_size=1, name="x")
    yield (
        "POW",
        keras.Model(x, keras.ops.power(keras.ops.abs(x), 2.3)),
        r"operator POW.*power.*in C\+\+",
    )
    yield (
        "GELU",
        keras.Model(x, layers.Dense(4, "gelu", name="bend")(x)),
        r"operator GELU.*bend.*another activation",
    )
    classes = keras.Input((1,), batch_size=1, dtype="int32", name="classes")
    yield (
        "SELECT",
        keras.Model(
            classes,
            layers.Embedding(5, 2, mask_zero=True, name="table")(classes),
        ),
        r"operator SELECT.*table.*mask_zero",
    )
    sequence = keras.Input((600, 2), batch_size=1, name="sequence")
    yield (
        "WHILE",
        keras.Model(sequence, layers.GRU(3, name="gru")(sequence)),
        r"operator WHILE.*gru.*to_streaming",
    )


@pytest.mark.parametrize("case", range(4))
def test_what_tflite_micro_lacks_is_named_and_nothing_written(case, tmp_path):
    _, model, message = list(unsupported())[case]
    lite = to_tflite(model)
    with pytest.raises(ConversionError, match=message):
        to_micro(lite, tmp_path / "new", **AUDIO)
    assert not (tmp_path / "new").exists()


def test_truth_values_are_refused(tmp_path):
    x = keras.Input((4,), batch_size=1, dtype="bool", name="held")
    model = keras.Model(x, keras.ops.cast(x, "float32") * 2.0)
    with pytest.raises(ConversionError, match=r"'held'.*bool"):
        to_micro(to_tflite(model), tmp_path / "new", **AUDIO)


def test_all_or_nothing(written, converted, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(written.folder, folder)
    (folder / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path, text):
        if path.name == "model_settings.h":
            raise OSError("No space left on device")
        path.write_text(text)

    monkeypatch.setattr("tf_diet.convert.micro.files.write_text", full)
    with pytest.raises(OSError, match="No space"):
        to_micro(converted["float32"], folder, **AUDIO)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == before
    monkeypatch.undo()
    to_micro(converted["float32"], folder, **AUDIO)
    assert (folder / "notes.txt").read_text() == "mine"
    data = parse_c_array(folder / "model_data.cc")
    assert data == converted["float32"].for_board()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop": 0}, "hop must be a whole number"),
        ({"sample_rate": 44100.5}, "sample_rate must be a whole number"),
        ({"settings": {"Bands": 3}}, "'Bands': 3"),
        ({"settings": {"hop": 3}}, "new name in snake_case"),
        ({"settings": {"bands": [3]}}, r"'bands': \[3\]"),
    ],
)
def test_bad_settings(converted, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        to_micro(converted["int8"], tmp_path / "new", **{**AUDIO, **change})
    assert not (tmp_path / "new").exists()


def test_a_file_without_an_array(tmp_path):
    path = tmp_path / "empty.cc"
    path.write_text("int main() { return 0x10; }")
    with pytest.raises(InputError, match=r"empty\.cc"):
        parse_c_array(path)


def test_convolutions_over_time_reach_the_board(tmp_path):
    layers = keras.layers
    x = keras.Input((None, 2), name="audio")
    y = layers.Conv1D(8, 3, padding="causal", dilation_rate=2)(x)
    signal, gate = keras.ops.split(y, 2, axis=-1)
    y = keras.ops.tanh(signal) * keras.ops.sigmoid(gate)
    model = keras.Model(x, layers.Conv1D(3, 1, name="mixed")(y))
    audio = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    lite = to_tflite(to_streaming(model), "int16x8", {"audio": audio})
    made = to_micro(lite, tmp_path, sample_rate=16000, hop=1)
    assert "CONV_2D" not in made.ops
    got = MicroRunner(parse_c_array(tmp_path / "model_data.cc")).run(
        {"audio": audio}
    )
    wanted = keras.ops.convert_to_numpy(model(audio[None]))[0]
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


def head(layer):
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 8), name="x")
    return keras.Model(x, layer(keras.layers.Conv1D(8, 1)(x)))


def calls():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 12, 8)).astype("float32")


@pytest.mark.parametrize(
    ("layer", "quantize", "operator"),
    [
        (lambda h: keras.ops.sqrt(keras.ops.abs(h) + 0.1), "int8", "SQRT"),
        (lambda h: keras.ops.log(keras.ops.abs(h) + 0.1), "int8", "LOG"),
        (lambda h: keras.ops.max(h, axis=1), "int16x8", "REDUCE_MAX"),
    ],
)
def test_what_prepares_and_fails_is_not_written(
    layer, quantize, operator, tmp_path
):
    model = head(layer)
    lite = to_tflite(model, quantize, calls())
    with pytest.raises(ConversionError, match=f"operator {operator}.*'wi8'"):
        to_micro(lite, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    # The remedies work.
    for other in ("wi8", "float32"):
        to_micro(to_tflite(model, other), tmp_path / other)


def test_a_model_that_is_not_about_sound(tmp_path):
    model = head(lambda h: keras.layers.Dense(3)(keras.layers.Flatten()(h)))
    lite = to_tflite(model, "int8", calls())
    made = to_micro(lite, tmp_path, settings={"labels": ["a", "b", "c"]})
    text = (tmp_path / "model_settings.h").read_text()
    assert "kSampleRate" not in text
    assert "kHop" not in text
    assert 'kLabels[] = {"a", "b", "c"};' in text
    assert not {"sample_rate", "hop"} & set(made.settings)
    assert 0 < made.board_arena_bytes < made.arena_bytes
    assert str(made.board_arena_bytes) in text
    with pytest.raises(InputError, match=r"hop=None, sample_rate=16000"):
        to_micro(lite, tmp_path / "new", sample_rate=16000)


def test_names_of_inner_tensors_are_not_written(converted, tmp_path):
    lite = converted["float32"]
    made = to_micro(lite, tmp_path)
    assert made.flash_bytes < 0.9 * len(lite)
    runner = MicroRunner(parse_c_array(tmp_path / "model_data.cc"))
    assert [d.name for d in runner.inputs] == [d.name for d in lite.inputs]


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_oldest_library_knows_one_scale_a_product(per_channel, tmp_path):
    model = head(lambda h: keras.layers.Dense(3)(keras.layers.Flatten()(h)))
    how = {"class_name": "int8", "config": {"per_channel_dense": per_channel}}
    lite = to_tflite(model, how, calls())
    to_micro(lite, tmp_path / "any")
    to_micro(lite, tmp_path / "esp32", board="esp32")
    if not per_channel:
        to_micro(lite, tmp_path / "nano", board="nano-33-ble")
        return
    with pytest.raises(ConversionError, match=r"'nano-33-ble'.*first channel"):
        to_micro(lite, tmp_path / "nano", board="nano-33-ble")
    assert not (tmp_path / "nano").exists()


def test_an_operator_that_a_library_lacks_is_named(tmp_path):
    a = keras.Input((4, 6), batch_size=1, name="a")
    b = keras.Input((6, 2), batch_size=1, name="b")
    lite = to_tflite(keras.Model([a, b], keras.ops.matmul(a, b)))
    with pytest.raises(ConversionError, match=r"Arduino.*has no BATCH_MATMUL"):
        to_micro(lite, tmp_path / "nano", board="nano-33-ble")
    to_micro(lite, tmp_path / "esp32", board="esp32")
