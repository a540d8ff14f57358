"""What is in an archive for a bug report: which files, how much of them, which objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jarkkit.decisions.cluster.pod_status import event_text
from jarkkit.decisions.diagnosis.pods import unready_groups

Object = dict[str, Any]

# The files of a deployment's folder that help, without those that can hold secrets: Terraform's
# state and plans, its variables, the kubeconfig.
FILES = (
    "settings.yaml", "deployment.json", "target.json", "network.json", "eks-addons.json",
    "cluster.json", "ledger.jsonl", "events.jsonl", "receipt.json", "run.json",
    "reports/preflight.json", "reports/plan.json", "reports/verify.json", "reports/quotas.json",
)  # fmt: skip
DIAGNOSIS = "reports/diagnose.json"
# Bytes. Issue trackers accept attachments of some 25 MB; text compresses to a tenth.
FILE_LIMIT = 2 * 2**20
LOGS_LIMIT = 4 * 2**20
# A broken cluster can have thousands of pods with the same few failures.
MAX_GROUPS = 20
MAX_PODS_PER_GROUP = 2
MAX_EVENTS = 500
POD_LOG_LINES = 200
_POD_LOG_LIMIT = 32 * 2**10  # characters
# Packages whose versions decide how jarkkit behaves.
PACKAGES = (
    "jarkkit", "boto3", "botocore", "helm-python", "ipywidgets", "jupyterlab", "kubernetes", "moto",
    "nbformat", "papermill", "pydantic", "python-terraform", "pyyaml", "typer", "urllib3",
)  # fmt: skip
# It repeats the whole object as text.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class BundleMember:
    """A file of the archive."""

    name: str
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Its size in bytes, before compression."""
        return len(self.content)


@dataclass(frozen=True)
class UnreadPart:
    """A part that the archive lacks, with the reason."""

    name: str
    why: str


@dataclass(frozen=True)
class SupportBundle:
    """The contents of an archive for a bug report, before it is written.

    Attributes:
        made: UTC, ISO 8601.
        members: its files, without secrets.
        unread: the parts that could not be read.
    """

    deployment: str
    made: str
    members: tuple[BundleMember, ...]
    unread: tuple[UnreadPart, ...] = ()

    @property
    def file_name(self) -> str:
        """The archive's usual name, with its time."""
        return f"jarkkit-support-{self.deployment}-{self.made[:19].replace(':', '')}.tar.gz"

    def contents(self) -> dict[str, bytes]:
        """Return the contents of the archive's files, by name."""
        return {member.name: member.content for member in self.members}

    def as_dict(self) -> dict[str, Any]:
        """Return what is in it, for JSON."""
        return {
            "deployment": self.deployment,
            "members": [{"name": each.name, "bytes": each.size} for each in self.members],
            "unread": [{"name": part.name, "why": part.why} for part in self.unread],
        }


def log_shares(sizes: Mapping[str, int], limit: int = LOGS_LIMIT) -> dict[str, int]:
    """Return how many bytes to read of which log, from its end: the newest first, up to the limit.

    Args:
        sizes: bytes by name; names begin with the time.
    """
    shares = dict[str, int]()
    for name in sorted(sizes, reverse=True):
        if limit > 0 and sizes[name]:
            shares[name] = min(sizes[name], limit)
            limit -= shares[name]
    return shares


def failed_pods(pods: Iterable[Object]) -> tuple[Object, ...]:
    """Return pods that are not ready: a few of each owner, because they fail alike."""
    groups = unready_groups(pods)[:MAX_GROUPS]
    return tuple(dict(pod) for group in groups for pod in group.pods[:MAX_PODS_PER_GROUP])


def unready_nodes(nodes: Iterable[Object]) -> tuple[Object, ...]:
    """Return the nodes that are not Ready."""
    return tuple(node for node in nodes if not _is_ready_node(node))


def _is_ready_node(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def container_names(pod: Object) -> tuple[str, ...]:
    """Return the names of the pod's containers that may have a log, in the order of their start."""
    return tuple(status["name"] for status in _container_statuses(pod))


def restarted(pod: Object, container: str) -> bool:
    """Return True if an earlier run of the container may have left a log."""
    found = [status for status in _container_statuses(pod) if status["name"] == container]
    return any(status.get("restartCount") or status.get("lastState") for status in found)


def _container_statuses(pod: Object) -> tuple[Object, ...]:
    status = pod.get("status", {})
    kinds = ("initContainerStatuses", "containerStatuses")
    return tuple(each for kind in kinds for each in status.get(kind) or ())


def last_lines(log: str, limit: int = _POD_LOG_LIMIT) -> str:
    """Return the end of a container's log, from the beginning of a line."""
    if len(log) <= limit:
        return log
    return log[-limit:].partition("\n")[2]


def without_copies(item: Object) -> dict[str, Any]:
    """Return an object without what repeats it: the fields' managers, what was applied last."""
    meta = dict(item.get("metadata") or {})
    meta.pop("managedFields", None)
    if annotations := meta.get("annotations"):
        meta["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    return {**item, "metadata": meta}


def event_line(event: Object) -> str:
    """Return an event as one line."""
    about = event.get("involvedObject", {})
    named = "/".join(filter(None, (about.get("namespace"), about.get("name"))))
    line = f"{event.get('type', '')} {about.get('kind', '')} {named} {event_text(event)}"
    return line.strip().replace("\n", " ")


def readme(deployment: str, made: str, names: Sequence[str], unread: Sequence[UnreadPart]) -> str:
    """Return README.txt: what is in the archive, what is missing and why."""
    missing = [f"  {part.name}: {part.why}" for part in unread] or ["  nothing"]
    return "\n".join(
        [
            f"jarkkit support archive of deployment {deployment}, {made}",
            "",
            "Replaced or left out: account ids, credentials, tokens, private keys, passwords,",
            "email addresses, local paths, and values whose names sound like a secret.",
            "Never in it: the Terraform state, plan files, the kubeconfig, Secrets.",
            "Still in it: names of your own, such as namespaces, pods, tags and users of the hub.",
            "Read the files before you attach the archive to a public issue.",
            "",
            "Not read:",
            *missing,
            "",
            "Files:",
            *(f"  {name}" for name in names),
            "",
        ]
    )
