"""The kit's doors to the sandbox's cluster, opened with an EKS token as for real."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil

from jarkkit.aws.session import Session
from jarkkit.aws.token import cluster_token
from jarkkit.errors import JarkkitError
from jarkkit.helm import Helm
from jarkkit.kube import Kube
from jarkkit.sandbox.guard import processes_of
from tests.clusters.conftest import NAME, REGION, World, wait_for


def address(world: World) -> tuple[str, str]:
    """Endpoint and authority, as EKS tells them."""
    cluster = world.client("eks").describe_cluster(name=NAME)["cluster"]
    return cluster["endpoint"], cluster["certificateAuthority"]["data"]


def token(environ: Mapping[str, str]) -> Callable[[], tuple[str, datetime]]:
    session = Session(REGION, environ)
    return lambda: cluster_token(session, NAME, datetime.now(UTC))


def kube_of(world: World, environ: Mapping[str, str] | None = None, **more: Any) -> Kube:
    return Kube(*address(world), token(environ or world.running.env), **more)


def helm_of(world: World, **more: Any) -> Helm:
    return Helm(*address(world), token(world.running.env), **more)


def code_of(work: Callable[[], Any]) -> JarkkitError:
    """The error in which it ends."""
    try:
        work()
    except JarkkitError as error:
        return error
    raise AssertionError("it worked")


def api_server(world: World) -> psutil.Process:
    found = processes_of(str(world.running.home))
    return next(p for p in found if p.name().startswith("kube-apiserver"))


@contextlib.contextmanager
def healthy_again(world: World) -> Iterator[None]:
    """Leaves a cluster that works, whatever was done to its API server."""
    try:
        yield
    finally:
        wait_for(world.api.healthy, 120)
        wait_for(lambda: world.api.list("/api/v1/namespaces"))
