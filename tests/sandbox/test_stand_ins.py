"""Charts that a sandbox makes from the catalogue, rendered by Helm itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.charts import Charts
from jarkkit.sandbox import control, stand_ins
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
from jarkkit.sandbox.stand_ins import StandIn
from jarkkit.sandbox.stand_ins.chart import karpenter

Object = dict[str, Any]
NOTE = "service.beta.kubernetes.io/aws-load-balancer-scheme"


def addon(name: str = "demo", **more: Any) -> Addon:
    """An add-on of the catalogue's form."""
    chart = {"repository": "https://x", "name": name, "version": "1.2.3", "release": name}
    return Addon.model_validate(
        {
            "name": name,
            "title": "Demo",
            "what": "It.",
            "group": "Jobs",
            "install": "helm",
            "namespace": "demos",
            "chart": chart,
            "link": "https://x",
            **more,
        }
    )


def workload(name: str = "web", **more: Any) -> Object:
    """A Deployment of two."""
    return {"kind": "Deployment", "name": name, "replicas": 2, **more}


@pytest.fixture
def nothing_built(tmp_path: Path) -> Toolchain:
    """A machine without the programs."""
    return Toolchain(tmp_path / "cache", {})


def rendered(
    thing: Addon, tools: Toolchain, values: Object | None = None
) -> dict[tuple[str, str], Object]:
    """What Helm makes of its stand-in, by kind and name."""
    assert thing.chart is not None
    _, data = stand_ins.archive_of(thing, thing.chart, tools)
    chart = helm_python.Chart.load_archive(data)
    texts = chart.render(values or {}, name=thing.chart.release, namespace=thing.namespace)
    documents = (text for name, text in texts.items() if name.endswith(".yaml"))
    objects = [o for text in documents for o in yaml.safe_load_all(text) if o]
    return {(o["kind"], o["metadata"]["name"]): o for o in objects}


