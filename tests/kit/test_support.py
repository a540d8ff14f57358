"""`Deployment.support_bundle` and `jarkkit support`, on fakes: complete, and without secrets."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from jarkkit.cli import app as cli
from jarkkit.cli import support as command
from jarkkit.decisions import support_bundle as decisions
from jarkkit.decisions.support_bundle import SupportBundle
from jarkkit.deployment import Deployment
from jarkkit.model.clock import now
from jarkkit.model.errors import Conflict, FolderError, JarkkitError
from jarkkit.model.events import PhaseProgress, stamped
from jarkkit.model.records import EksCluster, LedgerEntry
from jarkkit.steps.cluster.install_state import InstallState
from tests.support.fakes.deployment import DeploymentHarness, active_components
from tests.support.fakes.healthy_cluster import LONG_AGO, SETTINGS, HealthyCluster

CANARIES = {
    "account id": "987654321098",
    "access key": "AKIAZ7Y6X5W4V3U2T1S0",
    "secret key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzCANARYKEY1",
    "session token": "IQoJb3JpZ2luX2VjEHoaCXVzLXdlc3QtMiJHMEUCIQCanary0123456789ABCDEFabcdef",
    "cluster token": "k8s-aws-v1.Y2FuYXJ5LWNhbmFyeS1jYW5hcnk",
    "private key": "MIICanaryKeyBody",
    "password in a URL": "urlCanaryPw",
    "GitHub token": "ghp_canaryCANARY0123456789canaryCANARY01",
    "password": "canary-hunter2",
    "user": "canaryuser",
    "variable": "canary-of-the-environment",
}
SPOKEN = "\n".join(
    (
        f"caller arn:aws:iam::{CANARIES['account id']}:user/{CANARIES['user']}",
        f"export AWS_ACCESS_KEY_ID={CANARIES['access key']}",
        f"credentials {CANARIES['access key']} {CANARIES['secret key']}",
        f"session {CANARIES['session token']}",
        f"Authorization: Bearer {CANARIES['cluster token']}",
        f"-----BEGIN PRIVATE KEY-----\n{CANARIES['private key']}\n-----END PRIVATE KEY-----",
        f"proxy http://me:{CANARIES['password in a URL']}@proxy.example.com:3128",
        f"git clone https://{CANARIES['GitHub token']}@github.com/x/y",
        f"DB_PASSWORD={CANARIES['password']}",
        f"open /home/{CANARIES['user']}/.aws/credentials",
        f"value {CANARIES['variable']}",
    )
)


class TalkingCluster(HealthyCluster):
    """A cluster whose containers log secrets."""

    def logs(self, namespace: str, pod: str, container: str = "", **options: Any) -> str:
        self._maybe_fail("logs")
        return f"{'previous' if options.get('previous') else 'current'} run\n{SPOKEN}\n"

    def events(self, namespace: str, name: str) -> tuple[dict[str, Any], ...]:
        self._maybe_fail("events")
        return tuple(self.list("v1", "Event", namespace))


def plant(kube: HealthyCluster) -> None:
    """Add a pod and a node that fail, and a Secret, all with secrets in them."""
    containers = [
        {
            "name": "hub",
            "env": [{"name": "DB_PASSWORD", "value": CANARIES["password"]}],
            "args": ["--token", CANARIES["password"]],
        }
    ]
    status = {"name": "hub", "restartCount": 3, "state": {"waiting": {"message": SPOKEN}}}
    kube.add("Secret", "login", "jupyterhub", data={"password": CANARIES["password"]})
    about = {"kind": "Pod", "namespace": "jupyterhub", "name": "hub-1"}
    kube.add(
        "Event", "e1", "jupyterhub", type="Warning", reason="BackOff", message=SPOKEN,
        involvedObject=about, lastTimestamp=LONG_AGO,
    )  # fmt: skip
    for kind, name, more in (
        ("Pod", "hub-1", {"spec": {"containers": containers, "nodeName": "n2"}}),
        ("Node", "n2", {"spec": {}}),
    ):
        namespace = "jupyterhub" if kind == "Pod" else ""
        conditions = [{"type": "Ready", "status": "False", "reason": "No", "message": SPOKEN}]
        phase = {"conditions": conditions, "phase": "Running"}
        meta = {
            "name": name, "namespace": namespace, "creationTimestamp": LONG_AGO, "labels": {},
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {
                "note": SPOKEN,
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"a": SPOKEN}),
            },
        }  # fmt: skip
        own = {"containerStatuses": [status]} if kind == "Pod" else {}
        kube.put({"kind": kind, "metadata": meta, **more, "status": {**phase, **own}})


@dataclasses.dataclass
class Case:
    """A deployment full of secrets, and its cluster."""

    deployment: Deployment
    harness: DeploymentHarness
    kube: TalkingCluster

    @property
    def folder(self) -> Path:
        return self.deployment.folder

    def bundle(self) -> SupportBundle:
        return self.deployment.support_bundle()

    def unread(self) -> dict[str, str]:
        return {part.name: part.why for part in self.bundle().unread}


@pytest.fixture
def case(harness: DeploymentHarness, kube: HealthyCluster, monkeypatch: pytest.MonkeyPatch) -> Case:
    harness.account.account_id = CANARIES["account id"]
    harness.deploy()
    cluster = EksCluster(
        name="demo", arn="a", status="ACTIVE", version=SETTINGS.cluster_version, endpoint="x"
    )
    harness.account.clusters["demo"] = cluster
    harness.account.components = active_components()
    talking = TalkingCluster(objects=kube.objects, failing=kube.failing, port=kube.port)
    plant(talking)

    def connect(outputs: Mapping[str, Any]) -> Any:
        return SimpleNamespace(
            kube=talking,
            settings=SETTINGS,
            install_state=InstallState(harness.deployment.workspace, outputs),
            releases=dict,
        )

    deployment = Deployment(
        harness.deployment.workspace,
        {"HF_TOKEN": CANARIES["variable"]},
        account=harness.account,  # type: ignore[arg-type]
        terraform=harness.terraform,  # type: ignore[arg-type]
        connect=connect,
        machine=harness.deployment._machine,
    )
    fill(deployment)
    monkeypatch.setattr(Deployment, "open", lambda name="", **_: deployment)
    return Case(deployment, harness, talking)


def fill(deployment: Deployment) -> None:
    """Write secrets into every file of the folder that a bug report may need, or must not have."""
    workspace = deployment.workspace
    settings = (workspace.folder / "settings.yaml").read_text()
    notes = "\n".join(f"# {line}" for line in SPOKEN.splitlines())
    (workspace.folder / "settings.yaml").write_text(
        settings.replace("tags: {}", f"tags:\n  owner: {CANARIES['GitHub token']}") + notes
    )
    workspace.record(
        LedgerEntry(time=now(), step="deploy", status="failed", code="JK-TF-FAILED",
                    message=SPOKEN, evidence=SPOKEN)
    )  # fmt: skip
    workspace.log(stamped(PhaseProgress(SPOKEN, "failed"), "deploy"))
    log = workspace.new_log("apply")
    log.write_text(f"{json.dumps({'@message': SPOKEN, '@level': 'error'})}\n{SPOKEN}\n")
    for name in ("terraform.tfstate", "terraform.tfstate.backup", "plan.tfplan", "kubeconfig",
                 "terraform.tfvars.json", ".terraform/modules.json", "logs/note.txt"):  # fmt: skip
        path = workspace.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SPOKEN)


def archived(path: Path) -> dict[str, str]:
    """Return the members of an archive."""
    with tarfile.open(path) as archive:
        return {m.name: _text(archive, m) for m in archive.getmembers()}


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    assert member.isfile()
    assert (member.uid, member.uname, member.mode) == (0, "", 0o600)
    content = archive.extractfile(member)
    assert content is not None
    return content.read().decode()


class TestContents:
    def test_no_secret_is_in_any_member(self, case: Case) -> None:
        bundle = case.bundle()
        path = case.deployment.save_support_bundle(bundle)
        whole = {**archived(path), "names": " ".join(archived(path)), "list": str(bundle)}
        found = [
            (kind, name)
            for name, text in whole.items()
            for kind, canary in CANARIES.items()
            if canary in text or str(Path.home()) + "/" in text or str(case.folder) in text
        ]
        assert found == []

    def test_every_canary_is_in_what_is_read(self, case: Case) -> None:
        """Otherwise the test above would prove nothing."""
        log = case.deployment.raw_log()
        assert log
        for source in (
            log.read_text(),
            (case.folder / "settings.yaml").read_text(),
            (case.folder / "ledger.jsonl").read_text(),
            (case.folder / "events.jsonl").read_text(),
            case.kube.logs("jupyterhub", "hub-1", "hub"),
            str(case.kube.get("v1", "Pod", "hub-1", "jupyterhub")),
        ):
            assert [kind for kind, canary in CANARIES.items() if canary not in source] == []

    def test_it_has_what_a_bug_report_needs(self, case: Case) -> None:
        case.harness.deployment.preflight()
        names = {member.name for member in case.bundle().members}
        assert {
            "README.txt", "versions.json", "settings.yaml", "ledger.jsonl", "events.jsonl",
            "target.json", "reports/preflight.json", "reports/plan.json", "reports/diagnose.json",
            "cluster/version.txt", "cluster/events.txt", "cluster/nodes/n2.yaml",
            "cluster/pods/jupyterhub.hub-1.yaml", "cluster/pods/jupyterhub.hub-1.events.txt",
            "cluster/pods/jupyterhub.hub-1.hub.log",
            "cluster/pods/jupyterhub.hub-1.hub.previous.log",
        } <= names  # fmt: skip
        assert any(name.startswith("logs/") and name.endswith("-apply.jsonl") for name in names)
        assert not any("n1" in name or "Secret" in name for name in names)
        assert case.bundle().unread == ()

    def test_nothing_else_of_the_folder_is_in_it(self, case: Case) -> None:
        names = {member.name for member in case.bundle().members}
        assert not [n for n in names if "tfstate" in n or "tfplan" in n or "kubeconfig" in n]
        of_folder = {n for n in names if not n.startswith(("cluster/", "logs/"))}
        allowed = {"README.txt", "versions.json", decisions.DIAGNOSIS, *decisions.FILES}
        assert of_folder <= allowed
        assert "logs/note.txt" not in names

    def test_what_helps_is_readable(self, case: Case) -> None:
        members = {each.name: each.content.decode() for each in case.bundle().members}
        pod = yaml.safe_load(members["cluster/pods/jupyterhub.hub-1.yaml"])
        assert pod["spec"]["containers"][0]["env"] == [{"name": "DB_PASSWORD", "value": "(secret)"}]
        assert list(pod["metadata"]["annotations"]) == ["note"]
        assert "managedFields" not in pod["metadata"]
        assert members["cluster/pods/jupyterhub.hub-1.hub.log"].startswith("current run\n")
        assert "BackOff" in members["cluster/events.txt"]
        assert json.loads(members["reports/diagnose.json"])["checks"]
        last = [json.loads(line) for line in members["ledger.jsonl"].splitlines()][-1]
        assert last["code"] == "JK-TF-FAILED"
        versions = json.loads(members["versions.json"])
        assert versions["packages"]["pydantic"]
        assert versions["hashicorp/aws"][0].isdigit()
        assert versions["terraform"].startswith(("terraform ", "tofu "))

    def test_logs_are_the_newest_up_to_the_limit(self, case: Case) -> None:
        line = json.dumps({"@message": "word " * 20}) + "\n"
        for path in (case.folder / "logs").iterdir():
            path.unlink()
        for hour, mebibytes in ((1, 1), (2, 3), (3, 3)):
            path = case.folder / "logs" / f"2026-01-01T0{hour}0000.000Z-apply.jsonl"
            path.write_text(line * (mebibytes * 2**20 // len(line)))
        bundle = case.bundle()
        unread = {part.name: part.why for part in bundle.unread}
        logs = {m.name: m.size for m in bundle.members if m.name.startswith("logs/")}
        assert [name[5:18] for name in logs] == ["2026-01-01T03", "2026-01-01T02"]
        assert sum(logs.values()) <= decisions.LOGS_LIMIT
        assert "newest 4 MiB" in unread["logs"]


class TestUnread:
    def test_an_api_that_does_not_answer_is_reported_once(self, case: Case) -> None:
        case.kube.failing["version"] = "JK-KUBE-UNREACHABLE"
        bundle = case.bundle()
        unread = {part.name: part.why for part in bundle.unread}
        assert unread.keys() == {"cluster/version", "cluster"}
        assert "JK-KUBE-UNREACHABLE" in unread["cluster/version"]
        readme = bundle.contents()["README.txt"].decode()
        assert "its API does not answer" in readme
        assert not [m for m in bundle.members if m.name.startswith("cluster/")]

    def test_an_api_that_falls_silent_ends_the_reading_of_the_cluster(self, case: Case) -> None:
        case.kube.failing["events"] = "JK-KUBE-UNREACHABLE"
        bundle = case.bundle()
        names = [member.name for member in bundle.members]
        assert "cluster/pods/jupyterhub.hub-1.yaml" in names
        assert not [name for name in names if name.endswith(".log")]
        assert [part.name for part in bundle.unread][-1] == "cluster"

    def test_one_denied_call_does_not_stop_the_others(self, case: Case) -> None:
        case.kube.failing["Node"] = "JK-KUBE-DENIED"
        assert case.unread().keys() == {"cluster/nodes"}
        assert "cluster/pods/jupyterhub.hub-1.yaml" in case.bundle().contents()

    def test_without_credentials(self, case: Case) -> None:
        error = JarkkitError("JK-AWS-NO-CREDENTIALS", f"none: {SPOKEN}", "Log in.")
        case.harness.account.failing["caller"] = error
        bundle = case.bundle()
        (part,) = bundle.unread
        assert part.name == "cluster"
        assert part.why.startswith("JK-AWS-NO-CREDENTIALS")
        assert not [k for k, canary in CANARIES.items() if canary in part.why]
        assert "ledger.jsonl" in bundle.contents()

    def test_another_account_is_not_read(self, case: Case) -> None:
        case.harness.account.account_id = "222233334444"
        assert case.unread()["cluster"].startswith("JK-TARGET-MISMATCH")

    def test_before_the_first_deploy(self, harness: DeploymentHarness) -> None:
        bundle = harness.deployment.support_bundle()
        assert [part.name for part in bundle.unread] == ["cluster"]
        assert "settings.yaml" in bundle.contents()

    def test_damaged_and_missing_files(self, case: Case) -> None:
        (case.folder / "settings.yaml").write_text("a: [\n")
        (case.folder / "ledger.jsonl").write_bytes(b'{"step": \xff')
        (case.folder / "target.json").unlink()
        (case.folder / "receipt.json").symlink_to(case.folder / "terraform.tfstate")
        (case.folder / "events.jsonl").unlink()
        (case.folder / "events.jsonl").mkdir()
        bundle = case.bundle()
        assert bundle.contents()["settings.yaml"] == b"a: [\n"
        assert {part.name for part in bundle.unread} >= {"receipt.json", "events.jsonl", "cluster"}
        assert "target.json" not in bundle.contents()
        assert "receipt.json" not in bundle.contents()

    def test_a_bug_in_one_part_is_reported_and_hides_no_other(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken() -> None:
            raise ZeroDivisionError(SPOKEN)

        monkeypatch.setattr(case.deployment, "diagnose", broken)
        monkeypatch.setattr(case.kube, "version", broken)
        unread = case.unread()
        assert unread.keys() == {"diagnosis", "cluster/version"}
        assert unread["diagnosis"].startswith("ZeroDivisionError")
        assert CANARIES["secret key"] not in unread["diagnosis"]
        assert "cluster/pods/jupyterhub.hub-1.yaml" in case.bundle().contents()


class TestArchive:
    def test_only_the_owner_can_read_it(self, case: Case) -> None:
        before = os.umask(0)
        try:
            path = case.deployment.save_support_bundle(case.bundle())
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent == case.folder
        assert not list(case.folder.glob(".jarkkit-support*"))

    def test_a_file_that_exists_is_kept(self, case: Case, tmp_path: Path) -> None:
        out = tmp_path / "x.tar.gz"
        out.write_text("mine")
        with pytest.raises(Conflict) as caught:
            case.deployment.save_support_bundle(case.bundle(), out)
        assert caught.value.code == "JK-FILE-EXISTS"
        assert out.read_text() == "mine"
        case.deployment.save_support_bundle(case.bundle(), out, overwrite=True)
        assert "README.txt" in archived(out)
        assert out.stat().st_mode & 0o777 == 0o600

    def test_a_folder_that_does_not_exist(self, case: Case, tmp_path: Path) -> None:
        with pytest.raises(FolderError, match="No such file"):
            case.deployment.save_support_bundle(case.bundle(), tmp_path / "none" / "x.tar.gz")


class Terminal(io.StringIO):
    """Input of a user at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal; the test writes the answers of its user to it."""
    typed = Terminal()
    monkeypatch.setattr("sys.stdin", typed)
    monkeypatch.setattr(command, "_is_interactive", lambda: True)
    return typed


def answer(terminal: Terminal, *lines: str) -> None:
    terminal.seek(0)
    terminal.truncate()
    terminal.write("".join(f"{line}\n" for line in lines))
    terminal.seek(0)


class TestCommand:
    def test_the_list_is_what_is_in_the_archive(
        self, case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "x.tar.gz"
        assert cli._run(["support", "demo", "--yes", "--out", str(out)]) == 0
        shown = capsys.readouterr()
        assert shown.out == f"{out}\n"
        rows = [line.split() for line in shown.err.splitlines() if " B  " in line]
        listed = {row[2]: int(row[0].replace(",", "")) for row in rows}
        assert listed == {name: len(text.encode()) for name, text in archived(out).items()}

    def test_the_list_names_what_was_not_read(
        self, case: Case, capsys: pytest.CaptureFixture[str]
    ) -> None:
        case.kube.failing["version"] = "JK-KUBE-UNREACHABLE"
        assert cli._run(["support", "demo", "--yes"]) == 0
        shown = capsys.readouterr()
        assert "cluster/version: JK-KUBE-UNREACHABLE" in shown.err
        assert "its API does not answer" in shown.err
        assert "its API does not answer" in archived(Path(shown.out.strip()))["README.txt"]

    def test_json(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["support", "demo", "--yes", "--json"]) == 0
        shown = capsys.readouterr()
        found = json.loads(shown.out)
        assert [m["name"] for m in found["members"]] == list(archived(Path(found["path"])))
        assert found["unread"] == []
        assert shown.err == ""

    def test_without_a_terminal_it_needs_yes(
        self, case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert cli._run(["support", "demo"]) == 2
        assert "--yes" in capsys.readouterr().err
        assert not list(case.folder.glob("jarkkit-support*"))

    def test_at_a_terminal_it_asks(
        self, case: Case, answers: Terminal, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer(answers, "n")
        assert cli._run(["support", "demo"]) == 1
        assert not list(case.folder.glob("jarkkit-support*"))
        assert "README.txt" in capsys.readouterr().err
        answer(answers, "y", "y")
        assert cli._run(["support", "demo"]) == 0
        assert len(list(case.folder.glob("jarkkit-support*"))) == 1

    def test_it_asks_before_it_replaces_a_file(
        self, case: Case, answers: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "x.tar.gz"
        out.write_text("mine")
        words = ["support", "demo", "--out", str(out)]
        answer(answers, "y", "n")
        assert cli._run(words) == 1
        assert "JK-FILE-EXISTS" in capsys.readouterr().err
        assert cli._run([*words, "--yes"]) == 1
        assert out.read_text() == "mine"
        answer(answers, "y", "y")
        assert cli._run(words) == 0
        assert "README.txt" in archived(out)
