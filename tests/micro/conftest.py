# SPDX-License-Identifier: MIT
"""Compiles the C++ of the Arduino library for this machine."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "micro"
STRICT = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-Wshadow",
    "-Wconversion",
    "-Wdouble-promotion",
    "-fno-exceptions",
    "-fno-rtti",
]


@pytest.fixture(scope="session")
def library():
    return LIBRARY


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Returns a function that compiles sources and returns the program."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("binaries")

    def build(
        name,
        sources,
        *,
        include=(),
        flags=(),
        standard="c++17",
        library=True,
        stubs=True,
    ):
        program = folder / name
        paths = [LIBRARY / "src"] * library + [HERE / "stubs"] * stubs
        command = [compiler, f"-std={standard}", "-O2", *STRICT]
        for path in (*paths, *include):
            command += ["-I", str(path)]
        command += [*flags, *map(str, sources), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return program

    return build


@pytest.fixture(scope="session")
def run_program():
    def run(program, *arguments):
        done = subprocess.run(
            [str(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
