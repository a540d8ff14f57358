"""Quotas: their codes, the families of instances, what is needed and whether it fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from jarkkit.addons.catalogue import catalogue
from jarkkit.errors import JarkkitError
from jarkkit.quotas import codes
from jarkkit.quotas.addresses import judge_addresses
from jarkkit.quotas.codes import QUOTAS
from jarkkit.quotas.demand import demand, relevant
from jarkkit.quotas.families import family_of, is_known, spot_family_of
from jarkkit.quotas.findings import attendees, findings
from jarkkit.quotas.judge import judge, strange, vcpus_in_use
from jarkkit.quotas.launches import launches, patterns
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import Increase, InForce, InUse, Need, Row, Running
from jarkkit.quotas.words import console_link
from jarkkit.records import InstanceType, Subnet
from jarkkit.settings import FAMILIES, Settings
from tests.kit.fake_quotas import ASKED, TYPES

STANDARD, G, G_SPOT, P_SPOT = "L-1216C47A", "L-DB2E81BA", "L-3819A6DF", "L-7212CCBC"
DENIED = JarkkitError("JK-AWS-DENIED", "not allowed", "allow it")

# -- codes -----------------------------------------------------------------------------------------

# service, code, default: as they stand in AWS' documents, read 2026-11-27.
REFERENCE = {
    # https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html, On-Demand
    "instances": """
        ec2 L-1216C47A 5
        ec2 L-DB2E81BA 0
        ec2 L-417A185B 0
        ec2 L-1945791B 0
        ec2 L-2C3B7624 0
        ec2 L-6E869C2A 0
        ec2 L-74FC7D96 0
        ec2 L-7295265B 0
        ec2 L-F7808C92 0
        ec2 L-43DA4232 0""",
    # the same, Spot
    "spot": """
        ec2 L-34B43A08 5
        ec2 L-3819A6DF 0
        ec2 L-7212CCBC 0
        ec2 L-C4BD4855 0
        ec2 L-B5D1601B 0
        ec2 L-6B0D517C 0
        ec2 L-85EED4F7 0
        ec2 L-88CF9481 0
        ec2 L-E3A00192 0""",
    # the same, Capacity Blocks
    "capacity blocks": """
        ec2 L-2C8F52B3 0
        ec2 L-B67430DE 0
        ec2 L-DA6814F2 0
        ec2 L-8131B2C6 0
        ec2 L-C45F30BC 0
        ec2 L-AD1D1866 0
        ec2 L-4F9BB70B 0
        ec2 L-7EA86503 0
        ec2 L-2E30FD7D 0
        ec2 L-C4947F9A 0
        ec2 L-64569A79 0
        ec2 L-24E8B4C0 0""",
    # UNVERIFIED: found in listings of real accounts, in no document
    "unverified": """
        ec2 L-CFF3E941 0
        ec2 L-9AC70153 0
        ec2 L-8B23CEF3 0
        ec2 L-9C38E5AB 0""",
    # https://docs.aws.amazon.com/general/latest/gr/vpc-service.html and ec2-service.html
    "network": """
        vpc L-F678F1CE 5
        ec2 L-0263D0A3 5
        vpc L-FE5A380F 5
        vpc L-A4707A72 5
        vpc L-83CA0A9D 5
        vpc L-E79EC296 2500
        vpc L-DF5E4CA3 5000
        vpc L-407747CB 200
        vpc L-0EA8095F 60
        vpc L-2AFB9258 5""",
    # …/gr/eks.html, elb.html, elasticfilesystem.html, iam-service.html, ev.html; EBS:
    # https://docs.aws.amazon.com/rosa/latest/userguide/service-quotas-rosa.html
    "services": """
        eks L-1194D53C 100
        eks L-6D54EA21 30
        eks L-BD136A63 450
        elasticloadbalancing L-69A177A2 50
        elasticloadbalancing L-53DA6B97 50
        elasticfilesystem L-848C634D 1000
        ebs L-7A658B76 50
        iam L-FE177D64 1000
        iam L-858F3967 100
        iam L-0DA4ABF3 10
        events L-244521F2 300""",
}
LINES = [line.split() for text in REFERENCE.values() for line in text.strip().splitlines()]


@pytest.mark.parametrize(("service", "code", "default"), LINES)
def test_a_quota_is_as_in_the_reference(service: str, code: str, default: str) -> None:
    quota = QUOTAS[code]
    assert (quota.service, quota.code, quota.default) == (service, code, float(default))


def test_every_quota_is_in_the_reference() -> None:
    assert set(QUOTAS) == {code for _, code, _ in LINES}


def test_what_is_in_no_document_is_marked_and_all_else_has_a_source() -> None:
    unverified = {code for code, quota in QUOTAS.items() if quota.source == codes.UNVERIFIED}
    assert unverified == set(re.findall(r"L-\w{8}", REFERENCE["unverified"]))
    named = [q.source for code, q in QUOTAS.items() if code not in unverified]
    assert all(source.startswith("https://docs.aws.amazon.com/") for source in named)


def test_only_iam_is_kept_in_the_home_region() -> None:
    assert {quota.service for quota in QUOTAS.values() if quota.worldwide} == {"iam"}


# -- families --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance_type", "family"),
    [
        ("m5.xlarge", "Standard"),
        ("a1.large", "Standard"),
        ("c7i-flex.large", "Standard"),
        ("d3en.xlarge", "Standard"),
        ("h1.2xlarge", "Standard"),
        ("i4i.large", "Standard"),
        ("im4gn.large", "Standard"),
        ("is4gen.large", "Standard"),
        ("r8g.large", "Standard"),
        ("t3.micro", "Standard"),
        ("z1d.large", "Standard"),
        ("inf1.xlarge", "Inf"),
        ("inf2.xlarge", "Inf"),
        ("trn1.2xlarge", "Trn"),
        ("trn2u.48xlarge", "Trn"),
        ("dl1.24xlarge", "DL"),
        ("dl2q.24xlarge", "DL"),
        ("vt1.3xlarge", "G and VT"),
        ("g4dn.xlarge", "G and VT"),
        ("g6.xlarge", "G and VT"),
        ("g6e.xlarge", "G and VT"),
        ("g7e.2xlarge", "G and VT"),
        ("gr6.4xlarge", "G and VT"),
        ("gr6f.4xlarge", "G and VT"),
        ("p3dn.24xlarge", "P"),
        ("p4d.24xlarge", "P"),
        ("p5en.48xlarge", "P"),
        ("p6-b200.48xlarge", "P"),
        ("f2.6xlarge", "F"),
        ("x2idn.16xlarge", "X"),
        ("hpc7a.12xlarge", "HPC"),
        ("u-6tb1.56xlarge", "High Memory"),
        ("u7i-12tb.224xlarge", "High Memory"),
        ("mac2.metal", None),
        ("mac-m4pro.metal", None),
        ("quux1.large", None),
    ],
)
def test_the_longest_prefix_decides(instance_type: str, family: str | None) -> None:
    assert family_of(instance_type) == family


def test_every_instance_type_that_is_known_has_its_family() -> None:
    without = {name for name in INSTANCE_TYPES if family_of(name) is None}
    assert {name.partition(".")[0][:3] for name in without} == {"mac"}
    assert all(is_known(name) for name in INSTANCE_TYPES)


def test_accelerated_types_never_fall_under_standard() -> None:
    standard = {name for name in INSTANCE_TYPES if family_of(name) == "Standard"}
    accelerated = {
        name
        for name, kind in INSTANCE_TYPES.items()
        if kind.get("GpuInfo") or kind.get("NeuronInfo") or kind.get("InferenceAcceleratorInfo")
    }
    assert accelerated
    assert not standard & accelerated
    assert not [n for n in standard if n.startswith(("inf", "trn", "dl", "vt", "gr", "hpc", "mac"))]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_the_settings_has_an_on_demand_and_a_spot_quota(family: str) -> None:
    group = family_of(family)
    assert group
    assert codes.vcpu_quota(group, "on-demand")
    for apart in (False, True):
        spot = spot_family_of(family, p5_apart=apart)
        assert spot
        assert codes.vcpu_quota(spot, "spot")


@pytest.mark.parametrize(
    ("family", "apart", "code"),
    [
        ("p5", True, "L-C4BD4855"),
        ("p5en", True, "L-C4BD4855"),
        ("p5", False, P_SPOT),
        ("p4d", True, P_SPOT),
        ("p6-b200", True, P_SPOT),
    ],
)
def test_spot_p5_is_apart_only_where_the_region_still_lists_it(
    family: str, apart: bool, code: str
) -> None:
    settings = Settings.make({"accelerators": [{"family": family, "capacity": ["spot"]}]})
    needs = {n.quota.code for n in demand(settings, TYPES, p5_apart=apart).needs}
    assert code in needs
    assert len(needs & {"L-C4BD4855", P_SPOT}) == 1


# -- what is needed --------------------------------------------------------------------------------


def need(code: str, **changes: object) -> Need | None:
    found = demand(Settings.make(changes), TYPES).needs
    return next((n for n in found if n.quota.code == code), None)


def amounts(code: str, **changes: object) -> tuple[float, float, float] | None:
    found = need(code, **changes)
    return (found.now, found.least, found.most) if found else None


def pool(family: str, max_vcpus: int = 64, *capacity: str) -> dict[str, object]:
    return {
        "family": family,
        "max_vcpus": max_vcpus,
        "capacity": list(capacity or ("on-demand",)),
    }


def test_core_nodes_now_and_everything_at_the_limits() -> None:
    assert amounts(STANDARD) == (8, 8, 4 * 4 + 64)
    assert amounts(STANDARD, core_nodes=3, core_nodes_max=5, cpu_max_vcpus=100) == (12, 12, 120)


def test_spot_cpus_are_needed_of_the_spot_quota() -> None:
    assert amounts(STANDARD, cpu_capacity=["spot"]) == (8, 8, 16)
    assert amounts("L-34B43A08", cpu_capacity=["spot"]) == (0, 0, 64)


def test_add_ons_without_room_on_the_core_nodes_need_an_instance_more() -> None:
    types = TYPES | {"m5.large": InstanceType(name="m5.large", vcpus=2)}

    def needed(**changes: object) -> Need:
        settings = Settings.make({"core_instance_type": "m5.large", "accelerators": [], **changes})
        return next(n for n in demand(settings, types).needs if n.quota.code == STANDARD)

    all_of_them = needed()
    assert (all_of_them.now, all_of_them.least, all_of_them.most) == (4, 4 + 4, 4 * 2 + 64)
    assert "without room on the core nodes from 4 to 64" in " ".join(all_of_them.parts)
    few = {a.name: False for a in catalogue().values() if a.install == "helm"}
    few.pop("karpenter")
    assert needed(addons=few).least == 4


def test_without_karpenter_there_are_only_node_groups() -> None:
    without = {"karpenter": False, "accelerators": []}
    assert amounts(STANDARD, **without) == (8, 8, 16)
    assert amounts("L-244521F2", **without) == (1, 1, 1)


def test_a_pool_needs_its_smallest_instance_at_least() -> None:
    assert amounts(G) == (0, 4, 64)
    assert amounts("L-417A185B", accelerators=[pool("p4d", 192)]) == (0, 96, 192)


def test_pools_of_one_family_share_its_quota() -> None:
    assert amounts(G, accelerators=[pool("g5", 32), pool("g6", 64)]) == (0, 4, 96)


def test_static_nodes_run_beside_the_pools() -> None:
    assert amounts(G, static_gpu_nodes=2) == (32, 36, 96)
    assert amounts("L-6D54EA21", static_gpu_nodes=2) == (2, 2, 2)


def test_inferentia_and_trainium_have_quotas_of_their_own() -> None:
    chosen = [pool("inf2", 32), pool("trn1", 128)]
    assert amounts("L-1945791B", accelerators=chosen) == (0, 4, 32)
    assert amounts("L-2C3B7624", accelerators=chosen) == (0, 8, 128)
    assert amounts(G, accelerators=chosen) is None


def test_a_pool_that_may_buy_either_way_needs_one_of_both() -> None:
    settings = Settings.make({"accelerators": [pool("g6", 64, "spot", "on-demand")]})
    found = demand(settings, TYPES)
    (either,) = found.eithers
    assert (set(either.codes), either.vcpus) == ({G, G_SPOT}, 4)
    assert [n.least for n in found.needs if n.quota.code in (G, G_SPOT)] == [0, 0]


def test_capacity_blocks_count_only_where_a_pool_is_reserved() -> None:
    assert amounts("L-DA6814F2", accelerators=[pool("p5", 192)]) is None
    reserved = {
        "accelerators": [pool("p5", 192, "reserved")],
        "capacity_reservations": ["cr-0123456789abcdef0"],
    }
    assert amounts("L-DA6814F2", **reserved) == (0, 0, 192)
    assert amounts("L-417A185B", **reserved) is None


def test_a_workshop_needs_an_accelerator_for_everybody() -> None:
    assert amounts(G, attendees=30) == (0, 4, 120)
    assert amounts(G, attendees=10) == (0, 4, 64)
    # Eight of them share an instance with eight.
    assert amounts("L-417A185B", attendees=20, accelerators=[pool("p4d", 96)]) == (0, 96, 288)


def test_a_workshop_without_accelerators_needs_cpus() -> None:
    assert amounts(STANDARD, attendees=100, accelerators=[]) == (8, 8, 16 + 100)


@pytest.mark.parametrize(
    ("code", "changes", "wanted"),
    [
        ("L-F678F1CE", {}, 1),
        ("L-A4707A72", {}, 1),
        ("L-83CA0A9D", {}, 2),
        ("L-407747CB", {"az_count": 3}, 9),
        ("L-FE5A380F", {"nat": "per-az", "az_count": 3}, 1),
        ("L-0263D0A3", {}, 1),
        ("L-0263D0A3", {"nat": "per-az", "az_count": 3}, 3),
        ("L-1194D53C", {}, 1),
        ("L-6D54EA21", {}, 1),
        ("L-69A177A2", {"addons": {"ingress-nginx": True}}, 1),
        ("L-69A177A2", {"addons": {"ingress-nginx": False}}, None),
        ("L-53DA6B97", {}, None),
        ("L-858F3967", {}, None),
        ("L-848C634D", {}, 1),
        ("L-0DA4ABF3", {}, 3),
        ("L-244521F2", {}, 5),
        ("L-2AFB9258", {}, 2),
    ],
)
def test_things_are_counted(code: str, changes: dict[str, object], wanted: int | None) -> None:
    found = amounts(code, **changes)
    assert (found[1] if found else None) == wanted


def test_nodes_have_disks_and_interfaces() -> None:
    few = {"core_disk_gib": 500, "accelerators": [], "cpu_max_vcpus": 8}
    everything = need("L-7A658B76", **few)
    assert everything
    assert everything.now == pytest.approx((2 * 500 + 122) / 1024)  # 90 of them OpenSearch's
    without = {"opensearch": False, "fluent-operator": False}
    disks = need("L-7A658B76", addons=without, **few)
    assert disks
    assert disks.now == pytest.approx((2 * 500 + 32) / 1024)
    assert disks.most == pytest.approx((4 * 500 + 2 * 100 + 32) / 1024)
    interfaces = need("L-DF5E4CA3", cpu_max_vcpus=10_000)
    assert interfaces
    assert interfaces.most > 5000


def test_an_existing_vpc_needs_no_network() -> None:
    own = {"vpc_id": "vpc-12345678", "private_subnet_ids": ["subnet-11111111", "subnet-22222222"]}
    for code in ("L-F678F1CE", "L-A4707A72", "L-83CA0A9D", "L-407747CB", "L-FE5A380F"):
        assert amounts(code, **own) is None
    assert amounts("L-0263D0A3", **own) is None


def test_rules_and_policies_are_those_of_the_terraform_modules() -> None:
    root = Path(__file__).parents[2] / "terraform"
    events = (root / "modules/karpenter/main.tf").read_text()
    assert len(re.findall(r'type = "[A-Z]', events)) + 1 == amounts("L-244521F2")[1]  # type: ignore[index]
    node = re.search(r"toset\(\[(.*?)\]\)", (root / "nodes.tf").read_text(), re.DOTALL)
    assert node
    assert len(re.findall(r'"\w+"', node.group(1))) == amounts("L-0DA4ABF3")[1]  # type: ignore[index]


def test_which_quotas_count_is_known_before_the_instance_types_are() -> None:
    settings = Settings.make({"accelerators": [pool("p5", 192, "spot"), "inf2"]})
    for apart in (False, True):
        needs = {n.quota for n in demand(settings, TYPES, p5_apart=apart).needs}
        assert needs <= set(relevant(settings))


def test_the_older_quota_of_spot_p5_is_asked_for_every_spot_pool_of_p() -> None:
    settings = Settings.make({"accelerators": [pool("p4d", 96, "spot")]})
    assert "L-C4BD4855" in {quota.code for quota in relevant(settings)}
    settings = Settings.make({"accelerators": [pool("g6", 64, "spot")]})
    assert "L-C4BD4855" not in {quota.code for quota in relevant(settings)}


def test_the_instance_types_of_karpenters_cpu_pool_need_not_be_known() -> None:
    assert patterns(Settings()) == ("m5.xlarge", "g6.*")
    assert [launch.what for launch in launches(Settings())] == ["core nodes", "CPU pool", "pool g6"]


# -- what is in use --------------------------------------------------------------------------------

RUNNING = (
    Running(instance_type="m5.xlarge", purchase="on-demand", count=2, vcpus=8, own=True),
    Running(instance_type="c5.large", purchase="on-demand", count=3, vcpus=6),
    Running(instance_type="t3.large", purchase="spot", count=1, vcpus=2),
    Running(instance_type="inf2.xlarge", purchase="on-demand", count=1, vcpus=4),
    Running(instance_type="p5.48xlarge", purchase="spot", count=1, vcpus=192),
    Running(instance_type="p4d.24xlarge", purchase="spot", count=1, vcpus=96),
)


@pytest.mark.parametrize(
    ("code", "apart", "total", "own"),
    [
        (STANDARD, False, 14, 8),
        ("L-34B43A08", False, 2, 0),
        ("L-1945791B", False, 4, 0),
        (P_SPOT, False, 288, 0),
        (P_SPOT, True, 96, 0),
        ("L-C4BD4855", True, 192, 0),
        (G, False, 0, 0),
    ],
)
def test_vcpus_count_where_they_belong(code: str, apart: bool, total: int, own: int) -> None:
    found = vcpus_in_use(RUNNING, QUOTAS[code], p5_apart=apart)
    assert (found.total, found.own) == (total, own)


def test_what_falls_under_no_known_quota_is_said() -> None:
    odd = Running(instance_type="quux1.large", purchase="on-demand", count=1, vcpus=0)
    mac = Running(instance_type="mac2.metal", purchase="on-demand", count=1, vcpus=8)
    assert strange((*RUNNING, odd, mac)) == ("quux1.large",)


# -- whether it fits -------------------------------------------------------------------------------


def in_force(value: float, *, applied: bool = True) -> InForce:
    return InForce(value=value, applied=applied, asked=ASKED)


def table(
    *,
    values: dict[str, float | JarkkitError | None] | None = None,
    uses: dict[str, InUse | JarkkitError] | None = None,
    pending: tuple[Increase, ...] = (),
    **changes: object,
) -> QuotaTable:
    asked: dict[str, InForce | JarkkitError | None] = {
        code: in_force(1000 + quota.default) for code, quota in QUOTAS.items()
    }
    for code, value in (values or {}).items():
        asked[code] = in_force(value) if isinstance(value, float) else value
    rows = judge(
        demand(Settings.make(changes), TYPES),
        asked,
        uses or {},
        region="us-west-2",
        home="us-east-1",
        pending=pending,
    )
    return QuotaTable(region="us-west-2", rows=rows)


@pytest.mark.parametrize(
    ("value", "used", "own", "fits"),
    [
        (5.0, 0, 0, "no"),
        (8.0, 0, 0, "at the start"),
        (80.0, 0, 0, "yes"),
        (79.0, 0, 0, "at the start"),
        (100.0, 93, 0, "no"),
        (100.0, 92, 0, "at the start"),
        (80.0, 60, 60, "yes"),
        (80.0, 16, 8, "at the start"),
        (8.0, 12, 0, "no"),
    ],
)
def test_what_all_else_uses_is_not_free_and_what_is_ours_is(
    value: float, used: float, own: float, fits: str
) -> None:
    use = InUse(total=used, own=own)
    row = table(values={STANDARD: value}, uses={STANDARD: use}).row(STANDARD)
    assert row.fits == fits
    assert row.free == max(0, value - (used - own))


def test_the_desired_value_is_what_others_use_and_what_is_needed_at_the_limits() -> None:
    row = table(values={STANDARD: 40.0}, uses={STANDARD: InUse(total=24, own=8)}).row(STANDARD)
    assert row.desired == 16 + 80
    assert table(values={STANDARD: 96.0}).row(STANDARD).desired is None
    disks = table(values={"L-7A658B76": 1.0}).row("L-7A658B76")
    assert disks.desired == 7


@pytest.mark.parametrize(
    ("values", "uses"),
    [
        ({STANDARD: DENIED}, {}),
        ({}, {STANDARD: DENIED}),
        ({STANDARD: None}, {}),
    ],
)
def test_what_was_not_answered_is_unknown_and_the_rest_is_known(
    values: dict[str, float | JarkkitError | None], uses: dict[str, InUse | JarkkitError]
) -> None:
    found = table(values=values, uses=uses)
    assert found.row(STANDARD).fits == "unknown"
    assert found.row(STANDARD).why
    assert {row.fits for row in found.rows if row.code != STANDARD} == {"yes"}
    assert found.fits


def test_a_pool_starts_when_one_of_its_ways_to_buy_has_room() -> None:
    both = {"accelerators": [pool("g6", 64, "spot", "on-demand")]}
    short = table(values={G: 0.0, G_SPOT: 3.0}, **both)
    assert {row.code for row in short.rows if row.fits == "no"} == {G}
    assert "pool g6" in short.row(G).why
    enough = table(values={G: 0.0, G_SPOT: 4.0}, **both)
    assert [row.code for row in enough.rows if row.fits == "no"] == []
    unsure = table(values={G: 0.0, G_SPOT: DENIED}, **both)
    assert [row.code for row in unsure.rows if row.fits == "no"] == []


def test_quotas_of_iam_are_in_the_home_region() -> None:
    found = table()
    assert found.row("L-FE177D64").region == "us-east-1"
    assert found.row(STANDARD).region == "us-west-2"


def test_open_requests_stand_beside_their_quota() -> None:
    old = Increase(id="1", service="ec2", code=STANDARD, desired=50, status="DENIED")
    new = Increase(id="2", service="ec2", code=STANDARD, desired=80, status="CASE_OPENED")
    found = table(values={STANDARD: 5.0}, pending=(new, old))
    assert found.row(STANDARD).pending == new
    assert table(values={STANDARD: 5.0}, pending=(old,)).row(STANDARD).pending is None


# -- findings --------------------------------------------------------------------------------------


def test_all_that_fits_is_one_line() -> None:
    (check,) = findings(table())
    assert check.status == "pass"
    assert check.found.startswith(f"{len(table().rows)} quotas leave room")


def test_a_finding_names_code_need_have_used_and_the_request_to_file() -> None:
    use = InUse(total=2)
    check = next(iter(findings(table(values={STANDARD: 5.0}, uses={STANDARD: use}))))
    assert (check.status, check.code) == ("fail", "JK-AWS-QUOTA")
    assert STANDARD in check.name
    assert check.needed == "8 vCPUs at least, 80 at the limits"
    assert check.found == "quota 5 vCPUs, in use 2, free 3"
    assert (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        "--quota-code L-1216C47A --desired-value 82 --region us-west-2"
    ) in check.fix
    assert check.link == (
        "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-1216C47A"
        "?region=us-west-2"
    )


def test_below_the_limits_is_to_know() -> None:
    first, rest = findings(table(values={G: 8.0}))
    assert (first.status, rest.status) == ("warn", "pass")
    assert "other quotas" in rest.found


@pytest.mark.parametrize(
    ("desired", "words"), [(80, "Wait: 80 is asked for already"), (10, "80 are needed")]
)
def test_what_is_asked_for_already_is_not_to_be_asked_again(desired: int, words: str) -> None:
    request = Increase(id="1", service="ec2", code=STANDARD, desired=desired, status="PENDING")
    check = next(iter(findings(table(values={STANDARD: 5.0}, pending=(request,)))))
    assert words in check.fix
    assert "request-service-quota-increase" not in check.fix


def test_unknowns_of_one_reason_are_one_line() -> None:
    refused = table(values=dict.fromkeys(QUOTAS, DENIED))
    (check,) = findings(refused)
    assert (check.status, check.code) == ("unknown", "JK-AWS-DENIED")
    assert all(row.code in check.found for row in refused.rows)


def test_strange_instances_and_unknown_requests_are_said() -> None:
    odd = table().model_copy(update={"strange": ("quux1.large",), "pending_unknown": "denied"})
    statuses = {check.name: check.status for check in findings(odd)}
    assert statuses["Instances of an unknown kind"] == "unknown"
    assert statuses["Requests to raise quotas"] == "unknown"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(region: str, host: str) -> None:
    row = Row.model_validate({**table().rows[0].model_dump(), "region": region})
    assert console_link(row).startswith(f"https://{host}/")


def test_the_table_is_text_and_html() -> None:
    found = table(values={STANDARD: 5.0, G: DENIED}, uses={STANDARD: InUse(total=2, own=1)})
    assert found.text().splitlines()[0].startswith("Quotas in us-west-2: 1 too small")
    line = next(line for line in found.text().splitlines() if STANDARD in line)
    assert line.split()[-5:] == ["80", "5", "2", "(1)", "4"]
    assert STANDARD in found._repr_html_()


# -- the pools' limits -----------------------------------------------------------------------------


def limits(**changes: object) -> dict[str, str]:
    return {check.name: check.status for check in attendees(Settings.make(changes), TYPES)}


def test_one_person_needs_no_room() -> None:
    assert limits() == {}


def test_a_pool_too_small_for_everybody_is_to_know() -> None:
    assert limits(attendees=17) == {"Room for everybody": "warn"}
    assert limits(attendees=16) == {}
    assert limits(attendees=65, accelerators=[]) == {"Room for everybody": "warn"}


def test_a_pool_that_can_never_start_an_instance_fails() -> None:
    assert limits(accelerators=[pool("p4d", 64)]) == {"Limit of pool p4d": "fail"}


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "status"),
    [((4000, 4000), "pass"), ((4000, 10), "warn"), ((4000, 5), "fail"), ((40, 40), "fail"),
     ((200, 200), "warn")],
)  # fmt: skip
def test_subnets_of_an_existing_vpc_must_hold_nodes_and_pods(
    free: tuple[int, int], status: str
) -> None:
    subnets = [
        Subnet(subnet_id=f"subnet-{n}", vpc_id="vpc-1", zone="us-west-2a", free=count)
        for n, count in enumerate(free)
    ]
    check = judge_addresses(Settings(), subnets, TYPES)
    assert check.status == status
    assert all(subnet.subnet_id in check.found for subnet in subnets)


def test_a_deployments_own_nodes_have_their_addresses_already() -> None:
    subnets = [Subnet(subnet_id="subnet-1", vpc_id="vpc-1", zone="us-west-2a", free=5)]
    assert judge_addresses(Settings(), subnets, TYPES).status == "fail"
    assert judge_addresses(Settings(), subnets, TYPES, running=2).status == "warn"


def test_instance_types_tell_the_smallest_of_a_family_and_of_no_other() -> None:
    types = {**TYPES, "g6e.large": InstanceType(name="g6e.large", vcpus=2)}
    found = demand(Settings(), types).needs
    assert [n.least for n in found if n.quota.code == G] == [4]
