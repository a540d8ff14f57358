"""Prices, bills and what was spent: by hand, from the shipped table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jarkkit.costs import amounts
from jarkkit.costs.bill import AREAS, Bill, Range, money, total
from jarkkit.costs.lines import bill, names, spot_types
from jarkkit.costs.spent import left_over, periods, priced_things, spent
from jarkkit.costs.table import Price, PriceTable, size_factor, vcpus
from jarkkit.records import Entry, Owned
from jarkkit.settings import FAMILIES, Settings

TABLE = PriceTable.shipped()
TODAY = "2026-11-27"
DOC = Path(__file__).parents[2] / "docs" / "cost.md"
# Enabled in every account: https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
DEFAULT_REGIONS = (
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
    "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "ap-south-1",
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2",
)  # fmt: skip


def made(**values: object) -> Bill:
    settings = Settings.make({"region": "us-east-1", **values})
    return bill(settings, TABLE, today=TODAY)


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
def test_what_costs_most_is_estimated_nowhere(key: str) -> None:
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


def test_a_missing_region_is_estimated_by_its_level_and_says_so() -> None:
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
def test_what_is_not_known_is_not_guessed(region: str, kind: str) -> None:
    assert TABLE.instance(region, kind) is None
    assert TABLE.item("cn-north-1", "eks-standard") is None


def test_every_family_of_the_settings_has_types_but_one_that_is_only_sold_in_blocks() -> None:
    without = {family for family in FAMILIES if not TABLE.types(family)}
    assert without == {"trn2"}


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("m5.large", 2),
        ("m5.xlarge", 4),
        ("g5.48xlarge", 192),
        ("p4d.24xlarge", 96),
        ("m5.metal", 0),
    ],
)
def test_vcpus_by_size(kind: str, count: int) -> None:
    assert vcpus(kind) == count


def test_small_sizes_go_by_normalisation_factors() -> None:
    assert size_factor("t3.nano") == size_factor("t3.xlarge") / 32  # type: ignore[operator]
    assert size_factor("m5.metal") is None


def test_a_newer_price_goes_before_the_table_and_tells_its_whole_family() -> None:
    today = Price(usd=0.2, unit="hour", source="api", date=TODAY)
    fresh = TABLE.with_fresh({("us-east-1", "m5.xlarge"): today, ("us-east-1", "efs"): today})
    assert fresh.instance("us-east-1", "m5.xlarge") == today
    doubled = fresh.instance("us-east-1", "m5.2xlarge")
    assert doubled is not None
    assert (doubled.usd, doubled.date) == (0.4, TODAY)
    assert fresh.item("us-east-1", "efs") == today
    assert fresh.instance("us-east-2", "m5.xlarge") == TABLE.instance("us-east-2", "m5.xlarge")


# -- amounts ---------------------------------------------------------------------------------------


def test_volumes_are_those_that_the_add_ons_claim() -> None:
    assert amounts.volumes_gib(Settings()) == 122
    without = Settings(addons={"opensearch": False, "fluent-operator": False})
    assert amounts.volumes_gib(without) == 32


def test_the_core_nodes_hold_the_default_add_ons() -> None:
    assert amounts.expected_cpu_nodes(Settings()) == 0
    assert amounts.expected_cpu_nodes(Settings(core_instance_type="m5.large")) > 0


# -- the bill --------------------------------------------------------------------------------------


def documented(number: int) -> list[tuple[str, float]]:
    """What and USD per hour, of the rows of one of the document's tables."""
    tables = re.findall(r"(?:^\|.*\n)+", DOC.read_text(), re.MULTILINE)
    rows = [line.strip("|\n").split("|") for line in tables[number].splitlines()[2:]]
    return [(cells[0].strip(" *"), float(cells[-1].strip(" *"))) for cells in rows]


def test_the_example_in_the_documentation_is_this_bill() -> None:
    found = made()
    *lines, (_, whole) = documented(0)
    usual = [line for line in found.lines if line.when == "always"]
    assert [what for what, _ in lines] == [line.what for line in usual]
    for (what, usd), line in zip(lines, usual, strict=True):
        assert line.usd is not None
        assert round(line.usd.likely, 4) == usd, what
    assert round(found.hourly.likely, 4) == whole
    text = DOC.read_text()
    assert f"**{found.session.likely:.2f} USD**" in text
    assert f"**{found.monthly.likely:.2f} USD**" in text
    assert f"**{found.busy_session.likely:.2f} USD**" in text


def test_the_limits_in_the_documentation_are_those_of_this_bill() -> None:
    found = made()
    *lines, (_, whole) = documented(1)
    most = {line.what: line.usd for line in found.lines if line.when == "limit"}
    for what, usd in lines:
        known = most[what]
        assert known is not None
        assert round(known.high, 4) == usd, what
    assert round(sum(usd.high for usd in most.values() if usd), 4) == whole
    g6 = most["g6: up to 64 vCPUs"]
    assert g6 is not None
    assert f"{g6.low:.4f} USD" in DOC.read_text()


