"""The files of a stand-in, from what the catalogue says of an add-on. Pure."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import yaml

from jarkkit.addons.catalogue import Addon, Chart, Definition, Service, Variant, Workload

Object = dict[str, Any]

STAND_IN = "jarkkit.io/stand-in"
_WORKLOAD = "jarkkit.io/workload"
_APP = "app.kubernetes.io"
_RBAC = "rbac.authorization.k8s.io"
_LOAD_BALANCER = "service.beta.kubernetes.io/"
_NOTES = (
    "A stand-in for a rehearsal: nothing runs in its pods but the programs that the sandbox has."
)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Filled in by Helm when it renders.
_NAMESPACE = "@namespace@"
# Kinds of these groups have no status subresource, and their controllers write it with the rest.
_WHOLE_STATUS = ("argoproj.io",)


def files(addon: Addon, chart: Chart, definitions: Mapping[str, str], more: str) -> dict[str, str]:
    """A chart by its files.

    Args:
        definitions: real ones, as files of the chart.
        more: a template with what the catalogue does not say.
    """
    about = {
        "apiVersion": "v2",
        "name": chart.name,
        "version": chart.version,
        "type": "application",
        "description": f"Stand-in for {addon.title} in a rehearsal, made by jarkkit.",
        "annotations": {STAND_IN: "true"},
    }
    made = {
        "Chart.yaml": _yaml(about),
        "values.yaml": "# A stand-in takes any values.\n{}\n",
        "templates/NOTES.txt": f"{_NOTES}\n",
    }
    for thing, condition in _objects(addon, chart):
        name = f"templates/{thing['kind'].lower()}-{thing['metadata']['name']}.yaml"
        made[name] = _template(thing, condition)
    if more:
        made["templates/more.yaml"] = more
    known = "".join(definitions.values())
    return made | dict(definitions) | _without_schemas(addon.definitions, known)


def karpenter(source: Mapping[str, str], version: str) -> dict[str, str]:
    """Its own chart, from its source, as that version of it is published.

    The release process writes versions into what the source has from the release before.
    """
    made = {name: text for name, text in source.items() if not name.startswith("README")}
    about = re.sub(r"(?m)^(version|appVersion): .*$", rf"\1: {version}", made["Chart.yaml"])
    image = re.sub(r"(?m)^(    tag): .*$", rf"\1: {version}", made["values.yaml"])
    image = re.sub(r"(?m)^(    digest): .*$", r'\1: ""', image)
    return made | {"Chart.yaml": about, "values.yaml": image}


def pack(name: str, parts: Mapping[str, str]) -> bytes:
    """The archive; the same bytes for the same files."""
    made = io.BytesIO()
    # Level 1: definitions are large, and nobody sends them over a network.
    with (
        gzip.GzipFile(fileobj=made, mode="wb", compresslevel=1, mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(parts):
            data = parts[path].encode()
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


# -- objects ---------------------------------------------------------------------------------------


def _objects(addon: Addon, chart: Chart) -> Iterator[tuple[Object, str]]:
    """What the chart brings, each with the condition on values under which it does."""
    ours = {(thing["kind"], thing["metadata"]["name"]) for thing in _own_objects(addon)}
    for thing, condition in (
        *_accounts(addon, chart),
        *((secret, "") for secret in _secrets(addon)),
        *_claims(addon),
        *_services(addon),
        *_workloads(addon, chart),
    ):
        if (thing["kind"], thing["metadata"]["name"]) not in ours:
            labels = {
                f"{_APP}/name": chart.name,
                f"{_APP}/instance": chart.release,
                f"{_APP}/managed-by": "Helm",
                STAND_IN: "true",
            }
            thing["metadata"]["labels"] = labels | thing["metadata"].get("labels", {})
            yield thing, condition


def _own_objects(addon: Addon) -> Iterator[Object]:
    """What the kit brings beside the chart: a chart must not bring the same."""
    parts: tuple[Addon | Variant, ...] = (addon, *addon.variants)
    for part in parts:
        yield from (thing for thing in (*part.before, *part.after) if isinstance(thing, dict))


def _accounts(addon: Addon, chart: Chart) -> Iterator[tuple[Object, str]]:
    """Service accounts. Those of the pods may do everything: the real roles are not known here."""
    of_pods = {w.pod.get("serviceAccountName", "default") for w in _from_chart(addon)} - {"default"}
    others = {addon.aws.service_account} if addon.aws else set()
    for name in sorted(of_pods | others):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, ""
    if of_pods:
        yield _everything(f"{chart.release}-stand-in", sorted(of_pods)), ""


def _everything(name: str, accounts: Iterable[str]) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"kind": "ServiceAccount", "name": account, "namespace": _NAMESPACE}
            for account in accounts
        ],
    }


def _secrets(addon: Addon) -> Iterator[Object]:
    """Logins that a chart, or what runs in it, makes for itself."""
    parts: tuple[Addon | Variant, ...] = (addon, *addon.variants)
    kits = {secret.name for part in parts for secret in part.secrets}
    for service in addon.services:
        if service.secret and service.secret not in kits:
            login = {service.user_key: "admin", service.password_key: "stand-in"}
            kits.add(service.secret)
            yield {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": service.secret},
                "type": "Opaque",
                "stringData": {key: value for key, value in login.items() if key},
            }


def _services(addon: Addon) -> Iterator[tuple[Object, str]]:
    by_name = {workload.name: workload for workload in addon.workloads}
    for service in addon.services:
        workload = by_name.get(service.workload)
        if workload is None or workload.by == "operator":  # who makes the Service, too
            continue
        yield _service(service, addon.values), _condition(addon, workload.when)


def _service(service: Service, values: Object) -> Object:
    ports = [
        {
            "name": port.name or f"port-{port.port}",
            "port": port.port,
            "targetPort": port.target or port.port,
        }
        for port in service.ports
    ]
    meta: Object = {"name": service.name}
    selector = {_WORKLOAD: service.workload}
    spec: Object = {"type": service.type, "selector": selector, "ports": ports}
    if service.type == "LoadBalancer":
        meta["annotations"] = _said(values, lambda key: key.startswith(_LOAD_BALANCER))
        spec |= _said(values, lambda key: key == "loadBalancerClass")
        if not meta["annotations"]:
            spec.setdefault("loadBalancerClass", "service.k8s.aws/nlb")
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _said(values: Any, about: Callable[[str], bool]) -> dict[str, str]:
    """What a chart's values say about something, wherever in them that stands."""
    found: dict[str, str] = {}
    if isinstance(values, dict):
        for key, value in values.items():
            if about(key) and "${" not in str(value):
                found[key] = str(value)
            found |= _said(value, about)
    return found


