"""Everything in an account that belongs to a deployment.

Two uses: the proof at the end that nothing is left, and taking over what an interrupted run made
but could not note down. Each place is one small function in `PLACES`; adding a service is adding
one. What is being deleted already does not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from jarkkit.aws.session import Session, client_error_code, paged, translated
from jarkkit.errors import JarkkitError
from jarkkit.records import Owned

TAG = "jarkkit:deployment"
_THREADS = 24  # as many connections has a client


@dataclass(frozen=True)
class _Look:
    """Where one place looks: the clients, and whose things it wants."""

    session: Session
    name: str

    def client(self, service: str) -> Any:
        return self.session.client(service)

    @property
    def prefix(self) -> str:
        """What the deployment's IAM names begin with (terraform/identity.tf)."""
        return f"{self.name}-{self.session.region}-"

    def is_ours(self, tags: object) -> bool:
        """True when the tags, as a mapping or as AWS' list of pairs, are the deployment's."""
        return _mapping(tags).get(TAG) == self.name


Place = Callable[[_Look], Iterator[Owned]]


def scan(session: Session, name: str) -> tuple[tuple[Owned, ...], tuple[str, ...], tuple[str, ...]]:
    """Look everywhere. Returns what was found, where it was looked, where that was not possible."""
    look = _Look(session, name)
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda item: _ask(look, *item), PLACES.items()))
    found = tuple(owned for owned_here, _ in answers for owned in owned_here)
    refused = {place: reason for place, (_, reason) in zip(PLACES, answers, strict=True) if reason}
    looked = tuple(place for place in PLACES if place not in refused)
    return found, looked, tuple(f"{place}: {reason}" for place, reason in refused.items())


def _ask(look: _Look, place: str, ask: Place) -> tuple[list[Owned], str]:
    try:
        with translated(place):
            return list(ask(look)), ""
    except JarkkitError as error:
        if client_error_code(error) in _NOTHING_THERE:
            return [], ""
        lacking = error.code == "JK-AWS-UNREACHABLE" and place.split()[0] in _NOT_EVERYWHERE
        if lacking or error.code in ("JK-AWS-DENIED", "JK-AWS-THROTTLED", "JK-AWS-FAILED"):
            return [], error.code
        raise


# Services that not every Region or partition has: there no endpoint answers, now or ever.
_NOT_EVERYWHERE = ("amp", "budgets")
_NOTHING_THERE = {"ResourceNotFoundException", "NotFoundException", "NoSuchBucket", "404"}


# -- EC2: one table, all found by the tag ----------------------------------------------------------


@dataclass(frozen=True)
class _Ec2:
    operation: str
    key: str
    id_key: str
    terraform_type: str
    billable: bool = False
    gone: tuple[str, ...] = ()  # values of State that mean it is on its way out


_EC2 = (
    _Ec2("describe_vpcs", "Vpcs", "VpcId", "aws_vpc"),
    _Ec2("describe_subnets", "Subnets", "SubnetId", "aws_subnet"),
    _Ec2(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "aws_internet_gateway",
    ),
    _Ec2(
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        "aws_nat_gateway",
        billable=True,
        gone=("deleting", "deleted", "failed"),
    ),
    _Ec2("describe_addresses", "Addresses", "AllocationId", "aws_eip", billable=True),
    _Ec2("describe_route_tables", "RouteTables", "RouteTableId", "aws_route_table"),
    _Ec2("describe_security_groups", "SecurityGroups", "GroupId", "aws_security_group"),
    _Ec2("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", "aws_launch_template"),
    _Ec2("describe_volumes", "Volumes", "VolumeId", "aws_ebs_volume", billable=True),
    _Ec2(
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        "aws_network_interface",
    ),
    _Ec2("describe_flow_logs", "FlowLogs", "FlowLogId", "aws_flow_log"),
)


def _ec2(kind: _Ec2) -> Place:
    def ask(look: _Look) -> Iterator[Owned]:
        seen: set[str] = set()
        for tag, value in (f"tag:{TAG}", look.name), *_tags_of_controllers(kind, look.name):
            filters = [{"Name": tag, "Values": [value]}]
            # NAT gateways and flow logs call the argument Filter.
            word = "Filter" if kind.key in ("NatGateways", "FlowLogs") else "Filters"
            for item in paged(look.client("ec2"), kind.operation, kind.key, **{word: filters}):
                found = item[kind.id_key]
                if str(item.get("State", "")) in kind.gone or found in seen:
                    continue
                seen.add(found)
                tags = _mapping(item.get("Tags"))
                yield Owned(
                    terraform_type=kind.terraform_type,
                    import_id=found,
                    name=item.get("LaunchTemplateName") or tags.get("Name", ""),
                    billable=kind.billable,
                )

    return ask


