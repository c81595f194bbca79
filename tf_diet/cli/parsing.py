# SPDX-License-Identifier: MIT
"""How the command line is read: what every command shares.

Standard argparse, and four things that it lacks: former spellings of options
that are not shown, options with several values that leave the model's name
alone, a usage of one line, and options that every command takes.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

from tf_diet.errors import InputError, RunFolderError
from tf_diet.progress import LEVELS
from tf_diet.training.folder import ResumableFolder

# What looks like an option; a negative number does not.
_DASHED = re.compile(r"-(?!\d+$|\d*\.\d+$).")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows a list's value once, and one value behind all names."""

    def _format_args(self, action: argparse.Action, default: str) -> str:
        if isinstance(action, Listed):
            return str(action.metavar)
        return super()._format_args(action, default)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.dest.upper())
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """A parser of `tf-diet` or of one of its commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _Formatter)
        super().__init__(*args, **kwargs)
        self._former: dict[str, str] = {}

    def former(self, old: str, new: str) -> None:
        """Lets an option be spelled as it was in earlier versions."""
        self._former[old] = new

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Reads a command line; see `argparse`."""
        if args is not None and not self._commands():
            args = self._in_order([self._present(word) for word in args])
        return super().parse_known_args(args, namespace)

    def short_usage(self) -> str:
        """Returns a usage that names what must be given."""
        words = [self.prog]
        show = self._get_formatter()._format_args
        for action in self._actions:
            if not action.option_strings:
                words.append(show(action, action.dest))
            elif action.required:
                words.append(self._shown(action))
        for group in self._mutually_exclusive_groups:
            if group.required:
                choices = map(self._shown, group._group_actions)
                words.append(f"({' | '.join(choices)})")
        return " ".join([*words, "[options]"]).replace("%", "%%")

    def _shown(self, action: argparse.Action) -> str:
        value = self._get_formatter()._format_args(action, action.dest.upper())
        return f"{action.option_strings[0]} {value}"

    def _commands(self) -> bool:
        return any(a.nargs == argparse.PARSER for a in self._actions)

    def _present(self, word: str) -> str:
        """Returns a word with the present name of its option."""
        option, equals, value = word.partition("=")
        return self._former.get(option, option) + equals + value

    def _in_order(self, words: Sequence[str]) -> list[str]:
        """Returns the words with those that are no option's in front.

        An option takes all words up to the next option where it can hold
        several. What a command cannot do without, such as the model, is
        taken from the end of such a list where it is missing.
        """
        free: list[str] = []
        rest: list[list[str]] = []
        lists: list[list[str]] = []
        room: float = 0
        for at, word in enumerate(words):
            if word == "--":
                free += words[at + 1 :]
                break
            if _DASHED.match(word):
                found = self._option(word)
                if found is None:
                    # argparse says what is wrong.
                    return list(words)
                option, room = found
                rest.append([word])
                if option.nargs == "+":
                    lists.append(rest[-1])
            elif room:
                rest[-1].append(word)
                room -= 1
            else:
                free.append(word)
        for _ in range(self._needed() - len(free)):
            given = _too_long(lists)
            if given is not None:
                free.append(given.pop())
        flat = [word for option_words in rest for word in option_words]
        # Behind a "--" nothing is an option.
        if any(map(_DASHED.match, free)):
            return [*flat, "--", *free]
        return [*free, *flat]

    def _option(self, word: str) -> tuple[argparse.Action, float] | None:
        """Returns the option that a word is, and how many values follow."""
        known = self._option_string_actions
        name, equals, _ = word.partition("=")
        found = known.get(name)
        if found is None and not name.startswith("--"):
            # A flag, or an option with its value behind it: -ofile.
            found, equals = known.get(name[:2]), "="
        if found is None:
            short = [o for o in known if name[2:] and o.startswith(name)]
            actions = {id(known[option]): known[option] for option in short}
            if len(actions) != 1:
                return None
            (found,) = actions.values()
        if equals or found.nargs == 0:
            return found, 0
        return found, inf if found.nargs == "+" else 1

    def _needed(self) -> int:
        """Returns how many words that are no option's there must be."""
        return sum(
            action.nargs in (None, "+")
            for action in self._actions
            if not action.option_strings
        )


def _too_long(lists: Sequence[list[str]]) -> list[str] | None:
    """Returns the list that holds a word too many, if it is clear which."""
    long = [words for words in lists if len(words) > 2]
    there = [words for words in long if _is_there(words[-1])]
    for found in (there, long):
        if len(found) == 1:
            return found[0]
    return None


def _is_there(word: str) -> bool:
    """Says whether a word names a file, or a function in a file."""
    file = word.rpartition(":")[0]
    return Path(word).exists() or (file != "" and Path(file).exists())


