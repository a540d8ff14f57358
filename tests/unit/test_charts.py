"""The chart cache, filled from a repository and a registry on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jarkkit.addons.catalogue import Chart, catalogue
from jarkkit.chart_repositories import entry_of
from jarkkit.charts import STAND_IN, Charts, Pulled, chart_cache
from jarkkit.cli import app as cli
from jarkkit.errors import JarkkitError


def archive(name: str, version: str, more: str = "") -> bytes:
    """A chart as small as can be."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        text = f"apiVersion: v2\nname: {name}\nversion: {version}\n{more}".encode()
        info = tarfile.TarInfo(f"{name}/Chart.yaml")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return made.getvalue()


@dataclass
class Site:
    """A web server: answers by path, and what was asked of it."""

    answers: dict[str, bytes] = field(default_factory=dict)
    fails: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    token: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def registry(self, path: str, tag: str, data: bytes) -> None:
        """Publish a chart as a registry that wants a token does."""
        self.token = "anonymous"
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        kind = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
        manifest = {"layers": [{"mediaType": kind, "digest": digest}]}
        self.answers[f"/v2/{path}/manifests/{tag}"] = json.dumps(manifest).encode()
        self.answers[f"/v2/{path}/blobs/{digest}"] = data
        self.answers["/token"] = json.dumps({"token": self.token}).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            made.asked.append(self.path)
            status = made.fails[path].pop(0) if made.fails.get(path) else 200
            body = made.answers.get(path)
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
    """A chart in a repository on loopback, which the catalogue would not allow."""
    return Chart.model_construct(repository=repository, name=name, version=version, release=name)


