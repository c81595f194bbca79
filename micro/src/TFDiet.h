// SPDX-License-Identifier: MIT
// tf_diet: sound synthesis for pruned DDSP models on small boards.
//
// The synthesis needs nothing but this header. To run the model as well,
// include <tf_diet/step_model.h>, which needs a TensorFlow Lite Micro library.
#pragma once

#include "tf_diet/controls.h"
#include "tf_diet/ddsp_synth.h"
#include "tf_diet/filtered_noise.h"
#include "tf_diet/oscillator_bank.h"
#include "tf_diet/status.h"
