"""The files of a stub chart, computed from an add-on's catalog entry. Pure."""

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

from jarkkit.catalog.addons import Addon, AddonWorkload, Chart, CustomResourceKind, Service, Variant

Object = dict[str, Any]

STUB_ANNOTATION = "jarkkit.io/stub-chart"
_WORKLOAD = "jarkkit.io/workload"
_APP = "app.kubernetes.io"
_RBAC = "rbac.authorization.k8s.io"
_LOAD_BALANCER = "service.beta.kubernetes.io/"
_NOTES = "A stub chart for a rehearsal: only the sandbox's own programs run in its pods."
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Helm replaces it when it renders the template.
_NAMESPACE = "@namespace@"
# An argument `@csv FLAG KEY@` passes the mapping at a key of the values: `FLAG=name=value,…`.
_CSV = re.compile(r"'@csv (\S+) (\w+)@'")
_CSV_TEMPLATE = (
    '{{ $csv := "" }}{{ range $key, $value := dig "VALUES" dict .Values.AsMap }}'
    '{{ $csv = printf "%s%s=%v," $csv $key $value }}{{ end }}'
    '{{ printf "FLAG=%s" (trimSuffix "," $csv) | quote }}'
)
# Kinds of these groups have no status subresource; controllers write status with the object.
_WHOLE_STATUS = ("argoproj.io",)


def chart_files(
    addon: Addon, chart: Chart, definitions: Mapping[str, str], more: str
) -> dict[str, str]:
    """Return a chart by its files.

    Args:
        definitions: real CRDs, as files of the chart.
        more: a template with objects that the catalog does not list.
    """
    about = {
        "apiVersion": "v2",
        "name": chart.name,
        "version": chart.version,
        "type": "application",
        "description": f"Stub chart for {addon.title} in a rehearsal, built by jarkkit.",
        "annotations": {STUB_ANNOTATION: "true"},
    }
    made = {
        "Chart.yaml": _yaml(about),
        "values.yaml": "# A stub chart takes any values.\n{}\n",
        "templates/NOTES.txt": f"{_NOTES}\n",
    }
    for manifest, condition in _objects(addon, chart):
        name = f"templates/{manifest['kind'].lower()}-{manifest['metadata']['name']}.yaml"
        made[name] = _template(manifest, condition)
    if more:
        made["templates/more.yaml"] = more
    known = "".join(definitions.values())
    return made | dict(definitions) | _without_schemas(addon.definitions, known)


def karpenter_chart(source: Mapping[str, str], version: str) -> dict[str, str]:
    """Return Karpenter's own chart, from its source, as that version is published.

    The source still has the previous release's versions, which the release process replaces.
    """
    made = {name: text for name, text in source.items() if not name.startswith("README")}
    about = re.sub(r"(?m)^(version|appVersion): .*$", rf"\1: {version}", made["Chart.yaml"])
    image = re.sub(r"(?m)^(    tag): .*$", rf"\1: {version}", made["values.yaml"])
    image = re.sub(r"(?m)^(    digest): .*$", r'\1: ""', image)
    return made | {"Chart.yaml": about, "values.yaml": image}


def pack(name: str, parts: Mapping[str, str]) -> bytes:
    """Return the archive; the same bytes for the same files."""
    made = io.BytesIO()
    # Level 1: CRDs are large, and the archive never crosses a network.
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
    """Yield the chart's objects, each with the condition on values that includes it."""
    ours = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in _own_objects(addon)}
    for manifest, condition in (
        *_accounts(addon, chart),
        *((secret, "") for secret in _secrets(addon)),
        *_claims(addon),
        *_services(addon),
        *_workloads(addon, chart),
    ):
        if (manifest["kind"], manifest["metadata"]["name"]) not in ours:
            labels = {
                f"{_APP}/name": chart.name,
                f"{_APP}/instance": chart.release,
                f"{_APP}/managed-by": "Helm",
                STUB_ANNOTATION: "true",
            }
            manifest["metadata"]["labels"] = labels | manifest["metadata"].get("labels", {})
            yield manifest, condition


def _own_objects(addon: Addon) -> Iterator[Object]:
    """Yield the objects that jarkkit applies itself: a chart must not contain the same."""
    parts: tuple[Addon | Variant, ...] = (addon, *addon.variants)
    for part in parts:
        yield from (
            manifest for manifest in (*part.before, *part.after) if isinstance(manifest, dict)
        )


