"""The chart cache, filled from a repository and a registry on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from jarkkit.catalog.addons import Chart, addon_catalog
from jarkkit.cli import app as cli
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.chart_repositories import ChartRepositories, index_entry
from jarkkit.ports.charts import STUB_CHART_ANNOTATION, ChartStore, PullResult, chart_cache
from tools import chart_digests


def archive(name: str, version: str, more: str = "") -> bytes:
    """Return a minimal chart archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        text = f"apiVersion: v2\nname: {name}\nversion: {version}\n{more}".encode()
        info = tarfile.TarInfo(f"{name}/Chart.yaml")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return made.getvalue()


@dataclass
class ChartServer:
    """A web server: its responses by path, and the requests that it got."""

    responses: dict[str, bytes] = field(default_factory=dict)
    fails: dict[str, list[int]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    token: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def registry(self, path: str, tag: str, data: bytes) -> None:
        """Publish a chart as a registry that requires a token does."""
        self.token = "anonymous"
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        kind = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
        manifest = {"layers": [{"mediaType": kind, "digest": digest}]}
        self.responses[f"/v2/{path}/manifests/{tag}"] = json.dumps(manifest).encode()
        self.responses[f"/v2/{path}/blobs/{digest}"] = data
        self.responses["/token"] = json.dumps({"token": self.token}).encode()


@pytest.fixture
def site() -> Iterator[ChartServer]:
    made = ChartServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            made.requests.append(self.path)
            status = made.fails[path].pop(0) if made.fails.get(path) else 200
            body = made.responses.get(path)
            granted = self.headers.get("Authorization") == f"Bearer {made.token}"
            if path.startswith("/v2/") and not granted:
                status = 401
            elif body is None:
                status = 404
            self.send_response(status)
            if status == 401:
                challenge = f'Bearer realm="{made.url}/token",service="s",scope="pull"'
                self.send_header("WWW-Authenticate", challenge)
            sent = body or b"" if status == 200 else b""
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def chart(repository: str, name: str = "demo", version: str = "1.2.3") -> Chart:
    """Return a chart of a repository on loopback, which the catalog does not allow."""
    return Chart.model_construct(repository=repository, name=name, version=version, release=name)


def with_checksum(requested: Chart, data: bytes) -> Chart:
    """Return the chart with the checksum of that archive in the catalog."""
    return requested.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})


def publish(site: ChartServer, url: str, *, digest: str = "") -> bytes:
    """Publish the demo chart in an index as Helm writes it; return the archive."""
    data = archive("demo", "1.2.3")
    digest = digest or hashlib.sha256(data).hexdigest()
    site.responses["/charts/index.yaml"] = f"""apiVersion: v1
entries:
  demo:
  - apiVersion: v2
    description: |
      Some text.

      demo:
    digest: {digest}
    urls:
    - {url}
    version: 1.2.3
  - urls:
    - demo-1.2.2.tgz
    version: 1.2.2
  demo-2:
  - urls: [other.tgz]
    version: 1.2.3
generated: "2026-11-25T00:00:00Z"
""".encode()
    site.responses["/charts/demo-1.2.3.tgz"] = data
    return data


def pull(charts: ChartStore, *requested: Chart) -> list[PullResult]:
    return list(charts.pull(requested))


def recorded_checksums(cache: Path) -> dict[str, dict[str, str]]:
    return dict(json.loads((cache / "checksums.json").read_text()))


