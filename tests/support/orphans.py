"""Resources that a cluster's controllers leave behind, planted in a simulated account."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as a list of pairs."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specification(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    """Return tags as the argument TagSpecifications."""
    return [{"ResourceType": kind, "Tags": pairs(tags)}]


def plant_orphans(client: Client, name: str, subnets: list[str]) -> set[tuple[str, str]]:
    """Create 20 resources as the cluster's controllers and AWS services do.

    Return the type and the id of each.
    """
    ec2, elb, elbv2, logs = client("ec2"), client("elb"), client("elbv2"), client("logs")
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    of_cloud = {f"kubernetes.io/cluster/{name}": "owned"}
    of_balancers = {"elbv2.k8s.aws/cluster": name}
    of_cni = {"cluster.k8s.amazonaws.com/name": name, "node.k8s.amazonaws.com/instance_id": "i-1"}
    own = {"jarkkit:deployment": name}
    found: set[tuple[str, str]] = set()

    def add(kind: str, identity: str) -> str:
        found.add((kind, identity))
        return identity

    def group(title: str, tags: dict[str, str]) -> str:
        made = ec2.create_security_group(
            GroupName=f"{name}-{title}",
            Description="planted",
            VpcId=vpc,
            TagSpecifications=specification("security-group", tags),
        )
        return add("aws_security_group", made["GroupId"])

    front, back = group("k8s-elb", of_cloud), group("k8s-traffic", of_balancers)
    # As the load balancer controller does: a rule in one group that refers to the other.
    ec2.authorize_security_group_ingress(
        GroupId=front,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "UserIdGroupPairs": [{"GroupId": back}],
            }
        ],
    )
    elb.create_load_balancer(
        LoadBalancerName=f"{name}-classic",
        Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}],
        Subnets=subnets,
        SecurityGroups=[front],
        Tags=pairs(of_cloud),
    )
    add("aws_elb", f"{name}-classic")
    for kind, tags in (("network", of_cloud), ("application", of_balancers)):
        made = elbv2.create_load_balancer(
            Name=f"{name}-{kind[:3]}", Subnets=subnets, Type=kind, Tags=pairs(tags)
        )["LoadBalancers"][0]
        balancer = add("aws_lb", made["LoadBalancerArn"])
        target = elbv2.create_target_group(
            Name=f"{name}-tg-{kind[:3]}",
            Protocol="TCP" if kind == "network" else "HTTP",
            Port=80,
            VpcId=vpc,
            TargetType="ip",
            Tags=pairs(tags),
        )["TargetGroups"][0]
        elbv2.create_listener(
            LoadBalancerArn=balancer,
            Protocol="TCP" if kind == "network" else "HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": target["TargetGroupArn"]}],
        )
        add("aws_lb_target_group", target["TargetGroupArn"])
    for tags in (of_cni, own):
        made = ec2.create_network_interface(
            SubnetId=subnets[0],
            Description="aws-K8S-i-1",
            Groups=[back],
            TagSpecifications=specification("network-interface", tags),
        )
        add("aws_network_interface", made["NetworkInterface"]["NetworkInterfaceId"])
    zone = ec2.describe_subnets(SubnetIds=subnets[:1])["Subnets"][0]["AvailabilityZone"]
    volume = ec2.create_volume(
        AvailabilityZone=zone,
        Size=20,
        VolumeType="gp3",
        TagSpecifications=specification("volume", of_cloud),
    )["VolumeId"]
    add("aws_ebs_volume", volume)
    snapshot = ec2.create_snapshot(
        VolumeId=volume, TagSpecifications=specification("snapshot", own)
    )
    add("aws_ebs_snapshot", snapshot["SnapshotId"])
    template = ec2.create_launch_template(
        LaunchTemplateName=f"karpenter.k8s.aws/{name}",
        LaunchTemplateData={"InstanceType": "m5.large"},
        TagSpecifications=specification("launch-template", {"karpenter.k8s.aws/cluster": name}),
    )["LaunchTemplate"]
    add("aws_launch_template", template["LaunchTemplateId"])
    reservation = ec2.create_capacity_reservation(
        InstanceType="m5.large",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=zone,
        InstanceCount=1,
        TagSpecifications=specification("capacity-reservation", own),
    )["CapacityReservation"]
    add("aws_ec2_capacity_reservation", reservation["CapacityReservationId"])
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=f"eks-core-{name}",
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"]},
        MinSize=0,
        MaxSize=1,
        VPCZoneIdentifier=subnets[0],
        Tags=[
            {
                "ResourceId": f"eks-core-{name}",
                "ResourceType": "auto-scaling-group",
                "Key": "eks:cluster-name",
                "Value": name,
                "PropagateAtLaunch": True,
            }
        ],
    )
    add("aws_autoscaling_group", f"eks-core-{name}")
    iam = client("iam")
    iam.create_instance_profile(InstanceProfileName=f"{name}_123", Tags=pairs(of_cloud))
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
         "Action": "sts:AssumeRole"}]}  # fmt: skip
    iam.create_role(RoleName=f"{name}-planted", AssumeRolePolicyDocument=json.dumps(trust))
    iam.add_role_to_instance_profile(InstanceProfileName=f"{name}_123", RoleName=f"{name}-planted")
    add("aws_iam_instance_profile", f"{name}_123")
    system = client("fsx").create_file_system(
        FileSystemType="LUSTRE", StorageCapacity=1200, SubnetIds=subnets[:1], Tags=pairs(own)
    )["FileSystem"]
    add("aws_fsx_file_system", system["FileSystemId"])
    for log_group in (f"/aws/eks/{name}/cluster", f"/aws/containerinsights/{name}/performance"):
        logs.create_log_group(logGroupName=log_group)
        add("aws_cloudwatch_log_group", log_group)
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{zone[:-1]}.ecr.api",
        VpcEndpointType="Interface",
        SubnetIds=subnets[:1],
        TagSpecifications=specification("vpc-endpoint", own),
    )["VpcEndpoint"]
    add("aws_vpc_endpoint", endpoint["VpcEndpointId"])
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=specification("elastic-ip", own))
    add("aws_eip", address["AllocationId"])
    return found


def plant_foreign(client: Client, name: str, subnets: list[str]) -> Callable[[], int]:
    """Create 5 resources that look like the deployment's and are not.

    Return a function that counts those that still exist.
    """
    ec2, elb, logs = client("ec2"), client("elb"), client("logs")
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    zone = ec2.describe_subnets(SubnetIds=subnets[:1])["Subnets"][0]["AvailabilityZone"]
    group = ec2.create_security_group(
        GroupName=f"{name}-lookalike",
        Description="theirs",
        VpcId=vpc,
        TagSpecifications=specification(
            "security-group", {f"kubernetes.io/cluster/{name}": "shared"}
        ),
    )["GroupId"]
    elb.create_load_balancer(
        LoadBalancerName=f"{name}-theirs",
        Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}],
        Subnets=subnets,
        Tags=pairs({f"kubernetes.io/cluster/{name}-other": "owned"}),
    )
    volume = ec2.create_volume(
        AvailabilityZone=zone,
        Size=1,
        TagSpecifications=specification(
            "volume",
            {"jarkkit:deployment": "another", f"kubernetes.io/cluster/{name}": "owned"},
        ),
    )["VolumeId"]
    interface = ec2.create_network_interface(
        SubnetId=subnets[0],
        TagSpecifications=specification(
            "network-interface", {"node.k8s.amazonaws.com/instance_id": "i-theirs"}
        ),
    )["NetworkInterface"]["NetworkInterfaceId"]
    logs.create_log_group(logGroupName=f"/aws/eks/{name}-other/cluster")

    def remaining() -> int:
        listed = elb.describe_load_balancers()["LoadBalancerDescriptions"]
        named = logs.describe_log_groups(logGroupNamePrefix=f"/aws/eks/{name}-other/")["logGroups"]
        return sum(
            (
                len(ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]),
                sum(item["LoadBalancerName"] == f"{name}-theirs" for item in listed),
                len(ec2.describe_volumes(VolumeIds=[volume])["Volumes"]),
                len(
                    ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])[
                        "NetworkInterfaces"
                    ]
                ),
                len(named),
            )
        )

    return remaining
