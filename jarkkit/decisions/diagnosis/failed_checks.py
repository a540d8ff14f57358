"""Findings from verify's checks that failed or warn. Pure.

Another finding explains more than a check: it quotes the pod, the node, the instance. So a check
becomes a cause only where no other finding is about its objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from jarkkit.decisions.diagnosis.findings import Finding, Rank
from jarkkit.model.checks import Check

_NONE: frozenset[str] = frozenset()


class _Topic(NamedTuple):
    """What a failed check can cause beside its own objects' problems, and what it follows from."""

    rank: Rank = Rank.CHECK
    explains: frozenset[str] = _NONE
    follows: frozenset[str] = _NONE


# By the checks' group. The others are no cause of anything else.
_TOPICS = {
    "Cluster": _Topic(Rank.CONTROL_PLANE),
    "Nodes": _Topic(Rank.NODE, follows=frozenset({"node group", "network", "control plane"})),
    "Karpenter": _Topic(Rank.POOL, frozenset({"pools"}), frozenset({"addon:karpenter"})),
    # Without a finding about its pods it has none: it was scaled to 0, for example.
    "Workloads": _Topic(Rank.CORE_PODS),
    "Node groups and EKS add-ons": _Topic(Rank.EKS_ADDON, follows=frozenset({"control plane"})),
}


def check_findings(
    checks: Iterable[Check], findings: Sequence[Finding], starting: Collection[str] = ()
) -> Iterator[Finding]:
    """Turn failed checks and warnings into findings.

    A check that a finding covers adds nothing. One whose objects are all explained by findings is
    their symptom.

    Args:
        findings: those that do not come from checks.
        starting: names of workloads with pods that may just need more time.
    """
    known = list(findings)
    covered = {name for finding in known for name in (finding.subject, *finding.covers)}
    wrong = (c for c in checks if c.status in ("fail", "warn") and c.name not in covered)
    for check in sorted(wrong, key=lambda c: _topic(c).rank):
        deeper = [f for f in known if f.explains.intersection(check.about)]
        explained = _NONE.union(*(f.explains for f in deeper))
        symptom = bool(deeper) and explained.issuperset(check.about)
        passes = check.name in starting or (symptom and all(f.subject in starting for f in deeper))
        known.append(_finding(check, symptom=symptom, grave=check.status == "fail" and not passes))
        yield known[-1]


def _topic(check: Check) -> _Topic:
    return _TOPICS.get(check.group, _Topic())


def _finding(check: Check, *, symptom: bool, grave: bool) -> Finding:
    topic = _Topic(follows=frozenset(check.about)) if symptom else _topic(check)
    causes = frozenset(check.about) | topic.explains
    return Finding(
        rank=topic.rank,
        subject=check.name,
        found=check.found,
        needed=check.needed,
        why="" if symptom else check.why,
        fix=check.fix,
        code=check.code,
        grave=grave,
        explains=causes if topic.rank is not Rank.CHECK else _NONE,
        follows=topic.follows,
    )
