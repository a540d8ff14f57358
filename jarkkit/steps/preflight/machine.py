"""Questions about this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.steps.preflight.asking import Look, Question, passed
from jarkkit.terraform import find_mirror

# What the provider, a plan and the logs of one deployment need, with room to spare.
DISK_GIB = 2.0


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


QUESTIONS: tuple[Question, ...] = (terraform_tool, provider, disk)
