"""Quotas end to end: jarkkit with the real SDK against several profiles of sandbox accounts."""

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

from jarkkit.decisions.quotas.models import AppliedQuota
from jarkkit.decisions.quotas.quota_codes import QUOTAS
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from jarkkit.steps.queries.quota_table import quota_table
from jarkkit.steps.quotas import quota_increase_requests
from tests.support.account import make_client, reserve, sandbox_environment
from tests.support.stacks import resolved

STANDARD, GPU, P5_SPOT, VPCS, ROLES = (
    "L-1216C47A", "L-DB2E81BA", "L-C4BD4855", "L-F678F1CE", "L-FE177D64",
)  # fmt: skip
REGION = "us-west-2"


def _start(folder: Path, **options: Any) -> Iterator[daemon_client.RunningSandbox]:
    yield daemon_client.start(folder, account_only=True, **options)
    daemon_client.stop(folder)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    yield from _start(tmp_path_factory.mktemp("fresh"), profile="fresh-account")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    yield from _start(tmp_path_factory.mktemp("workshop"), profile="workshop")


@pytest.fixture(scope="module")
def half_used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    yield from _start(tmp_path_factory.mktemp("half"), profile="half-used")


@pytest.fixture
def faulty_account(workshop: daemon_client.RunningSandbox) -> Iterator[Callable[..., Account]]:
    """Return an account whose calls fail as requested, until the test ends."""

    def account(*faults: str) -> Account:
        daemon_client.set_faults(workshop.home, faults)
        return uncached_account(workshop)

    yield account
    daemon_client.set_faults(workshop.home, ())


def uncached_account(running: daemon_client.RunningSandbox, region: str = REGION) -> Account:
    """Return an account that ignores cached answers of earlier tests."""
    account = Account(region, sandbox_environment(running))
    account.ignore_cache()
    return account


def table_of(running: daemon_client.RunningSandbox, **changes: Any) -> QuotaTable:
    return quota_table(
        uncached_account(running), resolved(Settings.from_values({"name": "quotas", **changes}))
    )


def create_deployment(
    running: daemon_client.RunningSandbox, home: Path, name: str = "demo", **values: Any
) -> Deployment:
    environ = sandbox_environment(running)
    return Deployment.create(name, rehearsal=True, values=values, home=home, environ=environ)


def quota_checks(report: Report) -> list[Check]:
    return [check for check in report.checks if check.group == "Quotas"]


# -- before anything is created --------------------------------------------------------------------


def test_a_fresh_account_lacks_quota_for_the_core_nodes(
    fresh: daemon_client.RunningSandbox, tmp_path: Path
) -> None:
    report = create_deployment(fresh, tmp_path).preflight()
    assert not report.ok
    (check,) = (check for check in quota_checks(report) if STANDARD in check.name)
    assert (check.status, check.code) == ("fail", "JK-AWS-QUOTA")
    assert check.needed.startswith("at least 8 vCPUs")
    assert check.found == "quota 5 vCPUs (the default), in use 0, free 5"
    assert "2 m5.xlarge (core nodes, up to 4)" in check.why
    assert "--quota-code L-1216C47A --desired-value 80 --region us-west-2" in check.fix
    assert check.link.endswith("/ec2/quotas/L-1216C47A?region=us-west-2")
    assert any(GPU in check.name and check.status == "fail" for check in quota_checks(report))
    assert not make_client(fresh, "ec2", REGION).describe_instances()["Reservations"]


def test_a_prepared_account_has_enough_quota(
    workshop: daemon_client.RunningSandbox, tmp_path: Path
) -> None:
    checks = quota_checks(create_deployment(workshop, tmp_path).preflight())
    assert [check.status for check in checks] == ["pass"]
    assert "quotas are large enough" in checks[0].found


def test_usage_of_others_is_subtracted(half_used: daemon_client.RunningSandbox) -> None:
    table = table_of(half_used)
    assert (table.row(STANDARD).used, table.row(STANDARD).free) == (128, 128)
    gpu = table.row(GPU)
    assert (gpu.quota, gpu.used, gpu.own, gpu.free, gpu.fits) == (64, 32, 0, 32, "at the start")
    assert gpu.desired == 32 + 64
    assert table.row(VPCS).used == 3


