"""Checks of the policies, certificates and secrets that settings name by ARN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller, Certificate
from jarkkit.steps.check_engine import CheckGroup, check_of_error, passed, warned
from jarkkit.steps.preflight.context import CheckContext

CHECKS = CheckGroup[CheckContext]("Resources that settings name")

_CODE = "JK-SETTINGS-INVALID"


# -- the permissions boundary ----------------------------------------------------------------------


@CHECKS.check("Permissions boundary")
def permissions_boundary(context: CheckContext) -> Iterable[Check]:
    """Check that the permissions boundary exists."""
    arn = context.settings.permissions_boundary_arn
    if not arn:
        return []
    caller = context.account.caller()
    # AWS' own policies have `aws` in place of an account.
    if not _is_at_home(arn, caller, also="aws"):
        return [_boundary_failed(f"{mask_account_ids(arn)} is in another account")]
    if not context.account.named_resources.has_policy(arn):
        return [_boundary_failed(f"{mask_account_ids(arn)} does not exist")]
    return [passed(mask_account_ids(arn))]


def _boundary_failed(found: str) -> Check:
    return Check(
        name="",
        status="fail",
        found=found,
        why="IAM creates no role with it, so that the deploy would end at its first role.",
        fix="Correct permissions_boundary_arn (with the whole path of the policy): "
        "aws iam list-policies lists the policies. Or create it first.",
        code=_CODE,
    )


def _is_at_home(arn: str, caller: Caller, also: str = "") -> bool:
    """Return True if the ARN is of the caller's partition and account."""
    partition, account = arn.split(":")[1], arn.split(":")[4]
    return partition == caller.arn.split(":")[1] and account in (caller.account_id, also)


# -- the certificate of the hub --------------------------------------------------------------------


@CHECKS.check("Certificate of JupyterHub's host name")
def hub_certificate(context: CheckContext) -> Iterable[Check]:
    """Check that the certificate exists, is valid and covers the host name."""
    settings = context.settings
    arn = settings.jupyterhub_certificate_arn
    if not arn:
        return []
    if not _is_at_home(arn, context.account.caller()):
        return [_certificate_failed(f"{mask_account_ids(arn)} is in another account")]
    found = context.account.named_resources.certificate(arn)
    if found is None:
        return [_certificate_failed(f"{mask_account_ids(arn)} does not exist in {settings.region}")]
    return [judge_certificate(found, settings.jupyterhub_domain)]


def judge_certificate(found: Certificate, host: str) -> Check:
    """Check that a load balancer accepts the certificate, and browsers do for that host name."""
    if found.status != "ISSUED":
        pending = found.status == "PENDING_VALIDATION"
        record = "Create the DNS record that ACM shows for it, and wait for it. Or " * pending
        return _certificate_failed(f"it is {found.status}", first=record)
    if not any(_covers(name, host) for name in found.names):
        return _certificate_failed(
            f"it is for {', '.join(found.names)}, not for {host}",
            why="Browsers would reject it.",
            first="Correct jupyterhub_domain, or ",
        )
    return passed(f"issued for {', '.join(found.names)}")


def _covers(name: str, host: str) -> bool:
    """Return True if a certificate with that name is for the host.

    An asterisk replaces one label:
    https://docs.aws.amazon.com/acm/latest/userguide/acm-concepts.html#concept-wildcard
    """
    name = name.lower()
    if name.startswith("*."):
        return host.partition(".")[2] == name.removeprefix("*.")
    return host == name


def _certificate_failed(found: str, *, why: str = "", first: str = "") -> Check:
    advice = "set jupyterhub_certificate_arn to a certificate that is issued for the host name, in "
    fix = f"{first}{advice}this account and Region: aws acm list-certificates lists them."
    return Check(
        name="",
        status="fail",
        found=found,
        why=why
        or "The load balancer accepts no such certificate, so that JupyterHub would have "
        "no public address.",
        fix=fix[0].upper() + fix[1:],
        code=_CODE,
    )


# -- secrets ---------------------------------------------------------------------------------------


@CHECKS.check("Secrets that the settings refer to")
def secrets(context: CheckContext) -> Iterator[Check]:
    """Check that the secrets exist, one result per setting."""
    for setting in secret_settings(context.stack):
        reference = str(getattr(context.settings, setting))
        if reference.startswith("env:"):
            yield _judge_variable(setting, reference.removeprefix("env:"), context)
        else:
            yield _judge_secret(setting, reference, context)


def secret_settings(stack: ResolvedStack) -> tuple[str, ...]:
    """Return the settings whose secrets the add-ons get, without those that are empty."""
    recipes = (
        recipe
        for addon in stack.addons
        for secret in addon.secrets
        for recipe in secret.data.values()
    )
    names = (recipe.removeprefix("setting:") for recipe in recipes if recipe.startswith("setting:"))
    return tuple(name for name in dict.fromkeys(names) if getattr(stack.settings, name))


def _judge_variable(setting: str, variable: str, context: CheckContext) -> Check:
    name = f"Secret of {setting}"
    if context.machine.environ.get(variable):
        return passed(f"the variable {variable}").model_copy(update={"name": name})
    return warned(
        f"the environment variable {variable} is not set here",
        why="Where jarkkit installs the add-ons, it must be set, or the deploy ends there.",
        fix=f"Set it where you run jarkkit deploy: export {variable}=…",
        code="JK-SETTINGS-MISSING",
    ).model_copy(update={"name": name})


def _judge_secret(setting: str, arn: str, context: CheckContext) -> Check:
    name = f"Secret of {setting}"
    try:
        exists = context.account.named_resources.has_secret(arn)
    except JarkkitError as error:
        return check_of_error(error).model_copy(update={"name": name})
    if exists:
        return passed(mask_account_ids(arn)).model_copy(update={"name": name})
    return Check(
        name=name,
        status="fail",
        found=f"{mask_account_ids(arn)} does not exist in {context.settings.region}",
        why="jarkkit reads it when it installs the add-ons, after the cluster is built.",
        fix=f"Correct {setting}: aws secretsmanager list-secrets lists the secrets. Or create it "
        "first.",
        code=_CODE,
    )
