"""`Deployment.diagnose` after every step, on fakes; drills that always end."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jarkkit.catalog.drills import NAMESPACE, drill
from jarkkit.decisions.cluster.pod_status import PodOwner
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Check, Report
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterComponent, EksCluster, Instance, LedgerEntry, OwnedResource
from jarkkit.notebook.ui.drill_session import DrillList, DrillSession, check_answer
from jarkkit.notebook.ui.drill_session import drill as drilling
from jarkkit.ports.helm import Release
from jarkkit.ports.workspace import Workspace
from jarkkit.render.text import text as text_of
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.cluster.install_state import InstallState
from tests.support.fakes.deployment import DeploymentHarness, active_components
from tests.support.fakes.healthy_cluster import LONG_AGO, SETTINGS, HealthyCluster
from tests.support.stacks import resolved

DENIED = JarkkitError("JK-AWS-DENIED", "ec2 DescribeInstances: not allowed.", "Allow it.")
EXPIRED = JarkkitError("JK-AWS-EXPIRED", "sts: the credentials are expired.", "Log in.")


@dataclasses.dataclass
class Case:
    """A deployment with the cluster and the account that it diagnoses."""

    deployment: Deployment
    harness: DeploymentHarness
    kube: HealthyCluster
    releases: dict[str, Release]

    def diagnose(self) -> Report:
        return self.deployment.diagnose()

    def found(self) -> dict[str, str]:
        """Return the codes of failures, warnings and unknown checks, by subject."""
        checks = self.diagnose().checks
        return {c.name: c.code for c in checks if c.status in ("fail", "warn", "unknown")}

    def check(self, name: str) -> Check:
        return next(check for check in self.diagnose().checks if check.name == name)


def connector(
    harness: DeploymentHarness, kube: HealthyCluster, releases: Mapping[str, Release]
) -> Connect:
    """Return a cluster layer with the members that a diagnosis uses."""

    def connect(outputs: Mapping[str, Any]) -> Any:
        return SimpleNamespace(
            kube=kube,
            settings=SETTINGS,
            install_state=InstallState(harness.deployment.workspace, outputs),
            releases=lambda: dict(releases),
        )

    return cast(Connect, connect)


@pytest.fixture
def case(harness: DeploymentHarness, kube: HealthyCluster) -> Case:
    harness.deploy()
    version = SETTINGS.cluster_version
    cluster = EksCluster(name="demo", arn="a", status="ACTIVE", version=version, endpoint="x")
    harness.account.clusters["demo"] = cluster
    harness.account.components = active_components()
    releases: dict[str, Release] = {}
    deployment = Deployment(
        harness.deployment.workspace,
        {},
        account=harness.account,  # type: ignore[arg-type]
        terraform=harness.terraform,  # type: ignore[arg-type]
        connect=connector(harness, kube, releases),
    )
    return Case(deployment, harness, kube, releases)


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


def rejected_pods() -> dict[str, Any]:
    about = {"kind": "ReplicaSet", "namespace": "jupyterhub", "name": "hub-7c9"}
    return {
        "kind": "Event", "type": "Warning", "reason": "FailedCreate", "involvedObject": about,
        "metadata": {"name": "hub-7c9.1", "namespace": "jupyterhub", "creationTimestamp": now()},
        "message": 'pods "hub-7c9-x" is forbidden: exceeded quota: team', "lastTimestamp": now(),
    }  # fmt: skip


def fail_to_deploy(harness: DeploymentHarness, error: JarkkitError) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_eks_cluster.demo", error)]
    with pytest.raises(JarkkitError):
        list(harness.deployment.deploy())


class TestMoments:
    def test_without_a_deploy_the_checks_are_skipped(self, harness: DeploymentHarness) -> None:
        report = harness.deployment.diagnose()
        assert report.ok
        assert "Nothing is deployed" in report.notes[0]
        assert [c.status for c in report.checks] == ["skip", "skip"]

    def test_unreadable_settings(self, harness: DeploymentHarness) -> None:
        (harness.deployment.folder / "settings.yaml").write_text("az_count: [")
        (check, *_) = harness.deployment.diagnose().checks
        assert (check.name, check.code) == ("The deployment's folder", "JK-SETTINGS-SYNTAX")

    def test_a_failed_deploy_is_explained_by_terraforms_error(
        self, harness: DeploymentHarness
    ) -> None:
        fail_to_deploy(harness, JarkkitError("JK-AWS-QUOTA", "VcpuLimitExceeded.", "Ask for more."))
        line = {"severity": "error", "summary": "VcpuLimitExceeded: limit of 8", "address": "a.b"}
        log = harness.deployment.workspace.new_log("apply")
        log.write_text(json.dumps({"type": "diagnostic", "diagnostic": line}) + "\n{torn")
        check = next(c for c in harness.deployment.diagnose().checks if c.status == "fail")
        assert check.name == "Terraform: a.b"
        assert check.code == "JK-AWS-QUOTA"
        assert check.follows[0].startswith("The last deploy: ")
        assert check.link

    def test_without_a_log_the_failed_step_is_shown_with_its_fix(
        self, harness: DeploymentHarness
    ) -> None:
        error = JarkkitError("JK-TF-FAILED", "It broke.", "Fix it.", evidence="the words")
        fail_to_deploy(harness, error)
        check = next(c for c in harness.deployment.diagnose().checks if c.status == "fail")
        assert check.name == "The last deploy"
        assert "the words" in check.found
        assert check.fix.startswith("Fix it.")

    def test_a_killed_step(self, case: Case) -> None:
        killed = LedgerEntry(time="2026-11-27T00:00:00Z", step="deploy", status="started")
        case.deployment.workspace.record(killed)
        assert case.found() == {"The last deploy": "JK-INTERRUPTED"}

    def test_while_a_step_runs_there_are_only_warnings(self, case: Case) -> None:
        case.kube.put(hub_pod("ImagePullBackOff"))
        with case.deployment.workspace.exclusive_lock():
            report = case.diagnose()
        assert report.ok
        assert "A step is running" in report.notes[0]
        assert "JK-ADDON-IMAGE" in {c.code for c in report.checks}

    def test_expired_credentials_end_the_diagnosis_after_one_call(self, case: Case) -> None:
        case.harness.account.failing = {"caller": EXPIRED}
        report = case.diagnose()
        assert [c.code for c in report.failures()] == ["JK-AWS-EXPIRED"]
        assert not [c for c in report.checks if c.status in ("pass", "unknown")]

    def test_another_account_is_not_queried(self, case: Case) -> None:
        case.harness.account.account_id = "999999999999"
        assert case.found() == {"Access to the account": "JK-TARGET-MISMATCH"}

    def test_a_rehearsal_without_its_sandbox(self, tmp_path: Path) -> None:
        home = tmp_path
        Deployment.create("demo", rehearsal=True, home=home, environ={})
        report = Deployment.open("demo", home=home, environ={}).diagnose()
        assert [c.code for c in report.failures()] == ["JK-TARGET-REHEARSAL"]

    def test_leftovers_of_a_cleanup_are_found_with_their_blockers(self, case: Case) -> None:
        owned = (
            OwnedResource(terraform_type="aws_lb", import_id="arn:lb", name="leak", billable=True),
            OwnedResource(terraform_type="aws_vpc", import_id="vpc-1"),
        )
        case.harness.account.leftovers = owned
        case.harness.account.in_use = frozenset({"arn:lb"})
        case.harness.account.health.interfaces = ("eni-1 ELB leak",)
        with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
            list(case.harness.deployment.cleanup(confirm="demo"))
        assert case.found() == {
            "Load balancer leak": "JK-CLEANUP-LEFT",
            "1 network interfaces": "JK-CLEANUP-LEFT",
        }
        assert any(
            "The last cleanup" in symptom for symptom in case.check("Load balancer leak").follows
        )

    def test_the_report_is_saved_where_the_folder_is_writable(self, case: Case) -> None:
        report = case.diagnose()
        assert case.deployment.last_report("diagnose") == report
        before = case.deployment.ledger_entries()
        case.deployment.workspace.folder.chmod(0o500)
        case.diagnose()
        case.deployment.workspace.folder.chmod(0o700)
        assert case.deployment.ledger_entries() == before


class TestCluster:
    def test_a_healthy_cluster_passes_all_checks(self, case: Case) -> None:
        report = case.diagnose()
        assert report.ok, text_of(report)
        assert case.found() == {}
        passed = {c.name for c in report.checks if c.status == "pass"}
        assert {"Nodes", "Pods", "Webhooks", "Helm releases", "Instances"} <= passed
        assert "found no problem" in report.notes[0]

    def test_a_pod_that_cannot_pull_its_image(self, case: Case) -> None:
        case.kube.put(hub_pod("ImagePullBackOff"))
        check = case.check("Deployment jupyterhub/hub")
        assert check.code == "JK-ADDON-IMAGE"
        assert check.why.startswith("JupyterHub: ")
        assert "hub:9 not found" in check.found

    def test_an_eks_add_on_is_a_symptom_of_its_pods(self, case: Case) -> None:
        pod = hub_pod("ImagePullBackOff")
        pod["metadata"] |= {"namespace": "kube-system"}
        pod["metadata"]["ownerReferences"][0]["name"] = "coredns-abc"
        case.kube.put(pod)
        issue = "InsufficientNumberOfReplicas: 0 of 2"
        part = ClusterComponent(kind="add-on", name="coredns", status="DEGRADED", issues=(issue,))
        others = (p for p in active_components() if p.name != part.name)
        case.harness.account.components = (part, *others)
        check = case.check(str(PodOwner("kube-system", "Deployment", "coredns")))
        assert any("EKS add-on coredns" in line for line in check.follows)
        assert len(case.diagnose().failures()) == 1

    def test_an_instance_that_never_became_a_node(self, case: Case) -> None:
        lost = Instance(
            instance_id="i-9", instance_type="m5.large", zone="a", state="running",
            launched="2026-01-01T00:00:00+00:00", group="core",
        )  # fmt: skip
        case.harness.account.health.instance_list = (lost,)
        assert case.found() == {"Instance i-9": "JK-NODE-NOT-JOINED"}

    def test_a_stuck_release_explains_a_missing_workload(self, case: Case) -> None:
        del case.kube.objects["Deployment", "jupyterhub", "hub"]
        stuck = Release("jupyterhub", "jupyterhub", "jupyterhub", "4", "pending-upgrade", 2)
        case.releases["x"] = stuck
        check = case.check("Helm release jupyterhub/jupyterhub")
        assert check.code == "JK-HELM-FAILED"
        assert any("Add-on jupyterhub" in line for line in check.follows)

    def test_a_denied_call_is_unknown_and_the_other_checks_run(self, case: Case) -> None:
        case.harness.account.health.failing = {"instances": DENIED}
        case.kube.failing = {"Node": "JK-KUBE-DENIED"}
        case.kube.put(hub_pod("ImagePullBackOff"))
        assert case.found() == {
            "Deployment jupyterhub/hub": "JK-ADDON-IMAGE",
            "Instances": "JK-AWS-DENIED",
            "Nodes": "JK-KUBE-DENIED",
        }

    def test_unknown_checks_are_named_in_the_verdict(self, case: Case) -> None:
        case.harness.account.health.failing = {"instances": DENIED}
        report = case.diagnose()
        assert "some checks got no answer" in report.notes[0]
        assert "as far as it could be checked" in report.verdict

    def test_an_unreachable_api_is_reported_once_with_its_allowed_cidrs(self, case: Case) -> None:
        kinds = ("version", "Node", "Pod", "PersistentVolumeClaim", "Deployment", "NodeClaim",
                 "ValidatingWebhookConfiguration")  # fmt: skip
        case.kube.failing = dict.fromkeys(kinds, "JK-KUBE-UNREACHABLE")
        clusters = case.harness.account.clusters
        clusters["demo"] = clusters["demo"].model_copy(update={"open_to": ("192.0.2.0/24",)})
        assert case.found() == {"The cluster's API": "JK-KUBE-UNREACHABLE"}
        assert "192.0.2.0/24" in case.check("The cluster's API").why

    def test_a_missing_cluster_explains_an_unreachable_api(self, case: Case) -> None:
        case.kube.failing = {"version": "JK-KUBE-UNREACHABLE"}
        del case.harness.account.clusters["demo"]
        assert any("cluster's API" in line for line in case.check("Cluster").follows)


class ListCounter(HealthyCluster):
    """A cluster that counts how often all objects of a kind are listed."""

    def __init__(self, like: HealthyCluster) -> None:
        super().__init__(objects=like.objects, port=like.port)
        self.lists: Counter[str] = Counter()

    def list(
        self, api_version: str, kind: str, namespace: str = "", **chosen: str
    ) -> Iterator[dict[str, Any]]:
        if not namespace and not any(chosen.values()):
            self.lists[kind] += 1
        return super().list(api_version, kind, namespace, **chosen)


class TestVerifysChecks:
    def own_check(self, case: Case, title: str, kind: str, namespace: str = "") -> None:
        folder = case.deployment.folder / "checks"
        folder.mkdir(exist_ok=True)
        (folder / "own.yaml").write_text(
            f"title: {title}\nobject: {{apiVersion: v1, kind: {kind}, namespace: {namespace!r}}}\n"
            "field: status.phase\nequals: Bound\nfix: Look at it.\n"
        )

    def test_what_only_verify_knows_is_a_finding(self, case: Case) -> None:
        case.kube.add("ConfigMap", "amazon-vpc-cni", "kube-system", data={})
        assert case.found() == {"Network policies are enforced": "JK-VERIFY-FAILED"}
        check = case.check("Network policies are enforced")
        assert (check.status, check.needed) == ("fail", "true")
        assert "enableNetworkPolicy" in check.fix

    def test_a_users_own_check_that_fails_is_a_finding(self, case: Case) -> None:
        self.own_check(case, "The team's volume is bound", "PersistentVolumeClaim", "team")
        assert case.found() == {"The team's volume is bound": "JK-VERIFY-FAILED"}
        assert case.check("The team's volume is bound").fix == "Look at it."

    def test_a_pod_that_fails_is_reported_once_with_its_web_ui(self, case: Case) -> None:
        hub = case.kube.objects["Deployment", "jupyterhub", "hub"]
        case.kube.put({**hub, "status": {"observedGeneration": 1, "readyReplicas": 0}})
        for endpoint in web_uis.endpoints(resolved(SETTINGS)):
            if endpoint.addon == "jupyterhub":
                del case.kube.objects["Pod", "jupyterhub", f"{endpoint.service}-1"]
        case.kube.put(hub_pod("ImagePullBackOff"))
        assert case.found() == {"Deployment jupyterhub/hub": "JK-ADDON-IMAGE"}
        (symptom,) = case.check("Deployment jupyterhub/hub").follows
        assert symptom.startswith("Web UI of JupyterHub: ")

    def test_rejected_pods_are_reported_once_with_their_web_ui(self, case: Case) -> None:
        hub = case.kube.objects["Deployment", "jupyterhub", "hub"]
        case.kube.put({**hub, "status": {"observedGeneration": 1, "readyReplicas": 0}})
        for endpoint in web_uis.endpoints(resolved(SETTINGS)):
            if endpoint.addon == "jupyterhub":
                del case.kube.objects["Pod", "jupyterhub", f"{endpoint.service}-1"]
        case.kube.put(rejected_pods())
        assert case.found() == {"ReplicaSet jupyterhub/hub-7c9": "JK-ADDON-FAILED"}
        check = case.check("ReplicaSet jupyterhub/hub-7c9")
        assert "ResourceQuota" in check.why
        (symptom,) = check.follows
        assert symptom.startswith("Web UI of JupyterHub: ")

    def test_a_workload_that_the_pods_query_left_out_is_explained_by_its_pods(
        self, case: Case
    ) -> None:
        for number in range(30):  # the query explains the first 30 owners
            pod = hub_pod("ImagePullBackOff")
            pod["metadata"] |= {"name": f"own-{number}", "namespace": "a", "ownerReferences": []}
            case.kube.put(pod)
        hub = case.kube.objects["Deployment", "jupyterhub", "hub"]
        case.kube.put({**hub, "status": {"observedGeneration": 1, "readyReplicas": 0}})
        case.kube.put(hub_pod("ImagePullBackOff"))
        assert case.found()["Deployment jupyterhub/hub"] == "JK-ADDON-IMAGE"

    def test_a_volume_claim_is_the_cause_of_the_check_that_it_is_bound(self, case: Case) -> None:
        spec = {"storageClassName": "absent"}
        case.kube.add(
            "PersistentVolumeClaim", "data", "team", spec=spec, status={"phase": "Pending"}
        )
        assert case.found() == {"Volume claim team/data": "JK-VOLUME-PENDING"}
        (symptom,) = case.check("Volume claim team/data").follows
        assert symptom.startswith("Volumes are bound: team/data: Pending")

    def test_missing_workloads_are_reported_once_per_add_on(self, case: Case) -> None:
        del case.kube.objects["Deployment", "jupyterhub", "hub"]
        assert case.found() == {"Add-on jupyterhub": "JK-ADDON-FAILED"}
        assert case.check("Add-on jupyterhub").follows == ()

    def test_a_workload_with_new_pods_is_a_warning(self, case: Case) -> None:
        hub = case.kube.objects["Deployment", "jupyterhub", "hub"]
        case.kube.put({**hub, "status": {"observedGeneration": 1, "readyReplicas": 0}})
        pod = hub_pod("ContainerCreating")
        pod["metadata"]["creationTimestamp"] = now()
        case.kube.put(pod)
        report = case.diagnose()
        assert report.ok, text_of(report)
        (check,) = (c for c in report.checks if c.status == "warn")
        assert check.name == "Deployment jupyterhub/hub"

    def test_a_check_that_could_not_run_is_not_checked(self, case: Case) -> None:
        case.kube.failing = {"APIService": "JK-KUBE-DENIED", "forward": "JK-KUBE-FAILED"}
        found = {c.name: (c.status, c.code) for c in case.diagnose().findings()}
        assert found["Aggregated APIs answer"] == ("unknown", "JK-KUBE-DENIED")
        (uis,) = (name for name in found if "Web UI of JupyterHub" in name)
        assert found[uis] == ("unknown", "JK-KUBE-FAILED")

    def test_an_error_of_a_query_is_not_repeated_by_the_check_of_that_name(
        self, case: Case
    ) -> None:
        # The check and the query "Workloads" read different kinds; both read nodes.
        case.kube.failing = dict.fromkeys(("Node", "Deployment", "RayJob"), "JK-KUBE-DENIED")
        unknown = [c.name for c in case.diagnose().checks if c.status == "unknown"]
        assert (unknown.count("Nodes"), unknown.count("Workloads")) == (1, 2)

    def test_a_cluster_that_cannot_be_described_is_not_checked(self, case: Case) -> None:
        case.harness.account.failing = {"cluster": DENIED}
        found = case.found()
        assert found["Cluster"] == "JK-AWS-DENIED"
        checks = case.diagnose().checks
        assert [c.name for c in checks if c.found == DENIED.message].count("Cluster") == 1
        assert "Control plane" not in found

    def test_the_passed_checks_are_counted(self, case: Case) -> None:
        check = case.check("Checks of jarkkit verify")
        assert check.status == "pass"
        verified = case.deployment.verify()
        api = 1  # a query of the diagnosis itself
        assert check.found == f"{verified.count('pass') - api} passed"

    def test_after_a_cleanup_began_nothing_is_verified(self, case: Case) -> None:
        failed = LedgerEntry(time="2026-11-27T00:00:00Z", step="cleanup", status="failed")
        case.deployment.workspace.record(failed)
        case.harness.account.components = ()
        assert list(case.found()) == ["The last cleanup"]

    def test_every_list_is_read_once(self, harness: DeploymentHarness, case: Case) -> None:
        kube = ListCounter(case.kube)
        waiting = hub_pod("")
        del waiting["spec"]["nodeName"]  # so that the pods' query asks for nodes and pools, too
        kube.put(waiting)
        deployment = Deployment(
            case.deployment.workspace,
            {},
            account=harness.account,  # type: ignore[arg-type]
            terraform=harness.terraform,  # type: ignore[arg-type]
            connect=connector(harness, kube, {}),
        )
        deployment.diagnose()
        shared = (
            "Node", "NodePool", "NodeClaim", "EC2NodeClass", "Deployment", "StatefulSet",
            "DaemonSet", "StorageClass", "PersistentVolumeClaim", "Service", "Pod",
        )  # fmt: skip
        assert {kind: kube.lists[kind] for kind in shared} == dict.fromkeys(shared, 1)


# -- drills ----------------------------------------------------------------------------------------


@pytest.fixture
def rehearsed(case: Case, tmp_path: Path) -> Case:
    """Return the same deployment as a rehearsal."""
    folder = case.deployment.folder
    kind = json.loads((folder / "deployment.json").read_text())
    (folder / "deployment.json").write_text(json.dumps({**kind, "rehearsal": True}))
    target = json.loads((folder / "target.json").read_text())
    (folder / "target.json").write_text(json.dumps({**target, "rehearsal": True}))
    assert Workspace(folder).rehearsal
    return case


class FaultRecorder:
    """The sandbox's faults and the history of their changes."""

    def __init__(self) -> None:
        self.active: tuple[str, ...] = ("throttled:iam",)
        self.history: list[tuple[str, ...]] = []

    def __call__(self, words: tuple[str, ...]) -> tuple[str, ...]:
        before, self.active = self.active, words
        self.history.append(words)
        return before


