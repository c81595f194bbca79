# SPDX-License-Identifier: MIT
"""Pages of the docs site that are made from the sources: a hook of mkdocs.

The reference (Python by room, command line, C++) and the notebooks. What is
public is read from the packages themselves: their `__all__`, and the names
that a block of a page imports.
"""

import ast
import contextlib
import importlib
import inspect
import io
import logging
import os
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import nbconvert
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import tf_diet
from tf_diet.cli import app

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "examples" / "notebooks"
HEADERS = ROOT / "micro" / "src"
PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^    ([a-z][a-z-]+) ", re.MULTILINE)
LOADS = re.compile(
    r"<(?:script|link|img|iframe|audio|video|source)\b[^>]*"
    r"\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
)
LOG = logging.getLogger("mkdocs.hooks.docs_site")
REGISTERING = "registering"  # a page of decorators, no module
WHOLE = ("errors", "testing", "tfmot")  # modules that are rooms of their own


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Makes the pages, and puts them where the nav names their folder."""
    made = {"reference": reference(), "notebooks": notebooks()}
    pages = [page for found in made.values() for page in found]
    config["generated_pages"] = pages
    for entry in config.nav or []:
        for title, folder in entry.items():
            if isinstance(folder, str) and folder in made:
                entry[title] = [
                    {name: uri}
                    for uri, name, _ in made[folder]
                    if uri.endswith(".md")
                ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    for uri, _, content in config["generated_pages"]:
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turns a link to the folder of sounds, as on GitHub, to its page."""
    return markdown.replace("](../sounds)", "](../sounds/index.md)")


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Warns, and so fails a strict build, of what is loaded from outside."""
    for tag in LOADS.findall(output):
        LOG.warning("%s loads from outside: %s", page.file.src_uri, tag)
    return output


def reference() -> list[tuple[str, str, str]]:
    """Returns the reference as (address, title, Markdown)."""
    rooms = public()
    pages = [
        (
            f"reference/{room}.md",
            _title(room),
            f"# {_title(room)}\n\n{_about(room)}\n\n"
            + "\n\n".join(rooms[room].values())
            + "\n",
        )
        for room in sorted(rooms)
    ]
    index = "\n".join(_listed(room, rooms[room]) for room in sorted(rooms))
    return [
        (
            "reference/index.md",
            "Overview",
            "# Reference\n\nEvery public name, from the docstrings. What "
            "stands here under `tf_diet.` alone is imported from `tf_diet`; "
            "other names from the module that is written before them. The "
            "[command line](command-line.md) and the [C++ blocks](cpp.md) "
            f"have pages of their own.\n\n{index}\n",
        ),
        *pages,
        ("reference/command-line.md", "Command line", command_line()),
        ("reference/cpp.md", "C++ blocks", cpp()),
    ]


def public() -> dict[str, dict[str, str]]:
    """Returns by room, for every public name, its entry in the reference."""
    rooms: dict[str, dict[str, str]] = defaultdict(dict)
    seen: set[int] = set()
    for module, name in _names():
        thing = getattr(importlib.import_module(module), name)
        if inspect.ismodule(thing) or id(thing) in seen:
            continue
        spelling = f"{module}.{name}"
        if inspect.ismethod(thing):  # a registry's `register`
            kind = thing.__self__.kind
            rooms[REGISTERING][spelling] = _registers(spelling, kind)
            continue
        seen.add(id(thing))
        path = (
            f"{thing.__module__}.{thing.__qualname__}"
            if (inspect.isclass(thing) or inspect.isfunction(thing))
            else spelling
        )
        room = path.split(".")[1]
        rooms[room][spelling] = (
            f'<a id="{spelling}"></a>\n\n'
            f"::: {path}\n    options:\n      heading: {spelling}\n"
            f"      toc_label: {name}\n"
        )
    return rooms


def _names() -> Iterator[tuple[str, str]]:
    """Yields every public name with the module that it is imported from."""
    yield from (("tf_diet", name) for name in tf_diet.__all__)
    for found in pkgutil.iter_modules(tf_diet.__path__, "tf_diet."):
        room = found.name.split(".")[1]
        if room.startswith("_"):
            continue
        module = importlib.import_module(found.name)
        names = getattr(
            module, "__all__", _own(module) if room in WHOLE else ()
        )
        yield from ((found.name, name) for name in sorted(names))
    yield from sorted(_imported_by_pages())


def _own(module: ModuleType) -> list[str]:
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__
    ]


def _imported_by_pages() -> set[tuple[str, str]]:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = set()
    for page in pages:
        for block in PYTHON.findall(page.read_text("utf-8")):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and str(
                    node.module
                ).startswith("tf_diet."):
                    found |= {(str(node.module), n.name) for n in node.names}
    return found


def _title(room: str) -> str:
    return "Registering" if room == REGISTERING else f"tf_diet.{room}"


def _about(room: str) -> str:
    if room == REGISTERING:
        return (
            "Decorators that file something of yours under a name, so that it "
            'can be given wherever names are taken: `criterion="mine"`. What '
            "is registered is an equal of what ships."
        )
    doc = importlib.import_module(f"tf_diet.{room}").__doc__ or ""
    return doc.strip().split("\n\n")[0]


def _registers(spelling: str, kind: str) -> str:
    return (
        f"## `{spelling}` {{ #{spelling} }}\n\n"
        f"```python\n@{spelling}(name=None)\n```\n\n"
        f"Files a {kind}. The name is the snake_case of the object's own "
        "where none is given."
    )


def _listed(room: str, entries: Mapping[str, str]) -> str:
    links = ", ".join(
        f"[`{spelling.rsplit('.', 1)[-1]}`]({room}.md#{spelling})"
        for spelling in entries
    )
    return f"- **[{_title(room)}]({room}.md)**: {links}"


def _help(*argv: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app.parse(["tf-diet", *argv, "--help"])
    return said.getvalue().rstrip()


def command_line() -> str:
    """Returns what `tf-diet COMMAND --help` says, of every command."""
    os.environ["COLUMNS"] = "80"
    whole = _help()
    names = COMMAND.findall(whole.split("commands:")[-1])
    sections = "\n\n".join(
        f"## tf-diet {name}\n\n```text\n{_help(name)}\n```" for name in names
    )
    return f"# The command line\n\n```text\n{whole}\n```\n\n{sections}\n"


def cpp() -> str:
    """Returns the C++ headers: what each says of itself, and its interface."""
    sections = []
    for path in sorted(HEADERS.rglob("*.h")):
        about, code = _header(path.read_text("utf-8"))
        sections.append(
            f"## {path.relative_to(HEADERS)}\n\n{about}\n\n```cpp\n{code}\n```"
        )
    return (
        "# C++ blocks\n\nThe headers of the Arduino library, without what is "
        "private in them. How to use them stands in [Play it on an Arduino]"
        "(../how-to/arduino.md).\n\n" + "\n\n".join(sections) + "\n"
    )


def _header(text: str) -> tuple[str, str]:
    """Splits a header into its opening comment and its public part."""
    lines = text.splitlines()[1:]  # after the licence
    opening = next(n for n, x in enumerate(lines) if not x.startswith("//"))
    about = " ".join(line[2:].strip() for line in lines[:opening])
    rest = "\n".join(lines[opening:])
    rest = re.sub(r"^ private:\n.*?^};", "};", rest, flags=re.S | re.M)
    rest = re.sub(r"^#(pragma|include <).*\n", "", rest, flags=re.M)
    return about, rest.strip()


def notebooks() -> list[tuple[str, str, Any]]:
    """Returns the notebooks, as they were run, and their pictures."""
    exporter = nbconvert.MarkdownExporter()
    pages: list[tuple[str, str, Any]] = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        body, resources = exporter.from_notebook_node(notebook)
        title = re.search(r"^# (.*)$", body, re.MULTILINE)
        for name, data in resources["outputs"].items():
            # output_7_0.png is of the cell 7, which says what it shows.
            cell = notebook.cells[int(name.split("_")[1])]
            shown = f"![{cell.metadata['alt']}]({path.stem}_{name})"
            body = body.replace(f"![png]({name})", shown)
            pages.append((f"notebooks/{path.stem}_{name}", "", data))
        for cell in notebook.cells:
            if "Audio(" in cell.source and "alt" in cell.metadata:
                label = f'<audio aria-label="{cell.metadata["alt"]}" '
                body = body.replace("<audio  ", label, 1)
        # Indented HTML would be taken for code.
        body = re.sub(r"^ +(?=</?(audio|source))", "", body, flags=re.MULTILINE)
        note = f"\n\n[Download this notebook]({path.name}){{ download }}\n"
        body = re.sub(r"^(# .*)$", rf"\1{note}", body, count=1, flags=re.M)
        name = title[1] if title else path.stem
        pages.append((f"notebooks/{path.stem}.md", name, body))
        pages.append((f"notebooks/{path.name}", "", path.read_bytes()))
    return pages