class TestObjects:
    def test_a_workload_as_the_catalogue_has_it(self, nothing_built: Toolchain) -> None:
        pod = {
            "serviceAccountName": "web",
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"jarkkit/nodes": "core"},
            "containers": [{"image": "web:1", "args": ["--format={{.Name}}"]}, {"name": "side"}],
        }
        web = workload(cpu="100m", memory="1Gi", labels={"app.kubernetes.io/name": "web"}, pod=pod)
        made = rendered(addon(workloads=[web]), nothing_built, {"anything": {"at": ["all"]}})
        deployment = made["Deployment", "web"]
        assert deployment["spec"]["replicas"] == 2
        template = deployment["spec"]["template"]
        assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "web"
        assert deployment["spec"]["selector"]["matchLabels"].items() <= (
            template["metadata"]["labels"].items()
        )
        spec = template["spec"]
        assert (spec["tolerations"], spec["nodeSelector"]) == (
            pod["tolerations"],
            pod["nodeSelector"],
        )
        first, second = spec["containers"]
        assert (first["name"], first["image"], first["args"]) == (
            "web",
            "web:1",
            ["--format={{.Name}}"],
        )
        assert first["resources"] == {"requests": {"cpu": "100m", "memory": "1Gi"}}
        assert (second["name"], second["image"]) == ("side", "stand-in.invalid/demo:1.2.3")
        assert ("ServiceAccount", "web") in made
        (subject,) = made["ClusterRoleBinding", "demo-stand-in"]["subjects"]
        assert subject["namespace"] == "demos"

    def test_each_kind_of_workload(self, nothing_built: Toolchain) -> None:
        every = {"kind": "DaemonSet", "name": "every"}
        store = {"kind": "StatefulSet", "name": "store", "replicas": 1}
        theirs = workload("theirs", by="operator")
        made = rendered(addon(workloads=[every, store, theirs]), nothing_built)
        assert "replicas" not in made["DaemonSet", "every"]["spec"]
        assert made["StatefulSet", "store"]["spec"]["serviceName"] == "store"
        assert ("Deployment", "theirs") not in made

    def test_services_and_their_logins(self, nothing_built: Toolchain) -> None:
        named = {"name": "site", "workload": "web", "ports": [{"port": 80, "target": 8080}]}
        login = {"secret": "login", "user_key": "user", "password_key": "word"}
        thing = addon(
            workloads=[workload()],
            services=[{**named, **login}, {**named, "name": "out", "type": "LoadBalancer"}],
            values={"controller": {"service": {"annotations": {NOTE: "internal"}}}},
        )
        made = rendered(thing, nothing_built)
        (port,) = made["Service", "site"]["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (80, 8080)
        labels = made["Deployment", "web"]["spec"]["template"]["metadata"]["labels"]
        assert made["Service", "site"]["spec"]["selector"].items() <= labels.items()
        assert made["Service", "out"]["metadata"]["annotations"] == {NOTE: "internal"}
        assert made["Secret", "login"]["stringData"] == {"user": "admin", "word": "stand-in"}

    def test_a_volume_that_a_pod_wants(self, nothing_built: Toolchain) -> None:
        names = ("theirs", "ours")
        volumes = [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names]
        kind = "PersistentVolumeClaim"
        claim = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "ours"}}
        thing = addon(workloads=[workload(pod={"volumes": volumes})], before=[claim])
        made = rendered(thing, nothing_built)
        assert [name for found, name in made if found == kind] == ["theirs"]

    def test_argo_is_configured_by_the_values(self, nothing_built: Toolchain) -> None:
        key = "argo/{{workflow.name}}"
        values = {
            "controller": {"workflowDefaults": {"spec": {"serviceAccountName": "argo"}}},
            "artifactRepository": {"s3": {"keyFormat": key}},
        }
        made = rendered(addon("argo-workflows"), nothing_built, values)
        (config,) = (thing for (kind, _), thing in made.items() if kind == "ConfigMap")
        assert yaml.safe_load(config["data"]["config"]) == {
            "workflowDefaults": {"spec": {"serviceAccountName": "argo"}},
            "artifactRepository": {"s3": {"keyFormat": key}},
        }

    def test_what_the_kit_brings_itself_is_left_to_it(self, nothing_built: Toolchain) -> None:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
        service = {"name": "site", "workload": "web", "ports": [{"port": 80}]}
        login = {"secret": "login", "user_key": "u", "password_key": "p"}
        thing = addon(
            workloads=[workload(pod={"serviceAccountName": "web"})],
            services=[{**service, **login}],
            before=[account],
            secrets=[{"name": "login", "data": {"u": "=admin", "p": "random"}}],
        )
        made = rendered(thing, nothing_built)
        assert ("ServiceAccount", "web") not in made
        assert ("Secret", "login") not in made

    @pytest.mark.parametrize("on", [True, False])
    def test_a_workload_under_a_condition(self, nothing_built: Toolchain, on: bool) -> None:
        thing = addon(
            workloads=[
                workload("dex", when={"karpenter": True}),
                workload("other", when={"karpenter": False}),
                workload("always", when={"observability": True}),
            ],
            variants=[{"when": {"karpenter": True}, "values": {"dex": {"enabled": True, "n": 2}}}],
        )
        values = {"dex": {"enabled": on, "n": 2}}
        made = rendered(thing, nothing_built, values)
        assert (("Deployment", "dex") in made) is on
        assert (("Deployment", "other") in made) is not on
        assert ("Deployment", "always") in made
        assert ("Deployment", "dex") not in rendered(thing, nothing_built)


class TestDefinitions:
    def test_without_schemas(self, nothing_built: Toolchain) -> None:
        kinds = [
            {"group": "x.io", "version": v, "kind": "Thing", "plural": "things"}
            for v in ("v1", "v1beta1")
        ]
        thing = addon(definitions=kinds)
        assert thing.chart is not None
        known, data = stand_ins.archive_of(thing, thing.chart, nothing_built)
        assert known == StandIn("demo", "demo-1.2.3.tgz", False, "without schemas")
        chart = helm_python.Chart.load_archive(data)
        (crd,) = chart.crds
        assert crd["name"] == "crds/x.io_things.yaml"

    @pytest.mark.parametrize(
        ("chart", "definitions"),
        [("argo-workflows", "argo-workflows-crds"), ("kuberay-operator", "kuberay-crds")],
    )
    def test_the_real_ones_where_they_are(self, chart: str, definitions: str) -> None:
        tools = _tools(definitions)
        group = "argoproj.io" if "argo" in chart else "ray.io"
        kinds = [
            {"group": group, "version": "v1", "kind": kind, "plural": kind.lower() + "s"}
            for kind in ("Workflow" if "argo" in chart else "RayJob", "Unknown")
        ]
        thing = addon(chart, definitions=kinds)
        assert thing.chart is not None
        known, data = stand_ins.archive_of(thing, thing.chart, tools)
        assert (known.real, known.definitions) == (False, "real")
        names = [crd["name"] for crd in helm_python.Chart.load_archive(data).crds]
        files = {f"crds/{file.name}" for file in tools.files(definitions).glob("*_*.yaml")}
        assert set(names) == files | {f"crds/{group}_unknowns.yaml"}


