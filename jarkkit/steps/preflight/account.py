"""Questions about the account and the Region."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from ipaddress import IPv4Network

from jarkkit import zones
from jarkkit.aws_layer import check_region
from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.masking import masked
from jarkkit.records import ClusterVersion, Target
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.steps.preflight.asking import (
    NOTHING_ANSWERED,
    Look,
    Question,
    failed,
    passed,
    warned,
)
from jarkkit.survey import Survey
from jarkkit.targets import check_target


def credentials(look: Look) -> Check:
    """AWS credentials."""
    try:
        caller = look.account.caller()
    except JarkkitError as error:
        if error.code in NOTHING_ANSWERED:
            return failed(error).model_copy(update={"status": "fail"})
        raise
    who = caller.arn.split(":", 5)[-1]
    return passed(f"{who} in account {masked(caller.account_id)}")


def right_target(look: Look) -> Check:
    """The right account and Region for this deployment."""
    recorded = look.workspace.load("target", Target)
    check_target(recorded, look.target())
    return passed("the same as before" if recorded else "nothing was applied yet")


def region(look: Look) -> Check:
    """The Region."""
    check_region(look.settings.region, look.account.known_regions())
    if look.settings.region not in look.account.enabled_regions():
        raise JarkkitError(
            "JK-REGION-UNKNOWN",
            f"{look.settings.region} is not enabled in this account.",
            "Enable it in the account's Region settings, or choose another Region.",
        )
    return passed(look.settings.region)


def availability_zones(look: Look) -> Check:
    """Availability Zones that EKS and the core nodes can use."""
    offered = look.account.offerings(zones.instance_patterns(look.settings))
    chosen = zones.choose(look.settings, look.account.zones(), offered)
    return passed(", ".join(chosen), needed=f"{look.settings.az_count}")


def accelerators(look: Look) -> Check:
    """Accelerators offered in the chosen zones."""
    if not look.settings.accelerators:
        return Check(name="", status="skip", found="none chosen")
    offered = look.account.offerings(zones.instance_patterns(look.settings))
    chosen = set(zones.choose(look.settings, look.account.zones(), offered))
    check = judge_offerings(look.settings, offered, chosen)
    fails = check.status == "fail"
    return check.model_copy(update={"fix": f"{check.fix} {_elsewhere(look)}"}) if fails else check


def _elsewhere(look: Look) -> str:
    """Where it would do, as far as an earlier survey knows."""
    survey = None
    with contextlib.suppress(JarkkitError):  # a report of another release
        survey = look.workspace.load("reports/regions", Survey)
    wanted = {pool.family for pool in look.settings.accelerators}
    if survey is None or not wanted <= {*survey.families}:
        return "Which one: jarkkit regions"
    names = ", ".join(survey.that_will_do()) or "none"
    return f"Regions that would do, by the survey of {survey.made[:10]}: {names}."


def judge_offerings(
    settings: Settings, offered: Mapping[str, frozenset[str]], chosen: set[str]
) -> Check:
    """Whether each chosen family can be had in at least one of the chosen zones."""
    where = {p.family: sorted(chosen & offered[f"{p.family}.*"]) for p in settings.accelerators}
    found = "; ".join(f"{family}: {', '.join(z) or 'nowhere'}" for family, z in where.items())
    nowhere = [family for family, zones_of in where.items() if not zones_of]
    if nowhere:
        return Check(
            name="",
            status="fail",
            found=found,
            why=f"{', '.join(nowhere)} cannot be launched in any of the chosen zones.",
            fix="Choose another family, other zones (availability_zones) or another Region.",
            code="JK-ZONES-TOO-FEW",
        )
    return passed(found)


def cluster_version(look: Look) -> Check:
    """The Kubernetes version."""
    return judge_version(look.settings.cluster_version, look.account.cluster_versions())


def judge_version(wanted: str, offered: tuple[ClusterVersion, ...]) -> Check:
    """Whether EKS offers the version, and in which kind of support it is."""
    known = {item.version: item for item in offered}
    if wanted not in known:
        fitting = [version for version in CLUSTER_VERSIONS if version in known]
        raise JarkkitError(
            "JK-VERSION-UNSUPPORTED",
            f"Amazon EKS does not offer Kubernetes {wanted} here.",
            f"Set cluster_version to one of: {', '.join(fitting)}.",
        )
    item = known[wanted]
    if item.extended:
        return warned(
            f"{wanted}, in extended support",
            why="A cluster in extended support costs six times as much per hour.",
            fix=f"Set cluster_version to {CLUSTER_VERSIONS[-1]}.",
        )
    until = item.end_of_standard_support
    return passed(f"{wanted}{f', standard support until {until}' if until else ''}")


def api_exposure(look: Look) -> Check:
    """Who may reach the Kubernetes API."""
    networks = [IPv4Network(block) for block in look.settings.endpoint_public_cidrs]
    if not networks:
        return warned(
            "nobody from outside the VPC",
            why="With a private endpoint the cluster layer can only be installed from inside.",
            fix="Run the kit inside the VPC, or name your own address in endpoint_public_cidrs.",
        )
    if any(network.prefixlen == 0 for network in networks):
        return warned(
            "the whole internet, with IAM credentials",
            why="Calls still need an access entry, but anybody can knock.",
            fix="Set endpoint_public_cidrs to your own address for more than a short workshop.",
        )
    return passed(", ".join(map(str, networks)))


QUESTIONS: tuple[Question, ...] = (
    credentials,
    right_target,
    region,
    availability_zones,
    accelerators,
    cluster_version,
    api_exposure,
)
