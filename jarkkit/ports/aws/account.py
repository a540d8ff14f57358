"""All AWS calls that jarkkit makes in one account and Region."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from jarkkit.decisions import zones
from jarkkit.model.errors import JarkkitError, ObjectNotFound
from jarkkit.model.port_answers import ClusterToken, ResourceInventory
from jarkkit.model.records import (
    Caller,
    ClusterComponent,
    ClusterVersion,
    EksCluster,
    NodeRun,
    OwnedResource,
    Zone,
)
from jarkkit.model.unknown import known_or_raise
from jarkkit.ports.aws import inventory, network_users, removal
from jarkkit.ports.aws.clock_skew import skew_seconds
from jarkkit.ports.aws.cluster_access import ClusterAccess
from jarkkit.ports.aws.cluster_token import cluster_token
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.diagnosis_queries import AccountHealth
from jarkkit.ports.aws.existing_network import ExistingNetwork
from jarkkit.ports.aws.identity import CallerIdentity
from jarkkit.ports.aws.instance_types import InstanceTypes
from jarkkit.ports.aws.name_conflicts import NameConflicts
from jarkkit.ports.aws.named_resources import NamedResources
from jarkkit.ports.aws.pricing import Pricing
from jarkkit.ports.aws.quota_usage import AccountUsage
from jarkkit.ports.aws.quotas import ServiceQuotas
from jarkkit.ports.aws.regional_availability import Availability
from jarkkit.ports.aws.session import AwsSession, paginate, translate_errors

_NEEDED = (
    "sts", "ec2", "eks", "iam", "kms", "logs", "sqs", "events", "ssm", "efs", "s3", "elbv2",
    "autoscaling", "service-quotas",
)  # fmt: skip
_DAY_SECONDS = 86_400
_ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")


class Account:
    """An AWS account in one Region, real or simulated. The constructor makes no call."""

    def __init__(
        self, region: str, environ: Mapping[str, str], session: AwsSession | None = None
    ) -> None:
        self.region = region
        self._environ = environ
        self._session = session or AwsSession(region, environ)

    def in_region(self, region: str) -> Account:
        """Return the same account in another Region."""
        return Account(region, self._environ, self._session.in_region(region))

    def without_retries(self) -> Account:
        """Return the same account for a call whose answer is not worth a long wait."""
        return Account(self.region, self._environ, self._session.without_retries())

    @cached_property
    def availability(self) -> Availability:
        """What AWS offers in this Region."""
        return Availability(self._session)

    @cached_property
    def health(self) -> AccountHealth:
        """Health of a deployment's AWS resources."""
        return AccountHealth(self._session)

    @cached_property
    def identity(self) -> CallerIdentity:
        """The caller's identity and permissions."""
        return CallerIdentity(self._session)

    @cached_property
    def cluster_access(self) -> ClusterAccess:
        """The caller's own access to clusters."""
        return ClusterAccess(self._session, self.identity)

    @cached_property
    def name_conflicts(self) -> NameConflicts:
        """Existing resources with the names that a deployment needs."""
        return NameConflicts(self._session)

    @cached_property
    def instance_types(self) -> InstanceTypes:
        """Properties of instance types."""
        return InstanceTypes(self._session)

    @cached_property
    def named_resources(self) -> NamedResources:
        """Resources that settings name by ARN."""
        return NamedResources(self._session)

    @cached_property
    def network(self) -> ExistingNetwork:
        """Existing VPCs."""
        return ExistingNetwork(self._session)

    @cached_property
    def quotas(self) -> ServiceQuotas:
        """Service quotas and quota increase requests."""
        return ServiceQuotas(self._session)

    @cached_property
    def usage(self) -> AccountUsage:
        """Current usage of the resources that quotas limit."""
        return AccountUsage(self._session, self.instance_types)

    @cached_property
    def pricing(self) -> Pricing:
        """List prices of this Region."""
        return Pricing(self._session)

    def ignore_cache(self) -> None:
        """Ignore all responses that are cached so far, in every Region."""
        self._session.ignore_cache()

    def endpoints(self) -> dict[str, str]:
        """Return the endpoint URLs of the services that every deployment needs. Makes no call."""
        return {name: str(self._session.client(name).meta.endpoint_url) for name in _NEEDED}

    def clock_skew(self) -> float | None:
        """Return how many seconds this machine's clock is ahead of AWS' (behind: negative); None
        if AWS does not report its time."""
        return skew_seconds(self._session)

    def caller(self) -> Caller:
        """Return the owner of the credentials. The first call of every step: it needs no
        permission."""
        answer = self._session.identity()
        return Caller(account_id=answer["Account"], arn=answer["Arn"])

    def known_regions(self) -> tuple[str, ...]:
        """Return the Regions where EKS exists, from the SDK's data (no call)."""
        return self._session.known_regions()

    def enabled_regions(self) -> tuple[str, ...]:
        """Return the Regions that are enabled in this account."""
        return self.availability.enabled_regions()

    def zones(self) -> tuple[Zone, ...]:
        """Return all zones of the Region that the account can see, including Local and Wavelength
        Zones."""
        return self.availability.zones()

    def offerings(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return, for each instance type pattern (`g6.*`, `m5.xlarge`), the names of the zones that
        offer a matching type."""
        wanted = list(patterns)
        return zones.zones_by_pattern(wanted, self.availability.zones_by_type(wanted))

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        """Return the Kubernetes versions that EKS currently offers in this Region."""
        return self.availability.cluster_versions()

    def cluster(self, name: str) -> EksCluster | None:
        """Return the cluster of that name, or None."""
        found = self._describe("describe_cluster", "cluster", name=name)
        if found is None:
            return None
        network = found.get("resourcesVpcConfig", {})
        return EksCluster(
            name=found["name"],
            arn=found["arn"],
            status=found["status"],
            version=found["version"],
            endpoint=found.get("endpoint", ""),
            deletion_protection=bool(found.get("deletionProtection")),
            tags=dict(found.get("tags") or {}),
            issues=_issues(found),
            public=bool(network.get("endpointPublicAccess", True)),
            open_to=tuple(network.get("publicAccessCidrs", ())),
        )

    def set_deletion_protection(self, cluster: str, *, enabled: bool) -> None:
        """Switch a cluster's deletion protection on or off. AWS applies it in the background."""
        with translate_errors("eks UpdateClusterConfig"):
            self._session.client("eks").update_cluster_config(
                name=cluster, deletionProtection=enabled
            )

    def cluster_token(self, name: str) -> ClusterToken:
        """Return a bearer token for that cluster's API and its expiry. Makes no call."""
        return cluster_token(self._session, name, datetime.now(UTC))

    def node_image_version(self, cluster_version: str) -> str:
        """Return the version of the newest Amazon Linux 2023 node images, as in Karpenter's AMI
        aliases (`v20261101`).

        https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
        """
        return "v" + self.node_release_version(cluster_version).rpartition("-")[2]

    def node_release_version(self, cluster_version: str, ami_version: str = "") -> str:
        """Return the release version of Amazon Linux 2023 node images, as node groups name it
        (`1.36.0-20261101`): of that AMI version, or the newest.

        Raises JK-SETTINGS-INVALID if AWS does not publish that AMI version.
        """
        path = f"/aws/service/eks/optimized-ami/{cluster_version}/amazon-linux-2023/x86_64/standard"
        image = f"amazon-eks-node-al2023-x86_64-standard-{cluster_version}-{ami_version}"
        name = f"{path}/{image if ami_version else 'recommended'}/release_version"
        try:
            with translate_errors("ssm GetParameter"):
                answer = self._session.client("ssm").get_parameter(Name=name)
        except ObjectNotFound as error:
            if ami_version:
                raise JarkkitError(
                    "JK-SETTINGS-INVALID",
                    f"AWS publishes no node image {ami_version} for Kubernetes {cluster_version}.",
                    "Set ami_version to a version that exists, or leave it empty for the newest.",
                ) from error
            raise
        return str(answer["Parameter"]["Value"])

    def newest_addon_versions(self, names: Iterable[str], cluster_version: str) -> dict[str, str]:
        """Return the newest version of each EKS add-on for a version of Kubernetes.

        Raises JK-ADDON-VERSION for an add-on that EKS does not offer.
        """
        calls = {name: partial(self._newest_addon_version, name, cluster_version) for name in names}
        return {name: known_or_raise(answer) for name, answer in gather(calls).items()}

    def _newest_addon_version(self, name: str, cluster_version: str) -> str:
        with translate_errors("eks DescribeAddonVersions"):
            answer = self._session.client("eks").describe_addon_versions(
                addonName=name, kubernetesVersion=cluster_version
            )
        offered = [v["addonVersion"] for addon in answer["addons"] for v in addon["addonVersions"]]
        if not offered:
            raise JarkkitError(
                "JK-ADDON-VERSION",
                f"EKS offers no version of the add-on {name} for Kubernetes {cluster_version}.",
                f"Switch it off (addons.{name}: false), or choose another cluster_version.",
            )
        return str(offered[0])  # EKS lists the newest first

    def secret(self, arn: str) -> str:
        """Return the text of a secret in Secrets Manager."""
        with translate_errors("secretsmanager GetSecretValue"):
            answer = self._session.client("secretsmanager").get_secret_value(SecretId=arn)
        return str(answer["SecretString"])

    def cluster_components(self, cluster: str) -> tuple[ClusterComponent, ...]:
        """Return the cluster's node groups and EKS add-ons with their health."""
        eks = self._session.client("eks")
        parts: list[ClusterComponent] = []
        with translate_errors("eks ListNodegroups"):
            groups = eks.list_nodegroups(clusterName=cluster)["nodegroups"]
        for name in groups:
            group = self._describe(
                "describe_nodegroup", "nodegroup", clusterName=cluster, nodegroupName=name
            )
            if group:
                parts.append(_part("node group", name, group))
        with translate_errors("eks ListAddons"):
            addons = eks.list_addons(clusterName=cluster)["addons"]
        for name in addons:
            addon = self._describe("describe_addon", "addon", clusterName=cluster, addonName=name)
            if addon:
                parts.append(_part("add-on", name, addon))
        return tuple(parts)

    def days_since_upgrade(self, cluster: str) -> float | None:
        """Return the days since the cluster's last upgrade; None if it was never upgraded."""
        eks = self._session.client("eks")
        with translate_errors("eks ListUpdates"):
            ids = list(paginate(eks, "list_updates", "updateIds", name=cluster))
        times = []
        for update_id in ids:
            with translate_errors("eks DescribeUpdate"):
                update = eks.describe_update(name=cluster, updateId=update_id)["update"]
            if update["type"] == "VersionUpdate" and update["status"] == "Successful":
                times.append(update["createdAt"])
        return (datetime.now(UTC) - max(times)).total_seconds() / _DAY_SECONDS if times else None

    def launched_by_karpenter(self, deployment: str) -> tuple[str, ...]:
        """Return the ids of the deployment's Karpenter instances that are not terminated yet."""
        filters = [
            {"Name": f"tag:{inventory.DEPLOYMENT_TAG}", "Values": [deployment]},
            {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
            {"Name": "instance-state-name", "Values": list(_ALIVE)},
        ]
        with translate_errors("ec2 DescribeInstances"):
            ec2 = self._session.client("ec2")
            found = list(paginate(ec2, "describe_instances", "Reservations", Filters=filters))
        return tuple(i["InstanceId"] for reservation in found for i in reservation["Instances"])

    def karpenter_runs(self, deployment: str, now: str) -> tuple[NodeRun, ...]:
        """Return the deployment's Karpenter instances, with those that ended in the last hour."""
        filters = [
            {"Name": f"tag:{inventory.DEPLOYMENT_TAG}", "Values": [deployment]},
            {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
        ]
        with translate_errors("ec2 DescribeInstances"):
            ec2 = self._session.client("ec2")
            found = list(paginate(ec2, "describe_instances", "Reservations", Filters=filters))
        return tuple(_node_run(i, now) for group in found for i in group["Instances"])

    def terminate_instances(self, ids: Sequence[str]) -> None:
        """Terminate these instances."""
        with translate_errors("ec2 TerminateInstances"):
            self._session.client("ec2").terminate_instances(InstanceIds=list(ids))

    def scan_resources(
        self, deployment: str, *, kept: bool = False, endpoint: str = ""
    ) -> ResourceInventory:
        """Return all resources in the Region that have the deployment's tag or name, or a tag of
        its cluster's controllers.

        Args:
            kept: include the resources that cleanup keeps (`OwnedResource.why_kept`).
            endpoint: of the deployment's cluster, as recorded; empty if there was none.
        """
        scan = inventory.scan(self._session, deployment, endpoint)
        return scan._replace(found=tuple(o for o in scan.found if kept or not o.why_kept))

    def delete_resource(self, deployment: str, owned: OwnedResource) -> bool:
        """Delete a resource that `scan_resources` found; return False while another one uses it.

        AWS may still be deleting it afterwards. Raises JK-AWS-….
        """
        return removal.delete(self._session, deployment, owned)

    def network_users(self, deployment: str, vpc_ids: Sequence[str]) -> tuple[str, ...]:
        """Return what uses these VPCs of the deployment, is not the deployment's, and so prevents
        their deletion. Raises JK-AWS-…."""
        return network_users.find(self._session, deployment, vpc_ids)

    def _describe(self, operation: str, key: str, **names: str) -> dict[str, Any] | None:
        try:
            with translate_errors(f"eks {operation}"):
                return dict(getattr(self._session.client("eks"), operation)(**names)[key])
        except ObjectNotFound:
            return None


def _issues(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the health issues of a cluster, node group or add-on.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_ClusterIssue.html
    """
    issues = found.get("health", {}).get("issues", [])
    return tuple(f"{i.get('code', '')}: {i.get('message', '')}" for i in issues)


def _part(kind: Any, name: str, found: Mapping[str, Any]) -> ClusterComponent:
    return ClusterComponent(
        kind=kind,
        name=name,
        status=found["status"],
        version=found.get("addonVersion") or found.get("version") or "",
        issues=_issues(found),
    )


# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html (`reason`)
_TRANSITION = re.compile(r"\((\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (?:GMT|UTC)\)")


def _node_run(instance: Mapping[str, Any], now: str) -> NodeRun:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
    began = instance["LaunchTime"].astimezone(UTC).isoformat()
    seen, gone = now, ""
    if instance["State"]["Name"] in ("shutting-down", "terminated"):
        # Without a time in the reason, it ended at any time since its start.
        ended = _TRANSITION.search(instance.get("StateTransitionReason", ""))
        seen = f"{ended[1]}T{ended[2]}+00:00" if ended else began
        gone = seen if ended else now
    reserved = instance.get("CapacityReservationId")
    bought = "reserved" if reserved else instance.get("InstanceLifecycle", "on-demand")
    return NodeRun(
        name=tags.get("karpenter.sh/nodeclaim", ""),
        instance_id=instance["InstanceId"],
        pool=tags["karpenter.sh/nodepool"],
        instance_type=instance["InstanceType"],
        capacity=bought,
        began=began,
        seen=seen,
        gone=gone,
    )