class TestPull:
    @pytest.mark.parametrize("absolute", [False, True])
    def test_from_a_repository(self, site: ChartServer, tmp_path: Path, absolute: bool) -> None:
        url = f"{site.url}/charts/demo-1.2.3.tgz"
        data = publish(site, url if absolute else "demo-1.2.3.tgz")
        charts = ChartStore(tmp_path / "cache")
        (pulled,) = pull(charts, chart(f"{site.url}/charts/"))
        assert (pulled.status, pulled.size, pulled.error) == ("pulled", len(data), None)
        found = charts.find(chart("https://x", "demo"))
        assert found.real
        assert found.path.read_bytes() == data
        assert found.path.name == "demo-1.2.3.tgz"
        entry = recorded_checksums(charts.cache)["demo-1.2.3.tgz"]
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["from"] == url

    def test_a_cached_chart_is_not_fetched_again(self, site: ChartServer, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        charts, requested = ChartStore(tmp_path), chart(f"{site.url}/charts")
        pull(charts, requested)
        request_count = len(site.requests)
        assert [p.status for p in pull(charts, requested, requested)] == ["there"]
        assert len(site.requests) == request_count

    def test_an_index_is_fetched_once(self, site: ChartServer, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        site.responses["/charts/other.tgz"] = archive("demo-2", "1.2.3")
        url = f"{site.url}/charts"
        pulled = pull(ChartStore(tmp_path), chart(url), chart(url, "demo-2"))
        assert [(p.status, p.done, p.total) for p in pulled] == [("pulled", 1, 2), ("pulled", 2, 2)]
        assert site.requests.count("/charts/index.yaml") == 1

    def test_from_a_registry_with_an_anonymous_token(
        self, site: ChartServer, tmp_path: Path
    ) -> None:
        data = archive("demo", "1.2.3+one")
        site.registry("team/demo", "1.2.3_one", data)
        requested = chart(f"oci://127.0.0.1:{site.port}/team", version="1.2.3+one")
        (pulled,) = pull(ChartStore(tmp_path), requested)
        assert pulled.status == "pulled", pulled.error
        assert (tmp_path / "demo-1.2.3+one.tgz").read_bytes() == data
        assert "/token?service=s&scope=pull" in site.requests

    def test_an_index_may_point_to_a_registry(self, site: ChartServer, tmp_path: Path) -> None:
        data = publish(site, f"oci://127.0.0.1:{site.port}/team/demo:1.2.3")
        site.registry("team/demo", "1.2.3", data)
        (pulled,) = pull(ChartStore(tmp_path), chart(f"{site.url}/charts"))
        assert pulled.status == "pulled", pulled.error

    def test_the_versions_of_an_index_and_of_a_registry(self, site: ChartServer) -> None:
        publish(site, "demo-1.2.3.tgz")
        site.registry("team/demo", "1.2.3", archive("demo", "1.2.3"))
        site.responses["/v2/team/demo/tags/list"] = b'{"name": "x", "tags": ["1.2.3", "2.0.0_one"]}'
        repositories = ChartRepositories()
        assert repositories.versions(chart(f"{site.url}/charts")) == ("1.2.3", "1.2.2")
        assert repositories.versions(chart(f"{site.url}/charts", "none")) == ()
        registry = f"oci://127.0.0.1:{site.port}/team"
        assert repositories.versions(chart(registry)) == ("1.2.3", "2.0.0+one")
        with pytest.raises(JarkkitError, match="404"):
            repositories.versions(chart(registry, "none"))

    def test_a_busy_repository_is_tried_again(self, site: ChartServer, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        site.fails["/charts/demo-1.2.3.tgz"] = [503]
        (pulled,) = pull(ChartStore(tmp_path), chart(f"{site.url}/charts"))
        assert pulled.status == "pulled"

    def test_a_failed_pull_does_not_stop_the_others(
        self, site: ChartServer, tmp_path: Path
    ) -> None:
        publish(site, "demo-1.2.3.tgz")
        url = f"{site.url}/charts"
        pulled = {
            p.chart.name: p for p in pull(ChartStore(tmp_path), chart(url, "none"), chart(url))
        }
        assert pulled["demo"].status == "pulled"
        assert pulled["none"].error is not None
        assert pulled["none"].error.code == "JK-CHART-PULL"
        assert "it has no none 1.2.3" in pulled["none"].error.message

    def test_without_a_network(self, tmp_path: Path) -> None:
        (pulled,) = pull(ChartStore(tmp_path), chart("https://127.0.0.1:9"))
        assert pulled.error is not None
        assert pulled.error.code == "JK-CHART-PULL"
        assert "HTTPS_PROXY" in pulled.error.fix

    def test_the_proxy_of_the_environment_is_used(
        self, site: ChartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", site.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        pull(ChartStore(tmp_path), chart("http://charts.invalid"))
        assert site.requests == ["http://charts.invalid/index.yaml"]

    @pytest.mark.parametrize(
        ("digest", "sent", "code"),
        [
            ("f" * 64, None, "JK-CHART-CHECKSUM"),
            (hashlib.sha256(b"<html>").hexdigest(), b"<html>", "JK-CHART-PULL"),
        ],
    )
    def test_a_wrong_archive_is_rejected(
        self, site: ChartServer, tmp_path: Path, digest: str, sent: bytes | None, code: str
    ) -> None:
        publish(site, "demo-1.2.3.tgz", digest=digest)
        if sent:
            site.responses["/charts/demo-1.2.3.tgz"] = sent
        (pulled,) = pull(ChartStore(tmp_path), chart(f"{site.url}/charts"))
        assert pulled.error is not None
        assert pulled.error.code == code
        assert not list(tmp_path.glob("*.tgz"))

    def test_an_archive_must_match_the_recorded_checksum(
        self, site: ChartServer, tmp_path: Path
    ) -> None:
        publish(site, "demo-1.2.3.tgz")
        charts, requested = ChartStore(tmp_path), chart(f"{site.url}/charts")
        pull(charts, requested)
        (tmp_path / requested.archive).unlink()
        site.responses["/charts/demo-1.2.3.tgz"] = other = archive("demo", "1.2.3", "icon: x\n")
        index = site.responses["/charts/index.yaml"].decode()
        old = recorded_checksums(tmp_path)[requested.archive]["sha256"]
        new = hashlib.sha256(other).hexdigest()
        site.responses["/charts/index.yaml"] = index.replace(old, new).encode()
        (pulled,) = pull(charts, requested)
        assert pulled.error is not None
        assert pulled.error.code == "JK-CHART-CHECKSUM"
        assert not (tmp_path / requested.archive).exists()

    @pytest.mark.parametrize("registry", [False, True])
    def test_an_archive_must_be_that_of_the_catalog(
        self, site: ChartServer, tmp_path: Path, registry: bool
    ) -> None:
        data = publish(site, "demo-1.2.3.tgz")
        site.registry("team/demo", "1.2.3", data)
        address = f"oci://127.0.0.1:{site.port}/team" if registry else f"{site.url}/charts"
        requested = with_checksum(chart(address), archive("demo", "1.2.3", "icon: x\n"))
        (pulled,) = pull(ChartStore(tmp_path), requested)
        assert pulled.error is not None
        assert pulled.error.code == "JK-CHART-CHECKSUM"
        assert "jarkkit's catalog" in pulled.error.message
        assert not list(tmp_path.glob("*.tgz"))
        (pulled,) = pull(ChartStore(tmp_path), with_checksum(requested, data))
        assert pulled.status == "pulled"


class TestFind:
    def test_a_chart_added_by_hand_must_be_that_of_the_catalog(self, tmp_path: Path) -> None:
        data = archive("demo", "1.2.3")
        (tmp_path / "demo-1.2.3.tgz").write_bytes(data)
        charts, requested = ChartStore(tmp_path), chart("https://x")
        with pytest.raises(JarkkitError, match="of jarkkit's catalog"):
            charts.find(with_checksum(requested, b"other"))
        assert not (tmp_path / "checksums.json").exists()
        assert charts.find(with_checksum(requested, data)).real

    def test_a_chart_added_by_hand(self, tmp_path: Path) -> None:
        (tmp_path / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3"))
        charts = ChartStore(tmp_path)
        assert charts.find(chart("https://x")).real
        assert recorded_checksums(tmp_path)["demo-1.2.3.tgz"]["from"] == "by hand"
        (tmp_path / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3", "icon: x\n"))
        with pytest.raises(JarkkitError, match="differs from the recorded") as caught:
            charts.find(chart("https://x"))
        assert caught.value.code == "JK-CHART-CHECKSUM"

    @pytest.mark.parametrize("data", [b"", b"<html>", archive("demo", "1.2.2")])
    def test_a_wrong_file_added_by_hand_is_rejected(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "demo-1.2.3.tgz").write_bytes(data)
        with pytest.raises(JarkkitError, match=r"not demo 1\.2\.3"):
            ChartStore(tmp_path).find(chart("https://x"))
        assert not (tmp_path / "checksums.json").exists()

    def test_a_stub_chart_where_the_cache_has_no_chart(self, tmp_path: Path) -> None:
        cache, stubs = tmp_path / "cache", tmp_path / "stub-charts"
        stubs.mkdir()
        note = f'annotations: {{{STUB_CHART_ANNOTATION}: "true"}}\n'
        (stubs / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3", note))
        (stubs / "karpenter-1.2.3.tgz").write_bytes(archive("karpenter", "1.2.3"))
        charts = ChartStore(cache, stubs)
        assert charts.find(chart("https://x")).path.parent == stubs
        assert not charts.find(chart("https://x")).real
        assert charts.find(chart("https://x", "karpenter")).real
        cache.mkdir()
        (cache / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3"))
        assert charts.find(chart("https://x")).real

    def test_a_missing_chart(self, tmp_path: Path) -> None:
        with pytest.raises(JarkkitError) as caught:
            ChartStore(tmp_path / "none").find(chart("https://x"))
        assert caught.value.code == "JK-CHART-MISSING"
        assert "jarkkit addons pull" in caught.value.fix
        assert not (tmp_path / "none").exists()

    def test_all_missing_charts_are_named_together(self, tmp_path: Path) -> None:
        (tmp_path / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3"))
        charts, present = ChartStore(tmp_path), chart("https://x")
        assert [found.real for found in charts.find_all([present])] == [True]
        with pytest.raises(
            JarkkitError, match=r"2 charts .*: one 1\.2\.3, two 1\.2\.3\."
        ) as caught:
            charts.find_all([chart("https://x", "one"), present, chart("https://x", "two")])
        assert caught.value.code == "JK-CHART-MISSING"

    def test_concurrent_pulls_and_finds(self, site: ChartServer, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        names = [f"c{number}" for number in range(12)]
        for name in names:
            (tmp_path / f"{name}-1.2.3.tgz").write_bytes(archive(name, "1.2.3"))
        requested = chart(f"{site.url}/charts")
        with ThreadPoolExecutor(16) as workers:
            pulls = [workers.submit(pull, ChartStore(tmp_path), requested) for _ in range(4)]
            finds = [
                workers.submit(ChartStore(tmp_path).find, chart("https://x", n)) for n in names
            ]
            assert {p.result()[0].status for p in pulls} <= {"pulled", "there"}
            assert all(found.result().real for found in finds)
        assert len(recorded_checksums(tmp_path)) == 13
        assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


def test_an_index_in_json_or_without_a_match() -> None:
    entry = {"version": "v1.0.0", "urls": ["a.tgz"]}
    index = json.dumps({"entries": {"demo": [entry]}}).encode()
    assert index_entry(index, "demo", "1.0.0") == entry
    assert index_entry(index, "demo", "1.0.1") is None
    assert index_entry(index, "other", "1.0.0") is None
    assert index_entry(b"<html>", "demo", "1.0.0") is None
    assert index_entry(b"entries: [", "demo", "1.0.0") is None


class TestDigests:
    def test_a_missing_checksum_is_filled_in(self, tmp_path: Path) -> None:
        (file := tmp_path / "a.yaml").write_text(
            "chart:\n  name: a\n  # why\n  version: 1.2.3 # this\n  release: a\nneeds: []\n"
        )
        assert chart_digests.fill_in(file, chart("https://x"), lambda _: b"data") == "added"
        found = yaml.safe_load(file.read_text())
        assert found["chart"]["sha256"] == hashlib.sha256(b"data").hexdigest()
        assert "# why\n  version: 1.2.3 # this\n  sha256: " in file.read_text()
        assert found["chart"]["release"] == "a"

    def test_another_checksum_is_reported_and_stays(self, tmp_path: Path) -> None:
        known = with_checksum(chart("https://x"), b"data")
        file = tmp_path / "unused.yaml"
        assert chart_digests.fill_in(file, known, lambda _: b"data") == "unchanged"
        assert chart_digests.fill_in(file, known, lambda _: b"other") == "DIFFERS"
        assert not file.exists()

    def test_without_a_network_nothing_changes(self, tmp_path: Path) -> None:
        def fetch(_: Chart) -> bytes:
            raise JarkkitError("JK-CHART-PULL", "No route.", "Wait.")

        file = tmp_path / "unused.yaml"
        assert chart_digests.fill_in(file, chart("https://x"), fetch) == "not checked"
        assert not file.exists()

    def test_every_chart_of_the_catalog_can_be_filled_in(self) -> None:
        for name, addon in addon_catalog().items():
            if addon.chart:
                text = (chart_digests.ADDONS / f"{name}.yaml").read_text()
                without = re.sub(r"^  sha256: .*\n", "", text, flags=re.MULTILINE)
                filled = chart_digests.with_digest(without, addon.chart.sha256 or "f" * 64)
                assert filled == text or not addon.chart.sha256


class TestCommands:
    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JARKKIT_CHART_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("JARKKIT_STUB_CHARTS", raising=False)

    def test_pull_reports_the_result_of_each_chart(
        self, site: ChartServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish(site, "demo-1.2.3.tgz")
        like = addon_catalog()["coredns"]
        table = {
            name: like.model_copy(update={"name": name, "chart": chart(f"{site.url}/charts", name)})
            for name in ("demo", "none")
        }
        monkeypatch.setattr("jarkkit.catalog.addons.addon_catalog", lambda: table)
        assert cli._run(["addons", "pull", "demo"]) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith("1 of 1 charts are in ")
        assert "✔ [1/1]     demo 1.2.3 (0 KiB, " in captured.err
        assert cli._run(["addons", "pull", "--json"]) == 1
        charts = json.loads(capsys.readouterr().out)["charts"]
        assert {c["name"]: c["status"] for c in charts} == {"demo": "there", "none": "failed"}
        assert cli._run(["addons", "pull"]) == 1
        assert "JK-CHART-PULL" in capsys.readouterr().err
        assert cli._run(["addons", "show", "demo"]) == 0
        assert "cache/demo-1.2.3.tgz" in capsys.readouterr().out

    def test_list_show_and_unknown_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["addons"]) == 0
        assert "  coredns " in capsys.readouterr().out
        assert cli._run(["addons", "show", "coredns", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == "coredns"
        assert cli._run(["addons", "show", "core-dns"]) == 2
        assert "coredns" in capsys.readouterr().err


def test_the_folder_of_the_cache() -> None:
    assert chart_cache({"JARKKIT_CHART_CACHE": "/c", "JARKKIT_CACHE": "/u"}) == Path("/c")
    assert chart_cache({"JARKKIT_CACHE": "/u"}) == Path("/u/charts")
    assert chart_cache({}).parts[-2:] == ("jarkkit", "charts")
