"""Names that are taken in an account, and a Terraform state in a bucket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller, UniqueName
from jarkkit.model.unknown import Unknown


@dataclass
class FakeNameConflicts:
    """`tags` holds the tags of taken names; all other names are free."""

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    bucket: bytes | None = None
    failing: JarkkitError | None = None

    def tags_by_name(
        self, names: Iterable[UniqueName], caller: Caller
    ) -> dict[UniqueName, dict[str, str] | Unknown | None]:
        unknown = Unknown(self.failing) if self.failing else None
        return {name: unknown or self.tags.get(name.name) for name in names}

    def read_state_object(self, bucket: str, key: str) -> bytes | None:
        return self.bucket
