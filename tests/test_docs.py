# SPDX-License-Identifier: MIT
"""Every block of every page runs as written, from the top of its page down."""

import ast
import configparser
import re

import nbformat
import pytest
import yaml
from pages import FENCE, ROOT, SHELL, blocks, commands, pages, use
from run_notebooks import digest, run

from tf_diet import extensions
from tf_diet.cli import app
from tf_diet.progress import logged
from tf_diet.registry import Registry

pytestmark = pytest.mark.slow

PAGES = pages()
CODE = re.compile(r"^(\$ |tf-diet |pip |make |import |from \w+ import )", re.M)
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", "utf-8")
EXTRAS = set(SETUP["options.extras_require"])


@pytest.fixture(autouse=True)
def registries_as_they_were():
    """What a page registers is not there for the tests after it."""
    found = [r for r in vars(extensions).values() if isinstance(r, Registry)]
    before = [(registry, dict(registry._entries)) for registry in found]
    yield
    for registry, entries in before:
        # What ships may have been imported meanwhile, which is done once.
        shipped = registry._entries.items()
        entries |= {n: e for n, e in shipped if n in registry.shipped}
        registry._entries = entries


def name(page):
    return str(page.relative_to(ROOT).with_suffix(""))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_runs_from_an_empty_namespace(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "__main__"}
    # Where the log goes is put back after a page that sets it.
    with logged("warning"):
        for block in blocks(page):
            use(block, page, scope)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_of_a_page_is_passed_over(page):
    text = page.read_text("utf-8")
    fences = re.findall(r"^\s*```", text, re.MULTILINE)
    assert len(fences) == 2 * len(FENCE.findall(text))
    for block in blocks(page):
        if block.language in ("", "text"):
            assert not CODE.search(block.text), "say which language it is"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_only_shown_exist(page):
    for block in blocks(page):
        if block.language in SHELL and block.title and not block.file:
            for argv in commands(block.text):
                exists(argv)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_sweep_that_is_shown_asks_for_options_that_exist(page):
    for block in blocks(page):
        if block.language == "yaml":
            asked = yaml.safe_load(block.text)
            options = {
                axis: values[0] for axis, values in asked["grid"].items()
            }
            options |= asked["lottery"]
            argv = ["tf-diet", "lottery", asked["build"], "--folder", "runs"]
            for option, value in options.items():
                argv.append(f"--{option.replace('_', '-')}")
                argv += [] if value is True else [str(value)]
            assert app.parse(argv)


def exists(argv):
    """Asserts what can be said of a command without running it."""
    match argv:
        case ["tf-diet", *_]:
            assert app.parse(argv)
        case ["pip", "install", *things]:
            for thing in things:
                for extras in re.findall(r"(?:tf_diet|\.)\[(.*)\]", thing):
                    assert set(extras.split(",")) <= EXTRAS, thing
        case ["make", *words]:
            makefile = (ROOT / "Makefile").read_text("utf-8")
            for target in words:
                if "=" not in target:
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        case ["python" | "python3", script, *_] if script.endswith(".py"):
            assert list(ROOT.rglob(script)), script


def test_every_extra_is_explained():
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    for extra in EXTRAS - {"dev", "demo"}:
        assert f"`{extra}`" in text


def messages():
    """Yields every text of the sources, \0 where it has something put in."""
    for path in (ROOT / "tf_diet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "\0"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_errors_that_are_explained_exist():
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    known = list(messages())
    quoted = re.findall(r"^### `(.+)`$", text, re.MULTILINE)
    assert len(quoted) > 20
    for title in quoted:
        if "Error: " in title:  # of Python
            continue
        pieces = [re.escape(piece) for piece in title.split("…")]
        wanted = re.compile(r"[^.]*".join(pieces))
        assert any(wanted.search(message) for message in known), title


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    assert run(path).cells


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_its_cells_gave(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    mark = notebook.metadata["tf_diet"]["code"]
    assert mark == digest(notebook), "run `make notebooks`"
    numbers = [cell.execution_count for cell in code]
    assert numbers == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            if "image/png" in output.get("data", {}):
                assert cell.metadata["alt"]
