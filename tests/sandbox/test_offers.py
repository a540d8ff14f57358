"""The account's node images, instance types, prices and reserved capacity."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.account import eks_reference_data as facts
from jarkkit.sandbox.account import node_images
from jarkkit.sandbox.account.ec2 import prices
from tests.support.account import error_code_of, make_client, reserve
from tests.support.fleets import NodeTemplate

EKS = "/aws/service/eks/optimized-ami"
BOTTLEROCKET = "/aws/service/bottlerocket"


@pytest.fixture
def ec2(sandbox: daemon_client.RunningSandbox) -> Any:
    return make_client(sandbox, "ec2", "us-west-2")


class TestImages:
    def karpenter_parameters(self, version: str) -> dict[str, str]:
        """Return the SSM parameters that Karpenter's AMI families read, with the architecture."""
        al2023 = {
            f"{EKS}/{version}/amazon-linux-2023/{architecture}/{variant}/recommended/image_id": (
                architecture
            )
            for architecture, variants in (
                ("x86_64", ("standard", "nvidia", "neuron")),
                ("arm64", ("standard", "nvidia")),
            )
            for variant in variants
        }
        bottlerocket = {
            f"{BOTTLEROCKET}/aws-k8s-{version}{variant}/{architecture}/latest/image_id": (
                architecture
            )
            for variant in ("", "-nvidia")
            for architecture in ("x86_64", "arm64")
        }
        return {**al2023, **bottlerocket}

    @pytest.mark.parametrize("region", ["us-west-2", "eu-central-1"])
    def test_every_ssm_parameter_names_an_image(
        self, sandbox: daemon_client.RunningSandbox, region: str
    ) -> None:
        ec2, ssm = (make_client(sandbox, service, region) for service in ("ec2", "ssm"))
        expected = {
            ssm.get_parameter(Name=name)["Parameter"]["Value"]: architecture
            for version in facts.versions()
            for name, architecture in self.karpenter_parameters(version).items()
        }
        assert len(expected) == 9 * len(facts.versions())
        filters = [
            {"Name": "image-id", "Values": list(expected)},
            {"Name": "state", "Values": ["available"]},
        ]
        found = ec2.describe_images(Filters=filters, IncludeDeprecated=True)["Images"]
        assert {image["ImageId"]: image["Architecture"] for image in found} == expected
        for image in found:
            assert image["ImageOwnerAlias"] == "amazon"
            assert datetime.fromisoformat(image["CreationDate"]) < datetime.now(UTC)
            assert image["RootDeviceName"] == "/dev/xvda"
            assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeType"] == "gp3"
            assert "1.3" in image["Name"]

    def test_image_versions_can_be_pinned(self, sandbox: daemon_client.RunningSandbox) -> None:
        ssm = make_client(sandbox, "ssm", "us-west-2")
        parameter_path = f"{EKS}/1.36/amazon-linux-2023/x86_64/nvidia"
        newest, older = (
            f"amazon-eks-node-al2023-x86_64-nvidia-1.36-v{build}"
            for build in node_images.AL2023_BUILDS
        )

        def value(name: str) -> str:
            return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])

        assert value(f"{parameter_path}/{newest}/image_id") == value(
            f"{parameter_path}/recommended/image_id"
        )
        assert value(f"{parameter_path}/{older}/image_id") != value(
            f"{parameter_path}/recommended/image_id"
        )
        assert value(f"{parameter_path}/recommended/image_name") == newest
        assert value(f"{parameter_path}/recommended/release_version").startswith("1.36.0-")
        bottlerocket_path = f"{BOTTLEROCKET}/aws-k8s-1.36/x86_64"
        release = value(f"{bottlerocket_path}/latest/image_version")
        short = release.partition("-")[0]
        assert value(f"{bottlerocket_path}/{short}/image_id") == value(
            f"{bottlerocket_path}/{release}/image_id"
        )
        missing = f"{EKS}/1.12/amazon-linux-2023/x86_64/standard/recommended/image_id"
        assert error_code_of(ssm.get_parameter, Name=missing) == "ParameterNotFound"
        listed = ssm.get_parameters_by_path(Path=parameter_path, Recursive=True)["Parameters"]
        assert len(listed) > 3

    def test_images_are_found_by_name_and_owner(self, ec2: Any) -> None:
        filters = [{"Name": "name", "Values": ["amazon-eks-node-al2023-x86_64-neuron-1.36-*"]}]
        found = ec2.describe_images(Owners=["amazon"], Filters=filters)["Images"]
        assert len(found) == len(node_images.AL2023_BUILDS)

    def test_registered_images_keep_their_properties(self, ec2: Any) -> None:
        mappings = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "VolumeType": "gp3"}}]
        made = ec2.register_image(
            Name="own",
            Architecture="arm64",
            RootDeviceName="/dev/xvda",
            VirtualizationType="hvm",
            EnaSupport=True,
            BlockDeviceMappings=mappings,
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "of", "Value": "me"}]}],
        )["ImageId"]
        mine = [{"Name": "tag:of", "Values": ["me"]}]
        (found,) = ec2.describe_images(Owners=["self"], Filters=mine)["Images"]
        assert found["ImageId"] == made
        assert (found["Architecture"], found["VirtualizationType"]) == ("arm64", "hvm")
        assert found["BlockDeviceMappings"] == mappings
        assert found["EnaSupport"] is True


