"""Registers instances as Nodes, as nodeadm and kubelet do, and deletes the Nodes of terminated
instances, as the cloud controller manager does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from functools import cache, lru_cache, partial
from typing import Any

from jarkkit.sandbox import faults, user_data
from jarkkit.sandbox.account import node_images
from jarkkit.sandbox.account.ec2 import egress, instance_types
from jarkkit.sandbox.account.ec2.egress import NodeNetwork
from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.controllers import node_spec
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.node_spec import NodeInstance
from jarkkit.sandbox.controllers.objects import NODES, instance_id_of, is_ready_node
from jarkkit.sandbox.kubernetes.api import ApiError, Object
from jarkkit.sandbox.kubernetes.informer import Informer
from jarkkit.sandbox.kubernetes.toolchain import kubernetes_version

_FAULT = "sandbox.jarkkit.io/fault"


class NodeController(Controller):
    """Reconciles the cluster's Nodes with its instances."""

    name = "nodes"
    follows_account = True

    def watched(self) -> tuple[Informer, ...]:
        """Return the informer of Nodes: a deleted one registers again, as if kubelet restarted."""
        return (self.cluster.informer(NODES),)

    def reconcile(self) -> float | None:
        """Register new instances, delete Nodes of terminated ones, report the Ready ones."""
        with self.cluster.read_account() as aws:
            machines = {m.instance_id: m for m in _machines(aws, self.cluster.name)}
            roles = _node_roles(aws, self.cluster.name)
            version = str(aws.eks.clusters[self.cluster.name].version)
        registered = {instance_id_of(n): n for n in self.cluster.informer(NODES).all()}
        waits = [
            self._join(m, roles, version)
            for m in machines.values()
            if m.instance_id not in registered
        ]
        for instance_id, node in registered.items():
            if instance_id and instance_id not in machines:
                self.cluster.api.delete(f"{NODES}/{node['metadata']['name']}")
                self.cluster.log(f"{instance_id} is gone; deleted its node")
            else:
                self._mark_unhealthy(node)
        ready = {i for i, node in registered.items() if i in machines and is_ready_node(node)}
        self._report_ready(frozenset(ready))
        self._interrupt(machines)
        return min(filter(None, waits), default=None)

    def _report_ready(self, ready: frozenset[str]) -> None:
        self.cluster.ready_instances = ready

    def _join(self, machine: NodeInstance, roles: set[str], version: str) -> float | None:
        """Register the instance; return the seconds that its boot still takes."""
        left = machine.launched_at + CLOCK.seconds("node join") - time.time()
        if left > 0:
            return left
        if faults.ACTIVE.is_active("node-not-joining", machine.instance_id, machine.instance_type):
            return self._refused(machine, "its kubelet cannot reach the API server (a fault)")
        if machine.role not in roles:
            return self._refused(
                machine, f"Unauthorized: role {machine.role or 'none'} has no EC2 access entry"
            )
        if machine.cut_off:
            return self._refused(machine, machine.cut_off)
        config = _config(machine.user_data)
        if config is None:
            return None
        kubelet = node_spec.kubelet_version(machine.version, version, kubernetes_version())
        node = node_spec.node_manifest(machine, config, kubelet)
        try:
            self.cluster.api.create(NODES, node)
        except ApiError as error:
            if error.status != 409:
                raise
        self.cluster.log(f"{machine.instance_id} joins as {machine.private_dns}")
        return None

    def _refused(self, machine: NodeInstance, why: str) -> float | None:
        if machine.instance_id not in self._logged:
            self._logged.add(machine.instance_id)
            self.cluster.log(f"{machine.instance_id} does not join: {why}")
        return None

    # -- faults --------------------------------------------------------------------------------

    def _mark_unhealthy(self, node: Object) -> None:
        """Mark the nodes that the fault `node-unhealthy` selects; KWOK's stages do the rest."""
        meta = node["metadata"]
        words = (meta["name"], *meta.get("labels", {}).values())
        state = "not-ready" if faults.ACTIVE.is_active("node-unhealthy", *words) else None
        if meta.get("annotations", {}).get(_FAULT) != state and (state or self._marked(meta)):
            change = {"metadata": {"annotations": {_FAULT: state}}}
            self.cluster.api.patch(f"{NODES}/{meta['name']}", change)
            (self._ours.add if state else self._ours.discard)(meta["name"])

    def _marked(self, meta: Object) -> bool:
        """Return True for a node that this controller marked; a mark that a user set stays."""
        return meta["name"] in self._ours

    def _interrupt(self, machines: dict[str, NodeInstance]) -> None:
        """Interrupt the Spot instances that the fault `spot-interruption` selects, each once."""
        for machine in machines.values():
            words = (machine.instance_id, machine.instance_type, machine.zone)
            due = machine.spot and machine.instance_id not in self._interrupted
            if due and faults.ACTIVE.is_active("spot-interruption", *words):
                self._interrupted.add(machine.instance_id)
                with self.cluster.change_account() as aws:
                    aws.ec2.interrupt_spot_instance(machine.instance_id)

    def start(self) -> None:
        """Start, with nothing logged and nothing marked."""
        self._logged: set[str] = set()
        self._ours: set[str] = set()
        self._interrupted: set[str] = set()
        super().start()


def _machines(aws: Backends, cluster: str) -> Iterator[NodeInstance]:
    """Yield the running instances whose user data names the cluster."""
    roles = _roles(aws)
    network_of = cache(partial(egress.node_network, aws.ec2))  # a thousand instances share a subnet
    for instance in aws.ec2.all_instances():
        if instance.state != "running":
            continue
        network = network_of(instance.subnet_id)
        machine = _machine(aws, instance, roles.get(instance.id, ""), network)
        config = _config(machine.user_data)
        if config is not None and config.cluster == cluster:
            yield machine


# A thousand instances of a group have the same user data, and parsing YAML is slow.
_config = lru_cache(maxsize=256)(user_data.parse)


def _machine(aws: Backends, instance: Any, role: str, network: NodeNetwork) -> NodeInstance:
    disks = [b.size or 0 for b in instance.block_device_mapping.values()]
    image = aws.ec2.amis.get(instance.image_id)
    published = node_images.by_id(aws.region).get(instance.image_id)
    return NodeInstance(
        instance_id=instance.id,
        instance_type=instance.instance_type,
        facts=instance_types.type_info(instance.instance_type),
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
        launched_at=instance.launch_time.replace(tzinfo=UTC).timestamp(),
        version=published.version if published else "",
        cut_off=egress.why_cut_off(network, public_address=bool(instance.public_ip)),
    )


def _roles(aws: Backends) -> dict[str, str]:
    """Return role ARNs of instance profiles, by instance id."""
    return {
        association.instance.id: str(association.iam_instance_profile.roles[0].arn)
        for association in aws.ec2.iam_instance_profile_associations.values()
        if association.iam_instance_profile.roles
    }


def _node_roles(aws: Backends, cluster: str) -> set[str]:
    """Return roles whose instances may join. EKS creates the entries of managed node groups."""
    extras = aws.eks.extras.get(cluster)
    entries = extras.access_entries.values() if extras else ()
    return {entry.principal_arn for entry in entries if entry.type.startswith("EC2")}
