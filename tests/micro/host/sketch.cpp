// SPDX-License-Identifier: MIT
// Runs a sketch on a computer: sketch LOOPS [AUDIO]. SKETCH names the .ino.
#include <Arduino.h>
#include <stdio.h>
#include <stdlib.h>

static FILE* recording = nullptr;

#include SKETCH

bool custom_audio_begin(int sample_rate);
void custom_audio_write(const float* samples, int count);

bool custom_audio_begin(int sample_rate) { return sample_rate == 16000; }

void custom_audio_write(const float* samples, int count) {
  fwrite(samples, sizeof(float), static_cast<size_t>(count), recording);
}

int main(int count, char** argument) {
  if (count > 2) recording = fopen(argument[2], "wb");
  setup();
  for (int i = 0; i < atoi(argument[1]); ++i) loop();
  if (recording != nullptr) fclose(recording);
  return 0;
}
