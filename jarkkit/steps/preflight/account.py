"""Checks of the account and the Region."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from ipaddress import IPv4Network

from jarkkit.decisions.cluster_versions import RunningVersions, next_versions, support_warning
from jarkkit.decisions.regions import RegionComparison
from jarkkit.decisions.target_guard import check_target
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.checks import Check
from jarkkit.model.clock import now
from jarkkit.model.errors import CredentialsError, JarkkitError, Unreachable
from jarkkit.model.records import ClusterVersion, InstanceType, Target
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.steps.aws_layer import check_region, planned_zones, running_versions
from jarkkit.steps.check_engine import CheckGroup, check_of_error, passed, warned
from jarkkit.steps.preflight.context import CheckContext

CHECKS = CheckGroup[CheckContext]("Account and Region")


@CHECKS.check("AWS credentials")
def credentials(context: CheckContext) -> Check:
    """Check that AWS accepts the credentials."""
    try:
        caller = context.account.caller()
    except (CredentialsError, Unreachable) as error:
        return check_of_error(error).model_copy(update={"status": "fail"})
    who = caller.arn.split(":", 5)[-1]
    return passed(f"{who} in account {mask_account_ids(caller.account_id)}")


@CHECKS.check("Account and Region of this deployment")
def right_target(context: CheckContext) -> Check:
    """Check that account and Region are those of earlier steps. Raises JK-TARGET-…."""
    recorded = context.workspace.load("target", Target)
    check_target(recorded, context.target())
    return passed("the same as before" if recorded else "nothing is deployed yet")


@CHECKS.check("Region")
def region(context: CheckContext) -> Check:
    """Check that the account can use the Region. Raises JK-REGION-UNKNOWN."""
    check_region(context.settings.region, context.account.known_regions())
    if context.settings.region not in context.account.enabled_regions():
        raise JarkkitError(
            "JK-REGION-UNKNOWN",
            f"{context.settings.region} is not enabled in this account.",
            "Enable it in the account's Region settings, or choose another Region.",
        )
    return passed(context.settings.region)


@CHECKS.check("Availability Zones that EKS and the core nodes can use")
def availability_zones(context: CheckContext) -> Check:
    """Check that enough zones suit EKS and the core nodes. Raises JK-ZONES-TOO-FEW."""
    chosen = _planned_zones(context)
    needed = "" if context.settings.vpc_id else f"{context.settings.az_count}"
    return passed(", ".join(chosen), needed=needed)


def _planned_zones(context: CheckContext) -> tuple[str, ...]:
    return planned_zones(context.stack, context.account, context.workspace)


@CHECKS.check("Accelerators offered in the chosen zones")
def accelerators(context: CheckContext) -> Check:
    """Check that at least one chosen zone offers each chosen family."""
    if not context.settings.accelerators:
        return Check(name="", status="skip", found="none chosen")
    offered = context.account.offerings(context.stack.instance_patterns)
    check = judge_offerings(context.settings, offered, set(_planned_zones(context)))
    fails = check.status == "fail"
    return (
        check.model_copy(update={"fix": f"{check.fix} {_elsewhere(context)}"}) if fails else check
    )


@CHECKS.check("Instance types of the node groups")
def node_types(context: CheckContext) -> Iterable[Check]:
    """Check that the node groups can have their instance types."""
    settings = context.settings
    wanted = {"core_instance_type": settings.core_instance_type}
    if settings.static_gpu_nodes:
        wanted["static_gpu_instance_type"] = settings.static_gpu_instance_type
    known = context.account.instance_types.matching(wanted.values())
    offered = context.account.offerings(wanted.values())
    chosen = _planned_zones(context)
    for setting, name in wanted.items():
        yield judge_node_type(setting, known.get(name), name, offered[name], chosen)


def judge_node_type(
    setting: str,
    found: InstanceType | None,
    name: str,
    offered: Collection[str],
    chosen: Sequence[str],
) -> Check:
    """Check that a node group can have that instance type with its AMI, in the chosen zones.

    Args:
        found: None if the Region does not have the type.
        offered: zones that offer it.
    """
    label = f"Instance type of {_GROUP_OF[setting]}"
    missing = [zone for zone in chosen if zone not in offered]
    if found is None or len(missing) == len(chosen):
        where = "in this Region" if found is None else f"in {', '.join(chosen)}"
        problem, code = f"{name} is not offered {where}", "JK-AWS-CAPACITY"
    elif reason := _why_not_ami(setting, found):
        problem, code = f"{name} {reason}", "JK-SETTINGS-INVALID"
    elif missing:
        return warned(
            f"{name} is not offered in {', '.join(missing)}",
            why="Nodes of this type start only in the other zones.",
            fix=f"Choose another {setting}, or other zones.",
        ).model_copy(update={"name": label})
    else:
        return passed(name).model_copy(update={"name": label})
    return Check(
        name=label,
        status="fail",
        found=problem,
        fix=f"Choose another {setting}, such as {_EXAMPLE_OF[setting]}.",
        code=code,
    )


def _why_not_ami(setting: str, found: InstanceType) -> str:
    """Return why the type does not fit the AMI type in terraform/nodes.tf; empty if it does."""
    if found.architectures and "x86_64" not in found.architectures:
        return f"has a processor for {', '.join(found.architectures)}; the AMI is for x86_64"
    if setting == "core_instance_type" and found.accelerators:
        return "has accelerators, for which the core nodes' AMI has no driver"
    if setting == "static_gpu_instance_type" and not found.nvidia:
        return "has no NVIDIA GPU, which the AMI of the static GPU nodes is for"
    return ""


_GROUP_OF = {"core_instance_type": "core nodes", "static_gpu_instance_type": "static GPU nodes"}
_EXAMPLE_OF = {"core_instance_type": "m5.xlarge", "static_gpu_instance_type": "g6.4xlarge"}


def _elsewhere(context: CheckContext) -> str:
    """Name suitable Regions from the last region comparison."""
    comparison = None
    with contextlib.suppress(JarkkitError):  # a report of another release
        comparison = context.workspace.load("reports/regions", RegionComparison)
    families = {pool.family for pool in context.settings.accelerators}
    if comparison is None or not families <= {*comparison.families}:
        return "To compare Regions, run: jarkkit regions"
    names = ", ".join(comparison.suitable_regions()) or "none"
    return f"Suitable Regions in the comparison of {comparison.made[:10]}: {names}."


def judge_offerings(
    settings: Settings, offered: Mapping[str, frozenset[str]], chosen: set[str]
) -> Check:
    """Check that at least one chosen zone offers each chosen family."""
    where = {p.family: sorted(chosen & offered[f"{p.family}.*"]) for p in settings.accelerators}
    found = "; ".join(f"{family}: {', '.join(z) or 'nowhere'}" for family, z in where.items())
    nowhere = [family for family, zones_of in where.items() if not zones_of]
    if nowhere:
        return Check(
            name="",
            status="fail",
            found=found,
            why=f"None of the chosen zones offers {', '.join(nowhere)}.",
            fix="Choose another family, other zones (availability_zones) or another Region.",
            code="JK-ZONES-TOO-FEW",
        )
    return passed(found)


@CHECKS.check("Kubernetes version")
def cluster_version(context: CheckContext) -> Check:
    """Check that EKS offers the version and that the cluster can change to it."""
    return judge_version(
        context.settings.cluster_version,
        context.account.cluster_versions(),
        running_versions(context.settings, context.account, context.workspace),
        date.fromisoformat(now()[:10]),
    )


def judge_version(
    wanted: str,
    offered: tuple[ClusterVersion, ...],
    running: RunningVersions | None,
    today: date,
) -> Check:
    """Check that EKS offers the version, how long, and that the cluster can change to it.

    Args:
        running: None if there is no cluster yet.

    Raises JK-VERSION-UNSUPPORTED, JK-VERSION-STEP, JK-VERSION-DRIFT.
    """
    known = {item.version: item for item in offered}
    current = [v for v in CLUSTER_VERSIONS if v in known and not known[v].extended]
    choice = f"Set cluster_version to one of: {', '.join(current)}."
    if wanted not in known:
        raise JarkkitError(
            "JK-VERSION-UNSUPPORTED",
            f"Amazon EKS does not offer Kubernetes {wanted} in this Region.",
            choice,
        )
    planned = next_versions(wanted, running)
    support = support_warning(known[wanted], today)
    if known[wanted].extended and running is None:
        raise JarkkitError("JK-VERSION-UNSUPPORTED", f"Kubernetes {wanted}: {support}", choice)
    if planned.warning or support:
        return warned(
            wanted,
            why=f"{planned.warning} {support}".strip(),
            fix=f"To stay on a supported version: {choice}" if support else _ROLLBACK_FIX,
        )
    until = known[wanted].end_of_standard_support
    return passed(f"{wanted}{f', standard support until {until}' if until else ''}")


_ROLLBACK_FIX = "Plan and deploy if you want to go back; otherwise set cluster_version as it was."


@CHECKS.check("Access to the Kubernetes API")
def api_exposure(context: CheckContext) -> Check:
    """Report from where the Kubernetes API is reachable."""
    networks = [IPv4Network(block) for block in context.settings.endpoint_public_cidrs]
    if not networks:
        return warned(
            "only clients inside the VPC",
            why="With a private endpoint, you can install add-ons only from inside the VPC.",
            fix="Run jarkkit inside the VPC, or add your own address to endpoint_public_cidrs.",
        )
    if any(network.prefixlen == 0 for network in networks):
        return warned(
            "the whole internet, with IAM credentials",
            why="Calls still need an access entry, but anyone can reach the endpoint.",
            fix="Except for a short workshop, set endpoint_public_cidrs to your own address.",
        )
    return passed(", ".join(map(str, networks)))
