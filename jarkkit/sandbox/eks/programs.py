"""How the programs that we have builds of are kept on loopback when they play their pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jarkkit.sandbox.eks.container_spec import ConfigError

# The port of this machine that stands for one of the pod's.
Ports = Callable[[int], int]


@dataclass(frozen=True)
class Listener:
    """Something that a program listens on, by the flag that says where.

    Attributes:
        port: the stock one.
        form: how the flag wants it.
    """

    flag: str
    port: int
    form: str = "127.0.0.1:{port}"


@dataclass(frozen=True)
class Program:
    """A program with what must be other than in a pod.

    Attributes:
        port_variables: environment variables that hold a port to listen on, with the stock port.
        flags: put before its arguments, which win; {namespace} is the pod's.
        variables: added to its environment, likewise.
        refused: flags with which it could not be kept on loopback, with the reason.
        talks_to_ray: its HTTP goes to the stand-in for Ray's dashboards.
    """

    port_variables: dict[str, int] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    flags: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    talks_to_ray: bool = False


PROGRAMS = {
    # There is no pricing API in the account, as in an isolated VPC.
    "karpenter": Program(
        port_variables={"METRICS_PORT": 8080, "HEALTH_PROBE_PORT": 8081},
        variables={"ISOLATED_VPC": "true", "LEADER_ELECTION_NAMESPACE": "{namespace}"},
    ),
    "kuberay-operator": Program(
        listeners=(
            Listener("--metrics-addr", 8080),
            Listener("--health-probe-bind-address", 8082),
        ),
        # In a pod it would read that from the service account's folder.
        flags=("--leader-election-namespace={namespace}",),
        refused={"--config": "a configuration file makes it listen on all interfaces"},
        talks_to_ray=True,
    ),
    # The stock ten seconds before it looks at a workflow again are for clusters with thousands.
    "workflow-controller": Program(
        listeners=(Listener("--loopback-health-port", 6060, "{port}"),),
        flags=("-n", "{namespace}"),
        variables={"DEFAULT_REQUEUE_TIME": "1s"},
    ),
}


def on_loopback(
    program: Program, arguments: list[str], variables: dict[str, str], namespace: str, ports: Ports
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment with every listener moved to loopback.

    Raises ConfigError where that cannot be done.
    """
    added = {k: v.format(namespace=namespace) for k, v in program.variables.items()}
    moved = {**variables, **added}
    for name, default in program.port_variables.items():
        moved[name] = str(ports(int(variables.get(name) or default)))
    names = {listener.flag for listener in program.listeners}
    kept, asked = _without(arguments, names)
    for word in arguments:
        if why := program.refused.get(word.partition("=")[0]):
            raise ConfigError(f"{word}: {why}, which a rehearsal does not allow")
    before = [flag.format(namespace=namespace) for flag in program.flags]
    after = []
    for listener in program.listeners:
        port = ports(asked.get(listener.flag) or listener.port)
        after.append(f"{listener.flag}={listener.form.format(port=port)}")
    return [*before, *kept, *after], moved


def _without(arguments: list[str], flags: set[str]) -> tuple[list[str], dict[str, int]]:
    """The arguments without these flags, and the ports that they named."""
    kept: list[str] = []
    asked: dict[str, int] = {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        name = f"--{flag.lstrip('-')}"
        if not flag.startswith("-") or name not in flags:
            kept.append(word)
            continue
        port = (value if equals else next(words, "")).rsplit(":", 1)[-1]
        asked[name] = int(port) if port.isdigit() else 0
    return kept, asked
