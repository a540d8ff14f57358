"""Cleanup in a simulated account: what a cluster left is found, priced and removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account
from jarkkit.ports.workspace import Workspace
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import cluster, network, sandbox_environment
from tests.support.fakes.account import FakeTerraform
from tests.support.orphans import plant_foreign, plant_orphans

REGION = "eu-west-1"


def unreachable(_outputs: Any, *_more: Any, **_named: Any) -> Any:
    """Fail as the API of a cluster that is down."""
    raise JarkkitError("JK-KUBE-UNREACHABLE", "The API server does not answer.", "Wait.")


@pytest.mark.parametrize("api_server_down", [False, True])
def test_a_cleanup_removes_all_orphans_and_proves_only_what_it_can(
    sandbox: daemon_client.RunningSandbox,
    account: Account,
    client: Callable[[str], Any],
    tmp_path: Path,
    *,
    api_server_down: bool,
) -> None:
    name = f"orphans-{int(api_server_down)}"
    subnets = network(client("ec2"))
    vpc = client("ec2").describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    settings = Settings(name=name, region=REGION, vpc_id=vpc, private_subnet_ids=tuple(subnets))
    workspace = Workspace(tmp_path / "deployments" / name)
    workspace.create(settings, rehearsal=False)
    terraform = FakeTerraform(workspace.folder)
    deployment = Deployment(
        workspace,
        sandbox_environment(sandbox),
        account=account,
        terraform=terraform,  # type: ignore[arg-type]
    )
    remaining = plant_foreign(client, name, subnets)
    planted = plant_orphans(client, name, subnets)
    if api_server_down:
        eks = cluster(client, name, tags={"jarkkit:deployment": name})
        deployment._connecting = unreachable
        delete = terraform.init

        def init() -> Any:  # Terraform, of which this is the first call, deletes it
            eks.delete_cluster(name=name)
            return delete()

        terraform.init = init  # type: ignore[method-assign]
    list(deployment.cleanup(confirm=name))
    receipt = deployment.last_receipt()
    assert receipt is not None
    assert receipt.left == ()
    assert receipt.destroyed == len(planted) == 20
    assert remaining() == 5
    assert receipt.clean is not api_server_down
    assert ("not proven" in receipt.verdict) is api_server_down
