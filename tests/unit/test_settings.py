"""Settings: one definition, many mouths, and errors that name the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.docs import settings_page
from jarkkit.errors import JarkkitError
from jarkkit.settings import GROUPS, Settings, field_extra, fields_of
from jarkkit.settings_sources import read_environment, read_pairs, read_yaml

ROOT = Path(__file__).parents[2]

names = st.from_regex(r"[a-z][a-z0-9-]{1,22}[a-z0-9]", fullmatch=True)
# Letters and numbers of all scripts, and what else AWS allows.
tag_values = st.text(
    st.characters(categories=["Lu", "Ll", "Lo", "Nd"], include_characters=" _.:/=+-@"), max_size=20
)
some_settings = st.fixed_dictionaries(
    {},
    optional={
        "name": names,
        "region": st.sampled_from(["us-west-2", "eu-central-1", "us-gov-west-1"]),
        "az_count": st.integers(2, 4),
        "nat": st.sampled_from(["single", "per-az"]),
        "tags": st.dictionaries(
            st.text("abcXYZ-_.", min_size=1, max_size=8), tag_values, max_size=4
        ),
        "core_nodes": st.integers(2, 4),
        "accelerators": st.lists(st.sampled_from(["g6", "g5", "inf2"]), unique=True, max_size=3),
        "addons": st.dictionaries(st.sampled_from(["vpc-cni", "coredns"]), st.booleans()),
        "vpc_cidr": st.sampled_from(["10.1.0.0/16", "172.20.0.0/18"]),
        "budget_usd_per_month": st.just(0),
    },
)


@given(some_settings)
def test_the_file_reads_back_what_it_says(values: dict[str, object]) -> None:
    settings = Settings.make(values)
    assert Settings.make(read_yaml(settings.to_yaml(), "settings.yaml")) == settings


@given(some_settings)
def test_equal_settings_have_equal_digests(values: dict[str, object]) -> None:
    assert Settings.make(values).digest() == Settings.make(dict(values)).digest()


def test_another_value_is_another_digest() -> None:
    assert Settings().digest() != Settings(az_count=3).digest()


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.title, name
        assert (field.description or "").endswith("."), name
        assert field_extra(field)["group"] in GROUPS, name
    assert sum(len(fields_of(group)) for group in GROUPS) == len(Settings.model_fields)


def test_the_page_in_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "Demo"}, "name"),
        ({"name": "ab"}, "name"),
        ({"vpc_cidr": "10.0.0.0/33"}, "vpc_cidr"),
        ({"vpc_cidr": "10.0.0.5/16"}, "vpc_cidr"),
        ({"vpc_cidr": "10.0.0.0/8"}, "between /16 and /22"),
        ({"vpc_cidr": "8.8.0.0/16"}, "not a private range"),
        ({"vpc_cidr": "100.64.0.0/16"}, "overlaps"),
        ({"region": "Oregon"}, "region"),
        ({"cluster_version": "1.20"}, "1.36"),
        ({"az_count": 1}, "az_count"),
        ({"availability_zones": ["us-west-2a"]}, "az_count asks for 2"),
        ({"availability_zones": ["us-west-2a", "eu-west-1a"]}, "not zones of us-west-2"),
        ({"vpc_id": "vpc-0123456789abcdef0"}, "private_subnet_ids"),
        ({"private_subnet_ids": ["subnet-0123456789abcdef0"]}, "vpc_id"),
        ({"core_nodes": 9}, "core_nodes_max"),
        ({"accelerators": ["g6", "g6"]}, "twice"),
        ({"accelerators": ["g99"]}, "g6"),
        ({"karpenter": False}, "karpenter"),
        ({"tags": {"aws:x": "y"}}, "reserved"),
        ({"endpoint_public_cidrs": ["10.0.0.0/8", "10.1.0.0/16"]}, "merge"),
        ({"jupyterhub_auth": "oidc"}, "jupyterhub_oidc_issuer"),
        ({"budget_usd_per_month": 10}, "budget_emails"),
        ({"admin_principals": ["arn:aws:iam::1:role/x"]}, "admin_principals"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.make(values)
    assert caught.value.code == "JK-SETTINGS-INVALID"
    assert said in caught.value.message


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.make({"az_count": 9, "region": "x", "core_disk_gib": 1})
    for name in ("az_count", "region", "core_disk_gib"):
        assert name in caught.value.message


def test_a_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.make({"huggingface_token": "hf_very_secret"})
    assert "hf_very_secret" not in "\n".join(caught.value.lines())
    for reference in ("env:HF_TOKEN", "arn:aws:secretsmanager:us-west-2:123456789012:secret:hf"):
        assert Settings.make({"huggingface_token": reference}).huggingface_token == reference


@pytest.mark.parametrize(
    ("typed", "meant"), [("regoin", "region"), ("az_cuont", "az_count"), ("acelerators", "accel")]
)
def test_an_unknown_name_gets_the_nearest_one(typed: str, meant: str) -> None:
    for attempt in (
        lambda: Settings.make({typed: 1}),
        lambda: Settings().changed({typed: 1}),
        lambda: read_yaml(f"{typed}: 1", "settings.yaml"),
        lambda: read_pairs([f"{typed}=1"]),
        lambda: read_environment({f"JARKKIT_{typed.upper()}": "1"}),
    ):
        with pytest.raises(JarkkitError) as caught:
            attempt()
        assert caught.value.code == "JK-SETTINGS-UNKNOWN"
        assert meant.lower() in caught.value.fix.lower()


def test_malformed_yaml_is_told_with_its_line() -> None:
    with pytest.raises(JarkkitError) as caught:
        read_yaml("name: demo\nregion: [us-west-2\ntags: {}\n", "settings.yaml")
    assert caught.value.code == "JK-SETTINGS-SYNTAX"
    assert "settings.yaml line 3" in caught.value.message


def test_a_name_that_stands_twice_is_told_with_both_lines() -> None:
    with pytest.raises(JarkkitError) as caught:
        read_yaml("region: us-west-2\nname: demo\nregion: eu-west-1\n", "settings.yaml")
    assert "line 3" in caught.value.message
    assert "line 1" in caught.value.message


def test_something_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(JarkkitError, match="JK-SETTINGS-SYNTAX"):
        read_yaml("- a\n- b\n", "settings.yaml")


def test_later_sources_win() -> None:
    file = read_yaml("region: us-east-1\naz_count: 2\n", "settings.yaml")
    environment = read_environment({"JARKKIT_AZ_COUNT": "3", "JARKKIT_HOME": "/x", "PATH": "/y"})
    pairs = read_pairs(["az_count=4"])
    settings = Settings.make({**file, **environment, **pairs})
    assert (settings.region, settings.az_count) == ("us-east-1", 4)


def test_text_stays_text() -> None:
    assert read_pairs(["cluster_version=1.30"]) == {"cluster_version": "1.30"}


def test_a_pair_without_equals_is_a_usage_error() -> None:
    with pytest.raises(JarkkitError, match="JK-USAGE"):
        read_pairs(["az_count"])


def test_tfvars_carry_no_secret_and_no_jupyterhub() -> None:
    settings = Settings(huggingface_token="env:HF_TOKEN")
    variables = settings.to_tfvars(
        availability_zones=["us-west-2a"], eks_addons={}, pod_identities={}, efs=True
    )
    assert "env:HF_TOKEN" not in yaml.safe_dump(str(variables))
    assert not [name for name in variables if name.startswith("jupyterhub")]
    assert variables["existing_vpc"] is None


def test_an_existing_vpc_goes_to_terraform_whole() -> None:
    subnets = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
    settings = Settings(vpc_id="vpc-0123456789abcdef0", private_subnet_ids=subnets)
    variables = settings.to_tfvars(
        availability_zones=[], eks_addons={}, pod_identities={}, efs=False
    )
    assert variables["existing_vpc"]["private_subnet_ids"] == subnets
