// SPDX-License-Identifier: MIT
// The header by which the Arduino build finds the library: it is empty there.
#pragma once
