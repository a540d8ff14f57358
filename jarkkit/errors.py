"""Errors that say what happened and what to do next.

Every failure a user can meet has one stable code, so that documentation, drills and search engines
can point at it. `CODES` is the complete list: raising an unlisted code is a programming error, and
`jarkkit errors` and docs/errors.md are made from it.
"""

from __future__ import annotations

CODES: dict[str, str] = {
    # settings
    "JK-SETTINGS-SYNTAX": "The settings file is not valid YAML.",
    "JK-SETTINGS-UNKNOWN": "A setting or parameter has a name that jarkkit does not know.",
    "JK-SETTINGS-INVALID": "A setting has a value that cannot work.",
    "JK-SETTINGS-MISSING": "The named settings file does not exist or cannot be read.",
    # the deployment's folder
    "JK-DEPLOYMENT-MISSING": "No such deployment, or it is not clear which one is meant.",
    "JK-DEPLOYMENT-EXISTS": "A deployment of that name exists already.",
    "JK-DEPLOYMENT-BUSY": "Another process is working on this deployment.",
    "JK-DEPLOYMENT-DAMAGED": "A file of the deployment cannot be read as what it should be.",
    "JK-WORKSPACE-WRITE": "The deployment's folder cannot be written (permission, disk full).",
    # AWS
    "JK-AWS-NO-CREDENTIALS": "No AWS credentials were found.",
    "JK-AWS-EXPIRED": "The AWS credentials are expired or not valid.",
    "JK-AWS-DENIED": "AWS refused a call for lack of a permission.",
    "JK-PERMISSION-MISSING": "A step needs a permission that these credentials do not have.",
    "JK-SERVICE-ROLE": "A service-linked role is missing and cannot be made.",
    "JK-AWS-THROTTLED": "AWS answered that there were too many calls.",
    "JK-AWS-UNREACHABLE": "The AWS endpoint did not answer.",
    "JK-AWS-FAILED": "An AWS call failed for another reason.",
    "JK-REGION-UNKNOWN": "The Region does not exist, or is not enabled in this account.",
    "JK-ZONES-TOO-FEW": "The Region has fewer usable Availability Zones than asked for.",
    "JK-VERSION-UNSUPPORTED": "Amazon EKS does not offer this Kubernetes version.",
    "JK-NAME-TAKEN": "Something of this name exists and does not belong to the deployment.",
    "JK-LEFTOVER": "Something of an earlier deployment of this name is still in the account.",
    "JK-STATE-DIFFERS": "Terraform's state and the account tell different things.",
    "JK-STATE-BUCKET": "The bucket that is to keep Terraform's state cannot be used.",
    "JK-AWS-CAPACITY": "AWS has no capacity for the instance type right now.",
    "JK-AWS-QUOTA": "A service quota is used up.",
    # the lock on the right target
    "JK-TARGET-MISMATCH": "The credentials point at another account, Region or cluster.",
    "JK-TARGET-REHEARSAL": "The deployment lives in a rehearsal, but no sandbox is reachable.",
    # this machine
    "JK-CLOCK-SKEW": "This machine's clock is wrong: AWS refuses what is signed by it.",
    "JK-NETWORK-PROXY": "A proxy is set that also catches what must be reached directly.",
    "JK-NETWORK-HOST": "A host that the deployment needs does not answer.",
    "JK-TOOL-VERSION": "A program on this machine does not fit the cluster's version.",
    # Terraform
    "JK-TF-MISSING": "Neither Terraform nor OpenTofu is on PATH.",
    "JK-TF-VERSION": "Terraform or OpenTofu is too old.",
    "JK-TF-PROVIDER": "The AWS provider could not be obtained.",
    "JK-TF-LOCKED": "The Terraform state is locked by another run.",
    "JK-TF-INVALID": "The Terraform configuration or its variables are not valid.",
    "JK-TF-FAILED": "Terraform ended with an error.",
    "JK-TF-KILLED": "Terraform was ended from outside before it could finish.",
    "JK-TF-OUTPUT": "An output that the kit needs is not in the Terraform state.",
    # steps
    "JK-PLAN-MISSING": "There is no plan yet.",
    "JK-PLAN-STALE": "The plan was made for other settings, configuration or state.",
    "JK-PREFLIGHT-BLOCKED": "Preflight found something that would make the deployment fail.",
    "JK-VERIFY-FAILED": "The deployment is not what it should be.",
    "JK-CONFIRM": "A destructive step was not confirmed with the deployment's name.",
    "JK-CLEANUP-LEFT": "Something of the deployment is still in the account after cleanup.",
    "JK-INTERRUPTED": "The step was interrupted; what was done so far is recorded.",
    # the cluster layer
    "JK-ADDON-INVALID": "A file of the add-on catalogue is not what it should be.",
    "JK-ADDON-TIMEOUT": "An add-on's workloads were not ready in time.",
    "JK-ADDON-FAILED": "An add-on could not be installed, changed or removed.",
    "JK-ADDON-IMAGE": "An add-on's image cannot be pulled.",
    "JK-ADDON-CRASH": "A container of an add-on keeps ending.",
    "JK-ADDON-PENDING": "A pod of an add-on finds no node.",
    "JK-CHART-MISSING": "A chart is neither in the chart cache nor can it be fetched.",
    "JK-CHART-PULL": "A chart could not be fetched from its repository.",
    "JK-CHART-CHECKSUM": "A chart in the cache is not the one that was recorded.",
    "JK-HELM-FAILED": "Helm refused or failed to carry out a release.",
    "JK-HELM-TIMEOUT": "Helm did not finish a release in time.",
    "JK-HELM-CHART": "A chart cannot be loaded, or its values do not fit.",
    "JK-KUBE-UNREACHABLE": "The cluster's API did not answer.",
    "JK-KUBE-DENIED": "The cluster's API refused a call for lack of a permission.",
    "JK-KUBE-REFUSED": "The cluster's API refused an object: not valid, or not admitted.",
    "JK-KUBE-FAILED": "A call of the cluster's API failed for another reason.",
    "JK-NODE-NOT-JOINED": "An instance was launched and has not become a node.",
    "JK-NODE-NOT-READY": "A node, or something of it, does not work.",
    "JK-NODE-RECLAIMED": "AWS took a Spot instance back.",
    "JK-VOLUME-PENDING": "A volume claim gets no volume.",
    "JK-WEBHOOK-DOWN": "An admission webhook has nobody to answer it.",
    "JK-USE-UNKNOWN": "There is no example workload of that name, or it cannot run here.",
    "JK-USE-FAILED": "An example workload ran and failed.",
    "JK-USE-TIMEOUT": "An example workload did not end in time.",
    # drills
    "JK-DRILL-UNKNOWN": "There is no drill of that name, or it cannot be done here.",
    "JK-DRILL-REFUSED": "A drill was asked for where nothing may be broken: in a real account.",
    "JK-DRILL-TIMEOUT": "A drill's fault was not seen, or did not go away, in time.",
    # notebooks and command line
    "JK-NOTEBOOK-MISSING": "There is no notebook of that number or name.",
    "JK-NOTEBOOK-FAILED": "A notebook stopped with an error.",
    "JK-KERNEL-DIED": "The notebook's kernel ended before the notebook did.",
    "JK-USAGE": "The command line is not complete or contradicts itself.",
    "JK-INTERNAL": "A defect in jarkkit itself.",
    # sandbox
    "JK-SANDBOX-START": "The sandbox did not start.",
    "JK-SANDBOX-MISSING": "No sandbox is running.",
    "JK-SANDBOX-STATE": "The sandbox's saved state cannot be loaded.",
    "JK-SANDBOX-FAULT": "There is no fault of that name.",
    "JK-SANDBOX-SPEED": "A sandbox is already running with other options.",
    "JK-SANDBOX-POLICY": "A policy for the sandbox's user cannot be used.",
    "JK-SANDBOX-CLUSTER": "A control plane of the sandbox cannot start or go on.",
    # the programs that sandbox clusters are made of
    "JK-TOOLCHAIN-MISSING": "The sandbox's programs are not built yet.",
    "JK-TOOLCHAIN-GO": "Go is needed to build Kubernetes and could not be obtained.",
    "JK-TOOLCHAIN-NETWORK": "The sources to build Kubernetes from could not be fetched.",
    "JK-TOOLCHAIN-DISK": "There is not enough disk to build Kubernetes.",
    "JK-TOOLCHAIN-BUILD": "Go could not build a program of the sandbox's clusters.",
    "JK-TOOLCHAIN-BUSY": "Another process is building the sandbox's programs.",
}


class JarkkitError(Exception):
    """A failure we can explain.

    Args:
        code: a key of `CODES`; stable across releases.
        message: what happened, in words, with the names and values involved (never a secret).
        fix: what the reader does next.
        evidence: lines of raw output that show it (already cut to a readable length).
    """

    def __init__(self, code: str, message: str, fix: str, *, evidence: str = "") -> None:
        if code not in CODES:
            raise KeyError(f"{code} is not in jarkkit.errors.CODES")
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.evidence = evidence

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.message, self.fix, self.evidence))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def lines(self) -> list[str]:
        """The error as the reader sees it, in a terminal and in a notebook alike."""
        shown = [str(self), f"  fix: {self.fix}"]
        if self.evidence:
            shown += ["  evidence:", *(f"    {line}" for line in self.evidence.splitlines())]
        return shown

    def as_dict(self) -> dict[str, str]:
        """For JSON output and records."""
        return {
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
            "evidence": self.evidence,
        }

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: a learner sees these lines instead of a page of frames."""
        return self.lines()


def _rebuild(code: str, message: str, fix: str, evidence: str) -> JarkkitError:
    return JarkkitError(code, message, fix, evidence=evidence)
