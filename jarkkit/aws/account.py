"""What the kit asks an account in one Region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from jarkkit import zones
from jarkkit.aws import inventory
from jarkkit.aws.health import Health
from jarkkit.aws.identity import Identity
from jarkkit.aws.instance_types import InstanceTypes
from jarkkit.aws.leftovers import Leftovers
from jarkkit.aws.offers import Offers
from jarkkit.aws.pricing import Pricing
from jarkkit.aws.quotas import Quotas
from jarkkit.aws.session import Session, client_error_code, paged, translated
from jarkkit.aws.skew import skew_seconds
from jarkkit.aws.token import cluster_token
from jarkkit.aws.usage import Usage
from jarkkit.errors import JarkkitError
from jarkkit.records import Caller, Cluster, ClusterVersion, Owned, Part, Zone

_NEEDED = (
    "sts", "ec2", "eks", "iam", "kms", "logs", "sqs", "events", "ssm", "efs", "s3", "elbv2",
    "autoscaling", "service-quotas",
)  # fmt: skip
_ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")


class Account:
    """An AWS account in one Region, real or rehearsed. Making one calls nobody."""

    def __init__(
        self, region: str, environ: Mapping[str, str], session: Session | None = None
    ) -> None:
        self.region = region
        self._environ = environ
        self._session = session or Session(region, environ)

    def in_region(self, region: str) -> Account:
        """The same account in another Region."""
        return Account(region, self._environ, self._session.elsewhere(region))

    @cached_property
    def offers(self) -> Offers:
        """What AWS offers here."""
        return Offers(self._session)

    @cached_property
    def health(self) -> Health:
        """How the parts of a deployment do."""
        return Health(self._session)

    @cached_property
    def identity(self) -> Identity:
        """Who is calling, and what that one may do."""
        return Identity(self._session)

    @cached_property
    def leftovers(self) -> Leftovers:
        """Who has the names that a deployment is about to use."""
        return Leftovers(self._session)

    @cached_property
    def instance_types(self) -> InstanceTypes:
        """What instance types have."""
        return InstanceTypes(self._session)

    @cached_property
    def quotas(self) -> Quotas:
        """Service quotas, and requests to raise them."""
        return Quotas(self._session)

    @cached_property
    def usage(self) -> Usage:
        """What is in use of what quotas count."""
        return Usage(self._session, self.instance_types)

    @cached_property
    def pricing(self) -> Pricing:
        """What AWS charges here."""
        return Pricing(self._session)

    def forget(self) -> None:
        """What was answered before now is asked anew, in every Region."""
        self._session.forget()

    def endpoints(self) -> dict[str, str]:
        """The URLs at which the services are called without which nothing can be deployed. Calls
        nobody."""
        return {name: str(self._session.client(name).meta.endpoint_url) for name in _NEEDED}

    def clock_skew(self) -> float | None:
        """How many seconds this machine's clock is ahead of AWS' (behind: negative); None where
        AWS does not say what time it is."""
        return skew_seconds(self._session)

    def caller(self) -> Caller:
        """Whose credentials these are. The first call of every step: it needs no permission."""
        answer = self._session.identity()
        return Caller(account_id=answer["Account"], arn=answer["Arn"])

    def known_regions(self) -> tuple[str, ...]:
        """Regions where EKS exists, from the SDK's data (no call)."""
        return self._session.known_regions()

    def enabled_regions(self) -> tuple[str, ...]:
        """Regions that are enabled in this account."""
        return self.offers.enabled_regions()

    def zones(self) -> tuple[Zone, ...]:
        """All zones that the account sees in the Region, Local and Wavelength Zones included."""
        return self.offers.zones()

    def offerings(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        """For each instance-type pattern (`g6.*`, `m5.xlarge`) the names of the zones that offer
        a type of it."""
        wanted = list(patterns)
        return zones.by_pattern(wanted, self.offers.types(wanted))

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        """The Kubernetes versions that EKS offers here today."""
        return self.offers.cluster_versions()

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
            ec2 = self._session.client("ec2")
            found = list(paged(ec2, "describe_instances", "Reservations", Filters=filters))
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
            if client_error_code(error) == "ResourceNotFoundException":
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
