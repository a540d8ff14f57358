"""Fleets as Karpenter asks for them, the life of their instances, and what is told of it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.events.models import events_backends
from moto.sqs.models import sqs_backends

from jarkkit.sandbox import control
from jarkkit.sandbox.account import install
from jarkkit.sandbox.account.ec2.fleets import Pool, by_preference
from jarkkit.sandbox.account.sqs import waiting
from jarkkit.sandbox.calls import Call
from jarkkit.sandbox.clock import CLOCK, DURATIONS
from tests.sandbox.test_account import make_client, network, refused, reserve
from tests.sandbox.test_capacity import IMAGE

USER_DATA = base64.b64encode(b"kind: NodeConfig").decode()


def pool(instance_type: str, **override: Any) -> Pool:
    return Pool({}, override, instance_type, "", "us-west-2a")


class TestPreference:
    CHEAP, DEAR = pool("m5.large", Priority=2.0), pool("p5.48xlarge", Priority=1.0)

    @pytest.mark.parametrize(
        ("spot", "strategy", "priority_counts"),
        [
            (False, "", False),
            (False, "lowest-price", False),
            (False, "prioritized", True),
            (True, "lowest-price", False),
            (True, "price-capacity-optimized", True),
            (True, "capacity-optimized-prioritized", True),
        ],
    )
    def test_price_or_priority(self, spot: bool, strategy: str, priority_counts: bool) -> None:
        first = by_preference([self.CHEAP, self.DEAR], spot=spot, strategy=strategy)[0]
        assert first is (self.DEAR if priority_counts else self.CHEAP)

    def test_without_priority_the_cheapest_per_unit(self) -> None:
        small, large = pool("m5.large"), pool("m5.4xlarge", WeightedCapacity=16)
        ordered = by_preference([small, large], spot=True, strategy="price-capacity-optimized")
        assert ordered[0] is large


@dataclass
class Place:
    """What Karpenter's node class refers to, and a launch template made from it."""

    running: control.Running
    name: str
    region: str = "us-west-2"
    zones: tuple[str, ...] = ("us-west-2a", "us-west-2b")
    subnets: dict[str, str] = field(default_factory=dict)
    image: str = ""
    group: str = ""

    def client(self, service: str) -> Any:
        return make_client(self.running, service, self.region)

    def make(self, **data: Any) -> Place:
        ec2, iam = self.client("ec2"), self.client("iam")
        self.subnets = dict(zip(self.zones, network(ec2, self.zones), strict=True))
        subnet = ec2.describe_subnets(SubnetIds=list(self.subnets.values()))["Subnets"][0]
        self.group = ec2.create_security_group(
            GroupName="nodes", Description="nodes", VpcId=subnet["VpcId"]
        )["GroupId"]
        iam.create_instance_profile(InstanceProfileName=self.name)
        self.image = self.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
        template = {
            "ImageId": self.image,
            "UserData": USER_DATA,
            "SecurityGroupIds": [self.group],
            "IamInstanceProfile": {"Name": self.name},
            "MetadataOptions": {"HttpTokens": "required"},
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 50, "VolumeType": "gp3"}}
            ],
            "TagSpecifications": [
                {"ResourceType": "network-interface", "Tags": [{"Key": "of", "Value": self.name}]}
            ],
            **data,
        }
        ec2.create_launch_template(LaunchTemplateName=self.name, LaunchTemplateData=template)
        return self

    def override(self, instance_type: str, zone: str = "us-west-2a", **more: Any) -> Any:
        return {
            "InstanceType": instance_type,
            "SubnetId": self.subnets[zone],
            "AvailabilityZone": zone,
            "ImageId": self.image,
            **more,
        }

    def fleet(self, *overrides: Any, count: int = 1, kind: str = "on-demand", **more: Any) -> Any:
        options = {
            "spot": {"SpotOptions": {"AllocationStrategy": "price-capacity-optimized"}},
            "on-demand": {"OnDemandOptions": {"AllocationStrategy": "lowest-price"}},
        }[kind]
        tags = [{"Key": "karpenter.sh/nodepool", "Value": self.name}]
        template = {"LaunchTemplateName": self.name, "Version": "$Latest"}
        return self.client("ec2").create_fleet(
            **{
                "Type": "instant",
                "LaunchTemplateConfigs": [
                    {"LaunchTemplateSpecification": template, "Overrides": list(overrides)}
                ],
                "TargetCapacitySpecification": {
                    "TotalTargetCapacity": count,
                    "DefaultTargetCapacityType": kind,
                },
                "TagSpecifications": [
                    {"ResourceType": word, "Tags": tags} for word in ("instance", "volume", "fleet")
                ],
                **options,
                **more,
            }
        )

    def instance(self, fleet: Any) -> Any:
        (made,) = fleet["Instances"]
        return self.described(made["InstanceIds"][0])

    def described(self, instance_id: str) -> Any:
        found = self.client("ec2").describe_instances(InstanceIds=[instance_id])
        return found["Reservations"][0]["Instances"][0]


