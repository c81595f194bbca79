// SPDX-License-Identifier: MIT
// A recurrent model that TensorFlow Lite Micro runs one frame at a time.
//
// This file and step_model.cpp are the only ones that know TensorFlow Lite
// Micro. Include the header of your board's library before this one.
#pragma once

#include <stddef.h>

#include <new>

#include "status.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// Newer headers keep their symbols in tflite::micro.
namespace tflite {
namespace micro {}
}  // namespace tflite

namespace tf_diet {
namespace runtime {
using namespace ::tflite;
using namespace ::tflite::micro;
}  // namespace runtime

// Inputs and outputs are real numbers: the model quantises and dequantises
// them itself, and carries every state from its output to its input.
class StepModel {
 public:
  StepModel() noexcept = default;
  ~StepModel() { clear(); }
  StepModel(const StepModel&) = delete;
  StepModel& operator=(const StepModel&) = delete;

  // Bytes of memory that begin() needs: the arena, the tables and a copy of
  // the states, for inputs and outputs may share their place in the arena.
  template <typename Tensor, size_t Inputs, size_t Outputs, typename Link,
            size_t Links>
  static constexpr size_t memory_bytes(size_t arena_bytes,
                                       const Tensor (&inputs)[Inputs],
                                       const Tensor (&)[Outputs],
                                       const Link (&states)[Links],
                                       int state_count) noexcept {
    return aligned(arena_bytes) + table_bytes(Inputs, Outputs, Links) +
           state_bytes(inputs, states, state_count);
  }

  // model: the flatbuffer; operators: those of model_ops.h, registered;
  // memory: memory_bytes() bytes, best aligned to 16, used until the object
  // goes; the tables: those of model_settings.h. Allocates nothing.
  template <typename Tensor, size_t Inputs, size_t Outputs, typename Link,
            size_t Links>
  Status begin(const unsigned char* model,
               const runtime::MicroOpResolver& operators,
               unsigned char* memory, size_t bytes,
               const Tensor (&inputs)[Inputs],
               const Tensor (&outputs)[Outputs], const Link (&states)[Links],
               int state_count) noexcept {
    clear();
    const size_t kept = table_bytes(Inputs, Outputs, Links) +
                        state_bytes(inputs, states, state_count);
    if (bytes <= kept) return Status::kMemoryTooSmall;
    const size_t arena_bytes = (bytes - kept) / kAlignment * kAlignment;
    place_tables(memory + arena_bytes, Inputs, Outputs, Links);
    for (const Tensor& tensor : inputs) {
      inputs_[input_total_++] = {tensor.name, nullptr, tensor.index,
                                 tensor.size, nullptr};
    }
    for (const Tensor& tensor : outputs) {
      outputs_[output_total_++] = {tensor.name, nullptr, tensor.index,
                                   tensor.size, nullptr};
    }
    for (int i = 0; i < state_count; ++i) {
      const Status status = join(states[i].input, states[i].output);
      if (status != Status::kOk) return fail(status);
    }
    return start(model, operators, memory, arena_bytes);
  }

  // Sets every state to zero.
  void reset() noexcept;

  // inputs: one pointer for each of input_count() inputs, to input_size(i)
  // numbers; controls: output_size() numbers, overwritten. After a refused
  // frame the states are as they were.
  Status process(const float* const* inputs, float* controls) noexcept;

  // process() in parts, for inputs too large to be kept twice: set() stores
  // number i of an input in the model itself, run() computes. Every number of
  // every input has to be set before each run().
  Status set(int position, int i, float value) noexcept;
  Status run(float* controls) noexcept;

  // The inputs that are not states, in their order.
  int input_count() const noexcept { return free_inputs_; }
  int input_size(int position) const noexcept;
  const char* input_name(int position) const noexcept;
  int output_size() const noexcept {
    return controls_ == nullptr ? 0 : controls_->size;
  }
  // Bytes of the arena in use, 0 before a successful begin().
  size_t arena_used_bytes() const noexcept;

 private:
  static constexpr size_t kAlignment = 16;
  // The widest number of a state, float32.
  static constexpr size_t kStateBytes = 4;

  struct Port {
    const char* name;
    TfLiteTensor* tensor;
    int index;
    int size;
    // Where an input that is a state is kept between frames.
    unsigned char* state;
  };
  struct Join {
    Port* input;
    Port* output;
  };

  static constexpr size_t aligned(size_t bytes) noexcept {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  static constexpr size_t table_bytes(size_t inputs, size_t outputs,
                                      size_t joins) noexcept {
    return aligned((inputs + outputs) * sizeof(Port) + joins * sizeof(Join)) +
           kAlignment;
  }
  // Recursive, since C++11 allows a constexpr function no loop.
  template <typename Tensor, size_t Inputs, typename Link>
  static constexpr size_t state_bytes(const Tensor (&inputs)[Inputs],
                                      const Link* states,
                                      int count) noexcept {
    return count <= 0 ? 0
                      : bytes_kept(inputs, states[count - 1].input) +
                            state_bytes(inputs, states, count - 1);
  }
  template <typename Tensor, size_t Inputs>
  static constexpr size_t bytes_kept(const Tensor (&inputs)[Inputs],
                                     int input) noexcept {
    return input < 0 || static_cast<size_t>(input) >= Inputs
               ? 0
               : aligned(static_cast<size_t>(inputs[input].size) * kStateBytes);
  }

  Port* free_input(int position) const noexcept;
  void place_tables(unsigned char* memory, size_t inputs, size_t outputs,
                    size_t joins) noexcept;
  Status join(int input, int output) noexcept;
  Status start(const unsigned char* model,
               const runtime::MicroOpResolver& operators,
               unsigned char* arena, size_t arena_bytes) noexcept;
  Status connect() noexcept;
  Status fail(Status status) noexcept;
  void clear() noexcept;

  alignas(runtime::MicroInterpreter) unsigned char
      storage_[sizeof(runtime::MicroInterpreter)];
  runtime::MicroInterpreter* interpreter_ = nullptr;
  Port* inputs_ = nullptr;
  Port* outputs_ = nullptr;
  Join* joins_ = nullptr;
  Port* controls_ = nullptr;
  unsigned char* next_state_ = nullptr;
  int input_total_ = 0;
  int output_total_ = 0;
  int join_total_ = 0;
  int free_inputs_ = 0;
};

}  // namespace tf_diet
