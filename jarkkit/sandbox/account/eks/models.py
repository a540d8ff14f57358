"""The EKS backend: the life cycle of clusters, with node groups and add-ons."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.eks.exceptions import EKSError

from jarkkit.catalog.facts import default_eks_version, zones_without_control_planes
from jarkkit.sandbox.account import eks_reference_data as facts
from jarkkit.sandbox.account.eks import cluster_rules, support
from jarkkit.sandbox.account.eks.addons import AddonOperations
from jarkkit.sandbox.account.eks.cluster_rules import VersionChange, VersionUpgrade
from jarkkit.sandbox.account.eks.core import (
    InvalidStateException,
    raise_in_use,
    raise_invalid,
    raise_protected,
)
from jarkkit.sandbox.account.eks.nodes import NodegroupOperations
from jarkkit.sandbox.account.eks.records import ClusterExtras, Update
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import (
    CLUSTER_HOST,
    ClusterKey,
    ClusterStatus,
    ControlPlaneSpec,
)
from jarkkit.sandbox.faults import ACTIVE


class UnsupportedAvailabilityZoneException(EKSError):  # noqa: N818 - AWS' own name
    """A subnet is in a zone where EKS places no control plane."""

    TYPE = "UnsupportedAvailabilityZoneException"
    STATUS = 400


class EksBackend(AddonOperations, NodegroupOperations):
    """Amazon EKS of one account and Region."""

    def open_cluster(self, creator: str, name: str, **given: Any) -> Any:
        """Handle CreateCluster."""
        access = {
            "authenticationMode": "CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": True,
            **(given.pop("access_config", None) or {}),
        }
        upgrade = given.pop("upgrade_policy", None) or {"supportType": "EXTENDED"}
        version = given.get("version") or default_eks_version()
        if name in self.clusters:
            raise_in_use(f"Cluster already exists with name: {name}", name)
        if version not in facts.versions():
            raise_invalid(f"unsupported Kubernetes version {version}", name)
        self._check_support(name, upgrade["supportType"], version)
        self._check_cluster_role(name, given["role_arn"])
        network = self._network(name, given.pop("resources_vpc_config"))
        protected = bool(given.pop("deletion_protection", None))
        for word in ("bootstrap_self_managed_addons", "zonal_shift_config"):
            given.pop(word, None)
        cluster: Any = self.create_cluster(
            name=name, resources_vpc_config=network, **{**given, "version": version}
        )
        cluster.access_config = access
        cluster.upgrade_policy = upgrade
        cluster.deletion_protection = protected
        self._begin(cluster, given.get("kubernetes_network_config") or {})
        zones = frozenset(self._zones(network["subnetIds"]))
        self.extras[name] = ClusterExtras(zones=zones)
        if access["bootstrapClusterCreatorAdminPermissions"]:
            self.add_access_entry(name, creator)
            policy = self._policy(facts.ACCESS_POLICIES[0])
            self.associate_access_policy(name, creator, policy, {"type": "cluster"})
        self.begin_control_plane(name)
        self.later.add(self, "cluster create", "cluster_ready", name)
        return cluster

    def _begin(self, cluster: Any, network: dict[str, Any]) -> None:
        """Give a new cluster what EKS shows of it until it is ready."""
        identity = secrets.token_hex(16).upper()
        cluster.id = None
        cluster.identifier = identity
        cluster.endpoint = None
        issuer = f"https://oidc.eks.{self.region_name}.amazonaws.com/id/{identity}"
        cluster.identity = {"oidc": {"issuer": issuer}}
        cluster.certificate_authority = None
        cluster.platformVersion = "eks.1"
        cluster.kubernetes_network_config = {
            "serviceIpv4Cidr": "172.20.0.0/16",
            "ipFamily": "ipv4",
            **network,
        }
        cluster.health = {"issues": []}
        cluster.status = "CREATING"

    def begin_control_plane(self, name: str) -> None:
        """Start the cluster's real control plane, now or again after a restart."""
        cluster: Any = self.clusters[name]
        vpc = self.ec2.get_vpc(cluster.resources_vpc_config["vpcId"])
        ranges = [item["cidr_block"] for item in vpc.cidr_block_association_set]
        spec = ControlPlaneSpec(
            identity=cluster.identifier,
            version=cluster.version,
            service_cidr=cluster.kubernetes_network_config["serviceIpv4Cidr"],
            pod_cidr=ranges[-1],  # the range for nodes and pods, if the VPC has a separate one
        )
        CLUSTER_HOST.clusters.create(ClusterKey(self.region_name, name), spec)

    def _check_support(self, name: str, support_type: str, version: str) -> None:
        in_extended = support.is_in_extended_support(version)
        if reason := cluster_rules.why_not_support(support_type, version, in_extended=in_extended):
            raise_invalid(reason, name)

    def _check_cluster_role(self, name: str, role_arn: str) -> None:
        if not self.trusts(role_arn, "eks.amazonaws.com", "sts:AssumeRole"):
            raise_invalid(
                f"Role with arn: {role_arn}, could not be assumed because it does not exist or "
                "the trusted entity is not correct",
                name,
            )

    def _zones(self, subnet_ids: Iterable[str]) -> list[str]:
        return [str(self.ec2.get_subnet(subnet).availability_zone) for subnet in subnet_ids]

    def _check_subnets(self, name: str, subnets: Sequence[Any]) -> None:
        """Check the subnets of a control plane. Raises InvalidParameterException and others."""
        if len({subnet.availability_zone for subnet in subnets}) < 2:
            raise_invalid("Subnets specified must be in at least two different AZs", name)
        if len({subnet.vpc_id for subnet in subnets}) != 1:
            raise_invalid("Subnets specified must be in one VPC", name)
        refused = [s for s in subnets if s.availability_zone_id in zones_without_control_planes()]
        if refused:
            zone = refused[0].availability_zone
            raise UnsupportedAvailabilityZoneException(
                clusterName=name,
                message=f"Cannot create cluster '{name}' because {zone}, the targeted availability "
                "zone, does not currently have sufficient capacity to support the cluster.",
            )
        needed = cluster_rules.CREATE_ADDRESSES
        if full := [s.id for s in subnets if s.available_ip_address_count < needed]:
            raise_invalid(
                f"Subnets {', '.join(full)} have fewer than {needed} free IP addresses", name
            )

    def _check_endpoint(self, name: str, network: dict[str, Any]) -> None:
        reason = cluster_rules.why_not_endpoint(
            network["endpointPublicAccess"],
            network["endpointPrivateAccess"],
            network["publicAccessCidrs"],
        )
        if reason:
            raise_invalid(reason, name)

    def _network(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Check the network and create the cluster security group."""
        subnets = [self.subnet(subnet, name) for subnet in given.get("subnetIds", [])]
        self._check_subnets(name, subnets)
        network = {
            "securityGroupIds": [],
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
            **given,
            "vpcId": subnets[0].vpc_id,
        }
        self._check_endpoint(name, network)
        group = self.ec2.create_security_group(
            f"eks-cluster-sg-{name}-{secrets.randbelow(10**10)}",
            "EKS created security group applied to ENI that is attached to EKS Control Plane "
            "master nodes, as well as any managed workloads.",
            vpc_id=subnets[0].vpc_id,
            tags={"aws:eks:cluster-name": name, f"kubernetes.io/cluster/{name}": "owned"},
        )
        return {**network, "clusterSecurityGroupId": group.id}

    def cluster_ready(self, name: str) -> None:
        """Update the status from the control plane's status."""
        cluster: Any = self.clusters.get(name)
        if not cluster or cluster.status != "CREATING":
            return
        status = CLUSTER_HOST.clusters.cluster_status(ClusterKey(self.region_name, name))
        if ACTIVE.is_active("cluster-fails", name):
            status = ClusterStatus("failed", message="The request failed because of a fault")
        if status.state == "starting":
            self.later.retry("cluster_ready", name)
        elif status.state == "failed":
            cluster.status = "FAILED"
            issue = {"code": "InternalFailure", "message": status.message, "resourceIds": [name]}
            cluster.health = {"issues": [issue]}
        else:
            cluster.endpoint = status.endpoint
            cluster.certificate_authority = {"data": status.certificate_authority}
            cluster.status = "ACTIVE"

    def change_cluster(self, name: str, **given: Any) -> Update:
        """Handle UpdateClusterConfig: one kind of change at a time, as on EKS."""
        cluster = self.active_cluster(name)
        given.pop("client_request_token", None)
        if len(given) != 1:
            raise_invalid("Only one type of update can be allowed.", name)
        ((word, value),) = given.items()
        if word == "deletion_protection":
            cluster.deletion_protection = value
            return self._cluster_updating(cluster, "DeletionProtectionUpdate", given)
        after = {**(getattr(cluster, word, None) or {}), **value}
        kind = self._check_change(cluster, word, value, after)
        setattr(cluster, word, after)
        return self._cluster_updating(cluster, kind, given)

    def _check_change(
        self, cluster: Any, word: str, given: dict[str, Any], after: dict[str, Any]
    ) -> str:
        """Check one change of the configuration; return the type of its update."""
        if word == "resources_vpc_config":
            return self._check_network_change(cluster, given, after)
        if word == "access_config":
            mode = given.get("authenticationMode")
            before = cluster.access_config["authenticationMode"]
            if mode and (reason := cluster_rules.why_not_authentication(before, mode)):
                raise_invalid(reason, cluster.name)
        if word == "upgrade_policy":
            self._check_support(cluster.name, after["supportType"], cluster.version)
        kinds = {
            "logging": "LoggingUpdate",
            "access_config": "AccessConfigUpdate",
            "upgrade_policy": "UpgradePolicyUpdate",
        }
        return kinds.get(word, "ConfigUpdate")

    def _check_network_change(
        self, cluster: Any, given: dict[str, Any], after: dict[str, Any]
    ) -> str:
        """Check new subnets, or another access to the endpoint."""
        if "subnetIds" not in given:
            self._check_endpoint(cluster.name, after)
            return "VpcConfigUpdate" if "securityGroupIds" in given else "EndpointAccessUpdate"
        subnets = [self.subnet(subnet, cluster.name) for subnet in given["subnetIds"]]
        self._check_subnets(cluster.name, subnets)
        if any(subnet.vpc_id != after["vpcId"] for subnet in subnets):
            raise_invalid("Subnets specified must be in the VPC of the cluster", cluster.name)
        created = self.extras[cluster.name].zones
        given_zones = [subnet.availability_zone for subnet in subnets]
        if created and (reason := cluster_rules.why_not_zones(created, given_zones)):
            raise_invalid(reason, cluster.name)
        return "VpcConfigUpdate"

    def update_cluster_version(
        self, name: str, version: str, force: bool = False, **_: Any
    ) -> Update:
        """Upgrade by one minor version, or roll an upgrade back. `force` overrides insights."""
        cluster = self.active_cluster(name)
        change = VersionChange(
            current=cluster.version,
            requested=version,
            support_type=cluster.upgrade_policy["supportType"],
            offered=facts.versions(),
            now=CLOCK.now(),
            in_extended_support=[v for v in facts.versions() if support.is_in_extended_support(v)],
            node_groups={g.nodegroup_name: g.version for g in cluster.nodegroups.values()},
            last_upgrade=self.extras[name].last_upgrade,
        )
        if reason := cluster_rules.why_not_version(change):
            raise_invalid(reason, name)
        if change.is_rollback and change.newer_node_groups and not force:
            raise InvalidStateException(
                clusterName=name,
                message="Rollback readiness insights have errors: nodes of "
                f"{', '.join(change.newer_node_groups)} are newer than {version}. Roll them back "
                "first, or use force",
            )
        return self._change_version(cluster, version, rollback=change.is_rollback)

    def _change_version(self, cluster: Any, version: str, *, rollback: bool = False) -> Update:
        """Begin the update to another version. It fails in subnets without free addresses."""
        before, cluster.version = cluster.version, version
        kind = "VersionRollback" if rollback else "VersionUpdate"
        cluster.status = "UPDATING"
        update = self.begin_update(cluster.name, kind, {"Version": version})
        self.later.add(self, "cluster update", "version_changed", cluster, update.id, before)
        return update

    def version_changed(self, cluster: Any, update_id: str, before: str) -> None:
        """Complete the update of a version."""
        self.end_update(cluster.name, update_id, cluster)
        if cluster.name not in self.extras:
            return
        extras = self.extras[cluster.name]
        subnets = [self.ec2.get_subnet(s) for s in cluster.resources_vpc_config["subnetIds"]]
        if sum(s.available_ip_address_count for s in subnets) < cluster_rules.UPDATE_ADDRESSES:
            cluster.version = before
            issue = {
                "code": "InsufficientFreeAddresses",
                "message": "One or more of the subnets of the cluster do not have enough free IP "
                "addresses",
                "resourceIds": [subnet.id for subnet in subnets],
            }
            extras.updates[update_id].fail([issue])
            return
        ahead = cluster_rules.minor(cluster.version) > cluster_rules.minor(before)
        extras.last_upgrade = VersionUpgrade(before, CLOCK.now()) if ahead else None

    def upgrade_expired_clusters(self) -> bool:
        """Upgrade clusters with the policy STANDARD whose version's standard support has ended.

        Return True when there were any.
        """
        upgraded = False
        clusters: list[Any] = list(self.clusters.values())
        for cluster in clusters:
            offered, version = facts.versions(), cluster.version
            is_standard = cluster.upgrade_policy["supportType"] == "STANDARD"
            if cluster.status != "ACTIVE" or not is_standard or version == offered[-1]:
                continue
            if support.is_in_extended_support(version):
                self._change_version(cluster, offered[offered.index(version) + 1])
                upgraded = True
        return upgraded

    def _cluster_updating(self, cluster: Any, kind: str, given: dict[str, Any]) -> Update:
        cluster.status = "UPDATING"
        update = self.begin_update(cluster.name, kind, given)
        self.later.add(self, "cluster update", "end_update", cluster.name, update.id, cluster)
        return update

    def delete_cluster(self, name: str) -> Any:
        """Handle DeleteCluster; one that is being deleted is returned as it is.

        Raises ResourceInUseException while node groups exist, and InvalidRequestException while an
        active cluster has deletion protection.
        """
        cluster: Any = self.cluster_named(name)
        if cluster.status == "DELETING":
            return cluster
        if cluster.status == "ACTIVE" and getattr(cluster, "deletion_protection", False):
            raise_protected(name)
        if cluster.nodegroups:
            raise_in_use("Cluster has nodegroups attached", name)
        if cluster.status in ("CREATING", "UPDATING"):
            raise_in_use(f"Cluster has status {cluster.status}", name)
        cluster.status = "DELETING"
        CLUSTER_HOST.clusters.remove(ClusterKey(self.region_name, name))
        self.later.add(self, "cluster delete", "cluster_gone", name)
        return cluster

    def cluster_gone(self, name: str) -> None:
        """Remove the cluster, its add-ons and its security group; what it created stays."""
        cluster: Any = self.cluster_named(name)
        super().delete_cluster(name)
        self.extras.pop(name)
        group_id = cluster.resources_vpc_config["clusterSecurityGroupId"]
        if self.ec2.get_security_group_from_id(group_id):
            with contextlib.suppress(DependencyViolationError):  # in use: EKS leaves it behind
                self.ec2.delete_security_group(group_id=group_id)

    def describe_cluster_versions(
        self,
        cluster_versions: list[str] | None = None,
        default_only: bool = False,
        version_status: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """List the versions that EKS offers today, newest first."""
        offered = [
            facts.cluster_version(v, support.today(), support.standard_support_end(v))
            for v in reversed(facts.versions())
        ]
        return {
            "clusterVersions": [
                item
                for item in offered
                if (not cluster_versions or item["clusterVersion"] in cluster_versions)
                and (not default_only or item["defaultVersion"])
                and version_status in (None, item["versionStatus"])
            ]
        }
