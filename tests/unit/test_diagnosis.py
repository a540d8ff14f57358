"""Findings from what was seen, causes before symptoms."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jarkkit.addons.catalogue import catalogue
from jarkkit.addons.choice import chosen
from jarkkit.checks import Check, Report
from jarkkit.cluster.checks import expected
from jarkkit.cluster.pod_troubles import Trouble
from jarkkit.cluster.readiness import Standing, key
from jarkkit.diagnosis import account, journey, nodes, pods, workloads
from jarkkit.diagnosis.findings import CHAPTERS, Finding, Rank, check_of, cut, fold, link, listed
from jarkkit.docs import renewed
from jarkkit.drills import Drill, drill, drills, faults, hindrance
from jarkkit.errors import CODES, JarkkitError
from jarkkit.helm import Release
from jarkkit.records import (
    ClusterState,
    ControlPlane,
    Entry,
    Gateway,
    Installed,
    Instance,
    Owned,
    Part,
    Receipt,
    Target,
)
from jarkkit.sandbox.faults import KINDS, parse
from jarkkit.settings import Settings
from jarkkit.steps.drill import for_a_new_node

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
        fix="mend it",
        code=more.pop("code", "JK-VERIFY-FAILED"),
        explains=frozenset(explains.split()),
        follows=frozenset(follows.split()),
        **more,
    )


class TestFold:
    def test_what_follows_from_a_cause_is_told_under_it(self) -> None:
        pods = finding("pods", Rank.PODS, follows="node:n1")
        node = finding("node", Rank.NODE, explains="node:n1")
        (cause,) = fold([pods, node])
        assert cause.finding.subject == "node"
        assert cause.symptoms == (pods,)
        assert check_of(cause).follows == ("pods: seen [JK-VERIFY-FAILED]",)

    def test_a_chain_ends_at_its_root(self) -> None:
        found = [
            finding("step", Rank.STEP, follows="terraform"),
            finding("terraform", Rank.TERRAFORM, explains="terraform", follows="group"),
            finding("group", Rank.NODE_GROUP, explains="group", follows="instance:i"),
            finding("instance", Rank.INSTANCE, explains="instance:i"),
        ]
        (cause,) = fold(found)
        assert cause.finding.subject == "instance"
        assert [s.subject for s in cause.symptoms] == ["group", "terraform", "step"]

    def test_the_nearest_to_the_root_is_the_cause(self) -> None:
        found = [
            finding("pods", Rank.PODS, follows="a b"),
            finding("pool", Rank.POOL, explains="a"),
            finding("network", Rank.NETWORK, explains="b"),
        ]
        causes = {c.finding.subject: [s.subject for s in c.symptoms] for c in fold(found)}
        assert causes == {"network": ["pods"], "pool": []}

    def test_two_of_a_rank_are_never_each_others_cause(self) -> None:
        one = finding("one", Rank.PODS, explains="one", follows="two")
        two = finding("two", Rank.PODS, explains="two", follows="one")
        assert len(fold([one, two])) == 2

    def test_the_gravest_comes_first(self) -> None:
        mild = finding("mild", Rank.ACCESS, grave=False)
        grave = finding("grave", Rank.STEP)
        assert [c.finding.subject for c in fold([mild, grave])] == ["grave", "mild"]

    def test_a_cause_is_as_grave_as_what_follows_from_it(self) -> None:
        young = finding("instance", Rank.INSTANCE, explains="i", grave=False)
        pods = finding("pods", Rank.PODS, follows="i")
        assert check_of(fold([young, pods])[0]).status == "fail"
        assert check_of(fold([young])[0]).status == "warn"

    def test_nothing_is_nothing(self) -> None:
        assert fold([]) == ()

    def test_many_symptoms_are_counted(self) -> None:
        node = finding("node", Rank.NODE, explains="n")
        many = [finding(f"p{i}", Rank.PODS, follows="n") for i in range(20)]
        assert check_of(fold([node, *many])[0]).follows[-1] == "and 14 more"


class TestWords:
    def test_evidence_is_one_line_of_readable_length(self) -> None:
        assert cut("a\n  b") == "a b"
        assert len(cut("x" * 9000)) == 400

    def test_some_names_and_a_count(self) -> None:
        assert listed("dcba") == "a, b, c and 1 more"

    def test_every_chapter_is_a_code_and_is_written(self) -> None:
        written = set(re.findall(r"^### (JK-[A-Z-]+)$", PAGE, re.MULTILINE))
        assert set(CHAPTERS) == written
        assert written <= set(CODES)
        assert link("JK-ADDON-IMAGE") == "docs/troubleshooting.md#jk-addon-image"
        assert link("JK-USAGE") == ""

    def test_symptoms_are_shown_in_text_and_html(self) -> None:
        check = Check(name="n", status="fail", found="f", follows=("a <b>",), link="docs/x.md")
        report = Report(title="t", checks=(check,))
        assert "      so: a <b>" in report.text().splitlines()
        assert "<li>a &lt;b&gt;</li>" in report._repr_html_()
        assert "href" not in report._repr_html_()


# -- the folder ------------------------------------------------------------------------------------


def entry(step: str, status: str, **more: Any) -> Entry:
    return Entry.model_validate({"time": "2026-11-27T11:00:00Z", "step": step, "status": status,
                                 **more})  # fmt: skip


class TestJourney:
    def test_a_step_that_ended_well_is_no_finding(self) -> None:
        assert journey.unfinished(()) is None
        assert journey.unfinished([entry("deploy", "failed"), entry("deploy", "finished")]) is None
        assert journey.unfinished([entry("deploy", "finished"), entry("verify", "failed")]) is None

    def test_the_last_deploy_stays_the_matter_until_one_ends_well(self) -> None:
        failed = entry("deploy", "failed", code="JK-TF-FAILED")
        assert journey.unfinished([failed, entry("plan", "finished")]) == failed

    def test_a_failure_after_it_counts_too(self) -> None:
        used = entry("use", "failed", code="JK-USE-FAILED")
        assert journey.unfinished([entry("deploy", "finished"), used]) == used

    def test_a_step_that_was_killed(self) -> None:
        found = journey.step_finding("demo", entry("deploy", "started"))
        assert found.code == "JK-INTERRUPTED"
        assert "jarkkit deploy demo" in found.fix
        assert found.follows == frozenset()

    def test_it_follows_from_what_has_its_code_or_its_add_on(self) -> None:
        failed = entry(
            "deploy", "failed", code="JK-ADDON-TIMEOUT", message="JupyterHub: not ready.", fix="Do."
        )
        found = journey.step_finding("demo", failed)
        assert {"code:JK-ADDON-TIMEOUT", "terraform", "addon:jupyterhub"} <= found.follows
        assert found.fix.startswith("Do.")

    def test_terraform_is_told_by_its_causes(self) -> None:
        def said(summary: str, address: str, severity: str = "error") -> Object:
            found = {"severity": severity, "summary": summary, "address": address}
            return {"type": "diagnostic", "diagnostic": found}

        found = journey.terraform_findings(
            [
                said("VcpuLimitExceeded: limit of 8", "module.nodes.aws_eks_node_group.core"),
                said("VcpuLimitExceeded: limit of 8", "module.nodes.aws_eks_node_group.core"),
                said("deprecated", "", "warning"),
                said("creating: it broke", 'aws_eks_addon.this["coredns"]'),
                {"type": "apply_start"},
            ]
        )
        assert [f.code for f in found] == ["JK-AWS-QUOTA", "JK-TF-FAILED"]
        assert "node group" in found[0].follows
        assert "addon:coredns" in found[1].follows
        assert found[0].subject == "Terraform: nodes.eks_node_group.core"

    def test_the_folder_comes_before_the_account(self) -> None:
        folder = journey.access_finding(JarkkitError("JK-SETTINGS-SYNTAX", "line 3", "Correct it."))
        away = journey.access_finding(JarkkitError("JK-AWS-EXPIRED", "old", "Log in."))
        assert folder.rank < away.rank

    def test_what_a_cleanup_left(self) -> None:
        target = Target(account_id="1", region="r", cluster_arn="a", rehearsal=True)
        left = (Owned(terraform_type="aws_lb", import_id="arn:lb"),)
        receipt = Receipt(
            time="t", target=target, destroyed=1, left=left, looked_at=(), seconds=1.0
        )
        (found,) = journey.receipt_finding("demo", receipt)
        assert "aws_lb arn:lb" in found.found
        assert journey.receipt_finding("demo", receipt.model_copy(update={"left": ()})) == ()


# -- the account -----------------------------------------------------------------------------------


class TestAccount:
    def test_a_cluster_that_is_gone_or_ill(self) -> None:
        (gone,) = account.control_plane_findings("demo", None)
        assert "api" in gone.explains
        (failed,) = account.control_plane_findings("demo", ControlPlane(status="FAILED"))
        assert failed.grave
        (changing,) = account.control_plane_findings("demo", ControlPlane(status="UPDATING"))
        assert not changing.grave
        ill = ControlPlane(status="ACTIVE", issues=("KmsKeyDisabled: key x is disabled",))
        (found,) = account.control_plane_findings("demo", ill)
        assert "Enable" in found.fix
        assert not list(account.control_plane_findings("demo", ControlPlane(status="ACTIVE")))

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
    def test_a_part_says_what_eks_said_and_follows_from_its_instances_or_pods(
        self, kind: Any, name: str, issue: str, code: str, follows: str
    ) -> None:
        part = Part(kind=kind, name=name, status="DEGRADED", issues=(issue,))
        (found,) = account.part_findings([part])
        assert found.code == code
        assert follows in found.follows

    def test_sound_parts_are_no_findings_and_unknown_issues_are(self) -> None:
        assert not list(account.part_findings([Part(kind="add-on", name="a", status="ACTIVE")]))
        silent = Part(kind="add-on", name="a", status="DEGRADED")
        assert [f.code for f in account.part_findings([silent])] == ["JK-VERIFY-FAILED"]

    def instance(self, **more: Any) -> Instance:
        values = {"instance_id": "i-1", "instance_type": "m5.large", "zone": "a",
                  "state": "running", "launched": ago(60), "group": "core"}  # fmt: skip
        return Instance.model_validate({**values, **more})

    def test_an_instance_that_is_no_node(self) -> None:
        (young,) = account.instance_findings([self.instance()], frozenset(), NOW)
        assert not young.grave
        assert "running for 60 s" in young.found
        old = self.instance(launched=ago(1200))
        (late,) = account.instance_findings([old], frozenset(), NOW)
        assert late.grave
        assert {"group:core", "instance:i-1"} <= late.explains
        assert not list(account.instance_findings([old], frozenset({"i-1"}), NOW))
        assert not list(account.instance_findings([old], None, NOW))

    def test_one_that_aws_took_back_or_that_died(self) -> None:
        spot = self.instance(state="terminated", reason="Server.SpotInstanceTermination: x")
        dead = self.instance(state="terminated", reason="Client.VolumeLimitExceeded: x")
        asked = self.instance(state="terminated", reason="Client.UserInitiatedShutdown: x")
        found = account.instance_findings([spot, dead, asked], frozenset(), NOW)
        assert [f.code for f in found] == ["JK-NODE-RECLAIMED", "JK-NODE-NOT-READY"]

    def test_a_gateway_that_failed(self) -> None:
        bad = Gateway(gateway_id="nat-1", state="failed", message="AddressLimitExceeded x")
        (found,) = account.gateway_findings([bad, Gateway(gateway_id="n", state="available")])
        assert found.code == "JK-AWS-QUOTA"

    def test_what_holds_the_network_after_a_cleanup(self) -> None:
        owned = [Owned(terraform_type="aws_lb", import_id="arn", name="leak"),
                 Owned(terraform_type="aws_subnet", import_id="s")]  # fmt: skip
        found = list(account.left_findings("demo", owned, ("eni-1 ELB x",)))
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
    def test_one_that_works_is_no_finding(self) -> None:
        assert not list(nodes.node_findings([node(ready("True"))], {}, NOW))

    def test_one_that_stopped_names_whose_pods_it_has(self) -> None:
        placed = {"n1": {"Deployment a/b"}}
        (found,) = nodes.node_findings([node(ready("False"))], placed, NOW)
        assert found.grave
        assert "Deployment a/b" in found.found
        assert {"node:n1"} <= found.explains
        assert "instance:i-1" in found.follows

    def test_one_that_has_never_been_ready_may_be_joining(self) -> None:
        (young,) = nodes.node_findings([node(ready("False", 59), made=60)], {}, NOW)
        assert not young.grave
        (broken,) = nodes.node_findings([node(ready("False", 10), made=300)], {}, NOW)
        assert broken.grave

    @pytest.mark.parametrize(
        ("kind", "status"), [("DiskPressure", "True"), ("AcceleratedHardwareReady", "False")]
    )
    def test_one_that_complains_is_mild(self, kind: str, status: str) -> None:
        thing = node(ready("True"), {"type": kind, "status": status, "reason": "Why"})
        (found,) = nodes.node_findings([thing], {}, NOW)
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

    def test_a_claim_tells_how_far_it_came(self) -> None:
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

    def test_a_pool_as_verify_judges_it(self) -> None:
        bad = Check(name="Node class cpu", status="fail", found="not Ready", why="no subnets",
                    code="JK-VERIFY-FAILED")  # fmt: skip
        (found,) = nodes.pool_findings([bad, Check(name="Pool cpu", status="pass")])
        assert found.subject == "Karpenter's node class cpu"
        assert "no subnets" in found.found

    def test_what_ec2_refuses_counts_only_while_somebody_lacks_it(self) -> None:
        said = [event("NodeClaim", "g6-x", "InsufficientCapacityError", "InsufficientCapacity g6")]
        (found,) = nodes.supply_findings(said, (), {"JK-AWS-CAPACITY"}, NOW)
        assert found.code == "JK-AWS-CAPACITY"
        assert not list(nodes.supply_findings(said, (), {"JK-AWS-QUOTA"}, NOW))
        old = [{**said[0], "lastTimestamp": ago(3600)}]
        assert not list(nodes.supply_findings(old, (), {"JK-AWS-CAPACITY"}, NOW))
        waiting = [self.claim(60, Launched="Unknown")]
        denied = [event("NodeClaim", "g6-x", "LaunchFailed", "UnauthorizedOperation: no")]
        assert [f.code for f in nodes.supply_findings(denied, waiting, (), NOW)] == [
            "JK-AWS-DENIED"
        ]

    def test_what_was_said_before_a_pool_got_its_instance_has_passed(self) -> None:
        said = event("NodeClaim", "g6-old", "InsufficientCapacityError", ago=120)
        other = event("NodeClaim", "cpu-x", "InsufficientCapacityError", ago=120)
        launched = self.claim(60, Launched="True")
        assert nodes.still_true([said, other], [launched]) == (other,)
        assert nodes.still_true([said], [self.claim(60)]) == (said,)

    def test_a_spot_instance_that_is_wanted_back(self) -> None:
        said = [event("Node", name, "SpotInterrupted") for name in ("n1", "gone")]
        (found,) = nodes.reclaim_findings(said, {"n1"}, NOW)
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


OWNER = pods.Owner("jupyterhub", "Deployment", "hub")
HUB = catalogue()["jupyterhub"]


class TestPods:
    def test_they_are_grouped_by_their_deployment_and_the_ready_left_out(self) -> None:
        sound = pod(conditions=[{"type": "Ready", "status": "True"}])
        bare = pod("bare", meta={"ownerReferences": None})
        done = pod("done", phase="Succeeded")
        groups = pods.unwell([sound, pod(), pod("hub-abc-2"), bare, done])
        assert {str(g.owner): len(g.pods) for g in groups} == {
            "Deployment jupyterhub/hub": 2,
            "Pod jupyterhub/bare": 1,
        }

    def found(self, *members: Object, wrong: Trouble | None = None, **more: Any) -> list[Finding]:
        group = pods.Group(OWNER, members, wrong)
        gone = more.get("gone", "no such node")
        events = more.get("events", ())
        return list(pods.pod_findings([group], {OWNER: HUB}, events, gone.__eq__, NOW))

    def test_a_trouble_becomes_a_finding_that_knows_its_node_and_volume(self) -> None:
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "db"}}]
        thing = pod(spec={"nodeName": "n1", "volumes": volumes})
        (found,) = self.found(thing, wrong=Trouble("JK-ADDON-IMAGE", "cannot", "fix", "said"))
        assert found.why == "JupyterHub: cannot."
        assert {"node:n1", "claim:jupyterhub/db"} <= found.follows
        assert "addon:jupyterhub" in found.explains

    def test_one_that_waits_for_capacity_follows_from_the_supply(self) -> None:
        (found,) = self.found(pod(), wrong=Trouble("JK-AWS-CAPACITY", "no", "fix"))
        assert "supply" in found.follows
        (other,) = self.found(pod(), wrong=Trouble("JK-ADDON-PENDING", "no", "fix"))
        assert "supply" not in other.follows
        assert "pools" in other.follows

    def test_one_that_is_silent_gets_some_time(self) -> None:
        assert not self.found(pod(made=20))
        probe = event("Pod", "hub-abc-1", "Unhealthy", "Readiness probe failed: 503")
        (found,) = self.found(pod(made=60), events=[probe])
        assert found.code == "JK-ADDON-TIMEOUT"
        assert "503" in found.found

    def test_one_whose_node_is_lost_is_told_at_once(self) -> None:
        lost = [{"type": "Ready", "status": "False", "lastTransitionTime": ago(2)}]
        thing = pod(conditions=lost, containerStatuses=[{"ready": True}])
        assert self.found(thing)

    def test_one_whose_node_is_no_more_is_missed_by_nobody(self) -> None:
        assert not self.found(pod(spec={"nodeName": "n9"}), gone="n9")
        assert self.found(pod(spec={"nodeName": "n1"}), gone="n9")

    def test_one_that_does_not_go_away(self) -> None:
        leaving = pod(meta={"deletionTimestamp": ago(900), "finalizers": ["x/y"]})
        (found,) = self.found(leaving)
        assert "x/y" in found.found
        assert not self.found(pod(meta={"deletionTimestamp": ago(20)}))

    def test_what_ended_badly_is_in_nobodys_way(self) -> None:
        (found,) = self.found(pod(phase="Failed"), wrong=Trouble("JK-ADDON-CRASH", "no", "fix"))
        assert not found.grave

    def test_pods_of_core_add_ons_come_before_others(self) -> None:
        core = next(a for a in chosen(Settings()) if a.core)
        group = pods.Group(OWNER, (pod(),), Trouble("JK-ADDON-CRASH", "no", "fix"))
        (found,) = pods.pod_findings([group], {OWNER: core}, (), "".__eq__, NOW)
        assert found.rank is Rank.CORE_PODS


class TestClusterParts:
    def test_claims_wait_for_a_reason_or_for_none(self) -> None:
        def claim(name: str, cls: str | None = "gp3") -> Object:
            return {"metadata": {"name": name, "namespace": "a"},
                    "spec": {"storageClassName": cls},
                    "status": {"phase": "Pending"}}  # fmt: skip

        classes = [{"metadata": {"name": "gp3"}}]
        said = [event("PersistentVolumeClaim", "full", "ProvisioningFailed", "quota", of="a")]
        claims = [claim("unused"), claim("full"), claim("odd", "nope")]
        found = {f.subject: f for f in workloads.claim_findings(claims, classes, said)}
        assert list(found) == ["Volume claim a/full", "Volume claim a/odd"]
        assert found["Volume claim a/full"].found == "quota"
        assert "does not exist" in found["Volume claim a/odd"].why

    def webhook(self, policy: str) -> Object:
        service = {"namespace": "jupyterhub", "name": "hook"}
        hook = {"name": "h.io", "failurePolicy": policy, "clientConfig": {"service": service}}
        return {"webhooks": [hook, {"name": "url.io", "clientConfig": {"url": "https://x"}}]}

    def slices(self, *, sound: bool) -> list[Object]:
        meta = {"namespace": "jupyterhub", "labels": {"kubernetes.io/service-name": "hook"}}
        return [{"metadata": meta, "endpoints": [{"conditions": {"ready": sound}}]}]

    def test_a_webhook_with_nobody_behind_it_follows_from_its_pods(self) -> None:
        group = pods.Group(OWNER, (pod(),))
        hooks, slices = [self.webhook("Fail")], self.slices(sound=False)
        (found,) = workloads.webhook_findings(hooks, slices, [group])
        assert found.grave
        assert "pods:jupyterhub/hub" in found.follows
        assert not list(workloads.webhook_findings(hooks, self.slices(sound=True), [group]))
        (mild,) = workloads.webhook_findings([self.webhook("Ignore")], (), [])
        assert not mild.grave

    def test_pods_that_a_webhook_keeps_out_follow_from_it(self) -> None:
        text = 'Internal error: failed calling webhook "h.io": no endpoints available'
        said = [event("ReplicaSet", "r-1", "FailedCreate", text, of="a")]
        (found,) = workloads.refused_findings(said, NOW)
        assert found.code == "JK-KUBE-REFUSED"
        assert found.follows == frozenset({"webhook:h.io"})
        assert not list(workloads.refused_findings([{**said[0], "lastTimestamp": ago(900)}], NOW))

    def test_a_release_that_was_cut_short(self) -> None:
        def release(status: str) -> Release:
            return Release("hub", "jupyterhub", "jupyterhub", "4", status, 3)

        (found,) = workloads.release_findings([release("pending-upgrade"), release("deployed")])
        assert "pending-upgrade" in found.found
        assert "cut short" in found.why

    def test_an_add_on_that_is_not_whole_follows_from_what_it_needs(self) -> None:
        every = expected(Settings())
        there = {key(a, w): Standing(1, 1) for a, w in every if a.name != "jupyterhub"}
        (found,) = workloads.addon_findings(every, there, ClusterState())
        assert found.subject == "Add-on jupyterhub"
        assert "Deployment hub" in found.found
        assert {f"addon:{n}" for n in HUB.needs} <= found.follows

    def test_one_that_was_begun_and_not_ended(self) -> None:
        every = expected(Settings())
        there = {key(a, w): Standing(1, 1) for a, w in every}
        begun = ClusterState(addons={"jupyterhub": Installed(namespace="jupyterhub")})
        (found,) = workloads.addon_findings(every, there, begun)
        assert "has not ended" in found.found

    def test_warnings_that_no_finding_is_about_are_counted(self) -> None:
        told = [finding("Node n1", Rank.NODE)]
        group = pods.Group(OWNER, (pod("mine"),))
        said = [
            event("Node", "n1", "NodeNotReady"),
            event("Pod", "mine", "BackOff", count=4),
            event("Pod", "gone", "Failed"),
            event("Ingress", "web", "FailedBuildModel"),
            event("Ingress", "old", "FailedBuildModel", ago=900),
        ]
        text = workloads.summary(said, told, [group], NOW)
        assert "BackOff (Pod default/mine) ×4" in text  # noqa: RUF001
        assert "web" in text
        assert not [word for word in ("n1", "gone", "old") if word in text]
        assert workloads.summary([], told, [], NOW) == ""


# -- drills ----------------------------------------------------------------------------------------


class TestDrills:
    def test_there_is_one_for_every_fault_of_the_sandbox(self) -> None:
        names = {word.partition(":")[0] for d in drills().values() for word in d.faults}
        assert names == set(KINDS)

    @pytest.mark.parametrize("thing", drills().values(), ids=list(drills()))
    def test_every(self, thing: Drill) -> None:
        outputs = {"availability_zones": ["us-west-2a"]}
        assert parse(faults(thing, outputs))
        assert link(thing.code)
        assert set(thing.needs) <= {*catalogue(), "spot"}
        for made in thing.objects:
            assert made["kind"] == "Pod"
            assert for_a_new_node(made, ("m5.large",))["metadata"]["namespace"] == "jarkkit-drill"

    def test_the_page_has_them(self) -> None:
        assert renewed("troubleshooting.md", PAGE) == PAGE
        with pytest.raises(ValueError, match="marks"):
            renewed("troubleshooting.md", "# Troubleshooting")

    def test_what_keeps_one_from_being_done_is_said(self) -> None:
        def why(name: str, deployed: bool = True, clusters: bool = True, **changes: Any) -> str:
            settings = Settings().changed(changes)
            return hindrance(drill(name), settings, deployed=deployed, clusters=clusters)

        assert why("image-pull") == ""
        assert "alone" in why("image-pull", clusters=False)
        assert "deployed" in why("node-unhealthy", deployed=False)
        assert "JupyterHub" in why("oom", addons={"jupyterhub": False})
        assert "spot" in why("spot-interruption")
        assert why("spot-interruption", cpu_capacity=["spot"]) == ""
        assert "by hand" in why("apply-fails")
        assert why("expired-credentials", deployed=False, clusters=False) == ""

    def test_an_unknown_one_is_refused(self) -> None:
        with pytest.raises(JarkkitError, match="JK-DRILL-UNKNOWN"):
            drill("nothing")
