# SPDX-License-Identifier: MIT
"""Measure a model: bytes, operators, arena, latency, real-time factor.

    tf-diet profile ticket_int16x8.tflite
    tf-diet profile ticket.keras          converted to a float32 step first
    tf-diet profile ticket.tflite --board nano-33-ble,pico-2
    tf-diet profile ticket.tflite --json figures.json
    tf-diet profile --boards              the boards that are known

The real-time factor is the time of one call over the duration of the audio
that it makes: below 1 is faster than real time. The arena is the memory that
TensorFlow Lite Micro needs for the tensors of the model.
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.models import check_model_file, load_model
from tf_diet.cli.parsing import add_json, add_list
from tf_diet.errors import InputError


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet profile`."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a .tflite or .keras file",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=1000,
        metavar="N",
        help="how many calls are timed (default: 1000)",
    )
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
        help="how much audio one call makes (default: 160)",
    )
    add_list(
        parser,
        "--board",
        metavar="NAME",
        help="estimate whether the model fits on this board",
    )
    parser.add_argument(
        "--boards", action="store_true", help="list the known boards"
    )
    add_json(parser, "the figures")


def run(args: Any) -> Any:
    """Measures and prints."""
    from tf_diet.boards.board import boards

    # An unknown one is not worth the wait.
    chosen = [boards.get(name) for name in args.board]
    if args.boards:
        known = [boards.get(name) for name in boards.names()]
        print("\n".join(map(repr, known)))
        return known
    if not args.model:
        raise InputError(
            "There is nothing to profile. Received: no file. Name a .tflite "
            "or .keras file, or pass --boards."
        )
    path = Path(args.model)
    if path.suffix.lower() != ".tflite" or not path.is_file():
        _check(path)
    model = _model(path, args.sample_rate)
    from tf_diet.boards.fit import fits
    from tf_diet.boards.profiling import profile

    measured = profile(
        model, runs=args.runs, hop=args.hop, sample_rate=args.sample_rate
    )
    print(measured)
    found = [
        fits(measured, board, hop=args.hop, sample_rate=args.sample_rate)
        for board in chosen
    ]
    for fit in found:
        print(fit)
    from tf_diet.cli.results import plain

    verdicts = [
        {
            **plain(fit),
            "board": fit.board.name,
            "embeddable": fit.embeddable,
            "real_time": fit.real_time,
        }
        for fit in found
    ]
    return {**plain(measured), "boards": verdicts}


def _check(path: Path) -> None:
    """Says what is wrong with a path that is no .tflite file.

    Raises:
        InputError: it is no .keras file either.
    """
    if path.suffix.lower() == ".tflite" or path.is_dir():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(
            f"There is nothing to profile. Received: {path}: {what}. Name a "
            ".tflite or .keras file; 'tf-diet convert' writes the first."
        )
    check_model_file(path)


def _model(path: Path, sample_rate: int) -> Any:
    """Returns a converted model, or the step of a Keras model."""
    from tf_diet.audio.synthesis import Synthesizer
    from tf_diet.convert.streaming import to_streaming
    from tf_diet.convert.tflite_model import TFLiteModel
    from tf_diet.graph.show import describe, inspect
    from tf_diet.models.ddsp_network import decoder

    if path.suffix.lower() == ".tflite":
        return TFLiteModel.load(path)
    loaded = load_model(path)
    print(describe(inspect(loaded)))
    if any(isinstance(x, Synthesizer) for x in loaded.layers):
        loaded = decoder(loaded)
    return to_streaming(loaded, sample_rate=sample_rate)
