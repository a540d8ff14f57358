"""The quota usage that CloudWatch reports: the metrics of AWS/Usage that count vCPUs.

After "Service Quotas usage metrics" in the EC2 user guide, read 2026-11: one metric per quota that
has instances, every few minutes. Here the data point is always one minute old.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from moto.cloudwatch.models import MetricDatum
from moto.core.common_models import CloudWatchMetricProvider
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends

from jarkkit.sandbox.account.ec2 import capacity, preexisting_usage
from jarkkit.sandbox.account.servicequotas import reference_data


class UsageMetrics(CloudWatchMetricProvider):
    """vCPU usage by quota. moto's CloudWatch calls every subclass of this provider."""

    @staticmethod
    def get_cloudwatch_metrics(account_id: str, region: str) -> list[MetricDatum]:
        """Return the vCPUs in use now, by quota."""
        backend: Any = ec2_backends[account_id][region]
        preexisting_usage.create_preexisting_usage(backend)
        listed = reference_data.quotas_of("ec2", region)
        used: Counter[str] = Counter()
        for instance in backend.running():
            code = capacity.quota_code(
                instance.instance_type,
                spot=instance.spot,
                separate_p5_quota=region in reference_data.SEPARATE_P5_QUOTA_REGIONS,
            )
            used[code] += instance.vcpus
        return [_datum(listed[code].usage, vcpus) for code, vcpus in used.items() if code in listed]


def _datum(usage: str, vcpus: int) -> MetricDatum:
    words = reference_data.usage_dimensions(usage)
    dimensions = [{"Name": name, "Value": value} for name, value in words.items()]
    moment = utcnow() - timedelta(minutes=1)
    return MetricDatum("AWS/Usage", "ResourceCount", vcpus, dimensions, moment, "None")
