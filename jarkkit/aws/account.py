"""What the kit asks an account in one Region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jarkkit.aws import inventory
from jarkkit.aws.session import Session, client_error_code, translated
from jarkkit.aws.token import cluster_token
from jarkkit.errors import JarkkitError
from jarkkit.records import Caller, Cluster, ClusterVersion, Owned, Part, Zone

_ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")


class Account:
    """An AWS account in one Region, real or rehearsed. Making one calls nobody."""

    def __init__(self, region: str, environ: Mapping[str, str]) -> None:
        self.region = region
        self._session = Session(region, environ)

    def caller(self) -> Caller:
        """Whose credentials these are. The first call of every step: it needs no permission."""
        with translated("sts GetCallerIdentity"):
            answer = self._session.client("sts").get_caller_identity()
        return Caller(account_id=answer["Account"], arn=answer["Arn"])

    def known_regions(self) -> tuple[str, ...]:
        """Regions where EKS exists, from the SDK's data (no call)."""
        return self._session.known_regions()

    def enabled_regions(self) -> tuple[str, ...]:
        """Regions that are enabled in this account."""
        with translated("ec2 DescribeRegions"):
            answer = self._session.client("ec2").describe_regions()
        return tuple(sorted(region["RegionName"] for region in answer["Regions"]))

    def zones(self) -> tuple[Zone, ...]:
        """All zones that the account sees in the Region, Local and Wavelength Zones included."""
        with translated("ec2 DescribeAvailabilityZones"):
            answer = self._session.client("ec2").describe_availability_zones()
        return tuple(
            Zone(
                name=zone["ZoneName"],
                zone_id=zone["ZoneId"],
                zone_type=zone.get("ZoneType", "availability-zone"),
                opt_in_status=zone.get("OptInStatus", "opt-in-not-required"),
                state=zone.get("State", "available"),
            )
            for zone in answer["AvailabilityZones"]
        )

    def offerings(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        """For each instance-type pattern (`g6.*`, `m5.xlarge`) the names of the zones that offer
        a type of it."""
        found: dict[str, frozenset[str]] = {}
        pages = self._session.client("ec2").get_paginator("describe_instance_type_offerings")
        for pattern in patterns:
            filters = [{"Name": "instance-type", "Values": [pattern]}]
            with translated("ec2 DescribeInstanceTypeOfferings"):
                answer = pages.paginate(LocationType="availability-zone", Filters=filters)
                offered = [o for page in answer for o in page["InstanceTypeOfferings"]]
            found[pattern] = frozenset(offer["Location"] for offer in offered)
        return found

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        """The Kubernetes versions that EKS offers here today."""
        with translated("eks DescribeClusterVersions"):
            answer = self._session.client("eks").describe_cluster_versions()
        return tuple(
            ClusterVersion(
                version=item["clusterVersion"],
                support=str(item.get("versionStatus") or item.get("status") or ""),
                end_of_standard_support=str(item.get("endOfStandardSupportDate", ""))[:10],
            )
            for item in answer["clusterVersions"]
        )

    def cluster(self, name: str) -> Cluster | None:
        """The cluster of that name, or None."""
        found = self._describe("describe_cluster", "cluster", name=name)
        if found is None:
            return None
        return Cluster(
            name=found["name"],
            arn=found["arn"],
            status=found["status"],
            version=found["version"],
            endpoint=found.get("endpoint", ""),
            platform_version=found.get("platformVersion", ""),
        )

    def cluster_token(self, name: str) -> tuple[str, datetime]:
        """A bearer token for that cluster's API, and until when it may be used. Calls nobody."""
        return cluster_token(self._session, name, datetime.now(UTC))

    def node_image_version(self, cluster_version: str) -> str:
        """Version of the newest Amazon Linux 2023 images for nodes, as Karpenter's aliases have it
        (`v20261101`).

        https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
        """
        path = f"/aws/service/eks/optimized-ami/{cluster_version}/amazon-linux-2023/x86_64"
        with translated("ssm GetParameter"):
            answer = self._session.client("ssm").get_parameter(
                Name=f"{path}/standard/recommended/release_version"
            )
        return "v" + str(answer["Parameter"]["Value"]).rpartition("-")[2]

    def secret(self, arn: str) -> str:
        """The text of a secret in Secrets Manager."""
        with translated("secretsmanager GetSecretValue"):
            answer = self._session.client("secretsmanager").get_secret_value(SecretId=arn)
        return str(answer["SecretString"])

    def cluster_tags(self, name: str) -> dict[str, str]:
        """The tags of the cluster of that name; empty when there is none."""
        found = self._describe("describe_cluster", "cluster", name=name)
        return dict(found.get("tags", {})) if found else {}

    def parts(self, cluster: str) -> tuple[Part, ...]:
        """The cluster's node groups and EKS add-ons with their health."""
        eks = self._session.client("eks")
        parts: list[Part] = []
        with translated("eks ListNodegroups"):
            groups = eks.list_nodegroups(clusterName=cluster)["nodegroups"]
        for name in groups:
            group = self._describe(
                "describe_nodegroup", "nodegroup", clusterName=cluster, nodegroupName=name
            )
            if group:
                parts.append(_part("node group", name, group))
        with translated("eks ListAddons"):
            addons = eks.list_addons(clusterName=cluster)["addons"]
        for name in addons:
            addon = self._describe("describe_addon", "addon", clusterName=cluster, addonName=name)
            if addon:
                parts.append(_part("add-on", name, addon))
        return tuple(parts)

    def launched_by_karpenter(self, deployment: str) -> tuple[str, ...]:
        """Ids of the deployment's instances that Karpenter launched and that are not gone yet."""
        filters = [
            {"Name": f"tag:{inventory.TAG}", "Values": [deployment]},
            {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
            {"Name": "instance-state-name", "Values": list(_ALIVE)},
        ]
        with translated("ec2 DescribeInstances"):
            pages = self._session.client("ec2").get_paginator("describe_instances")
            found = [r for page in pages.paginate(Filters=filters) for r in page["Reservations"]]
        return tuple(i["InstanceId"] for reservation in found for i in reservation["Instances"])

    def end_instances(self, ids: Sequence[str]) -> None:
        """Terminate these instances."""
        with translated("ec2 TerminateInstances"):
            self._session.client("ec2").terminate_instances(InstanceIds=list(ids))

    def owned(self, deployment: str) -> tuple[tuple[Owned, ...], tuple[str, ...], tuple[str, ...]]:
        """Everything in the Region that carries the deployment's tag or name.

        Returns what was found, the places looked at, and the places that could not be looked at
        (with the reason).
        """
        return inventory.scan(self._session, deployment)

    def _describe(self, operation: str, key: str, **names: str) -> dict[str, Any] | None:
        try:
            with translated(f"eks {operation}"):
                return dict(getattr(self._session.client("eks"), operation)(**names)[key])
        except JarkkitError as error:
            if client_error_code(error.__cause__ or error) == "ResourceNotFoundException":
                return None
            raise


def _part(kind: Any, name: str, found: Mapping[str, Any]) -> Part:
    issues = found.get("health", {}).get("issues", [])
    return Part(
        kind=kind,
        name=name,
        status=found["status"],
        version=found.get("addonVersion") or found.get("version") or "",
        issues=tuple(f"{i.get('code', '')}: {i.get('message', '')}" for i in issues),
    )