def _tags_of_controllers(kind: _Ec2, name: str) -> tuple[tuple[str, str], ...]:
    """What the cluster's controllers make carries their own tags: volumes of claims (EBS CSI
    driver), security groups of load balancers."""
    return {
        "Volumes": ((f"tag:kubernetes.io/cluster/{name}", "owned"),),
        "SecurityGroups": (("tag:elbv2.k8s.aws/cluster", name),),
    }.get(kind.key, ())


def _instances(look: _Look) -> Iterator[Owned]:
    """Nodes carry the deployment's tag, or their cluster's name, which is the deployment's."""
    seen: set[str] = set()
    for tag in (TAG, "eks:cluster-name"):
        filters = [{"Name": f"tag:{tag}", "Values": [look.name]}]
        found = paged(look.client("ec2"), "describe_instances", "Reservations", Filters=filters)
        for instance in (item for reservation in found for item in reservation["Instances"]):
            instance_id = instance["InstanceId"]
            on_its_way_out = instance["State"]["Name"] in ("shutting-down", "terminated")
            if on_its_way_out or instance_id in seen:
                continue
            seen.add(instance_id)
            yield Owned(
                terraform_type="aws_instance",
                import_id=instance_id,
                name=instance["InstanceType"],
                billable=True,
            )


def _routes(look: _Look) -> Iterator[Owned]:
    """Routes and associations of the deployment's route tables; they have no tags of their own."""
    filters = [{"Name": f"tag:{TAG}", "Values": [look.name]}]
    tables = paged(look.client("ec2"), "describe_route_tables", "RouteTables", Filters=filters)
    for table in tables:
        table_id = table["RouteTableId"]
        for route in table["Routes"]:
            destination = route.get("DestinationCidrBlock")
            if destination and route.get("GatewayId") != "local":
                key = f"{table_id}_{destination}"
                yield Owned(terraform_type="aws_route", import_id=key, name=key)
        for association in table["Associations"]:
            if subnet := association.get("SubnetId"):
                yield Owned(
                    terraform_type="aws_route_table_association",
                    import_id=f"{subnet}/{table_id}",
                    name=subnet,
                )


def _cidr_blocks(look: _Look) -> Iterator[Owned]:
    filters = [{"Name": f"tag:{TAG}", "Values": [look.name]}]
    for vpc in paged(look.client("ec2"), "describe_vpcs", "Vpcs", Filters=filters):
        for block in vpc.get("CidrBlockAssociationSet", []):
            if block["CidrBlock"] == vpc["CidrBlock"]:
                continue
            if block["CidrBlockState"]["State"] == "associated":
                yield Owned(
                    terraform_type="aws_vpc_ipv4_cidr_block_association",
                    import_id=block["AssociationId"],
                    name=block["CidrBlock"],
                )


# -- EKS -------------------------------------------------------------------------------------------


def _eks(look: _Look) -> Iterator[Owned]:
    eks = look.client("eks")
    cluster = eks.describe_cluster(name=look.name)["cluster"]
    if not look.is_ours(cluster.get("tags")) or cluster["status"] == "DELETING":
        return
    yield Owned(
        terraform_type="aws_eks_cluster",
        import_id=look.name,
        name=look.name,
        arn=cluster["arn"],
        billable=True,
    )
    parts = (
        ("aws_eks_node_group", "list_nodegroups", "nodegroups"),
        ("aws_eks_addon", "list_addons", "addons"),
        ("aws_eks_access_entry", "list_access_entries", "accessEntries"),
    )
    for terraform_type, operation, key in parts:
        for name in getattr(eks, operation)(clusterName=look.name)[key]:
            yield Owned(terraform_type=terraform_type, import_id=f"{look.name}:{name}", name=name)
    associations = eks.list_pod_identity_associations(clusterName=look.name)["associations"]
    for item in associations:
        yield Owned(
            terraform_type="aws_eks_pod_identity_association",
            import_id=f"{look.name},{item['associationId']}",
            name=f"{item['namespace']}/{item['serviceAccount']}",
        )


# -- the others ------------------------------------------------------------------------------------


def _roles(look: _Look) -> Iterator[Owned]:
    iam = look.client("iam")
    for role in paged(iam, "list_roles", "Roles"):
        name = role["RoleName"]
        # IAM lists no tags. A name alone makes nothing ours: somebody may have had it first.
        if name.startswith(look.prefix) and look.is_ours(
            iam.get_role(RoleName=name)["Role"].get("Tags")
        ):
            yield Owned(terraform_type="aws_iam_role", import_id=name, name=name, arn=role["Arn"])


