#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The TensorFlow Lite Micro library of the Arduino IDE answers wrongly for int8
# models whose Dense weights have a scale for each channel, and says nothing.
#
# Guess from memory: a kernel refuses weights that it cannot scale, or scales
# each channel as LiteRT does.
# Seen: its FULLY_CONNECTED (tensorflow/lite/micro/kernels/
# fully_connected_common.cpp) reads `filter->params.scale`, the first of all,
# and applies it to every channel; TensorFlow 2.21 writes a scale a channel
# unless told otherwise. Convolutions are right. pico-tflmicro (December 2024)
# and esp-tflite-micro (August 2026) read all scales.
#
# Versions: tflite-micro-arduino-examples at 7948b85 (2.4.0-ALPHA, December
# 2023), tensorflow 2.21.0, ai-edge-litert 2.3.0, g++ 12. Seen on 2026-11-28,
# one product of 16 inputs and 4 units, whose weights are 1, 0.5, 0.1 and 0.02
# times the same numbers; the int8 outputs for one input:
#   a scale a channel: LiteRT -79 -38 -6 0, Arduino -79 -79 -79 -79
#   one scale        : LiteRT -79 -38 -6 1, Arduino -79 -38 -6 1
#
# What it means: for that library convert with one scale for all weights of a
# product, `converter._experimental_disable_per_channel_quantization_for_dense_
# layers = True`, which is what tf_diet's int8 and int16x8 do.
#
# ARDUINO_TFLM may name a clone of the library; PYTHON one with tensorflow and
# ai-edge-litert.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
library=${ARDUINO_TFLM:-$work/library}
if [ ! -d "$library/src" ]; then
  git clone --quiet https://github.com/tensorflow/tflite-micro-arduino-examples "$library"
  git -C "$library" checkout --quiet 7948b85
fi

cat >"$work/write.py" <<'PY'
import sys

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

rng = np.random.default_rng(0)
weights = (rng.normal(size=(16, 1)) * [1, 0.5, 0.1, 0.02]).astype("float32")
x = rng.normal(size=(100, 1, 16)).astype("float32")


class Net(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((1, 16), tf.float32)])
    def __call__(self, values):
        return tf.matmul(values, weights)


net = Net()
for name, one in (("channel", False), ("one", True)):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [net.__call__.get_concrete_function()], net
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([v] for v in x)
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = one
    data = converter.convert()
    open(f"{sys.argv[1]}/{name}.tflite", "wb").write(data)
    runner = Interpreter(model_content=data)
    runner.allocate_tensors()
    source, target = runner.get_input_details()[0], runner.get_output_details()[0]
    runner.set_tensor(source["index"], np.arange(-64, 64, 8, np.int8)[None])
    runner.invoke()
    print(name, "LiteRT ", *runner.get_tensor(target["index"])[0])
PY
TF_CPP_MIN_LOG_LEVEL=3 "$python" "$work/write.py" "$work" 2>/dev/null

cat >"$work/main.cpp" <<'CPP'
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" void DebugLog(const char* text) { fputs(text, stderr); }
namespace tflite {
uint32_t ticks_per_second() { return 1; }
uint32_t GetCurrentTimeTicks() { return 0; }
}  // namespace tflite

int main(int, char** files) {
  FILE* file = fopen(files[1], "rb");
  alignas(16) static char model[65536];
  if (fread(model, 1, sizeof(model), file) == 0) return 1;
  alignas(16) static uint8_t arena[65536];
  tflite::MicroMutableOpResolver<1> operators;
  operators.AddFullyConnected();
  tflite::MicroInterpreter runner(tflite::GetModel(model), operators, arena,
                                  sizeof(arena));
  if (runner.AllocateTensors() != kTfLiteOk) return 2;
  for (int i = 0; i < 16; ++i) {
    runner.input(0)->data.int8[i] = static_cast<int8_t>(8 * i - 64);
  }
  if (runner.Invoke() != kTfLiteOk) return 3;
  for (int i = 0; i < 4; ++i) printf(" %d", runner.output(0)->data.int8[i]);
  printf("\n");
}
CPP
mkdir "$work/stub"
touch "$work/stub/Arduino.h"
src=$library/src
third=$src/third_party
flags=(-O1 -w -DARDUINO=100 -DCMSIS_NN "-I$work/stub" "-I$src"
  "-I$third/flatbuffers/include" "-I$third/gemmlowp" "-I$third/ruy"
  "-I$third/cmsis_nn/Include" "-I$third/cmsis/CMSIS/Core/Include")
cd "$work"
for file in "$third"/cmsis_nn/Source/{Convolution,FullyConnected,NNSupport}Functions/*.c; do
  gcc "${flags[@]}" -c "$file"
done
lite=$src/tensorflow/lite
for file in main.cpp \
  "$lite"/core/api/*.cpp "$lite"/core/c/*.cpp "$lite"/schema/*.cpp \
  "$lite"/kernels/internal/{quantization_util,common,portable_tensor_utils}.cpp \
  "$lite"/micro/{memory_helpers,flatbuffer_utils,micro_*}.cpp \
  "$lite"/micro/{arena_allocator,memory_planner,tflite_bridge}/*.cpp \
  "$lite"/micro/kernels/{fully_connected_common,kernel_util,micro_utils}.cpp \
  "$lite"/micro/kernels/cmsis_nn/fully_connected.cpp \
  "$lite"/kernels/kernel_util.cpp; do
  case $file in *micro_time.cpp | *micro_profiler*) continue ;; esac
  [ -e "$file" ] || continue
  # Two files of the library may bear one name.
  g++ -std=gnu++17 -fno-exceptions -fno-rtti "${flags[@]}" -c "$file" \
    -o "$(echo "$file" | tr / _).o"
done
g++ ./*.o -o program
for name in channel one; do
  echo "$name Arduino$(./program $name.tflite)"
done