def test_extended_support_is_a_line_of_its_own() -> None:
    assert likely(made(cluster_version="1.34"), "EKS control plane") == 0.1
    settings = Settings(region="us-east-1", cluster_version="1.34")
    late = bill(settings, TABLE, today="2026-12-02")
    assert likely(late, "extended support of Kubernetes 1.34") == 0.5
    assert late.by_area()["control plane"].likely == pytest.approx(0.6)
    said = bill(Settings(region="us-east-1"), TABLE, today=TODAY, support="extended")
    assert said.by_area()["control plane"].likely == pytest.approx(0.6)


def test_spot_goes_by_its_price_history() -> None:
    values = {"accelerators": [{"family": "g6", "capacity": ["spot"], "max_vcpus": 4}]}
    settings = Settings.make({"region": "us-east-1", **values})
    history = {"g6.xlarge": {"us-east-1a": 0.30, "us-east-1b": 0.36}}
    with_history = bill(settings, TABLE, today=TODAY, spot=history)
    limit = next(line.usd for line in with_history.lines if line.what == "g6: up to 4 vCPUs")
    assert limit == Range(low=0.30, likely=0.30, high=0.36)
    without = made(**values)
    wide = next(line.usd for line in without.lines if line.what == "g6: up to 4 vCPUs")
    assert wide is not None
    assert (wide.low, wide.high) == (pytest.approx(0.08048), pytest.approx(0.56336))
    assert spot_types(settings, TABLE) == TABLE.types("g6")
    assert spot_types(Settings(), TABLE) == ()


def test_with_on_demand_beside_spot_the_upper_end_is_on_demand() -> None:
    pool = {"family": "g6", "capacity": ["spot", "on-demand"], "max_vcpus": 4}
    found = made(accelerators=[pool])
    limit = next(line.usd for line in found.lines if line.what == "g6: up to 4 vCPUs")
    assert limit is not None
    assert limit.high == pytest.approx(0.8048)


def test_reserved_capacity_is_paid_with_the_reservation() -> None:
    pool = {"family": "p5", "capacity": ["reserved"], "max_vcpus": 192}
    found = made(accelerators=[pool], capacity_reservations=["cr-0123456789abcdef0"])
    assert likely(found, "p5: up to 192 vCPUs") == 0


def test_a_limit_that_nothing_fits_under_costs_nothing_and_says_so() -> None:
    found = made(accelerators=[{"family": "g6", "max_vcpus": 4}, {"family": "p5en"}])
    line = next(line for line in found.lines if line.what == "p5en: up to 64 vCPUs")
    assert line.usd is not None
    assert line.usd.high == 0
    assert "192 vCPUs" in line.why


def test_a_family_without_a_price_is_unknown_and_in_no_sum() -> None:
    found = made(accelerators=[{"family": "trn2", "max_vcpus": 192}])
    assert [line.what for line in found.unknown] == ["trn2: up to 192 vCPUs"]
    assert found.summary.startswith("At least")
    assert "? have no known price" in found.text()


def test_a_region_without_prices_says_so() -> None:
    found = made(region="cn-north-1", accelerators=[])
    assert "there are no prices for cn-north-1" in found.summary


def test_the_network_that_is_brought_has_its_own_bill() -> None:
    mine = made(
        vpc_id="vpc-0123456789abcdef0", private_subnet_ids=["subnet-0a1b2c3d", "subnet-1a2b3c4d"]
    )
    assert "NAT and addresses" not in mine.by_area()
    each = made(nat="per-az", az_count=3, availability_zones=[])
    assert each.by_area()["NAT and addresses"].low == pytest.approx(3 * 0.05 + 0.00225)


def test_gpus_that_always_run_are_in_the_minimum() -> None:
    found = made(static_gpu_nodes=2, accelerators=[])
    assert likely(found, "2 x g6.4xlarge, running all the time") == pytest.approx(2 * 1.3232)
    assert found.hourly.likely > 3


def test_a_session_with_people_is_one_accelerator_for_each() -> None:
    found = made(attendees=10)
    more = found.busy_session.likely - found.session.likely
    assert more == pytest.approx(4 * 10 * 0.8048)
    assert found.limit == made().limit
    assert made(accelerators=[]).busy_session == made(accelerators=[]).session


def test_without_karpenter_there_are_no_limits() -> None:
    found = made(karpenter=False, accelerators=[])
    assert found.limit == found.hourly


def test_every_figure_has_a_source_and_a_date() -> None:
    found = made(artifact_bucket=True, managed_prometheus=True, static_gpu_nodes=1)
    for line in found.lines:
        assert line.why
        assert all(price.source and price.date for price in line.prices)
        assert line.prices or line.usd == Range(low=0, likely=0, high=0)
    assert set(found.by_area()) | set(found.by_area("limit")) == set(AREAS)