class TestKarpenter:
    def test_its_own_chart(self, tmp_path: Path) -> None:
        tools = _tools("karpenter-chart")
        thing = addon("karpenter")
        assert thing.chart is not None
        known, data = stand_ins.archive_of(thing, thing.chart, tools)
        assert known.real
        (tmp_path / known.archive).write_bytes(data)
        assert Charts(tmp_path / "cache", tmp_path).find(thing.chart).real
        values = {"settings": {"clusterName": "demo"}}
        made = rendered(thing, tools, values)
        (container,) = made["Deployment", "karpenter"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "public.ecr.aws/karpenter/controller:1.2.3"
        names = {crd["name"] for crd in helm_python.Chart.load_archive(data).crds}
        assert "crds/karpenter.sh_nodepools.yaml" in names

    def test_versions_are_written_as_at_its_release(self) -> None:
        source = {
            "Chart.yaml": "name: karpenter\nversion: 1.0.0\nappVersion: 1.0.0\n",
            "values.yaml": "controller:\n  image:\n    tag: 1.0.0\n    digest: sha256:0\n",
            "README.md": "",
        }
        assert karpenter(source, "1.1.0") == {
            "Chart.yaml": "name: karpenter\nversion: 1.1.0\nappVersion: 1.1.0\n",
            "values.yaml": 'controller:\n  image:\n    tag: 1.1.0\n    digest: ""\n',
        }


class TestFolder:
    def test_all_of_the_catalogue(self, tmp_path: Path) -> None:
        tools = _tools("karpenter-chart")
        began = time.monotonic()
        stand_ins.write(tmp_path, tools)
        assert time.monotonic() - began < 5.0
        known = {stand_in.addon: stand_in for stand_in in stand_ins.describe(tmp_path)}
        with_charts = {name: one for name, one in catalogue().items() if one.chart}
        assert known.keys() == with_charts.keys()
        charts = Charts(tmp_path / "cache", tmp_path)
        for name, thing in with_charts.items():
            assert thing.chart is not None
            assert charts.find(thing.chart).real == known[name].real == (name == "karpenter")
            made = rendered(thing, tools, thing.values)
            wanted = {(w.kind, w.name) for w in thing.workloads if w.by == "chart" and not w.when}
            assert wanted <= made.keys()

    def test_only_once_and_again_when_something_changed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tools = _tools("karpenter-chart")
        folder = tmp_path / "charts"
        monkeypatch.setattr(
            stand_ins.catalogue, "catalogue", lambda: {name: addon(name) for name in ("a", "b")}
        )
        stand_ins.write(folder, tools)
        first = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert set(first) == {"a-1.2.3.tgz", "b-1.2.3.tgz", "stand-ins.json"}
        (folder / "a-1.2.3.tgz").write_bytes(b"kept")
        stand_ins.write(folder, tools)
        assert (folder / "a-1.2.3.tgz").read_bytes() == b"kept"
        (folder / "b-1.2.3.tgz").unlink()
        (folder / "old-1.0.0.tgz").touch()
        stand_ins.write(folder, tools)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
        shutil.rmtree(folder)
        assert stand_ins.describe(folder) == ()


def test_an_account_alone_has_none(sandbox: control.Running) -> None:
    assert sandbox.env["JARKKIT_SANDBOX_ACCOUNT_ONLY"] == "1"
    assert sandbox.env["JARKKIT_STAND_IN_CHARTS"] == ""
    assert control.status(sandbox.home)["charts"] == []


def _tools(files: str) -> Toolchain:
    tools = Toolchain(user_cache())
    if tools.missing():
        pytest.skip(f"needs {files}: jarkkit sandbox setup")
    return tools
