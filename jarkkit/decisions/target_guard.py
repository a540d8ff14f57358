"""The target guard: compares the current target with the recorded one. Pure."""

from __future__ import annotations

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller, Target


def target_of(caller: Caller, region: str, name: str, *, rehearsal: bool) -> Target:
    """Return the target of a deployment with this name and these credentials."""
    partition = caller.arn.split(":")[1]
    arn = f"arn:{partition}:eks:{region}:{caller.account_id}:cluster/{name}"
    return Target(account_id=caller.account_id, region=region, cluster_arn=arn, rehearsal=rehearsal)


def check_target(recorded: Target | None, now: Target) -> None:
    """Raise JK-TARGET-MISMATCH unless `now` is the target of the first apply."""
    if recorded is None or recorded == now:
        return
    labels = {
        "rehearsal": "rehearsal or real account",
        "account_id": "account",
        "region": "Region",
        "cluster_arn": "cluster",
    }
    for key, word in labels.items():
        was, found = getattr(recorded, key), getattr(now, key)
        if was != found:
            raise JarkkitError(
                "JK-TARGET-MISMATCH",
                f"This deployment's {word} is {was}, but your settings and credentials point to "
                f"{found}.",
                "Use the credentials and settings of the first deploy. To deploy to another "
                "target, create another deployment: jarkkit init NAME",
            )
