"""What is in the way: names that are taken, leftovers, the state, the clock, the network, tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jarkkit.addons import choice
from jarkkit.addons.catalogue import catalogue
from jarkkit.checks import Check, Report
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.records import Cluster, Owned, UniqueName
from jarkkit.settings import Settings
from jarkkit.steps.preflight import leftovers, machine, network, obstacles
from jarkkit.steps.preflight.leftovers import Known, read_state
from tests.kit.conftest import World
from tests.kit.fake_machine import FakeMachine

OURS = {"jarkkit:deployment": "demo"}
ROLE = "demo-us-west-2-node"
GROUP = "/aws/eks/demo/cluster"
CLUSTER = Cluster(name="demo", arn="a", status="ACTIVE", version="1.36")


def asked(world: World, name: str) -> Check:
    return named(world.kit.preflight(), name)


def named(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def state_file(*resources: tuple[str, str]) -> bytes:
    told = [
        {"mode": "managed", "type": kind, "instances": [{"attributes": {"id": name}}]}
        for kind, name in resources
    ]
    return json.dumps({"version": 4, "resources": told}).encode()


class TestNames:
    NAMES = "The names of roles, keys, queues and the like"

    def test_free_ones_pass(self, world: World) -> None:
        assert asked(world, self.NAMES).found.endswith("all free")

    def test_our_own_pass_and_are_counted(self, world: World) -> None:
        world.account.leftovers.tags = {ROLE: OURS}
        found = asked(world, self.NAMES)
        assert found.status == "pass"
        assert found.found.startswith(
            "2 are this deployment's own"
        )  # the role and the profile of nodes

    @pytest.mark.parametrize("tags", [{}, {"jarkkit:deployment": "other"}, {"team": "a"}])
    def test_somebody_elses_block_and_are_named(self, world: World, tags: dict[str, str]) -> None:
        world.account.leftovers.tags = {ROLE: tags}
        found = asked(world, self.NAMES)
        assert (found.status, found.code) == ("fail", "JK-NAME-TAKEN")
        assert f"iam role {ROLE}" in found.found

    def test_a_log_group_that_aws_made_is_no_obstacle_but_a_foreign_one_is(
        self, world: World
    ) -> None:
        world.account.leftovers.tags = {GROUP: {}}
        assert asked(world, self.NAMES).status == "pass"
        world.account.leftovers.tags = {GROUP: {"team": "a"}}
        assert asked(world, self.NAMES).status == "fail"

    def test_what_may_not_be_asked_is_unknown_but_a_taken_name_still_blocks(self) -> None:
        one, two = (UniqueName(terraform_type="aws_iam_role", name=name) for name in "ab")
        denied = JarkkitError("JK-AWS-DENIED", "no", "ask")
        assert obstacles.judge_names("demo", {one: denied, two: None}).status == "unknown"
        assert obstacles.judge_names("demo", {one: denied, two: {}}).status == "fail"

    def test_each_setting_brings_its_names(self, world: World) -> None:
        world.account.leftovers.tags = {"demo": {}}
        assert asked(world, self.NAMES).status == "fail"  # the file system's token
        world.kit.configure({"addons": {"jupyterhub": False, "aws-efs-csi-driver": False}})
        assert not choice.needs_file_system(world.kit.settings)
        assert asked(world, self.NAMES).status == "pass"


class TestTheClustersName:
    def test_free(self) -> None:
        assert obstacles.judge_cluster("demo", None, ours=False).status == "pass"

    @pytest.mark.parametrize("status", ["DELETING", "FAILED"])
    def test_our_own_that_cannot_be_worked_with_blocks(self, status: str) -> None:
        cluster = CLUSTER.model_copy(update={"status": status})
        found = obstacles.judge_cluster("demo", cluster, ours=True)
        assert (found.status, found.code) == ("fail", "JK-LEFTOVER")
        assert status in found.found

    def test_somebody_elses_is_refused(self) -> None:
        with pytest.raises(JarkkitError, match="JK-NAME-TAKEN"):
            obstacles.judge_cluster("demo", CLUSTER, ours=False)


class TestLeftovers:
    VPC = Owned(terraform_type="aws_vpc", import_id="vpc-1", name="demo")
    VOLUME = Owned(terraform_type="aws_ebs_volume", import_id="vol-1", billable=True)

    def judge(self, *found: Owned, known: Known | None = None, alive: bool = False) -> Check:
        return leftovers.judge_leftovers("demo", found, known or Known(), alive=alive)

    def test_none(self) -> None:
        assert self.judge().status == "pass"

    def test_what_the_state_knows_is_none(self) -> None:
        known = read_state(state_file(("aws_vpc", "vpc-1")))
        assert self.judge(self.VPC, known=known).status == "pass"

    @pytest.mark.parametrize("import_id", ["default/rule-1", "demo,a-1"])
    def test_things_that_are_imported_by_more_than_their_id_are_known(self, import_id: str) -> None:
        known = Known(frozenset({"rule-1", "a-1"}))
        assert known.has(Owned(terraform_type="t", import_id=import_id))

    def test_what_terraform_makes_is_taken_over(self) -> None:
        found = self.judge(self.VPC)
        assert (found.status, found.code) == ("warn", "JK-LEFTOVER")
        assert found.found.startswith("vpc (1)")
        assert "takes it over" in found.fix

    def test_what_a_cluster_made_is_in_the_way_with_the_command_that_removes_it(self) -> None:
        found = self.judge(self.VPC, self.VOLUME)
        assert found.status == "warn"
        assert "vol-1; beside it 1 that the next plan takes over" in found.found
        assert "aws ec2 delete-volume --volume-id vol-1" in found.fix
        assert "money" in found.why

    def test_while_its_cluster_lives_it_is_not(self) -> None:
        known = Known(frozenset({"demo"}), cluster=True)
        assert self.judge(self.VOLUME, known=known, alive=True).status == "pass"

    def test_of_a_cluster_that_another_folder_deployed_it_is_told_with_the_state(self) -> None:
        found = self.judge(self.VPC, alive=True)
        assert found.status == "warn"
        assert "Terraform's state" in found.fix
        assert "takes it over" not in found.fix

    def test_the_security_group_of_the_file_system_is_terraforms(self) -> None:
        groups = [
            Owned(terraform_type="aws_security_group", import_id=name, name=name)
            for name in ("demo-efs", "demo-default", "k8s-traffic")
        ]
        found = self.judge(*groups)
        assert found.found.startswith("security group (1): k8s-traffic; beside it 2")

    def test_what_the_state_does_not_know_beside_what_it_knows_is_told(self) -> None:
        found = self.judge(self.VPC, known=Known(frozenset({"vpc-2"})))
        assert "vpc-1" in found.found
        assert "jarkkit plan demo" in found.fix

    def test_places_that_were_not_looked_at_are_told_by_reason(self) -> None:
        refused = ("iam roles: JK-AWS-DENIED", "kms keys: JK-AWS-DENIED", "a: JK-AWS-THROTTLED")
        found = list(leftovers.judge_refused(refused))
        assert [(c.status, c.code, c.found) for c in found] == [
            ("unknown", "JK-AWS-DENIED", "iam roles, kms keys"),
            ("unknown", "JK-AWS-THROTTLED", "a"),
        ]


class TestState:
    STATE = "Terraform's state"

    def test_none_yet(self, world: World) -> None:
        assert asked(world, self.STATE).found == "in the deployment's folder, empty"

    def test_a_cluster_without_state(self, world: World) -> None:
        world.account.clusters["demo"] = CLUSTER
        found = asked(world, self.STATE)
        assert (found.status, found.code) == ("warn", "JK-STATE-DIFFERS")
        assert "state_bucket" in found.fix

    def test_a_state_without_cluster(self, world: World) -> None:
        (world.kit.folder / "terraform.tfstate").write_bytes(
            state_file(("aws_eks_cluster", "demo"))
        )
        found = asked(world, self.STATE)
        assert (found.status, found.code) == ("warn", "JK-STATE-DIFFERS")
        world.account.clusters["demo"] = CLUSTER
        assert asked(world, self.STATE).status == "pass"

    def test_a_state_in_a_bucket(self, world: World) -> None:
        world.kit.configure({"state_bucket": "of-the-team"})
        world.account.leftovers.bucket = state_file(("aws_vpc", "vpc-1"))
        assert asked(world, self.STATE).found == "in the bucket of-the-team, 1 resources"

    def test_of_another_account_it_says_nothing_about_this_one(self, world: World) -> None:
        world.deploy()
        world.account.account_id = "444455556666"
        found = world.kit.preflight()
        assert named(found, self.STATE).status == "skip"
        assert [check.code for check in found.failures()] == ["JK-TARGET-MISMATCH"]

    @pytest.mark.parametrize("text", [None, b"", b"{", b"[]", b'{"resources": {}}'])
    def test_one_that_cannot_be_read_knows_nothing(self, text: bytes | None) -> None:
        assert read_state(text) == Known()


class TestTheClock:
    @pytest.mark.parametrize(
        ("ahead", "status"),
        [(0.0, "pass"), (-59.0, "pass"), (61.0, "warn"), (-269.0, "warn"), (271.0, "fail")],
    )
    def test_how_wrong_it_may_be(self, ahead: float, status: str) -> None:
        assert network.judge_clock(ahead).status == status

    def test_it_says_in_which_direction(self) -> None:
        assert network.judge_clock(-90.0).found == "90 s behind"
        assert network.judge_clock(90.0).code == "JK-CLOCK-SKEW"

    def test_without_a_date_it_is_unknown(self) -> None:
        assert network.judge_clock(None).status == "unknown"

    def test_refused_credentials_still_tell_the_time(self, world: World) -> None:
        world.account.failing = {"caller": JarkkitError("JK-AWS-EXPIRED", "no", "log in")}
        world.account.skew = 400.0
        assert asked(world, "This machine's clock").status == "fail"


def seen_from(world: World, machine: FakeMachine) -> Report:
    return Kit(
        world.kit.workspace,
        {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1"},
        account=world.account,  # type: ignore[arg-type]
        terraform=world.terraform,  # type: ignore[arg-type]
        machine=machine,
    ).preflight()


PROXIED = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128"}


class TestTheProxy:
    def judge(self, world: World, **environ: str) -> Check:
        return named(seen_from(world, FakeMachine({**PROXIED, **environ})), "The proxy")

    def test_none(self, world: World) -> None:
        assert asked(world, "The proxy").found == "none is used"

    def test_its_host_is_named_without_the_login(self, world: World) -> None:
        found = self.judge(world, AWS_PROFILE="p")
        assert found.status == "pass"
        assert "proxy.example:3128" in found.found
        assert "secret" not in found.model_dump_json()

    def test_it_must_not_catch_where_an_instance_gets_its_credentials(self, world: World) -> None:
        assert "169.254.169.254" in self.judge(world).fix
        assert self.judge(world, NO_PROXY="169.254.169.254").status == "pass"

    def test_nor_a_private_endpoint(self, world: World) -> None:
        world.kit.configure({"endpoint_public_cidrs": []})
        domain = ".us-west-2.eks.amazonaws.com"
        assert domain in self.judge(world, AWS_PROFILE="p").fix
        assert self.judge(world, AWS_PROFILE="p", NO_PROXY=domain).status == "pass"


class TestHosts:
    def test_all_answer(self, world: World) -> None:
        report = world.kit.preflight()
        assert named(report, "AWS endpoints").found == "2 answer"
        assert named(report, "Image registries").status == "pass"

    def test_without_an_endpoint_of_aws_nothing_works(self, world: World) -> None:
        down = {"iam.amazonaws.com": "refused", "quay.io": "no answer"}
        report = seen_from(world, FakeMachine(down=down))
        endpoint = named(report, "AWS endpoints")
        assert (endpoint.status, endpoint.code) == ("fail", "JK-NETWORK-HOST")
        assert endpoint.found == "iam.amazonaws.com: refused"
        assert named(report, "Image registries").status == "warn"

    def test_they_are_told_although_the_account_does_not_answer(self, world: World) -> None:
        world.account.failing = {"caller": JarkkitError("JK-AWS-UNREACHABLE", "no", "look")}
        report = seen_from(world, FakeMachine(down={"sts.us-west-2.amazonaws.com": "refused"}))
        assert named(report, "AWS endpoints").status == "fail"

    @pytest.mark.parametrize(
        ("image", "host"),
        [
            ("quay.io/a/b:1", "quay.io"),
            ("mpioperator/mpi-operator:0.8.0", "registry-1.docker.io"),
            ("busybox", "registry-1.docker.io"),
            ("docker.io/grafana/grafana:13", "registry-1.docker.io"),
            ("localhost:5000/a", "localhost:5000"),
        ],
    )
    def test_where_an_image_is_from(self, image: str, host: str) -> None:
        assert network.registry(image) == host

    def test_the_chosen_add_ons_decide_which_registries(self) -> None:
        assert "nvcr.io" in network.registries(Settings())
        assert "quay.io" in network.registries(Settings())
        few = Settings(addons=dict.fromkeys(catalogue(), False), karpenter=False, accelerators=())
        assert network.registries(few) == set()


class TestTools:
    @pytest.mark.parametrize(("version", "status"), [("3.11.2", "pass"), ("3.10.14", "fail")])
    def test_python(self, version: str, status: str) -> None:
        assert machine.judge_python(version).status == status

    @pytest.mark.parametrize(
        ("version", "status"),
        [
            ("v1.36.1", "pass"),
            ("v1.35.0", "pass"),
            ("v1.37.0-eks-1", "pass"),
            ("v1.34.9", "warn"),
            ("v2.36.0", "warn"),
            ("", "unknown"),
            (None, "skip"),
        ],
    )
    def test_kubectl_within_one_minor_version(self, version: str | None, status: str) -> None:
        assert machine.judge_kubectl(version, "1.36").status == status


def test_a_defect_of_one_question_leaves_the_other_answers(world: World) -> None:
    world.account.zones = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    report = world.kit.preflight()
    broken = [check for check in report.checks if check.code == "JK-INTERNAL"]
    assert {check.status for check in broken} == {"unknown"}
    assert named(report, "The Kubernetes version").status == "pass"


def test_evidence_shows_no_account_id(world: World) -> None:
    said = "User: arn:aws:iam::111122223333:user/x is not authorized"
    denied = JarkkitError("JK-AWS-DENIED", "no", "ask", evidence=said)
    world.account.failing = {"cluster_versions": denied}
    found = asked(world, "The Kubernetes version")
    assert "1111…3333" in found.why
    assert "111122223333" not in found.model_dump_json()


def test_doctor_asks_no_account(world: World, tmp_path: Path) -> None:
    error = JarkkitError("JK-AWS-UNREACHABLE", "no", "look")
    world.account.failing = {"caller": error, "clock_skew": error}
    assert {check.status for check in world.kit.tools().checks} <= {"pass", "skip"}