def test_ranges_hold_what_is_likely() -> None:
    for line in made(region="sa-east-1", managed_prometheus=True).lines:
        assert line.usd is not None
        assert line.usd.low <= line.usd.likely <= line.usd.high, line.what


def test_a_bill_is_shown_in_text_html_and_json() -> None:
    found = made(region="us-west-2")
    assert "2 x m5.xlarge" in found.text()
    assert "* estimated" in found.text()
    page = found._repr_html_()
    assert page.count("<tr>") == len(found.lines) + 1
    assert "nodes&#x27; disks" in page
    assert found.as_dict()["hourly"]["likely"] == pytest.approx(found.hourly.likely)
    assert Bill.model_validate(found.model_dump()) == found


def test_what_a_bill_is_made_of_can_be_asked_for() -> None:
    wanted = names(Settings(static_gpu_nodes=1), TABLE)
    assert {"m5.xlarge", "g6.xlarge", "g6.4xlarge", "c7i.xlarge", "eks-standard"} <= set(wanted)
    assert len(wanted) == len(set(wanted))


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (0, "0.00"),
        (0.00003, "0.00"),
        (0.0225, "0.0225"),
        (0.0500, "0.05"),
        (1.234, "1.23"),
        (1234.5, "1,234"),
    ],
)
def test_money_in_as_many_digits_as_say_something(usd: float, said: str) -> None:
    assert money(usd) == said


# -- spent -----------------------------------------------------------------------------------------


def entry(step: str, status: str, hour: int) -> Entry:
    return Entry.model_validate(
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


def test_the_first_deploy_begins_a_period_and_a_finished_cleanup_ends_it() -> None:
    gone = (*DEPLOYED, entry("cleanup", "failed", 11), entry("cleanup", "finished", 11))
    assert [period.hours for period in periods(DEPLOYED, NOW)] == [4]
    assert [period.hours for period in periods(gone, NOW)] == [3]
    again = (*gone, entry("deploy", "started", 11))
    assert [period.hours for period in periods(again, NOW)] == [3, 1]
    assert periods(DEPLOYED[:1], NOW) == ()


def test_spent_is_hours_at_the_hourly_rate() -> None:
    usual = made()
    found = spent(DEPLOYED, usual, rehearsal=False, now=NOW)
    assert found.usd.likely == pytest.approx(4 * usual.hourly.likely)
    assert "What runs now was not looked at." in found.summary
    rehearsed = spent(DEPLOYED, usual, rehearsal=True, now=NOW, running=())
    assert "on AWS it would have been" in rehearsed.summary


def owned(kind: str, name: str = "", import_id: str = "x") -> Owned:
    return Owned(terraform_type=kind, import_id=import_id, name=name, billable=True)


def test_more_that_runs_now_may_have_run_all_the_time() -> None:
    usual = made()
    gpus = priced_things([owned("aws_instance", "p5.48xlarge")] * 2, TABLE, "us-east-1", "standard")
    found = spent(DEPLOYED, usual, rehearsal=False, now=NOW, running=gpus)
    assert found.hourly.likely == pytest.approx(2 * 55.04)
    assert found.usd.high == pytest.approx(4 * 2 * 55.04)
    assert found.usd.likely == pytest.approx(4 * usual.hourly.likely)


def test_things_of_the_account_are_priced_together() -> None:
    things = [
        owned("aws_instance", "m5.xlarge"),
        owned("aws_instance", "m5.xlarge"),
        owned("aws_eks_cluster", "demo"),
        owned("aws_lb", import_id="arn:aws:elb:x:loadbalancer/net/demo/1"),
        owned("aws_ebs_volume"),
        Owned(terraform_type="aws_vpc", import_id="vpc-1"),
        owned("aws_something_new"),
    ]
    lines = priced_things(things, TABLE, "us-east-1", "standard")
    assert [line.what for line in lines] == [
        "2 x m5.xlarge",
        "1 x EKS control plane",
        "1 x Network Load Balancer",
        "1 x EBS volume",
        "1 x something_new",
    ]
    assert [line.usd is None for line in lines] == [False] * 4 + [True]


def test_extended_support_of_what_runs_costs_more() -> None:
    usual = priced_things([owned("aws_eks_cluster")], TABLE, "us-east-1", "standard")
    late = priced_things([owned("aws_eks_cluster")], TABLE, "us-east-1", "extended")
    # USD per hour, https://aws.amazon.com/eks/pricing/
    assert [total(line.usd for line in lines).likely for lines in (usual, late)] == [0.10, 0.60]


def test_after_cleanup_it_costs_nothing_or_what_is_left() -> None:
    assert left_over((), TABLE, "us-east-1", "standard") == "Costs after cleanup: 0 USD."
    said = left_over([owned("aws_nat_gateway")], TABLE, "us-east-1", "standard")
    assert "32.85 USD a month: 1 x NAT gateway" in said
