"""One real Kubernetes control plane, run by kwokctl as plain processes on loopback.

kwokctl makes certificates, chooses ports, starts and stops; what is said here is only what a
rehearsal needs otherwise: loopback alone, an API server that goes nowhere, bounded memory.
"""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.cluster.egress import Egress
from jarkkit.sandbox.files import write_private

_NAME = "cluster"  # kwokctl's name of it; there is one per folder
_START_SECONDS = 120.0
_DEAD_SECONDS = 3.0
# Go's soft limit. With the CRDs of the whole stack the API server takes 2.8 GB without one, and
# 1.9 GB with it at no cost in time.
_MEMORY_LIMIT = "1800MiB"
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok-controller",
)
# Pods of Neuron's scheduler extension and of JupyterHub ask for these by name.
_SCHEDULERS = ("default-scheduler", "my-scheduler", "jupyterhub-user-scheduler")


@dataclass(frozen=True)
class Component:
    """A process of a control plane.

    Attributes:
        memory: resident, in bytes.
        uptime: seconds.
    """

    name: str
    pid: int
    memory: int
    uptime: float


class ControlPlane:
    """The control plane in one folder: made by the first `start`, found again by later ones.

    Args:
        folder: belongs to it alone, mode 0700. Paths in it must stay short enough for a socket.
        programs: kwokctl, kwok, etcd and the three of Kubernetes, by name.
        service_cidr: addresses of Services, as CreateCluster was asked.
    """

    def __init__(
        self, folder: Path, programs: Mapping[str, Path], service_cidr: str = "172.20.0.0/16"
    ) -> None:
        self.folder = folder
        self.egress = Egress(folder / "egress.sock")
        self._programs = programs
        self._service_cidr = service_cidr
        self._home = folder / "clusters" / _NAME

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Make it, or start it with the state that it had; returns when it answers.

        Raises JK-SANDBOX-CLUSTER with the last lines of the component that ended.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.egress.start()
        try:
            if (self._home / "kwok.yaml").is_file():
                self._forget_the_dead()
                self._kwokctl("start", "cluster")
            else:
                self._write_configuration()
                self._kwokctl("create", "cluster", "--kubeconfig", os.devnull)
            self._protect()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End its processes; what it knows stays on disk."""
        with contextlib.suppress(JarkkitError):
            self._kwokctl("stop", "cluster")
        for component in self.components():
            with contextlib.suppress(psutil.Error):
                psutil.Process(component.pid).kill()
        self.egress.stop()

    def ready(self) -> bool:
        """True when the API server says so of itself and of all it needs."""
        pki = self._home / "pki"
        try:
            context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
            context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
            direct = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            )
            with direct.open(f"{self.endpoint}/readyz", timeout=10) as answer:
                return bool(answer.read() == b"ok")
        except OSError:
            return False

    def components(self) -> tuple[Component, ...]:
        """The processes that run."""
        found = (self._component(name) for name in COMPONENTS)
        return tuple(component for component in found if component is not None)

    def dead(self) -> tuple[str, ...]:
        """Components that should run and do not."""
        alive = {component.name for component in self.components()}
        return tuple(name for name in COMPONENTS if name not in alive)

    def log(self, component: str, lines: int = 15) -> str:
        """The last lines that it said."""
        try:
            text = (self._home / "logs" / f"{component}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # -- what others need to know ---------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """URL of the API."""
        known = yaml.safe_load(self.kubeconfig.read_text())
        return str(known["clusters"][0]["cluster"]["server"])

    @property
    def certificate_authority(self) -> str:
        """The CA's certificate, PEM in base64, as DescribeCluster gives it."""
        return base64.b64encode((self._home / "pki" / "ca.crt").read_bytes()).decode()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's: for the sandbox's own controllers, never for a user."""
        return self._home / "kubeconfig.yaml"

    # -- kwokctl -------------------------------------------------------------------------------

    def _kwokctl(self, *words: str) -> None:
        """Run it. It waits for ever for a component that ended, so we look after them meanwhile."""
        log = self.folder / "kwokctl.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                [str(self._programs["kwokctl"]), *words, "--name", _NAME, *self._config()],
                env={**os.environ, "KWOK_WORKDIR": str(self.folder), "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
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

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Until kwokctl has ended, or a component has for a while, or time is up."""
        deadline = time.monotonic() + _START_SECONDS
        healthy = time.monotonic()
        while process.poll() is None and time.monotonic() < deadline:
            if not any(self._pid_file(name).is_file() for name in self.dead()):
                healthy = time.monotonic()
            elif time.monotonic() - healthy > _DEAD_SECONDS:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)

    def _forget_the_dead(self) -> None:
        """Process ids that a crash of the machine or a SIGKILL left behind."""
        for name in self.dead():
            self._pid_file(name).unlink(missing_ok=True)

    def _pid_file(self, component: str) -> Path:
        return self._home / "pids" / f"{component}.pid"

    def _config(self) -> list[str]:
        return ["--config", str(self.folder / "kwokctl.yaml")]

    def _write_configuration(self) -> None:
        files = {
            "egress.yaml": _egress_configuration(self.egress.path),
            "scheduler.yaml": _scheduler_configuration(),
            "kwokctl.yaml": self._configuration(),
        }
        for name, content in files.items():
            write_private(self.folder / name, yaml.safe_dump(content).encode())

    def _configuration(self) -> dict[str, object]:
        # https://kwok.sigs.k8s.io/docs/generated/apis/#config.kwok.x-k8s.io/v1alpha1
        programs = {name: str(path) for name, path in self._programs.items()}
        arguments = {
            "kube-apiserver": {
                "egress-selector-config-file": str(self.folder / "egress.yaml"),
                "service-cluster-ip-range": self._service_cidr,
                "endpoint-reconciler-type": "none",
            },
            "etcd": {"unsafe-no-fsync": "true"},
        }
        return {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": {
                "runtime": "binary",
                "bindAddress": "127.0.0.1",
                "disableQPSLimits": True,
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
        """Keys are the user's alone, whatever kwokctl thinks of it."""
        for path in (self.kubeconfig, *self._home.glob("pki/*.key")):
            path.chmod(0o600)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.dead():
                raise self._failed("")
            if self.ready():
                return
            time.sleep(0.1)
        raise self._failed(f"not ready within {_START_SECONDS:g} seconds")

    def _failed(self, said: str) -> JarkkitError:
        dead = self.dead()
        lines = [*said.splitlines()[-5:], *filter(None, map(self.log, dead))]
        ended = f"{', '.join(dead)} ended" if dead else "it does not answer"
        return JarkkitError(
            "JK-SANDBOX-CLUSTER",
            f"A control plane of the sandbox cannot go on: {ended}.",
            "Look at the lines below; `jarkkit sandbox up --fresh` begins anew.",
            evidence="\n".join(lines),
        )

    def _component(self, name: str) -> Component | None:
        """The process whose id kwokctl noted; an id that was given to another does not count."""
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
        return Component(name, pid, memory, uptime)


def _egress_configuration(path: Path) -> dict[str, object]:
    transport = {"uds": {"udsName": str(path)}}
    connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }


def _scheduler_configuration() -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name} for name in _SCHEDULERS],
    }
