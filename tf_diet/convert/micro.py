# SPDX-License-Identifier: MIT
"""From a TFLite model to the C++ files that a microcontroller compiles."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_diet import files
from tf_diet.convert import audio_rate
from tf_diet.convert.board_arena import board_arena
from tf_diet.convert.cpp_files import (
    TYPES,
    Setting,
    data_header,
    data_source,
    ops_header,
    settings_header,
)
from tf_diet.convert.operators import (
    check_board,
    check_micro,
    per_channel_dense,
)
from tf_diet.convert.runs_on_micro import check_runs
from tf_diet.convert.runtime import MicroRunner
from tf_diet.convert.tensor_spec import TensorDetails
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError, InputError

FILES = (
    "model_data.h",
    "model_data.cc",
    "model_ops.h",
    "model_settings.h",
    "model_settings.json",
)


@dataclass(frozen=True)
class MicroModel:
    """A model as C++ files.

    Args:
        folder: where the files are.
        quantize: how its numbers are stored.
        ops: the operators it needs, sorted.
        arena_bytes: memory for its tensors, as measured on this machine; a
            board with 32-bit pointers needs less.
        flash_bytes: size of the array that holds the model.
        settings: the content of `model_settings.json`.
        board_arena_bytes: a bound on what a board with 32-bit pointers needs.
    """

    folder: Path
    quantize: str
    ops: tuple[str, ...]
    arena_bytes: int
    flash_bytes: int
    settings: Mapping[str, Any]
    board_arena_bytes: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the written files."""
        return tuple(self.folder / name for name in FILES)

    def __repr__(self) -> str:
        return (
            f"<MicroModel {self.quantize} in {self.folder}: "
            f"{self.flash_bytes:,} bytes of flash, "
            f"{self.board_arena_bytes or self.arena_bytes:,} bytes of arena, "
            f"{len(self.ops)} kinds of operators>"
        )


def to_micro(
    model: TFLiteModel | bytes,
    folder: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    settings: Mapping[str, Setting] | None = None,
    board: str | None = None,
) -> MicroModel:
    """Writes a TFLite model as C++ files for TFLite Micro.

    The model is run in the TFLite Micro interpreter first, in a process of its
    own; where that fails nothing is written. Names of inner tensors, and
    whatever else only tools on a desk read, stay out of the array.

    Args:
        model: a converted model, or the bytes of one.
        folder: where to write; files of other names in it are left alone.
        sample_rate: samples of audio a second, for a model of sound; the
            model's own when left out.
        hop: samples of audio that one call stands for; likewise.
        settings: more constants for the C++ side: `harmonics=40` becomes
            `kHarmonics`, `labels=["no", "yes"]` an array of texts.
        board: a board whose TFLite Micro library has to have the operators,
            such as "nano-33-ble"; files for any board when left out.

    Returns:
        What was written, and what it needs.

    Raises:
        InputError: a sample rate, hop, board or setting cannot be used.
        ConversionError: TFLite Micro, or the library of the board, lacks an
            operator, or the form in which the model uses it.
    """
    if not isinstance(model, TFLiteModel):
        model = TFLiteModel.from_bytes(bytes(model))
    extra: dict[str, Any] = dict(settings or {})
    _check_settings(extra)
    hop, sample_rate = audio_rate.of_model(model, hop, sample_rate)
    ops = check_micro(model.data)
    if board is not None:
        check_board(model.data, board)
    _check_types(model)
    check_runs(model)
    data = model.for_board()
    arena = MicroRunner(data).arena_bytes
    audio = {} if hop is None else {"sample_rate": sample_rate, "hop": hop}
    described: dict[str, Any] = {
        "inputs": [_described(details) for details in model.inputs],
        "outputs": [_described(details) for details in model.outputs],
        "states": [list(pair) for pair in model.states],
        **audio,
        "arena_bytes": arena,
        "board_arena_bytes": board_arena(data),
        "esp_arena_bytes": board_arena(data, "esp-tflite-micro"),
        "ops": list(ops),
        "per_channel_dense": per_channel_dense(data),
        **{k: list(v) if _texts(v) else v for k, v in extra.items()},
    }
    _write_all(
        Path(folder),
        {
            "model_data.h": data_header(),
            "model_data.cc": data_source(data),
            "model_ops.h": ops_header(ops),
            "model_settings.h": settings_header(model, described, extra),
            "model_settings.json": json.dumps(described, indent=2) + "\n",
        },
    )
    return MicroModel(
        Path(folder),
        model.quantize,
        ops,
        arena,
        len(data),
        described,
        described["board_arena_bytes"],
    )


def parse_c_array(path: str | os.PathLike[str]) -> bytes:
    """Reads the bytes back out of a C or C++ array of hexadecimal numbers.

    Args:
        path: a source file such as `model_data.cc`.

    Raises:
        InputError: the file has no such array.
    """
    text = Path(path).read_text(encoding="utf-8")
    body = re.search(r"model_data\[\][^{]*\{([^}]*)\}", text)
    numbers = re.findall(r"0x([0-9a-fA-F]{1,2})\b", body[1]) if body else []
    if not numbers:
        raise InputError(
            "The file holds no array 'model_data[]' of hexadecimal bytes. "
            f"Received: {path}. Pass the model_data.cc that to_micro wrote."
        )
    return bytes(int(number, 16) for number in numbers)


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(word, str) for word in value)
    )


def _check_settings(extra: Mapping[str, Any]) -> None:
    taken = {
        *("inputs", "outputs", "states", "ops", "sample_rate", "hop"),
        *("arena_bytes", "board_arena_bytes", "esp_arena_bytes"),
        "per_channel_dense",
    }
    for name, value in extra.items():
        if (
            not re.fullmatch(r"[a-z][a-z0-9_]*", name)
            or name in taken
            or not (isinstance(value, int | float | str) or _texts(value))
        ):
            raise InputError(
                "A setting is a new name in snake_case with a number, truth "
                f"value, text or texts. Received: {name!r}: {value!r}. Use "
                "names such as harmonics=40."
            )


def _check_types(model: TFLiteModel) -> None:
    for details in (*model.inputs, *model.outputs):
        if details.dtype not in TYPES:
            raise ConversionError(
                f"The tensor {details.name!r} has a type that the C++ side "
                f"does not read. Received: {details.dtype}. Use float or "
                "int32 inputs and outputs."
            )


def _described(details: TensorDetails) -> dict[str, Any]:
    entry = asdict(details)
    return {
        "name": entry["name"],
        "index": entry["index"],
        "size": details.size,
        "shape": list(details.shape),
        "type": entry["dtype"],
        "scale": entry["scale"],
        "zero_point": entry["zero_point"],
    }


def _write_all(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes all files or none of them."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".micro.", dir=folder))
    try:
        for name, text in texts.items():
            files.write_text(staging / name, text)
        for name in texts:
            os.replace(staging / name, folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
