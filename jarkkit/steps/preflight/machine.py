"""Questions about this machine."""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path

from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.steps.preflight.asking import Look, Question, passed, warned
from jarkkit.terraform import find_mirror

# What the provider, a plan and the logs of one deployment need, with room to spare.
DISK_GIB = 2.0
OLDEST_PYTHON = (3, 11)


def terraform_tool(look: Look) -> Check:
    """Terraform or OpenTofu."""
    tool = look.terraform.tool
    return passed(f"{tool.product} {tool.version}", needed="1.10 or newer")


def provider(look: Look) -> Check:
    """Where the AWS provider comes from."""
    mirror = find_mirror(look.terraform.tool, look.terraform.environ)
    if mirror is None:
        return passed("as Terraform's own configuration says", why="No mirror folder is in use.")
    if not (mirror / look.terraform.tool.registry / "hashicorp/aws").is_dir():
        raise JarkkitError(
            "JK-TF-PROVIDER",
            "The folder named by JARKKIT_TF_MIRROR does not hold hashicorp/aws.",
            f"Fill it: {look.terraform.tool.product} providers mirror FOLDER",
        )
    return passed("a mirror folder on this machine")


def python(look: Look) -> Check:
    """Python"""
    return judge_python(platform.python_version())


def judge_python(version: str) -> Check:
    """Whether this is a Python that the kit is tested with."""
    enough = _numbers(version)[:2] >= OLDEST_PYTHON
    needed = f"{'.'.join(map(str, OLDEST_PYTHON))} or newer"
    return Check(
        name="",
        status="pass" if enough else "fail",
        found=version,
        needed=needed,
        fix="" if enough else f"Install Python {needed}, or use environment.yml with conda.",
        code="" if enough else "JK-TOOL-VERSION",
    )


def kubectl(look: Look) -> Check:
    """kubectl"""
    return judge_kubectl(look.machine.kubectl_version(), look.settings.cluster_version)


def judge_kubectl(version: str | None, cluster: str) -> Check:
    """Whether kubectl is at most one minor version away from the cluster:
    https://kubernetes.io/releases/version-skew-policy/#kubectl.

    Args:
        version: None where there is none, which the kit does not mind.
    """
    if version is None:
        return Check(name="", status="skip", found="not on PATH, and the kit does not need it")
    if not (numbers := _numbers(version)[:2]):
        return Check(name="", status="unknown", found="kubectl does not say its version")
    wanted = _numbers(cluster)
    if numbers[0] == wanted[0] and abs(numbers[1] - wanted[1]) <= 1:
        return passed(version)
    return warned(
        version,
        needed=f"{cluster}, give or take one minor version",
        why="The kit does not use it, but what you do with it may not work.",
        fix=f"Put kubectl {cluster} on PATH.",
        code="JK-TOOL-VERSION",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def disk(look: Look) -> Check:
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


QUESTIONS: tuple[Question, ...] = (python, terraform_tool, provider, kubectl, disk)
