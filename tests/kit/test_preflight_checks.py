"""Preflight on fakes: taken names, leftovers, the state, the clock, the network, tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import EksCluster, ExistingVpc, OwnedResource, SubnetNetwork, UniqueName
from jarkkit.model.unknown import Unknown
from jarkkit.settings import Settings
from jarkkit.settings.validation import CORE_ADDONS
from jarkkit.steps.preflight import account, addons, leftovers, machine, name_conflicts, network
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.leftovers import StateSummary, read_state
from tests.support.fakes.deployment import DeploymentHarness
from tests.support.fakes.machine import FakeMachine
from tests.support.fakes.quotas import TYPES
from tests.support.stacks import resolved

OURS = {"jarkkit:deployment": "demo"}
ROLE = "demo-us-west-2-node"
GROUP = "/aws/eks/demo/cluster"
CLUSTER = EksCluster(name="demo", arn="a", status="ACTIVE", version="1.36")


def preflight_check(harness: DeploymentHarness, name: str) -> Check:
    return find_check(harness.deployment.preflight(), name)


def find_check(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def state_file(*resources: tuple[str, str]) -> bytes:
    entries = [
        {"mode": "managed", "type": kind, "instances": [{"attributes": {"id": name}}]}
        for kind, name in resources
    ]
    return json.dumps({"version": 4, "resources": entries}).encode()


class TestNames:
    NAMES = "Names of roles, keys, queues and other resources"

    def test_free_names_pass(self, harness: DeploymentHarness) -> None:
        assert preflight_check(harness, self.NAMES).found.endswith("all free")

    def test_the_deployments_own_names_pass_and_are_counted(
        self, harness: DeploymentHarness
    ) -> None:
        harness.account.name_conflicts.tags = {ROLE: OURS}
        found = preflight_check(harness, self.NAMES)
        assert found.status == "pass"
        assert found.found.startswith(
            "2 are this deployment's own"
        )  # the role and the profile of nodes

    @pytest.mark.parametrize("tags", [{}, {"jarkkit:deployment": "other"}, {"team": "a"}])
    def test_names_of_others_fail_and_are_listed(
        self, harness: DeploymentHarness, tags: dict[str, str]
    ) -> None:
        harness.account.name_conflicts.tags = {ROLE: tags}
        found = preflight_check(harness, self.NAMES)
        assert (found.status, found.code) == ("fail", "JK-NAME-TAKEN")
        assert f"iam role {ROLE}" in found.found

    def test_a_log_group_from_aws_passes_and_a_foreign_one_fails(
        self, harness: DeploymentHarness
    ) -> None:
        harness.account.name_conflicts.tags = {GROUP: {}}
        assert preflight_check(harness, self.NAMES).status == "pass"
        harness.account.name_conflicts.tags = {GROUP: {"team": "a"}}
        assert preflight_check(harness, self.NAMES).status == "fail"

    def test_a_denied_call_is_unknown_but_a_taken_name_still_fails(self) -> None:
        one, two = (UniqueName(terraform_type="aws_iam_role", name=name) for name in "ab")
        denied = Unknown(JarkkitError("JK-AWS-DENIED", "no", "ask"))
        assert name_conflicts.judge_names("demo", {one: denied, two: None}).status == "unknown"
        assert name_conflicts.judge_names("demo", {one: denied, two: {}}).status == "fail"

    def test_names_follow_the_settings(self, harness: DeploymentHarness) -> None:
        harness.account.name_conflicts.tags = {"demo": {}}
        assert preflight_check(harness, self.NAMES).status == "fail"  # the file system's token
        off = {"jupyterhub": False, "aws-efs-csi-driver": False}
        harness.deployment.configure({"addons": off})
        assert preflight_check(harness, self.NAMES).status == "fail"  # files outlive the add-ons
        harness.deployment.configure({"shared_files": False})
        assert preflight_check(harness, self.NAMES).status == "pass"


class TestClusterName:
    def test_a_free_name_passes(self) -> None:
        assert name_conflicts.judge_cluster("demo", None, ours=False).status == "pass"

    @pytest.mark.parametrize("status", ["DELETING", "FAILED"])
    def test_an_unusable_cluster_of_the_deployment_fails(self, status: str) -> None:
        cluster = CLUSTER.model_copy(update={"status": status})
        found = name_conflicts.judge_cluster("demo", cluster, ours=True)
        assert (found.status, found.code) == ("fail", "JK-LEFTOVER")
        assert status in found.found

    def test_a_cluster_of_others_is_rejected(self) -> None:
        with pytest.raises(JarkkitError, match="JK-NAME-TAKEN"):
            name_conflicts.judge_cluster("demo", CLUSTER, ours=False)


class TestLeftovers:
    VPC = OwnedResource(terraform_type="aws_vpc", import_id="vpc-1", name="demo")
    VOLUME = OwnedResource(
        terraform_type="aws_ebs_volume", import_id="vol-1", billable=True, of_cluster=True
    )

    def judge(
        self, *found: OwnedResource, known: StateSummary | None = None, alive: bool = False
    ) -> Check:
        return leftovers.judge_leftovers("demo", found, known or StateSummary(), alive=alive)

    def test_nothing_found_passes(self) -> None:
        assert self.judge().status == "pass"

    def test_resources_in_the_state_are_no_leftovers(self) -> None:
        known = read_state(state_file(("aws_vpc", "vpc-1")))
        assert self.judge(self.VPC, known=known).status == "pass"

    @pytest.mark.parametrize("import_id", ["default/rule-1", "demo,a-1"])
    def test_resources_with_compound_import_ids_are_recognized(self, import_id: str) -> None:
        known = StateSummary(frozenset({"rule-1", "a-1"}))
        assert known.contains(OwnedResource(terraform_type="t", import_id=import_id))

    def test_leftovers_that_terraform_manages_are_imported(self) -> None:
        found = self.judge(self.VPC)
        assert (found.status, found.code) == ("warn", "JK-LEFTOVER")
        assert found.found.startswith("vpc (1)")
        assert "imports and lists them" in found.fix

    def test_leftovers_of_a_cluster_come_with_the_command_to_delete_them(self) -> None:
        found = self.judge(self.VPC, self.VOLUME)
        assert found.status == "warn"
        assert "vol-1; also 1 that the next plan imports" in found.found
        assert "check them first" in found.fix
        assert "jarkkit cleanup demo --confirm demo" in found.fix
        assert "money" in found.why

    def test_resources_of_an_existing_cluster_are_no_leftovers(self) -> None:
        known = StateSummary(frozenset({"demo"}), cluster=True)
        assert self.judge(self.VOLUME, known=known, alive=True).status == "pass"

    def test_launch_templates_of_a_live_deployment_are_no_leftovers(self) -> None:
        template = OwnedResource(
            terraform_type="aws_launch_template",
            import_id="lt-1",
            name="karpenter.k8s.aws/123",
            of_cluster=True,
        )
        known = StateSummary(frozenset({"demo"}), cluster=True)
        assert self.judge(template, known=known, alive=True).status == "pass"
        assert "jarkkit cleanup demo" in self.judge(template, known=known).fix

    def test_resources_of_a_cluster_without_a_state_name_the_state(self) -> None:
        found = self.judge(self.VPC, alive=True)
        assert found.status == "warn"
        assert "Terraform's state" in found.fix
        assert "imports and lists them" not in found.fix

    def test_terraforms_security_groups_are_imported(self) -> None:
        groups = [
            OwnedResource(
                terraform_type="aws_security_group",
                import_id=name,
                name=name,
                of_cluster=name.startswith("k8s-"),
            )
            for name in ("demo-efs", "demo-default", "k8s-traffic")
        ]
        found = self.judge(*groups)
        assert found.found.startswith("security group (1): k8s-traffic; also 2")

    def test_resources_missing_from_the_state_are_listed(self) -> None:
        found = self.judge(self.VPC, known=StateSummary(frozenset({"vpc-2"})))
        assert "vpc-1" in found.found
        assert "jarkkit plan demo" in found.fix

    def test_inaccessible_resource_types_are_grouped_by_reason(self) -> None:
        inaccessible = (
            "iam roles: JK-AWS-DENIED",
            "kms keys: JK-AWS-DENIED",
            "a: JK-AWS-THROTTLED",
        )
        found = list(leftovers.judge_inaccessible(inaccessible))
        assert [(c.status, c.code, c.found) for c in found] == [
            ("unknown", "JK-AWS-DENIED", "iam roles, kms keys"),
            ("unknown", "JK-AWS-THROTTLED", "a"),
        ]


class TestState:
    STATE = "Terraform's state"

    def test_without_a_state(self, harness: DeploymentHarness) -> None:
        assert preflight_check(harness, self.STATE).found == "in the deployment's folder, empty"

    def test_a_cluster_without_a_state(self, harness: DeploymentHarness) -> None:
        harness.account.clusters["demo"] = CLUSTER
        found = preflight_check(harness, self.STATE)
        assert (found.status, found.code) == ("warn", "JK-STATE-DIFFERS")
        assert "state_bucket" in found.fix

    def test_a_state_without_a_cluster(self, harness: DeploymentHarness) -> None:
        (harness.deployment.folder / "terraform.tfstate").write_bytes(
            state_file(("aws_eks_cluster", "demo"))
        )
        found = preflight_check(harness, self.STATE)
        assert (found.status, found.code) == ("warn", "JK-STATE-DIFFERS")
        harness.account.clusters["demo"] = CLUSTER
        assert preflight_check(harness, self.STATE).status == "pass"

    def test_a_state_in_a_bucket(self, harness: DeploymentHarness) -> None:
        harness.deployment.configure({"state_bucket": "of-the-team"})
        harness.account.name_conflicts.bucket = state_file(("aws_vpc", "vpc-1"))
        assert (
            preflight_check(harness, self.STATE).found == "in the bucket of-the-team, 1 resources"
        )

    def test_the_state_of_another_account_is_skipped(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.account_id = "444455556666"
        found = harness.deployment.preflight()
        assert find_check(found, self.STATE).status == "skip"
        assert [check.code for check in found.failures()] == ["JK-TARGET-MISMATCH"]

    @pytest.mark.parametrize("text", [None, b"", b"{", b"[]", b'{"resources": {}}'])
    def test_an_unreadable_state_is_empty(self, text: bytes | None) -> None:
        assert read_state(text) == StateSummary()


class TestClock:
    @pytest.mark.parametrize(
        ("ahead", "status"),
        [(0.0, "pass"), (-59.0, "pass"), (61.0, "warn"), (-269.0, "warn"), (271.0, "fail")],
    )
    def test_the_thresholds_of_the_skew(self, ahead: float, status: str) -> None:
        assert network.judge_clock(ahead).status == status

    def test_the_direction_of_the_skew_is_shown(self) -> None:
        assert network.judge_clock(-90.0).found == "90 s behind"
        assert network.judge_clock(90.0).code == "JK-CLOCK-SKEW"

    def test_without_a_date_it_is_unknown(self) -> None:
        assert network.judge_clock(None).status == "unknown"

    def test_the_clock_is_checked_even_with_expired_credentials(
        self, harness: DeploymentHarness
    ) -> None:
        harness.account.failing = {"caller": JarkkitError("JK-AWS-EXPIRED", "no", "log in")}
        harness.account.skew = 400.0
        assert preflight_check(harness, "Clock").status == "fail"


def preflight_on(harness: DeploymentHarness, machine: FakeMachine) -> Report:
    return Deployment(
        harness.deployment.workspace,
        {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1"},
        account=harness.account,  # type: ignore[arg-type]
        terraform=harness.terraform,  # type: ignore[arg-type]
        machine=machine,
    ).preflight()


PROXIED = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128"}


class TestProxy:
    def judge(self, harness: DeploymentHarness, **environ: str) -> Check:
        return find_check(preflight_on(harness, FakeMachine({**PROXIED, **environ})), "Proxy")

    def test_without_a_proxy_the_check_passes(self, harness: DeploymentHarness) -> None:
        assert preflight_check(harness, "Proxy").found == "no proxy"

    def test_the_proxy_is_named_without_its_login(self, harness: DeploymentHarness) -> None:
        found = self.judge(harness, AWS_PROFILE="p")
        assert found.status == "pass"
        assert "proxy.example:3128" in found.found
        assert "secret" not in found.model_dump_json()

    def test_the_proxy_must_not_cover_the_instance_metadata(
        self, harness: DeploymentHarness
    ) -> None:
        assert "169.254.169.254" in self.judge(harness).fix
        assert self.judge(harness, NO_PROXY="169.254.169.254").status == "pass"

    def test_the_proxy_must_not_cover_a_private_endpoint(self, harness: DeploymentHarness) -> None:
        harness.deployment.configure({"endpoint_public_cidrs": []})
        domain = ".us-west-2.eks.amazonaws.com"
        assert domain in self.judge(harness, AWS_PROFILE="p").fix
        assert self.judge(harness, AWS_PROFILE="p", NO_PROXY=domain).status == "pass"


class TestHosts:
    def test_all_hosts_answer(self, harness: DeploymentHarness) -> None:
        report = harness.deployment.preflight()
        assert find_check(report, "AWS endpoints").found == "2 answer"
        assert find_check(report, "Image registries").status == "pass"

    def test_an_unreachable_aws_endpoint_fails(self, harness: DeploymentHarness) -> None:
        down = {"iam.amazonaws.com": "refused", "quay.io": "no answer"}
        report = preflight_on(harness, FakeMachine(down=down))
        endpoint = find_check(report, "AWS endpoints")
        assert (endpoint.status, endpoint.code) == ("fail", "JK-NETWORK-HOST")
        assert endpoint.found == "iam.amazonaws.com: refused"
        assert find_check(report, "Image registries").status == "warn"

    def test_hosts_are_checked_even_without_an_account(self, harness: DeploymentHarness) -> None:
        harness.account.failing = {"caller": JarkkitError("JK-AWS-UNREACHABLE", "no", "look")}
        report = preflight_on(harness, FakeMachine(down={"sts.us-west-2.amazonaws.com": "refused"}))
        assert find_check(report, "AWS endpoints").status == "fail"

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
    def test_the_registry_of_an_image(self, image: str, host: str) -> None:
        assert network.registry_host(image) == host

    def test_the_registries_follow_the_add_ons(self) -> None:
        def hosts(settings: Settings) -> set[str]:
            return set(map(network.registry_host, resolved(settings).images))

        assert {"nvcr.io", "quay.io"} <= hosts(Settings())
        minimal = Settings(
            addons=dict.fromkeys(addon_catalog().keys() - CORE_ADDONS.keys(), False),
            karpenter=False,
            accelerators=(),
        )
        assert hosts(minimal) == set()


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


def test_a_defect_in_one_check_does_not_stop_the_others(harness: DeploymentHarness) -> None:
    harness.account.zones = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    report = harness.deployment.preflight()
    broken = [check for check in report.checks if check.code == "JK-INTERNAL"]
    assert {check.status for check in broken} == {"unknown"}
    assert find_check(report, "Kubernetes version").status == "pass"


def test_the_zones_are_those_of_the_next_plan(harness: DeploymentHarness) -> None:
    name = "Availability Zones that EKS and the core nodes can use"
    harness.plan()
    elsewhere = frozenset({"us-west-2b", "us-west-2c"})
    harness.account.offerings = lambda patterns: dict.fromkeys(patterns, elsewhere)  # type: ignore[method-assign]
    assert preflight_check(harness, name).found == "us-west-2a, us-west-2b"
    harness.plan()
    planned = harness.deployment.workspace.tfvars()["availability_zones"]
    assert planned == ["us-west-2a", "us-west-2b"]


def test_evidence_has_no_account_id(harness: DeploymentHarness) -> None:
    message = "User: arn:aws:iam::111122223333:user/x is not authorized"
    denied = JarkkitError("JK-AWS-DENIED", "no", "ask", evidence=message)
    harness.account.failing = {"cluster_versions": denied}
    found = preflight_check(harness, "Kubernetes version")
    assert "1111…3333" in found.why
    assert "111122223333" not in found.model_dump_json()


def test_the_tools_check_makes_no_calls_to_the_account(
    harness: DeploymentHarness, tmp_path: Path
) -> None:
    error = JarkkitError("JK-AWS-UNREACHABLE", "no", "look")
    harness.account.failing = {"caller": error, "clock_skew": error}
    assert {check.status for check in harness.deployment.check_tools().checks} <= {"pass", "skip"}


class TestHubLogin:
    OPEN_ID: ClassVar[dict[str, Any]] = {
        "jupyterhub_auth": "oidc",
        "jupyterhub_oidc_issuer": "https://id.example.org",
        "jupyterhub_oidc_client_id": "hub",
        "jupyterhub_oidc_client_secret": "env:HUB_SECRET",
    }
    PUBLIC: ClassVar[dict[str, Any]] = {
        "jupyterhub_domain": "hub.example.com",
        "jupyterhub_certificate_arn": (
            "arn:aws:acm:us-west-2:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
        ),
    }

    def check(self, harness: DeploymentHarness, **settings: Any) -> Check:
        return addons.hub_login(
            CheckContext(
                resolved(Settings(**settings)),
                cast("Any", harness.account),
                cast("Any", harness.terraform),
                harness.deployment.workspace,
            )
        )

    def test_the_callback_url_that_the_provider_must_list(self, harness: DeploymentHarness) -> None:
        local = self.check(harness, **self.OPEN_ID)
        assert (local.status, "http://localhost:8000/hub/oauth_callback" in local.found) == (
            "pass",
            True,
        )
        assert "callback URL" in local.why
        public = self.check(harness, **self.OPEN_ID, **self.PUBLIC)
        assert "https://hub.example.com/hub/oauth_callback" in public.found

    def test_a_shared_password_needs_no_provider(self, harness: DeploymentHarness) -> None:
        assert self.check(harness).found == "one password for all"
        assert "off" in self.check(harness, addons={"jupyterhub": False}).found

    def test_a_public_host_name_needs_the_load_balancer_controller(
        self, harness: DeploymentHarness
    ) -> None:
        off = {"aws-load-balancer-controller": False, "ingress-nginx": False}
        failed = self.check(harness, **self.PUBLIC, addons=off)
        assert (failed.status, "jupyterhub_domain" in failed.fix) == ("fail", True)


class TestNodeTypes:
    CORE, GPU = "Instance type of core nodes", "Instance type of static GPU nodes"

    def check(self, harness: DeploymentHarness, name: str, **values: object) -> Check:
        harness.deployment.configure(values)
        return preflight_check(harness, name)

    def test_the_defaults_pass(self, harness: DeploymentHarness) -> None:
        assert self.check(harness, self.GPU, static_gpu_nodes=1).status == "pass"
        assert preflight_check(harness, self.CORE).status == "pass"

    @pytest.mark.parametrize(
        ("values", "name", "reason"),
        [
            ({"core_instance_type": "m6g.xlarge"}, CORE, "arm64"),
            ({"core_instance_type": "g5.xlarge"}, CORE, "accelerators"),
            ({"core_instance_type": "m99.xlarge"}, CORE, "not offered in this Region"),
            ({"static_gpu_nodes": 1, "static_gpu_instance_type": "m5.xlarge"}, GPU, "no NVIDIA"),
            ({"static_gpu_nodes": 1, "static_gpu_instance_type": "inf2.xlarge"}, GPU, "NVIDIA"),
        ],
    )
    def test_types_that_the_ami_does_not_fit_fail(
        self, harness: DeploymentHarness, values: dict[str, object], name: str, reason: str
    ) -> None:
        check = self.check(harness, name, **values)
        assert (check.status, reason in check.found) == ("fail", True)
        assert "instance_type" in check.fix

    def test_a_type_that_one_zone_lacks_is_a_warning(self, harness: DeploymentHarness) -> None:
        found = account.judge_node_type(
            "static_gpu_instance_type",
            TYPES["g6.4xlarge"],
            "g6.4xlarge",
            {"us-west-2a"},
            ("us-west-2a", "us-west-2b"),
        )
        assert (found.status, "us-west-2b" in found.found) == ("warn", True)


def test_an_existing_vpc_is_checked(harness: DeploymentHarness) -> None:
    ids = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
    vpc_id = "vpc-0123456789abcdef0"
    harness.deployment.configure({"vpc_id": vpc_id, "private_subnet_ids": ids})
    subnets = tuple(
        SubnetNetwork(subnet_id=each, vpc_id=vpc_id, zone=f"us-west-2{letter}", way_out="nat")
        for each, letter in zip(ids, "bc", strict=True)
    )
    harness.account.network.existing = ExistingVpc(vpc_id=vpc_id, subnets=subnets)
    assert preflight_check(harness, "DNS in the VPC").status == "pass"
    harness.plan()
    assert harness.deployment.workspace.tfvars()["availability_zones"] == [
        "us-west-2b", "us-west-2c",
    ]  # fmt: skip
    harness.account.network.existing = ExistingVpc(vpc_id=vpc_id, subnets=subnets[:1])
    assert preflight_check(harness, "Existing VPC").status == "fail"
    with pytest.raises(JarkkitError, match="JK-SETTINGS-INVALID"):
        harness.plan()
