"""Will it work here? Asked before anything is created, and never stopping at the first no."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from jarkkit import zones
from jarkkit.addons import choice
from jarkkit.addons.order import needs
from jarkkit.aws import Account
from jarkkit.aws_layer import check_region
from jarkkit.charts import Charts
from jarkkit.checks import Check, Report
from jarkkit.errors import JarkkitError
from jarkkit.records import ClusterVersion, Target
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.targets import check_target, target_of
from jarkkit.terraform import Terraform, find_mirror
from jarkkit.workspace import Workspace

# What the provider, a plan and the logs of one deployment need, with room to spare.
DISK_GIB = 2.0


@dataclass(frozen=True)
class Preflight:
    """What the checks look at. Making one calls nobody.

    Args:
        charts: None where nothing is installed into a cluster.
    """

    settings: Settings
    account: Account
    terraform: Terraform
    workspace: Workspace
    charts: Charts | None = None


Question = Callable[[Preflight], Check]


def preflight(look: Preflight) -> Report:
    """Ask everything. A question that cannot be asked is answered `unknown`, with the reason."""
    answers = [_ask(question, look) for question in QUESTIONS]
    return Report(title="Will it work here?", checks=tuple(answers))


def tools(look: Preflight) -> Report:
    """Only the questions about this machine."""
    answers = [_ask(question, look) for question in ON_THIS_MACHINE]
    return Report(title="Is this machine ready?", checks=tuple(answers))


def _ask(question: Question, look: Preflight) -> Check:
    name = (question.__doc__ or question.__name__).splitlines()[0].rstrip(".?")
    try:
        return question(look).model_copy(update={"name": name})
    except JarkkitError as error:
        unknown = error.code in ("JK-AWS-DENIED", "JK-AWS-THROTTLED")
        return Check(
            name=name,
            status="unknown" if unknown else "fail",
            found=error.message,
            fix=error.fix,
            code=error.code,
        )


def _pass(found: str, needed: str = "", why: str = "") -> Check:
    return Check(name="", status="pass", found=found, needed=needed, why=why)


# -- the questions: the first line of each docstring is the name that users see --------------------


def terraform_tool(look: Preflight) -> Check:
    """Terraform or OpenTofu."""
    tool = look.terraform.tool
    return _pass(f"{tool.product} {tool.version}", needed="1.10 or newer")


def provider(look: Preflight) -> Check:
    """Where the AWS provider comes from."""
    mirror = find_mirror(look.terraform.tool, look.terraform.environ)
    if mirror is None:
        return _pass("as Terraform's own configuration says", why="No mirror folder is in use.")
    if not (mirror / look.terraform.tool.registry / "hashicorp/aws").is_dir():
        raise JarkkitError(
            "JK-TF-PROVIDER",
            "The folder named by JARKKIT_TF_MIRROR does not hold hashicorp/aws.",
            f"Fill it: {look.terraform.tool.product} providers mirror FOLDER",
        )
    return _pass("a mirror folder on this machine")


def disk(look: Preflight) -> Check:
    """Room on the disk."""
    folder: Path = look.workspace.folder
    free = shutil.disk_usage(folder if folder.exists() else folder.parent.parent).free / 2**30
    enough = free >= DISK_GIB
    return Check(
        name="",
        status="pass" if enough else "fail",
        found=f"{free:.0f} GiB free",
        needed=f"{DISK_GIB:.0f} GiB",
        fix="" if enough else "Make room, or set JARKKIT_HOME to another disk.",
        code="" if enough else "JK-WORKSPACE-WRITE",
    )


def credentials(look: Preflight) -> Check:
    """AWS credentials."""
    caller = look.account.caller()
    who = caller.arn.split(":", 5)[-1]
    return _pass(f"{who} in account {masked(caller.account_id)}")


def right_target(look: Preflight) -> Check:
    """The right account and Region for this deployment."""
    recorded = look.workspace.load("target", Target)
    now = target_of(
        look.account.caller(),
        look.settings.region,
        look.settings.name,
        rehearsal=look.workspace.rehearsal,
    )
    check_target(recorded, now)
    return _pass("the same as before" if recorded else "nothing was applied yet")


def region(look: Preflight) -> Check:
    """The Region."""
    check_region(look.settings.region, look.account.known_regions())
    if look.settings.region not in look.account.enabled_regions():
        raise JarkkitError(
            "JK-REGION-UNKNOWN",
            f"{look.settings.region} is not enabled in this account.",
            "Enable it in the account's Region settings, or choose another Region.",
        )
    return _pass(look.settings.region)


def availability_zones(look: Preflight) -> Check:
    """Availability Zones that EKS and the core nodes can use."""
    offered = look.account.offerings(zones.instance_patterns(look.settings))
    chosen = zones.choose(look.settings, look.account.zones(), offered)
    return _pass(", ".join(chosen), needed=f"{look.settings.az_count}")


def accelerators(look: Preflight) -> Check:
    """Accelerators offered in the chosen zones."""
    if not look.settings.accelerators:
        return Check(name="", status="skip", found="none chosen")
    offered = look.account.offerings(zones.instance_patterns(look.settings))
    chosen = set(zones.choose(look.settings, look.account.zones(), offered))
    return judge_offerings(look.settings, offered, chosen)


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
    return _pass(found)


def cluster_version(look: Preflight) -> Check:
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
    if "extended" in item.support.lower():
        return Check(
            name="",
            status="warn",
            found=f"{wanted}, in extended support",
            why="A cluster in extended support costs six times as much per hour.",
            fix=f"Set cluster_version to {CLUSTER_VERSIONS[-1]}.",
        )
    until = item.end_of_standard_support
    return _pass(f"{wanted}{f', standard support until {until}' if until else ''}")


def name_is_free(look: Preflight) -> Check:
    """The cluster's name."""
    name = look.settings.name
    if look.account.cluster(name) is None:
        return _pass(f"no cluster is called {name}")
    if look.account.cluster_tags(name).get("jarkkit:deployment") == name:
        return _pass("the cluster is this deployment's own")
    raise JarkkitError(
        "JK-NAME-TAKEN",
        f"A cluster called {name} exists and was not made by this kit.",
        "Choose another name: jarkkit init NAME",
    )


