"""Why Terraform failed: its output and the provider's, mapped to error codes and fixes. Pure.

The wording is that of Terraform 1.10 to 1.15, OpenTofu 1.12, the AWS provider 5.100 and the AWS
APIs that it quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from jarkkit.model.errors import JarkkitError, ObjectInUse


class KnownFailure(NamedTuple):
    """A failure that the output identifies.

    Attributes:
        pattern: a regular expression that the text of the failure matches.
        code: one of `jarkkit.model.errors.CODES`.
        fix: what to do, as an instruction.
    """

    pattern: str
    code: str
    fix: str


_CONTINUES = "then run the step again: it continues where it stopped."

# The first match wins. Exact causes come before general ones: `RequestLimitExceeded` is throttling,
# although it contains `LimitExceeded`, and an explicit deny names what denies it.
_TERRAFORM = (
    KnownFailure(
        r"Error acquiring the state lock",
        "JK-TF-LOCKED",
        "Wait for the other run. If you are certain that it has ended, run "
        "`terraform force-unlock LOCK_ID` in the deployment's folder, with the ID shown below.",
    ),
    KnownFailure(
        r"Saved plan is stale|Saved plan does not match|plan file can no longer be applied",
        "JK-PLAN-STALE",
        "Create a new plan: jarkkit plan",
    ),
    KnownFailure(
        r"no space left on device|disk quota exceeded|read-only file system",
        "JK-WORKSPACE-WRITE",
        "Free space on the disk of the deployment's folder, " + _CONTINUES + " It imports what "
        "this run created and could not record.",
    ),
)

_CREDENTIALS = (
    KnownFailure(
        r"(?i:RequestTimeTooSkewed|Signature not yet current|Signature expired|clock skew)",
        "JK-CLOCK-SKEW",
        "Set this machine's clock (enable NTP), " + _CONTINUES,
    ),
    KnownFailure(
        r"assume role with MFA|AssumeRoleTokenProvider|MultiFactorAuthentication",
        "JK-AWS-NO-CREDENTIALS",
        "The profile's role requires MFA, and Terraform cannot ask for a code. Get credentials "
        "for the session first (aws sts assume-role --serial-number … --token-code …, or IAM "
        "Identity Center), set them as environment variables, " + _CONTINUES,
    ),
    KnownFailure(
        r"ExpiredToken|token .*is expired|security token .*(invalid|expired)|InvalidClientTokenId|"
        r"UnrecognizedClientException|RequestExpired|SignatureDoesNotMatch|"
        r"InvalidGrantException|SSO session .*(expired|invalid)",
        "JK-AWS-EXPIRED",
        "Renew the credentials (for IAM Identity Center: aws sso login), " + _CONTINUES,
    ),
    KnownFailure(
        r"No valid credential sources|no EC2 IMDS role found|failed to refresh cached credentials|"
        r"failed to get shared config profile",
        "JK-AWS-NO-CREDENTIALS",
        "Set up credentials (AWS_PROFILE, environment variables or aws sso login), then run again.",
    ),
    KnownFailure(
        r"AuthFailure: AWS was not able to validate|OptInRequired",
        "JK-REGION-UNKNOWN",
        "If other Regions accept these credentials, the Region is not enabled in your account: "
        "enable it, or choose another one (jarkkit regions). Otherwise renew the credentials.",
    ),
)

_PERMISSIONS = (
    KnownFailure(
        r"explicit deny in a (service|resource) control policy",
        "JK-AWS-DENIED",
        "A policy of your organization denies the action, so no permission of yours can allow it. "
        "Ask the organization's administrators for an exception, or use an account or Region that "
        "the policy permits.",
    ),
    KnownFailure(
        r"(no permissions boundary allows|explicit deny in a permissions boundary)",
        "JK-AWS-DENIED",
        "The permissions boundary of your principal does not allow the action. Have it extended, "
        "or use other credentials.",
    ),
    KnownFailure(
        r"(?i:InvalidKMSKey|KMSKeyNotAccessible|KMSInvalidState|KMS key provided is)",
        "JK-AWS-DENIED",
        "The key that encrypts EBS volumes in this account is disabled, or its policy does not "
        "allow the service-linked role AWSServiceRoleForAutoScaling (and Karpenter's and the EBS "
        "driver's roles) to use it. Correct the key's policy, or choose another default key for "
        "EBS, " + _CONTINUES,
    ),
    KnownFailure(
        r"(?i:AWSServiceRoleFor|service[- ]linked role)",
        "JK-SERVICE-ROLE",
        "Create the service-linked role that the message names (aws iam "
        "create-service-linked-role --aws-service-name …), or have it created, " + _CONTINUES,
    ),
    KnownFailure(
        r"AccessDenied|UnauthorizedOperation|is not authorized to perform|AuthFailure",
        "JK-AWS-DENIED",
        "Allow the named action for these credentials, " + _CONTINUES,
    ),
    KnownFailure(
        r"PendingVerification|is being validated|account is currently blocked|"
        r"not eligible for Free Tier|AccountProblem",
        "JK-AWS-FAILED",
        "AWS limits this account: it is new and still being validated, is on the free plan, or is "
        "blocked. The message says which. Validation takes minutes, at most four hours; otherwise "
        "upgrade the account plan or ask AWS Support, " + _CONTINUES,
    ),
)

_CAPACITY = (
    KnownFailure(
        r"Throttl|TooManyRequests|RequestLimitExceeded|Rate exceeded|SlowDown|"
        r"rate limit token|retry quota exceeded",
        "JK-AWS-THROTTLED",
        "Wait a minute, " + _CONTINUES,
    ),
    KnownFailure(
        r"InsufficientInstanceCapacity|InsufficientCapacity|UnsupportedAvailabilityZone|"
        r"not supported in your requested Availability Zone|InsufficientFreeAddressesInSubnet",
        "JK-AWS-CAPACITY",
        "Choose another instance type, other zones or another Region, or try again later.",
    ),
    KnownFailure(
        r"(?i:LimitExceeded|quota|TooMany(?!Requests)|limit (is|has been) reached)",
        "JK-AWS-QUOTA",
        "Request a quota increase in the Service Quotas console, or delete resources that use it.",
    ),
)

_CLUSTER = (
    KnownFailure(
        r"Unsupported Kubernetes minor version update|"
        r"[Nn]ode ?groups? .*(must be|should be) (at|updated)",
        "JK-VERSION-STEP",
        "Change cluster_version by one minor version at a time, and deploy each: the node groups "
        "follow in the same deploy.",
    ),
    KnownFailure(
        r"unsupported Kubernetes version|Kubernetes version .* (is )?not supported",
        "JK-VERSION-UNSUPPORTED",
        "Choose a version that EKS offers: aws eks describe-cluster-versions",
    ),
    KnownFailure(
        r"NodeCreationFailure|failed to join the kubernetes cluster",
        "JK-NODE-NOT-JOINED",
        "The instances run and cannot reach the cluster. Check that each private subnet has a "
        "route out (NAT gateway, or the VPC endpoints of a private cluster), that the VPC has DNS "
        "hostnames, and the instance's system log; jarkkit preflight checks subnets and routes. "
        "Correct it, " + _CONTINUES,
    ),
    KnownFailure(
        r"is not a valid instance type|not a valid .*amiType|"
        r"instance type .*(does not exist|is not supported)",
        "JK-SETTINGS-INVALID",
        "Choose an instance type of the AMI's architecture that the Region offers, in the "
        "settings: jarkkit configure. Preflight checks it.",
    ),
    KnownFailure(
        r"capacity \d+ can't be (greater|less)|Minimum capacity|Maximum capacity",
        "JK-SETTINGS-INVALID",
        "Choose core_nodes at most as large as core_nodes_max; if the node group was scaled by "
        "hand, choose core_nodes near its present size, then plan and deploy.",
    ),
    KnownFailure(
        r"principalArn is invalid|Invalid principal",
        "JK-SETTINGS-INVALID",
        "A principal does not exist, or was deleted. Correct admin_principals in the settings, "
        "then plan and deploy.",
    ),
    KnownFailure(
        r"exact set of AZs|subnets .* in which subnets were provided during cluster creation",
        "JK-SETTINGS-FIXED",
        "A control plane keeps the zones in which it was created. Set the zones back, then plan "
        "and deploy; other zones need a new deployment.",
    ),
    KnownFailure(
        r"MountTargetConflict",
        "JK-NETWORK-VPC",
        "A file system has one mount target per zone. If another program created one in this zone, "
        "delete it; otherwise name one subnet per zone, " + _CONTINUES,
    ),
    KnownFailure(
        r"Addon version specified is not supported",
        "JK-ADDON-VERSION",
        "EKS has withdrawn the version that an earlier plan pinned. Move on: jarkkit plan "
        "--upgrade",
    ),
)

_OTHERS = (
    KnownFailure(
        r"AlreadyExists|already exists|already in use|BucketAlreadyOwnedByYou",
        "JK-NAME-TAKEN",
        "Choose another name for the deployment, or delete the existing resource.",
    ),
    KnownFailure(
        r"update in progress|currently (has|being) .*updat|is currently (CREATING|UPDATING|"
        r"DELETING)|OperationAborted|ConcurrentModification|operation is already in progress",
        "JK-TF-FAILED",
        "AWS, EKS or another program is still changing the resource. Wait until it is done, "
        + _CONTINUES,
    ),
    KnownFailure(
        r"certificate signed by unknown authority|x509: ",
        "JK-AWS-UNREACHABLE",
        "A proxy of your network replaces the certificates of AWS. Set AWS_CA_BUNDLE to a file "
        "that contains the proxy's certificate authority, " + _CONTINUES,
    ),
    KnownFailure(
        r"connection refused|no such host|dial tcp|i/o timeout|request send failed|"
        r"connection reset|TLS handshake timeout|proxyconnect",
        "JK-AWS-UNREACHABLE",
        "Check your network, proxy and endpoint (in the sandbox: jarkkit sandbox status), "
        + _CONTINUES,
    ),
    KnownFailure(
        r"Failed to query available provider packages|Failed to install provider|"
        r"Could not retrieve the list of available versions|provider registry|"
        r"Required plugins are not installed|Inconsistent dependency lock file",
        "JK-TF-PROVIDER",
        "Without internet access, set JARKKIT_TF_MIRROR to a folder that contains exactly the "
        "version that the message names (create it in the folder terraform/ with `terraform "
        "providers mirror FOLDER`, or `tofu …`).",
    ),
    KnownFailure(
        r"Invalid value for variable|Unsupported argument|Reference to undeclared|"
        r"Invalid expression|Missing required argument|precondition failed|Resource precondition",
        "JK-TF-INVALID",
        "Correct the setting that the message names.",
    ),
    KnownFailure(
        r"\.NotFound: |ResourceNotFoundException: No (cluster|node group)|couldn't find resource",
        "JK-STATE-DIFFERS",
        "A resource was deleted outside jarkkit, or the settings name one that does not exist. "
        "Create a new plan, which compares with the account: jarkkit plan",
    ),
    KnownFailure(
        r"timeout while waiting for|context deadline exceeded",
        "JK-TF-FAILED",
        "AWS took longer than Terraform waits, and may still finish. Look at the resource in the "
        "console, " + _CONTINUES,
    ),
)

KNOWN_FAILURES = (
    *_TERRAFORM, *_CREDENTIALS, *_PERMISSIONS, *_CAPACITY, *_CLUSTER, *_OTHERS,
)  # fmt: skip

_IN_USE = KnownFailure(
    r"DependencyViolation|dependencies and cannot be deleted|ResourceInUse|has nodegroups attached|"
    r"DeleteConflict|BucketNotEmpty|ResourceInUseException|OperationNotPermitted: .*in use",
    "JK-TF-FAILED",
    "Another resource still uses it, often one that Terraform does not know: a load balancer, a "
    "network interface, a volume. jarkkit cleanup names what uses the network; the console shows "
    "the rest. Delete that, " + _CONTINUES,
)


def terraform_error(
    exit_code: int, diagnostics: Iterable[str], tail: str, doing: str
) -> JarkkitError:
    """Return the error for Terraform's exit code, with its output as evidence (truncated).

    Known causes have their own error codes; the first diagnostic with a known cause decides.
    """
    messages = [text for text in diagnostics if text]
    text = "\n".join(messages) or tail
    if exit_code < 0:
        return JarkkitError(
            "JK-TF-KILLED",
            f"Signal {-exit_code} ended Terraform during {doing}.",
            "Run the step again: it imports the resources that this run already created.",
            evidence=_cut(tail),
        )
    for statement in (*messages, tail):
        for known in KNOWN_FAILURES:
            if re.search(known.pattern, statement):
                return JarkkitError(
                    known.code, _first_line(statement), known.fix, evidence=_cut(text)
                )
    in_use = re.search(_IN_USE.pattern, text)
    kind = ObjectInUse if in_use else JarkkitError
    return kind(
        "JK-TF-FAILED",
        f"Terraform failed with exit code {exit_code} during {doing}: {_first_line(text)}",
        _IN_USE.fix
        if in_use
        else "Read the evidence, fix the cause, then run the step again: it continues where it "
        "stopped. The raw log is in the deployment's logs folder.",
        evidence=_cut(text),
    )


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    line = next(iter(errors or lines), "no message")
    return line if len(line) <= 300 else line[:297] + "..."


def _cut(text: str, limit: int = 1500) -> str:
    return text if len(text) <= limit else text[: limit - 20] + "\n... (see the log)"
