// SPDX-License-Identifier: MIT
// Answers over the serial port (115200 baud): numbers in, label and score out.
//
// Send the inputs of the model as text, separated by commas, spaces or lines.
// As soon as all have come, the sketch runs the model and prints a line such
// as "wave 0.93 1240 us". With kRawBytes, send one byte a number instead: 0 to
// 255 stands for 0 to 255 x kByteScale. After a second of silence in the middle
// of an example it begins anew.
//
// For a sensor of your own, call feed() with each number and answer() at the
// end. The files model_data, model_ops and model_settings are made by tf_diet
// (Python): write_sketch() puts them beside this sketch.
#include <TFDiet.h>

#include "tflite_library.h"

#include <tf_diet/step_model.h>

#include "labels.h"
#include "model_data.h"
#include "model_ops.h"
#include "model_settings.h"

namespace settings = tf_diet::settings;

constexpr bool kRawBytes = false;
constexpr float kByteScale = 1.0f / 255.0f;
constexpr unsigned long kPatienceMilliseconds = 1000;
constexpr int kLongestNumber = 24;

// Recursive, since C++11 allows a constexpr function no loop.
constexpr bool fed_back(int output, int state = 0) {
  return state < settings::kStateCount &&
         (settings::kStates[state].output == output ||
          fed_back(output, state + 1));
}
constexpr int answers(int output = 0) {
  return output >= settings::kOutputCount
             ? 0
             : (fed_back(output) ? 0 : settings::kOutputs[output].size) +
                   answers(output + 1);
}

alignas(16) unsigned char memory[tf_diet::StepModel::memory_bytes(
    settings::kArenaBytes, settings::kInputs, settings::kOutputs,
    settings::kStates, settings::kStateCount)];
tf_diet::OpResolver operators;
tf_diet::StepModel model;
float scores[answers()];

int input = 0;  // where the next number goes
int place = 0;
char word[kLongestNumber + 1];
int letters = 0;
unsigned long heard = 0;

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

void restart() {
  input = 0;
  place = 0;
  letters = 0;
}

// Runs the model on the numbers that were fed and prints its answer.
void answer() {
  const unsigned long start = micros();
  check(model.run(scores));
  const unsigned long time = micros() - start;
  int best = 0;
  for (int i = 1; i < model.output_size(); ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  if (best < kLabelCount) {
    Serial.print(kLabels[best]);
  } else {
    Serial.print(best);
  }
  Serial.print(" ");
  Serial.print(scores[best], 4);
  Serial.print(" ");
  Serial.print(time);
  Serial.println(" us");
  restart();
}

// Takes the next number of the inputs, in their order.
void feed(float value) {
  const tf_diet::Status status = model.set(input, place, value);
  if (status != tf_diet::Status::kOk) {
    Serial.print("Not a number, begin again: ");
    Serial.println(tf_diet::describe(status));
    restart();
    return;
  }
  if (++place < model.input_size(input)) return;
  place = 0;
  if (++input < model.input_count()) return;
  answer();
}

void feed_word() {
  if (letters == 0) return;
  word[letters] = '\0';
  letters = 0;
  char* end = word;
  const double value = strtod(word, &end);
  if (*end != '\0') {
    Serial.print("Not a number, begin again: ");
    Serial.println(word);
    restart();
    return;
  }
  feed(static_cast<float>(value));
}

void take(char letter) {
  if (kRawBytes) {
    feed(kByteScale *
         static_cast<float>(static_cast<unsigned char>(letter)));
    return;
  }
  if (letter == ',' || letter == ' ' || letter == '\t' || letter == '\r' ||
      letter == '\n') {
    feed_word();
  } else if (letters < kLongestNumber) {
    word[letters++] = letter;
  }
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
  Serial.print("tf_diet: model ");
  Serial.print(static_cast<unsigned long>(tf_diet::model_data_length));
  Serial.print(" bytes, arena ");
  Serial.print(static_cast<unsigned long>(model.arena_used_bytes()));
  Serial.print(" of ");
  Serial.print(static_cast<unsigned long>(settings::kArenaBytes));
  Serial.println(" bytes");
  for (int i = 0; i < model.input_count(); ++i) {
    Serial.print("send ");
    Serial.print(static_cast<unsigned long>(model.input_size(i)));
    Serial.print(kRawBytes ? " bytes of " : " numbers of ");
    Serial.println(model.input_name(i));
  }
}

void loop() {
  while (Serial.available() > 0) {
    take(static_cast<char>(Serial.read()));
    heard = millis();
  }
  const bool begun = input > 0 || place > 0 || letters > 0;
  if (begun && millis() - heard > kPatienceMilliseconds) {
    Serial.println("An example stopped halfway: begin again");
    restart();
  }
}
