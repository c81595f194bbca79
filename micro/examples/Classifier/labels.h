// SPDX-License-Identifier: MIT
// Names of the classes, in the order of the model's outputs. Without any the
// sketch prints numbers.
#pragma once

constexpr int kLabelCount = 0;
constexpr const char* kLabels[] = {""};
