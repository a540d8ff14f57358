"""The log of a command: on stderr with `--verbose`, in a file with `--log-file`.

The library only writes to loggers below `jarkkit` and adds no handler. A program that uses it
chooses its own handlers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.errors import JarkkitError

_FORMAT = "%(asctime)s %(levelname)-5s %(name)s: %(message)s"


def start(*, verbose: int, debug: bool, file: Path | None) -> Callable[[], None]:
    """Write log messages to stderr and to the file; return a function that ends this.

    A file without `verbose` or `debug` gets INFO, and stderr nothing. Raises JK-USAGE if the file
    cannot be written.

    Args:
        verbose: 1 for INFO, 2 or more for DEBUG.
    """
    handlers = list[logging.Handler]()
    if file is not None:
        handlers.append(_private_file(file))
    if verbose or debug:
        handlers.append(logging.StreamHandler())
    logger = logging.getLogger("jarkkit")
    level_before = logger.level
    logger.setLevel(logging.DEBUG if debug or verbose > 1 else logging.INFO)
    for handler in handlers:
        handler.setFormatter(_MaskingFormatter(_FORMAT))
        logger.addHandler(handler)

    def stop() -> None:
        logger.setLevel(level_before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()

    return stop


class _MaskingFormatter(logging.Formatter):
    """Masks account ids, also in tracebacks: people share logs."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_account_ids(super().format(record))


def _private_file(path: Path) -> logging.Handler:
    """Return a handler that appends to a file that only its owner can read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.close(descriptor)
        return logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise JarkkitError(
            "JK-USAGE",
            f"Cannot write the log file {path}: {error.strerror}.",
            "Name a file in a folder that exists and that you can write to: --log-file FILE",
        ) from error
