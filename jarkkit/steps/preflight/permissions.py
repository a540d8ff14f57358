"""Questions about what these credentials may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.permissions import needed
from jarkkit.permissions.questions import (
    STEPS,
    Decision,
    Missing,
    kind_of,
    missing,
    questions,
)
from jarkkit.permissions.questions import (
    Question as Asked,
)
from jarkkit.permissions.statements import SERVICE_LINKED, Statement
from jarkkit.settings import Settings
from jarkkit.steps.preflight.asking import Look, Question, failed, passed
from jarkkit.steps.preflight.obstacles import listed

_MAY = "What the steps may do"
_LIMITS = "Limits of the organization"
Answers = Mapping[Asked, Sequence[Decision] | JarkkitError]


def permissions(look: Look) -> Iterable[Check]:
    """What the steps may do"""
    caller = look.account.caller()
    kind, _ = kind_of(caller.arn)
    if kind == "root":
        return [_root()]
    if kind == "other":
        return [_unknown("The policy simulator does not know federated users.", look.settings.name)]
    statements = needed(look.settings, caller.account_id)
    principal = look.account.identity.principal(caller)
    answers = look.account.identity.simulate(principal, questions(statements))
    session = ":sts:" in caller.arn
    mine = judge_permissions(look.settings.name, statements, answers, session=session)
    return [mine, judge_organization(answers)] if _answered(answers) else [mine]


def judge_permissions(
    name: str, statements: Sequence[Statement], answers: Answers, *, session: bool
) -> Check:
    """Whether everything is allowed that the steps call."""
    lacking = [m for m in _missing(statements, answers) if m.reason != "denied by the organization"]
    unasked = {q: answer for q, answer in answers.items() if isinstance(answer, JarkkitError)}
    asked = {action for q in answers if q not in unasked for action in q.actions}
    if lacking:
        return Check(
            name=_MAY,
            status="fail" if any({*m.steps} - {"preflight"} for m in lacking) else "warn",
            found=f"{len(lacking)} of {len(asked)} actions are refused. {_by_step(lacking)}",
            needed=f"{len(asked)} actions",
            why=_why(lacking),
            fix=_fix(name),
            code="JK-PERMISSION-MISSING",
        )
    if unasked:
        error = next(iter(unasked.values()))
        left = sorted({action for question in unasked for action in question.actions})
        return Check(
            name=_MAY,
            status="unknown",
            found=f"{len(left)} actions could not be asked about: {listed(left)}",
            why=error.message,
            fix=f"Let iam:SimulatePrincipalPolicy be allowed, or compare with: "
            f"jarkkit permissions {name}",
            code=error.code,
        )
    but = "What a session policy takes away is not seen." if session else ""
    return Check(
        name=_MAY, status="pass", found=f"all of {len(asked)} actions are allowed", why=but
    )


def judge_organization(answers: Answers) -> Check:
    """Whether service control policies are in the way, where the simulator says so."""
    decisions = [d for found in _answered(answers).values() for d in found]
    told = [d for d in decisions if d.by_organization is not None]
    refused = sorted({d.action for d in told if d.by_organization is False})
    if refused:
        return Check(
            name=_LIMITS,
            status="fail",
            found=f"a service control policy refuses {listed(refused)}",
            why="No policy of this account can allow what the organization refuses.",
            fix="Ask whoever looks after the AWS organization, or use another account.",
            code="JK-PERMISSION-MISSING",
        )
    if told:
        but = "Those with conditions are not simulated."
        return Check(name=_LIMITS, status="pass", found="nothing is refused", why=but)
    return Check(
        name=_LIMITS,
        status="unknown",
        found="the policy simulator says nothing of service control policies",
        why="The account is in no organization, or its limits may not be seen from here.",
        fix="If the account is in an organization, ask what its service control policies refuse.",
    )


def service_roles(look: Look) -> Check:
    """Service-linked roles"""
    wanted = {s: role for s, role in SERVICE_LINKED.items() if _used(s, look.settings)}
    found = look.account.identity.service_linked_roles(wanted)
    absent = [service for service, there in found.items() if there is False]
    creatable = _creatable(look, absent) if absent else {}
    return judge_service_roles(found, creatable)


def judge_service_roles(
    found: Mapping[str, bool | JarkkitError], creatable: Mapping[str, bool | None]
) -> Check:
    """Whether each role is there or can be made.

    Args:
        creatable: for those that are not there; None where nobody knows.
    """
    errors = [there for there in found.values() if isinstance(there, JarkkitError)]
    stuck = [service for service, may in creatable.items() if may is False]
    if stuck:
        return Check(
            name="",
            status="fail",
            found=f"missing, and not to be made by these credentials: {', '.join(stuck)}",
            why="The service makes its role at first use, in the caller's name.",
            fix="Let somebody who may do it: " + "; ".join(map(_make_line, stuck)),
            code="JK-SERVICE-ROLE",
        )
    if errors:
        return failed(errors[0])
    unclear = [service for service, may in creatable.items() if may is None]
    if unclear:
        return Check(
            name="",
            status="unknown",
            found=f"missing, and nobody knows whether they can be made: {', '.join(unclear)}",
            fix="Make them now: " + "; ".join(map(_make_line, unclear)),
            code="JK-SERVICE-ROLE",
        )
    there = f"{sum(v is True for v in found.values())} of {len(found)} are there"
    return passed(f"{there}; the others are made at first use" if creatable else there)


def _creatable(look: Look, absent: Sequence[str]) -> dict[str, bool | None]:
    """For each service whether the caller may make its role."""
    caller = look.account.caller()
    if kind_of(caller.arn)[0] not in ("user", "role"):
        return dict.fromkeys(absent, None)
    place = f"arn:{caller.arn.split(':')[1]}:iam::{caller.account_id}:role/aws-service-role"
    asked = {
        service: Asked(
            ("iam:CreateServiceLinkedRole",),
            (f"{place}/{service}/{SERVICE_LINKED[service]}",),
            (("iam:AWSServiceName", service),),
        )
        for service in absent
    }
    try:
        principal = look.account.identity.principal(caller)
    except JarkkitError:
        return dict.fromkeys(absent, None)
    answers = look.account.identity.simulate(principal, tuple(asked.values()))
    return {service: _all_allowed(answers[question]) for service, question in asked.items()}


def _all_allowed(answer: Sequence[Decision] | JarkkitError) -> bool | None:
    if isinstance(answer, JarkkitError):
        return None
    return all(decision.allowed for decision in answer)


def _used(service: str, settings: Settings) -> bool:
    """Spot's role matters only where a pool may buy Spot instances."""
    if service != "spot.amazonaws.com":
        return True
    pools = [settings.cpu_capacity, *(pool.capacity for pool in settings.accelerators)]
    return settings.karpenter and any("spot" in capacity for capacity in pools)


