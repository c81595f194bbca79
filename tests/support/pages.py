# SPDX-License-Identifier: MIT
"""The fenced blocks of the guides, and how a reader would use each.

Which fence says what:

- `python`: run, in the namespace of its page, which starts empty;
- `sh`, `console`: commands of `tf-diet`, run;
- `sh title="long: ..."` and other titles with a blank: shown, not run; what
  can be checked without running is (options, extras, targets, files);
- any fence with a file name as its title: written to that file;
- `cpp`: compiled against the library and a stand-in for the board;
- `toml`: read as a table of boards.
"""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tf_diet.boards import read_catalogue
from tf_diet.cli import app

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "console")
FENCE = re.compile(
    r'^```([a-z]*)(?: title="([^"]+)")?[ ]*\n(.*?)^```[ ]*$',
    re.DOTALL | re.MULTILINE,
)
COMPILE = ("g++", "-std=c++11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        language: the first word of its fence.
        title: what its fence says it is, or "".
        text: what is in it.
        line: where its text begins in the page, from 0.
    """

    language: str
    title: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The file that it shows, or ""."""
        return self.title if re.fullmatch(r"[\w./-]+\.\w+", self.title) else ""


def pages() -> list[Path]:
    """Returns every page that holds a block, the README first."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    found += [
        ROOT / "micro" / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    return [page for page in found if "```" in page.read_text("utf-8")]


def blocks(page: Path) -> list[Block]:
    """Returns the blocks of a page from its top."""
    text = page.read_text("utf-8")
    return [
        Block(
            found[1],
            found[2] or "",
            found[3],
            text.count("\n", 0, found.start(3)),
        )
        for found in FENCE.finditer(text)
    ]


def commands(text: str) -> list[list[str]]:
    """Returns the words of each command of a shell block."""
    joined = re.sub(r"\\\n\s*", " ", text)
    words = [
        shlex.split(line.removeprefix("$ "), comments=True)
        for line in joined.splitlines()
    ]
    return [argv for argv in words if argv]


def use(block: Block, page: Path, scope: dict[str, object]) -> None:
    """Does with a block what its reader would do, in the current folder."""
    if block.file:
        target = Path(block.file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.text, "utf-8")
    elif block.language == "python":
        # Blank lines in front, so that tracebacks tell the line of the page.
        code = "\n" * block.line + block.text
        exec(compile(code, str(page), "exec"), scope)
    elif block.language in SHELL and not block.title:
        for argv in commands(block.text):
            assert argv[0] == "tf-diet", f"give the fence a title: {argv}"
            assert app.main(app.parse(argv)) == 0, argv
    if block.language == "cpp":
        compiles(block.text)
    elif block.language == "toml":
        assert read_catalogue(block.text)


def compiles(text: str) -> None:
    """Asserts that C++ compiles as a sketch would, with what lies here."""
    assert shutil.which("g++"), "g++ is not installed"
    here = {path.parent for path in Path.cwd().rglob("*.h")}
    folders = [ROOT / "micro" / "src", ROOT / "tests/micro/stubs", *here]
    done = subprocess.run(
        [
            *COMPILE,
            *(f"-I{folder}" for folder in folders),
            *("-include", "Arduino.h", "-x", "c++", "-"),
        ],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
