# SPDX-License-Identifier: MIT
r"""Turn a saved model into TFLite and a C array for TFLite Micro.

    tf-diet convert ticket.keras --output board/
    tf-diet convert ticket.keras --output board/ --quantize int16x8 \
        --data calibration.npz --sample-rate 16000 --hop 160 --sketch

A model of sequences becomes a step model: one frame in, one frame out, its
states as extra inputs and outputs. Of a DDSP synthesiser the decoder is
converted; the synthesis itself runs in C++ on the board. Writes
NAME_<quantize>.tflite and model_data.h/.cc, model_ops.h, model_settings.h
and model_settings.json.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.audio.synthesis import Synthesizer
from tf_diet.cli.models import load_data, load_model
from tf_diet.convert.micro import to_micro
from tf_diet.convert.sketch import write_sketch
from tf_diet.convert.streaming import StreamingModel, to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import InputError
from tf_diet.files import fresh_folder
from tf_diet.models.ddsp_network import LevelScale, PitchScale, decoder


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet convert`."""
    parser.add_argument("model", help="a .keras file")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="folder to write to; must be empty or new",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="empty the folder first"
    )
    parser.add_argument(
        "--quantize",
        default="float32",
        help="float32, int8 or int16x8 (default: %(default)s); integers need "
        "--data",
    )
    parser.add_argument(
        "--data",
        help="calibration data, an .npz file with one array for each input, "
        "(sequences, time, features)",
    )
    parser.add_argument(
        "--sample-rate", type=int, default=16000, help="default: %(default)s"
    )
    parser.add_argument(
        "--hop",
        type=int,
        default=160,
        help="samples of audio that one step stands for (default: 160)",
    )
    parser.add_argument(
        "--sketch",
        action="store_true",
        help="write a complete Arduino sketch folder as well (DDSP only)",
    )


def run(args: Any) -> None:
    """Converts and writes, showing what the model needs."""
    model = load_model(args.model)
    settings: dict[str, int] = {}
    data = None
    if args.data:
        data, _ = load_data(args.data)
    synth = [x for x in model.layers if isinstance(x, Synthesizer)]
    if args.sketch and not synth:
        raise InputError(
            "The sketch plays a DDSP synthesiser. Received: a model "
            f"{model.name!r} without a Synthesizer layer. Leave --sketch out."
        )
    if synth:
        model, settings, data = _decoder(model, synth[0], data)
    step: StreamingModel | keras.Model = model
    if any(len(t.shape) > 2 or None in t.shape[1:] for t in model.inputs):
        step = to_streaming(model, sample_rate=args.sample_rate)
        print(step)
    lite = to_tflite(step, args.quantize, data)
    fresh_folder(args.output, overwrite=args.overwrite)
    stem = Path(args.model).stem
    print(lite)
    print(lite.save(args.output / f"{stem}_{lite.quantize}.tflite"))
    micro = to_micro(
        lite,
        args.output / "micro",
        sample_rate=args.sample_rate,
        hop=args.hop,
        settings=settings,
    )
    print(micro)
    if args.sketch:
        print(write_sketch(args.output / "sketch", args.output / "micro"))


def _decoder(
    model: keras.Model, synth: Synthesizer, data: Any
) -> tuple[keras.Model, dict[str, int], Any]:
    """Cuts the decoder out and scales its calibration data."""
    net = decoder(model)
    settings = {
        "harmonics": synth.harmonics,
        "noise_bands": synth.noise_bands,
        "instruments": sum(
            int(x.shape[-1]) for x in net.inputs if x.name == "instrument"
        ),
    }
    if isinstance(data, dict) and {"f0", "loudness"} <= set(data):
        data = {
            "pitch": np.asarray(PitchScale()(data["f0"])),
            "level": np.asarray(LevelScale()(data["loudness"])),
            **{k: v for k, v in data.items() if k == "instrument"},
        }
    return net, settings, data
