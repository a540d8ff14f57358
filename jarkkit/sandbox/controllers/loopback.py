"""How to keep the operators that the sandbox builds on loopback when they run in place of pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jarkkit.sandbox.controllers.container_spec import ConfigError

# Returns the local port that is used for a port of the pod.
PortMapper = Callable[[int], int]


@dataclass(frozen=True)
class ListenerFlag:
    """A listener of a program, with the flag that sets its address.

    Attributes:
        port: the default one.
        value_format: format of the flag's value.
    """

    flag: str
    port: int
    value_format: str = "127.0.0.1:{port}"


@dataclass(frozen=True)
class LoopbackConfig:
    """What differs for a program when it does not run in a pod.

    Attributes:
        port_variables: environment variables with a port to listen on, and its default.
        flags: put before its arguments, which take precedence; {namespace} is the pod's.
        variables: added to its environment, with {namespace} likewise.
        forbidden_flags: rejected flags with the reason; they would open listeners beyond loopback.
        uses_ray_proxy: its HTTP proxy is the simulation of Ray's dashboards.
    """

    port_variables: dict[str, int] = field(default_factory=dict)
    listeners: tuple[ListenerFlag, ...] = ()
    flags: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    forbidden_flags: dict[str, str] = field(default_factory=dict)
    uses_ray_proxy: bool = False


LOOPBACK_CONFIGS = {
    # The simulated account has no pricing API, as an isolated VPC has none.
    "karpenter": LoopbackConfig(
        port_variables={"METRICS_PORT": 8080, "HEALTH_PROBE_PORT": 8081},
        variables={"ISOLATED_VPC": "true", "LEADER_ELECTION_NAMESPACE": "{namespace}"},
    ),
    "kuberay-operator": LoopbackConfig(
        listeners=(
            ListenerFlag("--metrics-addr", 8080),
            ListenerFlag("--health-probe-bind-address", 8082),
        ),
        # In a pod it reads the namespace from the service account's folder.
        flags=("--leader-election-namespace={namespace}",),
        forbidden_flags={"--config": "a configuration file makes it listen on all interfaces"},
        uses_ray_proxy=True,
    ),
    # By default it requeues a workflow after ten seconds, which suits clusters with thousands.
    "workflow-controller": LoopbackConfig(
        listeners=(ListenerFlag("--loopback-health-port", 6060, "{port}"),),
        flags=("-n", "{namespace}"),
        variables={"DEFAULT_REQUEUE_TIME": "1s"},
    ),
}


def bind_to_loopback(
    program: LoopbackConfig,
    arguments: list[str],
    variables: dict[str, str],
    namespace: str,
    ports: PortMapper,
) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment with every listener moved to loopback.

    Raises ConfigError when a flag makes that impossible.
    """
    added = {k: v.format(namespace=namespace) for k, v in program.variables.items()}
    moved = {**variables, **added}
    for name, default in program.port_variables.items():
        moved[name] = str(ports(int(variables.get(name) or default)))
    names = {listener.flag for listener in program.listeners}
    kept, requested = _without(arguments, names)
    for word in arguments:
        if why := program.forbidden_flags.get(word.partition("=")[0]):
            raise ConfigError(f"{word}: {why}, which a rehearsal does not allow")
    before = [flag.format(namespace=namespace) for flag in program.flags]
    after = []
    for listener in program.listeners:
        port = ports(requested.get(listener.flag) or listener.port)
        after.append(f"{listener.flag}={listener.value_format.format(port=port)}")
    return [*before, *kept, *after], moved


def _without(arguments: list[str], flags: set[str]) -> tuple[list[str], dict[str, int]]:
    """Return the arguments without these flags, and the ports that the flags named."""
    kept: list[str] = []
    requested: dict[str, int] = {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        name = f"--{flag.lstrip('-')}"
        if not flag.startswith("-") or name not in flags:
            kept.append(word)
            continue
        port = (value if equals else next(words, "")).rsplit(":", 1)[-1]
        requested[name] = int(port) if port.isdigit() else 0
    return kept, requested