def addons(look: Preflight) -> Check:
    """Add-ons fit together"""
    chosen = choice.chosen(look.settings)
    needs(chosen)
    return _pass(f"{len(chosen)} add-ons")


def charts(look: Preflight) -> Check:
    """Charts of the add-ons"""
    if look.charts is None:
        return Check(name="", status="skip", found="this sandbox has no clusters")
    found = look.charts.require(choice.charts(look.settings))
    real = sum(archive.real for archive in found)
    stand_ins = len(found) - real
    return _pass(f"{real} real" + (f", stand-ins for {stand_ins}" if stand_ins else ""))


def api_exposure(look: Preflight) -> Check:
    """Who may reach the Kubernetes API."""
    networks = [IPv4Network(block) for block in look.settings.endpoint_public_cidrs]
    if not networks:
        return Check(
            name="",
            status="warn",
            found="nobody from outside the VPC",
            why="With a private endpoint the cluster layer can only be installed from inside.",
            fix="Run the kit inside the VPC, or name your own address in endpoint_public_cidrs.",
        )
    if any(network.prefixlen == 0 for network in networks):
        return Check(
            name="",
            status="warn",
            found="the whole internet, with IAM credentials",
            why="Calls still need an access entry, but anybody can knock.",
            fix="Set endpoint_public_cidrs to your own address for more than a short workshop.",
        )
    return _pass(", ".join(map(str, networks)))


ON_THIS_MACHINE: tuple[Question, ...] = (terraform_tool, provider, disk)

QUESTIONS: tuple[Question, ...] = (
    *ON_THIS_MACHINE,
    credentials,
    right_target,
    region,
    availability_zones,
    accelerators,
    cluster_version,
    name_is_free,
    addons,
    charts,
    api_exposure,
)


def masked(account_id: str) -> str:
    """An account id as it may stand in a notebook: its first and last four digits."""
    return f"{account_id[:4]}…{account_id[-4:]}"
