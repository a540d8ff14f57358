"""Findings from the deployment's folder: the last step that failed, and Terraform's messages.
Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jarkkit.decisions.diagnosis.findings import Finding, Rank, code_key
from jarkkit.decisions.terraform_failures import terraform_error
from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.errors import (
    ApiCallError,
    FolderError,
    InvalidSettings,
    JarkkitError,
    NotFound,
)
from jarkkit.model.records import LedgerEntry, Receipt, Step

_CHANGING = ("deploy", "cleanup")
_FOLLOWED: tuple[Step, ...] = ("plan", "deploy", "use", "cleanup")
_CAUSES = 4
# What a failed resource may follow from, by the type in its address.
_BEHIND = {
    "aws_eks_node_group": "node group",
    "aws_eks_cluster": "control plane",
    "aws_nat_gateway": "network",
    "aws_subnet": "left",
    "aws_vpc": "left",
    "aws_security_group": "left",
    "aws_internet_gateway": "left",
}


def last_unfinished(entries: Sequence[LedgerEntry]) -> LedgerEntry | None:
    """Return the relevant failure: the last deploy or cleanup, or the step after it.

    None if both finished.
    """
    changing = next((i for i in reversed(range(len(entries))) if _changes(entries[i])), -1)
    after = [e for e in entries[changing + 1 :] if e.step in _FOLLOWED]
    candidates = [*after[-1:], *(entries[changing : changing + 1] if changing >= 0 else ())]
    return next((e for e in candidates if e.status != "finished"), None)


def _changes(entry: LedgerEntry) -> bool:
    return entry.step in _CHANGING


def started_at(entries: Sequence[LedgerEntry], ended: LedgerEntry) -> str:
    """Return when the run started that this entry ends."""
    starts = [e.time for e in entries if e.step == ended.step and e.status == "started"]
    return starts[-1] if starts else ended.time


def step_finding(name: str, entry: LedgerEntry) -> Finding:
    """Turn the step's end into a finding; it is a symptom where its cause is still visible."""
    again = f"Run it again; it continues where it stopped: jarkkit {entry.step} {name}"
    if entry.status == "started":
        found, code = "it stopped unexpectedly: killed, out of memory, or a power failure", ""
    elif entry.status == "interrupted":
        found, code = f"it was interrupted at {entry.time}", ""
    else:
        found, code = entry.message, entry.code
    return Finding(
        rank=Rank.STEP,
        subject=f"The last {entry.step}",
        found=f"{found} {entry.evidence}".strip(),
        why=f"{entry.step.capitalize()} failed at {entry.time}." if code else "",
        fix=f"{entry.fix} {again}".strip(),
        code=code or "JK-INTERRUPTED",
        grave=entry.step in _CHANGING,
        follows=frozenset(
            {code_key(code), "terraform", *(f"addon:{name}" for name in entry.subjects)}
            if code
            else ()
        ),
    )


def access_finding(error: JarkkitError) -> Finding:
    """Report that the account, the sandbox or the folder is inaccessible."""
    recorded = isinstance(error, FolderError | InvalidSettings | NotFound)
    of_folder = recorded and not isinstance(error, ApiCallError)
    return Finding(
        rank=Rank.FOLDER if of_folder else Rank.ACCESS,
        subject="The deployment's folder" if of_folder else "Access to the account",
        found=f"{error.message} {error.evidence}".strip(),
        fix=error.fix,
        code=error.code,
        explains=frozenset({"access"}),
    )


def terraform_findings(messages: Iterable[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Collect the errors in Terraform's raw log of the last run: a finding per cause."""
    findings: dict[str, Finding] = {}
    for message in messages:
        found = message.get("diagnostic") or {}
        if message.get("type") != "diagnostic" or found.get("severity") != "error":
            continue
        text = f"{found.get('summary', '')} {found.get('detail', '')}".strip()
        one = _terraform_finding(
            terraform_error(1, [text], "", "the run"), found.get("address", "")
        )
        findings.setdefault(f"{one.code} {one.subject}", one)
    return tuple(findings.values())[:_CAUSES]


def _terraform_finding(error: JarkkitError, address: str) -> Finding:
    addon = re.search(r'aws_eks_addon\.[^"]*"([^"]+)"', address)
    behind = {key for word, key in _BEHIND.items() if word in address}
    return Finding(
        rank=Rank.TERRAFORM,
        subject=f"Terraform: {short_address(address)}" if address else "Terraform",
        found=error.evidence or error.message,
        fix=error.fix,
        code=error.code,
        explains=frozenset({"terraform"}),
        follows=frozenset(
            {code_key(error.code), *behind, *({f"addon:{addon[1]}"} if addon else ())}
        ),
    )


def receipt_finding(name: str, receipt: Receipt | None) -> tuple[Finding, ...]:
    """Report what the last cleanup could not delete."""
    if receipt is None or not receipt.left:
        return ()
    resources = ", ".join(f"{o.terraform_type} {o.import_id}" for o in receipt.left[:6])
    return (
        Finding(
            rank=Rank.TERRAFORM,
            subject="Left after the cleanup",
            found=f"{len(receipt.left)} resources: {resources}",
            why="They are not in Terraform's state: a controller created them and was removed "
            "before it could delete them.",
            fix=f"Run the cleanup again: jarkkit cleanup {name}. If resources are still left, "
            "delete them by id: load balancers first, then security groups, then subnets.",
            code="JK-CLEANUP-LEFT",
            follows=frozenset({"left"}),
        ),
    )
