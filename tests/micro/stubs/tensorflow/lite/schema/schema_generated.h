// SPDX-License-Identifier: MIT
// A stand-in for the flatbuffer schema: a model is a row of 32-bit words,
//   version, arena bytes, operators, inputs, outputs,
//   then for each tensor: type, size, scale (float bits), zero point.
#pragma once

#include <stdint.h>

namespace tflite {

struct Model {
  int32_t words[1];
  uint32_t version() const { return static_cast<uint32_t>(words[0]); }
};

inline const Model* GetModel(const void* bytes) {
  return static_cast<const Model*>(bytes);
}

}  // namespace tflite
