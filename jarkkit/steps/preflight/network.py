"""Questions about the way from this machine to AWS: its clock, its proxy, the hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from jarkkit.addons import choice
from jarkkit.checks import Check
from jarkkit.settings import Settings
from jarkkit.steps.preflight.asking import Look, Question, passed, warned

# AWS refuses what was signed more than 5 minutes away from its own time:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv4-troubleshooting.html
REFUSED_SECONDS = 270.0
NOTICED_SECONDS = 60.0
HOST_SECONDS = 4.0
# Where an EC2 instance gets its credentials from; no proxy can pass that on.
_INSTANCE_METADATA = "169.254.169.254"
# A registry's short name, and the host that serves it.
_REGISTRY_HOSTS = {"docker.io": "registry-1.docker.io"}


def clock(look: Look) -> Check:
    """This machine's clock"""
    return judge_clock(look.account.clock_skew())


def judge_clock(ahead: float | None) -> Check:
    """Whether AWS will take what is signed by this clock.

    Args:
        ahead: in seconds.
    """
    if ahead is None:
        return Check(name="", status="unknown", found="AWS' answer has no date")
    away = abs(ahead)
    found = f"{away:.0f} s {'ahead' if ahead > 0 else 'behind'}" if away >= 1 else "as AWS' own"
    if away <= NOTICED_SECONDS:
        return passed(found)
    return Check(
        name="",
        status="fail" if away > REFUSED_SECONDS else "warn",
        found=found,
        needed="less than 5 min",
        why="Every call carries the time at which it was signed; AWS refuses old and future ones.",
        fix="Set the clock by the network (NTP), in a container or virtual machine on its host.",
        code="JK-CLOCK-SKEW",
    )


def proxy(look: Look) -> Check:
    """The proxy"""
    endpoints = map(_host, look.account.endpoints().values())
    used = sorted({look.machine.proxy(host) for host in endpoints} - {""})
    direct = [name for name, host in _past_the_proxy(look) if look.machine.proxy(host)]
    if not used and not direct:
        return passed("none is used")
    found = f"AWS is reached through {', '.join(used)}" if used else "AWS is reached directly"
    if not direct:
        return passed(found)
    return warned(
        f"{found}; it also catches {', '.join(direct)}",
        why="What the proxy cannot reach must be named in NO_PROXY.",
        fix=f'export NO_PROXY="$NO_PROXY,{",".join(direct)}"',
        code="JK-NETWORK-PROXY",
    )


def _past_the_proxy(look: Look) -> Iterator[tuple[str, str]]:
    """What must be reached directly: as NO_PROXY wants it, and a host of that kind."""
    if look.workspace.rehearsal:
        yield "127.0.0.1", "127.0.0.1"
        return
    if not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & look.machine.environ.keys():
        yield _INSTANCE_METADATA, _INSTANCE_METADATA
    if not look.settings.endpoint_public_cidrs:  # private clusters are inside the VPC
        domain = f".{look.settings.region}.eks.amazonaws.com"
        yield domain, f"cluster{domain}"


def hosts(look: Look) -> Iterable[Check]:
    """Hosts that are needed"""
    if look.workspace.rehearsal:
        text = "a rehearsal needs none: the sandbox answers for AWS"
        return [Check(name="", status="skip", found=text)]
    wanted = {
        "AWS endpoints": set(map(_host, look.account.endpoints().values())),
        "Chart repositories": repositories(look),
        "Image registries": registries(look.settings),
    }
    silent = look.machine.silent((h for them in wanted.values() for h in them), HOST_SECONDS)
    return [judge_hosts(name, them, silent) for name, them in wanted.items()]


def judge_hosts(name: str, wanted: Iterable[str], silent: Mapping[str, str]) -> Check:
    """Whether all of them answer. Without AWS nothing goes on; the others are a sign."""
    needed = sorted(wanted)
    missing = [host for host in needed if host in silent]
    if not needed:
        return Check(name=name, status="skip", found="none is needed")
    if not missing:
        return Check(name=name, status="pass", found=f"{len(needed)} answer")
    return Check(
        name=name,
        status="fail" if name == "AWS endpoints" else "warn",
        found="; ".join(f"{host}: {silent[host]}" for host in missing),
        needed=f"an answer of {len(needed)} hosts",
        why=_WHY[name],
        fix="Let them through the firewall or the proxy (HTTPS, port 443).",
        code="JK-NETWORK-HOST",
    )


_WHY = {
    "AWS endpoints": "Terraform and the kit call them.",
    "Chart repositories": "Charts that are not in the chart cache come from there.",
    "Image registries": "Nodes pull from there, by their own way out (the NAT gateway). What "
    "refuses this machine may refuse them too.",
}


def repositories(look: Look) -> set[str]:
    """Hosts of the charts that are not on this machine yet."""
    if look.charts is None:
        return set()
    there = look.charts.cache
    missing = (c for c in choice.charts(look.settings) if not (there / c.archive).is_file())
    return {_host(chart.repository) for chart in missing}


def registries(settings: Settings) -> set[str]:
    """Hosts of the images that the chosen add-ons are known to bring."""
    pods = (w.pod for addon in choice.chosen(settings) for w in choice.workloads(addon, settings))
    return {registry(image) for pod in pods for image in _images(pod)}


def registry(image: str) -> str:
    """The host that an image comes from."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and re.search(r"[.:]|^localhost$", first) is not None
    name = first if named else "docker.io"
    return _REGISTRY_HOSTS.get(name, name)


def _images(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key == "image" and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(thing, list):
        for item in thing:
            yield from _images(item)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


QUESTIONS: tuple[Question, ...] = (clock, proxy, hosts)
