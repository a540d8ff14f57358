"""Records the permissions that whole rehearsals need, for tests/unit/test_permissions.py:

    python -m tests.e2e.recording

Each rehearsal runs with only the policy that jarkkit writes for its settings. The needed
permissions come from the sandbox's permissions.log. Takes about ten minutes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jarkkit.decisions.permissions import needed_statements
from jarkkit.decisions.permissions.policy import policy_json, split_policies
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import (
    CLEAN,
    make_client,
    open_network,
    sandbox_environment,
    trust_policy,
)
from tests.support.certificates import import_certificate
from tests.support.deployments import ACCOUNT, jarkkit_command
from tests.support.stacks import SMALL, resolved

RECORDED = Path(__file__).parents[1] / "unit" / "recorded_needs.json"
REGION = Settings().region
Values = dict[str, Any]

_ID = re.compile(r"\b(?!artifacts)([a-z]+)-[0-9a-f]{8,17}\b")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ASSOCIATION = re.compile(r"/a-[0-9a-z]{17}\b")  # of Pod Identity
_TAG = "jarkkit:deployment"


def write_policies(folder: Path, settings: Settings, without: str = "") -> list[Path]:
    """Write the deployment's policies without one statement to files; return their paths."""
    folder.mkdir(exist_ok=True)
    statements = [s for s in needed_statements(resolved(settings), ACCOUNT) if s.sid != without]
    written = {
        folder / f"{name}.json": policy_json(part)
        for name, part in split_policies(statements).items()
    }
    for path, policy in written.items():
        path.write_text(policy)
    return list(written)


def compact(lines: Iterable[str], keep: Iterable[str] = ()) -> list[list[Any]]:
    """Return the permissions in a permissions.log, each once, without values that vary by run.

    Args:
        keep: ids that stay as they are.
    """
    kept = set(keep)

    def replace_id(found: re.Match[str]) -> str:
        return found[0] if found[0] in kept else f"{found[1]}-00000000"

    def replace_uuid(found: re.Match[str]) -> str:
        return found[0] if found[0] in kept else "00000000-0000-0000-0000-000000000000"

    needs = set()
    for line in lines:
        action, resource, context = json.loads(line)
        relevant = {k: v for k, v in context.items() if _is_relevant(k)}
        need = json.dumps([action, resource, relevant], sort_keys=True)
        need = _ASSOCIATION.sub("/a-00000000000000000", need)
        needs.add(_ID.sub(replace_id, _UUID.sub(replace_uuid, need)))
    return [json.loads(need) for need in sorted(needs)]


def _is_relevant(key: str) -> bool:
    tags = ("aws:RequestTag/", "aws:ResourceTag/")
    return key.endswith(_TAG) if key.startswith(tags) else key not in _SAME_FOR_ALL


_SAME_FOR_ALL = ("aws:RequestedRegion", "aws:TagKeys")


def _new_roles(running: daemon_client.RunningSandbox) -> Values:
    """Delete the service-linked roles, as in a new account, where services create them; import a
    certificate for JupyterHub."""
    iam = make_client(running, "iam", REGION)
    for role in ("AmazonEKS", "AmazonEKSNodegroup", "AutoScaling", "AmazonElasticFileSystem"):
        iam.delete_service_linked_role(RoleName=f"AWSServiceRoleFor{role}")
    host = "hub.example.com"
    arn = import_certificate(make_client(running, "acm", REGION), [host])
    return {"jupyterhub_domain": host, "jupyterhub_certificate_arn": arn}


def _existing_network(running: daemon_client.RunningSandbox) -> Values:
    ec2 = make_client(running, "ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{REGION}{letter}")
        for letter, block in (("a", "10.9.0.0/20"), ("b", "10.9.16.0/20"))
    ]
    ids = [subnet["Subnet"]["SubnetId"] for subnet in subnets]
    open_network(ec2, vpc, ids)
    found = {"vpc_id": vpc, "private_subnet_ids": ids}
    return {**found, "permissions_boundary_arn": _boundary(running), **_login(running)}


def _login(running: daemon_client.RunningSandbox) -> Values:
    secrets = make_client(running, "secretsmanager", REGION)
    return {
        "jupyterhub_auth": "oidc",
        "jupyterhub_oidc_issuer": "https://id.example.org",
        "jupyterhub_oidc_client_id": "hub",
        "jupyterhub_oidc_client_secret": secrets.create_secret(Name="hub", SecretString="x")["ARN"],
    }


def _boundary(running: daemon_client.RunningSandbox) -> str:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    policy = make_client(running, "iam", REGION).create_policy(
        PolicyName="boundary", PolicyDocument=document
    )
    return str(policy["Policy"]["Arn"])


