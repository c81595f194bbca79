# SPDX-License-Identifier: MIT
"""Audio synthesisers to put on a diet."""

from tf_diet.models.ddsp_network import (
    DDSPConfig,
    ddsp,
    decoder,
    static_envelope,
)
from tf_diet.models.sing_network import (
    SINGConfig,
    sing,
    sing_autoencoder,
    sing_generator,
)
from tf_diet.models.trained import Trained
from tf_diet.models.trainer import train
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet
from tf_diet.models.wavenet_sampling import generate

__all__ = [
    "DDSPConfig",
    "SINGConfig",
    "Trained",
    "WaveNetConfig",
    "ddsp",
    "decoder",
    "generate",
    "sing",
    "sing_autoencoder",
    "sing_generator",
    "static_envelope",
    "train",
    "wavenet",
]
