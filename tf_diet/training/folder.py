# SPDX-License-Identifier: MIT
"""The folder of long work: one process at a time, begun once, gone on with."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tf_diet.errors import RunFolderError
from tf_diet.files import remove_leftovers

_LOCK = ".lock"
# Names shown of what is in the way.
_SHOWN = 3


class ResumableFolder:
    """A folder in which long work is begun, and gone on with after a kill.

    The record is the file that tells whose folder it is; whoever begins the
    work writes it, as the last of what the work starts from. Hidden files
    count as nothing.

    Args:
        folder: where the work lives; made when it is locked.
        record: the name of that file, JSON with the settings of the work.
        kind: what is done there, for messages: "run", "sweep".
        overwritable: `open` may be asked to overwrite; for messages.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        record: str,
        kind: str,
        *,
        overwritable: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.record = self.folder / record
        self.kind = kind
        self.overwritable = overwritable

    @contextmanager
    def locked(self, wait: float = 0.0) -> Iterator[None]:
        """Keeps other processes out of the folder.

        Args:
            wait: seconds for another process to leave it.

        Raises:
            RunFolderError: another process is at work in it, or it is a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RunFolderError(
                f"The {self.kind} folder is a file. Received: {self.folder}. "
                "Name a folder that is empty or does not exist."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / _LOCK)
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise RunFolderError(
                f"Another process is at work on this {self.kind}. Received: "
                f"{self.folder}. Wait for it or stop it, or use another "
                "folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def open(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        resume: bool,
        overwrite: bool = False,
        opening: frozenset[str] = frozenset(),
    ) -> Mapping[str, Any] | None:
        """Says whether there is work to go on with; call it while locked.

        Args:
            settings: what makes it the same work, by name; None if work with
                any settings may go on here.
            resume: go on with what is there.
            overwrite: empty the folder first.
            opening: names that a kill may leave before the record is written.

        Returns:
            The recorded settings; None if the folder is empty, and the work
            is to be begun.

        Raises:
            RunFolderError: the folder holds something and may not be gone on
                with, something else, or work with other settings, which are
                shown.
        """
        if overwrite:
            self._empty()
        if resume:
            remove_leftovers(self.folder)
        old = self.recorded() if resume else None
        if old is None:
            self._check_empty(opening if resume else frozenset(), resume)
        elif settings is not None:
            self._check_same(old, json.loads(json.dumps(settings, default=str)))
        return old

    def recorded(self) -> Mapping[str, Any] | None:
        """Returns the settings of the work; None where none was begun.

        Raises:
            RunFolderError: the record cannot be read.
        """
        if not self.record.is_file():
            return None
        try:
            read = json.loads(self.record.read_text("utf-8"))
            if not isinstance(read, dict):
                raise TypeError(type(read).__name__)
        except (TypeError, ValueError) as error:
            raise RunFolderError(
                f"The record of the {self.kind} cannot be read. Received: "
                f"{self.record}: {error}. Use another folder."
            ) from error
        return read

    def _check_empty(self, opening: frozenset[str], resume: bool) -> None:
        held = {p.name for p in self.folder.iterdir()}
        held = {name for name in held if not name.startswith(".")}
        if held <= opening:
            return
        what = f"The {self.kind} folder is not empty"
        advice = f", or pass resume=True (--resume) to go on with a {self.kind}"
        if resume:
            what, advice = f"The folder holds no {self.kind} to go on with", ""
        if self.overwritable:
            advice += ", or overwrite=True (--overwrite) to empty it"
        raise RunFolderError(
            f"{what}. Received: {self.folder}, which holds "
            f"{', '.join(sorted(held)[:_SHOWN])}. Name an empty folder{advice}."
        )

    def _check_same(self, old: Any, new: Any) -> None:
        differ = list(differences(old, new))
        if differ:
            raise RunFolderError(
                f"The folder {self.folder} belongs to another {self.kind}. "
                f"Received: {'; '.join(differ)}. Use the same settings, or "
                "another folder."
            )

    def _empty(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yields what differs between two nested settings."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else key
            yield from differences(old.get(key), new.get(key), inner)
    elif old != new:
        yield f"{name}: {old!r} there, {new!r} now"
