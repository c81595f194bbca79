// SPDX-License-Identifier: MIT
// Where the sound goes. Choose one of these by the line below the list; with
// none the sketch only prints how fast it is.
#pragma once

#define TF_DIET_AUDIO_NONE 0
#define TF_DIET_AUDIO_I2S_ESP32 1   // ESP32 core 3: an I2S amplifier or DAC
#define TF_DIET_AUDIO_PWM_RP2040 2  // arduino-pico: a pin and an RC filter
#define TF_DIET_AUDIO_I2S_RP2040 3  // arduino-pico: an I2S amplifier or DAC
#define TF_DIET_AUDIO_PWM_NRF52 4   // Nano 33 BLE: a pin and an RC filter
#define TF_DIET_AUDIO_CUSTOM 5      // your own custom_audio_begin() and _write()

#ifndef TF_DIET_AUDIO_OUT
#define TF_DIET_AUDIO_OUT TF_DIET_AUDIO_NONE
#endif

#include <stdint.h>

#if TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_I2S_ESP32
#include <ESP_I2S.h>
#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_PWM_RP2040
#include <PWMAudio.h>
#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_I2S_RP2040
#include <I2S.h>
#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_PWM_NRF52
#include <Arduino.h>
#include <nrf.h>
#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_CUSTOM
bool custom_audio_begin(int sample_rate);
void custom_audio_write(const float* audio, int count);
#endif

namespace audio_out {

// Full scale of the model is full scale of the output; lower it if it clips.
constexpr float kVolume = 0.9f;

inline int16_t to_pcm16(float sample) noexcept {
  float scaled = 32767.0f * kVolume * sample;
  if (scaled > 32767.0f) scaled = 32767.0f;
  if (scaled < -32768.0f) scaled = -32768.0f;
  return static_cast<int16_t>(scaled);
}

// begin() starts the output; write() waits until it took all samples, so that
// it sets the pace of the sketch.
#if TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_I2S_ESP32

constexpr const char* kName = "I2S, bit clock 4, word clock 5, data 6";
constexpr int8_t kBitClock = 4;
constexpr int8_t kWordClock = 5;
constexpr int8_t kData = 6;
static I2SClass port;

inline bool begin(int sample_rate) {
  port.setPins(kBitClock, kWordClock, kData);
  return port.begin(I2S_MODE_STD, static_cast<uint32_t>(sample_rate),
                    I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_STEREO);
}

inline void write(const float* audio, int count) {
  for (int n = 0; n < count; ++n) {
    const int16_t sample = to_pcm16(audio[n]);
    const int16_t both[2] = {sample, sample};
    port.write(reinterpret_cast<const uint8_t*>(both), sizeof(both));
  }
}

#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_PWM_RP2040

constexpr const char* kName = "PWM on GP0";
static PWMAudio port(0);

inline bool begin(int sample_rate) {
  return port.begin(static_cast<long>(sample_rate));
}

inline void write(const float* audio, int count) {
  for (int n = 0; n < count; ++n) port.write(to_pcm16(audio[n]));
}

#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_I2S_RP2040

constexpr const char* kName = "I2S, bit clock GP26, word clock GP27, data GP28";
constexpr int kBitClock = 26;  // the word clock is the pin after it
constexpr int kData = 28;
static I2S port(OUTPUT);

inline bool begin(int sample_rate) {
  port.setBCLK(kBitClock);
  port.setDATA(kData);
  port.setBitsPerSample(16);
  return port.begin(static_cast<long>(sample_rate));
}

inline void write(const float* audio, int count) {
  for (int n = 0; n < count; ++n) {
    const int16_t sample = to_pcm16(audio[n]);
    port.write16(sample, sample);
  }
}

#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_PWM_NRF52

// One PWM period a sample: 16 MHz / 1000 = 16 kHz, ten bits. The unit plays
// its two buffers in turn; the one that it is not playing is filled.
constexpr const char* kName = "PWM on D3";
constexpr int kPin = 3;
constexpr int kClock = 16000000;
constexpr int kBlock = 160;
static uint16_t blocks[2][kBlock];
static int block = 0;
static int filled = 0;
static float half_period = 0.0f;

inline bool begin(int sample_rate) {
  const int top = kClock / sample_rate;
  half_period = 0.5f * static_cast<float>(top);
  for (int i = 0; i < 2; ++i) {
    for (int n = 0; n < kBlock; ++n) {
      blocks[i][n] = static_cast<uint16_t>(half_period);
    }
    NRF_PWM3->SEQ[i].PTR =
        static_cast<uint32_t>(reinterpret_cast<uintptr_t>(blocks[i]));
    NRF_PWM3->SEQ[i].CNT = kBlock;
    NRF_PWM3->SEQ[i].REFRESH = 0;
    NRF_PWM3->SEQ[i].ENDDELAY = 0;
    // The first two writes find both buffers free.
    NRF_PWM3->EVENTS_SEQEND[i] = 1;
  }
  pinMode(kPin, OUTPUT);
  NRF_PWM3->PSEL.OUT[0] = static_cast<uint32_t>(digitalPinToPinName(kPin));
  NRF_PWM3->MODE = PWM_MODE_UPDOWN_Up;
  NRF_PWM3->PRESCALER = PWM_PRESCALER_PRESCALER_DIV_1;
  NRF_PWM3->COUNTERTOP = static_cast<uint32_t>(top);
  NRF_PWM3->DECODER = PWM_DECODER_LOAD_Common << PWM_DECODER_LOAD_Pos;
  NRF_PWM3->LOOP = 0xffff;
  NRF_PWM3->SHORTS = PWM_SHORTS_LOOPSDONE_SEQSTART0_Msk;
  NRF_PWM3->ENABLE = 1;
  NRF_PWM3->TASKS_SEQSTART[0] = 1;
  return true;
}

inline void write(const float* audio, int count) {
  for (int n = 0; n < count; ++n) {
    if (filled == 0) {
      while (NRF_PWM3->EVENTS_SEQEND[block] == 0) {
      }
      NRF_PWM3->EVENTS_SEQEND[block] = 0;
    }
    float turn = half_period * (1.0f + kVolume * audio[n]);
    if (turn < 0.0f) turn = 0.0f;
    if (turn > 2.0f * half_period) turn = 2.0f * half_period;
    blocks[block][filled] = static_cast<uint16_t>(turn);
    if (++filled == kBlock) {
      filled = 0;
      block ^= 1;
    }
  }
}

#elif TF_DIET_AUDIO_OUT == TF_DIET_AUDIO_CUSTOM

constexpr const char* kName = "your own";

inline bool begin(int sample_rate) { return custom_audio_begin(sample_rate); }

inline void write(const float* audio, int count) {
  custom_audio_write(audio, count);
}

#else

constexpr const char* kName = "none (choose one in audio_out.h)";

inline bool begin(int) { return true; }

inline void write(const float*, int) {}

#endif

}  // namespace audio_out
