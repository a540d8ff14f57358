"""What Terraform's errors mean."""

from __future__ import annotations

import pytest

from jarkkit.decisions.terraform_failures import terraform_error
from jarkkit.model.errors import ObjectInUse


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("Error acquiring the state lock\nLock Info: ID: 123", "JK-TF-LOCKED"),
        ("Saved plan is stale", "JK-PLAN-STALE"),
        ("api error ExpiredToken: The security token included is expired", "JK-AWS-EXPIRED"),
        ("No valid credential sources found", "JK-AWS-NO-CREDENTIALS"),
        ("User x is not authorized to perform: eks:CreateCluster", "JK-AWS-DENIED"),
        ("InsufficientInstanceCapacity: We do not have", "JK-AWS-CAPACITY"),
        ("VcpuLimitExceeded: You have requested more", "JK-AWS-QUOTA"),
        ("api error VpcLimitExceeded: The maximum number", "JK-AWS-QUOTA"),
        ("ThrottlingException: Rate exceeded", "JK-AWS-THROTTLED"),
        ("EntityAlreadyExists: Role with name x already exists", "JK-NAME-TAKEN"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "JK-AWS-UNREACHABLE"),
        ("Failed to query available provider packages", "JK-TF-PROVIDER"),
        ("Addon version specified is not supported", "JK-ADDON-VERSION"),
        ('Invalid value for variable "name"', "JK-TF-INVALID"),
        ("an unexpected failure", "JK-TF-FAILED"),
    ],
)
def test_known_failures_have_codes(output: str, code: str) -> None:
    error = terraform_error(1, [output], "", "apply")
    assert error.code == code
    assert output.splitlines()[0] in error.evidence
    assert error.fix


def test_a_killed_terraform_has_its_own_code() -> None:
    assert terraform_error(-9, [], "last words", "apply").code == "JK-TF-KILLED"


