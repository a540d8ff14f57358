"""Files that can hold a secret."""

from __future__ import annotations

import os
from pathlib import Path

# Every process of a sandbox has this variable set to its home, so that cleanup finds them all.
HOME_VARIABLE = "JARKKIT_SANDBOX_HOME"


def write_private(path: Path, data: bytes) -> None:
    """Write a file atomically, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
