"""The account's instances of Karpenter, running and ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from jarkkit.model.clock import now
from jarkkit.ports.aws import Account

REGION = "us-west-2"


def launch(client: Callable[[str], Any], deployment: str, claim: str, **more: Any) -> str:
    """Launch an instance with the tags that Karpenter gives it."""
    tags = {
        "jarkkit:deployment": deployment,
        "karpenter.sh/nodepool": "g6",
        "karpenter.sh/nodeclaim": claim,
    }
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2 = client("ec2")
    made = ec2.run_instances(
        ImageId=ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
        InstanceType="g6.xlarge",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
        **more,
    )
    return str(made["Instances"][0]["InstanceId"])


def test_running_and_ended_instances_of_a_deployment_are_found(
    account: Account, client: Callable[[str], Any]
) -> None:
    market = {"MarketType": "spot"}
    running = launch(client, "ran1", "g6-aaaaa", InstanceMarketOptions=market)
    ended = launch(client, "ran1", "g6-bbbbb")
    launch(client, "ran2", "g6-ccccc")
    client("ec2").terminate_instances(InstanceIds=[ended])
    time = now()
    found = {run.instance_id: run for run in account.karpenter_runs("ran1", time)}
    assert found.keys() == {running, ended}
    alive, gone = found[running], found[ended]
    assert (alive.name, alive.pool, alive.instance_type) == ("g6-aaaaa", "g6", "g6.xlarge")
    assert (alive.capacity, alive.seen, alive.gone) == ("spot", time, "")
    assert (gone.capacity, gone.seen) == ("on-demand", gone.gone)
    since = datetime.fromisoformat(time) - datetime.fromisoformat(gone.gone)
    assert timedelta(seconds=-1) < since < timedelta(seconds=30)
