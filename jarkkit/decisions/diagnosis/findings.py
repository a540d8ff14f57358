"""A finding, and how findings are grouped: symptoms under their cause. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from jarkkit.model.checks import Check

TROUBLESHOOTING_PAGE = "docs/troubleshooting.md"
# Codes with their own chapter there.
DOCUMENTED_CODES = (
    "JK-ADDON-CRASH", "JK-ADDON-FAILED", "JK-ADDON-IMAGE", "JK-ADDON-PENDING", "JK-ADDON-TIMEOUT",
    "JK-AWS-CAPACITY", "JK-AWS-DENIED", "JK-AWS-EXPIRED", "JK-AWS-NO-CREDENTIALS", "JK-AWS-QUOTA",
    "JK-AWS-THROTTLED", "JK-AWS-UNREACHABLE", "JK-CLEANUP-LEFT", "JK-HELM-FAILED",
    "JK-INTERRUPTED", "JK-KUBE-DENIED", "JK-KUBE-REFUSED", "JK-KUBE-UNREACHABLE",
    "JK-LOAD-BALANCER-PENDING", "JK-NODE-NOT-JOINED", "JK-NODE-NOT-READY", "JK-NODE-RECLAIMED",
    "JK-TARGET-MISMATCH", "JK-TARGET-REHEARSAL", "JK-TF-FAILED", "JK-TF-KILLED", "JK-TF-LOCKED",
    "JK-VERIFY-FAILED", "JK-VOLUME-PENDING", "JK-WEBHOOK-DOWN", "JK-WORKLOAD-FAILED",
)  # fmt: skip
_EVIDENCE = 400
_MAX_SYMPTOMS = 6


class Rank(IntEnum):
    """How close to the root cause a finding is: a symptom ranks after its cause."""

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
    ACCELERATOR = 14
    DEPENDENT_PODS = 15
    WEBHOOK = 16
    REFUSED_PODS = 17
    RELEASE = 18
    EKS_ADDON = 19
    ADDON = 20
    WORKLOAD = 21
    LOAD_BALANCER = 22
    LEFT = 23
    TERRAFORM = 24
    STEP = 25
    CHECK = 26


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        subject: what it is about, in users' terms: `Node ip-10-0-0-1`.
        found: the evidence.
        why: the cause in words; empty where it is unknown.
        grave: False for what may pass by itself or has no effect now.
        explains: keys of what it can cause: `node:ip-10-0-0-1`. Its code is one, too.
        follows: keys of what it may be a symptom of.
        needed: what should be there instead; empty if `found` says it.
        covers: names of verify's checks that say no more than it, beside one with its subject.
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
    needed: str = ""
    covers: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """All keys by which another finding can refer to it."""
        return self.explains | ({code_key(self.code)} if self.code else set())


@dataclass(frozen=True)
class Cause:
    """A finding that follows from no other, with its symptoms."""

    finding: Finding
    symptoms: tuple[Finding, ...] = field(default=())


def code_key(code: str) -> str:
    """Return the key that refers to findings with that code."""
    return f"code:{code}"


def group_by_cause(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    """Group symptoms under their causes; sort by severity, rank and number of symptoms.

    A finding follows from the one closest to the root among its possible causes. A cause always
    ranks lower than its symptoms, so there are no cycles.
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


def to_check(cause: Cause) -> Check:
    """Turn a cause into a check of the report."""
    finding = cause.finding
    return Check(
        name=finding.subject,
        status="fail" if finding.grave else "warn",
        found=truncate(finding.found),
        needed=finding.needed,
        why=finding.why,
        fix=finding.fix,
        code=finding.code,
        link=documentation_link(finding.code),
        follows=tuple(_symptoms(cause.symptoms)),
    )


def _symptoms(symptoms: Sequence[Finding]) -> Iterable[str]:
    for symptom in symptoms[:_MAX_SYMPTOMS]:
        code = f" [{symptom.code}]" if symptom.code else ""
        yield f"{symptom.subject}: {truncate(symptom.why or symptom.found, 160)}{code}"
    if len(symptoms) > _MAX_SYMPTOMS:
        yield f"and {len(symptoms) - _MAX_SYMPTOMS} more"


def documentation_link(code: str) -> str:
    """Return the documentation chapter about the code; empty if there is none."""
    return f"{TROUBLESHOOTING_PAGE}#{code.lower()}" if code in DOCUMENTED_CODES else ""


def truncate(text: str, limit: int = _EVIDENCE) -> str:
    """Shorten evidence to a readable length, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def short_list(names: Iterable[str], most: int = 3) -> str:
    """Join the first names, and count the rest."""
    every = sorted(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