def _state_bucket(running: daemon_client.RunningSandbox) -> Values:
    make_client(running, "iam", REGION).create_role(
        RoleName="other", AssumeRolePolicyDocument=trust_policy("ec2.amazonaws.com")
    )
    location = {"LocationConstraint": REGION}
    make_client(running, "s3", REGION).create_bucket(
        Bucket="states", CreateBucketConfiguration=location
    )
    return {"state_bucket": "states"}


# name: (settings, what the account has before, changes that are deployed after another)
RUNS: dict[
    str, tuple[Values, Callable[[daemon_client.RunningSandbox], Values], tuple[Values, ...]]
] = {
    "small": (SMALL, _new_roles, ()),
    "brought": (SMALL, _existing_network, ()),
    "full": (
        {
            "artifact_bucket": True,
            "managed_prometheus": True,
            "budget_usd_per_month": 100,
            "budget_emails": ["a@example.org"],
            "static_gpu_nodes": 1,
            "cluster_version": "1.35",
            "nat": "per-az",
        },
        _state_bucket,
        (
            {
                "admin_principals": [f"arn:aws:iam::{ACCOUNT}:role/other"],
                "budget_usd_per_month": 200,
                "cluster_log_types": ["audit"],
                "cluster_version": "1.36",
                "core_disk_gib": 120,
                "core_nodes_max": 6,
                "endpoint_public_cidrs": ["54.240.0.0/16"],
                "log_retention_days": 30,
                "tags": {"team": "a"},
            },
            {
                "accelerators": [],
                "karpenter": False,
                "managed_prometheus": False,
                "nat": "single",
                "static_gpu_nodes": 0,
                "tags": {},
            },
        ),
    ),
}


def record(name: str, home: Path) -> dict[str, Any]:
    """Record one rehearsal with its own policy. Raises CalledProcessError when a step fails."""
    values, prepare, changes = RUNS[name]
    running = daemon_client.start(home / ".sandbox", account_only=True)
    try:
        values = {**values, **prepare(running)}
        log = running.home / "permissions.log"
        before = len(log.read_text().splitlines())
        daemon_client.set_policies(
            running.home,
            write_policies(home / "policies", Settings.from_values({"name": name, **values})),
        )
        environ = {**sandbox_environment(running), "JARKKIT_HOME": str(home)}
        _run(environ, "init", name, "--sandbox", *_pairs(values))
        for command in ("preflight", "regions"):
            _run(environ, command, name, check=False)  # a finding is not a failure
        _run(environ, "cost", name, "--refresh")
        _build(environ, name)
        for change in changes:
            _run(environ, "configure", name, *_pairs(change))
            _build(environ, name)
        _run(environ, "cleanup", name, "--confirm", name)
    finally:
        daemon_client.stop(running.home)
    lines = log.read_text().splitlines()[before:]
    named = json.dumps(values)
    found = compact(lines, (m[0] for ids in (_ID, _UUID) for m in ids.finditer(named)))
    return {"settings": {"name": name, **values}, "needs": found}


def _build(environ: Mapping[str, str], name: str) -> None:
    """Deploy the settings, also where that destroys what users would lose."""
    _run(environ, "plan", name)
    _run(environ, "deploy", name, "--confirm", name)
    _run(environ, "verify", name)
    _run(environ, "cost", name)


def _pairs(values: Mapping[str, Any]) -> list[str]:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    return [word for key, value in texts.items() for word in ("-p", f"{key}={value}")]


def _run(environ: Mapping[str, str], *args: str, check: bool = True) -> None:
    sys.stderr.write(f"{' '.join(args)[:90]}\n")
    subprocess.run(
        jarkkit_command(*args),
        cwd=environ["JARKKIT_HOME"],
        env={**CLEAN, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=check,
    )


def main(names: Iterable[str]) -> None:
    """Record these rehearsals again and keep the others as they are."""
    known = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="jarkkit-recording-") as folder:
            known[name] = record(name, Path(folder))
    rows = ",\n".join(_run_as_json(name, run) for name, run in sorted(known.items()))
    RECORDED.write_text("{\n" + rows + "\n}\n")


def _run_as_json(name: str, run: Mapping[str, Any]) -> str:
    """Return a run as JSON with one line for each permission, so that diffs are readable."""
    needs = ",\n  ".join(json.dumps(need) for need in run["needs"])
    head = f'"settings": {json.dumps(run["settings"])}'
    return f'"{name}": {{\n {head},\n "needs": [\n  {needs}\n ]\n}}'


if __name__ == "__main__":
    main(sys.argv[1:] or RUNS)
