# SPDX-License-Identifier: MIT
"""Bars where someone looks, plain log lines, and no noise."""

import io
import logging
import os
import re
import subprocess
import sys

import pytest
from absl import logging as absl_logging
from rich.console import Console

from tf_diet import progress


@pytest.fixture
def shown(monkeypatch):
    """Puts another console in the place of standard error's."""

    def on(**options):
        file = io.StringIO()
        console = Console(file=file, width=80, **options)
        monkeypatch.setattr(progress, "console", lambda: console)
        return file

    return on


def test_log_lines_are_plain(shown):
    file = shown()
    message = "round 1: 848714 parameters [70.0 %] of runs/violin " + "x" * 90
    with progress.logged("info"):
        absl_logging.info("%s", message)
        absl_logging.warning("no %s here", "bias")
        absl_logging.debug("hidden")
    absl_logging.info("after")
    first, second = file.getvalue().splitlines()
    # One line each, however long; what looks like markup stays.
    assert re.fullmatch(r"\d\d:\d\d:\d\d  (.*)", first)[1] == message
    assert second[10:] == "warning: no bias here"


@pytest.mark.parametrize(
    ("level", "lines"),
    [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)],
)
def test_levels(shown, level, lines):
    file = shown()
    with progress.logged(level):
        for say in (
            absl_logging.debug,
            absl_logging.info,
            absl_logging.warning,
        ):
            say("something")
    assert len(file.getvalue().splitlines()) == lines


def fails():
    with progress.logged("error"):
        assert logging.getLogger("tensorflow").level == logging.ERROR
        raise RuntimeError


def test_the_log_is_as_it_was_after_a_command(shown):
    shown()
    logger = logging.getLogger("absl")
    before = (
        logger.handlers[:],
        logger.propagate,
        absl_logging.get_verbosity(),
        logging.getLogger("tensorflow").level,
    )
    with pytest.raises(RuntimeError):
        fails()
    assert before == (
        logger.handlers,
        logger.propagate,
        absl_logging.get_verbosity(),
        logging.getLogger("tensorflow").level,
    )


def test_told_twice_it_says_things_once(shown):
    file = shown()
    with progress.logged("info"):
        progress.log_to_console()
        progress.log_to_console("info")
        absl_logging.info("once")
    assert file.getvalue().count("once") == 1


@pytest.mark.parametrize(
    ("options", "level", "there"),
    [
        ({"force_terminal": True}, "info", True),
        ({"force_terminal": True}, "warning", True),
        ({"force_terminal": True}, "error", False),
        ({}, "info", False),
    ],
)
def test_bars_show_on_a_terminal_unless_it_shall_be_quiet(
    shown, options, level, there
):
    file = shown(**options)
    with progress.logged(level):
        assert list(progress.track("abc", "counting")) == ["a", "b", "c"]
    assert ("counting" in file.getvalue()) == there


def test_bars_in_a_notebook_need_widgets(shown, monkeypatch):
    shown(force_jupyter=True)
    find = progress.importlib.util.find_spec
    for there in (True, False):
        monkeypatch.setattr(
            progress.importlib.util,
            "find_spec",
            lambda name, there=there: (
                (object() if there else None)
                if name == "ipywidgets"
                else find(name)
            ),
        )
        # None would be a warning at every step (rich 15).
        assert progress.is_shown() == there


def test_lines_stay_above_a_bar(shown):
    file = shown(force_terminal=True, force_interactive=True)
    with progress.logged("info"):
        for letter in progress.track("ab", "counting"):
            absl_logging.info("letter %s", letter)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    assert re.search(r"\d  letter a *\n", text)


# Nothing here imports what would bring TensorFlow along before.
SCRIPT = """
import sys
from tf_diet import backend
{silence}
import tensorflow
print(type(tensorflow.__spec__.loader).__name__)
print(int(tensorflow.constant(2) + 1))
print("mine", file=sys.stderr)
"""


def run(silence):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TF_")
    }
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(silence=silence)],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_tensorflow_says_nothing_when_it_is_silenced():
    done = run("backend.silence()")
    assert done.stdout.splitlines()[-2:] == ["SourceFileLoader", "3"]
    assert done.stderr.splitlines() == ["mine"]


@pytest.mark.slow
def test_worker_processes_are_silent_too():
    done = run(
        "import os, subprocess, sys; backend.silence();"
        "print(subprocess.run([sys.executable, '-c', 'import tf_diet, "
        "tensorflow'], stderr=subprocess.PIPE).stderr)"
    )
    assert done.stdout.splitlines()[0] == "b''"


def test_what_is_no_log_line_passes():
    """An import that fails, or warns, still says so."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, tf_diet.backend as b\n"
            "with b._without_log_lines():\n"
            "    os.write(2, b'I0000 00:00:1.2   3 port.cc:153] oneDNN\\n')\n"
            "    os.write(2, b'WARNING: All log messages before absl::X\\n')\n"
            "    os.write(2, b'Illegal instruction\\nE0000 a\\nInfo: x\\n')\n",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr == "Illegal instruction\nInfo: x\n"
