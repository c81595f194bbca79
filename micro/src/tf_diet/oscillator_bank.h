// SPDX-License-Identifier: MIT
// A bank of harmonic sines whose pitch and amplitudes move from frame to frame.
#pragma once

#include <math.h>
#include <stdint.h>

#include "status.h"

namespace tf_diet {

// One call of process() makes the Hop samples between the frame before and
// this one: frequency moves in a straight line (so phase is a parabola),
// amplitudes cross-fade with a raised cosine. The first frame after reset()
// holds still.
template <int Harmonics, int Hop>
class OscillatorBank {
  static_assert(Harmonics >= 1, "a bank needs one harmonic");
  static_assert(Hop >= 1, "a block needs one sample");

 public:
  OscillatorBank() noexcept = default;
  OscillatorBank(const OscillatorBank&) = delete;
  OscillatorBank& operator=(const OscillatorBank&) = delete;

  Status begin(float sample_rate) noexcept {
    ready_ = false;
    if (!(sample_rate > 0.0f) || !isfinite(sample_rate)) {
      return Status::kBadSampleRate;
    }
    sample_rate_ = sample_rate;
    for (int n = 0; n < Hop; ++n) {
      const float turn = static_cast<float>(n + 1) / static_cast<float>(Hop);
      fade_[n] = 0.5f - 0.5f * cosf(kPi * turn);
    }
    ready_ = true;
    reset();
    return Status::kOk;
  }

  void reset() noexcept {
    phase_ = 0;
    started_ = false;
  }

  // f0: hertz; amplitudes: Harmonics values; audio: Hop values, overwritten.
  // A refused frame leaves silence in audio and the bank as it was.
  Status process(float f0, const float* amplitudes, float* audio) noexcept {
    const Status status = check(f0, amplitudes);
    if (status != Status::kOk) {
      for (int n = 0; n < Hop; ++n) audio[n] = 0.0f;
      return status;
    }
    const int side = newest_ ^ 1;
    copy(amplitudes, amplitudes_[side]);
    if (!started_) {
      copy(amplitudes, amplitudes_[newest_]);
      f0_ = f0;
      started_ = true;
    }
    render(f0, amplitudes_[newest_], amplitudes_[side], audio);
    newest_ = side;
    f0_ = f0;
    return Status::kOk;
  }

 private:
  // Harmonics are summed in pairs, so a zero may stand at the end.
  static constexpr int kPairs = (Harmonics + 1) / 2;
  static constexpr float kPi = 3.14159265f;

  Status check(float f0, const float* amplitudes) const noexcept {
    if (!ready_) return Status::kNotReady;
    // Written so that NaN is refused too.
    if (!(f0 >= 0.0f && f0 <= sample_rate_)) return Status::kBadFrequency;
    for (int k = 0; k < Harmonics; ++k) {
      if (!isfinite(amplitudes[k])) return Status::kBadControls;
    }
    return Status::kOk;
  }

  static void copy(const float* from, float* to) noexcept {
    for (int k = 0; k < Harmonics; ++k) to[k] = from[k];
  }

  static int pairs_in_use(const float* from, const float* to) noexcept {
    int pairs = kPairs;
    while (pairs > 0) {
      const int k = 2 * pairs - 2;
      const bool silent = from[k] == 0.0f && from[k + 1] == 0.0f &&
                          to[k] == 0.0f && to[k + 1] == 0.0f;
      if (!silent) break;
      --pairs;
    }
    return pairs;
  }

  void render(float f0, const float* from, const float* to,
              float* audio) noexcept {
    // Phase is counted in 2^-48 cycles: whole cycles fall off the top of the
    // word, so it stays exact however long the note is, and no sample costs
    // more than two 64-bit additions.
    const double unit = 281474976710656.0 / static_cast<double>(sample_rate_);
    const double slope =
        (static_cast<double>(f0) - static_cast<double>(f0_)) / Hop;
    const double first = static_cast<double>(f0_) + 0.5 * slope;
    uint64_t step = static_cast<uint64_t>(llrint(first * unit));
    const uint64_t bend = static_cast<uint64_t>(llrint(slope * unit));
    const int pairs = pairs_in_use(from, to);
    for (int n = 0; n < Hop; ++n) {
      phase_ += step;
      step += bend;
      float before;
      float after;
      sum_sines(static_cast<uint32_t>(phase_ >> 16), from, to, pairs, &before,
                &after);
      audio[n] = before + fade_[n] * (after - before);
    }
  }

  // Sums of from[k-1] sin(k x) and to[k-1] sin(k x), x = turn / 2^32 cycles.
  static void sum_sines(uint32_t turn, const float* from, const float* to,
                        int pairs, float* before, float* after) noexcept {
    // sin(k (pi - y)) = -(-1)^k sin(k y): the left half circle is folded onto
    // the right one, where the recurrence below keeps its precision.
    const bool folded = ((turn + 0x40000000u) & 0x80000000u) != 0;
    const uint32_t right = folded ? 0x80000000u - turn : turn;
    const float half = static_cast<float>(static_cast<int32_t>(right)) *
                       (kPi / 4294967296.0f);
    // Taylor series: half an angle of the right half circle is at most pi / 4.
    const float square = half * half;
    const float sine_half =
        half * (1.0f + square * (-1.0f / 6 + square * (1.0f / 120 + square *
               (-1.0f / 5040 + square * (1.0f / 362880)))));
    const float cosine_half =
        1.0f + square * (-1.0f / 2 + square * (1.0f / 24 + square *
               (-1.0f / 720 + square * (1.0f / 40320))));
    // sin((k+1)y) - sin(ky) = sin(ky) - sin((k-1)y) + (2 cos y - 2) sin(ky);
    // the small number 2 cos y - 2 is had exactly from the half angle, where
    // 2 cos y alone would lose it near y = 0.
    const float curl = -4.0f * sine_half * sine_half;
    float rise = 2.0f * sine_half * cosine_half;
    float sine = 0.0f;
    float odd_before = 0.0f;
    float odd_after = 0.0f;
    float even_before = 0.0f;
    float even_after = 0.0f;
    for (int pair = 0; pair < pairs; ++pair) {
      sine += rise;
      rise += curl * sine;
      odd_before += from[0] * sine;
      odd_after += to[0] * sine;
      sine += rise;
      rise += curl * sine;
      even_before += from[1] * sine;
      even_after += to[1] * sine;
      from += 2;
      to += 2;
    }
    *before = folded ? odd_before - even_before : odd_before + even_before;
    *after = folded ? odd_after - even_after : odd_after + even_after;
  }

  float fade_[Hop] = {};
  float amplitudes_[2][2 * kPairs] = {};
  float sample_rate_ = 0.0f;
  float f0_ = 0.0f;
  uint64_t phase_ = 0;
  int newest_ = 0;
  bool ready_ = false;
  bool started_ = false;
};

}  // namespace tf_diet
