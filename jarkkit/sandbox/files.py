"""Files that can hold a secret."""

from __future__ import annotations

import os
from pathlib import Path

# Every process of a sandbox carries its home in the environment, so that none is left behind.
MARK = "JARKKIT_SANDBOX_HOME"


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
