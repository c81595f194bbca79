# SPDX-License-Identifier: MIT
"""`tf-diet`: a parser for each command, and what they all do alike.

Modules of commands import nothing heavy at their top: the help of a command
must not wait for TensorFlow.
"""

import sys
from types import ModuleType
from typing import Any

from tf_diet import __version__, backend
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
from tf_diet.cli.parsing import Parser, add_verbosity
from tf_diet.cli.results import (
    IncompleteError,
    check_json,
    text_apart,
    write_json,
)
from tf_diet.errors import DietError
from tf_diet.progress import logged

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
    """Returns the parsed command line.

    Args:
        argv: program name and arguments.
    """
    parser = Parser(
        prog="tf-diet",
        usage="tf-diet COMMAND ... [options]",
        description="Physically prunes Keras 3 models and puts them on boards.",
        epilog="Run 'tf-diet COMMAND --help' for a command and an example.",
    )
    parser.add_argument(
        "--version", action="version", version=f"tf-diet {__version__}"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, prog="tf-diet"
    )
    for module in COMMANDS:
        doc = (module.__doc__ or "").strip()
        name = module.__name__.rsplit(".", 1)[-1].replace("_", "-")
        command = commands.add_parser(
            name, help=doc.splitlines()[0].rstrip("."), description=doc
        )
        module.add_arguments(command)
        add_verbosity(command)
        command.usage = command.short_usage()
        command.set_defaults(
            run=module.run, tells=getattr(module, "TELLS", "warning")
        )
    add_verbosity(parser)
    return parser.parse_args(argv[1:])


def main(args: Any) -> int:
    """Runs the chosen command; our own errors become one line and code 2."""
    level = getattr(args, "verbosity", args.tells)
    if level != "debug":
        backend.silence()
    try:
        check_json(args)
        with logged(level), text_apart(args):
            facts = args.run(args)
        _write(args, facts)
    except IncompleteError as error:
        _write(args, error.facts)
        return _failed(error)
    except DietError as error:
        return _failed(error)
    except ModuleNotFoundError as error:
        try:
            backend.explain(error)
        except DietError as explained:
            return _failed(explained)
        raise
    except KeyboardInterrupt:
        print("tf-diet: interrupted", file=sys.stderr)
        return 130
    return 0


def _write(args: Any, facts: Any) -> None:
    if getattr(args, "json", None) is not None:
        write_json(args.json, facts)


def _failed(error: DietError) -> int:
    print(f"tf-diet: {error}", file=sys.stderr)
    return 2


def run() -> None:
    """The console script."""
    sys.exit(main(parse(sys.argv)))


if __name__ == "__main__":
    run()
