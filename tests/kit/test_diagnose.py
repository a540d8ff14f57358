"""`Kit.diagnose` at every moment of the journey, on fakes; drills that always end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jarkkit.checks import Check, Report
from jarkkit.cluster.layer import Connect
from jarkkit.cluster.memory import ClusterMemory
from jarkkit.cluster.readiness import all_standings
from jarkkit.diagnosis.pods import Owner
from jarkkit.drills import NAMESPACE, drill
from jarkkit.errors import JarkkitError
from jarkkit.helm import Release
from jarkkit.kit import Kit
from jarkkit.records import Entry, Instance, Owned, Part
from jarkkit.settings import Settings
from jarkkit.ui.drilling import Drilling, Drills, exercise
from jarkkit.ui.drilling import drill as drilling
from jarkkit.workspace import Workspace
from tests.kit.conftest import World
from tests.kit.test_verify_cluster import LONG_AGO, Cluster, healthy

DENIED = JarkkitError("JK-AWS-DENIED", "ec2 DescribeInstances: not allowed.", "Allow it.")
EXPIRED = JarkkitError("JK-AWS-EXPIRED", "sts: the credentials are expired.", "Log in.")


@dataclasses.dataclass
class Case:
    """A deployed kit, and the cluster and account that it looks at."""

    kit: Kit
    world: World
    kube: Cluster
    releases: dict[str, Release]

    def diagnose(self) -> Report:
        return self.kit.diagnose()

    def found(self) -> dict[str, str]:
        """What is not well, by subject."""
        checks = self.diagnose().checks
        return {c.name: c.code for c in checks if c.status in ("fail", "warn", "unknown")}

    def check(self, name: str) -> Check:
        return next(check for check in self.diagnose().checks if check.name == name)


def connected(world: World, kube: Cluster, releases: Mapping[str, Release]) -> Connect:
    """A cluster layer as far as a diagnosis uses one."""

    def connect(outputs: Mapping[str, Any]) -> Any:
        return SimpleNamespace(
            kube=kube,
            settings=Settings(),
            memory=ClusterMemory(world.kit.workspace, outputs),
            releases=lambda: dict(releases),
            standings=lambda: all_standings(lambda kind: kube.list("apps/v1", kind)),
        )

    return cast(Connect, connect)


@pytest.fixture
def case(world: World) -> Case:
    world.deploy()
    kube, releases = healthy(), {}
    kit = Kit(
        world.kit.workspace,
        {},
        account=world.account,  # type: ignore[arg-type]
        terraform=world.terraform,  # type: ignore[arg-type]
        connect=connected(world, kube, releases),
    )
    return Case(kit, world, kube, releases)


def hub_pod(reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "hub:9 not found"}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": "hub-abc-1", "namespace": "jupyterhub", "creationTimestamp": LONG_AGO,
            "labels": {"pod-template-hash": "abc"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "hub-abc", "controller": True}],
        },
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"containerStatuses": [{"name": "c", "image": "hub:9", "state": state}]},
    }  # fmt: skip


def fail_to_deploy(world: World, error: JarkkitError) -> None:
    world.plan()
    world.terraform.failing = [("aws_eks_cluster.demo", error)]
    with pytest.raises(JarkkitError):
        list(world.kit.deploy())


class TestMoments:
    def test_nothing_deployed_is_said_honestly(self, world: World) -> None:
        report = world.kit.diagnose()
        assert report.ok
        assert "Nothing is deployed" in report.notes[0]
        assert [c.status for c in report.checks] == ["skip", "skip"]

    def test_settings_that_cannot_be_read(self, world: World) -> None:
        (world.kit.folder / "settings.yaml").write_text("az_count: [")
        (check, *_) = world.kit.diagnose().checks
        assert (check.name, check.code) == ("The deployment's folder", "JK-SETTINGS-SYNTAX")

    def test_a_deploy_that_failed_is_explained_by_what_terraform_said(self, world: World) -> None:
        fail_to_deploy(world, JarkkitError("JK-AWS-QUOTA", "VcpuLimitExceeded.", "Ask for more."))
        line = {"severity": "error", "summary": "VcpuLimitExceeded: limit of 8", "address": "a.b"}
        log = world.kit.workspace.new_log("apply")
        log.write_text(json.dumps({"type": "diagnostic", "diagnostic": line}) + "\n{torn")
        check = next(c for c in world.kit.diagnose().checks if c.status == "fail")
        assert check.name == "Terraform: a.b"
        assert check.code == "JK-AWS-QUOTA"
        assert check.follows[0].startswith("The last deploy: ")
        assert check.link

    def test_without_a_log_the_step_itself_is_told_with_its_fix(self, world: World) -> None:
        error = JarkkitError("JK-TF-FAILED", "It broke.", "Mend it.", evidence="the words")
        fail_to_deploy(world, error)
        check = next(c for c in world.kit.diagnose().checks if c.status == "fail")
        assert check.name == "The last deploy"
        assert "the words" in check.found
        assert check.fix.startswith("Mend it.")

    def test_one_that_was_killed(self, case: Case) -> None:
        killed = Entry(time="2026-11-27T00:00:00Z", step="deploy", status="started")
        case.kit.workspace.record(killed)
        assert case.found() == {"The last deploy": "JK-INTERRUPTED"}

    def test_while_a_step_is_under_way_nothing_is_grave(self, case: Case) -> None:
        case.kube.put(hub_pod("ImagePullBackOff"))
        with case.kit.workspace.only_writer():
            report = case.diagnose()
        assert report.ok
        assert "under way" in report.notes[0]
        assert "JK-ADDON-IMAGE" in {c.code for c in report.checks}

    def test_credentials_that_expired_end_it_after_one_question(self, case: Case) -> None:
        case.world.account.failing = {"caller": EXPIRED}
        report = case.diagnose()
        assert [c.code for c in report.failures()] == ["JK-AWS-EXPIRED"]
        assert not [c for c in report.checks if c.status in ("pass", "unknown")]

    def test_another_account_is_not_asked(self, case: Case) -> None:
        case.world.account.account_id = "999999999999"
        assert case.found() == {"The way to the account": "JK-TARGET-MISMATCH"}

    def test_a_rehearsal_without_its_sandbox(self, tmp_path: Path) -> None:
        home = tmp_path
        Kit.create("demo", rehearsal=True, home=home, environ={})
        report = Kit.open("demo", home=home, environ={}).diagnose()
        assert [c.code for c in report.failures()] == ["JK-TARGET-REHEARSAL"]

    def test_what_a_cleanup_left_is_found_with_what_holds_it(self, case: Case) -> None:
        owned = (
            Owned(terraform_type="aws_lb", import_id="arn:lb", name="leak", billable=True),
            Owned(terraform_type="aws_vpc", import_id="vpc-1"),
        )
        case.world.account.left = owned
        case.world.account.health.interfaces = ("eni-1 ELB leak",)
        with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
            list(case.world.kit.cleanup(confirm="demo"))
        assert case.found() == {
            "Load balancer leak": "JK-CLEANUP-LEFT",
            "1 network interfaces": "JK-CLEANUP-LEFT",
        }
        assert any("The last cleanup" in so for so in case.check("Load balancer leak").follows)

    def test_it_is_kept_where_it_can_be(self, case: Case) -> None:
        report = case.diagnose()
        assert case.kit.last_report("diagnose") == report
        before = case.kit.entries()
        case.kit.workspace.folder.chmod(0o500)
        case.diagnose()
        case.kit.workspace.folder.chmod(0o700)
        assert case.kit.entries() == before


class TestCluster:
    def test_a_healthy_one_is_well_and_says_where_it_looked(self, case: Case) -> None:
        report = case.diagnose()
        assert report.ok, report.text()
        assert case.found() == {}
        passed = {c.name for c in report.checks if c.status == "pass"}
        assert {"Nodes", "Pods", "Webhooks", "Helm releases", "Instances"} <= passed
        assert "Nothing wrong was found" in report.notes[0]

    def test_a_pod_that_cannot_pull_its_image(self, case: Case) -> None:
        case.kube.put(hub_pod("ImagePullBackOff"))
        check = case.check("Deployment jupyterhub/hub")
        assert check.code == "JK-ADDON-IMAGE"
        assert check.why.startswith("JupyterHub: ")
        assert "hub:9 not found" in check.found

    def test_an_eks_add_on_is_the_symptom_of_its_pods(self, case: Case) -> None:
        thing = hub_pod("ImagePullBackOff")
        thing["metadata"] |= {"namespace": "kube-system"}
        thing["metadata"]["ownerReferences"][0]["name"] = "coredns-abc"
        case.kube.put(thing)
        issue = "InsufficientNumberOfReplicas: 0 of 2"
        part = Part(kind="add-on", name="coredns", status="DEGRADED", issues=(issue,))
        case.world.account.the_parts = (part,)
        check = case.check(str(Owner("kube-system", "Deployment", "coredns")))
        assert any("EKS add-on coredns" in line for line in check.follows)
        assert len(case.diagnose().failures()) == 1

    def test_an_instance_that_never_became_a_node(self, case: Case) -> None:
        lost = Instance(
            instance_id="i-9", instance_type="m5.large", zone="a", state="running",
            launched="2026-01-01T00:00:00+00:00", group="core",
        )  # fmt: skip
        case.world.account.health.the_instances = (lost,)
        assert case.found() == {"Instance i-9": "JK-NODE-NOT-JOINED"}

    def test_a_release_that_is_stuck_and_a_workload_that_is_missing(self, case: Case) -> None:
        del case.kube.objects["Deployment", "jupyterhub", "hub"]
        stuck = Release("jupyterhub", "jupyterhub", "jupyterhub", "4", "pending-upgrade", 2)
        case.releases["x"] = stuck
        check = case.check("Helm release jupyterhub/jupyterhub")
        assert check.code == "JK-HELM-FAILED"
        assert any("Add-on jupyterhub" in line for line in check.follows)

    def test_what_may_not_be_asked_is_unknown_and_the_rest_goes_on(self, case: Case) -> None:
        case.world.account.health.failing = {"instances": DENIED}
        case.kube.failing = {"Node": "JK-KUBE-DENIED"}
        case.kube.put(hub_pod("ImagePullBackOff"))
        assert case.found() == {
            "Deployment jupyterhub/hub": "JK-ADDON-IMAGE",
            "Instances": "JK-AWS-DENIED",
            "Nodes": "JK-KUBE-DENIED",
        }

    def test_unknowns_alone_are_no_clean_bill(self, case: Case) -> None:
        case.world.account.health.failing = {"instances": DENIED}
        report = case.diagnose()
        assert "not everything could be asked" in report.notes[0]
        assert "as far as could be asked" in report.verdict

    def test_an_api_that_does_not_answer_is_told_once_with_who_may_reach_it(
        self, case: Case
    ) -> None:
        kinds = ("version", "Node", "Pod", "PersistentVolumeClaim", "Deployment", "NodeClaim",
                 "ValidatingWebhookConfiguration")  # fmt: skip
        case.kube.failing = dict.fromkeys(kinds, "JK-KUBE-UNREACHABLE")
        health = case.world.account.health
        assert health.plane is not None
        health.plane = health.plane.model_copy(update={"open_to": ("192.0.2.0/24",)})
        assert case.found() == {"The cluster's API": "JK-KUBE-UNREACHABLE"}
        assert "192.0.2.0/24" in case.check("The cluster's API").why

    def test_a_cluster_that_is_gone_explains_it(self, case: Case) -> None:
        case.kube.failing = {"version": "JK-KUBE-UNREACHABLE"}
        case.world.account.health.plane = None
        assert any("cluster's API" in line for line in case.check("Cluster demo").follows)


# -- drills ----------------------------------------------------------------------------------------


@pytest.fixture
def rehearsed(case: Case, tmp_path: Path) -> Case:
    """The same as a rehearsal."""
    folder = case.kit.folder
    kind = json.loads((folder / "deployment.json").read_text())
    (folder / "deployment.json").write_text(json.dumps({**kind, "rehearsal": True}))
    target = json.loads((folder / "target.json").read_text())
    (folder / "target.json").write_text(json.dumps({**target, "rehearsal": True}))
    assert Workspace(folder).rehearsal
    return case


class Switch:
    """The sandbox's faults, and all that was switched."""

    def __init__(self) -> None:
        self.on: tuple[str, ...] = ("throttled:iam",)
        self.history: list[tuple[str, ...]] = []

    def __call__(self, words: tuple[str, ...]) -> tuple[str, ...]:
        before, self.on = self.on, words
        self.history.append(words)
        return before


