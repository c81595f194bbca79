// SPDX-License-Identifier: MIT
// What the stub interpreter computes: tests/micro/conftest.py does the same.
#include "tensorflow/lite/micro/micro_interpreter.h"

void stub_model(const float* const* inputs, float* const* outputs) {
  const float* gru = inputs[0];
  const float* level = inputs[1];
  const float* instrument = inputs[2];
  const float* pitch = inputs[3];
  const float* conv = inputs[4];
  float* conv_next = outputs[0];
  float* controls = outputs[1];
  float* gru_next = outputs[2];
  for (int i = 0; i < 6; ++i) {
    gru_next[i] = 0.8f * gru[i] + 0.2f * pitch[0] + 0.01f * static_cast<float>(i);
  }
  for (int j = 0; j < 106; ++j) {
    controls[j] =
        0.5f * gru_next[j % 6] + conv[j % 3] + 0.1f * instrument[j % 2];
  }
  conv_next[0] = level[0];
  conv_next[1] = conv[0];
  conv_next[2] = conv[1];
}
