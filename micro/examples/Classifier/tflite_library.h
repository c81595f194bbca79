// SPDX-License-Identifier: MIT
// Brings in the TensorFlow Lite Micro library of your board. The Arduino build
// finds a library only through a header at its top, so it must be named here.
#pragma once

#if defined(TF_DIET_TFLITE_HEADER)
// Another library: compile with -DTF_DIET_TFLITE_HEADER='<Name.h>', or write
// its #include in place of this line.
#include TF_DIET_TFLITE_HEADER
#elif defined(ARDUINO_ARCH_ESP32)
// Part of the ESP32 core from version 3.0 on: nothing to include.
#else
#include <TensorFlowLite.h>
#endif