def made(case: Case, name: str, switch: Switch) -> Drilling:
    return Drilling(case.kit, drill(name), switch=switch, sleep=lambda _: None)


class TestDrills:
    def test_pods_are_made_anew_and_the_fault_is_switched_off_again(self, rehearsed: Case) -> None:
        rehearsed.kube.put(hub_pod(""))
        switch = Switch()
        with made(rehearsed, "image-pull", switch) as drilled:
            assert switch.on == ("image-pull:jupyterhub/hub",)
            assert "delete Pod hub-abc-1" in rehearsed.kube.calls
            rehearsed.kube.put(hub_pod("ErrImagePull"))
            report = drilled.diagnosis()
        assert "JK-ADDON-IMAGE" in {c.code for c in report.failures()}
        assert switch.on == ("throttled:iam",)
        del rehearsed.kube.objects["Pod", "jupyterhub", "hub-abc-1"]
        assert drilled.recovery().ok

    def test_also_when_it_is_interrupted(self, rehearsed: Case) -> None:
        switch = Switch()

        def interrupted() -> None:
            with made(rehearsed, "insufficient-capacity", switch):
                assert ("Pod", NAMESPACE, "needs-a-node") in rehearsed.kube.objects
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert switch.on == ("throttled:iam",)
        assert ("Namespace", "", NAMESPACE) not in rehearsed.kube.objects

    def test_also_when_breaking_fails_half_way(self, rehearsed: Case) -> None:
        rehearsed.kube.failing = {"Pod": "JK-KUBE-DENIED"}
        switch = Switch()
        with pytest.raises(JarkkitError, match="JK-KUBE-DENIED"), made(rehearsed, "oom", switch):
            pass
        assert switch.on == ("throttled:iam",)

    def test_a_zone_is_the_deployments_first(self, rehearsed: Case) -> None:
        switch = Switch()
        with made(rehearsed, "node-unhealthy", switch):
            assert switch.on == ("node-unhealthy:us-west-2a",)

    def test_what_is_not_seen_ends_in_time_with_what_there_is(self, rehearsed: Case) -> None:
        with (
            made(rehearsed, "image-pull", Switch()) as drilled,
            pytest.raises(JarkkitError) as caught,
        ):
            drilled.diagnosis(seconds=0)
        assert caught.value.code == "JK-DRILL-TIMEOUT"
        assert "Is all well?" in caught.value.evidence

    def test_in_a_real_account_it_is_refused_and_nothing_is_switched(self, case: Case) -> None:
        for ask in (case.kit.provoke, case.kit.calm, lambda name: drilling(case.kit, name)):
            with pytest.raises(JarkkitError) as caught:
                ask("image-pull")
            assert caught.value.code == "JK-DRILL-REFUSED"

    def test_a_notebook_there_only_looks(self, case: Case) -> None:
        drilled = Drills(case.kit).run("image-pull")
        switch = Switch()
        with dataclasses.replace(drilled, switch=switch) as looking:
            assert looking.diagnosis().ok
        assert switch.history == []
        assert "real account" in drilled.skipped

    def test_the_table_says_what_can_be_done_here(self, rehearsed: Case) -> None:
        shown = Drills(rehearsed.kit)._repr_html_()
        assert shown.count("can be done") >= 10
        assert "by hand" in shown

    def test_an_unknown_one_is_an_error(self, rehearsed: Case) -> None:
        with pytest.raises(JarkkitError, match="JK-DRILL-UNKNOWN"):
            Drills(rehearsed.kit).run("nothing")

    @pytest.mark.parametrize(
        ("given", "said"), [("", "Not answered"), ("jk-aws-quota", "Right"), ("JK-X", "not it")]
    )
    def test_an_exercise_is_checked_and_may_be_left_open(
        self, given: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
    ) -> None:
        shown: list[str] = []
        monkeypatch.setattr("jarkkit.ui.drilling.display", lambda html: shown.append(html.data))
        exercise(given, "JK-AWS-QUOTA", "Because.")
        assert said in shown[0]
