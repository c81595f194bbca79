// SPDX-License-Identifier: MIT
// Sketches that only make sound have no TensorFlow Lite Micro library.
#if __has_include("tensorflow/lite/micro/micro_interpreter.h")

#include "step_model.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace tf_diet {
namespace {

size_t bytes_of(TfLiteType type) noexcept {
  switch (type) {
    case kTfLiteFloat32:
      return sizeof(float);
    case kTfLiteInt32:
      return sizeof(int32_t);
    case kTfLiteInt16:
      return sizeof(int16_t);
    case kTfLiteInt8:
      return sizeof(int8_t);
    default:
      return 0;
  }
}

// Only small integers are quantised: the others are counts, such as codes.
bool quantised(TfLiteType type) noexcept {
  return type == kTfLiteInt16 || type == kTfLiteInt8;
}

float read(const TfLiteTensor& tensor, int i) noexcept {
  if (tensor.type == kTfLiteFloat32) return tensor.data.f[i];
  if (tensor.type == kTfLiteInt32) {
    return static_cast<float>(tensor.data.i32[i]);
  }
  const int stored =
      tensor.type == kTfLiteInt16 ? tensor.data.i16[i] : tensor.data.int8[i];
  return static_cast<float>(stored - tensor.params.zero_point) *
         tensor.params.scale;
}

int quantise(float value, const TfLiteTensor& tensor, int lowest,
             int highest) noexcept {
  const float steps = rintf(value / tensor.params.scale) +
                      static_cast<float>(tensor.params.zero_point);
  if (!(steps > static_cast<float>(lowest))) return lowest;
  if (steps >= static_cast<float>(highest)) return highest;
  return static_cast<int>(steps);
}

// The nearest integer that fits.
int32_t nearest(float value) noexcept {
  const float whole = rintf(value);
  if (!(whole > -2147483648.0f)) return INT32_MIN;
  if (whole >= 2147483648.0f) return INT32_MAX;
  return static_cast<int32_t>(whole);
}

// Stores one number the way `tensor` does, in `memory`.
void write(float value, const TfLiteTensor& tensor, unsigned char* memory,
           int i) noexcept {
  const size_t at = static_cast<size_t>(i);
  if (tensor.type == kTfLiteFloat32) {
    memcpy(memory + at * sizeof(float), &value, sizeof(float));
  } else if (tensor.type == kTfLiteInt32) {
    const int32_t stored = nearest(value);
    memcpy(memory + at * sizeof(int32_t), &stored, sizeof(int32_t));
  } else if (tensor.type == kTfLiteInt16) {
    const int16_t stored =
        static_cast<int16_t>(quantise(value, tensor, INT16_MIN, INT16_MAX));
    memcpy(memory + at * sizeof(int16_t), &stored, sizeof(int16_t));
  } else {
    const int8_t stored =
        static_cast<int8_t>(quantise(value, tensor, INT8_MIN, INT8_MAX));
    memcpy(memory + at, &stored, sizeof(int8_t));
  }
}

bool same_numbers(const TfLiteTensor& a, const TfLiteTensor& b) noexcept {
  return a.type == b.type &&
         (!quantised(a.type) ||
          (!(a.params.scale < b.params.scale) &&
           !(a.params.scale > b.params.scale) &&
           a.params.zero_point == b.params.zero_point));
}

}  // namespace

void StepModel::reset() noexcept {
  for (int i = 0; i < join_total_; ++i) {
    const Port& port = *joins_[i].input;
    for (int n = 0; n < port.size; ++n) {
      write(0.0f, *port.tensor, port.state, n);
    }
  }
}

Status StepModel::process(const float* const* inputs,
                          float* controls) noexcept {
  if (interpreter_ == nullptr) return Status::kNotReady;
  for (int i = 0, position = 0; i < input_total_; ++i) {
    const Port& port = inputs_[i];
    if (port.state != nullptr) continue;
    const float* values = inputs[position++];
    for (int n = 0; n < port.size; ++n) {
      if (!isfinite(values[n])) return Status::kBadInput;
    }
  }
  for (int i = 0, position = 0; i < input_total_; ++i) {
    const Port& port = inputs_[i];
    if (port.state != nullptr) continue;
    const float* values = inputs[position++];
    unsigned char* memory =
        reinterpret_cast<unsigned char*>(port.tensor->data.raw);
    for (int n = 0; n < port.size; ++n) {
      write(values[n], *port.tensor, memory, n);
    }
  }
  return run(controls);
}

Status StepModel::set(int position, int i, float value) noexcept {
  if (interpreter_ == nullptr) return Status::kNotReady;
  const Port* port = free_input(position);
  if (port == nullptr || i < 0 || i >= port->size || !isfinite(value)) {
    return Status::kBadInput;
  }
  write(value, *port->tensor,
        reinterpret_cast<unsigned char*>(port->tensor->data.raw), i);
  return Status::kOk;
}