def _policies(look: _Look) -> Iterator[Owned]:
    iam = look.client("iam")
    for policy in paged(iam, "list_policies", "Policies", Scope="Local"):
        arn, name = policy["Arn"], policy["PolicyName"]
        if name.startswith(look.prefix) and look.is_ours(
            iam.get_policy(PolicyArn=arn)["Policy"].get("Tags")
        ):
            yield Owned(terraform_type="aws_iam_policy", import_id=arn, name=name, arn=arn)


def _profiles(look: _Look) -> Iterator[Owned]:
    iam = look.client("iam")
    for profile in paged(iam, "list_instance_profiles", "InstanceProfiles"):
        name = profile["InstanceProfileName"]
        if not name.startswith((look.prefix, f"{look.name}_")):  # Karpenter writes NAME_hash
            continue
        found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        tags = _mapping(found.get("Tags"))
        if look.is_ours(tags) or f"kubernetes.io/cluster/{look.name}" in tags:
            yield Owned(terraform_type="aws_iam_instance_profile", import_id=name, name=name)


def _keys(look: _Look) -> Iterator[Owned]:
    """A key's own policy may shut everybody out, and then it is not the deployment's, which lets
    the account in. Where no key may be read it is the caller who may not."""
    kms = look.client("kms")
    refusal, read = None, 0
    for key in paged(kms, "list_keys", "Keys"):
        try:
            described = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if described["KeyManager"] != "CUSTOMER" or described["KeyState"] == "PendingDeletion":
                continue
            tags = _tags_of_key(kms, key["KeyId"])
        except ClientError as error:
            if client_error_code(error) != "AccessDeniedException":
                raise
            refusal = error
            continue
        read += 1
        if look.is_ours(tags):
            yield Owned(
                terraform_type="aws_kms_key",
                import_id=key["KeyId"],
                name=tags.get("Name", ""),
                billable=True,
            )
    if refusal and not read:
        raise refusal


def _aliases(look: _Look) -> Iterator[Owned]:
    """An alias has no tags: it is whose its key is."""
    kms = look.client("kms")
    for alias in paged(kms, "list_aliases", "Aliases"):
        name, key = alias["AliasName"], alias.get("TargetKeyId")
        named = look.name in name.split("/")[1:] and "aws/" not in name
        if named and key and look.is_ours(_tags_of_key(kms, key)):
            yield Owned(terraform_type="aws_kms_alias", import_id=name, name=name)


def _tags_of_key(kms: Any, key_id: str) -> dict[str, str]:
    tags = kms.list_resource_tags(KeyId=key_id).get("Tags", [])
    return {tag["TagKey"]: tag["TagValue"] for tag in tags}


def _log_groups(look: _Look) -> Iterator[Owned]:
    """By name alone: AWS' services write to groups of these names, and make them without tags."""
    for service in ("eks", "vpc", "containerinsights"):
        prefix = f"/aws/{service}/{look.name}/"
        groups = paged(
            look.client("logs"), "describe_log_groups", "logGroups", logGroupNamePrefix=prefix
        )
        for group in groups:
            name = group["logGroupName"]
            yield Owned(
                terraform_type="aws_cloudwatch_log_group",
                import_id=name,
                name=name,
                billable=True,
            )


def _queues(look: _Look) -> Iterator[Owned]:
    wanted = f"karpenter-{look.name}"
    sqs = look.client("sqs")
    for url in sqs.list_queues(QueueNamePrefix=wanted).get("QueueUrls", []):
        ours = look.is_ours(sqs.list_queue_tags(QueueUrl=url).get("Tags"))
        if ours and url.rsplit("/", 1)[-1] == wanted:
            yield Owned(terraform_type="aws_sqs_queue", import_id=url, name=wanted)


def _rules(look: _Look) -> Iterator[Owned]:
    events = look.client("events")
    for rule in events.list_rules(NamePrefix=f"{look.name}-").get("Rules", []):
        tags = events.list_tags_for_resource(ResourceARN=rule["Arn"]).get("Tags", [])
        if look.is_ours(tags):
            yield Owned(
                terraform_type="aws_cloudwatch_event_rule",
                import_id=f"default/{rule['Name']}",
                name=rule["Name"],
            )


