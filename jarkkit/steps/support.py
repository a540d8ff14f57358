"""Collect what a bug report needs, without secrets. Changes nothing and works at any time.

Every text goes through the strict redactor before it becomes a member of the archive. A part that
cannot be read is named with its reason and does not stop the others.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml

from jarkkit.decisions import support_bundle as decisions
from jarkkit.decisions.redaction import StrictRedactor
from jarkkit.decisions.support_bundle import BundleMember, SupportBundle, UnreadPart
from jarkkit.model.checks import Report
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError, Unreachable
from jarkkit.model.kubernetes_values import event_time
from jarkkit.ports.kube import Kube, Object
from jarkkit.ports.machine import LocalMachine
from jarkkit.ports.provider import PROVIDER, pinned_version
from jarkkit.ports.terraform import Terraform
from jarkkit.ports.workspace import Workspace

_logger = logging.getLogger(__name__)

R = TypeVar("R")


@dataclass(frozen=True)
class SupportContext:
    """What the collection needs. Creating one reads nothing; each of the callables may raise.

    Args:
        diagnose: returns a diagnosis of now.
        get_kube: returns the cluster's API client, after the check of the account.
    """

    workspace: Workspace
    machine: LocalMachine
    terraform: Terraform
    redactor: StrictRedactor
    diagnose: Callable[[], Report]
    get_kube: Callable[[], Kube]


def support_bundle(context: SupportContext) -> SupportBundle:
    """Return the contents of an archive for a bug report.

    Raises nothing that a user can cause: what could not be read is in `unread`.
    """
    made = now()
    found = _Collected(context.redactor)
    if versions := found.try_to("versions.json", lambda: _versions(context)):
        found.add_json("versions.json", versions)
    _diagnosis(context, found)
    for name in decisions.FILES:
        _file(context.workspace, found, name)
    _logs(context.workspace, found)
    kube = found.try_to("cluster", context.get_kube)
    if kube is not None:
        _Cluster(kube, found).collect()
    return _bundle(context, made, found)


def _bundle(context: SupportContext, made: str, found: _Collected) -> SupportBundle:
    name = context.workspace.name
    unread = tuple(found.unread)
    text = decisions.readme(name, made, [*found.members], unread)
    readme = context.redactor.text(text).encode()
    members = {"README.txt": readme, **found.members}
    return SupportBundle(
        deployment=name,
        made=made,
        members=tuple(BundleMember(each, content) for each, content in members.items()),
        unread=unread,
    )


@dataclass
class _Collected:
    """The members so far, all redacted, and the parts that could not be read."""

    redactor: StrictRedactor
    members: dict[str, bytes] = field(default_factory=dict)
    unread: list[UnreadPart] = field(default_factory=list)

    def add_text(self, name: str, text: str) -> None:
        self._add(name, lambda: self.redactor.text(text))

    def add_json_lines(self, name: str, text: str) -> None:
        self._add(name, lambda: self.redactor.json_lines(text))

    def add_json(self, name: str, value: Any) -> None:
        self._add(name, lambda: _as_json(self.redactor.value(value)))

    def add_yaml(self, name: str, value: Any) -> None:
        self._add(name, lambda: _as_yaml(self.redactor.value(value)))

    def _add(self, name: str, redacted: Callable[[], str]) -> None:
        text = self.try_to(name, redacted)
        if text is not None:
            self.members[self.redactor.text(name)] = text.encode(errors="replace")

    def try_to(self, name: str, read: Callable[[], R]) -> R | None:
        """Return what `read` returns; None, and the part is unread, if it raises."""
        try:
            return read()
        except JarkkitError as error:
            self.not_read(name, str(error))
        except Exception as error:  # a bug must not keep users from reporting it
            _logger.debug("%s", name, exc_info=True)
            self.not_read(name, f"{type(error).__name__}: {error}")
        return None

    def not_read(self, name: str, why: str) -> None:
        self.unread.append(UnreadPart(self.redactor.text(name), self.redactor.text(why)))


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


# -- this machine and the folder -------------------------------------------------------------------


def _versions(context: SupportContext) -> dict[str, Any]:
    machine = context.machine
    return {
        "python": machine.python_version(),
        "system": machine.system(),
        "terraform": _answer(lambda: _terraform(context.terraform)),
        PROVIDER: _answer(pinned_version),
        "kubectl": _answer(machine.kubectl_version),
        "packages": machine.package_versions(decisions.PACKAGES),
    }


def _terraform(terraform: Terraform) -> str:
    return f"{terraform.tool.product} {terraform.tool.version}"


def _answer(ask: Callable[[], str | None]) -> str | None:
    """Return the answer, or the error in its place: it is a part of what is reported."""
    try:
        return ask()
    except (JarkkitError, OSError, ValueError) as error:
        return str(error)


def _diagnosis(context: SupportContext, found: _Collected) -> None:
    """Add a diagnosis of now; if that fails, the last one."""
    report = found.try_to("diagnosis", context.diagnose)
    if report is None:
        _file(context.workspace, found, decisions.DIAGNOSIS)
        return
    found.add_json(decisions.DIAGNOSIS, report.model_dump(mode="json"))


def _file(
    workspace: Workspace, found: _Collected, name: str, limit: int = decisions.FILE_LIMIT
) -> None:
    """Add a file of the folder, if it exists; of a long one, the end."""
    found.try_to(name, lambda: _add_file(workspace, found, name, limit))


def _add_file(workspace: Workspace, found: _Collected, name: str, limit: int) -> None:
    text = workspace.tail(name, limit)
    if text is None:
        return
    if name.endswith(".jsonl"):
        found.add_json_lines(name, text)
    elif name.endswith(".json"):
        _add_json(found, name, text)
    else:
        found.add_text(name, text)


def _add_json(found: _Collected, name: str, text: str) -> None:
    try:
        found.add_json(name, json.loads(text))
    except ValueError:  # damaged, which may be the reason for the report
        found.add_text(name, text)


def _logs(workspace: Workspace, found: _Collected) -> None:
    sizes = found.try_to("logs", workspace.log_sizes) or {}
    shares = decisions.log_shares(sizes)
    for name, share in shares.items():
        _file(workspace, found, name, share)
    if left := sum(sizes.values()) - sum(shares.values()):
        limit = f"{decisions.LOGS_LIMIT / 2**20:.0f} MiB"
        found.not_read("logs", f"only the newest {limit} are in the archive, {left} bytes are not")


# -- the cluster -----------------------------------------------------------------------------------


@dataclass
class _Cluster:
    """The objects of a cluster that show what failed.

    Attributes:
        silent: the API did not answer, and every further call would wait for its timeout.
    """

    kube: Kube
    found: _Collected
    silent: bool = False

    def collect(self) -> None:
        """Add version, nodes, events and pods, until the API no longer answers."""
        if version := self._ask("cluster/version", self.kube.version):
            self.found.add_text("cluster/version.txt", f"{version}\n")
        for node in self._ask("cluster/nodes", self._nodes) or ():
            self._add_object(f"cluster/nodes/{node['metadata']['name']}.yaml", node)
        if events := self._ask("cluster/events", self._warnings):
            self.found.add_text("cluster/events.txt", _lines(events))
        for pod in self._ask("cluster/pods", self._pods) or ():
            self._add_pod(pod)
        if self.silent:
            self.found.not_read("cluster", "its API does not answer, so the rest was not read")

    def _ask(self, name: str, ask: Callable[[], R]) -> R | None:
        """Return the API's answer; None if it fails, or did not answer before."""

        def answer() -> R:
            try:
                return ask()
            except Unreachable:
                self.silent = True
                raise

        return None if self.silent else self.found.try_to(name, answer)

    def _nodes(self) -> Sequence[Object]:
        return decisions.unready_nodes(self.kube.list("v1", "Node"))

    def _warnings(self) -> Sequence[Object]:
        """Return the newest warnings, the oldest of them first."""
        found = self.kube.list("v1", "Event", fields="type!=Normal")
        return sorted(found, key=event_time)[-decisions.MAX_EVENTS :]

    def _pods(self) -> Sequence[Object]:
        return decisions.failed_pods(self.kube.list("v1", "Pod"))

    def _add_object(self, name: str, item: Object) -> None:
        self.found.add_yaml(name, decisions.without_copies(item))

    def _add_pod(self, pod: Object) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        file = f"cluster/pods/{namespace}.{name}"
        self._add_object(f"{file}.yaml", pod)
        about = f"{file}.events.txt"
        if events := self._ask(about, lambda: self.kube.events(namespace, name)):
            self.found.add_text(about, _lines(events))
        for container in decisions.container_names(pod):
            self._add_log(f"{file}.{container}.log", namespace, name, container)
            if decisions.restarted(pod, container):
                log = f"{file}.{container}.previous.log"
                self._add_log(log, namespace, name, container, previous=True)

    def _add_log(
        self, file: str, namespace: str, pod: str, container: str, *, previous: bool = False
    ) -> None:
        lines = decisions.POD_LOG_LINES
        log = self._ask(
            file,
            lambda: self.kube.logs(namespace, pod, container, lines=lines, previous=previous),
        )
        if log:
            self.found.add_text(file, decisions.last_lines(log))


def _lines(events: Sequence[Object]) -> str:
    return "".join(f"{event_time(e)} {decisions.event_line(e)}\n" for e in events)