Status StepModel::run(float* controls) noexcept {
  if (interpreter_ == nullptr) return Status::kNotReady;
  // Running the model overwrites its inputs: each is set anew every time.
  for (int i = 0; i < input_total_; ++i) {
    const Port& port = inputs_[i];
    if (port.state == nullptr) continue;
    memcpy(port.tensor->data.raw, port.state, port.tensor->bytes);
  }
  if (interpreter_->Invoke() != kTfLiteOk) return Status::kInvokeFailed;
  for (int i = 0; i < join_total_; ++i) {
    const Port& to = *joins_[i].input;
    const TfLiteTensor& from = *joins_[i].output->tensor;
    if (same_numbers(from, *to.tensor)) {
      memcpy(to.state, from.data.raw, from.bytes);
      continue;
    }
    for (int n = 0; n < to.size; ++n) {
      write(read(from, n), *to.tensor, to.state, n);
    }
  }
  for (int n = 0; n < controls_->size; ++n) {
    controls[n] = read(*controls_->tensor, n);
  }
  return Status::kOk;
}

StepModel::Port* StepModel::free_input(int position) const noexcept {
  for (int i = 0; i < input_total_; ++i) {
    if (inputs_[i].state == nullptr && position-- == 0) return &inputs_[i];
  }
  return nullptr;
}

int StepModel::input_size(int position) const noexcept {
  const Port* port = free_input(position);
  return port == nullptr ? 0 : port->size;
}

const char* StepModel::input_name(int position) const noexcept {
  const Port* port = free_input(position);
  return port == nullptr ? "" : port->name;
}

size_t StepModel::arena_used_bytes() const noexcept {
  return interpreter_ == nullptr ? 0 : interpreter_->arena_used_bytes();
}

void StepModel::place_tables(unsigned char* memory, size_t inputs,
                             size_t outputs, size_t joins) noexcept {
  const uintptr_t odd = reinterpret_cast<uintptr_t>(memory) % kAlignment;
  unsigned char* at = memory + (odd == 0 ? 0 : kAlignment - odd);
  inputs_ = ::new (at) Port[inputs];
  at += inputs * sizeof(Port);
  outputs_ = ::new (at) Port[outputs];
  at += outputs * sizeof(Port);
  joins_ = ::new (at) Join[joins];
  next_state_ = memory + table_bytes(inputs, outputs, joins);
}

Status StepModel::join(int input, int output) noexcept {
  if (input < 0 || input >= input_total_ || output < 0 ||
      output >= output_total_) {
    return Status::kBadWiring;
  }
  Port& to = inputs_[input];
  Port& from = outputs_[output];
  if (to.size != from.size || to.state != nullptr) return Status::kBadWiring;
  to.state = next_state_;
  next_state_ += aligned(static_cast<size_t>(to.size) * kStateBytes);
  joins_[join_total_].input = &to;
  joins_[join_total_].output = &from;
  ++join_total_;
  return Status::kOk;
}

Status StepModel::start(const unsigned char* model,
                        const runtime::MicroOpResolver& operators,
                        unsigned char* arena, size_t arena_bytes) noexcept {
  const runtime::Model* parsed = runtime::GetModel(model);
  if (parsed->version() != TFLITE_SCHEMA_VERSION) {
    return fail(Status::kSchemaVersion);
  }
  interpreter_ = ::new (storage_)
      runtime::MicroInterpreter(parsed, operators, arena, arena_bytes);
  if (interpreter_->AllocateTensors() != kTfLiteOk) {
    return fail(Status::kAllocationFailed);
  }
  const Status status = connect();
  if (status != Status::kOk) return fail(status);
  reset();
  return Status::kOk;
}

// Finds each tensor and holds it against the tables.
Status StepModel::connect() noexcept {
  if (interpreter_->inputs_size() != static_cast<size_t>(input_total_) ||
      interpreter_->outputs_size() != static_cast<size_t>(output_total_)) {
    return Status::kTensorCount;
  }
  const int total = input_total_ + output_total_;
  for (int i = 0; i < total; ++i) {
    const bool is_input = i < input_total_;
    Port& port = is_input ? inputs_[i] : outputs_[i - input_total_];
    const int known = is_input ? input_total_ : output_total_;
    if (port.index < 0 || port.index >= known) return Status::kBadWiring;
    const size_t index = static_cast<size_t>(port.index);
    port.tensor = is_input ? interpreter_->input(index)
                           : interpreter_->output(index);
    if (port.tensor == nullptr) return Status::kTensorCount;
    const size_t width = bytes_of(port.tensor->type);
    if (width == 0) return Status::kTensorType;
    if (quantised(port.tensor->type) &&
        !(port.tensor->params.scale > 0.0f)) {
      return Status::kTensorType;
    }
    if (port.tensor->bytes != width * static_cast<size_t>(port.size)) {
      return Status::kTensorSize;
    }
  }
  free_inputs_ = input_total_ - join_total_;
  int answers = 0;
  for (int i = 0; i < output_total_; ++i) {
    bool fed_back = false;
    for (int j = 0; j < join_total_; ++j) {
      fed_back = fed_back || joins_[j].output == &outputs_[i];
    }
    if (fed_back) continue;
    controls_ = &outputs_[i];
    ++answers;
  }
  return answers == 1 ? Status::kOk : Status::kTensorCount;
}

Status StepModel::fail(Status status) noexcept {
  clear();
  return status;
}

void StepModel::clear() noexcept {
  if (interpreter_ != nullptr) interpreter_->~MicroInterpreter();
  interpreter_ = nullptr;
  controls_ = nullptr;
  input_total_ = 0;
  output_total_ = 0;
  join_total_ = 0;
  free_inputs_ = 0;
}

}  // namespace tf_diet

#endif
