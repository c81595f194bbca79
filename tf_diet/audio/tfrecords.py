# SPDX-License-Identifier: MIT
"""NSynth's TFRecords as the folders that NSynth is handed out as, too."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tf_diet import files, optional
from tf_diet.arrays import Floats32
from tf_diet.errors import InputError
from tf_diet.progress import track

_INTEGERS = (
    *("note", "instrument", "pitch", "velocity", "sample_rate"),
    *("instrument_family", "instrument_source"),
)
_TEXTS = (
    *("note_str", "instrument_str"),
    *("instrument_family_str", "instrument_source_str"),
)


def unpacked(path: Path) -> Path:
    """Returns a folder of what a TFRecord holds, made when first asked for.

    It lies beside the file, under its name and `.unpacked`, and appears when
    it is whole.

    Args:
        path: of the TFRecord.

    Raises:
        InputError: it is not one of NSynth.
        MissingDependencyError: TensorFlow is not installed.
    """
    folder = path.with_name(f"{path.name}.unpacked")
    if folder.is_dir():
        return folder
    soundfile = optional.require("soundfile", extra="audio")
    tf = optional.require("tensorflow", extra="convert")
    table: dict[str, Any] = {}
    try:
        with files.replacing(folder) as work:
            (work / "audio").mkdir(parents=True)
            records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
            for raw in track(records, f"unpacking {path.name}"):
                row, audio = _parsed(path, tf.train.Example.FromString(raw))
                table[row["note_str"]] = row
                soundfile.write(
                    work / "audio" / f"{row['note_str']}.wav",
                    audio,
                    row["sample_rate"],
                    subtype="PCM_16",
                )
            text = json.dumps(table, indent=1, sort_keys=True)
            (work / "examples.json").write_text(text, encoding="utf-8")
    except tf.errors.DataLossError as error:
        raise InputError(
            f"The TFRecord is damaged. Received: {path}: {error.message}. "
            "Fetch it again."
        ) from error
    return folder


def _parsed(path: Path, example: Any) -> tuple[dict[str, Any], Floats32]:
    found = example.features.feature
    missing = [n for n in ("note_str", "pitch", "audio") if n not in found]
    if missing:
        raise InputError(
            "The TFRecord is none of NSynth. Received: an example without "
            f"{', '.join(missing)} in {path}. Known fields: "
            f"{', '.join((*_TEXTS, *_INTEGERS, 'audio'))}."
        )
    row: dict[str, Any] = {"sample_rate": 16000}
    for name in _INTEGERS:
        if name in found:
            row[name] = int(found[name].int64_list.value[0])
    for name in _TEXTS:
        if name in found:
            row[name] = found[name].bytes_list.value[0].decode("utf-8")
    return row, np.array(found["audio"].float_list.value, np.float32)
