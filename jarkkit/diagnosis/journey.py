"""What the deployment's own folder tells: the last step that did not end well, and what Terraform
said. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jarkkit.addons.catalogue import catalogue
from jarkkit.diagnosis.findings import Finding, Rank, code_key
from jarkkit.errors import JarkkitError
from jarkkit.records import Entry, Receipt, Step
from jarkkit.terraform_messages import failure, short_address

_CHANGING = ("deploy", "cleanup")
_FOLLOWED: tuple[Step, ...] = ("plan", "deploy", "use", "cleanup")
_CAUSES = 4
# What a failed resource may follow from, by what its address holds.
_BEHIND = {
    "aws_eks_node_group": "node group",
    "aws_eks_cluster": "control plane",
    "aws_nat_gateway": "network",
    "aws_subnet": "left",
    "aws_vpc": "left",
    "aws_security_group": "left",
    "aws_internet_gateway": "left",
}


def unfinished(entries: Sequence[Entry]) -> Entry | None:
    """The entry of the step that matters: the last deploy or cleanup, unless it ended well, or
    what failed after it."""
    changing = next((i for i in reversed(range(len(entries))) if _changes(entries[i])), -1)
    after = [e for e in entries[changing + 1 :] if e.step in _FOLLOWED]
    candidates = [*after[-1:], *(entries[changing : changing + 1] if changing >= 0 else ())]
    return next((e for e in candidates if e.status != "finished"), None)


def _changes(entry: Entry) -> bool:
    return entry.step in _CHANGING


def began(entries: Sequence[Entry], ended: Entry) -> str:
    """When the run began that ended so."""
    starts = [e.time for e in entries if e.step == ended.step and e.status == "started"]
    return starts[-1] if starts else ended.time


def step_finding(name: str, entry: Entry) -> Finding:
    """How that step ended, as a finding. It is a symptom wherever its cause is still to be seen."""
    again = f"Run it again, it goes on where it stopped: jarkkit {entry.step} {name}"
    if entry.status == "started":
        found, code = "it ended without a word: killed, out of memory, or the power went", ""
    elif entry.status == "interrupted":
        found, code = f"it was interrupted at {entry.time}", ""
    else:
        found, code = entry.message, entry.code
    named = (a.name for a in catalogue().values() if _names(entry.message, a.name, a.title))
    return Finding(
        rank=Rank.STEP,
        subject=f"The last {entry.step}",
        found=f"{found} {entry.evidence}".strip(),
        why=f"{entry.step.capitalize()} failed at {entry.time}." if code else "",
        fix=f"{entry.fix} {again}".strip(),
        code=code or "JK-INTERRUPTED",
        grave=entry.step in _CHANGING,
        follows=frozenset(
            {code_key(code), "terraform", *(f"addon:{addon}" for addon in named)} if code else ()
        ),
    )


def _names(message: str, *words: str) -> bool:
    return any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", message) for word in words)


def access_finding(error: JarkkitError) -> Finding:
    """The account, the sandbox or the folder lets nobody look."""
    of_folder = error.code.startswith(("JK-SETTINGS-", "JK-DEPLOYMENT-", "JK-WORKSPACE-"))
    return Finding(
        rank=Rank.FOLDER if of_folder else Rank.ACCESS,
        subject="The deployment's folder" if of_folder else "The way to the account",
        found=f"{error.message} {error.evidence}".strip(),
        fix=error.fix,
        code=error.code,
        explains=frozenset({"access"}),
    )


def terraform_findings(messages: Iterable[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """What Terraform's raw log holds against the last run: a finding per cause."""
    said: dict[str, Finding] = {}
    for message in messages:
        found = message.get("diagnostic") or {}
        if message.get("type") != "diagnostic" or found.get("severity") != "error":
            continue
        text = f"{found.get('summary', '')} {found.get('detail', '')}".strip()
        one = _terraform_finding(failure(1, [text], "", "the run"), found.get("address", ""))
        said.setdefault(f"{one.code} {one.subject}", one)
    return tuple(said.values())[:_CAUSES]


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
    """What the last cleanup could not take away."""
    if receipt is None or not receipt.left:
        return ()
    things = ", ".join(f"{o.terraform_type} {o.import_id}" for o in receipt.left[:6])
    return (
        Finding(
            rank=Rank.TERRAFORM,
            subject="Left after the cleanup",
            found=f"{len(receipt.left)} things: {things}",
            why="It is not in Terraform's state: a controller made it, and was gone before it "
            "could take it away again.",
            fix=f"Run the cleanup once more: jarkkit cleanup {name}. What still stays: delete it "
            "by its id, load balancers before security groups, those before subnets.",
            code="JK-CLEANUP-LEFT",
            follows=frozenset({"left"}),
        ),
    )
