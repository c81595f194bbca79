# SPDX-License-Identifier: MIT
"""A complete Arduino sketch or C++ project from a converted model."""

import difflib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any

from tf_diet import files
from tf_diet.convert.operators import library_problem
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
_DDSP, _CLASSIFIER, _PLAIN = "DdspSynth", "Classifier", "PlainCpp"
EXAMPLES = (_CLASSIFIER, _DDSP, _PLAIN)
_README = "README.md.in"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,62}")
# `#include <TFDiet.h>` and `#include <tf_diet/...>`, as the installed library
# is included.
_LIBRARY_INCLUDE = re.compile(r"#include <((?:TFDiet\.h|tf_diet/[^>]+))>")


# Arduino_TensorFlowLite as it is builds for the Nano 33 BLE alone.
_OTHER_BOARDS = """
### The library on other boards

`Arduino_TensorFlowLite` includes drivers of the Nano 33 BLE, which refuse other
boards. In its folder:

```sh
cd src
rm -r peripherals test_over_serial tensorflow/lite/micro/system_setup.cpp
sed -i '/peripherals/d' TensorFlowLite.h
sed -i 's|"peripherals/utility.h"|<Arduino.h>|' \\
    tensorflow/lite/micro/micro_time.cpp
sed -i 's|peripherals::MicrosecondsCounter|micros|' \\
    tensorflow/lite/micro/micro_time.cpp
```

What it prints of itself goes through `DebugLog`, which `debug_log.cpp` of this
folder defines.
"""


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
    name: str | None = None,
    board: str | None = None,
    example: str | None = None,
    library: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a sketch that compiles without installing anything of ours.

    Args:
        folder: where the sketch folder `name` is made.
        model_files: the folder that `to_micro` wrote.
        name: of the sketch: letters, digits and underscores; that of the
            example when left out.
        board: the board that the README explains, such as "nano-33-ble";
            all boards whose library can run the model when left out.
        example: "DdspSynth" plays a tune; "Classifier" takes the inputs over
            the serial port and answers with label and score (labels are the
            setting `labels` of `to_micro`); "PlainCpp" is a C++ project that
            reads a file. Decided by the model when left out: a synthesiser
            plays, anything else answers.
        library: the Arduino library to copy instead of the one that ships.
        overwrite: replace the files of a sketch folder that exists.

    Returns:
        The sketch folder: NAME.ino, the model, `src/` with the library,
        README.md.

    Raises:
        InputError: the name, the board, the example or the model files cannot
            be used.
        ConversionError: the library of the board cannot run the model.
        RunFolderError: the sketch folder exists and is not empty.
    """
    if name is not None:
        _check_name(name)
    if board is not None:
        toolchains.get(board)
    source = Path(model_files)
    settings = _read_settings(source)
    example = _example(settings, example)
    name = name or example
    boards = _boards(settings, board)
    origin = library_sources() if library is None else Path(library)
    content = dict(_library_files(origin))
    content.update(_example_files(origin, example, name))
    if example == _CLASSIFIER and "labels" in settings:
        content["labels.h"] = _labels(settings["labels"]).encode()
    for file in MODEL_FILES:
        content[_RENAMED.get(file, file)] = (source / file).read_bytes()
    readme = _readme(
        origin / "examples" / example, settings, content, name, boards
    )
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
            f"Choose one such as {_DDSP!r}."
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
    origin: Traversable, example: str, name: str
) -> Iterator[tuple[str, bytes]]:
    """Yields the example, its includes turned to the sketch's own `src/`."""
    kept = (".h", ".ino", ".cpp", "CMakeLists.txt")
    for item in origin.joinpath("examples").joinpath(example).iterdir():
        if not item.name.endswith(kept):
            continue
        text = item.read_text(encoding="utf-8")
        text = _LIBRARY_INCLUDE.sub(r'#include "src/\1"', text)
        path = f"{name}.ino" if item.name.endswith(".ino") else item.name
        yield path, text.encode()


