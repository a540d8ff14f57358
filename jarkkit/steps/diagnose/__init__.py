"""Why is it broken? Looks everywhere at once and changes nothing; works at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from jarkkit.aws.asking import together
from jarkkit.aws_layer import AwsLayer
from jarkkit.checks import Check, Report
from jarkkit.cluster.layer import Connect
from jarkkit.diagnosis import journey
from jarkkit.diagnosis.findings import Finding, Rank, check_of, fold
from jarkkit.errors import JarkkitError
from jarkkit.records import Deployed, Entry, Receipt, Where
from jarkkit.steps.diagnose import account, cluster
from jarkkit.steps.diagnose.seen import Questions, Seen
from jarkkit.workspace import Workspace

TITLE = "Is all well?"
# With these nothing can be asked, of the account or of its cluster.
_CLOSED = ("JK-AWS-NO-CREDENTIALS", "JK-AWS-EXPIRED", "JK-AWS-UNREACHABLE")
_ELSEWHERE = ("JK-TARGET-", "JK-REGION-", "JK-SETTINGS-", "JK-DEPLOYMENT-", "JK-WORKSPACE-")


@dataclass(frozen=True)
class Case:
    """What is to be diagnosed. Making one reads nothing; each of the callables may raise.

    Args:
        reach: the AWS layer, where the account may be called.
        connect: how to reach the cluster's API; gives None where clusters have none.
        where: where the deployment stands.
    """

    workspace: Workspace
    reach: Callable[[], AwsLayer]
    connect: Callable[[], Connect | None]
    where: Callable[[], Where]
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def diagnose(case: Case) -> Report:
    """What is wrong, causes before symptoms; then what could not be asked, and what is well.

    Raises nothing that a user can cause: what keeps it from looking is a finding, too.
    """
    told = _told(case)
    seen, closed = _look(case)
    findings = [*told, *seen.findings()]
    if closed is not None:
        findings.append(journey.access_finding(closed))
    where = _where(case)
    running = where is not None and where.running
    if running:
        findings = [replace(f, grave=f.grave and f.rank <= Rank.ACCESS) for f in findings]
    causes = fold(findings)
    checks = (
        *map(check_of, causes),
        *seen.unknown(),
        *_standing(where),
        *seen.well(findings),
        *seen.skipped(closed),
    )
    return Report(title=TITLE, checks=checks, notes=tuple(_notes(checks, seen, findings, running)))


# -- the folder ------------------------------------------------------------------------------------


def _told(case: Case) -> list[Finding]:
    """What the deployment's folder tells of the last run."""
    try:
        entries = case.workspace.entries()
        last = journey.unfinished(entries)
        findings = [*journey.receipt_finding(case.workspace.name, _receipt(case, entries))]
        if last is not None and not case.workspace.busy:
            since = journey.began(entries, last)
            findings += journey.terraform_findings(case.workspace.diagnostics(since))
            findings.append(journey.step_finding(case.workspace.name, last))
    except JarkkitError as error:
        return [journey.access_finding(error)]
    return findings


def _receipt(case: Case, entries: Sequence[Entry]) -> Receipt | None:
    """The last cleanup's, unless something was deployed since."""
    changing = [e.step for e in entries if e.step in ("deploy", "cleanup")]
    last_is_cleanup = changing[-1:] == ["cleanup"]
    return case.workspace.load("receipt", Receipt) if last_is_cleanup else None


def _where(case: Case) -> Where | None:
    try:
        return case.where()
    except JarkkitError:
        return None  # what is wrong with the folder is a finding already


def _standing(where: Where | None) -> Iterator[Check]:
    if where is not None:
        found = f"{where.state}. {where.summary} Next: {where.next_command}"
        yield Check(name="Where it stands", status="skip", found=found)


# -- account and cluster ---------------------------------------------------------------------------


def _look(case: Case) -> tuple[Seen, JarkkitError | None]:
    """Ask all side by side. The error is what keeps everything from being asked."""
    nothing = Seen(case.workspace.name, case.now(), {}, {})
    try:
        layer = case.reach()
        deployed = case.workspace.load("deployed", Deployed)
        steps = [entry.step for entry in case.workspace.entries()]
        try:
            layer.target()
        except JarkkitError as error:
            if error.code in _CLOSED or error.code.startswith(_ELSEWHERE):
                raise
        connect = case.connect()
    except JarkkitError as error:
        return nothing, error
    questions: Questions = {}
    cleaning = [step for step in steps if step in ("deploy", "cleanup")][-1:] == ["cleanup"]
    if "deploy" in steps:
        questions |= account.questions(layer, deployed, cleaning=cleaning)
    if deployed is not None and connect is not None and not (cleaning and _is_gone(layer)):
        try:
            questions |= cluster.questions(connect(deployed.outputs))
        except JarkkitError as error:
            return nothing, error
    answers = together({name: question.ask for name, question in questions.items()})
    return Seen(case.workspace.name, case.now(), questions, answers, layer.settings), None


def _is_gone(layer: AwsLayer) -> bool:
    """A cleanup has taken the cluster away already, and not come to its end."""
    try:
        return layer.account.cluster(layer.settings.name) is None
    except JarkkitError:
        return False


def _notes(
    checks: Sequence[Check], seen: Seen, findings: Sequence[Finding], running: bool
) -> Iterator[str]:
    counts: Mapping[str, int] = {s: sum(c.status == s for c in checks) for s in ("fail", "unknown")}
    if running:
        yield "A step is under way: what is not ready yet may just need more time."
    if not findings and counts["unknown"]:
        yield "Nothing wrong was found, but not everything could be asked: it may be there."
    elif not findings and not seen.questions:
        yield "Nothing is deployed, so there was nothing to look at."
    elif not findings:
        yield (
            "Nothing wrong was found where the kit can look. What is left: your own programs "
            "(their logs), what they store, and how fast they are."
        )
    if warnings := seen.warnings(findings):
        yield warnings
