"""Whether instances can be launched: the decision, capacity faults, and the errors users see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox import daemon_client, faults
from jarkkit.sandbox.account.ec2 import capacity, instance_types, prices
from jarkkit.sandbox.account.ec2.capacity import CountedInstance, LaunchAttempt, launch_refusal
from jarkkit.sandbox.account.servicequotas import reference_data
from jarkkit.sandbox.api_calls import Call
from tests.support.account import IMAGE, cluster, make_client, network, subnets_of


def launch_attempt(instance_type: str = "m5.xlarge", **given: Any) -> LaunchAttempt:
    defaults = {"count": 1, "zone": "us-west-2a", "spot": False, "vcpus": 4, "limit": 8.0}
    return LaunchAttempt(instance_type=instance_type, **{**defaults, **given})


def rejection_code(attempt: LaunchAttempt, *running: CountedInstance) -> str | None:
    rejection = launch_refusal(attempt, running)
    return rejection.code if rejection else None


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
    def test_the_longest_prefix_selects_the_quota(self, instance_type: str, name: str) -> None:
        bucket = capacity.quota_bucket(instance_type)
        assert bucket is not None
        assert bucket.name == name

    def test_macs_have_no_vcpu_quota(self) -> None:
        assert capacity.quota_code("mac2.metal", spot=False) == ""

    def test_every_instance_type_has_a_known_quota(self) -> None:
        codes = {
            capacity.quota_code(name, spot=spot)
            for name in instance_types.zones_of("us-west-2")
            for spot in (False, True)
        }
        assert codes - {""} <= set(reference_data.QUOTAS["ec2"])


class TestDecision:
    def test_running_instances_count_towards_the_limit(self) -> None:
        assert rejection_code(launch_attempt(count=2)) is None
        assert rejection_code(launch_attempt(), CountedInstance("c5.large", 4, False)) is None
        assert (
            rejection_code(launch_attempt(), CountedInstance("c5.large", 5, False))
            == "VcpuLimitExceeded"
        )

    def test_families_and_markets_are_counted_separately(self) -> None:
        others = (
            CountedInstance("g5.48xlarge", 192, False),
            CountedInstance("m5.24xlarge", 96, True),
        )
        assert rejection_code(launch_attempt(count=2), *others) is None
        assert rejection_code(launch_attempt(spot=True), *others) == "MaxSpotInstanceCountExceeded"

    def test_an_instance_without_a_quota_is_not_limited(self) -> None:
        assert rejection_code(launch_attempt("mac2.metal", limit=None, count=99)) is None

    def test_rejections_have_the_wording_of_aws(self) -> None:
        rejection = launch_refusal(launch_attempt("g5.xlarge", limit=0.0), [])
        assert rejection is not None
        assert rejection.message.startswith(
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for "
            "the instance bucket that the specified instance type belongs to."
        )
        rejection = launch_refusal(
            launch_attempt(lacks_capacity=True, zones=("us-west-2a", "us-west-2b")), []
        )
        assert rejection is not None
        assert "sufficient m5.xlarge capacity" in rejection.message
        assert rejection.message.endswith("or choosing us-west-2b.")

    def test_missing_capacity_zone_or_addresses_reject_a_launch(self) -> None:
        assert rejection_code(launch_attempt(lacks_capacity=True)) == "InsufficientInstanceCapacity"
        assert rejection_code(launch_attempt(zones=("us-west-2c",))) == "Unsupported"
        full = rejection_code(launch_attempt(subnet="subnet-1", free_addresses=0))
        assert full == "InsufficientFreeAddressesInSubnet"


class TestPrices:
    def test_spot_prices_are_lower_stable_and_distinct(self) -> None:
        types = ["g5.xlarge", "g6.xlarge", "m5.large", "trn2.48xlarge", "x2iedn.xlarge", "z9.big"]
        found = {name: prices.spot(name, "us-west-2a") for name in types}
        assert all(0 < found[name] < prices.on_demand(name) for name in types)
        assert found == {name: prices.spot(name, "us-west-2a") for name in types}
        assert len(set(found.values())) == len(types)

    def test_a_family_is_priced_by_the_vcpu(self) -> None:
        assert prices.on_demand("m5.xlarge") == pytest.approx(0.192)
        assert prices.on_demand("m5.4xlarge") == pytest.approx(0.768)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault_text", "instance_type", "zone", "expected"),
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
    def test_a_capacity_fault_matches_types_families_or_zones(
        self, fault_text: str, instance_type: str, zone: str, expected: bool
    ) -> None:
        active = faults.ActiveFaults()
        active.activate([fault_text])
        assert active.lacks_capacity(instance_type, zone) is expected
        assert [str(fault) for fault in active.faults] == [fault_text] or "," in fault_text

    def test_only_named_calls_are_rejected_entirely(self) -> None:
        active, call = faults.ActiveFaults(), Call("ec2", "RunInstances", True)
        for fault_text in ("insufficient-capacity", "insufficient-capacity:g5"):
            active.activate([fault_text])
            assert active.rejecting_fault(call) is None
        active.activate(["insufficient-capacity:g5,ec2.RunInstances"])
        assert active.rejecting_fault(call)
        assert not active.rejecting_fault(Call("ec2", "CreateFleet", True))
        assert active.lacks_capacity("g5.xlarge", "us-west-2a")

    def test_an_unknown_fault_is_rejected_and_changes_nothing(self) -> None:
        active = faults.ActiveFaults()
        active.activate(["throttled"])
        with pytest.raises(JarkkitError):
            active.activate(["no-such-fault"])
        assert [str(fault) for fault in active.faults] == ["throttled"]


def start_with_profile(home: Path, name: str) -> Iterator[daemon_client.RunningSandbox]:
    running = daemon_client.start(home, profile=name, account_only=True)
    yield running
    daemon_client.stop(home)


@pytest.fixture(scope="module")
def without_gpus(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[daemon_client.RunningSandbox]:
    yield from start_with_profile(tmp_path_factory.mktemp("without-gpus"), "no-gpu-quota")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    yield from start_with_profile(tmp_path_factory.mktemp("fresh"), "fresh-account")


def launch(running: daemon_client.RunningSandbox, **given: Any) -> Any:
    ec2, ssm = make_client(running, "ec2"), make_client(running, "ssm")
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    return ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **given)["Instances"][0]


def node_group(running: daemon_client.RunningSandbox, name: str, **given: Any) -> Any:
    eks = cluster(lambda service: make_client(running, service), name)
    iam = make_client(running, "iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    subnets = subnets_of(eks, name)
    at = {"clusterName": name, "nodegroupName": "nodes"}
    given = {"scalingConfig": {"minSize": 2, "maxSize": 9, "desiredSize": 2}, **given}
    eks.create_nodegroup(**at, subnets=subnets, nodeRole=role, **given)
    return eks, at, eks.describe_nodegroup(**at)["nodegroup"]


class TestProfiles:
    def test_without_a_gpu_quota_only_standard_instances_launch(
        self, without_gpus: daemon_client.RunningSandbox
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

    def test_a_fresh_account_has_quota_for_one_node_only(
        self, fresh: daemon_client.RunningSandbox
    ) -> None:
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
    def test_a_node_group_beyond_a_quota_fails_with_the_reason(
        self, fresh: daemon_client.RunningSandbox
    ) -> None:
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

    def test_missing_capacity_fails_a_node_group_or_degrades_a_larger_one(
        self, without_gpus: daemon_client.RunningSandbox
    ) -> None:
        daemon_client.set_faults(without_gpus.home, ["insufficient-capacity:m5"])
        try:
            _, _, group = node_group(without_gpus, "no-room", instanceTypes=["m5.large"])
            assert group["status"] == "CREATE_FAILED"
            assert "InsufficientInstanceCapacity" in group["health"]["issues"][0]["message"]
            eks, at, group = node_group(without_gpus, "other", instanceTypes=["m6i.large"])
            assert group["status"] == "ACTIVE"
            daemon_client.set_faults(without_gpus.home, ["insufficient-capacity:m6i"])
            size = {"minSize": 2, "maxSize": 9, "desiredSize": 3}
            eks.update_nodegroup_config(**at, scalingConfig=size)
            assert eks.describe_nodegroup(**at)["nodegroup"]["status"] == "DEGRADED"
            update = eks.update_nodegroup_version(**at)["update"]
            done = eks.describe_update(
                name=at["clusterName"], nodegroupName="nodes", updateId=update["id"]
            )["update"]
            assert done["status"] == "Failed"
            assert done["errors"][0]["errorCode"] == "AsgInstanceLaunchFailures"
            daemon_client.set_faults(without_gpus.home, [])
            eks.update_nodegroup_config(**at, scalingConfig=size)
            group = eks.describe_nodegroup(**at)["nodegroup"]
            assert (group["status"], group["health"]["issues"]) == ("ACTIVE", [])
        finally:
            daemon_client.set_faults(without_gpus.home, [])

    def test_nodes_have_the_image_of_their_type_and_can_be_spot(
        self, without_gpus: daemon_client.RunningSandbox
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


def test_a_call_without_capacity_is_rejected_only_if_it_would_launch(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    ec2 = make_client(sandbox, "ec2")
    (subnet,) = network(ec2, ("eu-west-1a",))
    daemon_client.set_faults(sandbox.home, ["insufficient-capacity:eu-west-1a"])
    try:
        request = {"InstanceType": "m5.large", "SubnetId": subnet}
        for dry, expected in ((True, "DryRunOperation"), (False, "InsufficientInstanceCapacity")):
            with pytest.raises(ClientError) as caught:
                launch(sandbox, **request, DryRun=dry)
            assert caught.value.response["Error"]["Code"] == expected
    finally:
        daemon_client.set_faults(sandbox.home, [])
    assert launch(sandbox, **request)["Placement"]["AvailabilityZone"] == "eu-west-1a"
