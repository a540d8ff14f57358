"""Deletes what Terraform does not know, and names what blocks Terraform's destroy.

A cluster that could not be emptied leaves load balancers, volumes and interfaces behind. In a
network that Terraform created, AWS then rejects the deletion of subnets and security groups.
Terraform tries again for 20 minutes and names no culprit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator

from jarkkit.model.clock import monotonic
from jarkkit.model.errors import ApiCallError, JarkkitError, ObjectInUse
from jarkkit.model.events import ResourceProgress, StepEvent, StepMessage, warning
from jarkkit.model.polling import poll
from jarkkit.model.records import OwnedResource
from jarkkit.ports.aws.removal import ORDER
from jarkkit.steps.aws_layer import AwsLayer

# AWS releases the interfaces of a deleted load balancer within minutes.
_IN_USE_SECONDS, _POLL_SECONDS = 300.0, 5.0
# Terraform reports a deletion that is not complete every ten seconds.
_BLOCKED_SECONDS, _NEXT_LOOK_SECONDS = 10.0, 30.0
# What AWS does not delete while another resource uses it.
_BLOCKABLE = ("aws_subnet", "aws_security_group", "aws_internet_gateway", "aws_vpc")
_MAX_NAMED = 8


def remove_leftovers(
    layer: AwsLayer, found: Iterable[OwnedResource], *, once: bool = False
) -> Generator[StepEvent, None, int]:
    """Delete these resources with the calls of their services; return how many were deleted.

    Users of a resource come before it. What is still in use is tried again for five minutes. A
    failure is a warning: the receipt lists what is left.

    Args:
        once: do not try again.
    """
    left = sorted(
        (owned for owned in found if owned.terraform_type in ORDER and not owned.why_kept),
        key=lambda owned: ORDER.index(owned.terraform_type),
    )
    deleted = 0
    for owned in left:
        yield StepMessage(f"To delete: {described(owned)}")
    limit = 0.0 if once else _IN_USE_SECONDS * layer.pace
    for _ in poll(_POLL_SECONDS, limit, sleep=layer.wait):
        waiting: list[OwnedResource] = []
        for owned in left:
            try:
                gone = layer.account.delete_resource(layer.settings.name, owned)
            except JarkkitError as error:
                yield warning(f"{described(owned)} was not deleted. {error.message}", error.code)
                continue
            if gone:
                deleted += 1
                yield StepMessage(f"Deleted {owned.terraform_type} {owned.import_id}")
            else:
                waiting.append(owned)
        left = waiting
        if not left:
            break
    for owned in left if not once else ():
        yield warning(f"{described(owned)} is still in use")
    return deleted


def unblock(layer: AwsLayer, events: Iterator[StepEvent], *, emptied: bool) -> Iterator[StepEvent]:
    """Follow Terraform's destroy, and remove or name what blocks it.

    When the cluster is gone, no controller creates anything again: then what it left is deleted.

    Args:
        emptied: the cluster was emptied before, so that only what leaked can be left.
    """
    culprits: tuple[str, ...] = ()
    last_look = float("-inf")
    with contextlib.closing(events):  # type: ignore[type-var]
        try:
            for event in events:
                yield event
                if not isinstance(event, ResourceProgress):
                    continue
                if _is_end_of_cluster(event) and not emptied:
                    yield from _remove_orphans(layer)
                if _is_blocked(event) and monotonic() - last_look > _NEXT_LOOK_SECONDS:
                    last_look = monotonic()
                    yield from _remove_orphans(layer)
                    named = network_users(layer)
                    if named and named != culprits:
                        yield warning(_blocked_message(event.subject, named), "JK-CLEANUP-LEFT")
                    culprits = named
        except JarkkitError as error:
            raise _with_culprits(error, layer) from error


def network_users(layer: AwsLayer) -> tuple[str, ...]:
    """Return what uses the deployment's own network and is not the deployment's.

    Empty if AWS does not answer: this only explains another failure.
    """
    name = layer.settings.name
    try:
        found = layer.scan_resources().found
        vpcs = [owned.import_id for owned in found if owned.terraform_type == "aws_vpc"]
        return layer.account.network_users(name, vpcs)
    except JarkkitError:
        return ()


def _remove_orphans(layer: AwsLayer) -> Iterator[StepEvent]:
    """Delete what the cluster left. A failed scan is a warning: it must not stop Terraform."""
    try:
        found = layer.scan_resources().found
    except ApiCallError as error:
        yield warning(f"Cannot look for what the cluster left. {error.message}", error.code)
        return
    yield from remove_leftovers(layer, (o for o in found if o.of_cluster), once=True)


def _is_end_of_cluster(event: ResourceProgress) -> bool:
    return _deletes(event, ("aws_eks_cluster",)) and event.status == "done"


def _is_blocked(event: ResourceProgress) -> bool:
    waits = event.status == "running" and (event.seconds or 0) >= _BLOCKED_SECONDS
    return waits and _deletes(event, _BLOCKABLE)


def _deletes(event: ResourceProgress, types: tuple[str, ...]) -> bool:
    return event.action == "delete" and bool({*types} & {*event.subject.split(".")})


def _blocked_message(address: str, users: tuple[str, ...]) -> str:
    return (
        f"{address} cannot be deleted while these use the network: {_short(users)}. They are not "
        "the deployment's. Delete them: Terraform tries again for up to 20 minutes."
    )


def _with_culprits(error: JarkkitError, layer: AwsLayer) -> JarkkitError:
    """Return the error with the users of the network, if it says that something is in use."""
    if not isinstance(error, ObjectInUse):
        return error
    users = network_users(layer)
    if not users:
        return error
    return error.with_details(
        f"{error.message} In use by: {_short(users)}.", fix="Delete these, then run cleanup again."
    )


def _short(users: tuple[str, ...]) -> str:
    more = f" and {len(users) - _MAX_NAMED} more" if len(users) > _MAX_NAMED else ""
    return f"{'; '.join(users[:_MAX_NAMED])}{more}"


def described(owned: OwnedResource) -> str:
    """Return type, id and proof of a resource."""
    proof = f" ({owned.proof})" if owned.proof else ""
    return f"{owned.terraform_type} {owned.import_id}{proof}"