def test_reserved_capacity_is_subtracted_and_rejected(fresh: daemon_client.RunningSandbox) -> None:
    """The sandbox itself rejects a launch, too, except into the reservation."""
    ec2 = make_client(fresh, "ec2", REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    reservation = reserve(ec2, "m5.xlarge", f"{REGION}a")

    def launch(**more: Any) -> Any:
        return ec2.run_instances(
            ImageId=image, InstanceType="m5.xlarge", MinCount=1, MaxCount=1, **more
        )

    table = table_of(fresh)
    assert (table.row(STANDARD).used, table.row(STANDARD).free) == (4, 1)
    with pytest.raises(ClientError, match="VcpuLimitExceeded"):
        launch(Placement={"AvailabilityZone": f"{REGION}b"})
    instance_id = launch()["Instances"][0]["InstanceId"]
    assert table_of(fresh).row(STANDARD).used == 4
    ec2.terminate_instances(InstanceIds=[instance_id])
    ec2.cancel_capacity_reservation(CapacityReservationId=reservation)
    assert table_of(fresh).row(STANDARD).used == 0


def test_default_quotas_are_used_without_applied_values(
    fresh: daemon_client.RunningSandbox,
) -> None:
    found = uncached_account(fresh).quotas.applied_quotas(QUOTAS.values())
    listed = {code: value for code, value in found.items() if isinstance(value, AppliedQuota)}
    assert listed[STANDARD].value == 5
    assert not any(value.applied for value in listed.values())
    assert set(QUOTAS) - set(listed) <= {P5_SPOT, "L-8B23CEF3", "L-9C38E5AB"}
    assert {code for code, value in listed.items() if value.value != QUOTAS[code].default} == set()


def test_the_older_spot_p5_quota_counts_in_regions_that_list_it(
    workshop: daemon_client.RunningSandbox,
) -> None:
    spot = {"accelerators": [{"family": "p5", "capacity": ["spot"], "max_vcpus": 192}]}
    settings = Settings.from_values({"name": "quotas", **spot})
    codes = {
        row.code
        for row in quota_table(uncached_account(workshop, "us-east-2"), resolved(settings)).rows
    }
    assert P5_SPOT in codes
    codes = {row.code for row in quota_table(uncached_account(workshop), resolved(settings)).rows}
    assert P5_SPOT not in codes


def test_iam_quotas_are_read_in_their_home_region(
    workshop: daemon_client.RunningSandbox,
) -> None:
    row = table_of(workshop).row(ROLES)
    assert (row.region, row.quota, row.fits) == ("us-east-1", 1000, "yes")


# -- usage -----------------------------------------------------------------------------------------


def launch_instance(
    running: daemon_client.RunningSandbox, instance_type: str, **tags: str
) -> tuple[Any, str]:
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


def test_a_deployments_own_instances_are_not_counted_twice(
    workshop: daemon_client.RunningSandbox,
) -> None:
    ec2, mine = launch_instance(workshop, "m5.2xlarge", **{"jarkkit:deployment": "quotas"})
    _, foreign = launch_instance(workshop, "m5.xlarge", team="other")
    before = table_of(workshop).row(STANDARD)
    ec2.terminate_instances(InstanceIds=[mine])
    after = table_of(workshop).row(STANDARD)
    ec2.terminate_instances(InstanceIds=[foreign])
    assert (before.used, before.own, before.free) == (12, 8, 252)
    assert (after.used, after.own, after.free) == (4, 0, 252)


def test_missing_subnets_are_an_invalid_setting(
    workshop: daemon_client.RunningSandbox,
) -> None:
    with pytest.raises(JarkkitError) as caught:
        uncached_account(workshop).usage.subnets(["subnet-0123456789abcdef0"])
    assert caught.value.code == "JK-SETTINGS-INVALID"


def test_usage_is_counted_with_the_deployments_own_share(
    workshop: daemon_client.RunningSandbox,
) -> None:
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
    counts = uncached_account(workshop).usage.usage_by_quota("quotas")
    elsewhere = uncached_account(workshop).usage.usage_by_quota("quotas", [f"{REGION}b"])
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    ec2.release_address(AllocationId=address)
    ec2.delete_security_group(GroupId=group)
    found = {
        code: (usage.total, usage.own)
        for code, usage in counts.items()
        if not isinstance(usage, Unknown)
    }
    assert set(found) == set(counts)
    assert found[VPCS] == (2, 1)
    assert found["L-0263D0A3"] == (1, 0)
    assert found["L-FE5A380F"] == (1, 0)
    assert elsewhere["L-FE5A380F"].total == 0  # type: ignore[union-attr]
    assert found["L-7A658B76"] == (0.5, 0)
    total, mine = found["L-E79EC296"]
    assert (total - mine, mine) == (1, 2)


def test_few_free_addresses_in_an_existing_vpc_are_a_warning(
    workshop: daemon_client.RunningSandbox, tmp_path: Path
) -> None:
    ec2 = make_client(workshop, "ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for zone, cidr in (("a", "10.8.0.0/28"), ("b", "10.8.1.0/24"))
    ]
    own = {"vpc_id": vpc, "private_subnet_ids": subnets}
    checks = quota_checks(create_deployment(workshop, tmp_path, "bringing", **own).preflight())
    (check,) = (check for check in checks if "addresses" in check.name)
    assert (check.status, check.code) == ("warn", "JK-AWS-QUOTA")
    assert f"{subnets[0]}: 11" in check.found


# -- requesting increases --------------------------------------------------------------------------


def test_an_increase_is_requested_only_once(
    fresh: daemon_client.RunningSandbox, tmp_path: Path
) -> None:
    deployment = create_deployment(
        fresh, tmp_path, "asking", accelerators=[{"family": "inf2", "max_vcpus": 32}]
    )
    requests = {
        request.code: request for request in quota_increase_requests(deployment.quota_table())
    }
    assert (requests["L-1945791B"].desired, requests["L-1945791B"].in_force) == (32, 0)
    first = deployment.request_quota_increase(requests["L-1945791B"])
    again = deployment.request_quota_increase(requests["L-1945791B"])
    assert first.increase
    assert again.increase
    assert (first.before, again.before) == (False, True)
    assert first.increase.id == again.increase.id
    table = deployment.quota_table()
    pending = table.row("L-1945791B").pending
    assert pending
    assert pending.desired == 32
    assert "L-1945791B" not in {request.code for request in quota_increase_requests(table)}


def test_a_request_in_the_home_region_is_not_listed_for_this_region(
    fresh: daemon_client.RunningSandbox,
) -> None:
    account = uncached_account(fresh)
    account.quotas.request_increase("ec2", "L-6B0D517C", "us-east-1", 64)
    account.quotas.request_increase("iam", ROLES, "us-east-1", 2000)
    codes = {request.code for request in account.quotas.increase_requests()}
    assert "L-6B0D517C" not in codes
    assert ROLES in codes
    in_virginia = uncached_account(fresh, "us-east-1").quotas.increase_requests()
    assert {"L-6B0D517C", ROLES} <= {request.code for request in in_virginia}


def test_a_rejected_increase_is_an_error(fresh: daemon_client.RunningSandbox) -> None:
    with pytest.raises(JarkkitError) as caught:
        uncached_account(fresh).quotas.request_increase("ec2", STANDARD, REGION, 1)
    assert caught.value.code == "JK-AWS-QUOTA"
    assert STANDARD in caught.value.message


def run(
    running: daemon_client.RunningSandbox, home: Path, *args: str
) -> subprocess.CompletedProcess[str]:
    environ = {**sandbox_environment(running), "JARKKIT_HOME": str(home)}
    command = [sys.executable, "-m", "jarkkit", "quotas", *args]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_the_command_sends_requests_only_with_yes(
    fresh: daemon_client.RunningSandbox, tmp_path: Path
) -> None:
    create_deployment(fresh, tmp_path, "shown", accelerators=[{"family": "trn1", "max_vcpus": 128}])
    output = run(fresh, tmp_path)
    assert output.returncode == 1
    assert "L-2C3B7624" in output.stdout
    table = json.loads(run(fresh, tmp_path, "shown", "--json").stdout)
    row = next(row for row in table["rows"] if row["code"] == "L-2C3B7624")
    assert (row["least"], row["most"], row["free"], row["desired"]) == (8, 128, 0, 128)
    without_yes = run(fresh, tmp_path, "request")
    assert without_yes.returncode == 2
    assert "desired value 128" in without_yes.stdout
    assert "--yes" in without_yes.stderr
    assert not [
        r for r in uncached_account(fresh).quotas.increase_requests() if r.code == "L-2C3B7624"
    ]
    with_yes = run(fresh, tmp_path, "request", "shown", "--yes")
    assert "L-2C3B7624: sent" in with_yes.stdout
    assert [
        r.desired
        for r in uncached_account(fresh).quotas.increase_requests()
        if r.code == "L-2C3B7624"
    ] == [128]


# -- failing calls ---------------------------------------------------------------------------------


def test_denied_quotas_are_unknown_and_the_rest_is_complete(
    faulty_account: Callable[..., Account],
) -> None:
    table = quota_table(
        faulty_account("access-denied:servicequotas"), resolved(Settings(name="quotas"))
    )
    assert {row.fits for row in table.rows} == {"unknown"}
    assert {row.error_code for row in table.rows} == {"JK-AWS-DENIED"}
    assert table.row(STANDARD).used == 0
    assert table.pending_unknown


def test_denied_usage_makes_its_quotas_unknown(
    faulty_account: Callable[..., Account],
) -> None:
    account = faulty_account("access-denied:ec2.DescribeInstances,ec2.DescribeAddresses")
    unknown = {
        row.code
        for row in quota_table(account, resolved(Settings(name="quotas"))).rows
        if row.fits == "unknown"
    }
    assert unknown == {STANDARD, GPU, "L-0263D0A3"}


def test_denied_instance_types_make_vcpu_quotas_unknown(
    faulty_account: Callable[..., Account],
) -> None:
    account = faulty_account("access-denied:ec2.DescribeInstanceTypes")
    table = quota_table(
        account, resolved(Settings.from_values({"name": "quotas", "accelerators": ["g5"]}))
    )
    assert {row.code for row in table.rows if row.fits == "unknown"} >= {STANDARD, GPU}


def test_throttled_quotas_are_unknown(faulty_account: Callable[..., Account]) -> None:
    account = faulty_account("throttled:servicequotas")
    table = quota_table(account, resolved(Settings(name="quotas")))
    assert {row.error_code for row in table.rows} == {"JK-AWS-THROTTLED"}


@pytest.mark.parametrize("fault", ["expired-credentials", "access-denied"])
def test_preflight_ends_with_findings_despite_failing_calls(
    faulty_account: Callable[..., Account],
    workshop: daemon_client.RunningSandbox,
    tmp_path: Path,
    fault: str,
) -> None:
    deployment = create_deployment(workshop, tmp_path)
    faulty_account(fault)
    checks = quota_checks(deployment.preflight(refresh=True))
    assert {check.status for check in checks} == {"unknown"}
    assert [check for check in checks if not check.code] == []


# -- cached answers --------------------------------------------------------------------------------


def test_answers_are_cached_and_refreshed(workshop: daemon_client.RunningSandbox) -> None:
    ec2, foreign = launch_instance(workshop, "m5.large", team="other")
    settings = Settings(name="remembering")
    first = quota_table(uncached_account(workshop), resolved(settings))
    ec2.terminate_instances(InstanceIds=[foreign])
    second = quota_table(Account(REGION, sandbox_environment(workshop)), resolved(settings))
    assert second == first
    third = quota_table(uncached_account(workshop), resolved(settings))
    assert third.row(STANDARD).used == (first.row(STANDARD).used or 0) - 2


def test_denied_answers_are_not_cached(faulty_account: Callable[..., Account]) -> None:
    refused = faulty_account("access-denied:servicequotas,ec2.DescribeInstances")
    assert quota_table(refused, resolved(Settings(name="quotas"))).row(STANDARD).fits == "unknown"
    allowed = faulty_account()
    assert quota_table(allowed, resolved(Settings(name="quotas"))).row(STANDARD).fits == "yes"


def test_every_sandbox_account_has_its_own_cache(
    fresh: daemon_client.RunningSandbox, workshop: daemon_client.RunningSandbox
) -> None:
    caches = {running.env["JARKKIT_ACCOUNT_CACHE"] for running in (fresh, workshop)}
    assert len(caches) == 2


def test_a_region_takes_seconds_with_the_latency_of_real_apis(
    workshop: daemon_client.RunningSandbox,
) -> None:
    uncached_account(workshop).ignore_cache()
    daemon_client.set_pace(workshop.home, latency_ms=100, rate_limits=True)
    try:
        started = time.monotonic()
        table = quota_table(uncached_account(workshop), resolved(Settings(name="quotas")))
        took = time.monotonic() - started
    finally:
        daemon_client.set_pace(workshop.home, latency_ms=0, rate_limits=False)
    assert {row.fits for row in table.rows} == {"yes"}
    assert took < 60  # takes about a second; `make bench` measures it on an idle machine
