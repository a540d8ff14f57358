"""Records what whole rehearsals need to be allowed, for tests/unit/test_permissions.py:

    python -m tests.e2e.recording

Each runs under the policy that the kit makes for its settings and under nothing else; what they
need is taken from the sandbox's permissions.log. About ten minutes.
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

from jarkkit.permissions import needed
from jarkkit.permissions.policy import parts, text
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from tests.conftest import CLEAN, pointed_at
from tests.e2e.conftest import ACCOUNT, SMALL, jarkkit_command
from tests.sandbox.test_account import make_client

RECORDED = Path(__file__).parents[1] / "unit" / "recorded_needs.json"
REGION = Settings().region
Values = dict[str, Any]

_ID = re.compile(r"\b(?!artifacts)([a-z]+)-[0-9a-f]{8,17}\b")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG = "jarkkit:deployment"
_AGAIN = ("plan", "deploy", "verify", "cost")


def write_policies(folder: Path, settings: Settings, without: str = "") -> list[Path]:
    """The deployment's policies in files, all but one statement."""
    folder.mkdir(exist_ok=True)
    statements = [s for s in needed(settings, ACCOUNT) if s.sid != without]
    written = {folder / f"{name}.json": text(part) for name, part in parts(statements).items()}
    for path, policy in written.items():
        path.write_text(policy)
    return list(written)


def compact(lines: Iterable[str], keep: Iterable[str] = ()) -> list[list[Any]]:
    """The needs in lines of a permissions.log, each once, without what changes from run to run.

    Args:
        keep: ids that stay as they are.
    """
    kept = set(keep)

    def same(found: re.Match[str]) -> str:
        return found[0] if found[0] in kept else f"{found[1]}-00000000"

    needs = set()
    for line in lines:
        action, resource, context = json.loads(line)
        wanted = {k: v for k, v in context.items() if _matters(k)}
        plain = json.dumps([action, resource, wanted], sort_keys=True)
        needs.add(_ID.sub(same, _UUID.sub("00000000-0000-0000-0000-000000000000", plain)))
    return [json.loads(need) for need in sorted(needs)]


def _matters(key: str) -> bool:
    tags = ("aws:RequestTag/", "aws:ResourceTag/")
    return key.endswith(_TAG) if key.startswith(tags) else key not in _SAME_FOR_ALL


_SAME_FOR_ALL = ("aws:RequestedRegion", "aws:TagKeys")


def _new_roles(running: control.Running) -> Values:
    """As in a new account: services make their roles."""
    iam = make_client(running, "iam", REGION)
    for role in ("AmazonEKS", "AmazonEKSNodegroup", "AutoScaling", "AmazonElasticFileSystem"):
        iam.delete_service_linked_role(RoleName=f"AWSServiceRoleFor{role}")
    return {}


def _brought_network(running: control.Running) -> Values:
    ec2 = make_client(running, "ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{REGION}{letter}")
        for letter, block in (("a", "10.9.0.0/20"), ("b", "10.9.16.0/20"))
    ]
    return {"vpc_id": vpc, "private_subnet_ids": [s["Subnet"]["SubnetId"] for s in subnets]}


def _state_bucket(running: control.Running) -> Values:
    place = {"LocationConstraint": REGION}
    make_client(running, "s3", REGION).create_bucket(
        Bucket="states", CreateBucketConfiguration=place
    )
    return {"state_bucket": "states"}


# name: (settings, what the account has before, changes that are deployed after another)
RUNS: dict[str, tuple[Values, Callable[[control.Running], Values], tuple[Values, ...]]] = {
    "small": (SMALL, _new_roles, ()),
    "brought": (SMALL, _brought_network, ()),
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
                "endpoint_public_cidrs": ["10.0.0.0/8"],
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
    """One rehearsal under its own policy. Raises CalledProcessError where a step fails."""
    values, prepare, changes = RUNS[name]
    running = control.start(home / ".sandbox", account_only=True)
    try:
        values = {**values, **prepare(running)}
        log = running.home / "permissions.log"
        before = len(log.read_text().splitlines())
        control.set_policies(
            running.home, write_policies(home / "policies", Settings.make({"name": name, **values}))
        )
        environ = {**pointed_at(running), "JARKKIT_HOME": str(home)}
        _run(environ, "init", name, "--sandbox", *_pairs(values))
        for look in ("preflight", "regions"):
            _run(environ, look, name, must=False)  # a finding is no failure
        _run(environ, "cost", name, "--refresh")
        for step in _AGAIN:
            _run(environ, step, name)
        for change in changes:
            _run(environ, "configure", name, *_pairs(change))
            for step in _AGAIN:
                _run(environ, step, name)
        _run(environ, "cleanup", name, "--confirm", name)
    finally:
        control.stop(running.home)
    lines = log.read_text().splitlines()[before:]
    found = compact(lines, (m[0] for m in _ID.finditer(json.dumps(values))))
    return {"settings": {"name": name, **values}, "needs": found}


def _pairs(values: Mapping[str, Any]) -> list[str]:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    return [word for key, value in texts.items() for word in ("-p", f"{key}={value}")]


def _run(environ: Mapping[str, str], *words: str, must: bool = True) -> None:
    sys.stderr.write(f"{' '.join(words)[:90]}\n")
    subprocess.run(
        jarkkit_command(*words),
        cwd=environ["JARKKIT_HOME"],
        env={**CLEAN, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=must,
    )


def main(names: Iterable[str]) -> None:
    """Record these rehearsals anew, and leave the others as they are."""
    known = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="jarkkit-recording-") as folder:
            known[name] = record(name, Path(folder))
    rows = ",\n".join(_written(name, run) for name, run in sorted(known.items()))
    RECORDED.write_text("{\n" + rows + "\n}\n")


def _written(name: str, run: Mapping[str, Any]) -> str:
    """A line for each need, so that a change shows what changed."""
    needs = ",\n  ".join(json.dumps(need) for need in run["needs"])
    head = f'"settings": {json.dumps(run["settings"])}'
    return f'"{name}": {{\n {head},\n "needs": [\n  {needs}\n ]\n}}'


if __name__ == "__main__":
    main(sys.argv[1:] or RUNS)
