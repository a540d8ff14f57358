"""Checks of these credentials' permissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jarkkit.decisions.permissions import AppliedPermissions, deployment_statements
from jarkkit.decisions.permissions.simulation import (
    STEPS,
    MissingPermission,
    SimulationResult,
    caller_kind,
    missing_permissions,
    simulation_requests,
)
from jarkkit.decisions.permissions.simulation import SimulationRequest as Asked
from jarkkit.decisions.permissions.statements import SERVICE_LINKED_ROLES, Statement
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.settings import Settings
from jarkkit.steps.aws_layer import APPLIED_PERMISSIONS
from jarkkit.steps.check_engine import CheckGroup, not_checked, passed
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.name_conflicts import short_list

CHECKS = CheckGroup[CheckContext]("Permissions")

_MAY = "Permissions of the steps"
_LIMITS = "Service control policies"
Answers = Mapping[Asked, Sequence[SimulationResult] | Unknown]


@CHECKS.check("Permissions of the steps")
def permissions(context: CheckContext) -> Iterable[Check]:
    """Check that the caller may call every action of the steps."""
    caller = context.account.caller()
    kind, _ = caller_kind(caller.arn)
    if kind == "root":
        return [_root()]
    if kind == "other":
        return [
            _unknown(
                "The policy simulator does not support federated users.", context.settings.name
            )
        ]
    applied = context.workspace.load(APPLIED_PERMISSIONS, AppliedPermissions)
    statements = deployment_statements(context.stack, applied, caller.account_id)
    principal = context.account.identity.principal(caller)
    answers = context.account.identity.simulate(principal, simulation_requests(statements))
    session = ":sts:" in caller.arn
    checks = judge_permissions(context.settings.name, statements, answers, session=session)
    return [checks, judge_organization(answers)] if _answered(answers) else [checks]


def judge_permissions(
    name: str, statements: Sequence[Statement], answers: Answers, *, session: bool
) -> Check:
    """Check that the policies allow every action that the steps call."""
    lacking = [m for m in _missing(statements, answers) if m.reason != "denied by the organization"]
    unasked = {q: answer.reason for q, answer in answers.items() if isinstance(answer, Unknown)}
    simulated = {action for q in answers if q not in unasked for action in q.actions}
    if lacking:
        return Check(
            name=_MAY,
            status="fail" if any({*m.steps} - {"preflight"} for m in lacking) else "warn",
            found=f"{len(lacking)} of {len(simulated)} actions are denied. {_by_step(lacking)}",
            needed=f"{len(simulated)} actions",
            why=_why(lacking),
            fix=_fix(name) + _boundary_hint(lacking),
            code="JK-PERMISSION-MISSING",
        )
    if unasked:
        error = next(iter(unasked.values()))
        left = sorted({action for question in unasked for action in question.actions})
        return Check(
            name=_MAY,
            status="unknown",
            found=f"{len(left)} actions not checked: {short_list(left)}",
            why=error.message,
            fix=f"Allow iam:SimulatePrincipalPolicy, or compare your policies with: "
            f"jarkkit permissions {name}",
            code=error.code,
        )
    caveat = "The simulation does not see what a session policy removes." if session else ""
    return Check(
        name=_MAY, status="pass", found=f"all {len(simulated)} actions are allowed", why=caveat
    )


def judge_organization(answers: Answers) -> Check:
    """Check whether service control policies deny actions, if the simulator reports them."""
    decisions = [d for found in _answered(answers).values() for d in found]
    reported = [d for d in decisions if d.by_organization is not None]
    denied = sorted({d.action for d in reported if d.by_organization is False})
    if denied:
        return Check(
            name=_LIMITS,
            status="fail",
            found=f"a service control policy denies {short_list(denied)}",
            why="No policy in this account can allow what the organization denies.",
            fix="Ask the administrator of the AWS organization, or use another account.",
            code="JK-PERMISSION-MISSING",
        )
    if reported:
        caveat = "The simulation skips policies with conditions."
        return Check(name=_LIMITS, status="pass", found="they deny nothing", why=caveat)
    return Check(
        name=_LIMITS,
        status="unknown",
        found="the policy simulator reports no service control policies",
        why="The account is in no organization, or you may not see its policies.",
        fix="If it is in one, ask its administrator what the service control policies deny.",
    )


@CHECKS.check("Service-linked roles")
def service_roles(context: CheckContext) -> Check:
    """Check that the service-linked roles exist, or that the caller may create them."""
    needed = {s: role for s, role in SERVICE_LINKED_ROLES.items() if _used(s, context.settings)}
    found = context.account.identity.service_linked_roles(needed)
    absent = [service for service, exists in found.items() if exists is False]
    creatable = _creatable(context, absent) if absent else {}
    return judge_service_roles(found, creatable)


def judge_service_roles(
    found: Mapping[str, bool | Unknown], creatable: Mapping[str, bool | None]
) -> Check:
    """Check that each role exists or that the caller may create it.

    Args:
        creatable: for those that do not exist; None where it is unknown.
    """
    errors = [exists.reason for exists in found.values() if isinstance(exists, Unknown)]
    denied = [service for service, may in creatable.items() if may is False]
    if denied:
        return Check(
            name="",
            status="fail",
            found=f"missing, and these credentials cannot create them: {', '.join(denied)}",
            why="The service creates its role at first use, with the caller's permissions.",
            fix="Ask an administrator to run: " + "; ".join(map(_create_command, denied)),
            code="JK-SERVICE-ROLE",
        )
    if errors:
        return not_checked(errors[0])
    unclear = [service for service, may in creatable.items() if may is None]
    if unclear:
        return Check(
            name="",
            status="unknown",
            found=f"missing, and unknown whether you may create them: {', '.join(unclear)}",
            fix="Create them now: " + "; ".join(map(_create_command, unclear)),
            code="JK-SERVICE-ROLE",
        )
    count = f"{sum(v is True for v in found.values())} of {len(found)} exist"
    return passed(f"{count}; AWS creates the others at first use" if creatable else count)


def _creatable(context: CheckContext, absent: Sequence[str]) -> dict[str, bool | None]:
    """Simulate for each service whether the caller may create its role."""
    caller = context.account.caller()
    if caller_kind(caller.arn)[0] not in ("user", "role"):
        return dict.fromkeys(absent, None)
    prefix = f"arn:{caller.arn.split(':')[1]}:iam::{caller.account_id}:role/aws-service-role"
    queries = {
        service: Asked(
            ("iam:CreateServiceLinkedRole",),
            (f"{prefix}/{service}/{SERVICE_LINKED_ROLES[service]}",),
            (("iam:AWSServiceName", service),),
        )
        for service in absent
    }
    try:
        principal = context.account.identity.principal(caller)
    except JarkkitError:
        return dict.fromkeys(absent, None)
    answers = context.account.identity.simulate(principal, tuple(queries.values()))
    return {service: _all_allowed(answers[question]) for service, question in queries.items()}


def _all_allowed(answer: Sequence[SimulationResult] | Unknown) -> bool | None:
    if isinstance(answer, Unknown):
        return None
    return all(decision.allowed for decision in answer)


def _used(service: str, settings: Settings) -> bool:
    """Return True for all but Spot's role, which is used only if a pool may use Spot."""
    if service != "spot.amazonaws.com":
        return True
    pools = [settings.cpu_capacity, *(pool.capacity for pool in settings.accelerators)]
    return settings.karpenter and any("spot" in capacity for capacity in pools)


