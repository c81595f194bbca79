# SPDX-License-Identifier: MIT
from .micro import MicroModel as MicroModel
from .micro import parse_c_array as parse_c_array
from .micro import to_micro as to_micro
from .runtime import LiteRTRunner as LiteRTRunner
from .runtime import MicroRunner as MicroRunner
from .sketch import write_sketch as write_sketch
from .streaming import StreamingModel as StreamingModel
from .streaming import to_streaming as to_streaming
from .tflite import to_tflite as to_tflite
from .tflite_model import TFLiteModel as TFLiteModel
from .toolchain import Toolchain as Toolchain
