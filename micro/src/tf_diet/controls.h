// SPDX-License-Identifier: MIT
// From the raw numbers of the network to what the synthesiser plays.
//
// A frame of raw controls is [a, d_1 .. d_H, n_1 .. n_M]: overall amplitude,
// harmonic distribution, noise magnitudes, straight from a linear layer.
#pragma once

#include <math.h>

namespace tf_diet {

constexpr float kControlFloor = 1e-7f;
// Untrained networks answer about 0, which would be loud noise.
constexpr float kNoiseOffset = -5.0f;

// 2 sigmoid(x)^ln(10) + 1e-7, safe for any finite x.
inline float exp_sigmoid(float x) noexcept {
  constexpr float kLogTen = 2.302585093f;
  const float softplus =
      x > 0.0f ? log1pf(expf(-x)) : log1pf(expf(x)) - x;
  return 2.0f * expf(-kLogTen * softplus) + kControlFloor;
}

// Amplitude of each harmonic; those at or above half the sample rate are
// silent and take no share of the total.
//   raw: 1 + harmonics values; amplitudes: harmonics values.
inline void scale_harmonics(const float* raw, int harmonics, float f0,
                            float sample_rate, float* amplitudes) noexcept {
  const float nyquist = 0.5f * sample_rate;
  float total = 0.0f;
  for (int k = 0; k < harmonics; ++k) {
    const bool heard = static_cast<float>(k + 1) * f0 < nyquist;
    amplitudes[k] = heard ? exp_sigmoid(raw[1 + k]) : 0.0f;
    total += amplitudes[k];
  }
  const float gain =
      exp_sigmoid(raw[0]) / (total > kControlFloor ? total : kControlFloor);
  for (int k = 0; k < harmonics; ++k) amplitudes[k] *= gain;
}

// Magnitude of the noise filter in each band, 0 Hz to half the sample rate.
inline void scale_noise(const float* raw, int bands,
                        float* magnitudes) noexcept {
  for (int j = 0; j < bands; ++j) {
    magnitudes[j] = exp_sigmoid(raw[j] + kNoiseOffset);
  }
}

}  // namespace tf_diet