class TestInstanceTypes:
    def test_instance_types_and_offerings_agree(self, ec2: Any) -> None:
        described = {
            item["InstanceType"]
            for page in ec2.get_paginator("describe_instance_types").paginate()
            for item in page["InstanceTypes"]
        }
        offered = ec2.describe_instance_type_offerings(LocationType="availability-zone")
        zones = {z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]}
        assert described == {item["InstanceType"] for item in offered["InstanceTypeOfferings"]}
        assert {item["Location"] for item in offered["InstanceTypeOfferings"]} <= zones

    @pytest.mark.parametrize(
        ("name", "gpus", "cores", "efa"),
        [
            ("g5.xlarge", 1, 0, 0), ("g6.12xlarge", 4, 0, 1), ("g6e.48xlarge", 8, 0, 4),
            ("p4d.24xlarge", 8, 0, 4), ("p5.48xlarge", 8, 0, 32), ("inf2.xlarge", 0, 2, 0),
            ("inf2.48xlarge", 0, 24, 0), ("trn1.32xlarge", 0, 32, 8),
        ],
    )  # fmt: skip
    def test_instance_types_list_accelerators_and_efa(
        self, ec2: Any, name: str, gpus: int, cores: int, efa: int
    ) -> None:
        (found,) = ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
        assert sum(gpu["Count"] for gpu in found.get("GpuInfo", {}).get("Gpus", [])) == gpus
        devices = found.get("NeuronInfo", {}).get("NeuronDevices", [])
        assert sum(d["Count"] * d["CoreInfo"]["Count"] for d in devices) == cores
        network = found["NetworkInfo"]
        assert network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0) == efa
        assert network["NetworkCards"][network["DefaultNetworkCardIndex"]]
        assert found["EbsInfo"]["EbsOptimizedInfo"]["MaximumBandwidthInMbps"]

    def test_an_unknown_id_is_rejected(self, ec2: Any) -> None:
        code = error_code_of(ec2.describe_instance_types, InstanceTypes=["g99.large"])
        assert code == "InvalidInstanceType"

    def test_spot_prices_differ_and_are_below_on_demand(self, ec2: Any) -> None:
        asked = {"ProductDescriptions": ["Linux/UNIX"], "StartTime": datetime.now(UTC)}
        history = ec2.describe_spot_price_history(**asked)["SpotPriceHistory"]
        assert len({item["InstanceType"] for item in history}) > 500
        for item in history:
            assert 0 < float(item["SpotPrice"]) < prices.on_demand(item["InstanceType"])
        some = ec2.describe_spot_price_history(InstanceTypes=["g5.xlarge"], **asked)
        assert len({item["SpotPrice"] for item in some["SpotPriceHistory"]}) > 1

    def test_no_instance_is_impaired(self, ec2: Any) -> None:
        for name, value in (
            ("instance-status.status", "impaired"),
            ("system-status.status", "impaired"),
            ("event.code", "instance-retirement"),
        ):
            filters = [{"Name": name, "Values": [value]}]
            assert ec2.describe_instance_status(Filters=filters)["InstanceStatuses"] == []


