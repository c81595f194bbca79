// SPDX-License-Identifier: MIT
// Harmonics plus noise: from a frame of raw controls to a block of sound.
#pragma once

#include <math.h>
#include <stdint.h>

#include "controls.h"
#include "filtered_noise.h"
#include "oscillator_bank.h"
#include "status.h"

namespace tf_diet {

// The decoder of a DDSP model ends where this begins. All memory is in the
// object (sizeof tells how much): make it static, not on the stack.
template <int Harmonics, int Hop, int Bands>
class DdspSynth {
 public:
  static constexpr int kControls = 1 + Harmonics + Bands;

  DdspSynth() noexcept = default;
  DdspSynth(const DdspSynth&) = delete;
  DdspSynth& operator=(const DdspSynth&) = delete;

  Status begin(float sample_rate, uint32_t seed = 1) noexcept {
    sample_rate_ = sample_rate;
    ready_ = false;
    const Status status = oscillators_.begin(sample_rate);
    if (status != Status::kOk) return status;
    const Status noise = noise_.begin(seed);
    ready_ = noise == Status::kOk;
    return noise;
  }

  void reset() noexcept {
    oscillators_.reset();
    noise_.reset();
  }

  // f0: hertz; controls: kControls raw values; audio: Hop values, overwritten.
  // A refused frame leaves silence in audio and the synthesiser as it was.
  Status process(float f0, const float* controls, float* audio) noexcept {
    const Status status = check(f0, controls);
    if (status != Status::kOk) {
      for (int n = 0; n < Hop; ++n) audio[n] = 0.0f;
      return status;
    }
    scale_harmonics(controls, Harmonics, f0, sample_rate_, amplitudes_);
    scale_noise(controls + 1 + Harmonics, Bands, magnitudes_);
    oscillators_.process(f0, amplitudes_, audio);
    noise_.process(magnitudes_, breath_);
    for (int n = 0; n < Hop; ++n) audio[n] += breath_[n];
    return Status::kOk;
  }

 private:
  Status check(float f0, const float* controls) const noexcept {
    if (!ready_) return Status::kNotReady;
    if (!(f0 >= 0.0f && f0 <= sample_rate_)) return Status::kBadFrequency;
    for (int i = 0; i < kControls; ++i) {
      if (!isfinite(controls[i])) return Status::kBadControls;
    }
    return Status::kOk;
  }

  OscillatorBank<Harmonics, Hop> oscillators_;
  FilteredNoise<Bands, Hop> noise_;
  float amplitudes_[Harmonics] = {};
  float magnitudes_[Bands] = {};
  float breath_[Hop] = {};
  float sample_rate_ = 0.0f;
  bool ready_ = false;
};

}  // namespace tf_diet
