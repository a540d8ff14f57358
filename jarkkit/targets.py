"""The lock on the right target: pure comparison of where we are with where we should be."""

from __future__ import annotations

from jarkkit.errors import JarkkitError
from jarkkit.records import Caller, Target


def target_of(caller: Caller, region: str, name: str, *, rehearsal: bool) -> Target:
    """Where a deployment of this name would live with these credentials."""
    partition = caller.arn.split(":")[1]
    arn = f"arn:{partition}:eks:{region}:{caller.account_id}:cluster/{name}"
    return Target(account_id=caller.account_id, region=region, cluster_arn=arn, rehearsal=rehearsal)


def check_target(recorded: Target | None, now: Target) -> None:
    """Raise JK-TARGET-MISMATCH unless `now` is where the deployment was first applied."""
    if recorded is None or recorded == now:
        return
    words = {
        "rehearsal": "rehearsal or real account",
        "account_id": "account",
        "region": "Region",
        "cluster_arn": "cluster",
    }
    for key, word in words.items():
        was, found = getattr(recorded, key), getattr(now, key)
        if was != found:
            raise JarkkitError(
                "JK-TARGET-MISMATCH",
                f"This deployment's {word} is {was}, but the settings and credentials now point "
                f"at {found}.",
                "Use the credentials and settings that the deployment was made with. To build "
                "elsewhere, make another deployment: jarkkit init NAME",
            )
