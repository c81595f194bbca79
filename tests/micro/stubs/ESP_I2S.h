// SPDX-License-Identifier: MIT
// Signatures of the I2S class of the ESP32 core 3.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum i2s_mode_t { I2S_MODE_STD };
enum i2s_data_bit_width_t { I2S_DATA_BIT_WIDTH_16BIT = 16 };
enum i2s_slot_mode_t { I2S_SLOT_MODE_STEREO = 2 };

class I2SClass {
 public:
  void setPins(int8_t, int8_t, int8_t) {}
  bool begin(i2s_mode_t, uint32_t, i2s_data_bit_width_t, i2s_slot_mode_t) {
    return true;
  }
  size_t write(const uint8_t*, size_t size) { return size; }
};
