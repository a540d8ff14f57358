"""Prices, bills and actual costs, compared with figures computed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jarkkit.decisions.costs.actuals import (
    actual_costs,
    deployed_periods,
    describe_remaining_costs,
    price_resources,
    with_monthly_prices,
)
from jarkkit.decisions.costs.bill import build_bill, priced_names, spot_instance_types
from jarkkit.decisions.costs.models import COST_AREAS, Bill, UsdRange, format_usd
from jarkkit.decisions.costs.price_table import Price, PriceTable
from jarkkit.decisions.instance_sizes import size_factor, vcpus
from jarkkit.model.records import LedgerEntry, OwnedResource
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.settings import FAMILIES, Settings
from tests.support.stacks import resolved

TABLE = PriceTable.shipped()
TODAY = "2026-11-27"
DOC = Path(__file__).parents[2] / "docs" / "cost.md"
# Enabled in every account: https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
DEFAULT_REGIONS = (
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
    "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "ap-south-1",
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2",
)  # fmt: skip


def bill_of(**values: object) -> Bill:
    settings = Settings.from_values({"region": "us-east-1", **values})
    return build_bill(resolved(settings), TABLE, today=TODAY)


def likely(made: Bill, what: str) -> float:
    usd = next(line.usd for line in made.lines if line.what == what)
    assert usd is not None
    return usd.likely


# -- the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", DEFAULT_REGIONS)
def test_every_default_region_has_a_price_for_everything(region: str) -> None:
    for key in TABLE.items:
        assert TABLE.item(region, key), key
    for kind in ("m5.xlarge", "m6i.2xlarge", "m7i.4xlarge", "c6i.8xlarge", "r6i.xlarge"):
        assert TABLE.instance(region, kind), kind
    for kind in TABLE.accelerated:
        assert TABLE.instance(region, kind), kind


@pytest.mark.parametrize("key", ["eks-standard", "nat-hour", "nat-gb", "ipv4", "gp3", "kms-key"])
def test_the_largest_cost_items_have_no_estimated_price(key: str) -> None:
    prices = [TABLE.item(region, key) for region in DEFAULT_REGIONS]
    assert not any(price is None or price.estimated for price in prices)


@pytest.mark.parametrize(
    ("region", "kind", "usd"),
    [
        # https://aws.amazon.com/ec2/pricing/on-demand/
        ("us-east-1", "m5.xlarge", 0.192),
        ("eu-central-1", "m5.2xlarge", 0.46),
        ("sa-east-1", "m6i.xlarge", 0.306),
        ("us-west-2", "g6.xlarge", 0.8048),
        ("us-east-1", "p5.48xlarge", 55.04),
        ("us-east-1", "trn1.32xlarge", 21.5),
        ("us-east-1", "t3.medium", 0.0416),
    ],
)
def test_prices_of_instances(region: str, kind: str, usd: float) -> None:
    price = TABLE.instance(region, kind)
    assert price is not None
    assert price.usd == pytest.approx(usd)
    assert (price.estimated, price.unit) == (False, "hour")
    assert price.source
    assert price.date >= "2025"


def test_a_missing_price_is_estimated_from_another_region_and_marked() -> None:
    price = TABLE.instance("us-west-2", "g7e.2xlarge")
    assert price is not None
    assert price.estimated
    assert price.usd == pytest.approx(3.36312)
    assert price.source.startswith("estimated from us-east-1")
    files = TABLE.item("sa-east-1", "efs")
    assert files is not None
    assert files.usd == pytest.approx(0.30 * 0.152 / 0.08)


@pytest.mark.parametrize(
    ("region", "kind"), [("cn-north-1", "m5.xlarge"), ("us-east-1", "x9.none"), ("us-east-1", "m5")]
)
def test_unknown_regions_and_types_have_no_price(region: str, kind: str) -> None:
    assert TABLE.instance(region, kind) is None
    assert TABLE.item("cn-north-1", "eks-standard") is None


def test_every_family_has_types_except_the_one_sold_only_in_capacity_blocks() -> None:
    without = {family for family in FAMILIES if not TABLE.types(family)}
    assert without == {"trn2"}


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("m5.large", 2),
        ("m5.xlarge", 4),
        ("g5.48xlarge", 192),
        ("p4d.24xlarge", 96),
        ("t3.medium", 2),
        ("t3.nano", 2),
        ("t2.micro", 1),
        ("t2.medium", 2),
        ("m7a.medium", 1),
        ("m5.metal", 0),
    ],
)
def test_vcpus_by_size(kind: str, count: int) -> None:
    assert vcpus(kind) == count


def test_small_sizes_use_normalization_factors() -> None:
    assert size_factor("t3.nano") == size_factor("t3.xlarge") / 32  # type: ignore[operator]
    assert size_factor("m5.metal") is None


def test_a_newer_price_replaces_the_table_for_its_whole_family() -> None:
    today = Price(usd=0.2, unit="hour", source="api", date=TODAY)
    fresh = TABLE.with_fresh({("us-east-1", "m5.xlarge"): today, ("us-east-1", "efs"): today})
    assert fresh.instance("us-east-1", "m5.xlarge") == today
    doubled = fresh.instance("us-east-1", "m5.2xlarge")
    assert doubled is not None
    assert (doubled.usd, doubled.date) == (0.4, TODAY)
    assert fresh.item("us-east-1", "efs") == today
    assert fresh.instance("us-east-2", "m5.xlarge") == TABLE.instance("us-east-2", "m5.xlarge")


# -- amounts ---------------------------------------------------------------------------------------


def test_volumes_are_the_claims_of_the_add_ons() -> None:
    assert resolved(Settings()).volumes_gib == 122
    without = Settings(addons={"opensearch": False, "fluent-operator": False})
    assert resolved(without).volumes_gib == 32


def test_the_default_add_ons_fit_on_the_core_nodes() -> None:
    assert resolved(Settings()).addon_nodes == 0
    assert resolved(Settings(core_instance_type="m5.large")).addon_nodes > 0


@pytest.mark.parametrize(("most", "limits"), [(4, 0), (8, 0), (11, 0), (12, 1), (64, 1)])
def test_what_the_add_ons_leave_of_the_cpu_limit_is_never_negative(most: int, limits: int) -> None:
    values = {"core_instance_type": "m5.large", "cpu_max_vcpus": most}
    assert resolved(Settings.from_values(values)).addon_nodes == 2
    lines = [line for line in bill_of(**values).lines if line.area == "CPU nodes"]
    assert [line.when for line in lines] == ["always"] + ["limit"] * limits
    assert all(line.usd is not None and line.usd.low > 0 for line in lines)


# -- the bill --------------------------------------------------------------------------------------


def documented_rows(number: int) -> list[tuple[str, float]]:
    """Return the items and USD per hour of one of the tables on the page."""
    tables = re.findall(r"(?:^\|.*\n)+", DOC.read_text(), re.MULTILINE)
    rows = [line.strip("|\n").split("|") for line in tables[number].splitlines()[2:]]
    return [(cells[0].strip(" *"), float(cells[-1].strip(" *"))) for cells in rows]


def test_the_example_in_the_documentation_is_this_bill() -> None:
    found = bill_of()
    *lines, (_, total) = documented_rows(0)
    usual = [line for line in found.lines if line.when == "always"]
    assert [what for what, _ in lines] == [line.what for line in usual]
    for (what, usd), line in zip(lines, usual, strict=True):
        assert line.usd is not None
        assert round(line.usd.likely, 4) == usd, what
    assert round(found.hourly.likely, 4) == total
    text = DOC.read_text()
    assert f"**{found.session.likely:.2f} USD**" in text
    assert f"**{found.monthly.likely:.2f} USD**" in text
    assert f"**{found.busy_session.likely:.2f} USD**" in text


def test_the_limits_in_the_documentation_are_those_of_this_bill() -> None:
    found = bill_of()
    *lines, (_, total) = documented_rows(1)
    most = {line.what: line.usd for line in found.lines if line.when == "limit"}
    for what, usd in lines:
        known = most[what]
        assert known is not None
        assert round(known.high, 4) == usd, what
    assert round(sum(usd.high for usd in most.values() if usd), 4) == total
    g6 = most["g6: up to 64 vCPUs"]
    assert g6 is not None
    assert f"{g6.low:.4f} USD" in DOC.read_text()


def test_extended_support_is_never_charged_because_eks_upgrades_by_itself() -> None:
    settings = Settings(region="us-east-1", cluster_version="1.34")
    for today in (TODAY, "2026-12-02"):
        (line,) = [
            line
            for line in build_bill(resolved(settings), TABLE, today=today).lines
            if line.area == "control plane"
        ]
        assert line.usd is not None
        assert line.usd.likely == 0.1
        assert "EKS then upgrades the cluster by itself" in line.why


def test_throughput_of_the_file_system_has_its_price() -> None:
    found = bill_of()
    # USD per GB in us-east-1: https://aws.amazon.com/efs/pricing/
    assert likely(found, "reads from EFS") == pytest.approx(0.1 * 0.03)
    assert likely(found, "writes to EFS") == pytest.approx(0.1 * 0.06)
    addons = {"jupyterhub": False, "aws-efs-csi-driver": False}
    without = bill_of(addons=addons, shared_files=False)
    assert not [line for line in without.lines if "EFS" in line.what and "KMS" not in line.what]


def test_application_signals_are_a_line_only_when_they_are_on() -> None:
    def names(**values: bool) -> set[str]:
        return {line.what for line in bill_of(**values).lines}

    assert "Application Signals" not in names()
    assert "Application Signals" in names(application_signals=True)


def test_spot_is_priced_by_its_price_history() -> None:
    values = {"accelerators": [{"family": "g6", "capacity": ["spot"], "max_vcpus": 4}]}
    settings = Settings.from_values({"region": "us-east-1", **values})
    history = {"g6.xlarge": {"us-east-1a": 0.30, "us-east-1b": 0.36}}
    with_history = build_bill(resolved(settings), TABLE, today=TODAY, spot=history)
    limit = next(line.usd for line in with_history.lines if line.what == "g6: up to 4 vCPUs")
    assert limit == UsdRange(low=0.30, likely=0.30, high=0.36)
    without = bill_of(**values)
    wide = next(line.usd for line in without.lines if line.what == "g6: up to 4 vCPUs")
    assert wide is not None
    assert [wide.low, wide.high] == pytest.approx([0.08048, 0.56336])
    assert spot_instance_types(settings, TABLE) == TABLE.types("g6")
    assert spot_instance_types(Settings(), TABLE) == ()


def test_with_on_demand_beside_spot_the_upper_end_is_on_demand() -> None:
    pool = {"family": "g6", "capacity": ["spot", "on-demand"], "max_vcpus": 4}
    found = bill_of(accelerators=[pool])
    limit = next(line.usd for line in found.lines if line.what == "g6: up to 4 vCPUs")
    assert limit is not None
    assert limit.high == pytest.approx(0.8048)


def test_reserved_capacity_costs_nothing_more() -> None:
    pool = {"family": "p5", "capacity": ["reserved"], "max_vcpus": 192}
    found = bill_of(accelerators=[pool], capacity_reservations=["cr-0123456789abcdef0"])
    assert likely(found, "p5: up to 192 vCPUs") == 0
    assert found.busy_session == found.session
    nodes = bill_of(cpu_capacity=["reserved"], capacity_reservations=["cr-0123456789abcdef0"])
    assert likely(nodes, "up to 64 vCPUs") == 0


def test_reserved_capacity_beside_on_demand_lowers_the_lower_end() -> None:
    reservations = ["cr-0123456789abcdef0"]
    pool = {"family": "g6", "capacity": ["reserved", "on-demand"], "max_vcpus": 4}
    found = bill_of(accelerators=[pool], capacity_reservations=reservations)
    limit = next(line.usd for line in found.lines if line.what == "g6: up to 4 vCPUs")
    assert limit is not None
    assert [limit.low, limit.high] == pytest.approx([0, 0.8048])


def test_a_limit_below_the_smallest_instance_costs_nothing() -> None:
    found = bill_of(accelerators=[{"family": "g6", "max_vcpus": 4}, {"family": "p5en"}])
    line = next(line for line in found.lines if line.what == "p5en: up to 64 vCPUs")
    assert line.usd is not None
    assert line.usd.high == 0
    assert "192 vCPUs" in line.why


def test_a_family_without_a_price_is_unknown_and_left_out_of_sums() -> None:
    found = bill_of(accelerators=[{"family": "trn2", "max_vcpus": 192}])
    assert [line.what for line in found.unknown] == ["trn2: up to 192 vCPUs"]
    assert found.summary.startswith("At least")
    assert "? have no known price" in text_of(found)


def test_a_region_without_prices_is_named_in_the_summary() -> None:
    found = bill_of(region="cn-north-1", accelerators=[])
    assert "has no prices for cn-north-1" in found.summary


def test_an_existing_vpc_has_no_network_costs() -> None:
    mine = bill_of(
        vpc_id="vpc-0123456789abcdef0", private_subnet_ids=["subnet-0a1b2c3d", "subnet-1a2b3c4d"]
    )
    assert "NAT and addresses" not in mine.by_area()
    each = bill_of(nat="per-az", az_count=3, availability_zones=[])
    assert each.by_area()["NAT and addresses"].low == pytest.approx(3 * 0.05 + 0.00225)


def test_static_gpu_nodes_are_in_the_minimum() -> None:
    found = bill_of(static_gpu_nodes=2, accelerators=[])
    assert likely(found, "2 x g6.4xlarge, always running") == pytest.approx(2 * 1.3232)
    assert found.hourly.likely > 3


def test_disks_of_nodes_for_add_ons_count_once() -> None:
    values = {"core_instance_type": "m5.large", "accelerators": []}
    nodes = resolved(Settings.from_values(values)).addon_nodes
    assert nodes
    found = bill_of(**values)
    # The largest number of small nodes: 64 vCPUs by 4, without those for add-ons.
    gib = (16 - nodes) * 100
    assert likely(found, "disks of Karpenter's nodes") == pytest.approx(gib * 0.08 / 730)


def test_a_session_has_one_accelerator_per_attendee() -> None:
    found = bill_of(attendees=10)
    more = found.busy_session.likely - found.session.likely
    assert more == pytest.approx(4 * 10 * 0.8048)
    assert found.limit == bill_of().limit
    assert bill_of(accelerators=[]).busy_session == bill_of(accelerators=[]).session


def test_attendees_share_instances_with_several_accelerators() -> None:
    pool = {"family": "p4d", "max_vcpus": 192}
    for people, count in ((1, 1), (8, 1), (9, 2)):
        found = bill_of(attendees=people, accelerators=[pool])
        price = TABLE.instance("us-east-1", "p4d.24xlarge")
        assert price
        assert likely(found, f"{count} x p4d.24xlarge in use") == pytest.approx(count * price.usd)


def test_without_karpenter_there_are_no_limits() -> None:
    found = bill_of(karpenter=False, accelerators=[])
    assert found.limit == found.hourly


def test_every_figure_has_a_source_and_a_date() -> None:
    found = bill_of(artifact_bucket=True, managed_prometheus=True, static_gpu_nodes=1)
    for line in found.lines:
        assert line.why
        assert all(price.source and price.date for price in line.prices)
        assert line.prices or line.usd == UsdRange(low=0, likely=0, high=0)
    assert set(found.by_area()) | set(found.by_area("limit")) == set(COST_AREAS)


def test_the_likely_value_is_within_its_range() -> None:
    for line in bill_of(region="sa-east-1", managed_prometheus=True).lines:
        assert line.usd is not None
        assert line.usd.low <= line.usd.likely <= line.usd.high, line.what


def test_a_bill_is_shown_in_text_html_and_json() -> None:
    found = bill_of(region="us-west-2")
    assert "2 x m5.xlarge" in text_of(found)
    assert "* estimated" in text_of(found)
    page = html_of(found)
    assert page.count("<tr>") == len(found.lines) + 1
    assert "Karpenter&#x27;s nodes" in page
    assert found.as_dict()["hourly"]["likely"] == pytest.approx(found.hourly.likely)
    assert Bill.model_validate(found.model_dump()) == found


def test_the_priced_names_of_a_bill() -> None:
    names = priced_names(Settings(static_gpu_nodes=1), TABLE)
    assert {"m5.xlarge", "g6.xlarge", "g6.4xlarge", "c7i.xlarge", "eks-standard"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        (0, "0.00"),
        (0.00003, "0.00"),
        (0.0225, "0.0225"),
        (0.0500, "0.05"),
        (1.234, "1.23"),
        (1234.5, "1,234"),
    ],
)
def test_amounts_have_significant_digits_only(usd: float, expected: str) -> None:
    assert format_usd(usd) == expected


# -- actual costs ----------------------------------------------------------------------------------


def entry(step: str, status: str, hour: int) -> LedgerEntry:
    return LedgerEntry.model_validate(
        {"time": f"2026-11-27T{hour:02}:00:00Z", "step": step, "status": status}
    )


DEPLOYED = (
    entry("plan", "finished", 7),
    entry("deploy", "started", 8),
    entry("deploy", "failed", 9),
    entry("deploy", "started", 9),
    entry("deploy", "finished", 10),
)
NOW = "2026-11-27T12:00:00Z"


def test_a_period_starts_with_the_first_deploy_and_ends_with_a_cleanup() -> None:
    gone = (*DEPLOYED, entry("cleanup", "failed", 11), entry("cleanup", "finished", 11))
    assert [period.hours for period in deployed_periods(DEPLOYED, NOW)] == [4]
    assert [period.hours for period in deployed_periods(gone, NOW)] == [3]
    again = (*gone, entry("deploy", "started", 11))
    assert [period.hours for period in deployed_periods(again, NOW)] == [3, 1]
    assert deployed_periods(DEPLOYED[:1], NOW) == ()


def test_actual_costs_are_hours_at_the_hourly_rate() -> None:
    usual = bill_of()
    found = actual_costs(DEPLOYED, usual, rehearsal=False, now=NOW)
    assert found.usd.likely == pytest.approx(4 * usual.hourly.likely)
    assert "The account was not scanned." in found.summary
    rehearsed = actual_costs(DEPLOYED, usual, rehearsal=True, now=NOW, running=())
    assert "on AWS, the cost so far would be" in rehearsed.summary


def owned(kind: str, name: str = "", import_id: str = "x") -> OwnedResource:
    return OwnedResource(terraform_type=kind, import_id=import_id, name=name, billable=True)


def test_running_resources_may_have_run_all_the_time() -> None:
    usual = bill_of()
    gpus = price_resources([owned("aws_instance", "p5.48xlarge")] * 2, TABLE, "us-east-1")
    found = actual_costs(DEPLOYED, usual, rehearsal=False, now=NOW, running=gpus)
    assert found.hourly.likely == pytest.approx(2 * 55.04)
    assert found.usd.high == pytest.approx(4 * 2 * 55.04)
    assert found.usd.likely == pytest.approx(4 * usual.hourly.likely)


def test_resources_of_the_account_are_priced_together() -> None:
    resources = [
        owned("aws_instance", "m5.xlarge"),
        owned("aws_instance", "m5.xlarge"),
        owned("aws_eks_cluster", "demo"),
        owned("aws_lb", import_id="arn:aws:elb:x:loadbalancer/net/demo/1"),
        owned("aws_ebs_volume"),
        OwnedResource(terraform_type="aws_vpc", import_id="vpc-1"),
        owned("aws_something_new"),
    ]
    lines = price_resources(resources, TABLE, "us-east-1")
    assert [line.what for line in lines] == [
        "2 x m5.xlarge",
        "1 x EKS control plane",
        "1 x Network Load Balancer",
        "1 x EBS volume",
        "1 x something_new",
    ]
    assert [line.usd is None for line in lines] == [False] * 4 + [True]


def test_each_resource_has_its_price_per_month_by_its_size() -> None:
    found = with_monthly_prices(
        [
            OwnedResource(
                terraform_type="aws_ebs_volume", import_id="vol-1", billable=True, gib=100
            ),
            OwnedResource(terraform_type="aws_vpc", import_id="vpc-1"),
            owned("aws_something_new"),
            owned("aws_elb"),
            owned("aws_ec2_capacity_reservation", "2 x m5.xlarge"),
        ],
        TABLE,
        "us-east-1",
    )
    # 100 GiB at 0.08; 730 hours at 0.025 and at 2 x 0.192 USD
    assert [resource.usd_per_month for resource in found] == [8.0, 0.0, None, 18.25, 280.32]


def test_after_cleanup_only_leftovers_cost() -> None:
    assert describe_remaining_costs((), TABLE, "us-east-1") == "Costs after cleanup: 0 USD."
    summary = describe_remaining_costs([owned("aws_nat_gateway")], TABLE, "us-east-1")
    assert "32.85 USD per month: 1 x NAT gateway" in summary
