"""Deletes resources that the inventory found and Terraform does not know: one remover per kind.

These calls are asynchronous, or fail while another resource uses the one to delete, so callers try
again. The order is in `ORDER`: what uses others comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from jarkkit.decisions.ownership import Ownership
from jarkkit.model.errors import ApiCallError, JarkkitError, ObjectInUse, ObjectNotFound
from jarkkit.model.records import OwnedResource
from jarkkit.ports.aws.inventory.scan_context import ScanContext
from jarkkit.ports.aws.session import AwsSession, client_error_code, paginate, translate_errors

# Another resource still uses it, or its deletion has only begun.
_ATTACHED = "InvalidParameterValue"  # of a network interface
_MIN_KEY_DAYS = 7  # AWS' minimum, as in terraform/modules/cluster


def delete(session: AwsSession, name: str, owned: OwnedResource) -> bool:
    """Delete the resource; return False if another one still uses it.

    A resource that does not exist counts as deleted. Raises JK-AWS-…, and JK-CLEANUP-LEFT for a
    kind that only Terraform deletes.

    Args:
        name: the deployment's.
    """
    remove = _REMOVERS.get(owned.terraform_type)
    if remove is None:
        raise JarkkitError(
            "JK-CLEANUP-LEFT",
            f"Only Terraform deletes a resource of the type {owned.terraform_type}.",
            f"Delete {owned.import_id} yourself.",
        )
    try:
        with translate_errors(f"delete {owned.terraform_type} {owned.import_id}"):
            remove(ScanContext(session, Ownership(name)), owned)
    except ObjectNotFound:
        return True  # of the last call only: the calls before it go through `_first`
    except ObjectInUse:
        return False
    except ApiCallError as error:
        if client_error_code(error) == _ATTACHED:
            return False
        raise
    return True


def _first(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Make a call that comes before the deletion, such as the detachment of a policy.

    Returns an empty answer if what it names does not exist: that does not mean that the resource
    itself is gone, because another program may have detached it in the meantime.
    """
    try:
        with translate_errors(call.__name__):
            return dict(call(**arguments) or {})
    except ObjectNotFound:
        return {}


def _call(
    service: str, operation: str, argument: str, *, many: bool = False, **more: Any
) -> Callable[[ScanContext, OwnedResource], None]:
    """Return a remover that calls one operation with the resource's id.

    Args:
        many: the argument is a list.
        more: further arguments.
    """

    def remove(context: ScanContext, owned: OwnedResource) -> None:
        value = [owned.import_id] if many else owned.import_id
        getattr(context.client(service), operation)(**{argument: value, **more})

    return remove


def _security_group(context: ScanContext, owned: OwnedResource) -> None:
    """Delete a security group, with the rules of other groups of the cluster that refer to it.

    The load balancer controller adds such rules to the cluster's own group. Rules in groups without
    a tag of the cluster stay: then the group stays too.
    """
    ec2 = context.client("ec2")
    for group in _referring_groups(context, owned.import_id):
        for direction in ("ingress", "egress"):
            permissions = _permissions_to(group, direction, owned.import_id)
            if permissions:
                revoke = getattr(ec2, f"revoke_security_group_{direction}")
                _first(revoke, GroupId=group["GroupId"], IpPermissions=permissions)
    ec2.delete_security_group(GroupId=owned.import_id)


def _referring_groups(context: ScanContext, group_id: str) -> Iterator[Any]:
    """Yield the deployment's other groups whose rules refer to this one."""
    owner = ScanContext.of(context.session, context.name).owner
    filters = [{"Name": "tag-key", "Values": list(owner.keys)}]
    for group in paginate(
        context.client("ec2"), "describe_security_groups", "SecurityGroups", Filters=filters
    ):
        if group["GroupId"] != group_id and owner.proof(group.get("Tags")):
            yield group


def _permissions_to(group: Any, direction: str, group_id: str) -> list[dict[str, Any]]:
    key = "IpPermissions" if direction == "ingress" else "IpPermissionsEgress"
    found = []
    for permission in group.get(key, ()):
        if any(pair.get("GroupId") == group_id for pair in permission.get("UserIdGroupPairs", ())):
            ports = {
                k: v for k, v in permission.items() if k in ("IpProtocol", "FromPort", "ToPort")
            }
            found.append({**ports, "UserIdGroupPairs": [{"GroupId": group_id}]})
    return found


