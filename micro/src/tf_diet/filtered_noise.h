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
  // Four outputs at a time share their loads; the last group may run over.
  static constexpr int kGroup = 4;
  static constexpr int kMargin = kGroup - 1;
  static constexpr int kRing =
      (Hop + kTaps - 1 + kMargin) / kGroup * kGroup;

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
    // cos(2 pi j (L/2 - i) / L) = (-1)^j cos(2 pi i j / L): sums over even and
    // odd bands give two taps for the price of one.
    constexpr int kCentre = kTaps / 2;
    for (int i = 0; 2 * i <= kCentre; ++i) {
      float even = magnitudes[0];
      float odd = 0.0f;
      int turn = 0;
      for (int j = 1; j < Bands; ++j) {
        turn += i;
        if (turn >= kTaps) turn -= kTaps;
        const float share = j == Bands - 1 ? 1.0f : 2.0f;
        const float part = share * magnitudes[j] * cosine_[turn];
        if (j % 2 == 0) {
          even += part;
        } else {
          odd += part;
        }
      }
      place(i, even + odd);
      place(kCentre - i, even - odd);
    }
  }

  void place(int distance, float value) noexcept {
    constexpr int kCentre = kTaps / 2;
    const float window = 0.5f + 0.5f * cosine_[distance];
    const float tap = value * window / static_cast<float>(kTaps);
    taps_[kCentre - distance] = tap;
    if (distance < kCentre) taps_[kCentre + distance] = tap;
  }

  void convolve() noexcept {
    for (int n = 0; n < kRing; n += kGroup) {
      const int first = n > Hop - 1 ? n - Hop + 1 : 0;
      const int last = n + kMargin < kTaps - 1 ? n + kMargin : kTaps - 1;
      int at = kMargin + n - first;
      float w1 = white_[at + 1];
      float w2 = white_[at + 2];
      float w3 = white_[at + 3];
      float y0 = 0.0f;
      float y1 = 0.0f;
      float y2 = 0.0f;
      float y3 = 0.0f;
      for (int i = first; i <= last; ++i) {
        const float tap = taps_[i];
        const float w0 = white_[at--];
        y0 += tap * w0;
        y1 += tap * w1;
        y2 += tap * w2;
        y3 += tap * w3;
        w3 = w2;
        w2 = w1;
        w1 = w0;
      }
      ring_[n] += y0;
      ring_[n + 1] += y1;
      ring_[n + 2] += y2;
      ring_[n + 3] += y3;
    }
  }

  float cosine_[kTaps] = {};
  float taps_[kTaps] = {};
  float white_[kMargin + Hop + kMargin] = {};
  float ring_[kRing] = {};
  uint32_t seed_ = 1;
  uint32_t random_ = 1;
  bool ready_ = false;
};

}  // namespace tf_diet
