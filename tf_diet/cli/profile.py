# SPDX-License-Identifier: MIT
"""Measure a model: bytes, operators, memory, latency, and boards.

    tf-diet profile classifier_int8.tflite
    tf-diet profile net.keras             converted to float32 first
    tf-diet profile net.tflite --boards   every board: ms a call, memory, fits
    tf-diet profile net.tflite --board nano-33-ble,pico-2
    tf-diet profile ticket.tflite --hop 160 --sample-rate 16000
    tf-diet profile net.tflite --json figures.json
    tf-diet profile --boards              the boards that are known

Where a call stands for some sound (--hop samples of --sample-rate a second, or
what the model says of itself) real time is judged as well: a real-time factor
below 1 is faster than the sound. The arena is the memory that TensorFlow Lite
Micro needs for the tensors of the model.
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.data import add_data, read_data
from tf_diet.cli.models import add_import, check_model_file, load_model
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
        metavar="HZ",
        help="of the audio, for models of sound (default: the model's own)",
    )
    parser.add_argument(
        "--hop",
        type=int,
        metavar="SAMPLES",
        help="how much audio one call makes (default: the model's own)",
    )
    add_list(
        parser,
        "--board",
        metavar="NAME",
        help="estimate whether the model fits on this board",
    )
    parser.add_argument(
        "--boards",
        action="store_true",
        help="compare every known board; without a model, list them",
    )
    add_import(parser)
    add_data(
        parser,
        "also measure accuracy (targets that are classes) or mean squared "
        "error in LiteRT on this: an .npz file with x and y, or a function "
        "that returns them",
    )
    add_json(parser, "the figures")


def run(args: Any) -> Any:
    """Measures and prints."""
    from tf_diet.boards.board import boards

    # An unknown one is not worth the wait.
    chosen = [boards.get(name) for name in args.board]
    if args.boards and not args.model:
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
    model, hop, rate = _model(path, args)
    from tf_diet.boards.fit import fits, fits_all
    from tf_diet.boards.profiling import profile
    from tf_diet.report.boards import boards_table

    measured = profile(model, runs=args.runs, hop=hop, sample_rate=rate)
    print(measured)
    good = _evaluated(model, args)
    found = [fits(measured, board) for board in chosen]
    for fit in found:
        print(fit)
    if args.boards:
        found = fits_all(measured)
        print(boards_table(found))
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
    return {**plain(measured), "evaluation": plain(good), "boards": verdicts}


def _evaluated(model: Any, args: Any) -> Any:
    """Returns how good a converted model is at its task, if that is asked."""
    if not args.data:
        return None
    from tf_diet.convert.evaluation import evaluate

    found = evaluate(model, read_data(args.data, args.model))
    print(f"{'on the data':<22}{found}")
    return found


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


def _model(path: Path, args: Any) -> tuple[Any, int | None, int | None]:
    """Returns a converted model, and what is known of its sound."""
    from tf_diet.convert.form import in_form
    from tf_diet.convert.tflite import to_tflite
    from tf_diet.convert.tflite_model import TFLiteModel
    from tf_diet.graph.show import describe, inspect
    from tf_diet.models.deployment import deployable

    if path.suffix.lower() == ".tflite":
        return TFLiteModel.load(path), args.hop, args.sample_rate
    loaded = load_model(path, args)
    print(describe(inspect(loaded)))
    part = deployable(loaded)
    rate = args.sample_rate or part.sample_rate
    form = in_form(part.model, sample_rate=rate)
    print(form)
    return to_tflite(form), args.hop or part.hop, rate
