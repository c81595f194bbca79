# SPDX-License-Identifier: MIT
r"""Turn any saved model into TFLite and a C array, proven against Keras.

    tf-diet convert net.keras -o board/
    tf-diet convert net.keras -o board/ --board pico --data images.npz
    tf-diet convert ticket.keras -o board/ --quantize int16x8 \
        --data calibration.npz --board nano-33-ble
    tf-diet convert crnn.keras -o board/ --whole --shape 98,40
    tf-diet convert other.tflite -o board/ --board esp32

A model of fixed shapes is converted as one whole call. A model of sequences
of unknown length becomes a step: one frame in, one frame out, its states as
extra inputs and outputs. --whole and --stream ask for one of them. Of a DDSP
synthesiser the decoder is converted; the synthesis itself runs in C++ on the
board. What was converted runs in LiteRT beside Keras before it is written.

Writes NAME_<quantize>.tflite, deployment.json with all figures, and where
TensorFlow Lite Micro can run the model the folder micro/ with model_data.h/.cc,
model_ops.h, model_settings.h and model_settings.json. With --board also whether
it fits, and sketch/ with a project that builds.

--data is what 'tf-diet prune' takes: an .npz file with x, or one array for
each named input; an .npy file with the one input; FILE.py:FUNCTION, a function
that returns data as Keras' fit takes it; or a folder of sounds, for a model in
the folder that 'tf-diet train' made. Of a step model every example is a
sequence, (time, features).
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.data import add_data, read_data
from tf_diet.cli.models import (
    SUFFIXES,
    add_import,
    check_model_file,
    load_model,
)
from tf_diet.cli.parsing import add_json, add_list, add_output
from tf_diet.errors import InputError
from tf_diet.extensions import quantizations
from tf_diet.files import check_fresh_folder

_TFLITE = ".tflite"


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet convert`."""
    parser.add_argument(
        "model", metavar="MODEL", help="a .keras, .h5 or .tflite file"
    )
    add_import(parser)
    add_output(
        parser, "the folder to write to; must be empty or new", required=True
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="empty the folder first"
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        help="what it is for: decides the quantization where --quantize does "
        "not, refuses what cannot run there, and adds a sketch; 'tf-diet "
        "profile --boards' lists them",
    )
    parser.add_argument(
        "--quantize",
        metavar="NAME",
        help=f"how numbers are stored: {', '.join(quantizations.names())}. "
        "int8 and int16x8 (16-bit activations, for recurrent models) need "
        "--data; float16, dynamic and wi4 are for a Raspberry Pi; wi8 (8-bit "
        "weights, float arithmetic) runs everywhere (default: float32; for a "
        "microcontroller with --data int8, or int16x8 for a step with states)",
    )
    add_data(
        parser,
        "real inputs, from which the ranges of integers are taken and on "
        "which the result is compared with Keras",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--whole",
        dest="form",
        action="store_const",
        const="whole",
        help="convert one call that does everything",
    )
    form.add_argument(
        "--stream",
        dest="form",
        action="store_const",
        const="stream",
        help="convert a step with states",
    )
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="[NAME=]SIZES",
        help="of an input whose sizes are unknown, without the batch, such "
        "as 98,40 or audio=16000,1; the model is then converted whole",
    )
    parser.add_argument(
        "--frame",
        type=int,
        default=1,
        metavar="STEPS",
        help="time steps in one call of a step (default: %(default)s)",
    )
    parser.add_argument(
        "--sample-rate",
        type=int,
        metavar="HZ",
        help="of the audio, where the model is about sound (default: what the "
        "model says)",
    )
    parser.add_argument(
        "--hop",
        type=int,
        metavar="SAMPLES",
        help="how much audio one call stands for (default: what the model "
        "says)",
    )
    add_list(
        parser,
        "--labels",
        metavar="NAME",
        help="what the outputs of a classifier stand for, in order; its "
        "sketch prints them",
    )
    parser.add_argument(
        "--sketch",
        action="store_true",
        help="write a complete Arduino sketch folder without naming a board",
    )
    add_json(parser, "paths and sizes of what was written")


def run(args: Any) -> dict[str, Any]:
    """Converts and writes, showing what the model needs."""
    source = _checked(args.model)
    # Not after the work.
    check_fresh_folder(args.output, overwrite=args.overwrite)
    if args.board:
        from tf_diet.boards.board import get

        get(args.board)
    from tf_diet.boards.deployment import deploy

    model = _read(source, args)
    data = read_data(args.data, source) if args.data else None
    found = deploy(
        model,
        data,
        folder=args.output,
        board=args.board,
        quantize=args.quantize,
        form=args.form,
        shapes=_shapes(args.shape, model),
        frame=args.frame,
        sample_rate=args.sample_rate,
        hop=args.hop,
        name=source.stem,
        labels=args.labels,
        overwrite=args.overwrite,
        sketch=True if args.sketch else None,
    )
    print(found)
    print(f"wrote {found.folder}")
    return {
        "form": found.form,
        "tflite": found.tflite,
        "quantize": found.model.quantize,
        "bytes": len(found.model),
        "fidelity": found.model.fidelity,
        "micro": found.micro,
        "micro_problem": found.micro_problem,
        "sketch": found.sketch,
    }


def _checked(word: str) -> Path:
    path = Path(word)
    if path.suffix.lower() == _TFLITE and path.is_file():
        return path
    return check_model_file(path)


def _read(source: Path, args: Any) -> Any:
    """Returns a model of Keras or a converted one.

    Raises:
        InputError: something was asked for that a converted one cannot be.
    """
    if source.suffix.lower() != _TFLITE:
        return load_model(source, args)
    given = {
        "--quantize": args.quantize,
        "--data": args.data,
        "--whole or --stream": args.form,
        "--shape": args.shape,
    }
    asked = [name for name, value in given.items() if value]
    if asked:
        raise InputError(
            f"{source.name} is converted already: it is written as it is. "
            f"Received: {', '.join(asked)}. Leave that out, or name the "
            f"{' or '.join(SUFFIXES)} file that it was made of."
        )
    from tf_diet.convert.tflite_model import TFLiteModel

    return TFLiteModel.load(source)


def _shapes(words: list[str], model: Any) -> dict[str, tuple[int, ...]] | None:
    """Returns the shapes of inputs by name.

    Raises:
        InputError: a word is no shape, or does not say of which input.
    """
    found: dict[str, tuple[int, ...]] = {}
    names = [tensor.name for tensor in getattr(model, "inputs", ())]
    for word in words:
        name, _, sizes = word.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            shape = ()
        if not shape or not (name or len(names) == 1):
            raise InputError(
                "A shape is whole numbers with commas between, after the name "
                f"of the input where there are several. Received: --shape "
                f"{word} for the inputs {', '.join(names)}. Write --shape "
                f"{names[0] if names else 'audio'}=16000,1."
            )
        found[name or names[0]] = shape
    return found or None
