// SPDX-License-Identifier: MIT
// What every block of the library answers, and the words for it.
#pragma once

namespace tf_diet {

enum class Status : unsigned char {
  kOk,
  kNotReady,
  kBadSampleRate,
  kBadSeed,
  kBadFrequency,
  kBadControls,
  kSchemaVersion,
  kMemoryTooSmall,
  kAllocationFailed,
  kTensorCount,
  kTensorSize,
  kTensorType,
  kBadWiring,
  kBadInput,
  kInvokeFailed,
};

// What is wrong and what to do, as one sentence for the serial monitor.
inline const char* describe(Status status) noexcept {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kNotReady:
      return "process() came before a successful begin(): call begin() and "
             "check its status";
    case Status::kBadSampleRate:
      return "the sample rate must be a positive number of hertz";
    case Status::kBadSeed:
      return "the noise seed is 0, which gives silence: use any other number";
    case Status::kBadFrequency:
      return "the fundamental frequency is negative, not a number or above "
             "the sample rate: check the pitch that you pass";
    case Status::kBadControls:
      return "a control is not a finite number: check the inputs of the model";
    case Status::kSchemaVersion:
      return "the model was written for another TFLite schema: update the "
             "TensorFlow Lite Micro library or convert the model again";
    case Status::kMemoryTooSmall:
      return "the memory given to begin() is too small: size it with "
             "StepModel::memory_bytes()";
    case Status::kAllocationFailed:
      return "TensorFlow Lite Micro could not place the tensors: the arena is "
             "too small or an operator is missing (its own message says "
             "which); raise kArenaBytes or update the library";
    case Status::kTensorCount:
      return "the model has other tensors than model_settings.h lists: copy "
             "all generated files together";
    case Status::kTensorSize:
      return "a tensor has another size than model_settings.h says: copy all "
             "generated files together";
    case Status::kTensorType:
      return "a tensor is neither float32, int8, int16 nor int32: convert the "
             "model again with one of these";
    case Status::kBadWiring:
      return "the table of states points outside the tensors or joins "
             "different sizes: copy all generated files together";
    case Status::kBadInput:
      return "an input of the model is not a finite number: check the "
             "features that you pass";
    case Status::kInvokeFailed:
      return "the model failed to run: TensorFlow Lite Micro says why in its "
             "own message";
  }
  return "unknown status";
}

}  // namespace tf_diet