class TestReservedCapacity:
    def test_instances_use_a_reservation_until_it_is_full(
        self, sandbox: daemon_client.RunningSandbox, ec2: Any
    ) -> None:
        tags = [{"Key": "of", "Value": "karpenter"}]
        reservation = reserve(
            ec2,
            "g5.xlarge",
            "us-west-2a",
            InstanceMatchCriteria="targeted",
            TagSpecifications=[{"ResourceType": "capacity-reservation", "Tags": tags}],
        )
        node_template = NodeTemplate(sandbox, "reserved").make(
            CapacityReservationSpecification={
                "CapacityReservationPreference": "capacity-reservations-only",
                "CapacityReservationTarget": {"CapacityReservationId": reservation},
            }
        )
        fleet = node_template.fleet(node_template.override("g5.xlarge"), count=2)
        assert [e["ErrorCode"] for e in fleet["Errors"]] == ["ReservationCapacityExceeded"]
        found = node_template.instance(fleet)
        assert found["CapacityReservationId"] == reservation
        specification = found["CapacityReservationSpecification"]
        assert specification["CapacityReservationPreference"] == "capacity-reservations-only"
        filters = [
            {"Name": "state", "Values": ["active"]},
            {"Name": "tag:of", "Values": ["karpenter"]},
            {"Name": "instance-match-criteria", "Values": ["targeted"]},
        ]

        def available() -> int:
            listed = ec2.describe_capacity_reservations(Filters=filters)["CapacityReservations"]
            (known,) = [item for item in listed if item["CapacityReservationId"] == reservation]
            return int(known["AvailableInstanceCount"])

        assert available() == 0
        ec2.terminate_instances(InstanceIds=[found["InstanceId"]])
        assert available() == 1
        ec2.cancel_capacity_reservation(CapacityReservationId=reservation)
        ids = {"CapacityReservationIds": [reservation]}
        (known,) = ec2.describe_capacity_reservations(**ids)["CapacityReservations"]
        assert known["State"] == "cancelled"

    def test_an_unknown_id_is_rejected(self, ec2: Any) -> None:
        code = error_code_of(ec2.describe_capacity_reservations, CapacityReservationIds=["cr-none"])
        assert code == "InvalidCapacityReservationId.NotFound"

    def test_a_capacity_block_is_offered_and_purchased(self, ec2: Any) -> None:
        request = {"InstanceType": "p5.48xlarge", "InstanceCount": 1, "CapacityDurationHours": 24}
        offer = ec2.describe_capacity_block_offerings(**request)["CapacityBlockOfferings"][0]
        assert float(offer["UpfrontFee"]) > 1000
        bought = ec2.purchase_capacity_block(
            CapacityBlockOfferingId=offer["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )["CapacityReservation"]
        assert (bought["ReservationType"], bought["State"]) == ("capacity-block", "scheduled")
        unsupported = ec2.describe_capacity_block_offerings(
            **{**request, "InstanceType": "m5.large"}
        )
        assert unsupported["CapacityBlockOfferings"] == []

    def test_a_placement_group_is_used_and_deleted(
        self, sandbox: daemon_client.RunningSandbox, ec2: Any
    ) -> None:
        ec2.create_placement_group(GroupName="close", Strategy="cluster")
        again = error_code_of(ec2.create_placement_group, GroupName="close", Strategy="cluster")
        assert again == "InvalidPlacementGroup.Duplicate"
        filters = [{"Name": "state", "Values": ["available"]}]
        found = ec2.describe_placement_groups(GroupNames=["close"], Filters=filters)
        group = found["PlacementGroups"][0]["GroupId"]
        node_template = NodeTemplate(sandbox, "placed").make(Placement={"GroupId": group})
        fleet = node_template.fleet(node_template.override("m5.large"))
        assert node_template.instance(fleet)["Placement"]["GroupName"] == "close"
        assert (
            error_code_of(ec2.delete_placement_group, GroupName="close")
            == "InvalidPlacementGroup.InUse"
        )
        ec2.terminate_instances(InstanceIds=fleet["Instances"][0]["InstanceIds"])
        ec2.delete_placement_group(GroupName="close")
        unknown = error_code_of(ec2.describe_placement_groups, GroupNames=["close"])
        assert unknown == "InvalidPlacementGroup.Unknown"
