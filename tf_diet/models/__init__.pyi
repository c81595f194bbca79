# SPDX-License-Identifier: MIT
from . import families as families
from .ddsp_network import DDSPConfig as DDSPConfig
from .ddsp_network import ddsp as ddsp
from .ddsp_network import decoder as decoder
from .ddsp_network import static_envelope as static_envelope
from .deployment import deployable as deployable
from .sing_network import SINGConfig as SINGConfig
from .sing_network import sing as sing
from .sing_network import sing_autoencoder as sing_autoencoder
from .sing_network import sing_generator as sing_generator
from .trained import Trained as Trained
from .trainer import train as train
from .wavenet_network import WaveNetConfig as WaveNetConfig
from .wavenet_network import wavenet as wavenet
from .wavenet_sampling import generate as generate