def _example(settings: Mapping[str, Any], example: str | None) -> str:
    """Returns the example that suits a model.

    Raises:
        InputError: it is unknown, or the model does not suit it.
    """
    plays = all(key in settings for key in ("harmonics", "noise_bands", "hop"))
    if example is None:
        example = _DDSP if plays else _CLASSIFIER
    if example not in EXAMPLES:
        near = difflib.get_close_matches(example, EXAMPLES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"Unknown example. Received: {example!r}. Known: "
            f"{', '.join(EXAMPLES)}.{hint}"
        )
    if example == _DDSP and not plays:
        raise InputError(
            f"The example {_DDSP!r} plays a synthesiser. Received: a model "
            "without the settings harmonics, noise_bands, sample_rate and "
            "hop. Pass them to to_micro(...), or choose "
            f"example={_CLASSIFIER!r} or {_PLAIN!r}."
        )
    made = {pair[1] for pair in settings["states"]}
    free = [t for i, t in enumerate(settings["outputs"]) if i not in made]
    if len(free) != 1:
        raise InputError(
            "A sketch reads one output. Received: a model with "
            f"{len(free)} ({', '.join(t['name'] for t in free)}). Convert a "
            "model with one output: concatenate them in Keras."
        )
    labels = settings.get("labels")
    if labels is not None and len(labels) != free[0]["size"]:
        raise InputError(
            f"There must be a label for each of the {free[0]['size']} numbers "
            f"of {free[0]['name']!r}. Received: {len(labels)} labels. Pass as "
            "many to to_micro(settings={'labels': [...]})."
        )
    return example


def _boards(settings: Mapping[str, Any], board: str | None) -> list[str]:
    """Returns the boards that the README explains.

    Raises:
        ConversionError: the library of the chosen board cannot run the model.
    """
    per_channel = settings.get("per_channel_dense", False)
    problems = {
        name: library_problem(
            settings["ops"], per_channel, toolchains.get(name).operators
        )
        for name in ([board] if board is not None else toolchains.names())
    }
    if board is not None and problems[board]:
        raise ConversionError(
            f"The model cannot run on the board {board!r}. Received: "
            f"{problems[board]}. Or choose a board with a newer library, such "
            "as an ESP32."
        )
    return [name for name, problem in problems.items() if not problem]


def _labels(labels: Sequence[str]) -> str:
    words = ", ".join(map(json.dumps, labels))
    return (
        "// Written by tf_diet. Names of the classes, in the order of the\n"
        "// model's outputs.\n#pragma once\n\n"
        f"constexpr int kLabelCount = {len(labels)};\n"
        f"constexpr const char* kLabels[] = {{{words}}};\n"
    )


def _readme(
    folder: Traversable,
    settings: Mapping[str, Any],
    content: Mapping[str, bytes],
    name: str,
    boards: Sequence[str],
) -> str:
    template = folder.joinpath(_README).read_text(encoding="utf-8")
    known = [toolchains.get(board) for board in boards]
    inputs, outputs = settings["inputs"], settings["outputs"]
    fed = {pair[0] for pair in settings["states"]}
    made = {pair[1] for pair in settings["states"]}
    hop, rate = settings.get("hop", 0), settings.get("sample_rate", 0)
    length = re.search(
        rb"model_data_length\s*=\s*(\d+)", content["model_data.cpp"]
    )
    plays = "audio_out.h" in content
    # Sketches of older releases know the arena of a desktop alone.
    arena = settings.get("board_arena_bytes", settings["arena_bytes"])
    patched = any("other boards" in board.library for board in known)
    return Template(template).substitute(
        name=name,
        hop=hop,
        sample_rate=rate,
        frame_ms=f"{1000 * hop / rate:g}" if rate else "?",
        model_bytes=f"{int(length[1]):,}" if length else "?",
        ops=", ".join(settings["ops"]),
        types=", ".join(sorted({t["type"] for t in inputs + outputs})),
        arena_bytes=f"{arena:,}",
        inputs=_listed(t for i, t in enumerate(inputs) if i not in fed),
        states=_listed(t for i, t in enumerate(inputs) if i in fed),
        controls=_listed(t for i, t in enumerate(outputs) if i not in made),
        labels=", ".join(settings.get("labels", ())) or "none",
        boards="\n\n".join(board.describe(sound=plays) for board in known),
        other_boards=_OTHER_BOARDS if patched else "",
        fqbn=known[0].fqbn if len(known) == 1 else "CORE:BOARD",
    )


def _listed(tensors: Any) -> str:
    listed = ", ".join(f"`{t['name']}` ({t['size']})" for t in tensors)
    return listed or "none"