def _endpoint(context: ScanContext, owned: OwnedResource) -> None:
    """Delete a VPC endpoint. EC2 answers with success, and reports what it did not delete in it."""
    answer = context.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[owned.import_id])
    for item in answer.get("Unsuccessful", ()):
        raise ClientError({"Error": item["Error"]}, "DeleteVpcEndpoints")


def _rule(context: ScanContext, owned: OwnedResource) -> None:
    events = context.client("events")
    targets = _first(events.list_targets_by_rule, Rule=owned.name).get("Targets")
    if targets:
        ids = [target["Id"] for target in targets]
        _first(events.remove_targets, Rule=owned.name, Ids=ids)
    events.delete_rule(Name=owned.name)


def _budget(context: ScanContext, owned: OwnedResource) -> None:
    account, _, name = owned.import_id.partition(":")
    context.client("budgets").delete_budget(AccountId=account, BudgetName=name)


def _profile(context: ScanContext, owned: OwnedResource) -> None:
    iam, name = context.client("iam"), owned.import_id
    found = _first(iam.get_instance_profile, InstanceProfileName=name)
    for role in found.get("InstanceProfile", {}).get("Roles", ()):
        remove, role_name = iam.remove_role_from_instance_profile, role["RoleName"]
        _first(remove, InstanceProfileName=name, RoleName=role_name)
    iam.delete_instance_profile(InstanceProfileName=name)


def _role(context: ScanContext, owned: OwnedResource) -> None:
    iam, name = context.client("iam"), owned.import_id
    attached = _first(iam.list_attached_role_policies, RoleName=name)
    for policy in attached.get("AttachedPolicies", ()):
        _first(iam.detach_role_policy, RoleName=name, PolicyArn=policy["PolicyArn"])
    for policy_name in _first(iam.list_role_policies, RoleName=name).get("PolicyNames", ()):
        _first(iam.delete_role_policy, RoleName=name, PolicyName=policy_name)
    iam.delete_role(RoleName=name)


_REMOVERS: dict[str, Callable[[ScanContext, OwnedResource], None]] = {
    "aws_autoscaling_group": _call(
        "autoscaling", "delete_auto_scaling_group", "AutoScalingGroupName", ForceDelete=True
    ),
    "aws_instance": _call("ec2", "terminate_instances", "InstanceIds", many=True),
    "aws_lb": _call("elbv2", "delete_load_balancer", "LoadBalancerArn"),
    "aws_elb": _call("elb", "delete_load_balancer", "LoadBalancerName"),
    "aws_lb_target_group": _call("elbv2", "delete_target_group", "TargetGroupArn"),
    "aws_vpc_endpoint": _endpoint,
    "aws_fsx_file_system": _call("fsx", "delete_file_system", "FileSystemId"),
    "aws_efs_mount_target": _call("efs", "delete_mount_target", "MountTargetId"),
    "aws_efs_access_point": _call("efs", "delete_access_point", "AccessPointId"),
    "aws_efs_file_system": _call("efs", "delete_file_system", "FileSystemId"),
    "aws_nat_gateway": _call("ec2", "delete_nat_gateway", "NatGatewayId"),
    "aws_eip": _call("ec2", "release_address", "AllocationId"),
    "aws_network_interface": _call("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "aws_security_group": _security_group,
    "aws_ebs_volume": _call("ec2", "delete_volume", "VolumeId"),
    "aws_ebs_snapshot": _call("ec2", "delete_snapshot", "SnapshotId"),
    "aws_launch_template": _call("ec2", "delete_launch_template", "LaunchTemplateId"),
    "aws_ec2_capacity_reservation": _call(
        "ec2", "cancel_capacity_reservation", "CapacityReservationId"
    ),
    "aws_iam_instance_profile": _profile,
    "aws_iam_role": _role,
    "aws_sqs_queue": _call("sqs", "delete_queue", "QueueUrl"),
    "aws_cloudwatch_event_rule": _rule,
    "aws_prometheus_workspace": _call("amp", "delete_workspace", "workspaceId"),
    "aws_budgets_budget": _budget,
    "aws_kms_alias": _call("kms", "delete_alias", "AliasName"),
    "aws_kms_key": _call(
        "kms", "schedule_key_deletion", "KeyId", PendingWindowInDays=_MIN_KEY_DAYS
    ),
    "aws_cloudwatch_log_group": _call("logs", "delete_log_group", "logGroupName"),
}
ORDER = tuple(_REMOVERS)
"""The kinds that this module deletes, in the order of deletion."""
