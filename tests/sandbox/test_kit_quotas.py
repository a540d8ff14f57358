"""Quotas end to end: the real SDK and the kit against pretend accounts of several kinds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.aws import Account
from jarkkit.checks import Check, Report
from jarkkit.errors import JarkkitError
from jarkkit.inquiries.quota_table import quota_table
from jarkkit.kit import Kit
from jarkkit.quotas.codes import QUOTAS
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import InForce
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from jarkkit.steps.quotas import wishes
from tests.conftest import pointed_at
from tests.sandbox.test_account import make_client, reserve

STANDARD, GPU, P5_SPOT, VPCS, ROLES = (
    "L-1216C47A", "L-DB2E81BA", "L-C4BD4855", "L-F678F1CE", "L-FE177D64",
)  # fmt: skip
REGION = "us-west-2"


def _started(folder: Path, **options: Any) -> Iterator[control.Running]:
    yield control.start(folder, account_only=True, **options)
    control.stop(folder)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    yield from _started(tmp_path_factory.mktemp("fresh"), profile="fresh-account")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    yield from _started(tmp_path_factory.mktemp("workshop"), profile="workshop")


@pytest.fixture(scope="module")
def half_used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    yield from _started(tmp_path_factory.mktemp("half"), profile="half-used")


@pytest.fixture
def faulty(workshop: control.Running) -> Iterator[Callable[..., Account]]:
    """An account where calls fail as told, until the test ends."""

    def account(*faults: str) -> Account:
        control.set_faults(workshop.home, faults)
        return looking(workshop)

    yield account
    control.set_faults(workshop.home, ())


def looking(running: control.Running, region: str = REGION) -> Account:
    """An account that remembers nothing of earlier tests."""
    account = Account(region, pointed_at(running))
    account.forget()
    return account


def asked(running: control.Running, **changes: Any) -> QuotaTable:
    return quota_table(looking(running), Settings.make({"name": "quotas", **changes}))


def made(running: control.Running, home: Path, name: str = "demo", **values: Any) -> Kit:
    environ = pointed_at(running)
    return Kit.create(name, rehearsal=True, values=values, home=home, environ=environ)


def about(report: Report) -> list[Check]:
    return [check for check in report.checks if check.group == "Quotas"]


# -- before anything is created --------------------------------------------------------------------


def test_a_fresh_account_cannot_even_have_the_core_nodes(
    fresh: control.Running, tmp_path: Path
) -> None:
    report = made(fresh, tmp_path).preflight()
    assert not report.ok
    (check,) = (check for check in about(report) if STANDARD in check.name)
    assert (check.status, check.code) == ("fail", "JK-AWS-QUOTA")
    assert check.needed.startswith("8 vCPUs at least")
    assert check.found == "quota 5 vCPUs (the default), in use 0, free 5"
    assert "2 m5.xlarge (core nodes, at most 4)" in check.why
    assert "--quota-code L-1216C47A --desired-value 80 --region us-west-2" in check.fix
    assert check.link.endswith("/ec2/quotas/L-1216C47A?region=us-west-2")
    assert any(GPU in check.name and check.status == "fail" for check in about(report))
    assert not make_client(fresh, "ec2", REGION).describe_instances()["Reservations"]


def test_a_prepared_account_has_enough(workshop: control.Running, tmp_path: Path) -> None:
    checks = about(made(workshop, tmp_path).preflight())
    assert [check.status for check in checks] == ["pass"]
    assert "quotas leave room" in checks[0].found


def test_what_others_use_is_subtracted(half_used: control.Running) -> None:
    table = asked(half_used)
    assert (table.row(STANDARD).used, table.row(STANDARD).free) == (128, 128)
    gpu = table.row(GPU)
    assert (gpu.quota, gpu.used, gpu.own, gpu.free, gpu.fits) == (64, 32, 0, 32, "at the start")
    assert gpu.desired == 32 + 64
    assert table.row(VPCS).used == 3


def test_what_is_set_aside_is_subtracted_and_refused(fresh: control.Running) -> None:
    """Also by the sandbox itself, except to what is launched into it."""
    ec2 = make_client(fresh, "ec2", REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    held = reserve(ec2, "m5.xlarge", f"{REGION}a")

    def launch(**more: Any) -> Any:
        return ec2.run_instances(
            ImageId=image, InstanceType="m5.xlarge", MinCount=1, MaxCount=1, **more
        )

    table = asked(fresh)
    assert (table.row(STANDARD).used, table.row(STANDARD).free) == (4, 1)
    with pytest.raises(ClientError, match="VcpuLimitExceeded"):
        launch(Placement={"AvailabilityZone": f"{REGION}b"})
    made = launch()["Instances"][0]["InstanceId"]
    assert asked(fresh).row(STANDARD).used == 4
    ec2.terminate_instances(InstanceIds=[made])
    ec2.cancel_capacity_reservation(CapacityReservationId=held)
    assert asked(fresh).row(STANDARD).used == 0


def test_defaults_hold_where_nothing_was_applied(fresh: control.Running) -> None:
    found = looking(fresh).quotas.in_force(QUOTAS.values())
    listed = {code: value for code, value in found.items() if isinstance(value, InForce)}
    assert listed[STANDARD].value == 5
    assert not any(value.applied for value in listed.values())
    assert set(QUOTAS) - set(listed) <= {P5_SPOT, "L-8B23CEF3", "L-9C38E5AB"}
    assert {code for code, value in listed.items() if value.value != QUOTAS[code].default} == set()


def test_the_older_quota_of_spot_p5_counts_where_it_is_listed(workshop: control.Running) -> None:
    spot = {"accelerators": [{"family": "p5", "capacity": ["spot"], "max_vcpus": 192}]}
    settings = Settings.make({"name": "quotas", **spot})
    codes = {row.code for row in quota_table(looking(workshop, "us-east-2"), settings).rows}
    assert P5_SPOT in codes
    codes = {row.code for row in quota_table(looking(workshop), settings).rows}
    assert P5_SPOT not in codes


def test_quotas_of_iam_are_asked_in_their_home_region(workshop: control.Running) -> None:
    row = asked(workshop).row(ROLES)
    assert (row.region, row.quota, row.fits) == ("us-east-1", 1000, "yes")


# -- what is in use --------------------------------------------------------------------------------


def launched(running: control.Running, instance_type: str, **tags: str) -> tuple[Any, str]:
    ec2 = make_client(running, "ec2", REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    answer = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType=instance_type,
        TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
    )
    return ec2, str(answer["Instances"][0]["InstanceId"])


def test_a_deployments_own_instances_are_not_counted_twice(workshop: control.Running) -> None:
    ec2, mine = launched(workshop, "m5.2xlarge", **{"jarkkit:deployment": "quotas"})
    _, theirs = launched(workshop, "m5.xlarge", team="other")
    before = asked(workshop).row(STANDARD)
    ec2.terminate_instances(InstanceIds=[mine])
    after = asked(workshop).row(STANDARD)
    ec2.terminate_instances(InstanceIds=[theirs])
    assert (before.used, before.own, before.free) == (12, 8, 252)
    assert (after.used, after.own, after.free) == (4, 0, 252)


def test_subnets_that_are_not_there_are_a_wrong_setting(workshop: control.Running) -> None:
    with pytest.raises(JarkkitError) as caught:
        looking(workshop).usage.subnets(["subnet-0123456789abcdef0"])
    assert caught.value.code == "JK-SETTINGS-INVALID"


def test_things_are_counted_with_whose_they_are(workshop: control.Running) -> None:
    ec2 = make_client(workshop, "ec2", REGION)
    own = [{"Key": "jarkkit:deployment", "Value": "quotas"}]
    vpc = ec2.create_vpc(
        CidrBlock="10.7.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": own}]
    )["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/24", AvailabilityZone=f"{REGION}a")[
        "Subnet"
    ]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=512, VolumeType="gp3")
    counts = looking(workshop).usage.counts("quotas")
    elsewhere = looking(workshop).usage.counts("quotas", [f"{REGION}b"])
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    ec2.release_address(AllocationId=address)
    ec2.delete_security_group(GroupId=group)
    found = {
        code: (use.total, use.own)
        for code, use in counts.items()
        if not isinstance(use, JarkkitError)
    }
    assert set(found) == set(counts)
    assert found[VPCS] == (2, 1)
    assert found["L-0263D0A3"] == (1, 0)
    assert found["L-FE5A380F"] == (1, 0)
    assert elsewhere["L-FE5A380F"].total == 0  # type: ignore[union-attr]
    assert found["L-7A658B76"] == (0.5, 0)
    total, mine = found["L-E79EC296"]
    assert (total - mine, mine) == (1, 2)


def test_free_addresses_of_an_existing_vpc(workshop: control.Running, tmp_path: Path) -> None:
    ec2 = make_client(workshop, "ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for zone, cidr in (("a", "10.8.0.0/28"), ("b", "10.8.1.0/24"))
    ]
    own = {"vpc_id": vpc, "private_subnet_ids": subnets}
    checks = about(made(workshop, tmp_path, "bringing", **own).preflight())
    (check,) = (check for check in checks if "addresses" in check.name)
    assert (check.status, check.code) == ("warn", "JK-AWS-QUOTA")
    assert f"{subnets[0]}: 11" in check.found


# -- asking for more -------------------------------------------------------------------------------


def test_a_request_is_filed_once(fresh: control.Running, tmp_path: Path) -> None:
    kit = made(fresh, tmp_path, "asking", accelerators=[{"family": "inf2", "max_vcpus": 32}])
    wanted = {wish.code: wish for wish in wishes(kit.quotas())}
    assert (wanted["L-1945791B"].desired, wanted["L-1945791B"].in_force) == (32, 0)
    first = kit.ask_for_quota(wanted["L-1945791B"])
    again = kit.ask_for_quota(wanted["L-1945791B"])
    assert first.request
    assert again.request
    assert (first.before, again.before) == (False, True)
    assert first.request.id == again.request.id
    table = kit.quotas()
    pending = table.row("L-1945791B").pending
    assert pending
    assert pending.desired == 32
    assert "L-1945791B" not in {wish.code for wish in wishes(table)}


def test_a_request_in_the_home_region_is_not_one_of_this_region(fresh: control.Running) -> None:
    account = looking(fresh)
    account.quotas.ask_for("ec2", "L-6B0D517C", "us-east-1", 64)
    account.quotas.ask_for("iam", ROLES, "us-east-1", 2000)
    codes = {request.code for request in account.quotas.requests()}
    assert "L-6B0D517C" not in codes
    assert ROLES in codes
    there = looking(fresh, "us-east-1").quotas.requests()
    assert {"L-6B0D517C", ROLES} <= {request.code for request in there}


def test_what_aws_does_not_take_is_said(fresh: control.Running) -> None:
    with pytest.raises(JarkkitError) as caught:
        looking(fresh).quotas.ask_for("ec2", STANDARD, REGION, 1)
    assert caught.value.code == "JK-AWS-QUOTA"
    assert STANDARD in caught.value.message


def run(running: control.Running, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**pointed_at(running), "JARKKIT_HOME": str(home)}
    command = [sys.executable, "-m", "jarkkit", "quotas", *words]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_the_command_shows_and_asks_only_when_told(fresh: control.Running, tmp_path: Path) -> None:
    made(fresh, tmp_path, "shown", accelerators=[{"family": "trn1", "max_vcpus": 128}])
    shown = run(fresh, tmp_path)
    assert shown.returncode == 1
    assert "L-2C3B7624" in shown.stdout
    table = json.loads(run(fresh, tmp_path, "shown", "--json").stdout)
    row = next(row for row in table["rows"] if row["code"] == "L-2C3B7624")
    assert (row["least"], row["most"], row["free"], row["desired"]) == (8, 128, 0, 128)
    untold = run(fresh, tmp_path, "request")
    assert untold.returncode == 2
    assert "desired value 128" in untold.stdout
    assert "--yes" in untold.stderr
    assert not [r for r in looking(fresh).quotas.requests() if r.code == "L-2C3B7624"]
    told = run(fresh, tmp_path, "request", "shown", "--yes")
    assert "L-2C3B7624: sent" in told.stdout
    assert [r.desired for r in looking(fresh).quotas.requests() if r.code == "L-2C3B7624"] == [128]


# -- refusals --------------------------------------------------------------------------------------


def test_denied_quotas_are_unknown_and_the_rest_is_complete(
    faulty: Callable[..., Account],
) -> None:
    table = quota_table(faulty("access-denied:servicequotas"), Settings(name="quotas"))
    assert {row.fits for row in table.rows} == {"unknown"}
    assert {row.error_code for row in table.rows} == {"JK-AWS-DENIED"}
    assert table.row(STANDARD).used == 0
    assert table.pending_unknown


def test_a_use_that_may_not_be_asked_makes_its_quota_unknown(
    faulty: Callable[..., Account],
) -> None:
    account = faulty("access-denied:ec2.DescribeInstances,ec2.DescribeAddresses")
    unknown = {
        row.code
        for row in quota_table(account, Settings(name="quotas")).rows
        if row.fits == "unknown"
    }
    assert unknown == {STANDARD, GPU, "L-0263D0A3"}


def test_sizes_that_may_not_be_asked_make_vcpus_unknown(faulty: Callable[..., Account]) -> None:
    account = faulty("access-denied:ec2.DescribeInstanceTypes")
    table = quota_table(account, Settings.make({"name": "quotas", "accelerators": ["g5"]}))
    assert {row.code for row in table.rows if row.fits == "unknown"} >= {STANDARD, GPU}


def test_throttled_calls_are_unknown(faulty: Callable[..., Account]) -> None:
    account = faulty("throttled:servicequotas")
    table = quota_table(account, Settings(name="quotas"))
    assert {row.error_code for row in table.rows} == {"JK-AWS-THROTTLED"}


@pytest.mark.parametrize("fault", ["expired-credentials", "access-denied"])
def test_whatever_is_wrong_preflight_ends_with_findings(
    faulty: Callable[..., Account], workshop: control.Running, tmp_path: Path, fault: str
) -> None:
    kit = made(workshop, tmp_path)
    faulty(fault)
    checks = about(kit.preflight(refresh=True))
    assert {check.status for check in checks} == {"unknown"}
    assert [check for check in checks if not check.code] == []


# -- what is remembered ----------------------------------------------------------------------------


def test_answers_are_remembered_and_refreshed(workshop: control.Running) -> None:
    ec2, mine = launched(workshop, "m5.large", team="other")
    settings = Settings(name="remembering")
    first = quota_table(looking(workshop), settings)
    ec2.terminate_instances(InstanceIds=[mine])
    second = quota_table(Account(REGION, pointed_at(workshop)), settings)
    assert second == first
    third = quota_table(looking(workshop), settings)
    assert third.row(STANDARD).used == (first.row(STANDARD).used or 0) - 2


def test_refusals_are_not_remembered(faulty: Callable[..., Account]) -> None:
    refused = faulty("access-denied:servicequotas,ec2.DescribeInstances")
    assert quota_table(refused, Settings(name="quotas")).row(STANDARD).fits == "unknown"
    allowed = faulty()
    assert quota_table(allowed, Settings(name="quotas")).row(STANDARD).fits == "yes"


def test_another_account_of_the_sandbox_remembers_nothing_of_this_one(
    fresh: control.Running, workshop: control.Running
) -> None:
    caches = {running.env["JARKKIT_ACCOUNT_CACHE"] for running in (fresh, workshop)}
    assert len(caches) == 2


def test_at_the_pace_of_the_real_apis_a_region_takes_seconds(workshop: control.Running) -> None:
    looking(workshop).forget()
    control.set_pace(workshop.home, latency_ms=100, rate_limits=True)
    try:
        started = time.monotonic()
        table = quota_table(looking(workshop), Settings(name="quotas"))
        took = time.monotonic() - started
    finally:
        control.set_pace(workshop.home, latency_ms=0, rate_limits=False)
    assert {row.fits for row in table.rows} == {"yes"}
    assert took < 5  # about a second; `make bench` measures it on an idle machine
