# SPDX-License-Identifier: MIT
"""`tf-diet`: sub-commands on absl."""

import os
import sys
from types import ModuleType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, logging
from absl.flags import argparse_flags

from tf_diet import __version__
from tf_diet.cli import (
    convert,
    demo,
    evaluate,
    generate,
    inspect,
    lottery,
    profile,
    prune,
    render_notes,
    runs,
    sweep,
    train,
)
from tf_diet.errors import DietError

COMMANDS: tuple[ModuleType, ...] = (
    demo,
    inspect,
    prune,
    lottery,
    runs,
    sweep,
    convert,
    profile,
    render_notes,
    train,
    generate,
    evaluate,
)


def parse(argv: list[str]) -> Any:
    """Returns the parsed command line; absl's own flags work beside ours.

    Args:
        argv: program name and arguments.
    """
    parser = argparse_flags.ArgumentParser(
        prog="tf-diet",
        description="Physically prunes Keras 3 models and puts them on boards.",
        epilog="Run 'tf-diet COMMAND --help' for a command and an example.",
    )
    parser.add_argument(
        "--version", action="version", version=f"tf-diet {__version__}"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    for module in COMMANDS:
        doc = (module.__doc__ or "").strip()
        name = module.__name__.rsplit(".", 1)[-1].replace("_", "-")
        command = commands.add_parser(
            name,
            help=doc.splitlines()[0].rstrip("."),
            description=doc,
            formatter_class=argparse_flags.argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser.parse_args(argv[1:])


def main(args: Any) -> int:
    """Runs the chosen command; our own errors become one line and code 2."""
    logging.use_absl_handler()
    try:
        args.run(args)
    except DietError as error:
        print(f"tf-diet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tf-diet: interrupted", file=sys.stderr)
        return 130
    return 0


def run() -> None:
    """The console script."""
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    run()
