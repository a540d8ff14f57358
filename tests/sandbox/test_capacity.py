"""May instances be launched? The decision itself, the faults it asks for, and what a user sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import control, faults
from jarkkit.sandbox.account.ec2 import capacity, catalogue, prices
from jarkkit.sandbox.account.ec2.capacity import Question, Running, refusal
from jarkkit.sandbox.account.servicequotas import facts
from jarkkit.sandbox.calls import Call
from tests.sandbox.test_account import cluster, make_client, network

IMAGE = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id"


def question(instance_type: str = "m5.xlarge", **given: Any) -> Question:
    known = {"count": 1, "zone": "us-west-2a", "spot": False, "vcpus": 4, "limit": 8.0}
    return Question(instance_type=instance_type, **{**known, **given})


def code(asked: Question, *running: Running) -> str | None:
    refused = refusal(asked, running)
    return refused.code if refused else None


class TestQuotaFamily:
    @pytest.mark.parametrize(
        ("instance_type", "name"),
        [
            ("m5.xlarge", "Standard"), ("d3.xlarge", "Standard"), ("im4gn.large", "Standard"),
            ("is4gen.large", "Standard"), ("t3.micro", "Standard"), ("h1.2xlarge", "Standard"),
            ("dl1.24xlarge", "DL"), ("dl2q.24xlarge", "DL"), ("inf2.xlarge", "Inf"),
            ("trn1.2xlarge", "Trn"), ("trn1n.32xlarge", "Trn"), ("hpc7g.4xlarge", "HPC"),
            ("vt1.3xlarge", "G and VT"), ("gr6.4xlarge", "G and VT"), ("g4dn.xlarge", "G and VT"),
            ("p5.48xlarge", "P"), ("p6-b200.48xlarge", "P"), ("f2.6xlarge", "F"),
            ("x2iedn.xlarge", "X"), ("u-6tb1.56xlarge", "High Memory"),
        ],
    )  # fmt: skip
    def test_the_longest_prefix_counts(self, instance_type: str, name: str) -> None:
        bucket = capacity.bucket_of(instance_type)
        assert bucket is not None
        assert bucket.name == name

    def test_macs_are_counted_by_host(self) -> None:
        assert capacity.quota_code("mac2.metal", spot=False) == ""

    def test_every_type_has_one_and_every_quota_is_known(self) -> None:
        codes = {
            capacity.quota_code(name, spot=spot)
            for name in catalogue.zones_of("us-west-2")
            for spot in (False, True)
        }
        assert codes - {""} <= set(facts.QUOTAS["ec2"])


class TestDecision:
    def test_what_runs_counts_and_what_fits_is_allowed(self) -> None:
        assert code(question(count=2)) is None
        assert code(question(), Running("c5.large", 4, False)) is None
        assert code(question(), Running("c5.large", 5, False)) == "VcpuLimitExceeded"

    def test_families_and_markets_are_counted_apart(self) -> None:
        others = Running("g5.48xlarge", 192, False), Running("m5.24xlarge", 96, True)
        assert code(question(count=2), *others) is None
        assert code(question(spot=True), *others) == "MaxSpotInstanceCountExceeded"

    def test_nothing_limits_what_has_no_quota(self) -> None:
        assert code(question("mac2.metal", limit=None, count=99)) is None

    def test_the_words_are_those_of_aws(self) -> None:
        refused = refusal(question("g5.xlarge", limit=0.0), [])
        assert refused is not None
        assert refused.message.startswith(
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for "
            "the instance bucket that the specified instance type belongs to."
        )
        refused = refusal(question(short=True, zones=("us-west-2a", "us-west-2b")), [])
        assert refused is not None
        assert "sufficient m5.xlarge capacity" in refused.message
        assert refused.message.endswith("or choosing us-west-2b.")

    def test_other_reasons(self) -> None:
        assert code(question(short=True)) == "InsufficientInstanceCapacity"
        assert code(question(zones=("us-west-2c",))) == "Unsupported"
        full = code(question(subnet="subnet-1", free_addresses=0))
        assert full == "InsufficientFreeAddressesInSubnet"


class TestPrices:
    def test_spot_is_cheaper_always_the_same_and_no_two_types_alike(self) -> None:
        types = ["g5.xlarge", "g6.xlarge", "m5.large", "trn2.48xlarge", "x2iedn.xlarge", "z9.big"]
        found = {name: prices.spot(name, "us-west-2a") for name in types}
        assert all(0 < found[name] < prices.on_demand(name) for name in types)
        assert found == {name: prices.spot(name, "us-west-2a") for name in types}
        assert len(set(found.values())) == len(types)

    def test_a_family_costs_by_the_vcpu(self) -> None:
        assert prices.on_demand("m5.xlarge") == pytest.approx(0.192)
        assert prices.on_demand("m5.4xlarge") == pytest.approx(0.768)


class TestFaults:
    @pytest.mark.parametrize(
        ("word", "instance_type", "zone", "short"),
        [
            ("insufficient-capacity", "m5.large", "us-west-2a", True),
            ("insufficient-capacity:g5.xlarge", "g5.xlarge", "us-west-2a", True),
            ("insufficient-capacity:g5.xlarge", "g5.2xlarge", "us-west-2a", False),
            ("insufficient-capacity:g5", "g5.2xlarge", "us-west-2a", True),
            ("insufficient-capacity:g5", "g5g.2xlarge", "us-west-2a", False),
            ("insufficient-capacity:p6-b200", "p6-b200.48xlarge", "us-west-2a", True),
            ("insufficient-capacity:us-west-2a", "m5.large", "us-west-2a", True),
            ("insufficient-capacity:us-west-2a,g5", "m5.large", "us-west-2b", False),
            ("insufficient-capacity:ec2.RunInstances", "m5.large", "us-west-2a", False),
            ("access-denied", "m5.large", "us-west-2a", False),
        ],
    )
    def test_who_is_short_of_what(
        self, word: str, instance_type: str, zone: str, short: bool
    ) -> None:
        active = faults.Active()
        active.switch([word])
        assert active.shortage(instance_type, zone) is short
        assert [str(fault) for fault in active.faults] == [word] or "," in word

    def test_only_calls_that_are_named_are_refused_whole(self) -> None:
        active, call = faults.Active(), Call("ec2", "RunInstances", True)
        for word in ("insufficient-capacity", "insufficient-capacity:g5"):
            active.switch([word])
            assert active.refusing(call) is None
        active.switch(["insufficient-capacity:g5,ec2.RunInstances"])
        assert active.refusing(call)
        assert not active.refusing(Call("ec2", "CreateFleet", True))
        assert active.shortage("g5.xlarge", "us-west-2a")

    def test_an_unknown_one_changes_nothing(self) -> None:
        active = faults.Active()
        active.switch(["throttled"])
        with pytest.raises(JarkkitError):
            active.switch(["no-such-fault"])
        assert [str(fault) for fault in active.faults] == ["throttled"]


def profile(home: Path, name: str) -> Iterator[control.Running]:
    running = control.start(home, profile=name, account_only=True)
    yield running
    control.stop(home)


@pytest.fixture(scope="module")
def without_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    yield from profile(tmp_path_factory.mktemp("without-gpus"), "no-gpu-quota")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    yield from profile(tmp_path_factory.mktemp("fresh"), "fresh-account")


def launch(running: control.Running, **given: Any) -> Any:
    ec2, ssm = make_client(running, "ec2"), make_client(running, "ssm")
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    return ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **given)["Instances"][0]


def node_group(running: control.Running, name: str, **given: Any) -> Any:
    eks = cluster(lambda service: make_client(running, service), name)
    iam = make_client(running, "iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    subnets = eks.describe_cluster(name=name)["cluster"]["resourcesVpcConfig"]["subnetIds"]
    at = {"clusterName": name, "nodegroupName": "nodes"}
    given = {"scalingConfig": {"minSize": 2, "maxSize": 9, "desiredSize": 2}, **given}
    eks.create_nodegroup(**at, subnets=subnets, nodeRole=role, **given)
    return eks, at, eks.describe_nodegroup(**at)["nodegroup"]


class TestProfiles:
    def test_without_gpus_standard_instances_run_and_accelerators_do_not(
        self, without_gpus: control.Running
    ) -> None:
        quotas = make_client(without_gpus, "service-quotas")
        for quota, value in (("L-DB2E81BA", 0), ("L-1216C47A", 256)):
            found = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=quota)["Quota"]
            assert found["Value"] == value
        launch(without_gpus, InstanceType="m5.xlarge")
        for instance_type in ("g5.xlarge", "inf2.xlarge", "trn1.2xlarge", "p5.48xlarge"):
            with pytest.raises(ClientError) as caught:
                launch(without_gpus, InstanceType=instance_type)
            assert caught.value.response["Error"]["Code"] in ("VcpuLimitExceeded", "Unsupported")
        with pytest.raises(ClientError) as caught:
            launch(
                without_gpus,
                InstanceType="g5.xlarge",
                InstanceMarketOptions={"MarketType": "spot"},
            )
        assert caught.value.response["Error"]["Code"] == "MaxSpotInstanceCountExceeded"

    def test_a_fresh_account_holds_one_node_and_not_two(self, fresh: control.Running) -> None:
        first = launch(fresh, InstanceType="m5.xlarge")["InstanceId"]
        with pytest.raises(ClientError) as caught:
            launch(fresh, InstanceType="m5.xlarge")
        error = caught.value.response["Error"]
        assert error["Code"] == "VcpuLimitExceeded"
        assert "limit of 5 allows" in error["Message"]
        make_client(fresh, "ec2").terminate_instances(InstanceIds=[first])
        again = launch(fresh, InstanceType="m5.xlarge")["InstanceId"]
        make_client(fresh, "ec2").terminate_instances(InstanceIds=[again])


class TestNodeGroups:
    def test_one_that_exceeds_a_quota_fails_and_says_why(self, fresh: control.Running) -> None:
        eks, at, group = node_group(fresh, "too-large", instanceTypes=["m5.xlarge"])
        assert group["status"] == "CREATE_FAILED"
        (issue,) = group["health"]["issues"]
        assert issue["code"] == "AsgInstanceLaunchFailures"
        assert issue["message"].startswith(
            "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more"
        )
        assert issue["resourceIds"] == [group["resources"]["autoScalingGroups"][0]["name"]]
        eks.delete_nodegroup(**at)
        states = [
            item["State"]["Name"]
            for r in make_client(fresh, "ec2").describe_instances()["Reservations"]
            for item in r["Instances"]
        ]
        assert set(states) == {"terminated"}

    def test_no_capacity_makes_it_fail_and_a_larger_one_degraded(
        self, without_gpus: control.Running
    ) -> None:
        control.set_faults(without_gpus.home, ["insufficient-capacity:m5"])
        try:
            _, _, group = node_group(without_gpus, "no-room", instanceTypes=["m5.large"])
            assert group["status"] == "CREATE_FAILED"
            assert "InsufficientInstanceCapacity" in group["health"]["issues"][0]["message"]
            eks, at, group = node_group(without_gpus, "other", instanceTypes=["m6i.large"])
            assert group["status"] == "ACTIVE"
            control.set_faults(without_gpus.home, ["insufficient-capacity:m6i"])
            size = {"minSize": 2, "maxSize": 9, "desiredSize": 3}
            eks.update_nodegroup_config(**at, scalingConfig=size)
            assert eks.describe_nodegroup(**at)["nodegroup"]["status"] == "DEGRADED"
            update = eks.update_nodegroup_version(**at)["update"]
            done = eks.describe_update(
                name=at["clusterName"], nodegroupName="nodes", updateId=update["id"]
            )["update"]
            assert done["status"] == "Failed"
            assert done["errors"][0]["errorCode"] == "AsgInstanceLaunchFailures"
            control.set_faults(without_gpus.home, [])
            eks.update_nodegroup_config(**at, scalingConfig=size)
            group = eks.describe_nodegroup(**at)["nodegroup"]
            assert (group["status"], group["health"]["issues"]) == ("ACTIVE", [])
        finally:
            control.set_faults(without_gpus.home, [])

    def test_its_nodes_have_the_image_of_its_type_and_can_be_spot(
        self, without_gpus: control.Running
    ) -> None:
        _, _, group = node_group(
            without_gpus,
            "arm",
            instanceTypes=["m6g.large"],
            amiType="BOTTLEROCKET_ARM_64",
            capacityType="SPOT",
        )
        assert group["status"] == "ACTIVE"
        ec2 = make_client(without_gpus, "ec2")
        mine = [{"Name": "tag:eks:cluster-name", "Values": ["arm"]}]
        node = ec2.describe_instances(Filters=mine)["Reservations"][0]["Instances"][0]
        assert node["InstanceLifecycle"] == "spot"
        assert node["SpotInstanceRequestId"].startswith("sir-")
        image = ec2.describe_images(ImageIds=[node["ImageId"]])["Images"][0]
        assert image["Name"].startswith("bottlerocket-aws-k8s-1.36-arm64-")


def test_without_capacity_a_call_is_refused_only_where_it_would_launch(
    sandbox: control.Running,
) -> None:
    ec2 = make_client(sandbox, "ec2")
    (subnet,) = network(ec2, ("eu-west-1a",))
    control.set_faults(sandbox.home, ["insufficient-capacity:eu-west-1a"])
    try:
        wish = {"InstanceType": "m5.large", "SubnetId": subnet}
        for dry, expected in ((True, "DryRunOperation"), (False, "InsufficientInstanceCapacity")):
            with pytest.raises(ClientError) as caught:
                launch(sandbox, **wish, DryRun=dry)
            assert caught.value.response["Error"]["Code"] == expected
    finally:
        control.set_faults(sandbox.home, [])
    assert launch(sandbox, **wish)["Placement"]["AvailabilityZone"] == "eu-west-1a"
