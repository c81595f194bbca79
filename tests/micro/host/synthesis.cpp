// SPDX-License-Identifier: MIT
// synthesis PART FRAMES AUDIO: renders raw float32 frames [f0, controls...]
// with one part of the library and writes float32 samples.
// Sizes come from -D: HARMONICS, HOP, BANDS, RATE, SEED.
#include <stdio.h>
#include <string.h>

#include "TFDiet.h"
#include "heap.h"

namespace {

constexpr int kHarmonics = HARMONICS;
constexpr int kHop = HOP;
constexpr int kBands = BANDS;
constexpr int kFrame = 1 + 1 + kHarmonics + kBands;
constexpr float kRate = RATE;
constexpr unsigned kSeed = SEED;

using Bank = tf_diet::OscillatorBank<kHarmonics, kHop>;
using Noise = tf_diet::FilteredNoise<kBands, kHop>;
using Synth = tf_diet::DdspSynth<kHarmonics, kHop, kBands>;

Bank bank;
Noise noise;
Synth synth;
Synth other;

tf_diet::Status render(const char* part, const float* frame, float* audio) {
  const float* controls = frame + 1;
  if (strcmp(part, "harmonics") == 0) {
    float amplitudes[kHarmonics];
    tf_diet::scale_harmonics(controls, kHarmonics, frame[0], kRate, amplitudes);
    return bank.process(frame[0], amplitudes, audio);
  }
  if (strcmp(part, "noise") == 0) {
    float magnitudes[kBands];
    tf_diet::scale_noise(controls + 1 + kHarmonics, kBands, magnitudes);
    return noise.process(magnitudes, audio);
  }
  return synth.process(frame[0], controls, audio);
}

void reset() {
  bank.reset();
  noise.reset();
  synth.reset();
}

int fail(const char* why) {
  fprintf(stderr, "%s\n", why);
  return 1;
}

}  // namespace

int main(int, char** argument) {
  const char* part = argument[1];
  FILE* in = fopen(argument[2], "rb");
  FILE* out = fopen(argument[3], "wb");
  if (in == nullptr || out == nullptr) return fail("cannot open the files");

  float frame[kFrame] = {};
  float audio[kHop];
  if (synth.process(100.0f, frame, audio) != tf_diet::Status::kNotReady) {
    return fail("process() before begin() was not refused");
  }
  if (bank.begin(kRate) != tf_diet::Status::kOk ||
      noise.begin(kSeed) != tf_diet::Status::kOk ||
      synth.begin(kRate, kSeed) != tf_diet::Status::kOk ||
      other.begin(kRate, kSeed + 1) != tf_diet::Status::kOk) {
    return fail("begin() failed");
  }
  if (!heap::counts()) return fail("allocations are not counted");
  int allocations = 0;

  // A second instance that plays in between must not be heard.
  float elsewhere[kHop];
  while (fread(frame, sizeof(float), kFrame, in) == kFrame) {
    // A negative pitch asks for a reset in between.
    if (frame[0] < 0.0f) {
      reset();
      continue;
    }
    const int before = heap::allocations();
    const tf_diet::Status status = render(part, frame, audio);
    if (status != tf_diet::Status::kOk) return fail(tf_diet::describe(status));
    other.process(0.7f * frame[0], frame + 1, elsewhere);
    allocations += heap::allocations() - before;
    fwrite(audio, sizeof(float), kHop, out);
  }
  fclose(in);
  fclose(out);
  printf("%d allocations, %d bytes\n", allocations,
         static_cast<int>(sizeof(Synth)));
  return 0;
}