def _accounts(addon: Addon, chart: Chart) -> Iterator[tuple[Object, str]]:
    """Yield service accounts; those of pods become cluster-admin: the real roles are unknown."""
    of_pods = {w.pod.get("serviceAccountName", "default") for w in _from_chart(addon)} - {"default"}
    others = {addon.aws.service_account} if addon.aws else set()
    for name in sorted(of_pods | others):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, ""
    if of_pods:
        yield _everything(f"{chart.release}-stub", sorted(of_pods)), ""


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
    """Yield the logins that a chart or its program generates."""
    parts: tuple[Addon | Variant, ...] = (addon, *addon.variants)
    kits = {secret.name for part in parts for secret in part.secrets}
    for service in addon.services:
        if service.secret and service.secret not in kits:
            login = {service.user_key: "admin", service.password_key: "stub"}
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
        if workload is None or workload.by == "operator":  # which also creates the Service
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
        meta["annotations"] = _values_of(values, lambda key: key.startswith(_LOAD_BALANCER))
        spec |= _values_of(values, lambda key: key == "loadBalancerClass")
        if not meta["annotations"]:
            spec.setdefault("loadBalancerClass", "service.k8s.aws/nlb")
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _values_of(values: Any, about: Callable[[str], bool]) -> dict[str, str]:
    """Return the chart's values whose key matches, at any depth."""
    found: dict[str, str] = {}
    if isinstance(values, dict):
        for key, value in values.items():
            if about(key) and "${" not in str(value):
                found[key] = str(value)
            found |= _values_of(value, about)
    return found


def _claims(addon: Addon) -> Iterator[tuple[Object, str]]:
    """Yield the claims of pods; a pod with a missing claim cannot be scheduled."""
    for workload in _from_chart(addon):
        for volume in workload.pod.get("volumes", ()):
            if claim := volume.get("persistentVolumeClaim"):
                spec = {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "5Gi"}},
                }
                meta = {"name": claim["claimName"]}
                manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta}
                yield {**manifest, "spec": spec}, _condition(addon, workload.when)


def _from_chart(addon: Addon) -> list[AddonWorkload]:
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
        manifest = {"apiVersion": "apps/v1", "kind": workload.kind, "metadata": meta, "spec": spec}
        yield manifest, _condition(addon, workload.when)


def _pod(workload: AddonWorkload, chart: Chart, services: Iterable[Service]) -> Object:
    """Return the pod spec of the catalog, completed with required fields."""
    image = f"stub.invalid/{chart.name}:{chart.version.replace('+', '_')}"
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


def _container_name(workload: AddonWorkload, number: int) -> str:
    return workload.name if number == 0 else f"{workload.name}-{number}"


def _container_ports(services: Iterable[Service]) -> list[Object]:
    ports = {port.target or port.port: port for service in services for port in service.ports}
    return [
        {"containerPort": number, **({"name": port.name} if 0 < len(port.name) <= 15 else {})}
        for number, port in sorted(ports.items())
    ]


# -- CRDs ------------------------------------------------------------------------------------------


def _without_schemas(definitions: Iterable[CustomResourceKind], known: str) -> dict[str, str]:
    """Return CRDs without schemas for kinds without a real CRD. A kind may have many versions."""
    ordered = sorted(definitions, key=lambda d: (d.group, d.plural))
    made = {}
    for (group, plural), versions in groupby(ordered, key=lambda d: (d.group, d.plural)):
        name = f"{plural}.{group}"
        if f"  name: {name}\n" not in known:
            made[f"crds/{group}_{plural}.yaml"] = _yaml(_definition(name, list(versions)))
    return made


def _definition(name: str, versions: list[CustomResourceKind]) -> Object:
    first = versions[0]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    status: Object = {} if first.group in _WHOLE_STATUS else {"subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {STUB_ANNOTATION: "true"}},
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
    """Return the template condition on values for an optional object, empty for none.

    A chart does not know settings, but a variant with the same condition lists the values that
    apply then. Without such a variant the object is always included.
    """
    for variant in addon.variants:
        tests = [
            f'(eq (toJson (dig {" ".join(map(json.dumps, path))} "?" .Values.AsMap)) '
            f"{json.dumps(json.dumps(value))})"
            for path, value in _leaf_values(variant.values)
            if "${" not in str(value)
        ]
        if when and tests and dict(variant.when) == dict(when):
            return f"and {' '.join(tests)}"
        if tests and _is_opposite(variant.when, when):
            return f"not (and {' '.join(tests)})"
    return ""


def _is_opposite(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return True for the two values of the same boolean condition."""
    return (
        len(one) == 1
        and one.keys() == other.keys()
        and {*one.values(), *other.values()}
        == {
            True,
            False,
        }
    )


def _leaf_values(
    values: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[Any, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaf_values(value, (*path, key))
        else:
            yield (*path, key), value


def _template(manifest: Object, condition: str) -> str:
    text = _yaml(manifest).replace("{{", '{{ "{{" }}')
    text = text.replace(_NAMESPACE, "{{ .Release.Namespace }}")
    text = _CSV.sub(_csv, text)
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n" if condition else text


def _csv(argument: re.Match[str]) -> str:
    return _CSV_TEMPLATE.replace("FLAG", argument[1]).replace("VALUES", argument[2])


def _yaml(manifest: Any) -> str:
    # Through JSON: otherwise YAML writes a repeated object as an alias.
    return str(yaml.dump(json.loads(json.dumps(manifest)), Dumper=_DUMPER, sort_keys=False))
