# SPDX-License-Identifier: MIT
"""Measure a model: bytes, operators, arena, latency, real-time factor.

    tf-diet profile ticket_int16x8.tflite
    tf-diet profile ticket.keras          converted to a float32 step first
    tf-diet profile ticket.tflite --board nano-33-ble
    tf-diet profile --boards              the boards that are known

The real-time factor is the time of one call over the duration of the audio
that it makes: below 1 is faster than real time.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_diet.audio.synthesis import Synthesizer
from tf_diet.boards.board import boards
from tf_diet.boards.fit import fits
from tf_diet.boards.profiling import profile
from tf_diet.cli.models import load_model
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import TFLiteModel
from tf_diet.errors import InputError
from tf_diet.files import write_text
from tf_diet.graph.show import describe, inspect
from tf_diet.models.ddsp_network import decoder


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet profile`."""
    parser.add_argument("model", nargs="?", help="a .tflite or .keras file")
    parser.add_argument(
        "--runs", type=int, default=1000, help="timed calls (default: 1000)"
    )
    parser.add_argument(
        "--sample-rate", type=int, default=16000, help="default: %(default)s"
    )
    parser.add_argument(
        "--hop",
        type=int,
        default=160,
        help="samples of audio that one call stands for (default: 160)",
    )
    parser.add_argument(
        "--board", action="append", default=[], help="does it fit this board?"
    )
    parser.add_argument(
        "--boards", action="store_true", help="list the known boards"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")


def run(args: Any) -> None:
    """Measures and prints."""
    if args.boards:
        for name in boards.names():
            print(boards.get(name))
        return
    if not args.model:
        raise InputError(
            "There is nothing to profile. Received: no file. Name a .tflite "
            "or .keras file, or pass --boards."
        )
    model: Any
    if Path(args.model).suffix == ".keras":
        loaded = load_model(args.model)
        print(describe(inspect(loaded)))
        if any(isinstance(x, Synthesizer) for x in loaded.layers):
            loaded = decoder(loaded)
        model = to_streaming(loaded, sample_rate=args.sample_rate)
    else:
        model = TFLiteModel.load(args.model)
    measured = profile(
        model, runs=args.runs, hop=args.hop, sample_rate=args.sample_rate
    )
    print(measured)
    for name in args.board:
        print(fits(measured, name))
    if args.json:
        write_text(args.json, json.dumps(asdict(measured), indent=2))
        print(f"wrote {args.json}")
