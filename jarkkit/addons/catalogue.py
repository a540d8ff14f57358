"""The files of `catalog/`, read and checked. docs/addons.md describes their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Group = Literal[
    "Kubernetes",
    "Nodes",
    "Storage",
    "Networking",
    "Notebooks",
    "Jobs",
    "Ray",
    "Delivery",
    "Accelerators",
    "Observability",
]
GROUPS: tuple[Group, ...] = get_args(Group)
Kind = Literal["Deployment", "StatefulSet", "DaemonSet"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Part):
    """AWS permissions of a service account, given through EKS Pod Identity.

    Attributes:
        managed_policies: names of AWS managed policies, with their path.
        statements: a policy of the add-on's own. `${partition}`, `${region}`, `${account_id}`,
            `${cluster_name}`, `${cluster_arn}` and `${artifact_bucket}` are filled in.
        when: as in `Variant`: without it the add-on gets no permissions.
    """

    service_account: str
    managed_policies: tuple[str, ...] = ()
    statements: tuple[dict[str, Any], ...] = ()
    when: dict[str, Any] = Field(default_factory=dict)


class Chart(_Part):
    """A Helm chart and the release it becomes.

    Attributes:
        repository: `https://…` of an index, or `oci://…` of the folder that holds the chart.
        version: exact.
    """

    repository: str = Field(pattern=r"^(https|oci)://\S+$")
    name: str
    version: str = Field(pattern=r"^v?\d+\.\d+\.\d+\S*$")
    release: str

    @property
    def archive(self) -> str:
        """Name of the file that `helm pull` makes."""
        return f"{self.name}-{self.version}.tgz"


class Port(_Part):
    """A port of a Service, and what its pods listen on."""

    port: int
    target: int | None = None
    name: str = ""


class Service(_Part):
    """A Service that an add-on brings.

    Attributes:
        workload: whose pods it leads to.
        title: what people find there; empty where they have no business.
        path: of the page to open.
        secret: name of the Secret with the login, with the keys of user and password.
    """

    name: str
    workload: str
    ports: tuple[Port, ...]
    type: Literal["ClusterIP", "LoadBalancer"] = "ClusterIP"
    title: str = ""
    path: str = "/"
    secret: str = ""
    user_key: str = ""
    password_key: str = ""


class Workload(_Part):
    """Something that must be ready.

    Attributes:
        replicas: None for a DaemonSet.
        by: `chart` where the chart or EKS brings it, `operator` where an operator makes it from
            one of the add-on's custom resources.
        cpu, memory: what each pod asks for, as Kubernetes quantities (sum of its containers).
        labels: of its pods, where others go by them.
        pod: more of its pod's specification as the chart makes it: containers (`image`, `args`,
            `env`, probes), serviceAccountName, tolerations, nodeSelector. Stand-ins are made from
            it, and the linter reads it.
        when: as in `Variant`.
    """

    kind: Kind
    name: str
    replicas: int | None = None
    by: Literal["chart", "operator"] = "chart"
    cpu: str = "10m"
    memory: str = "32Mi"
    labels: dict[str, str] = Field(default_factory=dict)
    pod: dict[str, Any] = Field(default_factory=dict)
    when: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.replicas is None) != (self.kind == "DaemonSet"):
            raise ValueError(f"{self.name}: replicas belong to Deployments and StatefulSets")
        return self

    def vcpus(self, nodes: int) -> float:
        """What its pods ask for together; a DaemonSet has one on each of so many nodes."""
        count = nodes if self.replicas is None else self.replicas
        return count * (float(self.cpu[:-1]) / 1000 if self.cpu.endswith("m") else float(self.cpu))


class Definition(_Part):
    """A kind of custom resource that the chart defines: the stand-in defines it without a schema,
    unless the sandbox has the real definition."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True


class Secret(_Part):
    """A Secret that the kit makes once and never changes.

    Attributes:
        data: by key: `random` (32 characters), `=TEXT`, in which `{bcrypt:KEY}` is a hash of an
            earlier key's value, or `setting:NAME` (the secret that the setting refers to).
    """

    name: str
    data: dict[str, str]


class Variant(_Part):
    """What is other than usual under a condition.

    Attributes:
        when: by setting's name the value it must have. A list is one of several values; `true`
            is anything that is not empty. `addon:NAME` is whether that add-on is on.
        values: merged over the add-on's.
        before, after: added to the add-on's.
    """

    when: dict[str, Any]
    values: dict[str, Any] = Field(default_factory=dict)
    before: tuple[dict[str, Any] | str, ...] = ()
    after: tuple[dict[str, Any] | str, ...] = ()
    secrets: tuple[Secret, ...] = ()


class Addon(_Part):
    """One entry of the catalogue.

    Attributes:
        what: one paragraph: what it is and why one wants it.
        install: `eks` for an EKS managed add-on (Terraform), `helm` for a chart, `manifests` for
            objects alone.
        needs: add-ons that must be ready first.
        core: runs on the core nodes and is ready before anything that needs room.
        version: of the EKS managed add-on; None takes the newest for the cluster's version.
        before_compute: installed before the first node, because nodes need it to become Ready.
        configuration: of the EKS managed add-on; may refer to settings alone.
        values: of the chart. `${…}` are filled in (`words`).
        before, after: objects that are applied before its release, and when its workloads are
            ready. A text is a reference to a list of objects.
        workloads: what it brings up.
        leaves: kinds of its custom resources that own pods, volumes or things in the account:
            `apiVersion/Kind`. Cleanup deletes all of them, and waits, before it goes.
        leaves_pods: label selector of pods in its namespace that it starts by itself, and that
            nobody would end when it is gone.
        timeout_seconds: until its workloads must be ready.
        file_system: it keeps its data on Amazon EFS.
        notice: what one should know before choosing it.
    """

    name: str
    title: str
    what: str
    group: Group
    install: Literal["eks", "helm", "manifests"]
    namespace: str
    default: bool = True
    needs: tuple[str, ...] = ()
    core: bool = False
    version: str | None = None
    before_compute: bool = False
    configuration: dict[str, Any] = Field(default_factory=dict)
    chart: Chart | None = None
    values: dict[str, Any] = Field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    secrets: tuple[Secret, ...] = ()
    before: tuple[dict[str, Any] | str, ...] = ()
    after: tuple[dict[str, Any] | str, ...] = ()
    workloads: tuple[Workload, ...] = ()
    services: tuple[Service, ...] = ()
    definitions: tuple[Definition, ...] = ()
    leaves: tuple[str, ...] = ()
    leaves_pods: str = ""
    timeout_seconds: int = 600
    aws: Identity | None = None
    file_system: bool = False
    notice: str = ""
    link: str

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.chart is None) == (self.install == "helm"):
            raise ValueError(f"{self.name}: a chart belongs to install: helm")
        return self


@cache
def catalogue() -> Mapping[str, Addon]:
    """All add-ons by name, in the order of their names."""
    return {addon.name: addon for addon in _read()}


def _read() -> Iterator[Addon]:
    folder = resources.files(__package__) / "catalog"
    files = (file for file in folder.iterdir() if file.name.endswith(".yaml"))
    for file in sorted(files, key=lambda file: file.name):
        name = file.name.removesuffix(".yaml")
        yield Addon.model_validate({"name": name, **yaml.safe_load(file.read_text())})