def _make_line(service: str) -> str:
    return f"aws iam create-service-linked-role --aws-service-name {service}"


# -- words -----------------------------------------------------------------------------------------


def _root() -> Check:
    return Check(
        name=_MAY,
        status="warn",
        found="these are the root user's credentials: everything is allowed",
        why="Whoever gets hold of them has the account.",
        fix="Use a role or a user with the policies of docs/permissions.md.",
    )


def _unknown(why: str, name: str) -> Check:
    fix = f"Compare what they may do with: jarkkit permissions {name}"
    return Check(name=_MAY, status="unknown", found="could not be simulated", why=why, fix=fix)


def _fix(name: str) -> str:
    return (
        f"Attach the policies that `jarkkit permissions {name} --out FOLDER` writes "
        "(docs/permissions.md), or let an administrator allow these actions."
    )


def _why(lacking: Sequence[Missing]) -> str:
    reasons = {m.reason for m in lacking} - {"not allowed"}
    if "boundary" in reasons:
        return "A permissions boundary leaves them out: another policy alone does not help."
    if "denied by a policy" in reasons:
        return "A policy denies them explicitly: allowing them elsewhere does not help."
    return ""


def _by_step(lacking: Sequence[Missing]) -> str:
    """Each action once, under the first step that fails for it."""
    first = {step: [m.action for m in lacking if m.steps and m.steps[0] == step] for step in STEPS}
    return "; ".join(f"{step}: {listed(actions)}" for step, actions in first.items() if actions)


def _answered(answers: Answers) -> dict[Asked, Sequence[Decision]]:
    return {q: found for q, found in answers.items() if not isinstance(found, JarkkitError)}


def _missing(statements: Sequence[Statement], answers: Answers) -> tuple[Missing, ...]:
    return missing(statements, _answered(answers).values())


QUESTIONS: tuple[Question, ...] = (permissions, service_roles)
