"""The EKS backend: clusters with their life, and the parts above."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import DependencyViolationError
from moto.eks.exceptions import EKSError

from jarkkit.sandbox.account.eks import facts
from jarkkit.sandbox.account.eks.addons import Addons
from jarkkit.sandbox.account.eks.core import in_use, invalid
from jarkkit.sandbox.account.eks.nodes import Nodes
from jarkkit.sandbox.account.eks.parts import Extras, Update
from jarkkit.sandbox.clusters import HOST, Key, Spec


class UnsupportedAvailabilityZoneException(EKSError):  # noqa: N818 - AWS' own name
    """A subnet is in a zone where EKS places no control plane."""

    TYPE = "UnsupportedAvailabilityZoneException"
    STATUS = 400


class EksBackend(Addons, Nodes):
    """Amazon EKS of one account and Region."""

    def open_cluster(self, creator: str, name: str, **given: Any) -> Any:
        """CreateCluster."""
        access = {
            "authenticationMode": "CONFIG_MAP",
            "bootstrapClusterCreatorAdminPermissions": True,
            **(given.pop("access_config", None) or {}),
        }
        upgrade = given.pop("upgrade_policy", None) or {"supportType": "EXTENDED"}
        version = given.get("version") or facts.DEFAULT_VERSION
        if version not in facts.versions():
            invalid(f"unsupported Kubernetes version {version}", name)
        network = self._network(name, given.pop("resources_vpc_config"))
        for word in ("bootstrap_self_managed_addons", "zonal_shift_config", "deletion_protection"):
            given.pop(word, None)
        cluster: Any = self.create_cluster(
            name=name, resources_vpc_config=network, **{**given, "version": version}
        )
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
            **(given.get("kubernetes_network_config") or {}),
        }
        cluster.access_config = access
        cluster.upgrade_policy = upgrade
        cluster.health = {"issues": []}
        cluster.status = "CREATING"
        self.extras[name] = Extras()
        if access["bootstrapClusterCreatorAdminPermissions"]:
            self.add_access_entry(name, creator)
            scope = {"type": "cluster"}
            self.associate_access_policy(
                name, creator, self._policy(facts.ACCESS_POLICIES[0]), scope
            )
        self.begin_control_plane(name)
        self.later.add(self, "cluster create", "cluster_ready", name)
        return cluster

    def begin_control_plane(self, name: str) -> None:
        """What really runs behind the cluster: started now, or again after a restart."""
        cluster: Any = self.clusters[name]
        vpc = self.ec2.get_vpc(cluster.resources_vpc_config["vpcId"])
        ranges = [item["cidr_block"] for item in vpc.cidr_block_association_set]
        spec = Spec(
            identity=cluster.identifier,
            version=cluster.version,
            service_cidr=cluster.kubernetes_network_config["serviceIpv4Cidr"],
            pod_cidr=ranges[-1],  # the range for nodes and pods, where the VPC has one of its own
        )
        HOST.clusters.create(Key(self.region_name, name), spec)

    def _network(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Check the subnets and make the cluster's own security group."""
        if name in self.clusters:
            in_use(f"Cluster already exists with name: {name}", name)
        subnets = [self.ec2.get_subnet(subnet) for subnet in given.get("subnetIds", [])]
        if len({subnet.availability_zone for subnet in subnets}) < 2:
            invalid("Subnets specified must be in at least two different AZs", name)
        if len({subnet.vpc_id for subnet in subnets}) != 1:
            invalid("Subnets specified must be in one VPC", name)
        refused = [s for s in subnets if s.availability_zone_id in facts.REFUSED_ZONE_IDS]
        if refused:
            zone = refused[0].availability_zone
            raise UnsupportedAvailabilityZoneException(
                clusterName=name,
                message=f"Cannot create cluster '{name}' because {zone}, the targeted availability "
                "zone, does not currently have sufficient capacity to support the cluster.",
            )
        group = self.ec2.create_security_group(
            f"eks-cluster-sg-{name}-{secrets.randbelow(10**10)}",
            "EKS created security group applied to ENI that is attached to EKS Control Plane "
            "master nodes, as well as any managed workloads.",
            vpc_id=subnets[0].vpc_id,
            tags={"aws:eks:cluster-name": name, f"kubernetes.io/cluster/{name}": "owned"},
        )
        return {
            "securityGroupIds": [],
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
            **given,
            "vpcId": subnets[0].vpc_id,
            "clusterSecurityGroupId": group.id,
        }

    def cluster_ready(self, name: str) -> None:
        """The control plane answers."""
        cluster: Any = self.clusters.get(name)
        if not cluster or cluster.status != "CREATING":
            return
        standing = HOST.clusters.standing(Key(self.region_name, name))
        if standing.state == "starting":
            self.later.soon("cluster_ready", name)
        elif standing.state == "failed":
            cluster.status = "FAILED"
            issue = {"code": "InternalFailure", "message": standing.message, "resourceIds": [name]}
            cluster.health = {"issues": [issue]}
        else:
            cluster.endpoint = standing.endpoint
            cluster.certificate_authority = {"data": standing.authority}
            cluster.status = "ACTIVE"

    def change_cluster(self, name: str, **given: Any) -> Update:
        """UpdateClusterConfig: one kind of change at a time, as on EKS."""
        cluster = self.active_cluster(name)
        given.pop("client_request_token", None)
        if len(given) != 1:
            invalid("Only one type of update can be allowed.", name)
        kinds = {
            "resources_vpc_config": "EndpointAccessUpdate",
            "logging": "LoggingUpdate",
            "access_config": "AccessConfigUpdate",
            "upgrade_policy": "UpgradePolicyUpdate",
        }
        ((word, value),) = given.items()
        before = getattr(cluster, word, None)
        setattr(cluster, word, {**(before or {}), **value})
        return self._cluster_updating(cluster, kinds.get(word, "ConfigUpdate"), given)

    def update_cluster_version(self, name: str, version: str, **_: Any) -> Update:
        """One minor version up."""
        cluster = self.active_cluster(name)
        offered = facts.versions()
        step = offered.index(version) - offered.index(cluster.version) if version in offered else 0
        if step != 1:
            invalid(
                f"Unsupported Kubernetes minor version update from {cluster.version} to {version}"
            )
        cluster.version = version
        return self._cluster_updating(cluster, "VersionUpdate", {"Version": version})

    def _cluster_updating(self, cluster: Any, kind: str, given: dict[str, Any]) -> Update:
        cluster.status = "UPDATING"
        update = self.begin_update(cluster.name, kind, given)
        self.later.add(self, "cluster update", "end_update", cluster.name, update.id, cluster)
        return update

    def delete_cluster(self, name: str) -> Any:
        """DeleteCluster. Refuses while node groups are there."""
        cluster: Any = self.cluster_named(name)
        if cluster.nodegroups:
            in_use("Cluster has nodegroups attached", name)
        if cluster.status in ("CREATING", "UPDATING"):
            in_use(f"Cluster has status {cluster.status}", name)
        cluster.status = "DELETING"
        HOST.clusters.remove(Key(self.region_name, name))
        self.later.add(self, "cluster delete", "cluster_gone", name)
        return cluster

    def cluster_gone(self, name: str) -> None:
        """The cluster, its add-ons and its security group are removed; what it made stays."""
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
        """What EKS offers today, newest first."""
        today = utcnow().date()
        offered = [facts.cluster_version(v, today) for v in reversed(facts.versions())]
        return {
            "clusterVersions": [
                item
                for item in offered
                if (not cluster_versions or item["clusterVersion"] in cluster_versions)
                and (not default_only or item["defaultVersion"])
                and version_status in (None, item["versionStatus"])
            ]
        }
