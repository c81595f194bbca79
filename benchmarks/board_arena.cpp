// SPDX-License-Identifier: MIT
// The smallest arena in which TensorFlow Lite Micro runs a model: program FILE...
//
// Build it against the library of a board for 32 bits, on a computer:
//
//   c++ -m32 -malign-double -std=gnu++17 -DTF_LITE_STATIC_MEMORY -I LIBRARY
//       -I LIBRARY/third_party/flatbuffers/include
//       -I LIBRARY/third_party/gemmlowp board_arena.cpp SOURCES -o program
//
// SOURCES are those of the library but for micro_time, system_setup, debug_log
// and tests. The library of the Arduino IDE (2023) takes -DARDUINO=100
// -DCMSIS_NN -DOLD_LOG and no -DTF_LITE_STATIC_MEMORY.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifdef OLD_LOG
extern "C" void DebugLog(const char*) {}
#else
extern "C" void DebugLog(const char*, va_list) {}
extern "C" int DebugVsnprintf(char* text, size_t size, const char* format,
                              va_list words) {
  return vsnprintf(text, size, format, words);
}
#endif

namespace tflite {
uint32_t ticks_per_second() { return 1000000; }
uint32_t GetCurrentTimeTicks() { return 0; }
void InitializeTarget() {}
}  // namespace tflite

using Resolver = tflite::MicroMutableOpResolver<64>;

static void add_operators(Resolver& r) {
  r.AddAdd();
  r.AddAveragePool2D();
  r.AddConcatenation();
  r.AddConv2D();
  r.AddDepthwiseConv2D();
  r.AddDequantize();
  r.AddExpandDims();
  r.AddFullyConnected();
  r.AddGather();
  r.AddLogistic();
  r.AddMaxPool2D();
  r.AddMean();
  r.AddMul();
  r.AddPack();
  r.AddPad();
  r.AddQuantize();
  r.AddReduceMax();
  r.AddRelu();
  r.AddReshape();
  r.AddSoftmax();
  r.AddSplit();
  r.AddSplitV();
  r.AddSquaredDifference();
  r.AddSqueeze();
  r.AddStridedSlice();
  r.AddSub();
  r.AddSum();
  r.AddTanh();
  r.AddTranspose();
  r.AddTransposeConv();
  r.AddUnpack();
}

// Too small an arena may end the process, so that each is tried in its own.
static bool runs(const char* model, const Resolver& resolver, uint8_t* arena,
                 size_t bytes) {
  const pid_t child = fork();
  if (child == 0) {
    tflite::MicroInterpreter interpreter(tflite::GetModel(model), resolver,
                                         arena, bytes);
    if (interpreter.AllocateTensors() != kTfLiteOk) _exit(1);
    for (size_t i = 0; i < interpreter.inputs_size(); ++i) {
      memset(interpreter.input(i)->data.raw, 0, interpreter.input(i)->bytes);
    }
    _exit(interpreter.Invoke() == kTfLiteOk ? 0 : 2);
  }
  int status = 1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int count, char** files) {
  Resolver resolver;
  add_operators(resolver);
  const size_t ample = 16 << 20;
  uint8_t* arena = static_cast<uint8_t*>(aligned_alloc(16, ample));
  for (int i = 1; i < count; ++i) {
    FILE* file = fopen(files[i], "rb");
    if (file == nullptr) return 1;
    fseek(file, 0, SEEK_END);
    const size_t size = static_cast<size_t>(ftell(file));
    rewind(file);
    char* model =
        static_cast<char*>(aligned_alloc(16, (size + 15) / 16 * 16));
    if (fread(model, 1, size, file) != size) return 1;
    fclose(file);
    size_t small = 0;
    size_t enough = ample;
    if (!runs(model, resolver, arena, ample)) enough = 0;
    while (enough > small + 16) {
      const size_t middle = (small + enough) / 2 / 16 * 16;
      (runs(model, resolver, arena, middle) ? enough : small) = middle;
    }
    printf("%s %zu\n", files[i], enough);
    free(model);
  }
  return 0;
}
