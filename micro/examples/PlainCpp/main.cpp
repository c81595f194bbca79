// SPDX-License-Identifier: MIT
// Runs a model on a file: main FILE reads numbers (text, any of ", \n" between
// them), and prints one line of outputs for each full set of inputs. States are
// carried from line to line. On a board without files, call set() and run().
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <tf_diet/step_model.h>

#include "model_data.h"
#include "model_ops.h"
#include "model_settings.h"

namespace settings = tf_diet::settings;

namespace {

// Recursive, since C++11 allows a constexpr function no loop.
constexpr bool fed_back(int output, int state = 0) {
  return state < settings::kStateCount &&
         (settings::kStates[state].output == output ||
          fed_back(output, state + 1));
}
constexpr int answers(int output = 0) {
  return output >= settings::kOutputCount
             ? 0
             : (fed_back(output) ? 0 : settings::kOutputs[output].size) +
                   answers(output + 1);
}

alignas(16) unsigned char memory[tf_diet::StepModel::memory_bytes(
    settings::kArenaBytes, settings::kInputs, settings::kOutputs,
    settings::kStates, settings::kStateCount)];
tf_diet::OpResolver operators;
tf_diet::StepModel model;
float outputs[answers()];

int fail(const char* reason) {
  fprintf(stderr, "Stopped: %s\n", reason);
  return 1;
}

// Reads the next number; false at the end of the file.
bool next(FILE* file, float* value) {
  int letter = fgetc(file);
  while (letter == ',' || letter == ';' || isspace(letter)) {
    letter = fgetc(file);
  }
  if (letter == EOF) return false;
  ungetc(letter, file);
  return fscanf(file, "%f", value) == 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return fail("name a file of numbers: main FILE");
  FILE* file = fopen(arguments[1], "r");
  if (file == nullptr) return fail("the file cannot be read");
  if (tf_diet::RegisterOps(operators) != kTfLiteOk) {
    return fail("an operator of model_ops.h could not be registered");
  }
  tf_diet::Status status = model.begin(
      tf_diet::model_data, operators, memory, sizeof(memory),
      settings::kInputs, settings::kOutputs, settings::kStates,
      settings::kStateCount);
  if (status != tf_diet::Status::kOk) return fail(tf_diet::describe(status));
  for (;;) {
    for (int i = 0; i < model.input_count(); ++i) {
      for (int n = 0; n < model.input_size(i); ++n) {
        float value = 0.0f;
        if (!next(file, &value)) {
          const bool complete = i == 0 && n == 0 && feof(file) != 0;
          fclose(file);
          return complete ? 0 : fail("the file ends, or holds no number, in "
                                     "the middle of the inputs");
        }
        status = model.set(i, n, value);
        if (status != tf_diet::Status::kOk) {
          return fail(tf_diet::describe(status));
        }
      }
    }
    status = model.run(outputs);
    if (status != tf_diet::Status::kOk) return fail(tf_diet::describe(status));
    for (int n = 0; n < model.output_size(); ++n) {
      printf(n == 0 ? "%.9g" : " %.9g", static_cast<double>(outputs[n]));
    }
    printf("\n");
  }
}
