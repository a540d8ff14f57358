"""Launch templates, and the fleets that are launched from them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from jarkkit.sandbox import daemon_client
from tests.support.account import IMAGE, make_client, network

USER_DATA = base64.b64encode(b"kind: NodeConfig").decode()


@dataclass
class NodeTemplate:
    """The resources that Karpenter's node class refers to, and a launch template with them."""

    running: daemon_client.RunningSandbox
    name: str
    region: str = "us-west-2"
    zones: tuple[str, ...] = ("us-west-2a", "us-west-2b")
    subnets: dict[str, str] = field(default_factory=dict)
    image: str = ""
    group: str = ""

    def client(self, service: str) -> Any:
        return make_client(self.running, service, self.region)

    def make(self, **data: Any) -> NodeTemplate:
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
