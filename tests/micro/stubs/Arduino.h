// SPDX-License-Identifier: MIT
// The part of Arduino that the sketches use, on a computer.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <chrono>

inline unsigned long micros() {
  using std::chrono::steady_clock;
  static const steady_clock::time_point start = steady_clock::now();
  return static_cast<unsigned long>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          steady_clock::now() - start)
          .count());
}

inline unsigned long millis() { return micros() / 1000; }

// A sketch that waits forever must not hold up a test: waiting costs no time,
// and the tenth wait ends the program.
inline void delay(unsigned long) {
  static int waits = 0;
  if (++waits == 10) {
    fflush(stdout);
    exit(3);
  }
}

class SerialPort {
 public:
  void begin(long) {}
  explicit operator bool() const { return true; }
  // What comes in over the serial port is the standard input.
  int available() {
    const int letter = getchar();
    if (letter == EOF) return 0;
    ungetc(letter, stdin);
    return 1;
  }
  int read() { return getchar(); }
  void print(const char* text) { printf("%s", text); }
  void print(int number) { printf("%d", number); }
  void print(unsigned long number) { printf("%lu", number); }
  void print(float number, int digits) {
    printf("%.*f", digits, static_cast<double>(number));
  }
  template <typename Value>
  void println(Value value) {
    print(value);
    println();
  }
  void println() { printf("\n"); }
};

static SerialPort Serial;

constexpr int OUTPUT = 1;
inline void pinMode(int, int) {}
inline int digitalPinToPinName(int pin) { return 40 + pin; }
