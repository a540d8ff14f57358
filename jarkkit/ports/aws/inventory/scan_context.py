"""What every scanner needs: clients, the deployment's name, and how to recognize its resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jarkkit.decisions.ownership import Ownership, is_of_cluster, is_own_cluster, tag_mapping
from jarkkit.model.errors import ApiCallError, CredentialsError, ObjectNotFound, Unreachable
from jarkkit.model.records import OwnedResource
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.session import AwsSession, translate_errors


@dataclass(frozen=True)
class ScanContext:
    """Scan context: AWS clients, and what proves that a resource is the deployment's.

    Attributes:
        cluster: the cluster with the deployment's name, as EKS describes it; None if there is none.
    """

    session: AwsSession
    owner: Ownership
    cluster: dict[str, Any] | Unknown | None = None

    @classmethod
    def of(cls, session: AwsSession, name: str, endpoint: str = "") -> ScanContext:
        """Return the context, after a look at whose the cluster of that name is.

        If that cannot be read, tags of controllers prove nothing: they may be another cluster's.

        Args:
            endpoint: of the deployment's cluster, as recorded; empty if there was none.
        """
        owner, foreign = Ownership(name), Ownership(name, of_cluster=False)
        try:
            cluster = _cluster_in_two_tries(session, name)
        except (CredentialsError, Unreachable):
            raise
        except ApiCallError as error:
            return cls(session, foreign, Unknown(error))
        if cluster is not None and not is_own_cluster(
            name, cluster.get("tags"), cluster.get("endpoint", ""), endpoint
        ):
            owner = foreign
        return cls(session, owner, cluster)

    def client(self, service: str) -> Any:
        """Return a client of the service."""
        return self.session.client(service)

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.owner.name

    @property
    def prefix(self) -> str:
        """Prefix of the deployment's IAM names (terraform/identity.tf)."""
        return f"{self.name}-{self.session.region}-"

    def owned(
        self, terraform_type: str, import_id: str, tags: object, **more: Any
    ) -> Iterator[OwnedResource]:
        """Yield the resource if its tags prove that it is the deployment's.

        Args:
            more: attributes of the record. Its name is that of the tag `Name` if they have none.
        """
        if proof := self.owner.proof(tags):
            yield OwnedResource.model_validate(
                {
                    "terraform_type": terraform_type,
                    "import_id": import_id,
                    "name": tag_mapping(tags).get("Name", ""),
                    "proof": proof,
                    "of_cluster": is_of_cluster(terraform_type, tags),
                    **more,
                }
            )


Scanner = Callable[[ScanContext], Iterator[OwnedResource]]


def _cluster_in_two_tries(session: AwsSession, name: str) -> dict[str, Any] | None:
    """Return the cluster. Throttling may have passed by the second try."""
    try:
        return _cluster(session, name)
    except ApiCallError as error:
        if isinstance(error, Unreachable) or not error.transient:
            raise
        return _cluster(session, name)


def _cluster(session: AwsSession, name: str) -> dict[str, Any] | None:
    try:
        with translate_errors("eks DescribeCluster"):
            return dict(session.client("eks").describe_cluster(name=name)["cluster"])
    except ObjectNotFound:
        return None