def publish(site: Site, url: str, *, digest: str = "") -> bytes:
    """The demo chart in an index, as Helm writes one."""
    data = archive("demo", "1.2.3")
    digest = digest or hashlib.sha256(data).hexdigest()
    site.answers["/charts/index.yaml"] = f"""apiVersion: v1
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
    site.answers["/charts/demo-1.2.3.tgz"] = data
    return data


def pull(charts: Charts, *wanted: Chart) -> list[Pulled]:
    return list(charts.pull(wanted))


def recorded(cache: Path) -> dict[str, dict[str, str]]:
    return dict(json.loads((cache / "checksums.json").read_text()))


class TestPull:
    @pytest.mark.parametrize("absolute", [False, True])
    def test_from_a_repository(self, site: Site, tmp_path: Path, absolute: bool) -> None:
        here = f"{site.url}/charts/demo-1.2.3.tgz"
        data = publish(site, here if absolute else "demo-1.2.3.tgz")
        charts = Charts(tmp_path / "cache")
        (pulled,) = pull(charts, chart(f"{site.url}/charts/"))
        assert (pulled.status, pulled.size, pulled.error) == ("pulled", len(data), None)
        found = charts.find(chart("https://x", "demo"))
        assert found.real
        assert found.path.read_bytes() == data
        assert found.path.name == "demo-1.2.3.tgz"
        entry = recorded(charts.cache)["demo-1.2.3.tgz"]
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["from"] == here

    def test_what_is_there_is_not_fetched_again(self, site: Site, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        charts, wanted = Charts(tmp_path), chart(f"{site.url}/charts")
        pull(charts, wanted)
        asked = len(site.asked)
        assert [p.status for p in pull(charts, wanted, wanted)] == ["there"]
        assert len(site.asked) == asked

    def test_an_index_is_fetched_once(self, site: Site, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        site.answers["/charts/other.tgz"] = archive("demo-2", "1.2.3")
        url = f"{site.url}/charts"
        pulled = pull(Charts(tmp_path), chart(url), chart(url, "demo-2"))
        assert [(p.status, p.done, p.total) for p in pulled] == [("pulled", 1, 2), ("pulled", 2, 2)]
        assert site.asked.count("/charts/index.yaml") == 1

    def test_from_a_registry_with_a_token_for_everybody(self, site: Site, tmp_path: Path) -> None:
        data = archive("demo", "1.2.3+one")
        site.registry("team/demo", "1.2.3_one", data)
        wanted = chart(f"oci://127.0.0.1:{site.port}/team", version="1.2.3+one")
        (pulled,) = pull(Charts(tmp_path), wanted)
        assert pulled.status == "pulled", pulled.error
        assert (tmp_path / "demo-1.2.3+one.tgz").read_bytes() == data
        assert "/token?service=s&scope=pull" in site.asked

    def test_an_index_may_lead_to_a_registry(self, site: Site, tmp_path: Path) -> None:
        data = publish(site, f"oci://127.0.0.1:{site.port}/team/demo:1.2.3")
        site.registry("team/demo", "1.2.3", data)
        (pulled,) = pull(Charts(tmp_path), chart(f"{site.url}/charts"))
        assert pulled.status == "pulled", pulled.error

    def test_a_busy_repository_is_asked_again(self, site: Site, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        site.fails["/charts/demo-1.2.3.tgz"] = [503]
        (pulled,) = pull(Charts(tmp_path), chart(f"{site.url}/charts"))
        assert pulled.status == "pulled"

    def test_one_that_fails_does_not_stop_the_others(self, site: Site, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        url = f"{site.url}/charts"
        pulled = {p.chart.name: p for p in pull(Charts(tmp_path), chart(url, "none"), chart(url))}
        assert pulled["demo"].status == "pulled"
        assert pulled["none"].error is not None
        assert pulled["none"].error.code == "JK-CHART-PULL"
        assert "it has no none 1.2.3" in pulled["none"].error.message

    def test_no_network(self, tmp_path: Path) -> None:
        (pulled,) = pull(Charts(tmp_path), chart("https://127.0.0.1:9"))
        assert pulled.error is not None
        assert pulled.error.code == "JK-CHART-PULL"
        assert "HTTPS_PROXY" in pulled.error.fix

    def test_the_proxy_of_the_environment_is_used(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", site.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        pull(Charts(tmp_path), chart("http://charts.invalid"))
        assert site.asked == ["http://charts.invalid/index.yaml"]

    @pytest.mark.parametrize(
        ("digest", "sent", "code"),
        [
            ("f" * 64, None, "JK-CHART-CHECKSUM"),
            (hashlib.sha256(b"<html>").hexdigest(), b"<html>", "JK-CHART-PULL"),
        ],
    )
    def test_not_what_was_asked_for(
        self, site: Site, tmp_path: Path, digest: str, sent: bytes | None, code: str
    ) -> None:
        publish(site, "demo-1.2.3.tgz", digest=digest)
        if sent:
            site.answers["/charts/demo-1.2.3.tgz"] = sent
        (pulled,) = pull(Charts(tmp_path), chart(f"{site.url}/charts"))
        assert pulled.error is not None
        assert pulled.error.code == code
        assert not list(tmp_path.glob("*.tgz"))

    def test_what_was_recorded_once_holds(self, site: Site, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        charts, wanted = Charts(tmp_path), chart(f"{site.url}/charts")
        pull(charts, wanted)
        (tmp_path / wanted.archive).unlink()
        site.answers["/charts/demo-1.2.3.tgz"] = other = archive("demo", "1.2.3", "icon: x\n")
        index = site.answers["/charts/index.yaml"].decode()
        old = recorded(tmp_path)[wanted.archive]["sha256"]
        new = hashlib.sha256(other).hexdigest()
        site.answers["/charts/index.yaml"] = index.replace(old, new).encode()
        (pulled,) = pull(charts, wanted)
        assert pulled.error is not None
        assert pulled.error.code == "JK-CHART-CHECKSUM"
        assert not (tmp_path / wanted.archive).exists()


class TestFind:
    def test_by_hand(self, tmp_path: Path) -> None:
        (tmp_path / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3"))
        charts = Charts(tmp_path)
        assert charts.find(chart("https://x")).real
        assert recorded(tmp_path)["demo-1.2.3.tgz"]["from"] == "by hand"
        (tmp_path / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3", "icon: x\n"))
        with pytest.raises(JarkkitError, match="that was recorded") as caught:
            charts.find(chart("https://x"))
        assert caught.value.code == "JK-CHART-CHECKSUM"

    @pytest.mark.parametrize("data", [b"", b"<html>", archive("demo", "1.2.2")])
    def test_by_hand_but_another(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "demo-1.2.3.tgz").write_bytes(data)
        with pytest.raises(JarkkitError, match=r"not demo 1\.2\.3"):
            Charts(tmp_path).find(chart("https://x"))
        assert not (tmp_path / "checksums.json").exists()

    def test_a_stand_in_where_the_cache_has_none(self, tmp_path: Path) -> None:
        cache, stand_ins = tmp_path / "cache", tmp_path / "stand-ins"
        stand_ins.mkdir()
        note = f'annotations: {{{STAND_IN}: "true"}}\n'
        (stand_ins / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3", note))
        (stand_ins / "karpenter-1.2.3.tgz").write_bytes(archive("karpenter", "1.2.3"))
        charts = Charts(cache, stand_ins)
        assert charts.find(chart("https://x")).path.parent == stand_ins
        assert not charts.find(chart("https://x")).real
        assert charts.find(chart("https://x", "karpenter")).real
        cache.mkdir()
        (cache / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3"))
        assert charts.find(chart("https://x")).real

    def test_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(JarkkitError) as caught:
            Charts(tmp_path / "none").find(chart("https://x"))
        assert caught.value.code == "JK-CHART-MISSING"
        assert "jarkkit addons pull" in caught.value.fix
        assert not (tmp_path / "none").exists()

    def test_all_that_are_missing_are_named_together(self, tmp_path: Path) -> None:
        (tmp_path / "demo-1.2.3.tgz").write_bytes(archive("demo", "1.2.3"))
        charts, here = Charts(tmp_path), chart("https://x")
        assert [found.real for found in charts.require([here])] == [True]
        with pytest.raises(
            JarkkitError, match=r"2 charts .*: one 1\.2\.3, two 1\.2\.3\."
        ) as caught:
            charts.require([chart("https://x", "one"), here, chart("https://x", "two")])
        assert caught.value.code == "JK-CHART-MISSING"

    def test_many_at_once(self, site: Site, tmp_path: Path) -> None:
        publish(site, "demo-1.2.3.tgz")
        names = [f"c{number}" for number in range(12)]
        for name in names:
            (tmp_path / f"{name}-1.2.3.tgz").write_bytes(archive(name, "1.2.3"))
        wanted = chart(f"{site.url}/charts")
        with ThreadPoolExecutor(16) as workers:
            pulls = [workers.submit(pull, Charts(tmp_path), wanted) for _ in range(4)]
            finds = [workers.submit(Charts(tmp_path).find, chart("https://x", n)) for n in names]
            assert {p.result()[0].status for p in pulls} <= {"pulled", "there"}
            assert all(found.result().real for found in finds)
        assert len(recorded(tmp_path)) == 13
        assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


def test_an_index_that_is_not_written_as_helm_does() -> None:
    entry = {"version": "v1.0.0", "urls": ["a.tgz"]}
    index = json.dumps({"entries": {"demo": [entry]}}).encode()
    assert entry_of(index, "demo", "1.0.0") == entry
    assert entry_of(index, "demo", "1.0.1") is None
    assert entry_of(index, "other", "1.0.0") is None
    assert entry_of(b"<html>", "demo", "1.0.0") is None
    assert entry_of(b"entries: [", "demo", "1.0.0") is None


class TestCommands:
    @pytest.fixture(autouse=True)
    def _places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JARKKIT_CHART_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("JARKKIT_STAND_IN_CHARTS", raising=False)

    def test_pull_says_how_each_ended(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish(site, "demo-1.2.3.tgz")
        like = catalogue()["coredns"]
        table = {
            name: like.model_copy(update={"name": name, "chart": chart(f"{site.url}/charts", name)})
            for name in ("demo", "none")
        }
        monkeypatch.setattr("jarkkit.addons.catalogue.catalogue", lambda: table)
        assert cli._run(["addons", "pull", "demo"]) == 0
        said = capsys.readouterr()
        assert said.out.startswith("1 of 1 charts are in ")
        assert "✔ [1/1]     demo 1.2.3 (0 KiB, " in said.err
        assert cli._run(["addons", "pull", "--json"]) == 1
        charts = json.loads(capsys.readouterr().out)["charts"]
        assert {c["name"]: c["status"] for c in charts} == {"demo": "there", "none": "failed"}
        assert cli._run(["addons", "pull"]) == 1
        assert "JK-CHART-PULL" in capsys.readouterr().err
        assert cli._run(["addons", "show", "demo"]) == 0
        assert "cache/demo-1.2.3.tgz" in capsys.readouterr().out

    def test_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["addons"]) == 0
        assert "  coredns " in capsys.readouterr().out
        assert cli._run(["addons", "show", "coredns", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == "coredns"
        assert cli._run(["addons", "show", "core-dns"]) == 2
        assert "coredns" in capsys.readouterr().err


def test_where_the_cache_is() -> None:
    assert chart_cache({"JARKKIT_CHART_CACHE": "/c", "JARKKIT_CACHE": "/u"}) == Path("/c")
    assert chart_cache({"JARKKIT_CACHE": "/u"}) == Path("/u/charts")
    assert chart_cache({}).parts[-2:] == ("jarkkit", "charts")
