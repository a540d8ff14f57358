"""Managed node groups, which launch and terminate instances in the account."""

from __future__ import annotations

from typing import Any

from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.eks.exceptions import InvalidRequestException, ResourceInUseException
from moto.eks.models import DEFAULT_INSTANCE_TYPES, DEFAULT_SCALING_CONFIG
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox import user_data
from jarkkit.sandbox.account import node_images
from jarkkit.sandbox.account.ec2 import egress, instance_types
from jarkkit.sandbox.account.eks import node_group_rules
from jarkkit.sandbox.account.eks.access import AccessOperations
from jarkkit.sandbox.account.eks.core import raise_invalid
from jarkkit.sandbox.account.eks.records import Update
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import CLUSTER_HOST, ClusterKey

# The minimum: at speed 0 the scaled timeout is 0, but a kubelet still needs time to start.
_JOIN_TIMEOUT_SECONDS = 60.0


class NodegroupOperations(AccessOperations):
    """CreateNodegroup and related operations."""

    def open_nodegroup(self, cluster_name: str, nodegroup_name: str, **given: Any) -> Any:
        """Handle CreateNodegroup: the instances run when the group is active."""
        cluster = self.active_cluster(cluster_name)
        given["ami_type"] = self._ami_type(given)
        self._check_group(cluster, given)
        role = given["node_role"].rsplit("/", 1)[-1]
        if not any(known.name == role for known in self.iam.roles.values()):
            raise_invalid(f"The role with name {role} cannot be found.", cluster_name)
        update_config = given.pop("update_config", None)
        repair = given.pop("node_repair_config", None)
        group: Any = self.create_nodegroup(
            cluster_name=cluster_name,
            nodegroup_name=nodegroup_name,
            **{**given, "version": given.get("version") or cluster.version},
        )
        # EKS repeats only what the call named.
        if "InstanceType" in self._template_data(group.launch_template):
            group.instance_types = given.get("instance_types")
        group.update_config = update_config or {"maxUnavailable": 1}
        group.node_repair_config = repair or {"enabled": False}
        group.remote_access = given.get("remote_access")
        group.disk_size = given.get("disk_size") or (None if given.get("launch_template") else 20)
        group.release_version = given.get("release_version") or self._newest_release(group)
        group.health = {"issues": []}
        group.resources = {"autoScalingGroups": group.resources["autoScalingGroups"]}
        group.instance_ids = []
        group.status = "CREATING"
        group.wait_ends_at = CLOCK.now() + CLOCK.seconds("node group wait")
        group.given_up_at = max(group.wait_ends_at, CLOCK.now() + _JOIN_TIMEOUT_SECONDS)
        self._grant_access(group)
        self.later.add(
            self, "node group launch", "nodegroup_launched", cluster_name, nodegroup_name
        )
        self.later.add(self, "node group create", "nodegroup_ready", cluster_name, nodegroup_name)
        return group

    # -- rules ---------------------------------------------------------------------------------

    def _template_data(self, named: dict[str, Any] | None) -> dict[str, Any]:
        """Return the data of a launch template; empty without one.

        Raises InvalidParameterException if it does not exist.
        """
        if not named:
            return {}
        try:
            if named.get("id"):
                template = self.ec2.get_launch_template(named["id"])
            else:
                template = self.ec2.get_launch_template_by_name(named["name"])
        except EC2ClientError as error:
            raise_invalid(error.message)
        return dict(template.get_version(str(named.get("version") or "$Default")).data)

    def _instance_types(
        self, named: list[str] | None, template: dict[str, Any] | None
    ) -> list[str]:
        """Return the types of a group: those that it names, its template's, or EKS' default."""
        of_template = self._template_data(template).get("InstanceType")
        return named or ([of_template] if of_template else DEFAULT_INSTANCE_TYPES)

    def _ami_type(self, given: dict[str, Any]) -> str:
        """Return the group's AMI type: that of the request, or EKS' default."""
        has_own_image = "ImageId" in self._template_data(given.get("launch_template"))
        default = "CUSTOM" if has_own_image else node_group_rules.DEFAULT_AMI_TYPE
        if has_own_image and given.get("ami_type") not in (None, "CUSTOM"):
            raise_invalid(
                "You cannot specify an AMI Type other than CUSTOM, when specifying an image id in "
                "your launch template."
            )
        return given.get("ami_type") or default

    def _check_group(self, cluster: Any, given: dict[str, Any]) -> None:
        """Check a new group. Raises InvalidParameterException, InvalidRequestException."""
        for subnet in given["subnets"]:
            if self.subnet(subnet, cluster.name).vpc_id != cluster.resources_vpc_config["vpcId"]:
                raise_invalid(f"Subnet {subnet} is not in the VPC of the cluster", cluster.name)
        template = given.get("launch_template")
        if "InstanceType" in self._template_data(template) and given.get("instance_types"):
            raise InvalidRequestException(
                clusterName=cluster.name,
                message="Cannot specify instance types in launch template and API request",
            )
        types = self._instance_types(given.get("instance_types"), template)
        ami_type = given["ami_type"]
        releases = node_images.releases(ami_type, cluster.version)
        offered = instance_types.offered_in(self.region_name)
        self._reject_first(
            cluster.name,
            node_group_rules.why_not_created_with(
                given.get("scaling_config") or DEFAULT_SCALING_CONFIG
            ),
            node_group_rules.why_not_ami_type(ami_type),
            node_group_rules.why_not_version(given.get("version"), cluster.version),
            node_group_rules.why_not_release(given.get("release_version"), releases),
            node_group_rules.why_not_instance_types(ami_type, types, offered),
        )

    def _reject_first(self, cluster_name: str, *reasons: str | None) -> None:
        for reason in filter(None, reasons):
            raise_invalid(reason, cluster_name)

    def _newest_release(self, group: Any) -> str:
        """Return the newest AMI release; a custom AMI is its own release."""
        own = self._template_data(group.launch_template).get("ImageId")
        return str(own or node_images.for_node_group(group.ami_type, group.version).release)

    def _grant_access(self, group: Any) -> None:
        """Create an instance profile and an access entry for the group's role, as EKS does."""
        profile = f"eks-{random.uuid4()}"
        self.iam.create_instance_profile(profile, "/", [])
        self.iam.add_role_to_instance_profile(profile, group.node_role.rsplit("/", 1)[-1])
        group.instance_profile = profile
        if group.node_role not in self.extras_of(group.cluster_name).access_entries:
            self.add_access_entry(group.cluster_name, group.node_role, type="EC2_LINUX")

    def _group(self, cluster_name: str, nodegroup_name: str) -> Any:
        """Return the group if it is still being created; else None."""
        cluster: Any = self.clusters.get(cluster_name)
        group: Any = cluster and cluster.nodegroups.get(nodegroup_name)
        return group if group and group.status == "CREATING" else None

    def nodegroup_launched(self, cluster_name: str, nodegroup_name: str) -> None:
        """Launch the group's instances, or set CREATE_FAILED."""
        group = self._group(cluster_name, nodegroup_name)
        if group and not self.scale(group):
            group.status = "CREATE_FAILED"

    def nodegroup_ready(self, cluster_name: str, nodegroup_name: str) -> None:
        """Set ACTIVE when all nodes have joined, CREATE_FAILED after the timeout."""
        group = self._group(cluster_name, nodegroup_name)
        if group is None:
            return
        key = ClusterKey(self.region_name, cluster_name)
        cut_off = self._has_cut_off_instances(group)
        if not cut_off and CLUSTER_HOST.clusters.have_joined(key, group.instance_ids):
            group.status = "ACTIVE"
        elif CLOCK.has_reached(group.wait_ends_at if cut_off else group.given_up_at):
            group.health = {"issues": [_not_joined(group)]}
            group.status = "CREATE_FAILED"
        else:
            self.later.retry("nodegroup_ready", cluster_name, nodegroup_name)

    def _has_cut_off_instances(self, group: Any) -> bool:
        """Return True when an instance's network does not let it join, however long it takes."""
        instances = self.ec2.get_multi_instances_by_id(group.instance_ids)
        return any(egress.why_not_joining(self.ec2, instance) for instance in instances)

    def scale(self, group: Any) -> bool:
        """Launch or terminate instances until there are as many as desired.

        Return False when EC2 rejects a launch; the group's health then has the reason.
        """
        group.health = {"issues": []}
        desired = int(group.scaling_config["desiredSize"])
        try:
            while len(group.instance_ids) < desired:
                group.instance_ids.append(self._launch(group, len(group.instance_ids)))
        except EC2ClientError as error:
            group.health = {"issues": [_not_launched(group, error)]}
        surplus, group.instance_ids = group.instance_ids[desired:], group.instance_ids[:desired]
        if surplus:
            self.ec2.terminate_instances(surplus)
        return not group.health["issues"]

    def _launch(self, group: Any, index: int) -> str:
        tags = {
            "eks:cluster-name": group.cluster_name,
            "eks:nodegroup-name": group.nodegroup_name,
            f"kubernetes.io/cluster/{group.cluster_name}": "owned",
        }
        template = _template_of(group)
        cluster: Any = self.clusters[group.cluster_name]
        reservation = self.ec2.run_instances(
            image_id=self._image(group),
            count=1,
            user_data=Base64EncodedString.from_raw_string(self._user_data(group)),
            iam_instance_profile_name=group.instance_profile,
            security_group_names=[],
            security_group_ids=[cluster.resources_vpc_config["clusterSecurityGroupId"]],
            instance_type=self._instance_types(group.instance_types, group.launch_template)[0],
            is_instance_type_default=False,
            subnet_id=group.subnets[index % len(group.subnets)],
            instance_market_options="spot" if group.capacity_type == "SPOT" else None,
            tags={"instance": tags, "volume": tags},
            **({"launch_template": template} if template else {}),
        )
        return str(reservation.instances[0].id)

    def _user_data(self, group: Any) -> str:
        labels = {
            **(group.labels or {}),
            "eks.amazonaws.com/nodegroup": group.nodegroup_name,
            "eks.amazonaws.com/capacityType": group.capacity_type or "ON_DEMAND",
            "eks.amazonaws.com/nodegroup-image": self._image(group),
        }
        taints = user_data.kubernetes_taints(group.taints or [])
        return user_data.render(user_data.NodeConfig(group.cluster_name, labels, taints))

    def _image(self, group: Any) -> str:
        """Return the AMI for the group's type; empty for CUSTOM, whose AMI is in the template."""
        if group.ami_type == "CUSTOM":
            return ""
        image = node_images.for_node_group(group.ami_type, group.version, group.release_version)
        return image.id_in(self.region_name)

    def change_nodegroup(self, cluster_name: str, nodegroup_name: str, **given: Any) -> Update:
        """Handle UpdateNodegroupConfig."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        if given.get("scaling_config"):
            given["scaling_config"] = {**group.scaling_config, **given["scaling_config"]}
            self._reject_first(
                cluster_name, node_group_rules.why_not_scaled_to(given["scaling_config"])
            )
        self.update_nodegroup_config(cluster_name, nodegroup_name, **given)
        self.scale(group)
        return self._updating(group, "ConfigUpdate", given)

    def update_nodegroup_version(
        self, cluster_name: str, nodegroup_name: str, **given: Any
    ) -> Update:
        """Replace the nodes with nodes of another version or launch template."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        of_cluster: str = self.cluster_named(cluster_name).version
        before = group.version, group.release_version
        version = given.get("version") or of_cluster
        template = {**(group.launch_template or {}), **(given.get("launch_template") or {})}
        types = self._instance_types(group.instance_types, template)
        self._reject_first(
            cluster_name,
            node_group_rules.why_not_template(given.get("launch_template"), group.launch_template),
            node_group_rules.why_not_instance_types(
                group.ami_type, types, instance_types.offered_in(self.region_name)
            ),
            node_group_rules.why_not_version(version, of_cluster, present=group.version),
            node_group_rules.why_not_release(
                given.get("release_version"), node_images.releases(group.ami_type, version)
            ),
        )
        group.version = version
        group.release_version = given.get("release_version") or self._newest_release(group)
        if given.get("launch_template"):
            group.launch_template.update(given["launch_template"])
        old, group.instance_ids = group.instance_ids, []
        if not self.scale(group):  # terminate the new instances, keep the old ones
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
        """Complete the update.

        A group that did not get its instances becomes DEGRADED. A version update whose new nodes
        did not launch fails.
        """
        self.end_update(cluster_name, update_id, group)
        issues = group.health["issues"]
        if not issues or cluster_name not in self.extras:
            return
        group.status = "DEGRADED"
        update = self.extras_of(cluster_name).updates[update_id]
        if update.type == "VersionUpdate":
            update.fail(issues)

    def delete_nodegroup(self, cluster_name: str, nodegroup_name: str) -> Any:
        """Handle DeleteNodegroup: the group exists until its instances are terminated.

        One that is being deleted is returned as it is.
        """
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        if group.status == "DELETING":
            return group
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
        """Terminate the group's instances and remove the group."""
        group: Any = self.describe_nodegroup(cluster_name, nodegroup_name)
        if group.instance_ids:
            self.ec2.terminate_instances(group.instance_ids)
        role = group.node_role.rsplit("/", 1)[-1]
        self.iam.remove_role_from_instance_profile(group.instance_profile, role)
        self.iam.delete_instance_profile(group.instance_profile)
        super().delete_nodegroup(cluster_name, nodegroup_name)


def _template_of(group: Any) -> dict[str, str]:
    """Return the group's launch template as EC2 names it; empty if it has none."""
    if not group.launch_template:
        return {}
    return {
        "LaunchTemplateId": group.launch_template["id"],
        "Version": group.launch_template.get("version", "$Default"),
    }


def _not_joined(group: Any) -> dict[str, Any]:
    """Build EKS' health issue for instances whose kubelets never joined."""
    return {
        "code": "NodeCreationFailure",
        "message": "Instances failed to join the kubernetes cluster",
        "resourceIds": group.instance_ids,
    }


def _not_launched(group: Any, error: EC2ClientError) -> dict[str, Any]:
    """Build EKS' health issue for an EC2 error that the Auto Scaling group received."""
    kind = "Spot" if group.capacity_type == "SPOT" else "On-Demand"
    return {
        "code": "AsgInstanceLaunchFailures",
        "message": f"Could not launch {kind} Instances. {error.code} - {error.message} Launching "
        "EC2 instance failed.",
        "resourceIds": [item["name"] for item in group.resources["autoScalingGroups"]],
    }
