// SPDX-License-Identifier: MIT
// step_model run INPUTS CONTROLS: frames of [level, instrument x2, pitch],
//   float32; writes the controls of each frame. A level above 1,000 asks for
//   reset(), a NaN must be refused and leave the states alone.
// step_model begin: prints the words of begin()'s status.
#include "tf_diet/step_model.h"

#include <stdio.h>
#include <string.h>

#include "heap.h"
#include "model_data.h"
#include "model_settings.h"

namespace {

using tf_diet::Status;
using tf_diet::StepModel;
namespace settings = tf_diet::settings;

constexpr size_t kNeeded = StepModel::memory_bytes(
    settings::kArenaBytes, settings::kInputs, settings::kOutputs,
    settings::kStates, settings::kStateCount);
#ifndef SHORT_BY
#define SHORT_BY 0
#endif
#ifndef OPERATORS
#define OPERATORS 3
#endif
// One canary on each side, and a start that is not aligned.
alignas(16) unsigned char memory[kNeeded + 32];

int fail(const char* why) {
  fprintf(stderr, "%s\n", why);
  return 1;
}

Status begin(StepModel* model) {
  static tf_diet::runtime::MicroMutableOpResolver<3> operators;
  if (operators.registered() == 0) {
    operators.AddTanh();
    if (OPERATORS > 1) operators.AddFullyConnected();
    if (OPERATORS > 2) operators.AddConcatenation();
  }
  return model->begin(tf_diet::model_data, operators, memory + 16,
                      kNeeded - SHORT_BY, settings::kInputs,
                      settings::kOutputs, settings::kStates,
                      settings::kStateCount);
}

int run(StepModel* model, const char* in_path, const char* out_path) {
  FILE* in = fopen(in_path, "rb");
  FILE* out = fopen(out_path, "wb");
  if (in == nullptr || out == nullptr) return fail("cannot open the files");
  float frame[4];
  float controls[106];
  const float* inputs[] = {frame, frame + 1, frame + 3};
  const char* const names[] = {"level", "instrument", "pitch"};
  if (model->input_count() != 3 || model->output_size() != 106) {
    return fail("the free tensors were not found");
  }
  for (int i = 0; i < 3; ++i) {
    if (strcmp(model->input_name(i), names[i]) != 0) return fail("names");
    if (model->input_size(i) != (i == 1 ? 2 : 1)) return fail("sizes");
  }
  if (model->input_size(3) != 0) return fail("a fourth input");
  while (fread(frame, sizeof(float), 4, in) == 4) {
    if (frame[0] > 1000.0f) {
      model->reset();
      continue;
    }
    const Status status = model->process(inputs, controls);
    const bool sane = frame[3] == frame[3];
    if (status != (sane ? Status::kOk : Status::kBadInput)) {
      return fail(describe(status));
    }
    if (!sane) continue;
    stub::fail_invoke() = true;
    if (model->process(inputs, controls + 0) != Status::kInvokeFailed) {
      return fail("a failed run was not seen");
    }
    stub::fail_invoke() = false;
    fwrite(controls, sizeof(float), 106, out);
  }
  fclose(in);
  fclose(out);
  return 0;
}

}  // namespace

int main(int count, char** argument) {
  memset(memory, 0x77, sizeof(memory));
  if (!heap::counts()) return fail("allocations are not counted");
  {
    StepModel model;
    float nothing[1];
    const float* none[] = {nothing};
    if (model.process(none, nothing) != Status::kNotReady) {
      return fail("process() before begin() was not refused");
    }
    const int before = heap::allocations();
    const Status status = begin(&model);
    if (strcmp(argument[1], "begin") == 0) {
      printf("%s\n", describe(status));
      if (status != Status::kOk && stub::alive() != 0) {
        return fail("a failed begin() left its interpreter");
      }
      return 0;
    }
    if (status != Status::kOk) return fail(describe(status));
    if (begin(&model) != Status::kOk) return fail("a second begin() failed");
    if (count != 4) return fail("step_model run INPUTS CONTROLS");
    // stdio allocates a buffer for each of the two files.
    if (run(&model, argument[2], argument[3]) != 0) return 1;
    if (heap::allocations() > before + 4) return fail("the model allocates");
  }
  if (stub::alive() != 0) return fail("the interpreter was not destroyed");
  for (int i = 0; i < 16; ++i) {
    if (memory[i] != 0x77 || memory[kNeeded + 16 + static_cast<size_t>(i)] !=
                                 0x77) {
      return fail("written outside the memory");
    }
  }
  return 0;
}