class Listed(argparse.Action):
    """Collects values over commas, blanks and repetition."""

    def __init__(self, *args: Any, kind: Any = str, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(*args, **kwargs)

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option: Any = None
    ) -> None:
        """Adds the values to those before."""
        held = getattr(namespace, self.dest)
        before = [] if held is self.default else list(held)
        setattr(namespace, self.dest, before + self.read(parser, values))

    def read(self, parser: Any, values: Sequence[str]) -> list[Any]:
        """Returns the values that words hold."""
        found = [
            value
            for word in values
            # A file may have a comma in its name.
            for value in ([word] if Path(word).is_file() else parts(word))
        ]
        try:
            return [self.kind(value) for value in found]
        except ValueError:
            raise argparse.ArgumentError(
                self, f"invalid {self.kind.__name__} value in {values}"
            ) from None


class Together(Listed):
    """The same, each time a list of its own."""

    def read(self, parser: Any, values: Sequence[str]) -> list[Any]:
        """Returns the one list that words hold."""
        return [super().read(parser, values)]


def parts(word: str) -> Iterator[str]:
    """Yields what stands between the commas of a word.

    A comma within brackets belongs to its value, as in `layers=(3, 5)`.
    """
    depth, start = 0, 0
    for at, letter in enumerate(word):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            yield word[start:at]
            start = at + 1
    yield word[start:]


def add_list(
    parser: Any,
    option: str,
    *,
    help: str,
    metavar: str,
    default: Any = (),
    kind: Callable[[str], Any] = str,
    action: type[Listed] = Listed,
) -> None:
    """Adds an option that takes one or more values.

    Args:
        parser: or a group of one.
        option: its name.
        help: that it takes several is said behind it.
        metavar: of one value.
        default: where it is not given.
        kind: makes a value of a text.
        action: how values are put together.
    """
    more = "" if action is Together else "; several with commas between"
    parser.add_argument(
        option,
        action=action,
        nargs="+",
        kind=kind,
        default=default,
        metavar=metavar,
        help=help + more,
    )


def add_output(
    parser: Any, help: str, *, required: bool = False, default: Any = None
) -> None:
    """Adds `-o`, what to write to."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=required,
        default=default,
        metavar="PATH",
        help=help,
    )


def add_again(parser: Any, kind: str) -> None:
    """Adds what to do with a folder that holds work of the same kind.

    Args:
        parser: of a command.
        kind: of work, such as "run".
    """
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help=f"go on with the {kind} that is in the folder; begin one if "
        "there is none",
    )
    again.add_argument(
        "--overwrite",
        action="store_true",
        help=f"remove the {kind} that is in the folder first",
    )


def check_folder(args: Any, kind: str) -> None:
    """Checks the folder of long work, before any work is done.

    Raises:
        RunFolderError: it holds something, and nothing says what to do.
    """
    folder = args.output
    if args.resume or args.overwrite or not folder.is_dir():
        return
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise RunFolderError(
            f"The folder is not empty. Received: {folder}. Name an empty "
            f"folder, or pass --resume to go on with a {kind}, or --overwrite "
            "to remove it."
        )


def remove_work(work: ResumableFolder) -> None:
    """Empties a folder for `--overwrite`, if it holds work of its kind.

    Anything else stays, and is refused by whoever wants an empty folder.

    Raises:
        RunFolderError: another process is at work in it.
    """
    if work.record.is_file():
        with work.locked():
            work.open(resume=False, overwrite=True)


def add_json(parser: Any, what: str) -> None:
    """Adds `--json`.

    Args:
        parser: or a group of one.
        what: is written.
    """
    parser.add_argument(
        "--json",
        metavar="FILE",
        help=f"write {what} to this file as JSON, in place of the JSON that "
        "it holds; '-' is standard output, and nothing else is printed there",
    )


def add_verbosity(parser: Any) -> None:
    """Adds how much is told."""
    group = parser.add_argument_group("log and progress")
    told = group.add_mutually_exclusive_group()
    told.add_argument(
        "-q",
        "--quiet",
        dest="verbosity",
        action="store_const",
        const="error",
        default=argparse.SUPPRESS,
        help="no progress, log or warnings: results and errors alone",
    )
    told.add_argument(
        "-v",
        "--verbose",
        dest="verbosity",
        action="store_const",
        const="debug",
        default=argparse.SUPPRESS,
        help="log everything",
    )
    told.add_argument(
        "--verbosity",
        type=_level,
        choices=tuple(LEVELS),
        default=argparse.SUPPRESS,
        help="log from this level on",
    )


def _level(text: str) -> str:
    """Returns the name of a level; earlier versions took absl's numbers."""
    names = {str(number): name for name, number in LEVELS.items()}
    return names.get(text, text)


def add_seed(parser: Any, what: str = "all random numbers") -> None:
    """Adds `--seed`."""
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help=f"of {what} (default: 0)",
    )


def check_suffix(path: Path | None, suffixes: Sequence[str], what: str) -> None:
    """Checks the name of a file to write, before any work is done.

    Raises:
        InputError: it does not end as such files must.
    """
    if path is None or path.suffix.lower() in suffixes:
        return
    one_of = "" if len(suffixes) == 1 else "one of "
    raise InputError(
        f"The name of {what} must end in {one_of}{', '.join(suffixes)}. "
        "Received: "
        f"{path}. Write, say, -o {path.stem or 'model'}{suffixes[0]}."
    )
