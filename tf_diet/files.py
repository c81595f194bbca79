# SPDX-License-Identifier: MIT
"""Files that are either whole or not there."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_diet.errors import RunFolderError

# What `tempfile.mkdtemp` makes of the prefix in `replacing`.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path that becomes `path` when the block succeeds.

    The suffix is kept, since savers pick their format by it. Nothing is left
    behind when the block raises.

    Raises:
        RunFolderError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        os.replace(folder / path.name, path)
    except OSError as error:
        # HDF5 gives the reason in its message alone.
        full = os.strerror(errno.ENOSPC)
        codes = (errno.ENOSPC, errno.EDQUOT)
        if error.errno not in codes and full not in str(error):
            raise
        raise RunFolderError(
            f"The disk is full. Received: {full!r} while writing {path}. What "
            "was there before is as it was; make room and go on from it."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Removes what a kill left of files that were being replaced in a folder.

    A folder is left alone that `replacing` cannot have made.
    """
    for path in folder.glob(".*.*"):
        made = _TEMPORARY.fullmatch(path.name)
        if made is None or path.is_symlink() or not path.is_dir():
            continue
        if {inner.name for inner in path.iterdir()} <= {made["name"]}:
            shutil.rmtree(path)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes a text file in one move and returns its path."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Writes a binary file in one move and returns its path."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def check_fresh_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, hint: str = ""
) -> None:
    """Checks that `fresh_folder` will do, before any work is done.

    Raises:
        RunFolderError: as `fresh_folder`.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise RunFolderError(
            f"The output folder is a file. Received: {path}. "
            "Name a folder that is empty or does not exist."
        )
    if not overwrite and path.is_dir() and any(path.iterdir()):
        raise RunFolderError(
            f"The output folder is not empty. Received: {path}. "
            + (hint or "Name an empty folder, or ask to overwrite it.")
        )


def fresh_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, hint: str = ""
) -> Path:
    """Returns `path` as an empty folder.

    Args:
        path: the folder; made when it does not exist.
        overwrite: empty a folder that holds files.
        hint: what the user may do instead, for the error message.

    Raises:
        RunFolderError: the folder holds files and `overwrite` is False, or
            the path is a file.
    """
    check_fresh_folder(path, overwrite=overwrite, hint=hint)
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    return path
