"""Checks of the connection from this machine to AWS: its clock, its proxy, the hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from jarkkit.model.checks import Check
from jarkkit.steps.check_engine import CheckGroup, passed, warned
from jarkkit.steps.preflight.context import CheckContext

CHECKS = CheckGroup[CheckContext]("This machine")

# AWS rejects requests signed more than 5 minutes away from its own time:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv4-troubleshooting.html
REJECTED_SKEW_SECONDS = 270.0
WARNED_SKEW_SECONDS = 60.0
HOST_TIMEOUT_SECONDS = 4.0
# Where an EC2 instance gets its credentials; no proxy can forward these requests.
_INSTANCE_METADATA = "169.254.169.254"
# A registry's short name and the host that serves it.
_REGISTRY_HOSTS = {"docker.io": "registry-1.docker.io"}


@CHECKS.check("Clock")
def clock(context: CheckContext) -> Check:
    """Check that AWS accepts requests signed by this clock."""
    return judge_clock(context.account.clock_skew())


def judge_clock(ahead: float | None) -> Check:
    """Check that AWS accepts requests signed by this clock.

    Args:
        ahead: how far this clock is ahead of AWS', in seconds.
    """
    if ahead is None:
        return Check(name="", status="unknown", found="AWS' response has no date")
    away = abs(ahead)
    found = (
        f"{away:.0f} s {'ahead' if ahead > 0 else 'behind'}" if away >= 1 else "in sync with AWS"
    )
    if away <= WARNED_SKEW_SECONDS:
        return passed(found)
    return Check(
        name="",
        status="fail" if away > REJECTED_SKEW_SECONDS else "warn",
        found=found,
        needed="less than 5 min",
        why="Every request carries the time of its signature; AWS rejects old and future ones.",
        fix="Synchronize the clock over the network (NTP); for a container or virtual machine, do "
        "this on its host.",
        code="JK-CLOCK-SKEW",
    )


@CHECKS.check("Proxy")
def proxy(context: CheckContext) -> Check:
    """Check that a proxy does not get what it cannot forward."""
    endpoints = map(_host, context.account.endpoints().values())
    used = sorted({context.machine.proxy(host) for host in endpoints} - {""})
    direct = [name for name, host in _direct_hosts(context) if context.machine.proxy(host)]
    if not used and not direct:
        return passed("no proxy")
    found = f"calls to AWS use {', '.join(used)}" if used else "calls to AWS use no proxy"
    if not direct:
        return passed(found)
    return warned(
        f"{found}; calls to {', '.join(direct)} go through the proxy, too",
        why="NO_PROXY must list the hosts that the proxy cannot reach.",
        fix=f'export NO_PROXY="$NO_PROXY,{",".join(direct)}"',
        code="JK-NETWORK-PROXY",
    )


def _direct_hosts(context: CheckContext) -> Iterator[tuple[str, str]]:
    """Yield what must bypass the proxy: the entry for NO_PROXY, and a matching host."""
    if context.workspace.rehearsal:
        yield "127.0.0.1", "127.0.0.1"
        return
    if not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & context.machine.environ.keys():
        yield _INSTANCE_METADATA, _INSTANCE_METADATA
    if not context.settings.endpoint_public_cidrs:  # private clusters are inside the VPC
        domain = f".{context.settings.region}.eks.amazonaws.com"
        yield domain, f"cluster{domain}"


@CHECKS.check("Hosts")
def hosts(context: CheckContext) -> Iterable[Check]:
    """Check that the hosts that the deployment needs answer."""
    if context.workspace.rehearsal:
        text = "a rehearsal needs none: the sandbox simulates AWS"
        return [Check(name="", status="skip", found=text)]
    required = {
        "AWS endpoints": set(map(_host, context.account.endpoints().values())),
        "Chart repositories": chart_repository_hosts(context),
        "Image registries": set(map(registry_host, context.stack.images)),
    }
    silent = context.machine.unreachable_hosts(
        (h for names in required.values() for h in names), HOST_TIMEOUT_SECONDS
    )
    return [judge_hosts(name, names, silent) for name, names in required.items()]


def judge_hosts(name: str, wanted: Iterable[str], silent: Mapping[str, str]) -> Check:
    """Check that all of them answer. Only the AWS endpoints are a failure; the others warn."""
    needed = sorted(wanted)
    missing = [host for host in needed if host in silent]
    if not needed:
        return Check(name=name, status="skip", found="none needed")
    if not missing:
        return Check(name=name, status="pass", found=f"{len(needed)} answer")
    return Check(
        name=name,
        status="fail" if name == "AWS endpoints" else "warn",
        found="; ".join(f"{host}: {silent[host]}" for host in missing),
        needed=f"an answer from {len(needed)} hosts",
        why=_WHY[name],
        fix="Allow them in the firewall or the proxy (HTTPS, port 443).",
        code="JK-NETWORK-HOST",
    )


_WHY = {
    "AWS endpoints": "Terraform and jarkkit call them.",
    "Chart repositories": "jarkkit downloads charts that are not in the chart cache from there.",
    "Image registries": "Nodes pull images from there through the NAT gateway. A registry that "
    "rejects this machine may reject the nodes, too.",
}


def chart_repository_hosts(context: CheckContext) -> set[str]:
    """Return the hosts of the charts that are not on this machine yet."""
    if context.charts is None:
        return set()
    cache = context.charts.cache
    missing = (c for c in context.stack.charts if not (cache / c.archive).is_file())
    return {_host(chart.repository) for chart in missing}


def registry_host(image: str) -> str:
    """Return the host that serves an image."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and re.search(r"[.:]|^localhost$", first) is not None
    name = first if named else "docker.io"
    return _REGISTRY_HOSTS.get(name, name)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
