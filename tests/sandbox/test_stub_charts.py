"""Stub charts that a sandbox creates from the catalog, rendered by Helm itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from jarkkit.catalog.addons import Addon, addon_catalog
from jarkkit.decisions.addons.templating import references, render, settings_values
from jarkkit.ports.charts import ChartStore
from jarkkit.sandbox import daemon_client, stub_charts
from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache
from jarkkit.sandbox.stub_charts import StubChart
from jarkkit.sandbox.stub_charts.chart_files import karpenter_chart
from jarkkit.settings import Settings
from tests.support.sample_addons import sample_addon

Object = dict[str, Any]
NOTE = "service.beta.kubernetes.io/aws-load-balancer-scheme"


def deployment_spec(name: str = "web", **more: Any) -> Object:
    """Return a Deployment with two replicas."""
    return {"kind": "Deployment", "name": name, "replicas": 2, **more}


@pytest.fixture
def empty_toolchain(tmp_path: Path) -> Toolchain:
    """A toolchain without any built program."""
    return Toolchain(tmp_path / "cache", {})


def render_stub(
    addon: Addon, tools: Toolchain, values: Object | None = None
) -> dict[tuple[str, str], Object]:
    """Render an add-on's stub chart with Helm; return the objects by kind and name."""
    assert addon.chart is not None
    _, data = stub_charts.build_archive(addon, addon.chart, tools)
    chart = helm_python.Chart.load_archive(data)
    texts = chart.render(values or {}, name=addon.chart.release, namespace=addon.namespace)
    documents = (text for name, text in texts.items() if name.endswith(".yaml"))
    objects = [o for text in documents for o in yaml.safe_load_all(text) if o]
    return {(o["kind"], o["metadata"]["name"]): o for o in objects}


