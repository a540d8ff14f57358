"""Fleets as Karpenter requests them, the lifecycle of their instances, and its events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.events.models import events_backends
from moto.sqs.models import sqs_backends

from jarkkit.catalog.facts import durations
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.account import install
from jarkkit.sandbox.account.ec2.fleets import CapacityPool, ordered_pools
from jarkkit.sandbox.account.sqs import long_polling
from jarkkit.sandbox.api_calls import Call
from jarkkit.sandbox.clock import CLOCK
from tests.support.account import IMAGE, error_code_of, reserve
from tests.support.fleets import USER_DATA, NodeTemplate
from tests.support.poll import wait_for


def pool(instance_type: str, **override: Any) -> CapacityPool:
    return CapacityPool({}, override, instance_type, "", "us-west-2a")


class TestPreference:
    CHEAP, EXPENSIVE = pool("m5.large", Priority=2.0), pool("p5.48xlarge", Priority=1.0)

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
    def test_pools_are_ordered_by_price_or_priority(
        self, spot: bool, strategy: str, priority_counts: bool
    ) -> None:
        first = ordered_pools([self.CHEAP, self.EXPENSIVE], spot=spot, strategy=strategy)[0]
        assert first is (self.EXPENSIVE if priority_counts else self.CHEAP)

    def test_the_cheapest_pool_per_unit_is_first_without_priorities(self) -> None:
        small, large = pool("m5.large"), pool("m5.4xlarge", WeightedCapacity=16)
        ordered = ordered_pools([small, large], spot=True, strategy="price-capacity-optimized")
        assert ordered[0] is large


@pytest.fixture(scope="module")
def node_template(sandbox: daemon_client.RunningSandbox) -> NodeTemplate:
    return NodeTemplate(sandbox, "fleets").make()


@pytest.fixture
def set_faults(sandbox: daemon_client.RunningSandbox) -> Iterator[Any]:
    yield lambda *faults: daemon_client.set_faults(sandbox.home, faults)
    daemon_client.set_faults(sandbox.home, [])


def tags_of(resource: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource["Tags"]}


class TestCreateFleet:
    def test_an_instance_follows_its_template_and_override(
        self, node_template: NodeTemplate
    ) -> None:
        fleet = node_template.fleet(node_template.override("m5.large", "us-west-2b"))
        assert fleet["Errors"] == []
        (made,) = fleet["Instances"]
        chosen = made["LaunchTemplateAndOverrides"]
        assert chosen["Overrides"] == node_template.override("m5.large", "us-west-2b")
        assert chosen["LaunchTemplateSpecification"]["Version"] == "1"
        assert (made["Lifecycle"], made["InstanceType"]) == ("on-demand", "m5.large")
        found = node_template.instance(fleet)
        assert found["Placement"]["AvailabilityZone"] == "us-west-2b"
        assert found["Placement"]["AvailabilityZoneId"].startswith("usw2-az")
        assert found["SubnetId"] == node_template.subnets["us-west-2b"]
        assert found["ImageId"] == node_template.image
        assert found["SecurityGroups"] == [{"GroupId": node_template.group, "GroupName": "nodes"}]
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

    def test_an_instance_has_interface_volume_and_user_data(
        self, node_template: NodeTemplate
    ) -> None:
        ec2 = node_template.client("ec2")
        found = node_template.instance(node_template.fleet(node_template.override("m5.large")))
        (interface,) = found["NetworkInterfaces"]
        assert [group["GroupId"] for group in interface["Groups"]] == [node_template.group]
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
        for _ in range(2):  # a second call is not an error
            ended = ec2.terminate_instances(InstanceIds=[found["InstanceId"]])
        assert ended["TerminatingInstances"][0]["PreviousState"]["Name"] == "terminated"
        assert (
            error_code_of(ec2.describe_network_interfaces, **asked)
            == "InvalidNetworkInterfaceID.NotFound"
        )
        assert error_code_of(ec2.describe_volumes, **volumes) == "InvalidVolume.NotFound"

    def test_spot_instances_have_a_request_and_use_the_first_priority(
        self, node_template: NodeTemplate
    ) -> None:
        fleet = node_template.fleet(
            node_template.override("m5.large", Priority=0.2),
            node_template.override("m5.4xlarge", Priority=0.1),
            kind="spot",
        )
        (made,) = fleet["Instances"]
        assert (made["Lifecycle"], made["InstanceType"]) == ("spot", "m5.4xlarge")
        found = node_template.instance(fleet)
        assert found["InstanceLifecycle"] == "spot"
        asked = {"SpotInstanceRequestIds": [found["SpotInstanceRequestId"]]}
        request = node_template.client("ec2").describe_spot_instance_requests(**asked)
        (request,) = request["SpotInstanceRequests"]
        assert (request["State"], request["InstanceId"]) == ("active", found["InstanceId"])

    def test_on_demand_uses_the_cheapest_pool_in_any_order(
        self, node_template: NodeTemplate
    ) -> None:
        fleet = node_template.fleet(
            node_template.override("m5.4xlarge"), node_template.override("m5.large"), count=2
        )
        (made,) = fleet["Instances"]
        assert (made["InstanceType"], len(made["InstanceIds"])) == ("m5.large", 2)

    def test_a_pool_without_capacity_is_an_error_and_the_next_is_used(
        self, node_template: NodeTemplate, set_faults: Any
    ) -> None:
        set_faults("insufficient-capacity:g5.xlarge,us-west-2b")
        overrides = [
            node_template.override("g5.xlarge", Priority=1.0),
            node_template.override("m5.large", "us-west-2b", Priority=2.0),
            node_template.override("m5.large", Priority=3.0),
        ]
        how = {"AllocationStrategy": "prioritized"}
        fleet = node_template.fleet(*overrides, OnDemandOptions=how)
        assert [made["InstanceType"] for made in fleet["Instances"]] == ["m5.large"]
        assert [e["ErrorCode"] for e in fleet["Errors"]] == ["InsufficientInstanceCapacity"] * 2
        first = fleet["Errors"][0]
        assert first["Lifecycle"] == "on-demand"
        assert "sufficient g5.xlarge capacity in the Availability Zone" in first["ErrorMessage"]
        assert first["LaunchTemplateAndOverrides"]["Overrides"] == overrides[0]
        assert first["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"]["Version"] == "1"

    def test_a_fleet_without_any_capacity_has_only_errors(
        self, node_template: NodeTemplate, set_faults: Any
    ) -> None:
        set_faults("insufficient-capacity")
        fleet = node_template.fleet(node_template.override("m5.large"), kind="spot")
        assert fleet["Instances"] == []
        assert fleet["Errors"][0]["Lifecycle"] == "spot"

    def test_a_named_call_is_rejected_entirely(
        self, node_template: NodeTemplate, set_faults: Any
    ) -> None:
        set_faults("insufficient-capacity:ec2.CreateFleet")
        with pytest.raises(ClientError) as caught:
            node_template.fleet(node_template.override("m5.large"))
        assert caught.value.response["Error"]["Code"] == "InsufficientInstanceCapacity"

    def test_a_quota_allows_some_of_the_instances(self, node_template: NodeTemplate) -> None:
        fleet = node_template.fleet(node_template.override("g5.12xlarge"), count=3)
        try:
            assert [len(made["InstanceIds"]) for made in fleet["Instances"]] == [1]
            assert [error["ErrorCode"] for error in fleet["Errors"]] == ["VcpuLimitExceeded"]
            other = node_template.fleet(node_template.override("g5.48xlarge"), kind="spot")
            assert other["Errors"][0]["ErrorCode"] == "MaxSpotInstanceCountExceeded"
        finally:
            ids = fleet["Instances"][0]["InstanceIds"]
            node_template.client("ec2").terminate_instances(InstanceIds=ids)

    def test_an_invalid_override_is_an_error_of_the_fleet(
        self, node_template: NodeTemplate
    ) -> None:
        for override, expected in (
            (node_template.override("m6g.large"), "InvalidParameterValue"),
            (node_template.override("m5.large", ImageId="ami-none"), "InvalidAMIID.NotFound"),
        ):
            assert node_template.fleet(override)["Errors"][0]["ErrorCode"] == expected
        arguments = {"LaunchTemplateName": "no-such-template", "Version": "$Latest"}
        with pytest.raises(ClientError) as caught:
            node_template.fleet(LaunchTemplateConfigs=[{"LaunchTemplateSpecification": arguments}])
        code = caught.value.response["Error"]["Code"]
        assert code == "InvalidLaunchTemplateName.NotFoundException"

    def test_a_dry_run_launches_nothing(self, node_template: NodeTemplate, set_faults: Any) -> None:
        set_faults("insufficient-capacity")
        with pytest.raises(ClientError) as caught:
            node_template.fleet(node_template.override("m5.large"), DryRun=True)
        assert caught.value.response["Error"]["Code"] == "DryRunOperation"

    def test_a_fleet_is_described_by_its_id(self, node_template: NodeTemplate) -> None:
        ec2 = node_template.client("ec2")
        made = node_template.fleet(node_template.override("m5.large"))
        (found,) = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
        assert (found["Type"], found["FulfilledCapacity"]) == ("instant", 1.0)
        assert found["Instances"][0]["InstanceIds"] == made["Instances"][0]["InstanceIds"]
        assert ec2.describe_fleets()["Fleets"] == []
        ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
        assert node_template.instance(made)["State"]["Name"] == "terminated"


def test_run_instances_also_uses_the_launch_template(node_template: NodeTemplate) -> None:
    ec2 = node_template.client("ec2")
    template = {"LaunchTemplateName": node_template.name}
    request = {"InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1, "LaunchTemplate": template}
    for profile in ({}, {"IamInstanceProfile": {"Name": node_template.name}}):
        made = ec2.run_instances(**request, **profile, SubnetId=node_template.subnets["us-west-2a"])
        found = node_template.described(made["Instances"][0]["InstanceId"])
        assert found["IamInstanceProfile"]["Arn"].endswith(f"/{node_template.name}")
        assert found["SecurityGroups"][0]["GroupId"] == node_template.group
        assert len(found["BlockDeviceMappings"]) == 1
    missing = {"IamInstanceProfile": {"Name": "no-such-profile"}}
    with pytest.raises(ClientError):
        ec2.run_instances(**request, **missing)


def test_interfaces_of_a_template_have_their_security_groups(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    """As Karpenter writes interfaces for EFA: network cards share a device index."""
    node_template = NodeTemplate(sandbox, "efa", zones=("us-west-2a", "us-west-2c")).make()
    cards = [
        {
            "NetworkCardIndex": card,
            "DeviceIndex": min(card, 1),
            "InterfaceType": "efa",
            "Groups": [node_template.group],
        }
        for card in range(4)
    ]
    data = {"ImageId": node_template.image, "NetworkInterfaces": cards}
    ec2 = node_template.client("ec2")
    ec2.create_launch_template_version(LaunchTemplateName="efa", LaunchTemplateData=data)
    found = node_template.instance(
        node_template.fleet(node_template.override("m5.large", "us-west-2c"))
    )
    assert [item["InterfaceType"] for item in found["NetworkInterfaces"]] == ["efa"] * 4
    assert [group["GroupId"] for group in found["SecurityGroups"]] == [node_template.group]
    assert {item["SubnetId"] for item in found["NetworkInterfaces"]} == {found["SubnetId"]}


class TestLongPolls:
    RECEIVE = Call("sqs", "ReceiveMessage")

    def test_a_long_poll_does_not_block_other_calls(self, node_template: NodeTemplate) -> None:
        """Otherwise no client could send the message that the poll waits for."""
        sqs, ec2 = node_template.client("sqs"), node_template.client("ec2")
        url = sqs.create_queue(QueueName="empty")["QueueUrl"]
        polling = threading.Thread(
            target=sqs.receive_message, kwargs={"QueueUrl": url, "WaitTimeSeconds": 20}
        )
        polling.start()
        ec2.describe_vpcs()
        assert polling.is_alive()
        sqs.send_message(QueueUrl=url, MessageBody="ends the poll")
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
    def test_the_wait_of_a_call_is_read_from_its_body(
        self, call: Call, body: bytes, seconds: float
    ) -> None:
        assert long_polling.wait_seconds(long_polling.request_members(call, body)) == seconds

    def test_a_long_poll_waits_until_there_is_a_message(self) -> None:
        install()
        with mock_aws():
            queue: Any = sqs_backends[DEFAULT_ACCOUNT_ID]["us-west-2"].create_queue("long", {})
            body = json.dumps({"QueueUrl": f"http://x/1/{queue.name}", "WaitTimeSeconds": 20})
            environ = {
                "jarkkit.body": body.encode(),
                "HTTP_AUTHORIZATION": "AWS4 Credential=key/20261101/us-west-2/sqs/aws4_request",
            }
            lock, stopping = threading.Lock(), threading.Event()
            waiter = threading.Thread(
                target=long_polling.wait_for_message, args=(self.RECEIVE, environ, lock, stopping)
            )
            waiter.start()
            waiter.join(0.5)
            assert waiter.is_alive()
            with lock:
                sqs_backends[DEFAULT_ACCOUNT_ID]["us-west-2"].send_message("long", "at last")
            waiter.join(5)
            assert not waiter.is_alive()


class TestInterruption:
    """Events through a queue and rules like those in terraform/modules/karpenter."""

    KINDS = ("EC2 Spot Instance Interruption Warning", "EC2 Instance State-change Notification")

    def create_rules(self, node_template: NodeTemplate) -> str:
        events, sqs = node_template.client("events"), node_template.client("sqs")
        url: str = sqs.create_queue(QueueName=node_template.name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        for index, kind in enumerate(self.KINDS):
            pattern = json.dumps({"source": ["aws.ec2"], "detail-type": [kind]})
            events.put_rule(Name=f"{node_template.name}-{index}", EventPattern=pattern)
            target = {"Id": "karpenter", "Arn": arn["QueueArn"]}
            events.put_targets(Rule=f"{node_template.name}-{index}", Targets=[target])
        pattern = json.dumps({"source": ["aws.health"]})
        events.put_rule(Name=f"{node_template.name}-other", EventPattern=pattern)
        events.put_targets(Rule=f"{node_template.name}-other", Targets=[target])
        return url

    def received_events(self, node_template: NodeTemplate, url: str) -> list[Any]:
        found = node_template.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    def test_the_termination_of_an_instance_is_an_event(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        node_template = NodeTemplate(sandbox, "events").make()
        url = self.create_rules(node_template)
        (made,) = node_template.fleet(node_template.override("m5.large"))["Instances"]
        node_template.client("ec2").terminate_instances(InstanceIds=made["InstanceIds"])
        events = self.received_events(node_template, url)
        assert {event["detail"]["state"] for event in events} == {"shutting-down", "terminated"}
        event = events[0]
        assert event["detail-type"] == self.KINDS[1]
        assert (event["source"], event["region"], event["version"]) == ("aws.ec2", "us-west-2", "0")
        assert event["detail"]["instance-id"] == made["InstanceIds"][0]
        assert event["time"].endswith("Z")
        node_template.client("sqs").delete_queue(QueueUrl=url)
        (made,) = node_template.fleet(node_template.override("m5.large"))["Instances"]
        node_template.client("ec2").terminate_instances(InstanceIds=made["InstanceIds"])

    def test_a_spot_interruption_warns_two_minutes_before_termination(self) -> None:
        """Runs in this process, as the daemon's controllers do."""
        install()
        assert durations()["Spot interruption"].seconds == 120.0
        CLOCK.speed = 120.0
        try:
            with mock_aws():
                self._interrupt()
        finally:
            CLOCK.speed = 0.0

    def _interrupt(self) -> None:
        account, region = DEFAULT_ACCOUNT_ID, "us-west-2"
        events, sqs = events_backends[account][region], sqs_backends[account][region]
        queue: Any = sqs.create_queue("warned", {})
        pattern = json.dumps({"detail-type": [self.KINDS[0]]})
        events.put_rule("warned", event_pattern=pattern)
        events.put_targets("warned", None, [{"Id": "karpenter", "Arn": queue.queue_arn}])
        backend: Any = ec2_backends[account][region]
        image = next(iter(backend.describe_images(owners=["602401143452"])))
        given = {"instance_type": "m5.large", "instance_market_options": "spot"}
        (spot,) = backend.run_instances(image.id, 1, None, [], **given).instances
        backend.interrupt_spot_instance(spot.id)
        (message,) = sqs.receive_message("warned", 10, 0, 30)
        warning = json.loads(message.body)
        assert warning["detail"] == {"instance-id": spot.id, "instance-action": "terminate"}
        assert warning["detail-type"] == self.KINDS[0]
        assert spot.state == "running"

        def is_terminated() -> bool:
            backend.later.catch_up(backend)
            return bool(spot.state == "terminated")

        wait_for(is_terminated, 10)
        assert spot.state_reason.code == "Server.SpotInstanceTermination"
        request = backend.spot_instance_requests[spot.spot_instance_request_id]
        assert request.status["Code"] == "instance-terminated-no-capacity"


def test_fleets_and_reservations_survive_a_restart(tmp_path: Path) -> None:
    running = daemon_client.start(tmp_path, account_only=True)
    try:
        node_template = NodeTemplate(running, "kept").make()
        fleet = node_template.fleet(node_template.override("m5.large"), kind="spot")
        ec2 = node_template.client("ec2")
        ec2.create_placement_group(GroupName="kept", Strategy="cluster")
        held = reserve(ec2, "m5.large", "us-west-2a")
        daemon_client.stop(tmp_path)
        node_template.running = daemon_client.start(tmp_path, account_only=True)
        ec2 = node_template.client("ec2")
        assert node_template.instance(fleet)["InstanceLifecycle"] == "spot"
        assert ec2.describe_fleets(FleetIds=[fleet["FleetId"]])["Fleets"][0]["Instances"]
        assert ec2.describe_placement_groups(GroupNames=["kept"])["PlacementGroups"]
        assert ec2.describe_capacity_reservations(CapacityReservationIds=[held])
        image = node_template.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
        assert image == node_template.image
    finally:
        daemon_client.stop(tmp_path)
