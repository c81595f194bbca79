// SPDX-License-Identifier: MIT
// replay TRACE INPUTS CONTROLS: StepModel over a recorded run of the true
// interpreter. Prints how the numbers that it stored differ from the recorded.
#include <stdio.h>

#include "model_data.h"
#include "model_ops.h"
#include "model_settings.h"
#include "tf_diet/step_model.h"

namespace {

using tf_diet::Status;
using tf_diet::StepModel;
namespace settings = tf_diet::settings;

alignas(16) unsigned char memory[StepModel::memory_bytes(
    settings::kArenaBytes, settings::kInputs, settings::kOutputs,
    settings::kStates, settings::kStateCount)];
tf_diet::OpResolver operators;
StepModel model;
float values[256];
float controls[256];
const float* inputs[settings::kInputCount];

int fail(const char* why) {
  fprintf(stderr, "%s\n", why);
  return 1;
}

}  // namespace

void stub_model(const float* const*, float* const*) {}

int main(int, char** argument) {
  stub::trace() = fopen(argument[1], "rb");
  FILE* in = fopen(argument[2], "rb");
  FILE* out = fopen(argument[3], "wb");
  if (stub::trace() == nullptr || in == nullptr || out == nullptr) {
    return fail("cannot open the files");
  }
  if (tf_diet::RegisterOps(operators) != kTfLiteOk) return fail("operators");
  Status status = model.begin(tf_diet::model_data, operators, memory,
                              sizeof(memory), settings::kInputs,
                              settings::kOutputs, settings::kStates,
                              settings::kStateCount);
  if (status != Status::kOk) return fail(describe(status));
  size_t total = 0;
  for (int i = 0; i < model.input_count(); ++i) {
    inputs[i] = values + total;
    total += static_cast<size_t>(model.input_size(i));
  }
  while (fread(values, sizeof(float), total, in) == total) {
    status = model.process(inputs, controls);
    if (status != Status::kOk) return fail(describe(status));
    fwrite(controls, sizeof(float), static_cast<size_t>(model.output_size()),
           out);
  }
  fclose(in);
  fclose(out);
  const stub::Difference& seen = stub::difference();
  printf("%d %d %g\n", seen.numbers, seen.unequal,
         static_cast<double>(seen.worst));
  return 0;
}
