"""Quotas: codes, instance families, requirements and their comparison with usage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.quotas import quota_codes
from jarkkit.decisions.quotas.checks import attendee_checks, quota_checks
from jarkkit.decisions.quotas.evaluation import compare_quotas, unknown_instance_types, vcpus_in_use
from jarkkit.decisions.quotas.families import (
    quota_family,
    spot_quota_family,
)
from jarkkit.decisions.quotas.formatting import console_link
from jarkkit.decisions.quotas.models import (
    AppliedQuota,
    QuotaRequirement,
    QuotaRow,
    QuotaUsage,
    RequestedQuotaIncrease,
    RunningInstances,
)
from jarkkit.decisions.quotas.quota_codes import QUOTAS
from jarkkit.decisions.quotas.requirements import quota_requirements, relevant_quotas
from jarkkit.decisions.quotas.subnet_addresses import check_free_addresses
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Ec2Subnet, InstanceType
from jarkkit.model.unknown import Unknown
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.settings import FAMILIES, Settings
from tests.support.fakes.quotas import ASKED, TYPES
from tests.support.stacks import resolved

STANDARD, G, G_SPOT, P_SPOT = "L-1216C47A", "L-DB2E81BA", "L-3819A6DF", "L-7212CCBC"
DENIED = Unknown(JarkkitError("JK-AWS-DENIED", "not allowed", "allow it"))

# -- codes -----------------------------------------------------------------------------------------

# service, code, default: from AWS' documents, read 2026-11-27.
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
def test_a_quota_matches_the_reference(service: str, code: str, default: str) -> None:
    quota = QUOTAS[code]
    assert (quota.service, quota.code, quota.default) == (service, code, float(default))


def test_every_quota_is_in_the_reference() -> None:
    assert set(QUOTAS) == {code for _, code, _ in LINES}


def test_undocumented_quotas_are_marked_and_others_have_a_source() -> None:
    unverified = {code for code, quota in QUOTAS.items() if quota.source == quota_codes.UNVERIFIED}
    assert unverified == set(re.findall(r"L-\w{8}", REFERENCE["unverified"]))
    named = [q.source for code, q in QUOTAS.items() if code not in unverified]
    assert all(source.startswith("https://docs.aws.amazon.com/") for source in named)


def test_only_iam_has_worldwide_quotas() -> None:
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
    assert quota_family(instance_type) == family


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_the_settings_has_an_on_demand_and_a_spot_quota(family: str) -> None:
    group = quota_family(family)
    assert group
    assert quota_codes.vcpu_quota(group, "on-demand")
    for separate in (False, True):
        spot = spot_quota_family(family, has_p5_spot_quota=separate)
        assert spot
        assert quota_codes.vcpu_quota(spot, "spot")


@pytest.mark.parametrize(
    ("family", "separate", "code"),
    [
        ("p5", True, "L-C4BD4855"),
        ("p5en", True, "L-C4BD4855"),
        ("p5", False, P_SPOT),
        ("p4d", True, P_SPOT),
        ("p6-b200", True, P_SPOT),
    ],
)
def test_spot_p5_has_its_own_quota_only_where_the_region_lists_it(
    family: str, separate: bool, code: str
) -> None:
    settings = Settings.from_values({"accelerators": [{"family": family, "capacity": ["spot"]}]})
    needs = {
        n.quota.code
        for n in quota_requirements(
            resolved(settings), TYPES, has_p5_spot_quota=separate
        ).requirements
    }
    assert code in needs
    assert len(needs & {"L-C4BD4855", P_SPOT}) == 1


# -- requirements ----------------------------------------------------------------------------------


def requirement(code: str, **changes: object) -> QuotaRequirement | None:
    found = quota_requirements(resolved(Settings.from_values(changes)), TYPES).requirements
    return next((n for n in found if n.quota.code == code), None)


def requirement_amounts(code: str, **changes: object) -> tuple[float, float, float] | None:
    found = requirement(code, **changes)
    return (found.now, found.least, found.most) if found else None


def pool(family: str, max_vcpus: int = 64, *capacity: str) -> dict[str, object]:
    return {
        "family": family,
        "max_vcpus": max_vcpus,
        "capacity": list(capacity or ("on-demand",)),
    }


def test_core_nodes_count_now_and_pools_at_their_limits() -> None:
    assert requirement_amounts(STANDARD) == (8, 8, 4 * 4 + 64)
    assert requirement_amounts(STANDARD, core_nodes=3, core_nodes_max=5, cpu_max_vcpus=100) == (
        12,
        12,
        120,
    )


def test_spot_cpus_count_against_the_spot_quota() -> None:
    assert requirement_amounts(STANDARD, cpu_capacity=["spot"]) == (8, 8, 16)
    assert requirement_amounts("L-34B43A08", cpu_capacity=["spot"]) == (0, 0, 64)


def test_add_ons_that_do_not_fit_on_core_nodes_need_another_instance() -> None:
    types = TYPES | {"m5.large": InstanceType(name="m5.large", vcpus=2)}

    def needed(**changes: object) -> QuotaRequirement:
        settings = Settings.from_values(
            {"core_instance_type": "m5.large", "accelerators": [], **changes}
        )
        return next(
            n
            for n in quota_requirements(resolved(settings), types).requirements
            if n.quota.code == STANDARD
        )

    all_of_them = needed()
    assert (all_of_them.now, all_of_them.least, all_of_them.most) == (4, 4 + 2 * 4, 4 * 2 + 64)
    assert "do not fit on the core nodes, 8 to 64" in " ".join(all_of_them.parts)
    assert needed(core_nodes=3).least == 6 + 4
    disabled = {a.name: False for a in addon_catalog().values() if a.install == "helm"}
    disabled.pop("karpenter")
    assert needed(addons=disabled).least == 4


def test_nodes_for_add_ons_must_fit_in_the_free_quota() -> None:
    def fits(free: float, *capacity: str) -> str:
        found = table(
            values={STANDARD: free, "L-34B43A08": free},
            core_instance_type="m5.large",
            accelerators=[],
            cpu_capacity=list(capacity or ("on-demand",)),
        )
        return next(row.fits for row in found.rows if row.code == STANDARD)

    assert [fits(free) for free in (8.0, 11.0, 12.0)] == ["no", "no", "at the start"]
    assert [fits(free, "spot", "on-demand") for free in (7.0, 12.0)] == ["no", "at the start"]


def test_nodes_for_add_ons_need_disks_and_network_interfaces_from_the_start() -> None:
    def now(code: str, kind: str) -> float:
        found = requirement_amounts(code, core_instance_type=kind, accelerators=[])
        assert found is not None
        return found[0]

    assert now("L-DF5E4CA3", "m5.large") == now("L-DF5E4CA3", "m5.xlarge") + 2 * 2
    more = now("L-7A658B76", "m5.large") - now("L-7A658B76", "m5.xlarge")
    assert more * 1024 == pytest.approx(2 * 100)


def test_the_name_of_a_type_gives_its_vcpus_where_aws_was_not_asked() -> None:
    found = quota_requirements(resolved(Settings(core_instance_type="t3.medium")), {})
    (standard,) = (need for need in found.requirements if need.quota.code == STANDARD)
    assert standard.now == 2 * 2


def test_without_karpenter_there_are_only_node_groups() -> None:
    without = {"karpenter": False, "accelerators": []}
    assert requirement_amounts(STANDARD, **without) == (8, 8, 16)
    assert requirement_amounts("L-244521F2", **without) == (1, 1, 1)


def test_a_pool_needs_at_least_its_smallest_instance() -> None:
    assert requirement_amounts(G) == (0, 4, 64)
    assert requirement_amounts("L-417A185B", accelerators=[pool("p4d", 192)]) == (0, 96, 192)


def test_pools_of_one_quota_family_share_its_quota() -> None:
    assert requirement_amounts(G, accelerators=[pool("g5", 32), pool("g6", 64)]) == (0, 4, 96)


def test_static_nodes_count_in_addition_to_the_pools() -> None:
    assert requirement_amounts(G, static_gpu_nodes=2) == (32, 36, 96)
    assert requirement_amounts("L-6D54EA21", static_gpu_nodes=2) == (2, 2, 2)


def test_inferentia_and_trainium_have_quotas_of_their_own() -> None:
    chosen = [pool("inf2", 32), pool("trn1", 128)]
    assert requirement_amounts("L-1945791B", accelerators=chosen) == (0, 4, 32)
    assert requirement_amounts("L-2C3B7624", accelerators=chosen) == (0, 8, 128)
    assert requirement_amounts(G, accelerators=chosen) is None


def test_a_pool_with_two_purchase_options_needs_one_of_them() -> None:
    settings = Settings.from_values({"accelerators": [pool("g6", 64, "spot", "on-demand")]})
    found = quota_requirements(resolved(settings), TYPES)
    (alternative,) = found.alternatives
    assert (set(alternative.codes), alternative.vcpus) == ({G, G_SPOT}, 4)
    assert [n.least for n in found.requirements if n.quota.code in (G, G_SPOT)] == [0, 0]


def test_capacity_blocks_count_only_where_a_pool_is_reserved() -> None:
    assert requirement_amounts("L-DA6814F2", accelerators=[pool("p5", 192)]) is None
    reserved = {
        "accelerators": [pool("p5", 192, "reserved")],
        "capacity_reservations": ["cr-0123456789abcdef0"],
    }
    assert requirement_amounts("L-DA6814F2", **reserved) == (0, 0, 192)
    assert requirement_amounts("L-417A185B", **reserved) is None


def test_a_workshop_needs_an_accelerator_per_attendee() -> None:
    assert requirement_amounts(G, attendees=30) == (0, 4, 120)
    assert requirement_amounts(G, attendees=10) == (0, 4, 64)
    # Eight of them share an instance with eight.
    assert requirement_amounts("L-417A185B", attendees=20, accelerators=[pool("p4d", 96)]) == (
        0,
        96,
        288,
    )


def test_a_workshop_without_accelerators_needs_cpus() -> None:
    assert requirement_amounts(STANDARD, attendees=100, accelerators=[]) == (8, 8, 16 + 100)


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
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
        ("L-244521F2", {}, 6),
        ("L-2AFB9258", {}, 2),
    ],
)
def test_resources_are_counted(code: str, changes: dict[str, object], expected: int | None) -> None:
    found = requirement_amounts(code, **changes)
    assert (found[1] if found else None) == expected


def test_nodes_need_disks_and_network_interfaces() -> None:
    disabled = {"core_disk_gib": 500, "accelerators": [], "cpu_max_vcpus": 8}
    disks_by_default = requirement("L-7A658B76", **disabled)
    assert disks_by_default
    assert disks_by_default.now == pytest.approx((2 * 500 + 122) / 1024)  # 90 of them OpenSearch's
    without = {"opensearch": False, "fluent-operator": False}
    disks = requirement("L-7A658B76", addons=without, **disabled)
    assert disks
    assert disks.now == pytest.approx((2 * 500 + 32) / 1024)
    assert disks.most == pytest.approx((4 * 500 + 2 * 100 + 32) / 1024)
    interfaces = requirement("L-DF5E4CA3", cpu_max_vcpus=10_000)
    assert interfaces
    assert interfaces.most > 5000


def test_an_existing_vpc_needs_no_network_quotas() -> None:
    own = {"vpc_id": "vpc-12345678", "private_subnet_ids": ["subnet-11111111", "subnet-22222222"]}
    for code in ("L-F678F1CE", "L-A4707A72", "L-83CA0A9D", "L-407747CB", "L-FE5A380F"):
        assert requirement_amounts(code, **own) is None
    assert requirement_amounts("L-0263D0A3", **own) is None


def test_rules_and_policies_match_the_terraform_modules() -> None:
    root = Path(__file__).parents[2] / "terraform"
    events = (root / "modules/karpenter/main.tf").read_text()
    assert len(re.findall(r'type = "[A-Z]', events)) + 1 == requirement_amounts("L-244521F2")[1]  # type: ignore[index]
    node = re.search(r"toset\(\[(.*?)\]\)", (root / "nodes.tf").read_text(), re.DOTALL)
    assert node
    assert len(re.findall(r'"\w+"', node.group(1))) == requirement_amounts("L-0DA4ABF3")[1]  # type: ignore[index]


def test_relevant_quotas_are_known_without_instance_types() -> None:
    settings = Settings.from_values({"accelerators": [pool("p5", 192, "spot"), "inf2"]})
    for separate in (False, True):
        needs = {
            n.quota
            for n in quota_requirements(
                resolved(settings), TYPES, has_p5_spot_quota=separate
            ).requirements
        }
        assert needs <= set(relevant_quotas(resolved(settings)))


def test_the_older_quota_of_spot_p5_is_relevant_for_every_p_spot_pool() -> None:
    settings = Settings.from_values({"accelerators": [pool("p4d", 96, "spot")]})
    assert "L-C4BD4855" in {quota.code for quota in relevant_quotas(resolved(settings))}
    settings = Settings.from_values({"accelerators": [pool("g6", 64, "spot")]})
    assert "L-C4BD4855" not in {quota.code for quota in relevant_quotas(resolved(settings))}


def test_the_cpu_pool_needs_no_instance_types() -> None:
    assert resolved(Settings()).instance_patterns == ("m5.xlarge", "g6.*")
    assert [demand.label for demand in resolved(Settings()).instance_demands] == [
        "core nodes",
        "CPU pool",
        "pool g6",
    ]


# -- usage -----------------------------------------------------------------------------------------

RUNNING = (
    RunningInstances(instance_type="m5.xlarge", purchase="on-demand", count=2, vcpus=8, own=True),
    RunningInstances(instance_type="c5.large", purchase="on-demand", count=3, vcpus=6),
    RunningInstances(instance_type="t3.large", purchase="spot", count=1, vcpus=2),
    RunningInstances(instance_type="inf2.xlarge", purchase="on-demand", count=1, vcpus=4),
    RunningInstances(instance_type="p5.48xlarge", purchase="spot", count=1, vcpus=192),
    RunningInstances(instance_type="p4d.24xlarge", purchase="spot", count=1, vcpus=96),
)


@pytest.mark.parametrize(
    ("code", "separate", "total", "own"),
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
def test_vcpus_count_against_their_quota(code: str, separate: bool, total: int, own: int) -> None:
    found = vcpus_in_use(RUNNING, QUOTAS[code], has_p5_spot_quota=separate)
    assert (found.total, found.own) == (total, own)


def test_unknown_instance_types_are_listed() -> None:
    with_unknown = RunningInstances(
        instance_type="quux1.large", purchase="on-demand", count=1, vcpus=0
    )
    mac = RunningInstances(instance_type="mac2.metal", purchase="on-demand", count=1, vcpus=8)
    assert unknown_instance_types((*RUNNING, with_unknown, mac)) == ("quux1.large",)


# -- comparison ------------------------------------------------------------------------------------


def applied_quota(value: float, *, applied: bool = True) -> AppliedQuota:
    return AppliedQuota(value=value, applied=applied, asked=ASKED)


def table(
    *,
    values: dict[str, float | Unknown | None] | None = None,
    uses: dict[str, QuotaUsage | Unknown] | None = None,
    pending: tuple[RequestedQuotaIncrease, ...] = (),
    **changes: object,
) -> QuotaTable:
    quotas: dict[str, AppliedQuota | Unknown | None] = {
        code: applied_quota(1000 + quota.default) for code, quota in QUOTAS.items()
    }
    for code, value in (values or {}).items():
        quotas[code] = applied_quota(value) if isinstance(value, float) else value
    rows = compare_quotas(
        quota_requirements(resolved(Settings.from_values(changes)), TYPES),
        quotas,
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
def test_usage_of_others_is_subtracted_and_own_usage_is_not(
    value: float, used: float, own: float, fits: str
) -> None:
    use = QuotaUsage(total=used, own=own)
    row = table(values={STANDARD: value}, uses={STANDARD: use}).row(STANDARD)
    assert row.fits == fits
    assert row.free == max(0, value - (used - own))


def test_the_desired_value_is_usage_of_others_plus_the_requirement() -> None:
    row = table(values={STANDARD: 40.0}, uses={STANDARD: QuotaUsage(total=24, own=8)}).row(STANDARD)
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
def test_a_denied_quota_is_unknown_and_the_rest_is_known(
    values: dict[str, float | Unknown | None], uses: dict[str, QuotaUsage | Unknown]
) -> None:
    found = table(values=values, uses=uses)
    assert found.row(STANDARD).fits == "unknown"
    assert found.row(STANDARD).why
    assert {row.fits for row in found.rows if row.code != STANDARD} == {"yes"}
    assert found.fits


def test_a_pool_fits_when_one_of_its_purchase_options_fits() -> None:
    two_options: dict[str, Any] = {"accelerators": [pool("g6", 64, "spot", "on-demand")]}
    short = table(values={G: 0.0, G_SPOT: 3.0}, **two_options)
    assert {row.code for row in short.rows if row.fits == "no"} == {G}
    assert "pool g6" in short.row(G).why
    enough = table(values={G: 0.0, G_SPOT: 4.0}, **two_options)
    assert [row.code for row in enough.rows if row.fits == "no"] == []
    unknown = table(values={G: 0.0, G_SPOT: DENIED}, **two_options)
    assert [row.code for row in unknown.rows if row.fits == "no"] == []


def test_quotas_of_iam_are_in_the_global_region() -> None:
    found = table()
    assert found.row("L-FE177D64").region == "us-east-1"
    assert found.row(STANDARD).region == "us-west-2"


def test_open_requests_are_shown_with_their_quota() -> None:
    old = RequestedQuotaIncrease(id="1", service="ec2", code=STANDARD, desired=50, status="DENIED")
    new = RequestedQuotaIncrease(
        id="2", service="ec2", code=STANDARD, desired=80, status="CASE_OPENED"
    )
    found = table(values={STANDARD: 5.0}, pending=(new, old))
    assert found.row(STANDARD).pending == new
    assert table(values={STANDARD: 5.0}, pending=(old,)).row(STANDARD).pending is None


# -- checks ----------------------------------------------------------------------------------------


def test_quotas_that_fit_are_one_check() -> None:
    (check,) = quota_checks(table())
    assert check.status == "pass"
    assert check.found.startswith(f"{len(table().rows)} quotas are large enough")


def test_a_check_names_code_need_quota_usage_and_the_request() -> None:
    use = QuotaUsage(total=2)
    check = next(iter(quota_checks(table(values={STANDARD: 5.0}, uses={STANDARD: use}))))
    assert (check.status, check.code) == ("fail", "JK-AWS-QUOTA")
    assert STANDARD in check.name
    assert check.needed == "at least 8 vCPUs, 80 at the limits"
    assert check.found == "quota 5 vCPUs, in use 2, free 3"
    assert (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        "--quota-code L-1216C47A --desired-value 82 --region us-west-2"
    ) in check.fix
    assert check.link == (
        "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-1216C47A"
        "?region=us-west-2"
    )


def test_a_quota_below_the_limits_is_a_warning() -> None:
    first, rest = quota_checks(table(values={G: 8.0}))
    assert (first.status, rest.status) == ("warn", "pass")
    assert "other quotas" in rest.found


@pytest.mark.parametrize(
    ("desired", "words"), [(80, "Wait for AWS: a request for 80 is open"), (10, "You need 80")]
)
def test_an_open_request_is_not_suggested_again(desired: int, words: str) -> None:
    request = RequestedQuotaIncrease(
        id="1", service="ec2", code=STANDARD, desired=desired, status="PENDING"
    )
    check = next(iter(quota_checks(table(values={STANDARD: 5.0}, pending=(request,)))))
    assert words in check.fix
    assert "request-service-quota-increase" not in check.fix


def test_unknown_quotas_with_one_reason_are_one_check() -> None:
    refused = table(values=dict.fromkeys(QUOTAS, DENIED))
    (check,) = quota_checks(refused)
    assert (check.status, check.code) == ("unknown", "JK-AWS-DENIED")
    assert all(row.code in check.found for row in refused.rows)


def test_unknown_instance_types_and_requests_are_checks() -> None:
    with_unknown = table().model_copy(
        update={"strange": ("quux1.large",), "pending_unknown": "denied"}
    )
    statuses = {check.name: check.status for check in quota_checks(with_unknown)}
    assert statuses["Unknown instance types"] == "unknown"
    assert statuses["Quota increase requests"] == "unknown"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(region: str, host: str) -> None:
    row = QuotaRow.model_validate({**table().rows[0].model_dump(), "region": region})
    assert console_link(row).startswith(f"https://{host}/")


def test_the_table_as_text_and_html() -> None:
    found = table(values={STANDARD: 5.0, G: DENIED}, uses={STANDARD: QuotaUsage(total=2, own=1)})
    assert text_of(found).splitlines()[0].startswith("Quotas in us-west-2: 1 too small")
    line = next(line for line in text_of(found).splitlines() if STANDARD in line)
    assert line.split()[-5:] == ["80", "5", "2", "(1)", "4"]
    assert STANDARD in html_of(found)


# -- the pools' limits -----------------------------------------------------------------------------


def attendee_statuses(**changes: object) -> dict[str, str]:
    return {
        check.name: check.status
        for check in attendee_checks(resolved(Settings.from_values(changes)), TYPES)
    }


def test_one_attendee_needs_no_check() -> None:
    assert attendee_statuses() == {}


def test_a_pool_too_small_for_all_attendees_is_a_warning() -> None:
    assert attendee_statuses(attendees=17) == {"Capacity for all attendees": "warn"}
    assert attendee_statuses(attendees=16) == {}
    assert attendee_statuses(attendees=65, accelerators=[]) == {
        "Capacity for all attendees": "warn"
    }


def test_a_pool_below_its_smallest_instance_fails() -> None:
    assert attendee_statuses(accelerators=[pool("p4d", 64)]) == {"Limit of pool p4d": "fail"}


def test_a_cpu_pool_too_small_for_the_add_ons_fails() -> None:
    def check(most: int) -> list[Check]:
        values = {"core_instance_type": "m5.large", "cpu_max_vcpus": most}
        return list(attendee_checks(resolved(Settings.from_values(values)), TYPES))

    assert check(8) == []
    (found,) = check(7)
    assert (found.name, found.status, found.code) == (
        "Limit of the CPU pool",
        "fail",
        "JK-SETTINGS-INVALID",
    )
    assert found.needed.startswith("8 vCPUs: 2 x 4 ")
    assert "Set cpu_max_vcpus to 8 or more" in found.fix
    assert "core_nodes" in found.fix
    assert "core_instance_type" in found.fix


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "status"),
    [((4000, 4000), "pass"), ((4000, 10), "warn"), ((4000, 5), "fail"), ((40, 40), "fail"),
     ((200, 200), "warn")],
)  # fmt: skip
def test_subnets_of_an_existing_vpc_need_addresses_for_nodes_and_pods(
    free: tuple[int, int], status: str
) -> None:
    subnets = [
        Ec2Subnet(subnet_id=f"subnet-{n}", vpc_id="vpc-1", zone="us-west-2a", free=count)
        for n, count in enumerate(free)
    ]
    check = check_free_addresses(resolved(Settings()), subnets, TYPES)
    assert check.status == status
    assert all(subnet.subnet_id in check.found for subnet in subnets)


def test_running_nodes_already_have_their_addresses() -> None:
    subnets = [Ec2Subnet(subnet_id="subnet-1", vpc_id="vpc-1", zone="us-west-2a", free=5)]
    assert check_free_addresses(resolved(Settings()), subnets, TYPES).status == "fail"
    assert check_free_addresses(resolved(Settings()), subnets, TYPES, running=2).status == "warn"


def test_the_smallest_type_of_a_family_is_not_one_of_another_family() -> None:
    types = {**TYPES, "g6e.large": InstanceType(name="g6e.large", vcpus=2)}
    found = quota_requirements(resolved(Settings()), types).requirements
    assert [n.least for n in found if n.quota.code == G] == [4]
