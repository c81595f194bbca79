# SPDX-License-Identifier: MIT
"""Features of many sounds, found in parallel and kept.

Each file gives clips of one length; each feature of a file is one `.npy` file
in the cache, named after the bytes of the sound and what was asked for, and
there when it is whole. So a kill costs the files that were being worked on.
"""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from tf_diet import files
from tf_diet.arrays import Array, Floats32
from tf_diet.audio import features, mu_law
from tf_diet.audio.clips import Clip, Extracted, Settings
from tf_diet.audio.parallel import in_parallel
from tf_diet.audio.reading import (
    SILENCE,
    UnusableError,
    check_pitch,
    read_audio,
)
from tf_diet.audio.sources import Note, Source
from tf_diet.errors import InputError, RunFolderError
from tf_diet.extensions import features as extractors
from tf_diet.extensions import register_feature

# Raised whenever the features of the same samples would come out different.
_VERSION = 1
# pYIN gives frames without a pitch 0.01.
_PITCHED = 0.1

Compute = Callable[[Floats32, int | None, Settings], Array]


@register_feature("audio")
def _audio(clip: Floats32, pitch: int | None, how: Settings) -> Array:
    return clip


@register_feature("codes")
def _codes(clip: Floats32, pitch: int | None, how: Settings) -> Array:
    return mu_law.encode(clip).astype(np.uint8)


@register_feature("loudness")
def _loudness(clip: Floats32, pitch: int | None, how: Settings) -> Array:
    return features.loudness(clip, how.sample_rate, how.hop)


@register_feature("f0")
def _f0(clip: Floats32, pitch: int | None, how: Settings) -> Array:
    """Frequency and confidence, as two columns: pYIN finds both."""
    low, high = features.around(pitch, how.sample_rate)
    frequency, _, sure = features.followed(
        clip, how.sample_rate, how.hop, low=low, high=high
    )
    return np.stack([frequency, sure], axis=-1)


@register_feature("log_mel")
def _log_mel(clip: Floats32, pitch: int | None, how: Settings) -> Array:
    return features.log_mel(clip, how.sample_rate, how.mel_hop)


@register_feature("mfcc")
def _mfcc(clip: Floats32, pitch: int | None, how: Settings) -> Array:
    return features.mfcc(clip, how.sample_rate, how.hop)


def extract(
    source: Source,
    names: Sequence[str] = ("audio", "f0", "loudness"),
    settings: Settings | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
) -> Extracted:
    """Finds features of all clips of a source.

    Args:
        source: from `read_source`.
        names: of features: "audio", "codes", "f0", "loudness", "log_mel",
            "mfcc", or registered ones.
        settings: how to look.
        cache: folder that keeps features; `tf_diet` in the user's cache
            folder when left out, or a temporary one where that cannot be
            written.
        jobs: processes; as many as there are cores when left out.

    Returns:
        The clips. What cannot be used is in `problems`, by name.

    Raises:
        InputError: a feature is unknown, a clip would hold no frame, no
            file can be used, or the cache cannot be written.
    """
    how = settings or Settings()
    # The functions go along: other processes know those of no script.
    wanted = {name: extractors.get(name) for name in names}
    if min(how.hop, how.mel_hop) < 1 or how.samples < max(how.hop, how.mel_hop):
        raise InputError(
            "A clip must hold a frame. Received: "
            f"seconds={how.seconds:g} at {how.sample_rate} Hz, with hops of "
            f"{how.hop} and {how.mel_hop}. Ask for longer clips, and for hops "
            "of 1 or more."
        )
    folder = _writable_cache() if cache is None else Path(cache).absolute()
    tasks = [(note, wanted, how, folder) for note in source.notes]
    clips: list[Clip] = []
    problems = list(source.problems)
    for note, found in zip(
        source.notes,
        in_parallel(_of_file, tasks, "extracting features", jobs=jobs, chunk=4),
        strict=True,
    ):
        if isinstance(found, str):
            problems.append((note.name, found))
            continue
        count, paths = found
        clips += [Clip(note, paths, index) for index in range(count)]
    if not clips:
        listed = "; ".join(f"{name}: {why}" for name, why in problems[:5])
        raise InputError(
            f"No file of {source.folder} can be used. Received: {listed}. "
            "Repair them, or name another folder."
        )
    return Extracted(tuple(clips), source.instruments, how, tuple(problems))


