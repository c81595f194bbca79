# SPDX-License-Identifier: MIT
"""Differentiable synthesis: a bank of harmonics plus filtered noise.

The C++ library computes the same samples from the same controls; `synthesize`
with explicit noise is what both are compared by.
"""

from tf_diet.audio.synthesis.controls import (
    Controls,
    exp_sigmoid,
    scale_controls,
)
from tf_diet.audio.synthesis.harmonic import block_phase, harmonic_oscillator
from tf_diet.audio.synthesis.noise import filtered_noise, impulse_responses
from tf_diet.audio.synthesis.reverb import Reverb
from tf_diet.audio.synthesis.synthesizer import Synthesizer, synthesize

__all__ = [
    "Controls",
    "Reverb",
    "Synthesizer",
    "block_phase",
    "exp_sigmoid",
    "filtered_noise",
    "harmonic_oscillator",
    "impulse_responses",
    "scale_controls",
    "synthesize",
]