def _claims(addon: Addon) -> Iterator[tuple[Object, str]]:
    """The volumes that pods want; one that is not there would keep a pod from every node."""
    for workload in _from_chart(addon):
        for volume in workload.pod.get("volumes", ()):
            if claim := volume.get("persistentVolumeClaim"):
                spec = {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "5Gi"}},
                }
                meta = {"name": claim["claimName"]}
                thing = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta}
                yield {**thing, "spec": spec}, _condition(addon, workload.when)


def _from_chart(addon: Addon) -> list[Workload]:
    return [workload for workload in addon.workloads if workload.by == "chart"]


def _workloads(addon: Addon, chart: Chart) -> Iterator[tuple[Object, str]]:
    for workload in _from_chart(addon):
        labels = {f"{_APP}/name": chart.name, f"{_APP}/instance": chart.release, **workload.labels}
        labels[_WORKLOAD] = workload.name
        pod = _pod(workload, chart, [s for s in addon.services if s.workload == workload.name])
        spec: Object = {
            "selector": {"matchLabels": {_WORKLOAD: workload.name}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        if workload.replicas is not None:
            spec["replicas"] = workload.replicas
        if workload.kind == "StatefulSet":
            spec["serviceName"] = workload.name
        meta = {"name": workload.name}
        thing = {"apiVersion": "apps/v1", "kind": workload.kind, "metadata": meta, "spec": spec}
        yield thing, _condition(addon, workload.when)


def _pod(workload: Workload, chart: Chart, services: Iterable[Service]) -> Object:
    """Its specification: as the catalogue has it, and whatever a pod must have besides."""
    image = f"stand-in.invalid/{chart.name}:{chart.version.replace('+', '_')}"
    given = workload.pod.get("containers") or [{}]
    containers = [
        {"name": _container_name(workload, number), "image": image, **container}
        for number, container in enumerate(given)
    ]
    first = containers[0]
    first.setdefault("resources", {"requests": {"cpu": workload.cpu, "memory": workload.memory}})
    if ports := _container_ports(services):
        first.setdefault("ports", ports)
    return {**workload.pod, "containers": containers}


def _container_name(workload: Workload, number: int) -> str:
    return workload.name if number == 0 else f"{workload.name}-{number}"


def _container_ports(services: Iterable[Service]) -> list[Object]:
    ports = {port.target or port.port: port for service in services for port in service.ports}
    return [
        {"containerPort": number, **({"name": port.name} if 0 < len(port.name) <= 15 else {})}
        for number, port in sorted(ports.items())
    ]


# -- definitions -----------------------------------------------------------------------------------


def _without_schemas(definitions: Iterable[Definition], known: str) -> dict[str, str]:
    """Those of which there is no real one. A kind may have several versions."""
    ordered = sorted(definitions, key=lambda d: (d.group, d.plural))
    made = {}
    for (group, plural), versions in groupby(ordered, key=lambda d: (d.group, d.plural)):
        name = f"{plural}.{group}"
        if f"  name: {name}\n" not in known:
            made[f"crds/{group}_{plural}.yaml"] = _yaml(_definition(name, list(versions)))
    return made


def _definition(name: str, versions: list[Definition]) -> Object:
    first = versions[0]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    status: Object = {} if first.group in _WHOLE_STATUS else {"subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {STAND_IN: "true"}},
        "spec": {
            "group": first.group,
            "scope": "Namespaced" if first.namespaced else "Cluster",
            "names": {
                "kind": first.kind,
                "listKind": f"{first.kind}List",
                "plural": first.plural,
                "singular": first.kind.lower(),
            },
            "versions": [
                {
                    "name": definition.version,
                    "served": True,
                    "storage": definition is first,
                    "schema": {"openAPIV3Schema": schema},
                    **status,
                }
                for definition in versions
            ],
        },
    }


# -- templates -------------------------------------------------------------------------------------


def _condition(addon: Addon, when: Mapping[str, Any]) -> str:
    """What a chart's own template would ask of its values, for something that is not always there.

    A chart does not know settings, but a variant with the same condition says which values it has
    then. Without such a variant, it is there.
    """
    for variant in addon.variants:
        tests = [
            f'(eq (toJson (dig {" ".join(map(json.dumps, path))} "?" .Values.AsMap)) '
            f"{json.dumps(json.dumps(value))})"
            for path, value in _leaves(variant.values)
            if "${" not in str(value)
        ]
        if when and tests and dict(variant.when) == dict(when):
            return f"and {' '.join(tests)}"
        if tests and _is_opposite(variant.when, when):
            return f"not (and {' '.join(tests)})"
    return ""


def _is_opposite(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True for the two sides of one yes or no."""
    return (
        len(one) == 1
        and one.keys() == other.keys()
        and {*one.values(), *other.values()}
        == {
            True,
            False,
        }
    )


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _template(thing: Object, condition: str) -> str:
    text = _yaml(thing).replace("{{", '{{ "{{" }}')
    text = text.replace(_NAMESPACE, "{{ .Release.Namespace }}")
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n" if condition else text


def _yaml(thing: Any) -> str:
    # Through JSON: YAML would write what occurs twice as an alias.
    return str(yaml.dump(json.loads(json.dumps(thing)), Dumper=_DUMPER, sort_keys=False))
