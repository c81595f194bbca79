// SPDX-License-Identifier: MIT
// A stand-in for the interpreter. It is as unkind as the true one: outputs lie
// where the inputs lie, and a run leaves nothing of its inputs. What the model
// computes is up to the test, which defines stub_model(), or opens a trace: the
// stored inputs and outputs of every call, as the true interpreter had them.
#pragma once

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

// Real values in, real values out.
void stub_model(const float* const* inputs, float* const* outputs);

namespace stub {
inline bool& fail_invoke() {
  static bool fail = false;
  return fail;
}
inline FILE*& trace() {
  static FILE* file = nullptr;
  return file;
}
// How the inputs differ from those of the trace.
struct Difference {
  int numbers = 0;
  int unequal = 0;
  float worst = 0.0f;
};
inline Difference& difference() {
  static Difference seen;
  return seen;
}
inline int& alive() {
  static int count = 0;
  return count;
}
}  // namespace stub

#ifdef STUB_MICRO_NAMESPACE
namespace tflite {
namespace micro {
#else
namespace tflite {
#endif

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver,
                   uint8_t* tensor_arena, size_t tensor_arena_size)
      : words_(model->words),
        operators_(op_resolver),
        arena_(tensor_arena),
        arena_size_(tensor_arena_size) {
    ++stub::alive();
  }
  ~MicroInterpreter() { --stub::alive(); }
  MicroInterpreter(const MicroInterpreter&) = delete;
  MicroInterpreter& operator=(const MicroInterpreter&) = delete;

  TfLiteStatus AllocateTensors() {
    if (arena_size_ < static_cast<size_t>(words_[1])) return kTfLiteError;
    if (operators_.registered() < static_cast<unsigned>(words_[2])) {
      return kTfLiteError;
    }
    place(0, inputs_size());
    place(inputs_size(), outputs_size());
    allocated_ = true;
    return kTfLiteOk;
  }

  TfLiteStatus Invoke() {
    if (!allocated_ || stub::fail_invoke()) return kTfLiteError;
    if (stub::trace() != nullptr) return replay();
    const float* in[kMost];
    float* out[kMost];
    const size_t total = inputs_size() + outputs_size();
    for (size_t i = 0; i < total; ++i) {
      for (int n = 0; i < inputs_size() && n < size(i); ++n) {
        real_[i][n] = load(tensors_[i], n);
      }
      if (i < inputs_size()) in[i] = real_[i];
      if (i >= inputs_size()) out[i - inputs_size()] = real_[i];
    }
    memset(arena_, 0x5b, static_cast<size_t>(words_[1]));
    stub_model(in, out);
    for (size_t i = inputs_size(); i < total; ++i) {
      for (int n = 0; n < size(i); ++n) store(tensors_[i], n, real_[i][n]);
    }
    return kTfLiteOk;
  }

  TfLiteTensor* input(size_t i) { return &tensors_[i]; }
  TfLiteTensor* output(size_t i) { return &tensors_[inputs_size() + i]; }
  size_t inputs_size() const { return static_cast<size_t>(words_[3]); }
  size_t outputs_size() const { return static_cast<size_t>(words_[4]); }
  size_t arena_used_bytes() const { return static_cast<size_t>(words_[1]); }

 private:
  static constexpr size_t kMost = 8;
  static constexpr size_t kWidest = 256;

  TfLiteStatus replay() {
    static char stored[4 * kWidest];
    const size_t total = inputs_size() + outputs_size();
    stub::Difference& seen = stub::difference();
    for (size_t i = 0; i < total; ++i) {
      const TfLiteTensor& tensor = tensors_[i];
      if (fread(stored, 1, tensor.bytes, stub::trace()) != tensor.bytes) {
        return kTfLiteError;
      }
      if (i >= inputs_size()) {
        memcpy(tensor.data.raw, stored, tensor.bytes);
        continue;
      }
      TfLiteTensor expected = tensor;
      expected.data.raw = stored;
      for (int n = 0; n < size(i); ++n) {
        const float gap = fabsf(raw(tensor, n) - raw(expected, n));
        ++seen.numbers;
        if (gap > 0.0f) ++seen.unequal;
        if (!(gap <= seen.worst)) seen.worst = gap;
      }
      // Outputs begin where inputs lie: look at all inputs first.
      if (i + 1 == inputs_size()) {
        memset(arena_, 0x5b, static_cast<size_t>(words_[1]));
      }
    }
    return kTfLiteOk;
  }

  static float raw(const TfLiteTensor& tensor, int n) {
    if (tensor.type == kTfLiteFloat32) return tensor.data.f[n];
    if (tensor.type == kTfLiteInt32) {
      return static_cast<float>(tensor.data.i32[n]);
    }
    return static_cast<float>(tensor.type == kTfLiteInt8 ? tensor.data.int8[n]
                                                         : tensor.data.i16[n]);
  }

  int size(size_t i) const { return words_[5 + 4 * i + 1]; }

  void place(size_t first, size_t count) {
    size_t offset = 0;
    for (size_t i = first; i < first + count; ++i) {
      TfLiteTensor& tensor = tensors_[i];
      tensor.type = static_cast<TfLiteType>(words_[5 + 4 * i]);
      const size_t width = tensor.type == kTfLiteInt8    ? 1
                           : tensor.type == kTfLiteInt16 ? 2
                                                         : 4;
      tensor.bytes = static_cast<size_t>(size(i)) * width;
      memcpy(&tensor.params.scale, &words_[5 + 4 * i + 2], sizeof(float));
      tensor.params.zero_point = words_[5 + 4 * i + 3];
      tensor.data.data = arena_ + offset;
      offset += (tensor.bytes + 15) / 16 * 16;
    }
  }

  static float load(const TfLiteTensor& tensor, int n) {
    if (tensor.type == kTfLiteFloat32) return tensor.data.f[n];
    const int stored =
        tensor.type == kTfLiteInt8 ? tensor.data.int8[n] : tensor.data.i16[n];
    return static_cast<float>(stored - tensor.params.zero_point) *
           tensor.params.scale;
  }

  static void store(const TfLiteTensor& tensor, int n, float value) {
    if (tensor.type == kTfLiteFloat32) {
      tensor.data.f[n] = value;
      return;
    }
    const float limit = tensor.type == kTfLiteInt8 ? 128.0f : 32768.0f;
    float steps = rintf(value / tensor.params.scale) +
                  static_cast<float>(tensor.params.zero_point);
    if (steps < -limit) steps = -limit;
    if (steps > limit - 1) steps = limit - 1;
    if (tensor.type == kTfLiteInt8) {
      tensor.data.int8[n] = static_cast<int8_t>(steps);
    } else {
      tensor.data.i16[n] = static_cast<int16_t>(steps);
    }
  }

  const int32_t* words_;
  const MicroOpResolver& operators_;
  uint8_t* arena_;
  size_t arena_size_;
  bool allocated_ = false;
  TfLiteTensor tensors_[kMost] = {};
  float real_[kMost][kWidest] = {};
};

#ifdef STUB_MICRO_NAMESPACE
}  // namespace micro
#endif
}  // namespace tflite
