// SPDX-License-Identifier: MIT
// White noise through a filter that every frame sets anew.
#pragma once

#include <math.h>
#include <stdint.h>

#include "status.h"

namespace tf_diet {

// One call of process() makes Hop samples. The filter is linear phase, from
// Bands magnitudes between 0 Hz and half the sample rate under a Hann window;
// its delay of Bands - 1 samples is left in. What a block rings on beyond its
// end is added to the blocks that follow.
template <int Bands, int Hop>
class FilteredNoise {
  static_assert(Bands >= 2, "a filter needs two bands");
  static_assert(Hop >= 1, "a block needs one sample");

 public:
  static constexpr int kTaps = 2 * (Bands - 1);

  FilteredNoise() noexcept = default;
  FilteredNoise(const FilteredNoise&) = delete;
  FilteredNoise& operator=(const FilteredNoise&) = delete;

  // seed: any number but 0; the same seed gives the same noise.
  Status begin(uint32_t seed) noexcept {
    ready_ = false;
    if (seed == 0) return Status::kBadSeed;
    seed_ = seed;
    constexpr float kTurn = 6.28318531f / static_cast<float>(kTaps);
    for (int i = 0; i < kTaps; ++i) {
      cosine_[i] = cosf(kTurn * static_cast<float>(i));
    }
    ready_ = true;
    reset();
    return Status::kOk;
  }

  void reset() noexcept {
    random_ = seed_;
    for (int n = 0; n < kRing; ++n) ring_[n] = 0.0f;
  }

  // magnitudes: Bands values; audio: Hop values, overwritten. A refused frame
  // leaves silence in audio and the noise as it was.
  Status process(const float* magnitudes, float* audio) noexcept {
    const Status status = check(magnitudes);
    if (status != Status::kOk) {
      for (int n = 0; n < Hop; ++n) audio[n] = 0.0f;
      return status;
    }
    design(magnitudes);
    for (int n = 0; n < Hop; ++n) white_[kMargin + n] = next_white();
    convolve();
    for (int n = 0; n < Hop; ++n) audio[n] = ring_[n];
    for (int n = 0; n < kRing; ++n) {
      ring_[n] = n + Hop < kRing ? ring_[n + Hop] : 0.0f;
    }
    return Status::kOk;
  }

 private:
  // Four outputs and four taps at a time share their loads. What a group
  // reaches over is zero: taps at the end, noise at both ends.
  static constexpr int kGroup = 4;
  static constexpr int kMargin = 2 * (kGroup - 1);
  static constexpr int kRing =
      (Hop + kTaps - 1 + kGroup - 1) / kGroup * kGroup;
  static constexpr int kPaddedTaps = (kTaps + kGroup - 1) / kGroup * kGroup;
  static constexpr int kPairs = (Bands + 1) / 2;

  Status check(const float* magnitudes) const noexcept {
    if (!ready_) return Status::kNotReady;
    for (int j = 0; j < Bands; ++j) {
      if (!isfinite(magnitudes[j])) return Status::kBadControls;
    }
    return Status::kOk;
  }

  // xorshift32 (Marsaglia 2003), scaled to [-1, 1].
  float next_white() noexcept {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    return static_cast<float>(static_cast<int32_t>(random_)) / 2147483648.0f;
  }

  // Taps from magnitudes: a real, even inverse Fourier transform, windowed.
  void design(const float* magnitudes) noexcept {
    // All bands but the first and the last stand for two frequencies.
    constexpr float kShare = 2.0f / static_cast<float>(kTaps);
    for (int j = 0; j < Bands; ++j) shares_[j] = kShare * magnitudes[j];
    shares_[0] *= 0.5f;
    shares_[Bands - 1] *= 0.5f;
    // cos(2 pi j (L/2 - i) / L) = (-1)^j cos(2 pi i j / L): sums over even and
    // odd bands give two taps for the price of one.
    constexpr int kCentre = kTaps / 2;
    for (int i = 0; 2 * i <= kCentre; ++i) {
      float even = 0.0f;
      float odd = 0.0f;
      int turn = 0;
      const float* share = shares_;
      for (int pair = 0; pair < kPairs; ++pair) {
        even += share[0] * cosine_[turn];
        turn += i;
        if (turn >= kTaps) turn -= kTaps;
        odd += share[1] * cosine_[turn];
        turn += i;
        if (turn >= kTaps) turn -= kTaps;
        share += 2;
      }
      place(i, even + odd);
      place(kCentre - i, even - odd);
    }
  }

  void place(int distance, float value) noexcept {
    constexpr int kCentre = kTaps / 2;
    const float window = 0.5f + 0.5f * cosine_[distance];
    const float tap = value * window;
    taps_[kCentre - distance] = tap;
    if (distance < kCentre) taps_[kCentre + distance] = tap;
  }

  // One tap on four neighbouring outputs.
  static inline __attribute__((always_inline)) void add(
      float tap, float w0, float w1, float w2, float w3, float* y) noexcept {
    y[0] += tap * w0;
    y[1] += tap * w1;
    y[2] += tap * w2;
    y[3] += tap * w3;
  }

  void convolve() noexcept {
    for (int n = 0; n < kRing; n += kGroup) {
      const int early = n > Hop - 1 ? n - Hop + 1 : 0;
      const int first = early / kGroup * kGroup;
      const int end = n + kGroup < kPaddedTaps ? n + kGroup : kPaddedTaps;
      const float* tap = taps_ + first;
      const float* white = white_ + kMargin + n - first;
      float w1 = white[1];
      float w2 = white[2];
      float w3 = white[3];
      float y[kGroup] = {};
      for (int i = first; i < end; i += kGroup) {
        const float w0 = white[0];
        add(tap[0], w0, w1, w2, w3, y);
        w3 = white[-1];
        add(tap[1], w3, w0, w1, w2, y);
        w2 = white[-2];
        add(tap[2], w2, w3, w0, w1, y);
        w1 = white[-3];
        add(tap[3], w1, w2, w3, w0, y);
        tap += kGroup;
        white -= kGroup;
      }
      for (int k = 0; k < kGroup; ++k) ring_[n + k] += y[k];
    }
  }

  float cosine_[kTaps] = {};
  float shares_[2 * kPairs] = {};
  float taps_[kPaddedTaps] = {};
  float white_[kMargin + Hop + kMargin] = {};
  float ring_[kRing] = {};
  uint32_t seed_ = 1;
  uint32_t random_ = 1;
  bool ready_ = false;
};

}  // namespace tf_diet
