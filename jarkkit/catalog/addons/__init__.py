"""Reads and validates the add-on files, `*.yaml` here. docs/addons.md describes their keys."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jarkkit.settings import Settings

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
WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PodIdentity(_Model):
    """AWS permissions of a service account, granted through EKS Pod Identity.

    Attributes:
        managed_policies: names of AWS managed policies, with their path.
        statements: statements of an additional policy. Terraform replaces `${partition}`,
            `${region}`, `${account_id}`, `${cluster_name}`, `${cluster_arn}` and
            `${artifact_bucket}`.
        when: as in `Variant`; if it does not match, the add-on gets no permissions.
    """

    service_account: str
    managed_policies: tuple[str, ...] = ()
    statements: tuple[dict[str, Any], ...] = ()
    when: dict[str, Any] = Field(default_factory=dict)


class Chart(_Model):
    """A Helm chart and its release.

    Attributes:
        repository: `https://…` of an index, or `oci://…` of the folder with the chart.
        version: exact version.
        sha256: of the archive that the repository publishes; empty where it is not known.
    """

    repository: str = Field(pattern=r"^(https|oci)://\S+$")
    name: str
    version: str = Field(pattern=r"^v?\d+\.\d+\.\d+\S*$")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    release: str

    @property
    def archive(self) -> str:
        """Name of the file that `helm pull` downloads."""
        return f"{self.name}-{self.version}.tgz"


class Port(_Model):
    """A port of a Service, and the port on which its pods listen."""

    port: int
    target: int | None = None
    name: str = ""


class Service(_Model):
    """A Service of an add-on.

    Attributes:
        workload: the workload whose pods it selects.
        title: title of its web UI; empty when it has none.
        path: start path of the web UI.
        secret: name of the Secret with the login.
        user_key, password_key: the keys of the login in the Secret.
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


class AddonWorkload(_Model):
    """A workload of an add-on that must be ready.

    Attributes:
        replicas: None for a DaemonSet.
        by: `chart` when the chart or EKS creates it, `operator` when an operator creates it from
            one of the add-on's custom resources.
        cpu, memory: requests of each pod, as Kubernetes quantities (sum of its containers).
        labels: labels of its pods on which other objects depend.
        pod: further fields of its pod spec, as in the chart: containers (`image`, `args`, `env`,
            probes), serviceAccountName, tolerations, nodeSelector. Stub charts are built from it,
            and the linter checks it.
        when: as in `Variant`.
    """

    kind: WorkloadKind
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
            raise ValueError(f"{self.name}: only Deployments and StatefulSets have replicas")
        return self


class CustomResourceKind(_Model):
    """A kind of custom resource whose CRD the chart contains.

    The stub chart contains a CRD without a schema, unless the sandbox has the real CRD.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True


class Secret(_Model):
    """A Secret that jarkkit creates once; it later changes only values that come from settings.

    Attributes:
        data: by key `random` (32 characters), `=TEXT` (`{bcrypt:KEY}` in it becomes the hash of an
            earlier key's value) or `setting:NAME` (the secret that the setting refers to).
    """

    name: str
    data: dict[str, str]


class Variant(_Model):
    """Values, objects and secrets that apply only under a condition.

    Attributes:
        when: required values by setting name. A list matches any of its values; `true` matches any
            value that is not empty. `addon:NAME` is whether that add-on is enabled.
        values: merged over the add-on's values.
        before, after: added to the add-on's objects.
    """

    when: dict[str, Any]
    values: dict[str, Any] = Field(default_factory=dict)
    before: tuple[dict[str, Any] | str, ...] = ()
    after: tuple[dict[str, Any] | str, ...] = ()
    secrets: tuple[Secret, ...] = ()


class Addon(_Model):
    """One add-on of the catalog.

    Attributes:
        what: one paragraph: what it is and what you use it for.
        install: `eks` for an EKS managed add-on (Terraform), `helm` for a chart, `manifests` for
            plain objects.
        needs: add-ons that must be ready first.
        core: it runs on the core nodes and must be ready before all add-ons that are not core.
        version: version of the EKS managed add-on; None takes the newest for the cluster's version.
        before_compute: installed before the first node, because nodes need it to become Ready.
        configuration: configuration of the EKS managed add-on; may refer to settings only.
        values: values of the chart, with `${…}` references (`templating`).
        user_values: values from a deployment's folder, which override all others; empty in the
            catalog.
        before, after: objects to apply before the release, and once the workloads are ready. A text
            is a reference to a list of objects.
        workloads: the workloads that must be ready.
        finalize_first: kinds of its custom resources that own pods, volumes or AWS resources, as
            `apiVersion/Kind`. Cleanup deletes all of them and waits for their finalizers before it
            removes the add-on.
        leaves_pods: label selector of pods in its namespace that it starts itself. Removing the
            add-on deletes them too, because no controller would.
        timeout_seconds: time within which its workloads must be ready.
        file_system: it stores its data on Amazon EFS.
        mount_account: service account of its pods that mount the file system on the nodes. Its role
            is the only one that the file system's policy names.
        notice: a warning to read before you enable it.
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
    user_values: dict[str, Any] = Field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    before: tuple[dict[str, Any] | str, ...] = ()
    after: tuple[dict[str, Any] | str, ...] = ()
    workloads: tuple[AddonWorkload, ...] = ()
    services: tuple[Service, ...] = ()
    definitions: tuple[CustomResourceKind, ...] = ()
    finalize_first: tuple[str, ...] = ()
    leaves_pods: str = ""
    timeout_seconds: int = 600
    aws: PodIdentity | None = None
    file_system: bool = False
    mount_account: str = ""
    notice: str = ""
    link: str

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.chart is None) == (self.install == "helm"):
            raise ValueError(f"{self.name}: `install: helm`, and only that, needs a chart")
        return self


def unknown_conditions(when: Iterable[str], addons: Container[str]) -> Iterator[str]:
    """Yield what is wrong with the names of conditions (`Variant.when`), in words.

    Args:
        addons: the names of all add-ons.
    """
    for name in when:
        addon = name.removeprefix("addon:")
        if addon == name and name not in Settings.model_fields:
            yield f"a condition on the setting {name}, which does not exist"
        if addon != name and addon not in addons:
            yield f"a condition on the add-on {addon}, which does not exist"


@cache
def addon_catalog() -> Mapping[str, Addon]:
    """Return all add-ons by name, sorted by name."""
    return {addon.name: addon for addon in _read()}


def _read() -> Iterator[Addon]:
    folder = resources.files(__package__)
    files = (file for file in folder.iterdir() if file.name.endswith(".yaml"))
    for file in sorted(files, key=lambda file: file.name):
        name = file.name.removesuffix(".yaml")
        yield Addon.model_validate({"name": name, **yaml.safe_load(file.read_text())})
