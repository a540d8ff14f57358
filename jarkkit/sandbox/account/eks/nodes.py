"""Managed node groups: they launch instances in the account and take them with them."""

from __future__ import annotations

from typing import Any

from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import ResourceInUseException
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox import user_data
from jarkkit.sandbox.account import images
from jarkkit.sandbox.account.eks.access import Access
from jarkkit.sandbox.account.eks.core import invalid
from jarkkit.sandbox.account.eks.parts import Update
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.clusters import HOST, Key

# At the sandbox's speed 0 there is no time to divide, and still a kubelet needs a moment.
_PATIENCE_SECONDS = 60.0


class Nodes(Access):
    """CreateNodegroup and its kin."""

    @property
    def ec2(self) -> Any:
        """The same account's and Region's EC2."""
        return ec2_backends[self.account_id][self.region_name]

    @property
    def iam(self) -> Any:
        """The same account's IAM."""
        return iam_backends[self.account_id][self.partition]

    def open_nodegroup(self, cluster_name: str, nodegroup_name: str, **given: Any) -> Any:
        """CreateNodegroup: the instances run when the group is active."""
        cluster = self.active_cluster(cluster_name)
        for subnet in given["subnets"]:
            self.ec2.get_subnet(subnet)
        role = given["node_role"].rsplit("/", 1)[-1]
        if not any(known.name == role for known in self.iam.roles.values()):
            invalid(f"The role with name {role} cannot be found.", cluster_name)
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
        group.release_version = (
            given.get("release_version") or f"{group.version}.0-{images.AL2023_BUILDS[0]}"
        )
        group.health = {"issues": []}
        group.resources = {"autoScalingGroups": group.resources["autoScalingGroups"]}
        group.instance_ids = []
        group.status = "CREATING"
        group.given_up_at = CLOCK.now() + max(_PATIENCE_SECONDS, CLOCK.seconds("node group wait"))
        self._let_in(group)
        self.later.add(
            self, "node group launch", "nodegroup_launched", cluster_name, nodegroup_name
        )
        self.later.add(self, "node group create", "nodegroup_ready", cluster_name, nodegroup_name)
        return group

    def _let_in(self, group: Any) -> None:
        """The group's role gets an instance profile, and may join: EKS sees to both."""
        profile = f"eks-{random.uuid4()}"
        self.iam.create_instance_profile(profile, "/", [])
        self.iam.add_role_to_instance_profile(profile, group.node_role.rsplit("/", 1)[-1])
        group.instance_profile = profile
        if group.node_role not in self.extras_of(group.cluster_name).access_entries:
            self.add_access_entry(group.cluster_name, group.node_role, type="EC2_LINUX")

    def _group(self, cluster_name: str, nodegroup_name: str) -> Any:
        """A group that is still being created; None when it is not."""
        cluster: Any = self.clusters.get(cluster_name)
        group: Any = cluster and cluster.nodegroups.get(nodegroup_name)
        return group if group and group.status == "CREATING" else None

    def nodegroup_launched(self, cluster_name: str, nodegroup_name: str) -> None:
        """Its instances run, or could not be launched."""
        group = self._group(cluster_name, nodegroup_name)
        if group and not self.scale(group):
            group.status = "CREATE_FAILED"

    def nodegroup_ready(self, cluster_name: str, nodegroup_name: str) -> None:
        """All nodes have joined, or it was waited for them long enough."""
        group = self._group(cluster_name, nodegroup_name)
        if group is None:
            return
        if HOST.clusters.joined(Key(self.region_name, cluster_name), group.instance_ids):
            group.status = "ACTIVE"
        elif CLOCK.reached(group.given_up_at):
            group.health = {"issues": [_not_joined(group)]}
            group.status = "CREATE_FAILED"
        else:
            self.later.soon("nodegroup_ready", cluster_name, nodegroup_name)

    def scale(self, group: Any) -> bool:
        """Launch or end instances until there are as many as desired; False when EC2 refuses, and
        then the group's health says why."""
        group.health = {"issues": []}
        wanted = int(group.scaling_config["desiredSize"])
        try:
            while len(group.instance_ids) < wanted:
                group.instance_ids.append(self._launch(group, len(group.instance_ids)))
        except EC2ClientError as error:
            group.health = {"issues": [_not_launched(group, error)]}
        surplus, group.instance_ids = group.instance_ids[wanted:], group.instance_ids[:wanted]
        if surplus:
            self.ec2.terminate_instances(surplus)
        return not group.health["issues"]

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
            image_id=self._image(group),
            count=1,
            user_data=Base64EncodedString.from_raw_string(self._user_data(group)),
            iam_instance_profile_name=group.instance_profile,
            security_group_names=[],
            security_group_ids=[cluster.resources_vpc_config["clusterSecurityGroupId"]],
            instance_type=group.instance_types[0],
            is_instance_type_default=False,
            subnet_id=group.subnets[index % len(group.subnets)],
            instance_market_options="spot" if group.capacity_type == "SPOT" else None,
            tags={"instance": tags, "volume": tags},
            **template,
        )
        return str(reservation.instances[0].id)

    def _user_data(self, group: Any) -> str:
        labels = {
            **(group.labels or {}),
            "eks.amazonaws.com/nodegroup": group.nodegroup_name,
            "eks.amazonaws.com/capacityType": group.capacity_type or "ON_DEMAND",
            "eks.amazonaws.com/nodegroup-image": self._image(group),
        }
        taints = user_data.group_taints(group.taints or [])
        return user_data.write(user_data.NodeConfig(group.cluster_name, labels, taints))

    def _image(self, group: Any) -> str:
        """The image that EKS takes for the group's type; a custom one is in the template."""
        if group.ami_type == "CUSTOM":
            return ""
        image = images.for_node_group(group.ami_type or "", group.version)
        return image.id_in(self.region_name)

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
        before = group.version, group.release_version
        group.version = given.get("version") or self.cluster_named(cluster_name).version
        group.release_version = (
            given.get("release_version") or f"{group.version}.0-{images.AL2023_BUILDS[0]}"
        )
        if given.get("launch_template"):
            group.launch_template.update(given["launch_template"])
        old, group.instance_ids = group.instance_ids, []
        if not self.scale(group):  # the new ones go, and the old ones stay
            old, group.instance_ids = group.instance_ids, old
            group.version, group.release_version = before
        if old:
            self.ec2.terminate_instances(old)
        return self._updating(group, "VersionUpdate", given)

    def _updating(self, group: Any, kind: str, given: dict[str, Any]) -> Update:
        group.status, group.modified_at = "UPDATING", utcnow()
        update = self.begin_update(group.cluster_name, kind, given)
        self.later.add(
            self, "node group update", "nodegroup_updated", group.cluster_name, update.id, group
        )
        return update

    def nodegroup_updated(self, cluster_name: str, update_id: str, group: Any) -> None:
        """The update is done. A group that did not get its instances is DEGRADED; new nodes that
        were to replace old ones make the update itself fail."""
        self.end_update(cluster_name, update_id, group)
        issues = group.health["issues"]
        if not issues or cluster_name not in self.extras:
            return
        group.status = "DEGRADED"
        update = self.extras_of(cluster_name).updates[update_id]
        if update.type == "VersionUpdate":
            update.status = "Failed"
            update.errors = [
                {
                    "errorCode": issue["code"],
                    "errorMessage": issue["message"],
                    "resourceIds": issue["resourceIds"],
                }
                for issue in issues
            ]

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
        role = group.node_role.rsplit("/", 1)[-1]
        self.iam.remove_role_from_instance_profile(group.instance_profile, role)
        self.iam.delete_instance_profile(group.instance_profile)
        super().delete_nodegroup(cluster_name, nodegroup_name)


def _not_joined(group: Any) -> dict[str, Any]:
    """A health issue as EKS words it for instances whose kubelets never came."""
    return {
        "code": "NodeCreationFailure",
        "message": "Instances failed to join the kubernetes cluster",
        "resourceIds": group.instance_ids,
    }


def _not_launched(group: Any, error: EC2ClientError) -> dict[str, Any]:
    """A health issue as EKS words it for what its Auto Scaling group was told by EC2."""
    kind = "Spot" if group.capacity_type == "SPOT" else "On-Demand"
    return {
        "code": "AsgInstanceLaunchFailures",
        "message": f"Could not launch {kind} Instances. {error.code} - {error.message} Launching "
        "EC2 instance failed.",
        "resourceIds": [item["name"] for item in group.resources["autoScalingGroups"]],
    }
