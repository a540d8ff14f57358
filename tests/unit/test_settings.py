"""Settings: one definition, several sources, and errors that name the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.catalog.addons import addon_catalog
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import GROUPS, Settings, field_metadata, fields_of
from jarkkit.settings.sources import read_environment, read_pairs, read_yaml
from jarkkit.settings.validation import CORE_ADDONS
from tests.support.terraform_variables import terraform_variables
from tools.reference_pages import settings_page

ROOT = Path(__file__).parents[2]

names = st.from_regex(r"[a-z][a-z0-9-]{1,22}[a-z0-9]", fullmatch=True)
# Letters and digits of all scripts, and the punctuation that AWS allows.
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
        "addons": st.dictionaries(st.sampled_from(["opencost", "argo-cd"]), st.booleans()),
        "vpc_cidr": st.sampled_from(["10.1.0.0/16", "172.20.0.0/18"]),
        "budget_usd_per_month": st.just(0),
    },
)


@given(some_settings)
def test_the_file_reads_back(values: dict[str, object]) -> None:
    settings = Settings.from_values(values)
    assert Settings.from_values(read_yaml(settings.to_yaml(), "settings.yaml")) == settings


@given(some_settings)
def test_equal_settings_have_equal_digests(values: dict[str, object]) -> None:
    assert Settings.from_values(values).digest() == Settings.from_values(dict(values)).digest()


def test_different_values_have_different_digests() -> None:
    assert Settings().digest() != Settings(az_count=3).digest()


def test_every_setting_has_a_title_a_description_and_a_group() -> None:
    for name, field in Settings.model_fields.items():
        assert field.title, name
        assert (field.description or "").endswith("."), name
        assert field_metadata(field)["group"] in GROUPS, name
    assert sum(len(fields_of(group)) for group in GROUPS) == len(Settings.model_fields)


def test_the_page_in_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page()


CERTIFICATE = "arn:aws:acm:us-west-2:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("values", "expected"),
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
        ({"availability_zones": ["us-west-2a"]}, "az_count is 2"),
        ({"availability_zones": ["us-west-2a", "eu-west-1a"]}, "not zones of us-west-2"),
        ({"vpc_id": "vpc-0123456789abcdef0"}, "private_subnet_ids"),
        ({"private_subnet_ids": ["subnet-0123456789abcdef0"]}, "vpc_id"),
        ({"core_nodes": 9}, "core_nodes_max"),
        ({"accelerators": ["g6", "g6"]}, "twice"),
        ({"accelerators": ["g99"]}, "g6"),
        ({"karpenter": False}, "karpenter"),
        ({"tags": {"aws:x": "y"}}, "reserved"),
        ({"tags": {"kubernetes.io/cluster/lab": "owned"}}, "reserved"),
        ({"tags": {"karpenter.sh/nodepool": "cpu"}}, "reserved"),
        ({"tags": {"elbv2.k8s.aws/cluster": "lab"}}, "reserved"),
        ({"tags": {"cluster.k8s.amazonaws.com/name": "lab"}}, "reserved"),
        ({"tags": {"CSIVolumeName": "data"}}, "reserved"),
        ({"tags": {"ebs.csi.aws.com/cluster": "true"}}, "reserved"),
        ({"tags": {"team=a": "b"}}, "contains ="),
        ({"tags": {"Environment": "a", "environment": "b"}}, "differ only by case"),
        ({"endpoint_public_cidrs": ["8.0.0.0/8", "8.1.0.0/16"]}, "merge"),
        ({"endpoint_public_cidrs": ["10.0.0.0/8"]}, "reserved range"),
        ({"endpoint_public_cidrs": ["192.168.1.7/32"]}, "endpoint_public_cidrs"),
        ({"endpoint_public_cidrs": ["100.64.3.0/24", "127.0.0.1/32"]}, "127.0.0.1/32"),
        ({"pod_cidr": "172.20.0.0/16"}, "pod_cidr 172.20.0.0/16 cannot be added"),
        ({"vpc_cidr": "100.64.0.0/16", "pod_cidr": "10.0.0.0/16"}, "cannot be added"),
        ({"vpc_cidr": "172.16.0.0/16", "pod_cidr": "172.31.0.0/16"}, "default VPCs"),
        ({"vpc_cidr": "10.1.0.0/16", "pod_cidr": "10.0.0.0/16"}, "10.0.0.0/15"),
        (
            {
                "vpc_id": "vpc-0123456789abcdef0",
                "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                "public_subnet_ids": ["subnet-0123456789abcdef1"],
            },
            "subnet-0123456789abcdef1 cannot be in",
        ),
        ({"jupyterhub_auth": "oidc"}, "jupyterhub_oidc_issuer"),
        ({"jupyterhub_domain": "hub.example.com"}, "jupyterhub_certificate_arn"),
        ({"jupyterhub_certificate_arn": CERTIFICATE}, "jupyterhub_domain"),
        ({"jupyterhub_domain": "https://hub.example.com"}, "jupyterhub_domain"),
        (
            {
                "region": "eu-west-1",
                "jupyterhub_domain": "hub.example.com",
                "jupyterhub_certificate_arn": CERTIFICATE,
            },
            "is in us-west-2",
        ),
        ({"budget_usd_per_month": 10}, "budget_emails"),
        ({"admin_principals": ["arn:aws:iam::1:role/x"]}, "admin_principals"),
    ],
)
def test_invalid_values_are_rejected(values: dict[str, object], expected: str) -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.from_values(values)
    assert caught.value.code == "JK-SETTINGS-INVALID"
    assert expected in caught.value.message
    assert set(caught.value.subjects) <= Settings.model_fields.keys()
    assert not values.keys().isdisjoint(caught.value.subjects)


@pytest.mark.parametrize(
    "values",
    [
        {"endpoint_public_cidrs": ["0.0.0.0/0"]},
        {"endpoint_public_cidrs": ["8.8.8.8/32", "9.0.0.0/8"]},
        {"vpc_cidr": "172.16.0.0/16", "pod_cidr": "172.20.0.0/16"},
        {"vpc_cidr": "192.168.0.0/16", "pod_cidr": "100.66.0.0/16"},
        {"vpc_cidr": "10.2.0.0/16", "pod_cidr": "10.0.0.0/16"},
        {"tags": {"Environment": "a", "Owner": "Zoë"}},
    ],
)
def test_valid_values_are_accepted(values: dict[str, object]) -> None:
    Settings.from_values(values)


def test_messages_use_words_instead_of_patterns() -> None:
    invalid: dict[str, object] = {
        name: ["?"] if isinstance(field.default, tuple) else "?"
        for name, field in Settings.model_fields.items()
        if field_metadata(field)["expects"]
    }
    assert len(invalid) > 10
    with pytest.raises(JarkkitError) as caught:
        Settings.from_values(invalid)
    for name in invalid:
        assert f"{name}" in caught.value.message
    schema = Settings.model_json_schema()["properties"]
    patterns = {name for name, field in schema.items() if "pattern" in str(field)}
    assert patterns <= invalid.keys()
    assert "^" not in caught.value.message
    with pytest.raises(JarkkitError, match="is not 3 to 24 lower-case letters"):
        Settings.from_values({"name": "px"[:1]})


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.from_values({"az_count": 9, "region": "x", "core_disk_gib": 1})
    for name in ("az_count", "region", "core_disk_gib"):
        assert name in caught.value.message


def test_a_literal_secret_is_rejected_without_being_shown() -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.from_values({"huggingface_token": "hf_very_secret"})
    assert "hf_very_secret" not in "\n".join(caught.value.lines())
    for reference in ("env:HF_TOKEN", "arn:aws:secretsmanager:us-west-2:123456789012:secret:hf"):
        assert Settings.from_values({"huggingface_token": reference}).huggingface_token == reference


@pytest.mark.parametrize(
    ("typed", "meant"), [("regoin", "region"), ("az_cuont", "az_count"), ("acelerators", "accel")]
)
def test_an_unknown_name_gets_the_nearest_one(typed: str, meant: str) -> None:
    for attempt in (
        lambda: Settings.from_values({typed: 1}),
        lambda: Settings().with_changes({typed: 1}),
        lambda: read_yaml(f"{typed}: 1", "settings.yaml"),
        lambda: read_pairs([f"{typed}=1"]),
        lambda: read_environment({f"JARKKIT_{typed.upper()}": "1"}),
    ):
        with pytest.raises(JarkkitError) as caught:
            attempt()
        assert caught.value.code == "JK-SETTINGS-UNKNOWN"
        assert meant.lower() in caught.value.fix.lower()


def test_malformed_yaml_is_reported_with_its_line() -> None:
    with pytest.raises(JarkkitError) as caught:
        read_yaml("name: demo\nregion: [us-west-2\ntags: {}\n", "settings.yaml")
    assert caught.value.code == "JK-SETTINGS-SYNTAX"
    assert "settings.yaml line 3" in caught.value.message


def test_a_duplicate_name_is_reported_with_both_lines() -> None:
    with pytest.raises(JarkkitError) as caught:
        read_yaml("region: us-west-2\nname: demo\nregion: eu-west-1\n", "settings.yaml")
    assert "line 3" in caught.value.message
    assert "line 1" in caught.value.message


def test_yaml_without_a_mapping_is_rejected() -> None:
    with pytest.raises(JarkkitError, match="JK-SETTINGS-SYNTAX"):
        read_yaml("- a\n- b\n", "settings.yaml")


def test_later_sources_win() -> None:
    file = read_yaml("region: us-east-1\naz_count: 2\n", "settings.yaml")
    environment = read_environment({"JARKKIT_AZ_COUNT": "3", "JARKKIT_HOME": "/x", "PATH": "/y"})
    pairs = read_pairs(["az_count=4"])
    settings = Settings.from_values({**file, **environment, **pairs})
    assert (settings.region, settings.az_count) == ("us-east-1", 4)


def test_text_stays_text() -> None:
    assert read_pairs(["cluster_version=1.30"]) == {"cluster_version": "1.30"}


def test_a_pair_without_equals_is_a_usage_error() -> None:
    with pytest.raises(JarkkitError, match="JK-USAGE"):
        read_pairs(["az_count"])


def test_tfvars_have_no_secrets_and_no_jupyterhub_settings() -> None:
    settings = Settings(huggingface_token="env:HF_TOKEN")
    variables = terraform_variables(settings)
    assert "env:HF_TOKEN" not in yaml.safe_dump(str(variables))
    assert not [name for name in variables if name.startswith("jupyterhub")]
    assert variables["existing_vpc"] is None


def test_an_existing_vpc_is_passed_to_terraform() -> None:
    subnets = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
    settings = Settings(vpc_id="vpc-0123456789abcdef0", private_subnet_ids=subnets)
    variables = terraform_variables(settings)
    assert variables["existing_vpc"]["private_subnet_ids"] == subnets


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("az_count: 3\nname: a\x07b\n", "line 2, column 8: the character U+0007"),
        ("az_count: 3\nname: \x00\n", "line 2, column 7: the character U+0000"),
        ("name: \ud800", "U+D800"),
        ("az_count: 2026-13-45", "cannot be read"),
        ("az_count: !!timestamp x", "cannot be read"),
        ("az_count: " + "[" * 2000, "nested too deeply"),
        ("? [az_count]\n: 3", "line 1, column 3: found unhashable key"),
        ("name: *" + "x" * 5000, "undefined alias"),
    ],
)
def test_text_that_yaml_cannot_read_is_a_settings_error(text: str, words: str) -> None:
    with pytest.raises(JarkkitError) as caught:
        read_yaml(text, "settings.yaml")
    assert caught.value.code == "JK-SETTINGS-SYNTAX"
    assert words in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "values",
    [
        {"name": "a" * 5000},
        {"vpc_cidr": "9" * 5000},
        {"tags": {"k" * 5000: "v"}},
        {"accelerators": ["x" * 5000] * 50},
        {"x" * 5000: 1},
        {"availability_zones": ["us-west-2" + "z" * 5000] * 3},
    ],
)
def test_messages_have_a_readable_length(values: dict[str, Any]) -> None:
    with pytest.raises(JarkkitError) as caught:
        Settings.from_values(values)
    assert len(caught.value.message) < 3000
    assert len(caught.value.message.split("; ")[0]) < 700


def test_core_addons_cannot_be_switched_off() -> None:
    core = {addon.name for addon in addon_catalog().values() if addon.core}
    assert set(CORE_ADDONS) == core - {"karpenter"}
    for name in CORE_ADDONS:
        with pytest.raises(JarkkitError, match=f"{name} cannot be off"):
            Settings.from_values({"addons": {name: False}})
        assert Settings.from_values({"addons": {name: True}})
