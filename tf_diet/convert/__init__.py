# SPDX-License-Identifier: MIT
"""From Keras to step models, TFLite, TFLite Micro and C arrays."""
