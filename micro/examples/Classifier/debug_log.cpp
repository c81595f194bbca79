// SPDX-License-Identifier: MIT
// Where TensorFlow Lite Micro prints what is wrong. The library of the Nano 33
// BLE and the core of the ESP32 bring this function themselves.
#include <Arduino.h>

#if !defined(ARDUINO_ARDUINO_NANO33BLE) && !defined(ARDUINO_ARCH_ESP32)
extern "C" __attribute__((weak)) void DebugLog(const char* text);
extern "C" void DebugLog(const char* text) { Serial.print(text); }
#endif
