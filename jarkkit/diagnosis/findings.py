"""A finding, and how findings are folded: what follows from a cause is told under it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from jarkkit.checks import Check

PAGE = "docs/troubleshooting.md"
# What has a chapter of its own there.
CHAPTERS = (
    "JK-ADDON-CRASH", "JK-ADDON-FAILED", "JK-ADDON-IMAGE", "JK-ADDON-PENDING", "JK-ADDON-TIMEOUT",
    "JK-AWS-CAPACITY", "JK-AWS-DENIED", "JK-AWS-EXPIRED", "JK-AWS-NO-CREDENTIALS", "JK-AWS-QUOTA",
    "JK-AWS-THROTTLED", "JK-AWS-UNREACHABLE", "JK-CLEANUP-LEFT", "JK-HELM-FAILED",
    "JK-INTERRUPTED", "JK-KUBE-DENIED", "JK-KUBE-REFUSED", "JK-KUBE-UNREACHABLE",
    "JK-NODE-NOT-JOINED", "JK-NODE-NOT-READY", "JK-NODE-RECLAIMED", "JK-TARGET-MISMATCH",
    "JK-TARGET-REHEARSAL", "JK-TF-FAILED", "JK-TF-KILLED", "JK-TF-LOCKED", "JK-VERIFY-FAILED",
    "JK-VOLUME-PENDING", "JK-WEBHOOK-DOWN",
)  # fmt: skip
_EVIDENCE = 400
_TOLD = 6


class Rank(IntEnum):
    """How near to the root of things a finding is. What follows from another comes after it."""

    FOLDER = 0
    ACCESS = 1
    NETWORK = 2
    SUPPLY = 3
    CONTROL_PLANE = 4
    API = 5
    INSTANCE = 6
    NODE_GROUP = 7
    POOL = 8
    NODE_CLAIM = 9
    NODE = 10
    CORE_PODS = 11
    CLAIM = 12
    PODS = 13
    WEBHOOK = 14
    REFUSED_PODS = 15
    RELEASE = 16
    EKS_ADDON = 17
    ADDON = 18
    LEFT = 19
    TERRAFORM = 20
    STEP = 21


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        subject: what it is about, as users know it: `Node ip-10-0-0-1`.
        found: the evidence.
        why: the cause in words; empty where it is not known.
        grave: False for what may pass by itself, or harms nobody now.
        explains: keys of what it can be the cause of: `node:ip-10-0-0-1`. Its code is one.
        follows: keys of what it may be a symptom of.
    """

    rank: Rank
    subject: str
    found: str
    fix: str
    code: str
    why: str = ""
    grave: bool = True
    explains: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """All that another finding can name it by."""
        return self.explains | {code_key(self.code)}


@dataclass(frozen=True)
class Cause:
    """A finding that follows from no other, and those that follow from it."""

    finding: Finding
    symptoms: tuple[Finding, ...] = field(default=())


def code_key(code: str) -> str:
    """The key by which a finding of that code is named."""
    return f"code:{code}"


def fold(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    """Causes with their symptoms; what is gravest and explains most comes first.

    A finding follows from the one nearest to the root among those that may be its cause; a cause
    always has a lower rank than what follows from it, so there are no circles.
    """
    ordered = sorted(findings, key=lambda f: f.rank)
    root: dict[int, int] = {}
    for index, finding in enumerate(ordered):
        parents = (
            i
            for i, other in enumerate(ordered[:index])
            if other.rank < finding.rank and other.keys & finding.follows
        )
        root[index] = min((root[i] for i in parents), default=index)
    causes = [_cause(ordered, root, i) for i in range(len(ordered)) if root[i] == i]
    return tuple(
        sorted(causes, key=lambda c: (not c.finding.grave, c.finding.rank, -len(c.symptoms)))
    )


def _cause(ordered: Sequence[Finding], root: dict[int, int], index: int) -> Cause:
    symptoms = tuple(f for i, f in enumerate(ordered) if root[i] == index and i != index)
    grave = ordered[index].grave or any(symptom.grave for symptom in symptoms)
    return Cause(replace(ordered[index], grave=grave), symptoms)


def check_of(cause: Cause) -> Check:
    """A cause as a line of a report."""
    finding = cause.finding
    return Check(
        name=finding.subject,
        status="fail" if finding.grave else "warn",
        found=cut(finding.found),
        why=finding.why,
        fix=finding.fix,
        code=finding.code,
        link=link(finding.code),
        follows=tuple(_symptoms(cause.symptoms)),
    )


def _symptoms(symptoms: Sequence[Finding]) -> Iterable[str]:
    for symptom in symptoms[:_TOLD]:
        yield f"{symptom.subject}: {cut(symptom.why or symptom.found, 160)} [{symptom.code}]"
    if len(symptoms) > _TOLD:
        yield f"and {len(symptoms) - _TOLD} more"


def link(code: str) -> str:
    """Where the code is explained; the page without the package's own folder."""
    return f"{PAGE}#{code.lower()}" if code in CHAPTERS else ""


def cut(text: str, limit: int = _EVIDENCE) -> str:
    """Evidence at a readable length, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def listed(names: Iterable[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    every = sorted(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
