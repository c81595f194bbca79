// SPDX-License-Identifier: MIT
// What the sketch plays: a short tune as pitch and loudness, frame by frame.
#pragma once

#include <math.h>

namespace melody {

struct Note {
  int midi;  // 69 is the A of 440 Hz
  unsigned long sixteenths;
};

// Ludwig van Beethoven, "Ode to Joy" (1824), first phrase.
constexpr Note kNotes[] = {
    {76, 4}, {76, 4}, {77, 4}, {79, 4}, {79, 4}, {77, 4}, {76, 4}, {74, 4},
    {72, 4}, {72, 4}, {74, 4}, {76, 4}, {76, 6}, {74, 2}, {74, 8},
};

constexpr unsigned long kMillisecondsPerSixteenth = 110;
// Loudness as the training sounds have it, in dB.
constexpr float kLoud = -22.0f;
constexpr float kQuiet = -60.0f;
constexpr float kAttackSeconds = 0.05f;
constexpr float kReleaseSeconds = 0.08f;
constexpr float kVibratoHertz = 5.5f;
constexpr float kVibratoSemitones = 0.15f;

struct Frame {
  float f0;        // hertz
  float loudness;  // dB
};

// The frame so long after the beginning; false once the tune is over. Whole
// milliseconds, so that every board changes notes at the same frame.
inline bool at(unsigned long milliseconds, Frame* frame) noexcept {
  unsigned long start = 0;
  for (const Note& note : kNotes) {
    const unsigned long duration = note.sixteenths * kMillisecondsPerSixteenth;
    if (milliseconds >= start + duration) {
      start += duration;
      continue;
    }
    const float age = static_cast<float>(milliseconds - start) / 1000.0f;
    const float length = static_cast<float>(duration) / 1000.0f;
    const float attack = age / kAttackSeconds;
    const float release = (length - age) / kReleaseSeconds;
    float swell = attack < release ? attack : release;
    swell = swell < 1.0f ? swell : 1.0f;
    frame->loudness = kQuiet + (kLoud - kQuiet) * swell;
    const float bend =
        kVibratoSemitones * sinf(6.28318531f * kVibratoHertz * age);
    frame->f0 = 440.0f * exp2f((static_cast<float>(note.midi) - 69.0f + bend) /
                               12.0f);
    return true;
  }
  return false;
}

// The two features in the scales that the model was trained with.
inline float pitch_feature(float f0) noexcept {
  const float midi = 69.0f + 12.0f * log2f(f0 / 440.0f);
  return midi > 0.0f ? midi / 127.0f : 0.0f;
}
inline float level_feature(float loudness) noexcept {
  return loudness / 80.0f + 1.0f;
}

}  // namespace melody
