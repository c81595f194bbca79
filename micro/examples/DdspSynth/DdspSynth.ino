// SPDX-License-Identifier: MIT
// Plays a short tune with a pruned DDSP model: TensorFlow Lite Micro turns
// pitch and loudness into controls, tf_diet turns the controls into sound.
// The serial monitor (115200 baud) says how long each half takes a frame and
// how much faster than real time the board is.
//
// To hear it, choose an output in audio_out.h. The files model_data, model_ops
// and model_settings are made by tf_diet (Python): write_sketch() puts them
// beside this sketch.
#include <TFDiet.h>

#include "tflite_library.h"

#include <tf_diet/step_model.h>

#include "audio_out.h"
#include "melody.h"
#include "model_data.h"
#include "model_ops.h"
#include "model_settings.h"

namespace settings = tf_diet::settings;

// Which instrument plays, where the model knows several.
constexpr int kInstrument = 0;
constexpr int kMostInstruments = 16;
constexpr unsigned long kFramesPerReport = 100;
constexpr unsigned long kPauseMilliseconds = 1000;
constexpr float kFrameSeconds = static_cast<float>(settings::kHop) /
                                static_cast<float>(settings::kSampleRate);

using Synth = tf_diet::DdspSynth<settings::kHarmonics, settings::kHop,
                                 settings::kNoiseBands>;

alignas(16) unsigned char memory[tf_diet::StepModel::memory_bytes(
    settings::kArenaBytes, settings::kInputs, settings::kOutputs,
    settings::kStates, settings::kStateCount)];
tf_diet::OpResolver operators;
tf_diet::StepModel model;
Synth synth;

float pitch[1];
float level[1];
float instrument[kMostInstruments];
const float* inputs[settings::kInputCount];
float controls[Synth::kControls];
float audio[settings::kHop];

unsigned long frame = 0;
unsigned long timed_frames = 0;
unsigned long model_micros = 0;
unsigned long synth_micros = 0;

// Says what is wrong, again and again for a monitor that is opened late.
void halt(const char* reason) {
  for (;;) {
    Serial.print("Stopped: ");
    Serial.println(reason);
    delay(5000);
  }
}

void check(tf_diet::Status status) {
  if (status != tf_diet::Status::kOk) halt(tf_diet::describe(status));
}

bool same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

// Points each input of the model to the numbers that it is called by.
void connect_inputs() {
  for (int i = 0; i < model.input_count(); ++i) {
    const char* name = model.input_name(i);
    const int size = model.input_size(i);
    if (same(name, "pitch") && size == 1) {
      inputs[i] = pitch;
    } else if (same(name, "level") && size == 1) {
      inputs[i] = level;
    } else if (same(name, "instrument") && size <= kMostInstruments) {
      inputs[i] = instrument;
      instrument[kInstrument] = 1.0f;
    } else {
      Serial.print("Input of the model: ");
      Serial.println(name);
      halt("this sketch feeds pitch, level and instrument (16 at most); "
           "feed that input in connect_inputs()");
    }
  }
  if (model.output_size() != Synth::kControls) {
    halt("the model does not answer 1 + kHarmonics + kNoiseBands controls; "
         "convert it again");
  }
}

void report() {
  const float frames = static_cast<float>(timed_frames);
  const float model_time = static_cast<float>(model_micros) / frames;
  const float synth_time = static_cast<float>(synth_micros) / frames;
  Serial.print("model ");
  Serial.print(model_time, 0);
  Serial.print(" us, synthesis ");
  Serial.print(synth_time, 0);
  Serial.print(" us a frame of ");
  Serial.print(1e6f * kFrameSeconds, 0);
  Serial.print(" us: ");
  // Above 1 the board keeps up.
  Serial.print(1e6f * kFrameSeconds / (model_time + synth_time), 2);
  Serial.println(" x real time");
  timed_frames = 0;
  model_micros = 0;
  synth_micros = 0;
}

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 3000) {
  }
  if (tf_diet::RegisterOps(operators) != kTfLiteOk) {
    halt("an operator of model_ops.h could not be registered: update the "
         "TensorFlow Lite Micro library");
  }
  check(model.begin(tf_diet::model_data, operators, memory, sizeof(memory),
                    settings::kInputs, settings::kOutputs, settings::kStates,
                    settings::kStateCount));
  connect_inputs();
  check(synth.begin(static_cast<float>(settings::kSampleRate)));
  if (!audio_out::begin(settings::kSampleRate)) {
    halt("the audio output did not start: look at the pins in audio_out.h");
  }
  Serial.print("tf_diet: model ");
  Serial.print(static_cast<unsigned long>(tf_diet::model_data_length));
  Serial.print(" bytes, arena ");
  Serial.print(static_cast<unsigned long>(model.arena_used_bytes()));
  Serial.print(" of ");
  Serial.print(static_cast<unsigned long>(settings::kArenaBytes));
  Serial.print(" bytes, synthesis ");
  Serial.print(static_cast<unsigned long>(sizeof(Synth)));
  Serial.print(" bytes, sound: ");
  Serial.println(audio_out::kName);
}

void loop() {
  melody::Frame now;
  const unsigned long time =
      frame * 1000UL * settings::kHop / settings::kSampleRate;
  if (!melody::at(time, &now)) {
    delay(kPauseMilliseconds);
    frame = 0;
    model.reset();
    synth.reset();
    return;
  }
  pitch[0] = melody::pitch_feature(now.f0);
  level[0] = melody::level_feature(now.loudness);

  const unsigned long start = micros();
  check(model.process(inputs, controls));
  const unsigned long between = micros();
  check(synth.process(now.f0, controls, audio));
  const unsigned long end = micros();

  audio_out::write(audio, settings::kHop);
  model_micros += between - start;
  synth_micros += end - between;
  ++frame;
  if (++timed_frames == kFramesPerReport) report();
}
