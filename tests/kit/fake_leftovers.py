"""Names that somebody has, and a state in a bucket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jarkkit.errors import JarkkitError
from jarkkit.records import Caller, UniqueName


@dataclass
class FakeLeftovers:
    """`tags` by name; all other names are free."""

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    bucket: bytes | None = None
    failing: JarkkitError | None = None

    def holders(
        self, names: Iterable[UniqueName], caller: Caller
    ) -> dict[UniqueName, dict[str, str] | JarkkitError | None]:
        return {name: self.failing or self.tags.get(name.name) for name in names}

    def state(self, bucket: str, key: str) -> bytes | None:
        return self.bucket
