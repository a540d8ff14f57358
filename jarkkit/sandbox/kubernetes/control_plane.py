"""One real Kubernetes control plane, run by kwokctl as plain processes on loopback.

kwokctl creates certificates, chooses ports, starts and stops processes. This module adds what a
rehearsal needs: only loopback, an API server without access to the network, bounded memory.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import psutil
import yaml

from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll
from jarkkit.sandbox.kubernetes.api import Api, ApiError, admin_api
from jarkkit.sandbox.kubernetes.egress import Egress
from jarkkit.sandbox.private_files import HOME_VARIABLE, write_private

_NAME = "cluster"  # in kwokctl; there is one cluster per folder
_START_SECONDS = 120.0
_DEAD_SECONDS = 3.0
_REVIVALS, _REVIVAL_PAUSE_SECONDS = 4, 2.0
# Go's soft limit. With the CRDs of the whole stack the API server takes 2.8 GB without one, and
# 1.9 GB with it at no cost in time.
_MEMORY_LIMIT = "1800MiB"
_PORTS = (
    "etcdPort",
    "etcdPeerPort",
    "kubeApiserverPort",
    "kubeControllerManagerPort",
    "kubeSchedulerPort",
    "kwokControllerPort",
)
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok-controller",
)
_UNLIMITED = 5000  # calls a second, the value that kwokctl gives the other components
_AT_A_TIME = 16
# Pods of Neuron's scheduler extension and of JupyterHub name these schedulers.
_SCHEDULERS = ("default-scheduler", "my-scheduler", "jupyterhub-user-scheduler")
# The API server sends TokenReviews to this host, which it reaches only by the egress socket.
AUTHENTICATOR_HOST = "authenticator.sandbox"
# Short, so that the deletion of an access entry takes effect soon.
_AUTHENTICATED_SECONDS = 2
# Resources of KWOK that are changed while it runs. Exec and Attach are not among them: KWOK would
# run their commands on this machine, as its user.
_KWOK_RESOURCES = ("Stage", "Logs", "ClusterLogs", "PortForward", "ClusterPortForward")


@dataclass(frozen=True)
class ControlPlaneProcess:
    """A process of a control plane.

    Attributes:
        memory: resident, in bytes.
        uptime: seconds.
    """

    name: str
    pid: int
    memory: int
    uptime: float


class LocalControlPlane:
    """The control plane in one folder: the first `start` creates it, later ones resume it.

    Args:
        folder: its own, mode 0700.
        programs: paths of kwokctl, kwok, etcd and the three of Kubernetes, by name.
        service_cidr: addresses of Services, from CreateCluster.
        pod_cidr: addresses of pods.
        mark: the sandbox's home, written into the environment of every process.
    """

    def __init__(
        self,
        folder: Path,
        programs: Mapping[str, Path],
        *,
        service_cidr: str = "172.20.0.0/16",
        pod_cidr: str = "100.64.0.0/16",
        mark: str = "",
    ) -> None:
        self.folder = folder
        # A socket's path has at most 107 bytes, and the home's path may be long.
        self.egress = Egress(Path(tempfile.gettempdir()) / f"jk-{os.urandom(6).hex()}" / "egress")
        self._programs = programs
        self._service_cidr = service_cidr
        self._pod_cidr = pod_cidr
        self._mark = mark
        self._home = folder / "clusters" / _NAME

    # -- lifecycle -----------------------------------------------------------------------------

    def start(self) -> None:
        """Create it, or start it with its saved state; return when it is ready.

        Raises JK-SANDBOX-CLUSTER with the last lines of the component that ended.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.egress.path.parent.mkdir(mode=0o700, exist_ok=True)
        (self.egress.path.parent / "home").write_text(self._mark)  # shows the owner after a SIGKILL
        self.egress.start()
        try:
            self._write_configuration()
            if (self._home / "kwok.yaml").is_file():
                self._delete_stale_pid_files()
                self._kwokctl("start", "cluster")
            else:
                shutil.rmtree(self._home, ignore_errors=True)  # left by an interrupted creation
                self._kwokctl("create", "cluster", "--kubeconfig", os.devnull)
            self._protect()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop its processes; its state stays on disk."""
        with contextlib.suppress(JarkkitError):
            self._kwokctl("stop", "cluster")
        for component in self.components():
            with contextlib.suppress(psutil.Error):
                psutil.Process(component.pid).kill()
        self.egress.stop()
        shutil.rmtree(self.egress.path.parent, ignore_errors=True)

    def restart_dead(self) -> None:
        """Start the dead components; the others keep running. Raises JK-SANDBOX-CLUSTER.

        Retries when one exits immediately: a client that connects while the port is free may get
        that very port as its own end of the connection, and releases it soon.
        """
        for attempt, _ in enumerate(poll(_REVIVAL_PAUSE_SECONDS, attempts=_REVIVALS), 1):
            self._delete_stale_pid_files()
            try:
                self._kwokctl("start", "cluster")
                self._wait_until_ready()
            except JarkkitError:
                if attempt == _REVIVALS:
                    raise
            else:
                return

    def is_ready(self) -> bool:
        """Return True when the API server reports itself and its dependencies as ready."""
        try:
            return self.api().is_healthy()
        except (OSError, ApiError):
            return False

    def api(self) -> Api:
        """Return a client with administrator rights. Raises OSError before the first start."""
        return admin_api(self.endpoint, self._pki)

    def components(self) -> tuple[ControlPlaneProcess, ...]:
        """Return the running processes."""
        found = (self._component(name) for name in COMPONENTS)
        return tuple(component for component in found if component is not None)

    def dead_components(self) -> tuple[str, ...]:
        """Return the components that should run and do not."""
        alive = {component.name for component in self.components()}
        return tuple(name for name in COMPONENTS if name not in alive)

    def log_tail(self, component: str, lines: int = 15) -> str:
        """Return the last lines of a component's log."""
        try:
            text = (self._home / "logs" / f"{component}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # -- how to reach it ------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """URL of the API server."""
        known = yaml.safe_load(self.kubeconfig.read_text())
        return str(known["clusters"][0]["cluster"]["server"])

    @property
    def certificate_authority(self) -> str:
        """The CA's certificate, PEM in base64, as DescribeCluster returns it."""
        return base64.b64encode((self._pki / "ca.crt").read_bytes()).decode()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig: for the sandbox's controllers, never for a user."""
        return self._home / "kubeconfig.yaml"

    @property
    def kubelet_port(self) -> int:
        """The loopback port on which KWOK answers for every kubelet."""
        known = list(yaml.safe_load_all((self._home / "kwok.yaml").read_text()))
        (options,) = (part["options"] for part in known if part["kind"] == "KwokctlConfiguration")
        return int(options["kwokControllerPort"])

    @property
    def _pki(self) -> Path:
        return self._home / "pki"

    # -- kwokctl -------------------------------------------------------------------------------

    def _kwokctl(self, *words: str) -> None:
        """Run kwokctl. It waits forever for a component that died, so watch them meanwhile."""
        log = self.folder / "kwokctl.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self._programs["kwokctl"]), *words, "--name", _NAME, *self._config()],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
            )
        try:
            self._watch(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise self._failed(log.read_text(errors="replace"))

    def _environment(self) -> dict[str, str]:
        """Return the processes' variables: nothing of AWS, no proxy, and the owner's mark."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        kept = {k: v for k, v in kept.items() if not k.lower().endswith("_proxy")}
        folder = str(self.folder)
        return {**kept, "KWOK_WORKDIR": folder, "HOME": folder, HOME_VARIABLE: self._mark}

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until kwokctl ends, a component is dead for a while, or the timeout passes."""
        deadline = time.monotonic() + _START_SECONDS
        healthy = time.monotonic()
        while process.poll() is None and time.monotonic() < deadline:
            if not any(self._pid_file(name).is_file() for name in self.dead_components()):
                healthy = time.monotonic()
            elif time.monotonic() - healthy > _DEAD_SECONDS:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)

    def _delete_stale_pid_files(self) -> None:
        """Delete the process ids that a crash of the machine or a SIGKILL left behind."""
        for name in self.dead_components():
            self._pid_file(name).unlink(missing_ok=True)

    def _pid_file(self, component: str) -> Path:
        return self._home / "pids" / f"{component}.pid"

    def _config(self) -> list[str]:
        return ["--config", str(self.folder / "kwokctl.yaml")]

    def _write_configuration(self) -> None:
        files = {
            "egress.yaml": [_egress_configuration(self.egress.path)],
            "authenticator.yaml": [_authenticator_configuration()],
            "scheduler.yaml": [_scheduler_configuration()],
            "kwokctl.yaml": [self._configuration(), _kwok_configuration()],
        }
        for name, content in files.items():
            write_private(self.folder / name, yaml.safe_dump_all(content).encode())

    def _configuration(self) -> dict[str, object]:
        # https://kwok.sigs.k8s.io/docs/generated/apis/#config.kwok.x-k8s.io/v1alpha1
        programs = {name: str(path) for name, path in self._programs.items()}
        arguments = {
            "kube-apiserver": {
                "egress-selector-config-file": str(self.folder / "egress.yaml"),
                "service-cluster-ip-range": self._service_cidr,
                "endpoint-reconciler-type": "none",
                # As on EKS: a webhook without a Ready pod has "no endpoints available for service".
                "enable-aggregator-routing": "true",
                "authentication-token-webhook-config-file": str(self.folder / "authenticator.yaml"),
                "authentication-token-webhook-version": "v1",
                "authentication-token-webhook-cache-ttl": f"{_AUTHENTICATED_SECONDS}s",
            },
            "etcd": {"unsafe-no-fsync": "true"},
            "kwok-controller": {"cidr": str(_pod_addresses(self._pod_cidr))},
        }
        return {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": {
                "runtime": "binary",
                "bindAddress": "127.0.0.1",
                "disableQPSLimits": True,
                "enableCRDs": list(_KWOK_RESOURCES),
                **_free_ports(),
                "kubeSchedulerConfig": str(self.folder / "scheduler.yaml"),
                "etcdBinary": programs["etcd"],
                "kubeApiserverBinary": programs["kube-apiserver"],
                "kubeControllerManagerBinary": programs["kube-controller-manager"],
                "kubeSchedulerBinary": programs["kube-scheduler"],
                "kwokControllerBinary": programs["kwok"],
            },
            "componentsPatches": [
                {
                    "name": name,
                    "extraArgs": [
                        {"key": key, "value": value}
                        for key, value in arguments.get(name, {}).items()
                    ],
                    "extraEnvs": [{"name": "GOMEMLIMIT", "value": _MEMORY_LIMIT}],
                }
                for name in COMPONENTS
            ],
        }

    def _protect(self) -> None:
        """Make keys readable for the user only, whatever mode kwokctl gave them."""
        for path in (self.kubeconfig, *self._pki.glob("*.key")):
            path.chmod(0o600)

    def _wait_until_ready(self) -> None:
        for _ in poll(0.1, _START_SECONDS):
            if self.dead_components():
                raise self._failed("")
            if self.is_ready():
                return
        raise self._failed(f"not ready within {_START_SECONDS:g} seconds")

    def _failed(self, details: str) -> JarkkitError:
        dead = self.dead_components()
        lines = [*details.splitlines()[-5:], *filter(None, map(self.log_tail, dead))]
        ended = f"{', '.join(dead)} ended" if dead else "it does not answer"
        return JarkkitError(
            "JK-SANDBOX-CLUSTER",
            f"A control plane of the sandbox failed: {ended}.",
            "Read the lines below; `jarkkit sandbox up --fresh` starts with an empty sandbox.",
            evidence="\n".join(lines),
        )

    def _component(self, name: str) -> ControlPlaneProcess | None:
        """Return the process whose id kwokctl recorded, unless another process has that id now."""
        try:
            pid = int(self._pid_file(name).read_text())
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            if not any(str(self._home) in word for word in process.cmdline()):
                return None
            memory, uptime = process.memory_info().rss, time.time() - process.create_time()
        except (OSError, ValueError, psutil.Error):
            return None
        return ControlPlaneProcess(name, pid, memory, uptime)


