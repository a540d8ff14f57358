"""Checks of this machine."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.provider import (
    PROVIDER,
    ProviderPackage,
    find_mirror,
    is_installed,
    packages,
    pinned_version,
    registry,
    this_platform,
    user_configuration,
)
from jarkkit.steps.check_engine import CheckGroup, passed, warned
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.network import HOST_TIMEOUT_SECONDS

CHECKS = CheckGroup[CheckContext]("This machine")

# What the provider, a plan and the logs of one deployment need, with a margin.
MIN_DISK_GIB = 2.0
MIN_PYTHON = (3, 11)


@CHECKS.check("Python")
def python(context: CheckContext) -> Check:
    """Check that jarkkit is tested with this Python version."""
    return judge_python(platform.python_version())


def judge_python(version: str) -> Check:
    """Check that jarkkit is tested with this Python version."""
    enough = _numbers(version)[:2] >= MIN_PYTHON
    needed = f"{'.'.join(map(str, MIN_PYTHON))} or newer"
    return Check(
        name="",
        status="pass" if enough else "fail",
        found=version,
        needed=needed,
        fix="" if enough else f"Install Python {needed}, or use environment.yml with conda.",
        code="" if enough else "JK-TOOL-VERSION",
    )


@CHECKS.check("Terraform or OpenTofu")
def terraform_tool(context: CheckContext) -> Check:
    """Check that there is a Terraform or OpenTofu, new enough."""
    tool = context.terraform.tool
    return passed(f"{tool.product} {tool.version}", needed="1.10 or newer")


@CHECKS.check("AWS provider source")
def provider(context: CheckContext) -> Check:
    """Check that Terraform finds the pinned provider: in a mirror, its folder or a registry."""
    product, environ = context.terraform.tool.product, context.terraform.environ
    version, host = pinned_version(), registry(product)
    mirror = find_mirror(product, environ)
    if mirror is not None:
        return judge_mirror(tuple(packages(mirror)), version, this_platform())
    if user_configuration(product, environ) is not None:
        return passed(f"{version}, from where your CLI configuration says")
    if is_installed(context.workspace.folder, product):
        return passed(f"{version}, in the deployment's folder")
    silent = context.machine.unreachable_hosts([host], HOST_TIMEOUT_SECONDS)
    return judge_registry(version, host, silent)


def judge_mirror(found: Sequence[ProviderPackage], version: str, platform: str) -> Check:
    """Check that a mirror folder has the pinned version of the provider for this platform.

    Raises JK-TF-PROVIDER.
    """
    if any((p.version, p.platform) == (version, platform) for p in found):
        return passed(f"{version}, from a mirror folder on this machine")
    versions = sorted({f"{p.version} for {p.platform}" for p in found})
    raise JarkkitError(
        "JK-TF-PROVIDER",
        f"The mirror folder lacks {PROVIDER} {version} for {platform}; it has "
        f"{', '.join(versions) or 'no package of it'}.",
        "Fill it, in the folder terraform/: `terraform providers mirror FOLDER` (or `tofu …`; the "
        "folder serves both). Or set JARKKIT_TF_MIRROR to another one.",
    )


def judge_registry(version: str, host: str, silent: Mapping[str, str]) -> Check:
    """Check that the provider can be downloaded. Raises JK-TF-PROVIDER.

    Args:
        silent: the hosts that do not answer, with the reason.
    """
    if host in silent:
        raise JarkkitError(
            "JK-TF-PROVIDER",
            f"There is no mirror folder with {PROVIDER} {version}, and {host} does not answer: "
            f"{silent[host]}.",
            "Allow the host in the firewall or the proxy. Or fill a mirror folder where it "
            "answers, in terraform/: `terraform providers mirror FOLDER` (or `tofu …`), and set "
            "JARKKIT_TF_MIRROR to it.",
        )
    return passed(f"{version}, from {host}")


@CHECKS.check("kubectl")
def kubectl(context: CheckContext) -> Check:
    """Check that kubectl, where there is one, fits the cluster's version."""
    return judge_kubectl(context.machine.kubectl_version(), context.settings.cluster_version)


def judge_kubectl(version: str | None, cluster: str) -> Check:
    """Check that kubectl is at most one minor version away from the cluster.

    See https://kubernetes.io/releases/version-skew-policy/#kubectl.

    Args:
        version: None where kubectl is not installed; jarkkit does not need it.
    """
    if version is None:
        return Check(name="", status="skip", found="not on PATH; jarkkit does not need it")
    if not (numbers := _numbers(version)[:2]):
        return Check(name="", status="unknown", found="kubectl does not report its version")
    supported = _numbers(cluster)
    if numbers[0] == supported[0] and abs(numbers[1] - supported[1]) <= 1:
        return passed(version)
    return warned(
        version,
        needed=f"{cluster}, plus or minus one minor version",
        why="jarkkit does not use kubectl, but your own commands may fail.",
        fix=f"Put kubectl {cluster} on PATH.",
        code="JK-TOOL-VERSION",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


@CHECKS.check("Free disk space")
def disk(context: CheckContext) -> Check:
    """Check that the deployment's files fit on the disk."""
    folder: Path = context.workspace.folder
    free = shutil.disk_usage(folder if folder.exists() else folder.parent.parent).free / 2**30
    enough = free >= MIN_DISK_GIB
    return Check(
        name="",
        status="pass" if enough else "fail",
        found=f"{free:.0f} GiB free",
        needed=f"{MIN_DISK_GIB:.0f} GiB",
        fix="" if enough else "Free up disk space, or set JARKKIT_HOME to another disk.",
        code="" if enough else "JK-WORKSPACE-WRITE",
    )