def drill_session(case: Case, name: str, faults: FaultRecorder) -> DrillSession:
    return DrillSession(case.deployment, drill(name), set_faults=faults, sleep=lambda _: None)


class TestDrills:
    def test_pods_are_recreated_and_the_fault_is_turned_off_again(self, rehearsed: Case) -> None:
        healthy = dict(rehearsed.kube.objects)
        rehearsed.kube.put(hub_pod(""))
        faults = FaultRecorder()
        with drill_session(rehearsed, "image-pull", faults) as session:
            assert faults.active == ("image-pull:jupyterhub/hub",)
            assert "delete Pod hub-abc-1" in rehearsed.kube.calls
            rehearsed.kube.put(hub_pod("ErrImagePull"))
            report = session.diagnosis()
        assert "JK-ADDON-IMAGE" in {c.code for c in report.failures()}
        assert faults.active == ("throttled:iam",)
        rehearsed.kube.objects = healthy
        assert session.recovery().ok

    def test_an_interrupted_drill_is_reverted(self, rehearsed: Case) -> None:
        faults = FaultRecorder()

        def interrupted() -> None:
            with drill_session(rehearsed, "insufficient-capacity", faults):
                assert ("Pod", NAMESPACE, "needs-a-node") in rehearsed.kube.objects
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert faults.active == ("throttled:iam",)
        assert ("Namespace", "", NAMESPACE) not in rehearsed.kube.objects

    def test_a_drill_that_fails_to_start_is_reverted(self, rehearsed: Case) -> None:
        rehearsed.kube.failing = {"Pod": "JK-KUBE-DENIED"}
        faults = FaultRecorder()
        with (
            pytest.raises(JarkkitError, match="JK-KUBE-DENIED"),
            drill_session(rehearsed, "oom", faults),
        ):
            pass
        assert faults.active == ("throttled:iam",)

    def test_a_zonal_fault_uses_the_first_zone_of_the_deployment(self, rehearsed: Case) -> None:
        faults = FaultRecorder()
        with drill_session(rehearsed, "node-unhealthy", faults):
            assert faults.active == ("node-unhealthy:us-west-2a",)

    def test_an_expected_code_that_does_not_appear_times_out(self, rehearsed: Case) -> None:
        with (
            drill_session(rehearsed, "image-pull", FaultRecorder()) as session,
            pytest.raises(JarkkitError) as caught,
        ):
            session.diagnosis(seconds=0)
        assert caught.value.code == "JK-DRILL-TIMEOUT"
        assert "Is everything healthy?" in caught.value.evidence

    def test_a_drill_in_a_real_account_is_rejected(self, case: Case) -> None:
        for call in (
            case.deployment.inject_drill,
            case.deployment.revert_drill,
            lambda name: drilling(case.deployment, name),
        ):
            with pytest.raises(JarkkitError) as caught:
                call("image-pull")
            assert caught.value.code == "JK-DRILL-REFUSED"

    def test_a_notebook_in_a_real_account_only_diagnoses(self, case: Case) -> None:
        session = DrillList(case.deployment).session("image-pull")
        faults = FaultRecorder()
        with dataclasses.replace(session, set_faults=faults) as session:
            assert session.diagnosis().ok
        assert faults.history == []
        assert "real account" in session.skip_reason

    def test_the_table_shows_which_drills_are_available(self, rehearsed: Case) -> None:
        shown = DrillList(rehearsed.deployment)._repr_html_()
        assert shown.count("available") >= 10
        assert "by hand" in shown

    def test_an_unknown_drill_is_an_error(self, rehearsed: Case) -> None:
        with pytest.raises(JarkkitError, match="JK-DRILL-UNKNOWN"):
            DrillList(rehearsed.deployment).session("nothing")

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [("", "Not answered"), ("jk-aws-quota", "Correct"), ("JK-X", "not the cause")],
    )
    def test_an_answer_is_checked_and_may_be_empty(
        self, answer: str, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
    ) -> None:
        shown: list[str] = []
        monkeypatch.setattr(
            "jarkkit.notebook.ui.drill_session.display", lambda html: shown.append(html.data)
        )
        check_answer(answer, "JK-AWS-QUOTA", "Because.")
        assert expected in shown[0]
