"""The names of a deployment's resources fit AWS' limits in every Region."""

from __future__ import annotations

import boto3
import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.settings import Settings
from jarkkit.steps.preflight.unique_names import role_name, unique_names
from tests.support.stacks import resolved

# Characters, from the `max` of each API's model and its user guide.
LIMITS = {
    "aws_budgets_budget": 100,
    "aws_cloudwatch_event_rule": 64,
    "aws_cloudwatch_log_group": 512,
    "aws_efs_file_system": 64,
    "aws_iam_instance_profile": 128,
    "aws_iam_role": 64,
    "aws_kms_alias": 256,
    "aws_launch_template": 128,
    "aws_s3_bucket": 63,
    "aws_security_group": 255,
    "aws_sqs_queue": 80,
}
REGIONS = sorted(
    {
        region
        for partition in ("aws", "aws-us-gov", "aws-cn")
        for region in boto3.session.Session().get_available_regions("eks", partition)
    }
)
LONGEST_NAME = "a" * 24


@pytest.mark.parametrize("region", REGIONS)
def test_the_longest_name_fits_in_every_region(region: str) -> None:
    settings = Settings.model_validate(
        {
            "name": LONGEST_NAME,
            "region": region,
            "addons": dict.fromkeys(addon_catalog(), True),
            "artifact_bucket": True,
            "static_gpu_nodes": 1,
            "budget_usd_per_month": 1,
            "budget_emails": ("a@example.com",),
        }
    )
    names = unique_names(resolved(settings), "123456789012")
    assert len({(n.terraform_type, n.name) for n in names}) == len(names)
    for each in names:
        assert len(each.name) <= LIMITS[each.terraform_type], each


def test_a_long_role_name_keeps_its_beginning_and_differs_from_others() -> None:
    prefix = f"{LONGEST_NAME}-ap-southeast-1"
    assert role_name("demo-us-west-2", "node") == "demo-us-west-2-node"
    one, other = (
        role_name(prefix, f"amazon-cloudwatch-observability-{which}") for which in ("one", "two")
    )
    assert one != other
    assert one.startswith(f"{prefix}-amazon-cloudwatch")
    assert len(one) == 64