@pytest.fixture(scope="module")
def place(sandbox: control.Running) -> Place:
    return Place(sandbox, "fleets").make()


@pytest.fixture
def fault(sandbox: control.Running) -> Iterator[Any]:
    yield lambda *words: control.set_faults(sandbox.home, words)
    control.set_faults(sandbox.home, [])


def tags_of(thing: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}


class TestCreateFleet:
    def test_an_instance_is_all_that_its_template_and_override_say(self, place: Place) -> None:
        fleet = place.fleet(place.override("m5.large", "us-west-2b"))
        assert fleet["Errors"] == []
        (made,) = fleet["Instances"]
        chosen = made["LaunchTemplateAndOverrides"]
        assert chosen["Overrides"] == place.override("m5.large", "us-west-2b")
        assert chosen["LaunchTemplateSpecification"]["Version"] == "1"
        assert (made["Lifecycle"], made["InstanceType"]) == ("on-demand", "m5.large")
        found = place.instance(fleet)
        assert found["Placement"]["AvailabilityZone"] == "us-west-2b"
        assert found["Placement"]["AvailabilityZoneId"].startswith("usw2-az")
        assert found["SubnetId"] == place.subnets["us-west-2b"]
        assert found["ImageId"] == place.image
        assert found["SecurityGroups"] == [{"GroupId": place.group, "GroupName": "nodes"}]
        assert found["IamInstanceProfile"]["Arn"].endswith(":instance-profile/fleets")
        assert found["MetadataOptions"]["HttpTokens"] == "required"
        assert "InstanceLifecycle" not in found
        assert "SpotInstanceRequestId" not in found
        ip = found["PrivateIpAddress"].replace(".", "-")
        assert found["PrivateDnsName"] == f"ip-{ip}.us-west-2.compute.internal"
        tags = tags_of(found)
        assert tags["karpenter.sh/nodepool"] == "fleets"
        assert tags["aws:ec2:fleet-id"] == fleet["FleetId"]
        assert tags["aws:ec2launchtemplate:version"] == "1"
        assert (
            tags["aws:ec2launchtemplate:id"]
            == (chosen["LaunchTemplateSpecification"]["LaunchTemplateId"])
        )

    def test_its_interface_volume_and_user_data(self, place: Place) -> None:
        ec2 = place.client("ec2")
        found = place.instance(place.fleet(place.override("m5.large")))
        (interface,) = found["NetworkInterfaces"]
        assert [group["GroupId"] for group in interface["Groups"]] == [place.group]
        asked = {"NetworkInterfaceIds": [interface["NetworkInterfaceId"]]}
        alone = ec2.describe_network_interfaces(**asked)["NetworkInterfaces"][0]
        assert {tag["Key"]: tag["Value"] for tag in alone["TagSet"]} == {"of": "fleets"}
        (mapping,) = found["BlockDeviceMappings"]
        assert (mapping["DeviceName"], mapping["Ebs"]["DeleteOnTermination"]) == ("/dev/xvda", True)
        volumes = {"VolumeIds": [mapping["Ebs"]["VolumeId"]]}
        volume = ec2.describe_volumes(**volumes)["Volumes"][0]
        assert (volume["Size"], volume["VolumeType"]) == (50, "gp3")
        assert tags_of(volume)["karpenter.sh/nodepool"] == "fleets"
        data = ec2.describe_instance_attribute(InstanceId=found["InstanceId"], Attribute="userData")
        assert data["UserData"]["Value"] == USER_DATA
        for _ in range(2):  # a second time is no error
            ended = ec2.terminate_instances(InstanceIds=[found["InstanceId"]])
        assert ended["TerminatingInstances"][0]["PreviousState"]["Name"] == "terminated"
        assert (
            refused(ec2.describe_network_interfaces, **asked)
            == "InvalidNetworkInterfaceID.NotFound"
        )
        assert refused(ec2.describe_volumes, **volumes) == "InvalidVolume.NotFound"

    def test_spot_instances_have_a_request_and_the_lowest_priority_wins(self, place: Place) -> None:
        fleet = place.fleet(
            place.override("m5.large", Priority=0.2),
            place.override("m5.4xlarge", Priority=0.1),
            kind="spot",
        )
        (made,) = fleet["Instances"]
        assert (made["Lifecycle"], made["InstanceType"]) == ("spot", "m5.4xlarge")
        found = place.instance(fleet)
        assert found["InstanceLifecycle"] == "spot"
        asked = {"SpotInstanceRequestIds": [found["SpotInstanceRequestId"]]}
        request = place.client("ec2").describe_spot_instance_requests(**asked)
        (request,) = request["SpotInstanceRequests"]
        assert (request["State"], request["InstanceId"]) == ("active", found["InstanceId"])

    def test_on_demand_takes_the_cheapest_whatever_the_order(self, place: Place) -> None:
        fleet = place.fleet(place.override("m5.4xlarge"), place.override("m5.large"), count=2)
        (made,) = fleet["Instances"]
        assert (made["InstanceType"], len(made["InstanceIds"])) == ("m5.large", 2)

    def test_what_has_no_capacity_is_an_error_and_the_next_one_is_taken(
        self, place: Place, fault: Any
    ) -> None:
        fault("insufficient-capacity:g5.xlarge,us-west-2b")
        overrides = [
            place.override("g5.xlarge", Priority=1.0),
            place.override("m5.large", "us-west-2b", Priority=2.0),
            place.override("m5.large", Priority=3.0),
        ]
        how = {"OnDemandOptions": {"AllocationStrategy": "prioritized"}}
        fleet = place.fleet(*overrides, **how)
        assert [made["InstanceType"] for made in fleet["Instances"]] == ["m5.large"]
        assert [e["ErrorCode"] for e in fleet["Errors"]] == ["InsufficientInstanceCapacity"] * 2
        first = fleet["Errors"][0]
        assert first["Lifecycle"] == "on-demand"
        assert "sufficient g5.xlarge capacity in the Availability Zone" in first["ErrorMessage"]
        assert first["LaunchTemplateAndOverrides"]["Overrides"] == overrides[0]
        assert first["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"]["Version"] == "1"

    def test_without_any_capacity_there_are_only_errors(self, place: Place, fault: Any) -> None:
        fault("insufficient-capacity")
        fleet = place.fleet(place.override("m5.large"), kind="spot")
        assert fleet["Instances"] == []
        assert fleet["Errors"][0]["Lifecycle"] == "spot"

    def test_a_named_call_is_refused_whole(self, place: Place, fault: Any) -> None:
        fault("insufficient-capacity:ec2.CreateFleet")
        with pytest.raises(ClientError) as caught:
            place.fleet(place.override("m5.large"))
        assert caught.value.response["Error"]["Code"] == "InsufficientInstanceCapacity"

    def test_a_quota_lets_some_through(self, place: Place) -> None:
        fleet = place.fleet(place.override("g5.12xlarge"), count=3)
        try:
            assert [len(made["InstanceIds"]) for made in fleet["Instances"]] == [1]
            assert [error["ErrorCode"] for error in fleet["Errors"]] == ["VcpuLimitExceeded"]
            other = place.fleet(place.override("g5.48xlarge"), kind="spot")
            assert other["Errors"][0]["ErrorCode"] == "MaxSpotInstanceCountExceeded"
        finally:
            ids = fleet["Instances"][0]["InstanceIds"]
            place.client("ec2").terminate_instances(InstanceIds=ids)

    def test_what_cannot_be_is_an_error_too(self, place: Place) -> None:
        for override, expected in (
            (place.override("m6g.large"), "InvalidParameterValue"),
            (place.override("m5.large", ImageId="ami-none"), "InvalidAMIID.NotFound"),
        ):
            assert place.fleet(override)["Errors"][0]["ErrorCode"] == expected
        arguments = {"LaunchTemplateName": "no-such-template", "Version": "$Latest"}
        with pytest.raises(ClientError) as caught:
            place.fleet(LaunchTemplateConfigs=[{"LaunchTemplateSpecification": arguments}])
        code = caught.value.response["Error"]["Code"]
        assert code == "InvalidLaunchTemplateName.NotFoundException"

    def test_a_dry_run_launches_nothing(self, place: Place, fault: Any) -> None:
        fault("insufficient-capacity")
        with pytest.raises(ClientError) as caught:
            place.fleet(place.override("m5.large"), DryRun=True)
        assert caught.value.response["Error"]["Code"] == "DryRunOperation"

    def test_it_is_described_to_those_who_know_its_id(self, place: Place) -> None:
        ec2 = place.client("ec2")
        made = place.fleet(place.override("m5.large"))
        (found,) = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
        assert (found["Type"], found["FulfilledCapacity"]) == ("instant", 1.0)
        assert found["Instances"][0]["InstanceIds"] == made["Instances"][0]["InstanceIds"]
        assert ec2.describe_fleets()["Fleets"] == []
        ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
        assert place.instance(made)["State"]["Name"] == "terminated"