def _file_systems(look: _Look) -> Iterator[Owned]:
    efs = look.client("efs")
    for system in paged(efs, "describe_file_systems", "FileSystems"):
        if not look.is_ours(system.get("Tags")) or system["LifeCycleState"] == "deleting":
            continue
        system_id = system["FileSystemId"]
        yield Owned(
            terraform_type="aws_efs_file_system",
            import_id=system_id,
            name=_mapping(system.get("Tags")).get("Name", ""),
            billable=True,
        )
        for target in efs.describe_mount_targets(FileSystemId=system_id)["MountTargets"]:
            yield Owned(
                terraform_type="aws_efs_mount_target",
                import_id=target["MountTargetId"],
                name=target["SubnetId"],
            )
        points = efs.describe_access_points(FileSystemId=system_id)["AccessPoints"]
        for point in points:
            yield Owned(
                terraform_type="aws_efs_access_point",
                import_id=point["AccessPointId"],
                name=_mapping(point.get("Tags")).get("Name", ""),
            )


def _buckets(look: _Look) -> Iterator[Owned]:
    s3 = look.client("s3")
    for bucket in s3.list_buckets().get("Buckets", []):
        name = bucket["Name"]
        if name.startswith(f"{look.name}-artifacts-") and look.is_ours(_tags_of_bucket(s3, name)):
            yield Owned(terraform_type="aws_s3_bucket", import_id=name, name=name, billable=True)


def _tags_of_bucket(s3: Any, name: str) -> object:
    """Empty where it has none, which S3 calls an error."""
    try:
        return s3.get_bucket_tagging(Bucket=name).get("TagSet")
    except ClientError as error:
        if client_error_code(error) == "NoSuchTagSet":
            return {}
        raise


def _load_balancers(look: _Look) -> Iterator[Owned]:
    elb = look.client("elbv2")
    balancers = list(paged(elb, "describe_load_balancers", "LoadBalancers"))
    for start in range(0, len(balancers), 20):  # DescribeTags takes 20 at a time
        arns = [item["LoadBalancerArn"] for item in balancers[start : start + 20]]
        for item in elb.describe_tags(ResourceArns=arns)["TagDescriptions"]:
            tags = _mapping(item["Tags"])
            if look.name in (tags.get("elbv2.k8s.aws/cluster"), tags.get(TAG)):
                arn = item["ResourceArn"]
                yield Owned(
                    terraform_type="aws_lb", import_id=arn, name=arn.split("/")[-2], billable=True
                )


def _workspaces(look: _Look) -> Iterator[Owned]:
    for item in paged(look.client("amp"), "list_workspaces", "workspaces", alias=look.name):
        alive = item["status"]["statusCode"] != "DELETING"
        if alive and item.get("alias") == look.name and look.is_ours(item.get("tags")):
            yield Owned(
                terraform_type="aws_prometheus_workspace",
                import_id=item["workspaceId"],
                name=look.name,
                billable=True,
            )


def _budgets(look: _Look) -> Iterator[Owned]:
    caller, budgets = look.client("sts").get_caller_identity(), look.client("budgets")
    account, partition = caller["Account"], caller["Arn"].split(":")[1]
    budget = budgets.describe_budget(AccountId=account, BudgetName=look.name)
    arn = f"arn:{partition}:budgets::{account}:budget/{look.name}"
    if not look.is_ours(budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags")):
        return
    yield Owned(
        terraform_type="aws_budgets_budget",
        import_id=f"{account}:{look.name}",
        name=budget["Budget"]["BudgetName"],
    )


def _words(key: str) -> str:
    """The key of an EC2 listing in words: `NatGateways` are `NAT gateways`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()
    return words.replace("nat ", "NAT ").replace("vpcs", "VPCs")


# In the order in which a reader would look for them; the first word is the service.
PLACES: dict[str, Place] = {
    "eks clusters and what is in them": _eks,
    "ec2 instances": _instances,
    **{f"ec2 {_words(kind.key)}": _ec2(kind) for kind in _EC2},
    "ec2 routes": _routes,
    "ec2 CIDR blocks": _cidr_blocks,
    "elbv2 load balancers": _load_balancers,
    "efs file systems": _file_systems,
    "s3 buckets": _buckets,
    "logs groups": _log_groups,
    "kms keys": _keys,
    "kms aliases": _aliases,
    "iam roles": _roles,
    "iam policies": _policies,
    "iam instance profiles": _profiles,
    "sqs queues": _queues,
    "events rules": _rules,
    "amp workspaces": _workspaces,
    "budgets": _budgets,
}


def _mapping(tags: object) -> dict[str, str]:
    """Tags as a mapping, from either of the two shapes that AWS uses."""
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    pairs: Sequence[Any] = tags if isinstance(tags, list) else []
    return {str(pair["Key"]): str(pair["Value"]) for pair in pairs}
