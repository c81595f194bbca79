"""Audio synthesisers to put on a diet."""

from tf_diet.models.ddsp import DDSPConfig, ddsp, decoder, static_envelope
from tf_diet.models.wavenet import WaveNetConfig, wavenet

__all__ = [
    "DDSPConfig",
    "WaveNetConfig",
    "ddsp",
    "decoder",
    "static_envelope",
    "wavenet",
]
