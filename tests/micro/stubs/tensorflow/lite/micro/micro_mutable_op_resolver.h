// SPDX-License-Identifier: MIT
// A stand-in for the operator resolver: it counts what is registered.
#pragma once

#include "tensorflow/lite/c/common.h"

#ifdef STUB_MICRO_NAMESPACE
namespace tflite {
namespace micro {
#else
namespace tflite {
#endif

class MicroOpResolver {
 public:
  virtual ~MicroOpResolver() {}
  virtual unsigned registered() const = 0;
};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddAdd() { return add(); }
  TfLiteStatus AddConcatenation() { return add(); }
  TfLiteStatus AddConv2D() { return add(); }
  TfLiteStatus AddDequantize() { return add(); }
  TfLiteStatus AddFullyConnected() { return add(); }
  TfLiteStatus AddGather() { return add(); }
  TfLiteStatus AddLogistic() { return add(); }
  TfLiteStatus AddMul() { return add(); }
  TfLiteStatus AddPack() { return add(); }
  TfLiteStatus AddQuantize() { return add(); }
  TfLiteStatus AddRelu() { return add(); }
  TfLiteStatus AddReshape() { return add(); }
  TfLiteStatus AddSplit() { return add(); }
  TfLiteStatus AddStridedSlice() { return add(); }
  TfLiteStatus AddSub() { return add(); }
  TfLiteStatus AddTanh() { return add(); }
  unsigned registered() const override { return registered_; }

 private:
  TfLiteStatus add() {
    if (registered_ >= tOpCount) return kTfLiteError;
    ++registered_;
    return kTfLiteOk;
  }
  unsigned registered_ = 0;
};

#ifdef STUB_MICRO_NAMESPACE
}  // namespace micro
#endif
}  // namespace tflite
