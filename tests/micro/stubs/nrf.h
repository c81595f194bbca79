// SPDX-License-Identifier: MIT
// The registers of the PWM unit of the nRF52840 that the sketch sets.
#pragma once

#include <stdint.h>

// The unit plays on by itself: a buffer that is asked for is free at once.
struct AlwaysFree {
  AlwaysFree& operator=(int) { return *this; }
  bool operator==(int value) const { return value != 0; }
};

struct NRF_PWM_Type {
  uint32_t TASKS_SEQSTART[2];
  AlwaysFree EVENTS_SEQEND[2];
  uint32_t SHORTS, ENABLE, MODE, COUNTERTOP, PRESCALER, DECODER, LOOP;
  struct {
    uint32_t PTR, CNT, REFRESH, ENDDELAY;
  } SEQ[2];
  struct {
    uint32_t OUT[4];
  } PSEL;
};

static NRF_PWM_Type pwm_unit;
static NRF_PWM_Type* const NRF_PWM3 = &pwm_unit;

constexpr uint32_t PWM_MODE_UPDOWN_Up = 0;
constexpr uint32_t PWM_PRESCALER_PRESCALER_DIV_1 = 0;
constexpr uint32_t PWM_DECODER_LOAD_Common = 0;
constexpr uint32_t PWM_DECODER_LOAD_Pos = 0;
constexpr uint32_t PWM_SHORTS_LOOPSDONE_SEQSTART0_Msk = 4;
