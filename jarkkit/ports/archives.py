"""Archives for other people: one compressed file that only its owner can read."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from jarkkit.model.errors import JarkkitError

_PRIVATE = 0o600


def write_archive(path: Path, members: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write a tar.gz (mode 0600) in one step: it is complete, or it does not exist.

    The members have no owner. Raises JK-FILE-EXISTS, JK-WORKSPACE-WRITE.

    Args:
        members: contents by name.
        overwrite: replace the file if it exists.
    """
    if os.path.lexists(path) and not overwrite:
        raise JarkkitError(
            "JK-FILE-EXISTS",
            f"{path} exists already.",
            "Name another file with --out, or delete this one first.",
        )
    try:
        _write(path, members)
    except OSError as error:
        raise JarkkitError(
            "JK-WORKSPACE-WRITE",
            f"{path}: {error.strerror or error}.",
            "Name a file in a folder that exists and that you can write to: --out FILE",
        ) from error


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:  # mkstemp makes 0600
            with tarfile.open(fileobj=handle, mode="w:gz") as archive:
                for name, content in members.items():
                    archive.addfile(_member(name, len(content)), io.BytesIO(content))
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, _PRIVATE, int(time.time())
    return member