def test_run_instances_does_the_same(place: Place) -> None:
    ec2 = place.client("ec2")
    template = {"LaunchTemplateName": place.name}
    wish = {"InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1, "LaunchTemplate": template}
    for profile in ({}, {"IamInstanceProfile": {"Name": place.name}}):
        made = ec2.run_instances(**wish, **profile, SubnetId=place.subnets["us-west-2a"])
        found = place.described(made["Instances"][0]["InstanceId"])
        assert found["IamInstanceProfile"]["Arn"].endswith(f"/{place.name}")
        assert found["SecurityGroups"][0]["GroupId"] == place.group
        assert len(found["BlockDeviceMappings"]) == 1
    missing = {"IamInstanceProfile": {"Name": "no-such-profile"}}
    with pytest.raises(ClientError):
        ec2.run_instances(**wish, **missing)


def test_interfaces_of_a_template_bring_their_groups(sandbox: control.Running) -> None:
    """As Karpenter writes them for EFA: cards share a device index."""
    place = Place(sandbox, "efa", zones=("us-west-2a", "us-west-2c")).make()
    cards = [
        {
            "NetworkCardIndex": card,
            "DeviceIndex": min(card, 1),
            "InterfaceType": "efa",
            "Groups": [place.group],
        }
        for card in range(4)
    ]
    data = {"ImageId": place.image, "NetworkInterfaces": cards}
    ec2 = place.client("ec2")
    ec2.create_launch_template_version(LaunchTemplateName="efa", LaunchTemplateData=data)
    found = place.instance(place.fleet(place.override("m5.large", "us-west-2c")))
    assert [item["InterfaceType"] for item in found["NetworkInterfaces"]] == ["efa"] * 4
    assert [group["GroupId"] for group in found["SecurityGroups"]] == [place.group]
    assert {item["SubnetId"] for item in found["NetworkInterfaces"]} == {found["SubnetId"]}


class TestLongPolls:
    RECEIVE = Call("sqs", "ReceiveMessage")

    def test_the_account_never_waits(self, place: Place) -> None:
        """Else nobody could send the message that is waited for."""
        sqs, ec2 = place.client("sqs"), place.client("ec2")
        url = sqs.create_queue(QueueName="empty")["QueueUrl"]
        polling = threading.Thread(
            target=sqs.receive_message, kwargs={"QueueUrl": url, "WaitTimeSeconds": 4}
        )
        polling.start()
        began = time.monotonic()
        ec2.describe_vpcs()
        assert time.monotonic() - began < 2
        polling.join()

    @pytest.mark.parametrize(
        ("call", "body", "seconds"),
        [
            (RECEIVE, b'{"WaitTimeSeconds": 20}', 20),
            (RECEIVE, b"{}", 0),
            (RECEIVE, b"not json", 0),
            (RECEIVE._replace(xml=True), b"Action=ReceiveMessage&WaitTimeSeconds=3", 3),
            (Call("sqs", "SendMessage"), b'{"WaitTimeSeconds": 20}', 0),
        ],
    )
    def test_how_long_a_call_would_wait(self, call: Call, body: bytes, seconds: float) -> None:
        assert waiting.patience(waiting.members(call, body)) == seconds

    def test_the_server_waits_until_there_is_a_message(self) -> None:
        install()
        with mock_aws():
            queue: Any = sqs_backends[DEFAULT_ACCOUNT_ID]["us-west-2"].create_queue("long", {})
            body = json.dumps({"QueueUrl": f"http://x/1/{queue.name}", "WaitTimeSeconds": 20})
            environ = {
                "jarkkit.body": body.encode(),
                "HTTP_AUTHORIZATION": "AWS4 Credential=key/20261101/us-west-2/sqs/aws4_request",
            }
            lock, stopping = threading.Lock(), threading.Event()
            asking = threading.Thread(
                target=waiting.for_message, args=(self.RECEIVE, environ, lock, stopping)
            )
            asking.start()
            asking.join(0.5)
            assert asking.is_alive()
            with lock:
                sqs_backends[DEFAULT_ACCOUNT_ID]["us-west-2"].send_message("long", "at last")
            asking.join(5)
            assert not asking.is_alive()


class TestInterruption:
    """Through the queue and the rules that terraform/modules/karpenter makes."""

    KINDS = ("EC2 Spot Instance Interruption Warning", "EC2 Instance State-change Notification")

    def rules(self, place: Place) -> str:
        events, sqs = place.client("events"), place.client("sqs")
        url: str = sqs.create_queue(QueueName=place.name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        for index, kind in enumerate(self.KINDS):
            pattern = json.dumps({"source": ["aws.ec2"], "detail-type": [kind]})
            events.put_rule(Name=f"{place.name}-{index}", EventPattern=pattern)
            target = {"Id": "karpenter", "Arn": arn["QueueArn"]}
            events.put_targets(Rule=f"{place.name}-{index}", Targets=[target])
        pattern = json.dumps({"source": ["aws.health"]})
        events.put_rule(Name=f"{place.name}-other", EventPattern=pattern)
        events.put_targets(Rule=f"{place.name}-other", Targets=[target])
        return url

    def heard(self, place: Place, url: str) -> list[Any]:
        found = place.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    def test_the_end_of_an_instance_is_told(self, sandbox: control.Running) -> None:
        place = Place(sandbox, "told").make()
        url = self.rules(place)
        (made,) = place.fleet(place.override("m5.large"))["Instances"]
        place.client("ec2").terminate_instances(InstanceIds=made["InstanceIds"])
        told = self.heard(place, url)
        assert {event["detail"]["state"] for event in told} == {"shutting-down", "terminated"}
        event = told[0]
        assert event["detail-type"] == self.KINDS[1]
        assert (event["source"], event["region"], event["version"]) == ("aws.ec2", "us-west-2", "0")
        assert event["detail"]["instance-id"] == made["InstanceIds"][0]
        assert event["time"].endswith("Z")
        place.client("sqs").delete_queue(QueueUrl=url)
        (made,) = place.fleet(place.override("m5.large"))["Instances"]
        place.client("ec2").terminate_instances(InstanceIds=made["InstanceIds"])

    def test_a_spot_instance_is_warned_and_ends_two_minutes_later(self) -> None:
        """In this process, as the daemon's own controllers would call it."""
        install()
        assert DURATIONS["Spot interruption"] == 120.0
        CLOCK.speed = 120.0
        try:
            with mock_aws():
                self._interrupt()
        finally:
            CLOCK.speed = 0.0

    def _interrupt(self) -> None:
        at = DEFAULT_ACCOUNT_ID, "us-west-2"
        ec2, events, sqs = (
            backends[at[0]][at[1]] for backends in (ec2_backends, events_backends, sqs_backends)
        )
        queue: Any = sqs.create_queue("warned", {})
        pattern = json.dumps({"detail-type": [self.KINDS[0]]})
        events.put_rule("warned", event_pattern=pattern)
        events.put_targets("warned", None, [{"Id": "karpenter", "Arn": queue.queue_arn}])
        backend: Any = ec2
        image = next(iter(backend.describe_images(owners=["602401143452"])))
        given = {"instance_type": "m5.large", "instance_market_options": "spot"}
        (spot,) = backend.run_instances(image.id, 1, None, [], **given).instances
        backend.interrupt_spot_instance(spot.id)
        (message,) = sqs.receive_message("warned", 10, 0, 30)
        warning = json.loads(message.body)
        assert warning["detail"] == {"instance-id": spot.id, "instance-action": "terminate"}
        assert warning["detail-type"] == self.KINDS[0]
        assert spot.state == "running"
        deadline = time.monotonic() + 10
        while spot.state != "terminated":
            assert time.monotonic() < deadline
            time.sleep(0.1)
            backend.later.catch_up(backend)
        assert spot.state_reason.code == "Server.SpotInstanceTermination"
        request = backend.spot_instance_requests[spot.spot_instance_request_id]
        assert request.status["Code"] == "instance-terminated-no-capacity"


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    running = control.start(tmp_path, account_only=True)
    try:
        place = Place(running, "kept").make()
        fleet = place.fleet(place.override("m5.large"), kind="spot")
        ec2 = place.client("ec2")
        ec2.create_placement_group(GroupName="kept", Strategy="cluster")
        held = reserve(ec2, "m5.large", "us-west-2a")
        control.stop(tmp_path)
        place.running = control.start(tmp_path, account_only=True)
        ec2 = place.client("ec2")
        assert place.instance(fleet)["InstanceLifecycle"] == "spot"
        assert ec2.describe_fleets(FleetIds=[fleet["FleetId"]])["Fleets"][0]["Instances"]
        assert ec2.describe_placement_groups(GroupNames=["kept"])["PlacementGroups"]
        assert ec2.describe_capacity_reservations(CapacityReservationIds=[held])
        image = place.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
        assert image == place.image
    finally:
        control.stop(tmp_path)
