# SPDX-License-Identifier: MIT
"""A complete Arduino sketch folder from a converted model."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any

from tf_diet import files
from tf_diet.convert.toolchain import Toolchain as Toolchain
from tf_diet.errors import ConversionError, InputError
from tf_diet.extensions import toolchains

MODEL_FILES = (
    "model_data.h",
    "model_data.cc",
    "model_ops.h",
    "model_settings.h",
    "model_settings.json",
)
# Only newer Arduino tools compile .cc files.
_RENAMED = {"model_data.cc": "model_data.cpp"}
_EXAMPLE = "DdspSynth"
_README = "README.md.in"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,62}")
# `#include <TFDiet.h>` and `#include <tf_diet/...>`, as the installed library
# is included.
_LIBRARY_INCLUDE = re.compile(r"#include <((?:TFDiet\.h|tf_diet/[^>]+))>")


def library_sources() -> Path:
    """Returns the folder of the Arduino library that tf_diet ships.

    Raises:
        ConversionError: this installation has no such folder.
    """
    # Inside the package where it was installed from a wheel, beside it in a
    # checkout.
    places = [parent / "micro" for parent in Path(__file__).parents[1:3]]
    for folder in places:
        if (folder / "library.properties").is_file():
            return folder
    raise ConversionError(
        "The C++ sources of the Arduino library are missing from this "
        f"installation of tf_diet. Received: nothing in {places[0]}. "
        "Install tf_diet again, or name the folder: library=..."
    )


def write_sketch(
    folder: str | os.PathLike[str],
    model_files: str | os.PathLike[str],
    *,
    name: str = _EXAMPLE,
    board: str | None = None,
    library: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a sketch that compiles without installing anything of ours.

    Args:
        folder: where the sketch folder `name` is made.
        model_files: the folder that `to_micro` wrote.
        name: of the sketch: letters, digits and underscores.
        board: the board that the README explains, such as "nano-33-ble";
            all known boards when left out.
        library: the Arduino library to copy instead of the one that ships.
        overwrite: replace the files of a sketch folder that exists.

    Returns:
        The sketch folder: NAME.ino, the model, `src/` with the library,
        README.md.

    Raises:
        InputError: the name, the board or the model files cannot be used.
        RunFolderError: the sketch folder exists and is not empty.
    """
    _check_name(name)
    if board is not None:
        toolchains.get(board)
    source = Path(model_files)
    settings = _read_settings(source)
    origin = library_sources() if library is None else Path(library)
    content = dict(_library_files(origin))
    content.update(_example_files(origin, name))
    for file in MODEL_FILES:
        content[_RENAMED.get(file, file)] = (source / file).read_bytes()
    readme = _readme(origin, settings, content, name, board)
    content["README.md"] = readme.encode()
    target = Path(folder) / name
    _refuse_full_folder(target, overwrite)
    with files.replacing(target) as temporary:
        for path, data in content.items():
            place = temporary / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        if target.exists():
            shutil.rmtree(target)
    return target


def _refuse_full_folder(target: Path, overwrite: bool) -> None:
    if overwrite and target.is_dir():
        return
    files.fresh_folder(
        target,
        hint="Name another folder or sketch, or pass overwrite=True.",
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            "The name of a sketch must be 1 to 63 letters, digits and "
            f"underscores. Received: {name!r}. "
            f"Choose one such as {_EXAMPLE!r}."
        )


def _read_settings(source: Path) -> Mapping[str, Any]:
    missing = [file for file in MODEL_FILES if not (source / file).is_file()]
    if missing:
        raise InputError(
            f"The folder of the converted model lacks {', '.join(missing)}. "
            f"Received: {source}. Make the files with tf_diet.to_micro(...)."
        )
    path = source / "model_settings.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        for key in ("inputs", "outputs", "states", "arena_bytes", "ops"):
            settings[key]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The settings of the converted model cannot be read: {path}. "
            f"Received: {error!r}. Make them again with tf_diet.to_micro(...)."
        ) from error
    return settings


def _library_files(origin: Traversable) -> Iterator[tuple[str, bytes]]:
    """Yields the library's sources as they lie under the sketch's `src/`."""
    folders = [("src", origin.joinpath("src"))]
    while folders:
        prefix, folder = folders.pop()
        if not folder.is_dir():
            raise InputError(
                "The folder of the Arduino library has no sources. Received: "
                f"{origin}. Name the folder that holds library.properties."
            )
        for item in folder.iterdir():
            path = f"{prefix}/{item.name}"
            if item.is_dir():
                folders.append((path, item))
            elif item.name.endswith((".h", ".cpp")):
                yield path, item.read_bytes()


def _example_files(
    origin: Traversable, name: str
) -> Iterator[tuple[str, bytes]]:
    """Yields the example, its includes turned to the sketch's own `src/`."""
    example = origin.joinpath("examples").joinpath(_EXAMPLE)
    for item in example.iterdir():
        if not item.name.endswith((".h", ".ino")):
            continue
        text = item.read_text(encoding="utf-8")
        text = _LIBRARY_INCLUDE.sub(r'#include "src/\1"', text)
        path = f"{name}.ino" if item.name.endswith(".ino") else item.name
        yield path, text.encode()


def _readme(
    origin: Traversable,
    settings: Mapping[str, Any],
    content: Mapping[str, bytes],
    name: str,
    board: str | None,
) -> str:
    folder = origin.joinpath("examples").joinpath(_EXAMPLE)
    template = folder.joinpath(_README).read_text(encoding="utf-8")
    boards = [board] if board is not None else toolchains.names()
    inputs, outputs = settings["inputs"], settings["outputs"]
    fed = {pair[0] for pair in settings["states"]}
    made = {pair[1] for pair in settings["states"]}
    hop, rate = settings.get("hop", 0), settings.get("sample_rate", 0)
    length = re.search(
        rb"model_data_length\s*=\s*(\d+)", content["model_data.cpp"]
    )
    return Template(template).substitute(
        name=name,
        hop=hop,
        sample_rate=rate,
        frame_ms=f"{1000 * hop / rate:g}" if rate else "?",
        model_bytes=f"{int(length[1]):,}" if length else "?",
        ops=", ".join(settings["ops"]),
        types=", ".join(sorted({t["type"] for t in inputs + outputs})),
        arena_bytes=f"{settings['arena_bytes']:,}",
        inputs=_listed(t for i, t in enumerate(inputs) if i not in fed),
        states=_listed(t for i, t in enumerate(inputs) if i in fed),
        controls=_listed(t for i, t in enumerate(outputs) if i not in made),
        boards="\n\n".join(toolchains.get(b).describe() for b in boards),
        fqbn=toolchains.get(boards[0]).fqbn if board else "CORE:BOARD",
    )


def _listed(tensors: Any) -> str:
    listed = ", ".join(f"`{t['name']}` ({t['size']})" for t in tensors)
    return listed or "none"