def _create_command(service: str) -> str:
    return f"aws iam create-service-linked-role --aws-service-name {service}"


# -- administrators --------------------------------------------------------------------------------


@CHECKS.check("Additional administrators")
def administrators(context: CheckContext) -> Iterable[Check]:
    """Check that the additional administrators exist."""
    arns = context.settings.admin_principals
    if not arns:
        return []
    account_id = context.account.caller().account_id
    own = [arn for arn in arns if arn.split(":")[4] == account_id]
    found = context.account.identity.principals(own)
    return [judge_administrators(arns, found)]


def judge_administrators(arns: Sequence[str], found: Mapping[str, bool | Unknown]) -> Check:
    """Check that the principals exist: EKS rejects others after it has built the cluster.

    Args:
        found: whether those of the own account exist.
    """
    absent = [arn for arn in arns if found.get(arn) is False]
    unclear = [arn for arn in arns if not isinstance(found.get(arn), bool)]
    if absent:
        return Check(
            name="",
            status="fail",
            found=f"no such role or user: {short_list(map(mask_account_ids, absent))}",
            why="EKS rejects a principal that does not exist, after the cluster is built.",
            fix="Correct admin_principals (with the whole path of the role), or create them first.",
            code="JK-SETTINGS-INVALID",
        )
    if unclear:
        errors = [exists.reason for exists in found.values() if isinstance(exists, Unknown)]
        return Check(
            name="",
            status="unknown",
            found=f"not checked: {short_list(map(mask_account_ids, unclear))}",
            why=errors[0].message if errors else "They are in another account.",
            fix="Check yourself that the principals of admin_principals exist.",
            code=errors[0].code if errors else "",
        )
    return passed(f"{len(arns)}, all exist")


# -- results ---------------------------------------------------------------------------------------


def _root() -> Check:
    return Check(
        name=_MAY,
        status="fail",
        found="these are the root user's credentials",
        why="EKS makes the root user no administrator of a cluster, so nothing could be installed "
        "in it. And an attacker who gets these credentials controls the account.",
        fix="Use a role or a user with the policies in docs/permissions.md.",
        code="JK-AWS-ROOT-USER",
    )


def _unknown(why: str, name: str) -> Check:
    fix = f"Compare their policies with: jarkkit permissions {name}"
    return Check(name=_MAY, status="unknown", found="not simulated", why=why, fix=fix)


def _fix(name: str) -> str:
    return (
        f"Attach the policies that `jarkkit permissions {name} --out FOLDER` writes "
        "(docs/permissions.md), or ask an administrator to allow these actions."
    )


def _boundary_hint(lacking: Sequence[MissingPermission]) -> str:
    """Return what else can fix the denial of CreateRole by an account that requires a boundary."""
    is_denied = any(m.action == "iam:CreateRole" and m.reason != "not allowed" for m in lacking)
    hint = " If new roles need a permissions boundary, name it in permissions_boundary_arn."
    return hint if is_denied else ""


def _why(lacking: Sequence[MissingPermission]) -> str:
    reasons = {m.reason for m in lacking} - {"not allowed"}
    if "boundary" in reasons:
        return "A permissions boundary excludes them: another policy alone does not help."
    if "denied by a policy" in reasons:
        return "A policy denies them explicitly: allowing them elsewhere does not help."
    return ""


def _by_step(lacking: Sequence[MissingPermission]) -> str:
    """List each action once, under the first step that needs it."""
    first = {step: [m.action for m in lacking if m.steps and m.steps[0] == step] for step in STEPS}
    return "; ".join(f"{step}: {short_list(actions)}" for step, actions in first.items() if actions)


def _answered(answers: Answers) -> dict[Asked, Sequence[SimulationResult]]:
    return {q: found for q, found in answers.items() if not isinstance(found, Unknown)}


def _missing(statements: Sequence[Statement], answers: Answers) -> tuple[MissingPermission, ...]:
    return missing_permissions(statements, _answered(answers).values())