class TestObjects:
    def test_a_workload_is_rendered_from_the_catalog(self, empty_toolchain: Toolchain) -> None:
        pod = {
            "serviceAccountName": "web",
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"jarkkit/nodes": "core"},
            "containers": [{"image": "web:1", "args": ["--format={{.Name}}"]}, {"name": "side"}],
        }
        web = deployment_spec(
            cpu="100m", memory="1Gi", labels={"app.kubernetes.io/name": "web"}, pod=pod
        )
        made = render_stub(
            sample_addon(workloads=[web]), empty_toolchain, {"anything": {"at": ["all"]}}
        )
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
        assert (second["name"], second["image"]) == ("side", "stub.invalid/demo:1.2.3")
        assert ("ServiceAccount", "web") in made
        (subject,) = made["ClusterRoleBinding", "demo-stub"]["subjects"]
        assert subject["namespace"] == "demos"

    def test_a_mapping_of_the_values_becomes_an_argument(self, empty_toolchain: Toolchain) -> None:
        web = deployment_spec(pod={"containers": [{"args": ["@csv --tags extraTags@", "-v"]}]})
        addon = sample_addon(workloads=[web])
        values = {"extraTags": {"b": "x: y", "a": 1}}
        for given, argument in ((values, "--tags=a=1,b=x: y"), ({}, "--tags=")):
            made = render_stub(addon, empty_toolchain, given)
            (container,) = made["Deployment", "web"]["spec"]["template"]["spec"]["containers"]
            assert container["args"] == [argument, "-v"]

    def test_every_kind_of_workload_is_rendered(self, empty_toolchain: Toolchain) -> None:
        every = {"kind": "DaemonSet", "name": "every"}
        store = {"kind": "StatefulSet", "name": "store", "replicas": 1}
        foreign = deployment_spec("theirs", by="operator")
        made = render_stub(sample_addon(workloads=[every, store, foreign]), empty_toolchain)
        assert "replicas" not in made["DaemonSet", "every"]["spec"]
        assert made["StatefulSet", "store"]["spec"]["serviceName"] == "store"
        assert ("Deployment", "theirs") not in made

    def test_services_and_their_login_secrets_are_rendered(
        self, empty_toolchain: Toolchain
    ) -> None:
        named = {"name": "site", "workload": "web", "ports": [{"port": 80, "target": 8080}]}
        login = {"secret": "login", "user_key": "user", "password_key": "word"}
        addon = sample_addon(
            workloads=[deployment_spec()],
            services=[{**named, **login}, {**named, "name": "out", "type": "LoadBalancer"}],
            values={"controller": {"service": {"annotations": {NOTE: "internal"}}}},
        )
        made = render_stub(addon, empty_toolchain)
        (port,) = made["Service", "site"]["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (80, 8080)
        labels = made["Deployment", "web"]["spec"]["template"]["metadata"]["labels"]
        assert made["Service", "site"]["spec"]["selector"].items() <= labels.items()
        assert made["Service", "out"]["metadata"]["annotations"] == {NOTE: "internal"}
        assert made["Secret", "login"]["stringData"] == {"user": "admin", "word": "stub"}

    def test_a_claim_is_rendered_for_a_pods_volume(self, empty_toolchain: Toolchain) -> None:
        names = ("theirs", "ours")
        volumes = [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names]
        kind = "PersistentVolumeClaim"
        claim = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "ours"}}
        addon = sample_addon(workloads=[deployment_spec(pod={"volumes": volumes})], before=[claim])
        made = render_stub(addon, empty_toolchain)
        assert [name for found, name in made if found == kind] == ["theirs"]

    def test_the_values_configure_argo_workflows(self, empty_toolchain: Toolchain) -> None:
        key = "argo/{{workflow.name}}"
        values = {
            "controller": {"workflowDefaults": {"spec": {"serviceAccountName": "argo"}}},
            "artifactRepository": {"s3": {"keyFormat": key}},
        }
        made = render_stub(sample_addon("argo-workflows"), empty_toolchain, values)
        (config,) = (addon for (kind, _), addon in made.items() if kind == "ConfigMap")
        assert yaml.safe_load(config["data"]["config"]) == {
            "workflowDefaults": {"spec": {"serviceAccountName": "argo"}},
            "artifactRepository": {"s3": {"keyFormat": key}},
        }

    def test_objects_that_jarkkit_applies_itself_are_left_out(
        self, empty_toolchain: Toolchain
    ) -> None:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
        service = {"name": "site", "workload": "web", "ports": [{"port": 80}]}
        login = {"secret": "login", "user_key": "u", "password_key": "p"}
        addon = sample_addon(
            workloads=[deployment_spec(pod={"serviceAccountName": "web"})],
            services=[{**service, **login}],
            before=[account],
            secrets=[{"name": "login", "data": {"u": "=admin", "p": "random"}}],
        )
        made = render_stub(addon, empty_toolchain)
        assert ("ServiceAccount", "web") not in made
        assert ("Secret", "login") not in made

    @pytest.mark.parametrize("enabled", [True, False])
    def test_a_conditional_workload_is_rendered_only_when_it_applies(
        self, empty_toolchain: Toolchain, enabled: bool
    ) -> None:
        addon = sample_addon(
            workloads=[
                deployment_spec("dex", when={"karpenter": True}),
                deployment_spec("other", when={"karpenter": False}),
                deployment_spec("always", when={"observability": True}),
            ],
            variants=[{"when": {"karpenter": True}, "values": {"dex": {"enabled": True, "n": 2}}}],
        )
        values = {"dex": {"enabled": enabled, "n": 2}}
        made = render_stub(addon, empty_toolchain, values)
        assert (("Deployment", "dex") in made) is enabled
        assert (("Deployment", "other") in made) is not enabled
        assert ("Deployment", "always") in made
        assert ("Deployment", "dex") not in render_stub(addon, empty_toolchain)


class TestCrds:
    def test_crds_are_rendered_without_schemas(self, empty_toolchain: Toolchain) -> None:
        kinds = [
            {"group": "x.io", "version": v, "kind": "Widget", "plural": "widgets"}
            for v in ("v1", "v1beta1")
        ]
        addon = sample_addon(definitions=kinds)
        assert addon.chart is not None
        stub, data = stub_charts.build_archive(addon, addon.chart, empty_toolchain)
        assert stub == StubChart("demo", "demo-1.2.3.tgz", False, "without schemas")
        chart = helm_python.Chart.load_archive(data)
        (crd,) = chart.crds
        assert crd["name"] == "crds/x.io_widgets.yaml"

    @pytest.mark.parametrize(
        ("chart", "crds"),
        [("argo-workflows", "argo-workflows-crds"), ("kuberay-operator", "kuberay-crds")],
    )
    def test_the_real_crds_are_used_when_available(self, chart: str, crds: str) -> None:
        tools = _tools(crds)
        group = "argoproj.io" if "argo" in chart else "ray.io"
        kinds = [
            {"group": group, "version": "v1", "kind": kind, "plural": kind.lower() + "s"}
            for kind in ("Workflow" if "argo" in chart else "RayJob", "Unknown")
        ]
        addon = sample_addon(chart, definitions=kinds)
        assert addon.chart is not None
        stub, data = stub_charts.build_archive(addon, addon.chart, tools)
        assert (stub.real, stub.definitions) == (False, "real")
        names = [crd["name"] for crd in helm_python.Chart.load_archive(data).crds]
        files = {f"crds/{file.name}" for file in tools.files(crds).glob("*_*.yaml")}
        assert set(names) == files | {f"crds/{group}_unknowns.yaml"}


