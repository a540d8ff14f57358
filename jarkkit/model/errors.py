"""Errors that say what happened and what to do next.

Every failure that users can see has one stable code, so that documentation, drills and search
engines can refer to it. `CODES` is the complete list: raising an unlisted code is a programming
error. `jarkkit errors` and docs/errors.md are generated from it.

Programs catch classes. As with Python's own `OSError` and its error numbers, the code decides the
class: `JarkkitError("JK-INTERRUPTED", …)` is an `Interrupted`. Nothing else compares codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

CODES: dict[str, str] = {
    # settings
    "JK-SETTINGS-SYNTAX": "The settings file is not valid YAML.",
    "JK-SETTINGS-UNKNOWN": "A setting or parameter has a name that jarkkit does not know.",
    "JK-SETTINGS-INVALID": "A setting has an invalid value.",
    "JK-SETTINGS-FIXED": "A setting cannot change in this way after the first deploy.",
    "JK-SETTINGS-MISSING": "The settings file does not exist or jarkkit cannot read it.",
    # the deployment's folder
    "JK-DEPLOYMENT-MISSING": "No deployment has this name, or you must name one.",
    "JK-DEPLOYMENT-EXISTS": "A deployment with this name already exists.",
    "JK-DEPLOYMENT-BUSY": "Another process is working on this deployment.",
    "JK-DEPLOYMENT-DAMAGED": "A file of the deployment is damaged or from another release.",
    "JK-FILE-EXISTS": "The file that jarkkit would write exists already.",
    "JK-WORKSPACE-WRITE": "jarkkit cannot write the deployment's files (permission, disk full).",
    # AWS
    "JK-AWS-NO-CREDENTIALS": "jarkkit found no AWS credentials.",
    "JK-AWS-EXPIRED": "The AWS credentials have expired or are not valid.",
    "JK-AWS-DENIED": "AWS denied a call because a permission is missing.",
    "JK-PERMISSION-MISSING": "Your credentials lack a permission that a step needs.",
    "JK-SERVICE-ROLE": "A service-linked role is missing and you cannot create it.",
    "JK-AWS-THROTTLED": "AWS throttled the calls.",
    "JK-AWS-UNREACHABLE": "The AWS endpoint did not respond.",
    "JK-AWS-FAILED": "An AWS call failed for another reason.",
    "JK-REGION-UNKNOWN": "The Region does not exist, or is not enabled in your account.",
    "JK-ZONES-TOO-FEW": "The Region has fewer usable Availability Zones than az_count.",
    "JK-VERSION-UNSUPPORTED": "Amazon EKS does not offer this Kubernetes version.",
    "JK-VERSION-STEP": "Amazon EKS cannot change the cluster to this Kubernetes version.",
    "JK-VERSION-DRIFT": "The cluster runs a newer Kubernetes version than the settings say.",
    "JK-NAME-TAKEN": "A resource with this name exists and does not belong to the deployment.",
    "JK-LEFTOVER": "A resource of an earlier deployment with this name is still in the account.",
    "JK-STATE-DIFFERS": "Terraform's state does not match the account.",
    "JK-STATE-BUCKET": "Terraform cannot use the bucket for its state.",
    "JK-AWS-CAPACITY": "AWS currently has no capacity for the instance type.",
    "JK-AWS-QUOTA": "A service quota is too small.",
    # the target guard
    "JK-TARGET-MISMATCH": "Your credentials point to another account, Region or cluster.",
    "JK-TARGET-REHEARSAL": "The deployment is a rehearsal, but no sandbox is reachable.",
    # this machine
    "JK-CLOCK-SKEW": "The clock of this machine is wrong, so AWS rejects its signed requests.",
    "JK-NETWORK-PROXY": "A proxy setting also applies to addresses that need a direct connection.",
    "JK-NETWORK-VPC": "The existing VPC lacks what EKS or its nodes need.",
    "JK-AWS-ROOT-USER": "The credentials are the root user's, who cannot administer the cluster.",
    "JK-NETWORK-HOST": "A host that the deployment needs does not respond.",
    "JK-TOOL-VERSION": "A tool on this machine is incompatible with the cluster's version.",
    # Terraform
    "JK-TF-MISSING": "Neither Terraform nor OpenTofu is on PATH, and OpenTofu is not built yet.",
    "JK-TF-VERSION": "Terraform or OpenTofu is too old.",
    "JK-TF-PROVIDER": "Terraform could not download the AWS provider.",
    "JK-TF-LOCKED": "Another run holds the lock of the Terraform state.",
    "JK-TF-INVALID": "The Terraform configuration or its variables are not valid.",
    "JK-TF-FAILED": "Terraform failed.",
    "JK-TF-KILLED": "Terraform was killed before it finished.",
    "JK-TF-OUTPUT": "The Terraform state lacks an output that jarkkit needs.",
    # steps
    "JK-PLAN-MISSING": "The deployment has no plan yet.",
    "JK-PLAN-STALE": "The plan is out of date: settings, configuration or state have changed.",
    "JK-PREFLIGHT-BLOCKED": "Preflight found a problem that would make the deployment fail.",
    "JK-VERIFY-FAILED": "A check of the deployment failed.",
    "JK-CONFIRM": "You did not confirm a destructive step with the deployment's name.",
    "JK-CLUSTER-NOT-EMPTIED": "A cluster to be replaced could not be emptied first.",
    "JK-CLEANUP-LEFT": "Resources of the deployment are still in the account after cleanup.",
    "JK-INTERRUPTED": "The step was interrupted. jarkkit recorded what was done so far.",
    # the cluster layer
    "JK-ADDON-INVALID": "A file of the add-on catalog is not valid.",
    "JK-ADDON-VERSION": "EKS does not offer this add-on for the cluster's version of Kubernetes.",
    "JK-ADDON-TIMEOUT": "The workloads of an add-on were not ready before the timeout.",
    "JK-ADDON-FAILED": "jarkkit could not install, update or remove an add-on.",
    "JK-ADDON-IMAGE": "The cluster cannot pull an image of an add-on.",
    "JK-ADDON-CRASH": "A container of an add-on keeps crashing.",
    "JK-ADDON-PENDING": "A pod of an add-on cannot be scheduled.",
    "JK-CHART-MISSING": "A chart is not in the chart cache and jarkkit cannot download it.",
    "JK-CHART-PULL": "jarkkit could not download a chart from its repository.",
    "JK-CHART-CHECKSUM": "A chart in the cache does not match its recorded checksum.",
    "JK-HELM-FAILED": "Helm failed to install, upgrade or uninstall a release.",
    "JK-HELM-TIMEOUT": "Helm did not finish a release before the timeout.",
    "JK-HELM-CHART": "Helm cannot load a chart, or its values are not valid.",
    "JK-KUBE-UNREACHABLE": "The Kubernetes API did not respond.",
    "JK-KUBE-DENIED": "The Kubernetes API denied a call because a permission is missing.",
    "JK-KUBE-REFUSED": "The Kubernetes API rejected an object: it is invalid or was not admitted.",
    "JK-KUBE-FAILED": "A call to the Kubernetes API failed for another reason.",
    "JK-NODE-NOT-JOINED": "An instance was launched but did not join the cluster as a node.",
    "JK-NODE-NOT-READY": "A node is not ready, or one of its components does not work.",
    "JK-NODE-RECLAIMED": "AWS reclaimed a Spot instance.",
    "JK-VOLUME-PENDING": "A persistent volume claim is pending.",
    "JK-LOAD-BALANCER-PENDING": "A Service or an Ingress has no load balancer.",
    "JK-WORKLOAD-FAILED": "A Ray, Argo or batch resource reports a failure, or may soon have one.",
    "JK-WEBHOOK-DOWN": "No ready pod serves an admission webhook.",
    "JK-USE-UNKNOWN": "No example workload has this name, or it cannot run here.",
    "JK-USE-FAILED": "An example workload ran and failed.",
    "JK-USE-TIMEOUT": "An example workload did not finish before the timeout.",
    # drills
    "JK-DRILL-UNKNOWN": "No drill has this name, or it cannot run here.",
    "JK-DRILL-REFUSED": "Drills are not allowed here: this is a real account.",
    "JK-DRILL-TIMEOUT": "A drill's fault did not appear, or did not clear, before the timeout.",
    # notebooks and command line
    "JK-NOTEBOOK-MISSING": "No notebook has this number or name.",
    "JK-NOTEBOOK-FAILED": "A notebook stopped with an error.",
    "JK-KERNEL-DIED": "The notebook's kernel died before the notebook finished.",
    "JK-USAGE": "The command line is incomplete or contradictory.",
    "JK-INTERNAL": "jarkkit has a bug.",
    # sandbox
    "JK-SANDBOX-EXTRA": "The packages of the sandbox are not installed.",
    "JK-SANDBOX-START": "The sandbox did not start.",
    "JK-SANDBOX-MISSING": "No sandbox is running.",
    "JK-SANDBOX-STATE": "jarkkit cannot load the sandbox's saved state.",
    "JK-SANDBOX-FAULT": "No fault has this name.",
    "JK-SANDBOX-SPEED": "A sandbox is already running with other options.",
    "JK-SANDBOX-POLICY": "The sandbox cannot use a policy for its user.",
    "JK-SANDBOX-CLUSTER": "A control plane of the sandbox cannot start or continue.",
    # the programs of the sandbox's clusters
    "JK-TOOLCHAIN-MISSING": "The programs of the sandbox are not built yet.",
    "JK-TOOLCHAIN-GO": "jarkkit needs Go to build Kubernetes, but could not get it.",
    "JK-TOOLCHAIN-NETWORK": "jarkkit could not download the sources of Kubernetes.",
    "JK-TOOLCHAIN-DISK": "The disk has too little free space to build Kubernetes.",
    "JK-TOOLCHAIN-BUILD": "Go could not build a program for the sandbox's clusters.",
    "JK-TOOLCHAIN-BUSY": "Another process is building the programs of the sandbox.",
}


class JarkkitError(Exception):
    """A failure with a code, an explanation and a fix.

    Args:
        code: a key of `CODES`; stable across releases.
        message: what happened, with the names and values involved (never a secret).
        fix: an instruction for the reader.
        evidence: lines of raw output that prove it (already cut to a readable length).
        transient: overrides the class' default, where the caller knows better.
        subjects: names of the settings or add-ons that it is about. Programs read them here, never
            from the message.

    Attributes:
        transient: True if the same call may succeed within a minute, without any change.
    """

    transient: bool = False

    def __init_subclass__(cls, codes: tuple[str, ...] = ()) -> None:
        """Make it the class of these codes. Codes of no class are those of `JarkkitError`."""
        _CLASSES.update(dict.fromkeys(codes, cls))

    def __new__(cls, code: str, *_: Any, **__: Any) -> Self:
        """Return an error of the code's class. Raises KeyError for an unlisted code, and TypeError
        if the code belongs to another class."""
        of_code = error_class(code)
        if issubclass(of_code, cls):
            return super().__new__(of_code)
        if not issubclass(cls, of_code):
            raise TypeError(f"{code} is a code of {of_code.__name__}, not of {cls.__name__}")
        return super().__new__(cls)

    def __init__(
        self,
        code: str,
        message: str,
        fix: str,
        *,
        evidence: str = "",
        transient: bool | None = None,
        subjects: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.evidence = evidence
        self.subjects = tuple(subjects)
        if transient is not None:
            self.transient = transient

    @classmethod
    def has_code(cls, code: str) -> bool:
        """Return True if the code, in a record or a check, is one of this class."""
        return code in CODES and issubclass(error_class(code), cls)

    def with_details(
        self, message: str, *, fix: str = "", evidence: str = "", subjects: Iterable[str] = ()
    ) -> Self:
        """Return the same failure with another message, and what else is given."""
        return type(self)(
            self.code,
            message,
            fix or self.fix,
            evidence=evidence or self.evidence,
            transient=self.transient,
            subjects=tuple(subjects) or self.subjects,
        )

    def __reduce__(self) -> tuple[object, ...]:
        # BaseException would call the class with the message alone.
        named = (self.code, self.message, self.fix)
        return (type(self), named, vars(self))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def lines(self) -> list[str]:
        """Return the error as terminal and notebook show it."""
        shown = [str(self), f"  fix: {self.fix}"]
        if self.evidence:
            shown += ["  evidence:", *(f"    {line}" for line in self.evidence.splitlines())]
        return shown

    def as_dict(self) -> dict[str, str]:
        """Return the fields for JSON output and records."""
        return {
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
            "evidence": self.evidence,
        }

    def _render_traceback_(self) -> list[str]:
        """Return these lines to IPython instead of a long traceback (IPython's own hook)."""
        return self.lines()


_CLASSES: dict[str, type[JarkkitError]] = {}


def error_class(code: str) -> type[JarkkitError]:
    """Return the class of a code's errors. Raises KeyError for an unlisted code."""
    if code not in CODES:
        raise KeyError(f"{code} is not in jarkkit.model.errors.CODES")
    return _CLASSES.get(code, JarkkitError)


# -- AWS and Kubernetes ----------------------------------------------------------------------------


class ApiCallError(JarkkitError, codes=("JK-AWS-FAILED", "JK-KUBE-FAILED", "JK-KUBE-REFUSED")):
    """AWS or the Kubernetes API did not do what a call asked for."""


class CredentialsError(ApiCallError):
    """No call to the account can succeed with these credentials."""


class CredentialsMissing(CredentialsError, codes=("JK-AWS-NO-CREDENTIALS",)):
    """There are no credentials."""


class CredentialsExpired(CredentialsError, codes=("JK-AWS-EXPIRED",)):
    """AWS rejects the credentials: they have expired or are not valid."""


class AccessDenied(ApiCallError, codes=("JK-AWS-DENIED", "JK-KUBE-DENIED")):
    """A permission is missing."""


class Throttled(ApiCallError, codes=("JK-AWS-THROTTLED",)):
    """Too many requests."""

    transient = True


class Unreachable(ApiCallError, codes=("JK-AWS-UNREACHABLE", "JK-KUBE-UNREACHABLE")):
    """The endpoint did not respond."""

    transient = True


class QuotaExceeded(ApiCallError, codes=("JK-AWS-QUOTA",)):
    """A service quota is too small."""


class CapacityUnavailable(ApiCallError, codes=("JK-AWS-CAPACITY",)):
    """AWS has no capacity for the instance type, now."""


class Unschedulable(JarkkitError, codes=("JK-ADDON-PENDING",)):
    """No node takes the pod."""


class RegionUnavailable(JarkkitError, codes=("JK-REGION-UNKNOWN",)):
    """The Region does not exist, or the account cannot use it."""


class WrongTarget(JarkkitError, codes=("JK-TARGET-MISMATCH", "JK-TARGET-REHEARSAL")):
    """The credentials or the endpoint are not those of the deployment."""


class Leftover(JarkkitError, codes=("JK-LEFTOVER",)):
    """A resource of an earlier run with this name is still in the account."""


class VersionDrift(JarkkitError, codes=("JK-VERSION-DRIFT",)):
    """The cluster runs a newer Kubernetes version than the settings say."""


# -- anywhere --------------------------------------------------------------------------------------


class NotFound(
    JarkkitError,
    codes=(
        "JK-SETTINGS-MISSING",
        "JK-DEPLOYMENT-MISSING",
        "JK-PLAN-MISSING",
        "JK-CHART-MISSING",
        "JK-USE-UNKNOWN",
        "JK-DRILL-UNKNOWN",
        "JK-NOTEBOOK-MISSING",
        "JK-SANDBOX-MISSING",
        "JK-SANDBOX-FAULT",
    ),
):
    """What the call names does not exist."""


class ObjectNotFound(ApiCallError, NotFound):
    """AWS or Kubernetes has no such object."""


class Conflict(
    JarkkitError,
    codes=(
        "JK-DEPLOYMENT-EXISTS",
        "JK-DEPLOYMENT-BUSY",
        "JK-FILE-EXISTS",
        "JK-NAME-TAKEN",
        "JK-TF-LOCKED",
        "JK-TOOLCHAIN-BUSY",
    ),
):
    """Something else exists or runs that excludes it."""


class ObjectConflict(ApiCallError, Conflict):
    """The object in AWS or Kubernetes exists already, or another writer has changed it."""


class ObjectInUse(ObjectConflict):
    """Another object in AWS uses the one to delete."""


class InvalidSettings(
    JarkkitError,
    codes=("JK-SETTINGS-SYNTAX", "JK-SETTINGS-UNKNOWN", "JK-SETTINGS-INVALID", "JK-SETTINGS-FIXED"),
):
    """The settings are not valid."""


class InvalidAddon(JarkkitError, codes=("JK-ADDON-INVALID",)):
    """An add-on refers to something that does not exist, or not yet."""


class FolderError(JarkkitError, codes=("JK-DEPLOYMENT-DAMAGED", "JK-WORKSPACE-WRITE")):
    """jarkkit cannot read or write a file of the deployment."""


class TimedOut(
    JarkkitError,
    codes=("JK-ADDON-TIMEOUT", "JK-HELM-TIMEOUT", "JK-USE-TIMEOUT", "JK-DRILL-TIMEOUT"),
):
    """It did not finish before its timeout."""


class Interrupted(JarkkitError, codes=("JK-INTERRUPTED",)):
    """You, or a signal, interrupted it."""


class NotAllowed(
    JarkkitError,
    codes=("JK-PREFLIGHT-BLOCKED", "JK-CONFIRM", "JK-CLUSTER-NOT-EMPTIED", "JK-DRILL-REFUSED"),
):
    """jarkkit does not do this without your confirmation, or not in this account."""


class InvalidUsage(JarkkitError, codes=("JK-USAGE",)):
    """The command line or the call is incomplete or contradictory."""
