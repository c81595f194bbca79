# SPDX-License-Identifier: MIT
r"""Turn a saved model into TFLite and a C array for TFLite Micro.

    tf-diet convert ticket.keras -o board/
    tf-diet convert ticket.keras -o board/ --quantize int16x8 \
        --data calibration.npz --sample-rate 16000 --hop 160 --sketch

A model of sequences becomes a step model: one frame in, one frame out, its
states as extra inputs and outputs. Of a DDSP synthesiser the decoder is
converted; the synthesis itself runs in C++ on the board. Writes
NAME_<quantize>.tflite and model_data.h/.cc, model_ops.h, model_settings.h
and model_settings.json.

--data is an .npz file with x, or one array for each named input, (sequences,
time, features); an .npy file with the one input; FILE.py:FUNCTION, a function
that returns such arrays; or a folder of sounds, for a model in the folder that
'tf-diet train' made.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tf_diet.cli.data import add_data, read_data
from tf_diet.cli.models import check_model_file, load_model
from tf_diet.cli.parsing import add_json, add_output
from tf_diet.errors import InputError
from tf_diet.files import check_fresh_folder, fresh_folder

if TYPE_CHECKING:
    import keras

    from tf_diet.audio.synthesis import Synthesizer


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet convert`."""
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    add_output(
        parser, "the folder to write to; must be empty or new", required=True
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="empty the folder first"
    )
    parser.add_argument(
        "--quantize",
        default="float32",
        metavar="NAME",
        help="float32, int8 or int16x8 (8-bit weights, 16-bit activations); "
        "the last two need --data (default: %(default)s)",
    )
    add_data(parser, "real inputs, from which the ranges of integers are taken")
    parser.add_argument(
        "--sample-rate",
        type=int,
        default=16000,
        metavar="HZ",
        help="of the audio (default: %(default)s)",
    )
    parser.add_argument(
        "--hop",
        type=int,
        default=160,
        metavar="SAMPLES",
        help="how much audio one step makes (default: 160)",
    )
    parser.add_argument(
        "--sketch",
        action="store_true",
        help="write a complete Arduino sketch folder as well (DDSP only)",
    )
    add_json(parser, "paths and sizes of what was written")


def run(args: Any) -> dict[str, Any]:
    """Converts and writes, showing what the model needs."""
    source = check_model_file(args.model)
    # Not after the work.
    check_fresh_folder(args.output, overwrite=args.overwrite)
    from tf_diet.audio.synthesis import Synthesizer
    from tf_diet.convert.micro import to_micro
    from tf_diet.convert.sketch import write_sketch
    from tf_diet.convert.streaming import StreamingModel, to_streaming
    from tf_diet.convert.tflite import to_tflite

    model = load_model(source)
    settings: dict[str, int] = {}
    data = read_data(args.data, source) if args.data else None
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
    print(lite)
    written = lite.save(args.output / f"{source.stem}_{lite.quantize}.tflite")
    print(written)
    micro = to_micro(
        lite,
        args.output / "micro",
        sample_rate=args.sample_rate,
        hop=args.hop,
        settings=settings,
    )
    print(micro)
    sketch = None
    if args.sketch:
        sketch = write_sketch(args.output / "sketch", args.output / "micro")
        print(sketch)
    return {
        "tflite": written,
        "quantize": lite.quantize,
        "bytes": len(lite.data),
        "micro": micro,
        "sketch": sketch,
    }


def _decoder(
    model: "keras.Model", synth: "Synthesizer", data: Any
) -> tuple["keras.Model", dict[str, int], Any]:
    """Cuts the decoder out and scales its calibration data.

    Data may be given for the decoder itself, too.
    """
    import numpy as np

    from tf_diet.data.inputs import Inputs
    from tf_diet.data.reader import read
    from tf_diet.models.ddsp_network import LevelScale, PitchScale, decoder

    net = decoder(model)
    settings = {
        "harmonics": synth.harmonics,
        "noise_bands": synth.noise_bands,
        "instruments": sum(
            int(x.shape[-1]) for x in net.inputs if x.name == "instrument"
        ),
    }
    x = data[0] if isinstance(data, tuple) else data
    if data is not None and not (isinstance(x, Mapping) and "pitch" in x):
        inputs = Inputs.of(model, "Calibration data")
        assert inputs is not None
        arrays = read(data, inputs, targets=False).x
        held = dict(zip(inputs.names, arrays, strict=True))
        data = {
            "pitch": np.asarray(PitchScale()(held["f0"])),
            "level": np.asarray(LevelScale()(held["loudness"])),
            **{k: v for k, v in held.items() if k == "instrument"},
        }
    return net, settings, data