class TestKarpenter:
    def test_karpenters_own_chart_is_used(self, tmp_path: Path) -> None:
        tools = _tools("karpenter-chart")
        addon = sample_addon("karpenter")
        assert addon.chart is not None
        stub, data = stub_charts.build_archive(addon, addon.chart, tools)
        assert stub.real
        (tmp_path / stub.archive).write_bytes(data)
        assert ChartStore(tmp_path / "cache", tmp_path).find(addon.chart).real
        values = {"settings": {"clusterName": "demo"}}
        made = render_stub(addon, tools, values)
        (container,) = made["Deployment", "karpenter"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "public.ecr.aws/karpenter/controller:1.2.3"
        names = {crd["name"] for crd in helm_python.Chart.load_archive(data).crds}
        assert "crds/karpenter.sh_nodepools.yaml" in names

    def test_the_version_is_written_as_in_karpenters_release(self) -> None:
        source = {
            "Chart.yaml": "name: karpenter\nversion: 1.0.0\nappVersion: 1.0.0\n",
            "values.yaml": "controller:\n  image:\n    tag: 1.0.0\n    digest: sha256:0\n",
            "README.md": "",
        }
        assert karpenter_chart(source, "1.1.0") == {
            "Chart.yaml": "name: karpenter\nversion: 1.1.0\nappVersion: 1.1.0\n",
            "values.yaml": 'controller:\n  image:\n    tag: 1.1.0\n    digest: ""\n',
        }


class TestFolder:
    def test_every_chart_of_the_catalog_has_a_stub(self, tmp_path: Path) -> None:
        tools = _tools("karpenter-chart")
        stub_charts.write_charts(tmp_path, tools)
        known = {stub.addon: stub for stub in stub_charts.describe(tmp_path)}
        with_charts = {name: one for name, one in addon_catalog().items() if one.chart}
        assert known.keys() == with_charts.keys()
        charts = ChartStore(tmp_path / "cache", tmp_path)
        for name, addon in with_charts.items():
            assert addon.chart is not None
            assert charts.find(addon.chart).real == known[name].real == (name == "karpenter")
            unknown = {name: f"<{name}>" for name in references(addon.values)}
            values = render(addon.values, {**unknown, **settings_values(Settings())})
            made = render_stub(addon, tools, values)
            wanted = {(w.kind, w.name) for w in addon.workloads if w.by == "chart" and not w.when}
            assert wanted <= made.keys()

    def test_charts_are_written_again_only_after_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tools = _tools("karpenter-chart")
        folder = tmp_path / "charts"
        known = {name: sample_addon(name) for name in ("a", "b")}
        monkeypatch.setattr(stub_charts, "addon_catalog", lambda: known)
        stub_charts.write_charts(folder, tools)
        first = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert set(first) == {"a-1.2.3.tgz", "b-1.2.3.tgz", "stub-charts.json"}
        (folder / "a-1.2.3.tgz").write_bytes(b"kept")
        stub_charts.write_charts(folder, tools)
        assert (folder / "a-1.2.3.tgz").read_bytes() == b"kept"
        (folder / "b-1.2.3.tgz").unlink()
        (folder / "old-1.0.0.tgz").touch()
        stub_charts.write_charts(folder, tools)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
        shutil.rmtree(folder)
        assert stub_charts.describe(folder) == ()


def test_a_sandbox_without_control_planes_has_no_stub_charts(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    assert sandbox.env["JARKKIT_SANDBOX_ACCOUNT_ONLY"] == "1"
    assert sandbox.env["JARKKIT_STUB_CHARTS"] == ""
    assert daemon_client.status(sandbox.home)["charts"] == []


def _tools(files: str) -> Toolchain:
    tools = Toolchain(user_cache())
    if tools.missing():
        pytest.skip(f"needs {files}: jarkkit sandbox setup")
    return tools