def user_cache() -> Path:
    """Returns tf_diet's folder in the user's cache folder."""
    # The XDG standard asks that a relative value be ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = named if named.is_absolute() else Path.home() / ".cache"
    return base / "tf_diet"


def _writable_cache() -> Path:
    """Returns the user's cache, or a temporary folder in its place."""
    folder = user_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        logging.warning(
            "Features cannot be kept in %s (%s) and will be found again next "
            "time. Name a cache folder that can be written.",
            folder,
            error,
        )
    temporary = Path(tempfile.mkdtemp(prefix="tf_diet-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary


Found = tuple[int, dict[str, Path]] | str


def _of_file(
    note: Note, wanted: Mapping[str, Compute], how: Settings, folder: Path
) -> Found:
    """Returns how many clips a file gives and where they are, or why not."""
    try:
        key = _key(note, how)
        paths = {name: folder / f"{key}-{name}.npy" for name in wanted}
        sizes = {name: _whole(path) for name, path in paths.items()}
        missing = [name for name, size in sizes.items() if size is None]
        if missing:
            clips = _clips(note, how)
            for name in missing:
                values = np.stack(
                    [wanted[name](c, note.pitch, how) for c in clips]
                )
                if name == "f0":
                    _warn_of_another_pitch(note, values[..., 1])
                _save(paths[name], values)
            return len(clips), paths
        return next(s for s in sizes.values() if s is not None), paths
    except UnusableError as reason:
        return str(reason)


def _save(path: Path, values: Array) -> None:
    try:
        with files.replacing(path) as temporary:
            np.save(temporary, values)
    except RunFolderError:
        raise
    except OSError as error:
        raise InputError(
            f"Features cannot be kept in this folder. Received: {path.parent}: "
            f"{error}. Name a cache folder that can be written."
        ) from error


def _warn_of_another_pitch(note: Note, confidence: Floats32) -> None:
    heard = np.mean(confidence > _PITCHED)
    if note.pitch is not None and heard < 0.5:
        logging.warning(
            "%s: no pitch near MIDI %d in %.0f %% of the frames; is it the "
            "note that it is named after?",
            note.name,
            note.pitch,
            100 * (1 - heard),
        )


def _key(note: Note, how: Settings) -> str:
    """Names features after the bytes of the sound and what was asked for."""
    asked = [_VERSION, note.pitch, how.sample_rate, how.hop, how.mel_hop]
    asked += [how.samples, how.upsample]
    digest = hashlib.blake2b(json.dumps(asked).encode(), digest_size=16)
    try:
        digest.update(note.path.read_bytes())
    except OSError as error:
        raise UnusableError(f"unreadable ({error})") from error
    return digest.hexdigest()


def _whole(path: Path) -> int | None:
    """Returns how many clips a kept array has; None if it is not there."""
    if not path.exists():
        return None
    try:
        return len(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, EOFError):
        return None


def _clips(note: Note, how: Settings) -> list[Floats32]:
    """Cuts a file into whole clips, leaving out silent ones."""
    audio = read_audio(
        note.path, how.sample_rate, least=how.samples, upsample=how.upsample
    )
    if note.pitch is not None:
        check_pitch(note.pitch, how.sample_rate)
    parts = [
        audio[i : i + how.samples]
        for i in range(0, len(audio) - how.samples + 1, how.samples)
    ]
    heard = [part for part in parts if np.abs(part).max() >= SILENCE]
    if not heard:
        raise UnusableError("silent (its peak is below -60 dBFS)")
    return heard
