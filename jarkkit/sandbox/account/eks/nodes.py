"""Managed node groups: they launch instances in the account and take them with them."""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import ResourceInUseException

from jarkkit.sandbox.account.eks.core import EksCore
from jarkkit.sandbox.account.eks.parts import Update


class Nodes(EksCore):
    """CreateNodegroup and its kin."""

    @property
    def ec2(self) -> Any:
        """The same account's and Region's EC2."""
        return ec2_backends[self.account_id][self.region_name]

    def open_nodegroup(self, cluster_name: str, nodegroup_name: str, **given: Any) -> Any:
        """CreateNodegroup: the instances run when the group is active."""
        cluster = self.active_cluster(cluster_name)
        for subnet in given["subnets"]:
            self.ec2.get_subnet(subnet)
        update_config = given.pop("update_config", None)
        repair = given.pop("node_repair_config", None)
        group: Any = self.create_nodegroup(
            cluster_name=cluster_name,
            nodegroup_name=nodegroup_name,
            **{**given, "version": given.get("version") or cluster.version},
        )
        group.update_config = update_config or {"maxUnavailable": 1}
        group.node_repair_config = repair or {"enabled": False}
        group.remote_access = given.get("remote_access")
        group.disk_size = given.get("disk_size") or (None if given.get("launch_template") else 20)
        group.release_version = given.get("release_version") or f"{group.version}.0-20261101"
        group.health = {"issues": []}
        group.resources = {"autoScalingGroups": group.resources["autoScalingGroups"]}
        group.instance_ids = []
        group.status = "CREATING"
        self.later.add(self, "node group create", "nodegroup_ready", cluster_name, nodegroup_name)
        return group

    def nodegroup_ready(self, cluster_name: str, nodegroup_name: str) -> None:
        """All nodes have joined."""
        cluster: Any = self.clusters.get(cluster_name)
        group: Any = cluster and cluster.nodegroups.get(nodegroup_name)
        if group and group.status == "CREATING":
            self.scale(group)
            group.status = "ACTIVE"

    def scale(self, group: Any) -> None:
        """Launch or end instances until there are as many as desired."""
        wanted = int(group.scaling_config["desiredSize"])
        while len(group.instance_ids) < wanted:
            group.instance_ids.append(self._launch(group, len(group.instance_ids)))
        surplus, group.instance_ids = group.instance_ids[wanted:], group.instance_ids[:wanted]
        if surplus:
            self.ec2.terminate_instances(surplus)

    def _launch(self, group: Any, index: int) -> str:
        tags = {
            "eks:cluster-name": group.cluster_name,
            "eks:nodegroup-name": group.nodegroup_name,
            f"kubernetes.io/cluster/{group.cluster_name}": "owned",
        }
        template: dict[str, Any] = {}
        if group.launch_template:
            template["launch_template"] = {
                "LaunchTemplateId": group.launch_template["id"],
                "Version": group.launch_template.get("version", "$Default"),
            }
        cluster: Any = self.clusters[group.cluster_name]
        reservation = self.ec2.run_instances(
            image_id=next(iter(self.ec2.amis)),
            count=1,
            user_data=None,
            security_group_names=[],
            security_group_ids=[cluster.resources_vpc_config["clusterSecurityGroupId"]],
            instance_type=group.instance_types[0],
            is_instance_type_default=False,
            subnet_id=group.subnets[index % len(group.subnets)],
            region_name=self.region_name,
            tags={"instance": tags, "volume": tags},
            **template,
        )
        return str(reservation.instances[0].id)

    def change_nodegroup(self, cluster_name: str, nodegroup_name: str, **given: Any) -> Update:
        """UpdateNodegroupConfig."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        self.update_nodegroup_config(cluster_name, nodegroup_name, **given)
        self.scale(group)
        return self._updating(group, "ConfigUpdate", given)

    def update_nodegroup_version(
        self, cluster_name: str, nodegroup_name: str, **given: Any
    ) -> Update:
        """New nodes of another version or launch template replace the old ones."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        group.version = given.get("version") or self.cluster_named(cluster_name).version
        group.release_version = given.get("release_version") or f"{group.version}.0-20261101"
        if given.get("launch_template"):
            group.launch_template.update(given["launch_template"])
        old, group.instance_ids = group.instance_ids, []
        self.scale(group)
        if old:
            self.ec2.terminate_instances(old)
        return self._updating(group, "VersionUpdate", given)

    def _updating(self, group: Any, kind: str, given: dict[str, Any]) -> Update:
        group.status, group.modified_at = "UPDATING", utcnow()
        update = self.begin_update(group.cluster_name, kind, given)
        self.later.add(
            self, "node group update", "end_update", group.cluster_name, update.id, group
        )
        return update

    def delete_nodegroup(self, cluster_name: str, nodegroup_name: str) -> Any:
        """DeleteNodegroup: gone when its instances are."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        if group.status == "CREATING":
            raise ResourceInUseException(
                clusterName=cluster_name,
                nodegroupName=nodegroup_name,
                message="Nodegroup cannot be deleted as it is currently not in Active State",
            )
        group.status = "DELETING"
        self.later.add(self, "node group delete", "nodegroup_gone", cluster_name, nodegroup_name)
        return group

    def nodegroup_gone(self, cluster_name: str, nodegroup_name: str) -> None:
        """The group's instances are ended and the group is removed."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        if group.instance_ids:
            self.ec2.terminate_instances(group.instance_ids)
        super().delete_nodegroup(cluster_name, nodegroup_name)