def _pod_addresses(pod_cidr: str) -> IPv4Network:
    """Return the block from which pods get their addresses.

    Instances have the first addresses of their subnets, which are in the same range.
    """
    whole = IPv4Network(pod_cidr)
    return list(whole.subnets(new_prefix=21))[1] if whole.prefixlen <= 20 else whole


def _free_ports() -> dict[str, int]:
    """Return a free port for each listener.

    kwokctl counts down from a fixed number, so two clusters created at a time would collide.
    """
    with contextlib.ExitStack() as held:
        probes = {name: held.enter_context(socket.socket()) for name in _PORTS}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {name: probe.getsockname()[1] for name, probe in probes.items()}


def _kwok_configuration() -> dict[str, object]:
    """Raise KWOK's parallelism: each pod and node takes several calls in sequence.

    KWOK's default is four at a time. Options that are on by default must be set here, because
    kwokctl writes unset ones as off.
    """
    at_a_time = ("podPlayStageParallelism", "nodePlayStageParallelism", "nodeLeaseParallelism")
    on = ("enableDebuggingHandlers", "enablePodsOnNodeSyncListPager")
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {**dict.fromkeys(at_a_time, _AT_A_TIME), **dict.fromkeys(on, True)},
    }


def _egress_configuration(path: Path) -> dict[str, object]:
    transport = {"uds": {"udsName": str(path)}}
    connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {"name": name, "connection": connection} for name in ("cluster", "controlplane")
        ],
    }


def _authenticator_configuration() -> dict[str, object]:
    """Return the kubeconfig of the API server's token webhook."""
    server = {"server": f"http://{AUTHENTICATOR_HOST}/authenticate"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "authenticator", "cluster": server}],
        "users": [{"name": "apiserver", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "authenticator", "user": "apiserver"}}],
        "current-context": "it",
    }


def _scheduler_configuration() -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        # kwokctl sets flags, which a file overrides; the default is 50 a second.
        "clientConnection": {"qps": _UNLIMITED, "burst": 2 * _UNLIMITED},
        "profiles": [{"schedulerName": name} for name in _SCHEDULERS],
    }
