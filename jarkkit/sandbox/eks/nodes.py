"""Instances become Nodes, as nodeadm and kubelet see to it; a Node goes with its instance, as the
cloud controller manager sees to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from functools import lru_cache
from typing import Any

from jarkkit.sandbox import faults, user_data
from jarkkit.sandbox.account.ec2 import catalogue
from jarkkit.sandbox.backends import Backends
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster.api import ApiError, Object
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.cluster.toolchain import kubernetes_version
from jarkkit.sandbox.eks import node_facts
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.node_facts import Machine
from jarkkit.sandbox.eks.objects import NODES, is_ready_node

_FAULT = "sandbox.jarkkit.io/fault"


class Nodes(Controller):
    """Keeps the cluster's Nodes as its instances are."""

    name = "nodes"
    follows_account = True

    def watched(self) -> tuple[Informer, ...]:
        """Nodes that somebody deletes are registered anew by their kubelet's restart only."""
        return (self.cluster.informer(NODES),)

    def reconcile(self) -> float | None:
        """Register what has started, forget what has ended, tell who is Ready."""
        with self.cluster.read() as aws:
            machines = {m.instance_id: m for m in _machines(aws, self.cluster.name)}
            roles = _node_roles(aws, self.cluster.name)
        known = {_instance_of(n): n for n in self.cluster.informer(NODES).all()}
        waits = [self._join(m, roles) for m in machines.values() if m.instance_id not in known]
        for instance_id, node in known.items():
            if instance_id and instance_id not in machines:
                self.cluster.api.delete(f"{NODES}/{node['metadata']['name']}")
                self.cluster.log(f"{instance_id} is gone, and its node with it")
            else:
                self._trouble(node)
        ready = {i for i, node in known.items() if i in machines and is_ready_node(node)}
        self._tell(frozenset(ready))
        self._interrupt(machines)
        return min(filter(None, waits), default=None)

    def _tell(self, ready: frozenset[str]) -> None:
        self.cluster.ready_instances = ready

    def _join(self, machine: Machine, roles: set[str]) -> float | None:
        """Register it; returns the seconds that its boot still takes."""
        left = machine.launched + CLOCK.seconds("node join") - time.time()
        if left > 0:
            return left
        if faults.ACTIVE.on("node-not-joining", machine.instance_id, machine.instance_type):
            return self._refused(machine, "its kubelet cannot reach the API server (a fault)")
        if machine.role not in roles:
            return self._refused(
                machine, f"Unauthorized: role {machine.role or 'none'} has no EC2 access entry"
            )
        config = _config(machine.user_data)
        if config is None:
            return None
        node = node_facts.node(machine, config, kubernetes_version())
        try:
            self.cluster.api.create(NODES, node)
        except ApiError as error:
            if error.status != 409:
                raise
        self.cluster.log(f"{machine.instance_id} joins as {machine.private_dns}")
        return None

    def _refused(self, machine: Machine, why: str) -> float | None:
        if machine.instance_id not in self._said:
            self._said.add(machine.instance_id)
            self.cluster.log(f"{machine.instance_id} does not join: {why}")
        return None

    # -- trouble -------------------------------------------------------------------------------

    def _trouble(self, node: Object) -> None:
        """Mark the nodes that the fault `node-unhealthy` is about; KWOK's stages do the rest."""
        meta = node["metadata"]
        words = (meta["name"], *meta.get("labels", {}).values())
        wanted = "not-ready" if faults.ACTIVE.on("node-unhealthy", *words) else None
        if meta.get("annotations", {}).get(_FAULT) != wanted and (wanted or self._marked(meta)):
            change = {"metadata": {"annotations": {_FAULT: wanted}}}
            self.cluster.api.patch(f"{NODES}/{meta['name']}", change)
            (self._ours.add if wanted else self._ours.discard)(meta["name"])

    def _marked(self, meta: Object) -> bool:
        """Marked by us: one that a user has marked by hand stays marked."""
        return meta["name"] in self._ours

    def _interrupt(self, machines: dict[str, Machine]) -> None:
        """The fault `spot-interruption`: AWS wants its instances back, each once."""
        for machine in machines.values():
            words = (machine.instance_id, machine.instance_type, machine.zone)
            due = machine.spot and machine.instance_id not in self._interrupted
            if due and faults.ACTIVE.on("spot-interruption", *words):
                self._interrupted.add(machine.instance_id)
                with self.cluster.change() as aws:
                    aws.ec2.interrupt_spot_instance(machine.instance_id)

    def start(self) -> None:
        """Begin, with nothing said and nothing marked."""
        self._said: set[str] = set()
        self._ours: set[str] = set()
        self._interrupted: set[str] = set()
        super().start()


def _instance_of(node: Object) -> str:
    """The instance behind a Node; empty for one that somebody made by hand."""
    provider: str = node["spec"].get("providerID", "")
    return provider.rsplit("/", 1)[-1] if provider.startswith("aws:///") else ""


def _machines(aws: Backends, cluster: str) -> Iterator[Machine]:
    """The running instances whose user data names the cluster."""
    roles = _roles(aws)
    for instance in aws.ec2.all_instances():
        if instance.state != "running":
            continue
        machine = _machine(aws, instance, roles.get(instance.id, ""))
        config = _config(machine.user_data)
        if config is not None and config.cluster == cluster:
            yield machine


# A thousand instances of a group are told the same, and it is YAML.
_config = lru_cache(maxsize=256)(user_data.read)


def _machine(aws: Backends, instance: Any, role: str) -> Machine:
    disks = [b.size or 0 for b in instance.block_device_mapping.values()]
    image = aws.ec2.amis.get(instance.image_id)
    return Machine(
        instance_id=instance.id,
        instance_type=instance.instance_type,
        facts=catalogue.facts_of(instance.instance_type),
        region=aws.region,
        zone=instance.placement.zone,
        private_ip=instance.private_ip,
        private_dns=instance.private_dns_name,
        architecture=instance.architecture or "x86_64",
        disk_gib=max([20, *disks]),
        spot=instance.lifecycle == "spot",
        role=role,
        image=getattr(image, "name", None) or "Amazon Linux 2023",
        user_data=instance.user_data.decode() if instance.user_data else "",
        launched=instance.launch_time.replace(tzinfo=UTC).timestamp(),
    )


def _roles(aws: Backends) -> dict[str, str]:
    """By instance the ARN of the role in its profile."""
    return {
        association.instance.id: str(association.iam_instance_profile.roles[0].arn)
        for association in aws.ec2.iam_instance_profile_associations.values()
        if association.iam_instance_profile.roles
    }


def _node_roles(aws: Backends, cluster: str) -> set[str]:
    """Roles whose instances may join. Managed node groups get their entry from EKS."""
    extras = aws.eks.extras.get(cluster)
    entries = extras.access_entries.values() if extras else ()
    return {entry.principal_arn for entry in entries if entry.type.startswith("EC2")}
