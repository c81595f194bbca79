// SPDX-License-Identifier: MIT
// How much sound can this board make in real time? Times the synthesis alone,
// without a model, at several sizes. Needs no TensorFlow Lite Micro library.
#include <TFDiet.h>

constexpr int kSampleRate = 16000;
constexpr int kHop = 160;
constexpr int kFrames = 50;

unsigned long noise_state = 1;

// Controls must be alive: silence or zeros may be computed faster.
float next_control() {
  noise_state = noise_state * 1664525UL + 1013904223UL;
  return static_cast<float>((noise_state >> 16) & 0xff) / 64.0f - 2.0f;
}

template <int Harmonics, int Bands>
void measure() {
  static tf_diet::DdspSynth<Harmonics, kHop, Bands> synth;
  static float controls[1 + Harmonics + Bands];
  static float audio[kHop];
  tf_diet::Status status = synth.begin(static_cast<float>(kSampleRate));
  unsigned long total = 0;
  unsigned long worst = 0;
  for (int frame = 0; frame < kFrames; ++frame) {
    for (float& control : controls) control = next_control();
    // Low enough that every harmonic sounds.
    const float f0 = 100.0f + static_cast<float>(frame % 10);
    const unsigned long start = micros();
    if (status == tf_diet::Status::kOk) {
      status = synth.process(f0, controls, audio);
    }
    const unsigned long took = micros() - start;
    total += took;
    worst = took > worst ? took : worst;
  }
  if (status != tf_diet::Status::kOk) {
    Serial.println(tf_diet::describe(status));
    return;
  }
  const float mean = static_cast<float>(total) / static_cast<float>(kFrames);
  const float frame_micros = 1e6f * static_cast<float>(kHop) /
                             static_cast<float>(kSampleRate);
  Serial.print(Harmonics);
  Serial.print(" harmonics, ");
  Serial.print(Bands);
  Serial.print(" noise bands: ");
  Serial.print(mean, 0);
  Serial.print(" us a frame, worst ");
  Serial.print(worst);
  Serial.print(" us, ");
  // Above 1 the board keeps up; the model needs its share too.
  Serial.print(frame_micros / (mean > 0.0f ? mean : 1.0f), 2);
  Serial.print(" x real time, ");
  Serial.print(static_cast<unsigned long>(sizeof(synth)));
  Serial.println(" bytes");
}

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 3000) {
  }
}

void loop() {
  measure<20, 17>();
  measure<40, 17>();
  measure<40, 65>();
  measure<60, 65>();
  Serial.println();
  delay(5000);
}
