"""jarkkit's clients of the sandbox's cluster, which use an EKS token as on AWS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil

from jarkkit.model.errors import JarkkitError
from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.aws.cluster_token import cluster_token
from jarkkit.ports.aws.session import AwsSession
from jarkkit.ports.helm import Helm
from jarkkit.ports.kube import Kube
from jarkkit.sandbox.reaper import processes_of
from tests.support.clusters import NAME, REGION, RehearsalCluster
from tests.support.poll import wait_for


def endpoint_and_ca(cluster: RehearsalCluster) -> tuple[str, str]:
    """Return the endpoint and the CA certificate, as DescribeCluster returns them."""
    described = cluster.client("eks").describe_cluster(name=NAME)["cluster"]
    return described["endpoint"], described["certificateAuthority"]["data"]


def token_source(environ: Mapping[str, str]) -> Callable[[], ClusterToken]:
    session = AwsSession(REGION, environ)
    return lambda: cluster_token(session, NAME, datetime.now(UTC))


def kube_client(
    cluster: RehearsalCluster, environ: Mapping[str, str] | None = None, **more: Any
) -> Kube:
    return Kube(*endpoint_and_ca(cluster), token_source(environ or cluster.running.env), **more)


def helm_client(cluster: RehearsalCluster, **more: Any) -> Helm:
    return Helm(*endpoint_and_ca(cluster), token_source(cluster.running.env), **more)


def raised_error(work: Callable[[], Any]) -> JarkkitError:
    """Return the error that the work raises."""
    try:
        work()
    except JarkkitError as error:
        return error
    raise AssertionError("no error was raised")


def api_server_process(cluster: RehearsalCluster) -> psutil.Process:
    found = processes_of(str(cluster.running.home))
    return next(p for p in found if p.name().startswith("kube-apiserver"))


@contextlib.contextmanager
def healthy_afterwards(cluster: RehearsalCluster) -> Iterator[None]:
    """Wait until the cluster works again, whatever the test did to its API server."""
    try:
        yield
    finally:
        wait_for(cluster.api.is_healthy, 120)
        wait_for(lambda: cluster.api.list("/api/v1/namespaces"))