# Output of the provider and of AWS -> code, a word of the fix.
CASES = {
    "throttled EC2": (
        "Error: creating EC2 Subnet: operation error EC2: CreateSubnet, https response error "
        "StatusCode: 503, api error RequestLimitExceeded: Request limit exceeded.",
        "JK-AWS-THROTTLED", "Wait a minute",
    ),
    "the SDK's own rate limit": (
        "Error: reading EC2 Vpc: operation error EC2: DescribeVpcs, failed to get rate limit "
        "token, retry quota exceeded, 0 available, 5 requested",
        "JK-AWS-THROTTLED", "Wait a minute",
    ),
    "throttled S3": (
        "api error SlowDown: Please reduce your request rate.", "JK-AWS-THROTTLED", "Wait",
    ),
    "a subnet in use": (
        "Error: deleting EC2 Subnet (subnet-0abc): api error DependencyViolation: The subnet "
        "'subnet-0abc' has dependencies and cannot be deleted.",
        "JK-TF-FAILED", "still uses it",
    ),
    "a cluster with node groups": (
        "Error: deleting EKS Cluster (lab1): operation error EKS: DeleteCluster, "
        "ResourceInUseException: Cluster has nodegroups attached",
        "JK-TF-FAILED", "still uses it",
    ),
    "a role with policies": (
        "api error DeleteConflict: Cannot delete entity, must detach all policies first.",
        "JK-TF-FAILED", "still uses it",
    ),
    "a cluster of that name": (
        "Error: creating EKS Cluster (lab1): ResourceInUseException: Cluster already exists with "
        "name: lab1",
        "JK-NAME-TAKEN", "another name",
    ),
    "an update under way": (
        "Error: updating EKS Add-On: ResourceInUseException: Addon coredns is currently UPDATING",
        "JK-TF-FAILED", "still changing",
    ),
    "a second mount target": (
        "Error: creating EFS Mount Target (fs-0abc): MountTargetConflict: mount target already "
        "exists in this AZ",
        "JK-NETWORK-VPC", "one subnet per zone",
    ),
    "a jump": (
        "Error: updating EKS Cluster (lab1) version: InvalidParameterException: Unsupported "
        "Kubernetes minor version update from 1.34 to 1.36",
        "JK-VERSION-STEP", "one minor version at a time",
    ),
    "a type that the AMI does not fit": (
        "Error: creating EKS Node Group (lab1:core): InvalidParameterException: [m7g.xlarge] is "
        "not a valid instance type for requested amiType AL2023_x86_64_STANDARD",
        "JK-SETTINGS-INVALID", "instance type",
    ),
    "a policy of the organization": (
        "Error: creating EC2 VPC: api error UnauthorizedOperation: You are not authorized to "
        "perform this operation. User: arn:aws:sts::123456789012:assumed-role/dev/x is not "
        "authorized to perform: ec2:CreateVpc with an explicit deny in a service control policy",
        "JK-AWS-DENIED", "organization",
    ),
    "a boundary": (
        "AccessDenied: User: x is not authorized to perform: iam:CreateRole because no "
        "permissions boundary allows the iam:CreateRole action",
        "JK-AWS-DENIED", "boundary",
    ),
    "instances that do not join": (
        "Error: waiting for EKS Node Group (lab1:core) create: unexpected state 'CREATE_FAILED'. "
        "last error: i-0abc: NodeCreationFailure: Instances failed to join the kubernetes cluster",
        "JK-NODE-NOT-JOINED", "route",
    ),
    "a key that is disabled": (
        "last error: AsgInstanceLaunchFailures: Instance became unhealthy. Termination Reason: "
        "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
        "JK-AWS-DENIED", "key",
    ),
    "a quota behind a node group": (
        "last error: AsgInstanceLaunchFailures: Could not launch On-Demand Instances. "
        "VcpuLimitExceeded - You have requested more vCPU capacity",
        "JK-AWS-QUOTA", "quota",
    ),
    "an administrator that is gone": (
        "Error: creating EKS Access Entry: InvalidParameterException: The specified principalArn "
        "is invalid: invalid principal",
        "JK-SETTINGS-INVALID", "admin_principals",
    ),
    "other zones": (
        "Error: updating EKS Cluster (lab1) VPC config: InvalidParameterException: Provided "
        "subnets belong to the AZs 'us-west-2a,us-west-2b,us-west-2c'. But they should belong to "
        "the exact set of AZs 'us-west-2a,us-west-2b' in which subnets were provided during "
        "cluster creation.",
        "JK-SETTINGS-FIXED", "zones",
    ),
    "a minimum above the size": (
        "InvalidParameterException: Minimum capacity 3 can't be greater than desired size 2",
        "JK-SETTINGS-INVALID", "core_nodes",
    ),
    "a Region that is not enabled": (
        "api error AuthFailure: AWS was not able to validate the provided access credentials",
        "JK-REGION-UNKNOWN", "not enabled",
    ),
    "a role with MFA": (
        "Error: No valid credential sources found Error: assume role with MFA enabled, but "
        "AssumeRoleTokenProvider session option not set.",
        "JK-AWS-NO-CREDENTIALS", "MFA",
    ),
    "a clock that is wrong": (
        "api error SignatureDoesNotMatch: Signature expired: 20261130T120000Z is now earlier than "
        "20261130T125500Z",
        "JK-CLOCK-SKEW", "clock",
    ),
    "an account that is new": (
        "api error PendingVerification: Your request for accessing resources in this region is "
        "being validated",
        "JK-AWS-FAILED", "validated",
    ),
    "an account on the free plan": (
        "InvalidParameterCombination: The specified instance type is not eligible for Free Tier.",
        "JK-AWS-FAILED", "free plan",
    ),
    "a service-linked role": (
        "InvalidParameterException: The service-linked role AWSServiceRoleForAmazonEKSNodegroup "
        "could not be created",
        "JK-SERVICE-ROLE", "service-linked role",
    ),
    "a full disk": (
        "Error: Failed to save state: Error saving state: write terraform.tfstate: no space left "
        "on device",
        "JK-WORKSPACE-WRITE", "Free space",
    ),
    "a proxy with its own certificates": (
        "request send failed, Post https://eks.us-west-2.amazonaws.com/: tls: failed to verify "
        "certificate: x509: certificate signed by unknown authority",
        "JK-AWS-UNREACHABLE", "AWS_CA_BUNDLE",
    ),
    "a subnet that is gone": (
        "api error InvalidSubnetID.NotFound: The subnet ID 'subnet-0abc' does not exist",
        "JK-STATE-DIFFERS", "plan",
    ),
    "a wait that ends": (
        "Error: waiting for EKS Cluster (lab1) create: timeout while waiting for state to become "
        "'ACTIVE'",
        "JK-TF-FAILED", "longer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_code_and_the_fix_fit_the_cause(case: str) -> None:
    output, code, word = CASES[case]
    error = terraform_error(1, [output], "", "apply")
    assert (error.code, word in error.fix) == (code, True), error.fix


def test_what_is_in_use_has_its_class() -> None:
    output, _, _ = CASES["a subnet in use"]
    assert isinstance(terraform_error(1, [output], "", "destroy"), ObjectInUse)
