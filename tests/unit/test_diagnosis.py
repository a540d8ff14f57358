"""Findings from observations, with causes before symptoms."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.catalog.drills import Drill, drill, drills
from jarkkit.decisions.cluster.pod_status import PodFailure, PodOwner
from jarkkit.decisions.cluster.readiness import ReplicaStatus, workload_key
from jarkkit.decisions.diagnosis import account, addons_and_volumes, nodes, pods, step_history
from jarkkit.decisions.diagnosis.findings import (
    DOCUMENTED_CODES,
    Finding,
    Rank,
    documentation_link,
    group_by_cause,
    short_list,
    to_check,
    truncate,
)
from jarkkit.decisions.drills import fault_arguments, why_not_runnable
from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import CODES, JarkkitError, ObjectNotFound
from jarkkit.model.records import (
    AddonState,
    ClusterComponent,
    ClusterState,
    EksCluster,
    Instance,
    LedgerEntry,
    NatGateway,
    OwnedResource,
    Receipt,
    Target,
)
from jarkkit.ports.helm import Release
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.sandbox.faults import FAULT_KINDS, parse
from jarkkit.settings import Settings
from jarkkit.steps.drill import require_new_node
from tests.support.stacks import resolved
from tools.reference_pages import refresh_page

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
Object = dict[str, Any]


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def finding(
    subject: str, rank: Rank, *, explains: str = "", follows: str = "", **more: Any
) -> Finding:
    return Finding(
        rank=rank,
        subject=subject,
        found="seen",
        fix="fix it",
        code=more.pop("code", "JK-VERIFY-FAILED"),
        explains=frozenset(explains.split()),
        follows=frozenset(follows.split()),
        **more,
    )


class TestGroupByCause:
    def test_symptoms_are_listed_under_their_cause(self) -> None:
        pods = finding("pods", Rank.PODS, follows="node:n1")
        node = finding("node", Rank.NODE, explains="node:n1")
        (cause,) = group_by_cause([pods, node])
        assert cause.finding.subject == "node"
        assert cause.symptoms == (pods,)
        assert to_check(cause).follows == ("pods: seen [JK-VERIFY-FAILED]",)

    def test_a_chain_ends_at_its_root(self) -> None:
        found = [
            finding("step", Rank.STEP, follows="terraform"),
            finding("terraform", Rank.TERRAFORM, explains="terraform", follows="group"),
            finding("group", Rank.NODE_GROUP, explains="group", follows="instance:i"),
            finding("instance", Rank.INSTANCE, explains="instance:i"),
        ]
        (cause,) = group_by_cause(found)
        assert cause.finding.subject == "instance"
        assert [s.subject for s in cause.symptoms] == ["group", "terraform", "step"]

    def test_the_cause_nearest_to_the_root_wins(self) -> None:
        found = [
            finding("pods", Rank.PODS, follows="a b"),
            finding("pool", Rank.POOL, explains="a"),
            finding("network", Rank.NETWORK, explains="b"),
        ]
        causes = {c.finding.subject: [s.subject for s in c.symptoms] for c in group_by_cause(found)}
        assert causes == {"network": ["pods"], "pool": []}

    def test_findings_of_one_rank_never_cause_each_other(self) -> None:
        one = finding("one", Rank.PODS, explains="one", follows="two")
        two = finding("two", Rank.PODS, explains="two", follows="one")
        assert len(group_by_cause([one, two])) == 2

    def test_errors_come_before_warnings(self) -> None:
        mild = finding("mild", Rank.ACCESS, grave=False)
        grave = finding("grave", Rank.STEP)
        assert [c.finding.subject for c in group_by_cause([mild, grave])] == ["grave", "mild"]

    def test_a_cause_is_as_severe_as_its_symptoms(self) -> None:
        young = finding("instance", Rank.INSTANCE, explains="i", grave=False)
        pods = finding("pods", Rank.PODS, follows="i")
        assert to_check(group_by_cause([young, pods])[0]).status == "fail"
        assert to_check(group_by_cause([young])[0]).status == "warn"

    def test_no_findings_give_no_causes(self) -> None:
        assert group_by_cause([]) == ()

    def test_many_symptoms_are_counted(self) -> None:
        node = finding("node", Rank.NODE, explains="n")
        many = [finding(f"p{i}", Rank.PODS, follows="n") for i in range(20)]
        assert to_check(group_by_cause([node, *many])[0]).follows[-1] == "and 14 more"


class TestFindingTexts:
    def test_evidence_is_one_line_of_readable_length(self) -> None:
        assert truncate("a\n  b") == "a b"
        assert len(truncate("x" * 9000)) == 400

    def test_a_short_list_counts_the_rest(self) -> None:
        assert short_list("dcba") == "a, b, c and 1 more"

    def test_every_documented_code_has_a_section(self) -> None:
        written = set(re.findall(r"^### (JK-[A-Z-]+)$", PAGE, re.MULTILINE))
        assert set(DOCUMENTED_CODES) == written
        assert written <= set(CODES)
        assert documentation_link("JK-ADDON-IMAGE") == "docs/troubleshooting.md#jk-addon-image"
        assert documentation_link("JK-USAGE") == ""

    def test_symptoms_are_shown_in_text_and_html(self) -> None:
        check = Check(name="n", status="fail", found="f", follows=("a <b>",), link="docs/x.md")
        report = Report(title="t", checks=(check,))
        assert "      therefore: a <b>" in text_of(report).splitlines()
        assert "<li>a &lt;b&gt;</li>" in html_of(report)
        assert "href" not in html_of(report)


# -- the folder ------------------------------------------------------------------------------------


def entry(step: str, status: str, **more: Any) -> LedgerEntry:
    fields = {"time": "2026-11-27T11:00:00Z", "step": step, "status": status, **more}
    return LedgerEntry.model_validate(fields)


class TestStepHistory:
    def test_a_finished_step_is_no_finding(self) -> None:
        assert step_history.last_unfinished(()) is None
        assert (
            step_history.last_unfinished([entry("deploy", "failed"), entry("deploy", "finished")])
            is None
        )
        assert (
            step_history.last_unfinished([entry("deploy", "finished"), entry("verify", "failed")])
            is None
        )

    def test_a_failed_deploy_counts_until_a_deploy_finishes(self) -> None:
        failed = entry("deploy", "failed", code="JK-TF-FAILED")
        assert step_history.last_unfinished([failed, entry("plan", "finished")]) == failed

    def test_a_failure_after_a_deploy_counts_too(self) -> None:
        used = entry("use", "failed", code="JK-USE-FAILED")
        assert step_history.last_unfinished([entry("deploy", "finished"), used]) == used

    def test_a_killed_step(self) -> None:
        found = step_history.step_finding("demo", entry("deploy", "started"))
        assert found.code == "JK-INTERRUPTED"
        assert "jarkkit deploy demo" in found.fix
        assert found.follows == frozenset()

    def test_a_failed_step_follows_from_findings_with_its_code_or_add_on(self) -> None:
        failed = entry(
            "deploy", "failed", code="JK-ADDON-TIMEOUT", subjects=("jupyterhub",), fix="Do."
        )
        found = step_history.step_finding("demo", failed)
        assert {"code:JK-ADDON-TIMEOUT", "terraform", "addon:jupyterhub"} <= found.follows
        assert found.fix.startswith("Do.")

    def test_an_add_on_in_the_text_of_a_message_is_no_cause(self) -> None:
        failed = entry("use", "failed", code="JK-USE-FAILED", message="karpenter: JupyterHub")
        assert step_history.step_finding("demo", failed).follows == {
            "code:JK-USE-FAILED",
            "terraform",
        }

    def test_terraform_errors_become_one_finding_each(self) -> None:
        def diagnostic(summary: str, address: str, severity: str = "error") -> Object:
            found = {"severity": severity, "summary": summary, "address": address}
            return {"type": "diagnostic", "diagnostic": found}

        found = step_history.terraform_findings(
            [
                diagnostic("VcpuLimitExceeded: limit of 8", "module.nodes.aws_eks_node_group.core"),
                diagnostic("VcpuLimitExceeded: limit of 8", "module.nodes.aws_eks_node_group.core"),
                diagnostic("deprecated", "", "warning"),
                diagnostic("creating: it broke", 'aws_eks_addon.this["coredns"]'),
                {"type": "apply_start"},
            ]
        )
        assert [f.code for f in found] == ["JK-AWS-QUOTA", "JK-TF-FAILED"]
        assert "node group" in found[0].follows
        assert "addon:coredns" in found[1].follows
        assert found[0].subject == "Terraform: nodes.eks_node_group.core"

    def test_folder_errors_rank_before_account_errors(self) -> None:
        folder = step_history.access_finding(
            JarkkitError("JK-SETTINGS-SYNTAX", "line 3", "Correct it.")
        )
        away = step_history.access_finding(JarkkitError("JK-AWS-EXPIRED", "old", "Log in."))
        assert folder.rank < away.rank
        missing = ObjectNotFound("JK-AWS-FAILED", "eks DescribeCluster failed.", "Look.")
        assert step_history.access_finding(missing).subject == away.subject

    def test_leftovers_of_a_cleanup(self) -> None:
        target = Target(account_id="1", region="r", cluster_arn="a", rehearsal=True)
        left = (OwnedResource(terraform_type="aws_lb", import_id="arn:lb"),)
        receipt = Receipt(
            time="t", target=target, destroyed=1, left=left, looked_at=(), seconds=1.0
        )
        (found,) = step_history.receipt_finding("demo", receipt)
        assert "aws_lb arn:lb" in found.found
        assert step_history.receipt_finding("demo", receipt.model_copy(update={"left": ()})) == ()


# -- the account -----------------------------------------------------------------------------------


class TestAccount:
    def test_an_impaired_cluster(self) -> None:
        healthy = EksCluster(name="demo", arn="a", status="ACTIVE", version="1.36")
        impaired = healthy.model_copy(update={"issues": ("KmsKeyDisabled: key x is disabled",)})
        (found,) = account.control_plane_findings(impaired)
        assert "Enable" in found.fix
        assert "control plane" in found.explains
        assert not list(account.control_plane_findings(healthy))

    @pytest.mark.parametrize(
        ("kind", "name", "issue", "code", "follows"),
        [
            (
                "node group",
                "core",
                "AsgInstanceLaunchFailures: Could not launch. VcpuLimitExceeded - limit of 8",
                "JK-AWS-QUOTA",
                "group:core",
            ),
            (
                "add-on",
                "coredns",
                "InsufficientNumberOfReplicas: coredns 0 of 2",
                "JK-ADDON-TIMEOUT",
                "addon:coredns",
            ),
        ],
    )
    def test_a_component_has_the_eks_issue_and_follows_from_instances_or_pods(
        self, kind: Any, name: str, issue: str, code: str, follows: str
    ) -> None:
        part = ClusterComponent(kind=kind, name=name, status="DEGRADED", issues=(issue,))
        (found,) = account.component_findings([part])
        assert found.code == code
        assert follows in found.follows

    def test_only_degraded_components_are_findings(self) -> None:
        assert not list(
            account.component_findings([ClusterComponent(kind="add-on", name="a", status="ACTIVE")])
        )
        silent = ClusterComponent(kind="add-on", name="a", status="DEGRADED")
        assert [f.code for f in account.component_findings([silent])] == ["JK-VERIFY-FAILED"]

    def instance(self, **more: Any) -> Instance:
        values = {"instance_id": "i-1", "instance_type": "m5.large", "zone": "a",
                  "state": "running", "launched": ago(60), "group": "core"}  # fmt: skip
        return Instance.model_validate({**values, **more})

    def test_an_instance_that_has_not_joined(self) -> None:
        (young,) = account.instance_findings([self.instance()], frozenset(), NOW)
        assert not young.grave
        assert "running for 60 s" in young.found
        old = self.instance(launched=ago(1200))
        (late,) = account.instance_findings([old], frozenset(), NOW)
        assert late.grave
        assert late.explains == {"group:core", "instance:i-1"}
        assert not list(account.instance_findings([old], frozenset({"i-1"}), NOW))
        assert not list(account.instance_findings([old], None, NOW))

    def test_a_reclaimed_and_a_terminated_instance(self) -> None:
        spot = self.instance(state="terminated", reason="Server.SpotInstanceTermination: x")
        dead = self.instance(state="terminated", reason="Client.VolumeLimitExceeded: x")
        user_stopped = self.instance(state="terminated", reason="Client.UserInitiatedShutdown: x")
        found = account.instance_findings([spot, dead, user_stopped], frozenset(), NOW)
        assert [f.code for f in found] == ["JK-NODE-RECLAIMED", "JK-NODE-NOT-READY"]

    def test_a_failed_nat_gateway(self) -> None:
        bad = NatGateway(gateway_id="nat-1", state="failed", message="AddressLimitExceeded x")
        (found,) = account.gateway_findings([bad, NatGateway(gateway_id="n", state="available")])
        assert found.code == "JK-AWS-QUOTA"

    def test_leftovers_that_block_the_deletion_of_the_network(self) -> None:
        owned = [OwnedResource(terraform_type="aws_lb", import_id="arn", name="leak"),
                 OwnedResource(terraform_type="aws_subnet", import_id="s")]  # fmt: skip
        found = list(account.leftover_findings("demo", owned, ("eni-1 ELB x",)))
        assert [f.subject for f in found] == ["Load balancer leak", "1 network interfaces"]


# -- nodes -----------------------------------------------------------------------------------------


def node(*conditions: Object, made: float = 3600, name: str = "n1") -> Object:
    return {
        "metadata": {"name": name, "creationTimestamp": ago(made)},
        "spec": {"providerID": "aws:///us-west-2a/i-1"},
        "status": {"conditions": list(conditions)},
    }


def ready(status: str, changed: float = 60) -> Object:
    return {"type": "Ready", "status": status, "reason": "KubeletNotReady", "message": "down",
            "lastTransitionTime": ago(changed)}  # fmt: skip


def event(kind: str, name: str, reason: str, message: str = "", **more: Any) -> Object:
    return {
        "metadata": {"name": f"{name}.1", "namespace": more.pop("namespace", "default")},
        "involvedObject": {"kind": kind, "name": name, "namespace": more.pop("of", "default")},
        "reason": reason,
        "message": message,
        "lastTimestamp": ago(more.pop("ago", 30)),
        **more,
    }


class TestNodes:
    def test_a_ready_node_is_no_finding(self) -> None:
        assert not list(nodes.node_findings([node(ready("True"))], {}, NOW))

    def test_a_lost_node_names_the_workloads_on_it(self) -> None:
        placed = {"n1": {"Deployment a/b"}}
        (found,) = nodes.node_findings([node(ready("False"))], placed, NOW)
        assert found.grave
        assert "Deployment a/b" in found.found
        assert {"node:n1"} <= found.explains
        assert "instance:i-1" in found.follows

    def test_a_young_node_may_still_be_joining(self) -> None:
        (young,) = nodes.node_findings([node(ready("False", 59), made=60)], {}, NOW)
        assert not young.grave
        (broken,) = nodes.node_findings([node(ready("False", 10), made=300)], {}, NOW)
        assert broken.grave

    @pytest.mark.parametrize(
        ("kind", "status"), [("DiskPressure", "True"), ("AcceleratedHardwareReady", "False")]
    )
    def test_a_node_with_a_bad_condition_is_a_warning(self, kind: str, status: str) -> None:
        manifest = node(ready("True"), {"type": kind, "status": status, "reason": "Why"})
        (found,) = nodes.node_findings([manifest], {}, NOW)
        assert kind in found.found
        assert not found.grave
        assert found.explains == frozenset()

    def claim(self, made: float, **conditions: str) -> Object:
        return {
            "metadata": {
                "name": "g6-x",
                "creationTimestamp": ago(made),
                "labels": {"karpenter.sh/nodepool": "g6"},
            },
            "status": {
                "providerID": "aws:///a/i-1",
                "conditions": [
                    {"type": k, "status": v, "reason": "R"} for k, v in conditions.items()
                ],
            },
        }

    def test_a_node_claim_has_its_last_condition(self) -> None:
        launched = self.claim(60, Launched="True", Registered="Unknown", Initialized="Unknown")
        (found,) = nodes.claim_findings([launched], NOW)
        assert "not Registered" in found.found
        assert "instance:i-1" in found.follows
        assert "supply" not in found.follows
        assert not found.grave
        (old,) = nodes.claim_findings([self.claim(900, Launched="Unknown")], NOW)
        assert old.grave
        assert "supply" in old.follows
        done = self.claim(60, Launched="True", Registered="True", Initialized="True")
        assert not list(nodes.claim_findings([done], NOW))

    def test_ec2_errors_count_only_while_pods_wait_for_the_capacity(self) -> None:
        events = [
            event("NodeClaim", "g6-x", "InsufficientCapacityError", "InsufficientCapacity g6")
        ]
        (found,) = nodes.supply_findings(events, (), {"JK-AWS-CAPACITY"}, NOW)
        assert found.code == "JK-AWS-CAPACITY"
        assert not list(nodes.supply_findings(events, (), {"JK-AWS-QUOTA"}, NOW))
        old = [{**events[0], "lastTimestamp": ago(3600)}]
        assert not list(nodes.supply_findings(old, (), {"JK-AWS-CAPACITY"}, NOW))
        waiting = [self.claim(60, Launched="Unknown")]
        denied = [event("NodeClaim", "g6-x", "LaunchFailed", "UnauthorizedOperation: no")]
        assert [f.code for f in nodes.supply_findings(denied, waiting, (), NOW)] == [
            "JK-AWS-DENIED"
        ]

    def test_events_before_the_last_launch_of_a_pool_are_resolved(self) -> None:
        old = event("NodeClaim", "g6-old", "InsufficientCapacityError", ago=120)
        other = event("NodeClaim", "cpu-x", "InsufficientCapacityError", ago=120)
        launched = self.claim(60, Launched="True")
        assert nodes.without_resolved([old, other], [launched]) == (other,)
        assert nodes.without_resolved([old], [self.claim(60)]) == (old,)

    def test_a_reclaimed_spot_instance(self) -> None:
        events = [event("Node", name, "SpotInterrupted") for name in ("n1", "gone")]
        (found,) = nodes.reclaim_findings(events, {"n1"}, NOW)
        assert (found.code, found.subject) == ("JK-NODE-RECLAIMED", "Spot node n1")


# -- workloads -------------------------------------------------------------------------------------


def pod(
    name: str = "hub-abc-1", *, phase: str = "Running", made: float = 300, **more: Any
) -> Object:
    owner = {"kind": "ReplicaSet", "name": "hub-abc", "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": "jupyterhub",
            "creationTimestamp": ago(made),
            "labels": {"pod-template-hash": "abc"},
            "ownerReferences": [owner],
            **more.pop("meta", {}),
        },
        "spec": {"containers": [], **more.pop("spec", {})},
        "status": {"phase": phase, **more},
    }


OWNER = PodOwner("jupyterhub", "Deployment", "hub")
HUB = addon_catalog()["jupyterhub"]


class TestPods:
    def test_unready_pods_are_grouped_by_owner(self) -> None:
        healthy = pod(conditions=[{"type": "Ready", "status": "True"}])
        bare = pod("bare", meta={"ownerReferences": None})
        done = pod("done", phase="Succeeded")
        groups = pods.unready_groups([healthy, pod(), pod("hub-abc-2"), bare, done])
        assert {str(g.owner): len(g.pods) for g in groups} == {
            "Deployment jupyterhub/hub": 2,
            "Pod jupyterhub/bare": 1,
        }

    def found(
        self, *members: Object, failure: PodFailure | None = None, **more: Any
    ) -> list[Finding]:
        group = pods.PodGroup(OWNER, members, failure)
        missing_node = more.get("missing_node", "no such node")
        events = more.get("events", ())
        return list(pods.pod_findings([group], {OWNER: HUB}, events, missing_node.__eq__, NOW))

    def test_a_pod_failure_becomes_a_finding_with_its_node_and_volume(self) -> None:
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "db"}}]
        manifest = pod(spec={"nodeName": "n1", "volumes": volumes})
        (found,) = self.found(
            manifest, failure=PodFailure("JK-ADDON-IMAGE", "cannot", "fix", "evidence")
        )
        assert found.why == "JupyterHub: cannot."
        assert {"node:n1", "claim:jupyterhub/db"} <= found.follows
        assert "addon:jupyterhub" in found.explains

    def test_a_pod_without_capacity_follows_from_the_supply(self) -> None:
        (found,) = self.found(pod(), failure=PodFailure("JK-AWS-CAPACITY", "no", "fix"))
        assert "supply" in found.follows
        (other,) = self.found(pod(), failure=PodFailure("JK-ADDON-PENDING", "no", "fix"))
        assert "supply" not in other.follows
        assert "pools" in other.follows

    def test_a_pod_without_a_failure_gets_some_time(self) -> None:
        assert not self.found(pod(made=20))
        probe = event("Pod", "hub-abc-1", "Unhealthy", "Readiness probe failed: 503")
        (found,) = self.found(pod(made=60), events=[probe])
        assert found.code == "JK-ADDON-TIMEOUT"
        assert "503" in found.found

    def test_a_pod_on_a_lost_node_is_reported_at_once(self) -> None:
        lost = [{"type": "Ready", "status": "False", "lastTransitionTime": ago(2)}]
        manifest = pod(conditions=lost, containerStatuses=[{"ready": True}])
        assert self.found(manifest)

    def test_a_pod_on_a_deleted_node_is_no_finding(self) -> None:
        assert not self.found(pod(spec={"nodeName": "n9"}), missing_node="n9")
        assert self.found(pod(spec={"nodeName": "n1"}), missing_node="n9")

    def test_a_pod_that_stays_terminating(self) -> None:
        leaving = pod(meta={"deletionTimestamp": ago(900), "finalizers": ["x/y"]})
        (found,) = self.found(leaving)
        assert "x/y" in found.found
        assert not self.found(pod(meta={"deletionTimestamp": ago(20)}))

    def test_a_failed_pod_is_a_warning(self) -> None:
        (found,) = self.found(
            pod(phase="Failed"), failure=PodFailure("JK-ADDON-CRASH", "no", "fix")
        )
        assert not found.grave

    def test_pods_of_core_add_ons_come_before_others(self) -> None:
        core = next(a for a in resolved(Settings()).addons if a.core)
        group = pods.PodGroup(OWNER, (pod(),), PodFailure("JK-ADDON-CRASH", "no", "fix"))
        (found,) = pods.pod_findings([group], {OWNER: core}, (), "".__eq__, NOW)
        assert found.rank is Rank.CORE_PODS


class TestClusterObjects:
    def test_pending_volume_claims(self) -> None:
        def claim(name: str, cls: str | None = "gp3") -> Object:
            return {"metadata": {"name": name, "namespace": "a"},
                    "spec": {"storageClassName": cls},
                    "status": {"phase": "Pending"}}  # fmt: skip

        classes = [{"metadata": {"name": "gp3"}}]
        events = [event("PersistentVolumeClaim", "full", "ProvisioningFailed", "quota", of="a")]
        claims = [claim("unused"), claim("full"), claim("odd", "nope")]
        found = {f.subject: f for f in addons_and_volumes.claim_findings(claims, classes, events)}
        assert list(found) == ["Volume claim a/full", "Volume claim a/odd"]
        assert found["Volume claim a/full"].found == "quota"
        assert "does not exist" in found["Volume claim a/odd"].why

    def webhook(self, policy: str) -> Object:
        service = {"namespace": "jupyterhub", "name": "hook"}
        hook = {"name": "h.io", "failurePolicy": policy, "clientConfig": {"service": service}}
        return {"webhooks": [hook, {"name": "url.io", "clientConfig": {"url": "https://x"}}]}

    def slices(self, *, healthy: bool) -> list[Object]:
        meta = {"namespace": "jupyterhub", "labels": {"kubernetes.io/service-name": "hook"}}
        return [{"metadata": meta, "endpoints": [{"conditions": {"ready": healthy}}]}]

    def test_a_webhook_without_endpoints_follows_from_its_pods(self) -> None:
        group = pods.PodGroup(OWNER, (pod(),))
        hooks, slices = [self.webhook("Fail")], self.slices(healthy=False)
        (found,) = addons_and_volumes.webhook_findings(hooks, slices, [group])
        assert found.grave
        assert "pods:jupyterhub/hub" in found.follows
        assert not list(
            addons_and_volumes.webhook_findings(hooks, self.slices(healthy=True), [group])
        )
        (mild,) = addons_and_volumes.webhook_findings([self.webhook("Ignore")], (), [])
        assert not mild.grave

    def test_pods_that_a_webhook_rejects_follow_from_it(self) -> None:
        text = 'Internal error: failed calling webhook "h.io": no endpoints available'
        events = [event("ReplicaSet", "r-1", "FailedCreate", text, of="a")]
        (found,) = addons_and_volumes.refused_findings(events, {}, NOW)
        assert found.code == "JK-KUBE-REFUSED"
        assert found.follows == frozenset({"webhook:h.io"})
        assert not list(
            addons_and_volumes.refused_findings([{**events[0], "lastTimestamp": ago(900)}], {}, NOW)
        )

    def test_rejected_pods_of_a_replica_set_are_its_deployments(self) -> None:
        events = [
            event("ReplicaSet", "hub-7c9", "FailedCreate", "exceeded quota", of="jupyterhub"),
            event("StatefulSet", "my-db", "FailedCreate", "exceeded quota", of="a"),
        ]
        hub = PodOwner("jupyterhub", "Deployment", "hub")
        addons = {hub: addon_catalog()["jupyterhub"]}
        deployment, other = addons_and_volumes.refused_findings(events, addons, NOW)
        assert deployment.subject == "ReplicaSet jupyterhub/hub-7c9"
        assert deployment.explains == {"pods:jupyterhub/hub", "addon:jupyterhub"}
        assert str(hub) in deployment.covers
        assert other.explains == {"pods:a/my-db"}

    def test_an_interrupted_release(self) -> None:
        def release(status: str) -> Release:
            return Release("hub", "jupyterhub", "jupyterhub", "4", status, 3)

        (found,) = addons_and_volumes.release_findings(
            [release("pending-upgrade"), release("deployed")]
        )
        assert "pending-upgrade" in found.found
        assert "interrupted" in found.why

    def test_an_incomplete_add_on_follows_from_its_dependencies(self) -> None:
        every = resolved(Settings()).workloads
        there = {
            workload_key(a, w): ReplicaStatus(1, 1) for a, w in every if a.name != "jupyterhub"
        }
        (found,) = addons_and_volumes.addon_findings(every, there, ClusterState())
        assert found.subject == "Add-on jupyterhub"
        assert "Deployment hub" in found.found
        assert {f"addon:{n}" for n in HUB.needs} <= found.follows

    def test_an_unfinished_add_on(self) -> None:
        every = resolved(Settings()).workloads
        there = {workload_key(a, w): ReplicaStatus(1, 1) for a, w in every}
        state = ClusterState(addons={"jupyterhub": AddonState(namespace="jupyterhub")})
        (found,) = addons_and_volumes.addon_findings(every, there, state)
        assert "unfinished" in found.found

    def test_unrelated_warnings_are_counted(self) -> None:
        reported = [finding("Node n1", Rank.NODE)]
        group = pods.PodGroup(OWNER, (pod("mine"),))
        events = [
            event("Node", "n1", "NodeNotReady"),
            event("Pod", "mine", "BackOff", count=4),
            event("Pod", "gone", "Failed"),
            event("Ingress", "web", "FailedBuildModel"),
            event("Ingress", "old", "FailedBuildModel", ago=900),
        ]
        text = addons_and_volumes.unrelated_warnings(events, reported, [group], NOW)
        assert "BackOff (Pod default/mine) ×4" in text  # noqa: RUF001
        assert "web" in text
        assert not [word for word in ("n1", "gone", "old") if word in text]
        assert addons_and_volumes.unrelated_warnings([], reported, [], NOW) == ""


# -- drills ----------------------------------------------------------------------------------------


class TestDrills:
    def test_every_fault_of_the_sandbox_has_a_drill(self) -> None:
        names = {word.partition(":")[0] for d in drills().values() for word in d.faults}
        # A drill works on the deployment's cluster, which this fault keeps from coming into being.
        assert names == set(FAULT_KINDS) - {"cluster-fails"}

    @pytest.mark.parametrize("manifest", drills().values(), ids=list(drills()))
    def test_every_drill(self, manifest: Drill) -> None:
        outputs = {"availability_zones": ["us-west-2a"]}
        assert parse(fault_arguments(manifest, outputs))
        assert documentation_link(manifest.code)
        assert set(manifest.needs) <= {*addon_catalog(), "spot"}
        for made in manifest.objects:
            assert made["kind"] == "Pod"
            assert require_new_node(made, ("m5.large",))["metadata"]["namespace"] == "jarkkit-drill"

    def test_the_page_lists_the_drills(self) -> None:
        assert refresh_page("troubleshooting.md", PAGE) == PAGE
        with pytest.raises(ValueError, match="markers"):
            refresh_page("troubleshooting.md", "# Troubleshooting")

    def test_why_a_drill_is_not_runnable(self) -> None:
        def why(name: str, deployed: bool = True, clusters: bool = True, **changes: Any) -> str:
            settings = Settings().with_changes(changes)
            return why_not_runnable(
                drill(name), resolved(settings), deployed=deployed, clusters=clusters
            )

        assert why("image-pull") == ""
        assert "only the account" in why("image-pull", clusters=False)
        assert "deployed" in why("node-unhealthy", deployed=False)
        assert "JupyterHub" in why("oom", addons={"jupyterhub": False})
        assert "spot" in why("spot-interruption")
        assert why("spot-interruption", cpu_capacity=["spot"]) == ""
        assert "by hand" in why("apply-fails")
        assert why("expired-credentials", deployed=False, clusters=False) == ""

    def test_an_unknown_drill_is_rejected(self) -> None:
        with pytest.raises(JarkkitError, match="JK-DRILL-UNKNOWN"):
            drill("nothing")
