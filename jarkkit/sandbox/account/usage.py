"""What CloudWatch knows of the quotas in use: the metrics of AWS/Usage that count vCPUs.

After "Service Quotas usage metrics" in the EC2 user guide, read 2026-11: one metric per quota that
has instances, every few minutes. Here it is always of a minute ago.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from moto.cloudwatch.models import MetricDatum
from moto.core.common_models import CloudWatchMetricProvider
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends

from jarkkit.sandbox.account.ec2 import capacity, neighbours
from jarkkit.sandbox.account.servicequotas import facts


class UsageMetrics(CloudWatchMetricProvider):
    """moto's CloudWatch asks every subclass of this kind."""

    @staticmethod
    def get_cloudwatch_metrics(account_id: str, region: str) -> list[MetricDatum]:
        """vCPUs that are in use now, by quota."""
        backend: Any = ec2_backends[account_id][region]
        neighbours.move_in(backend)
        listed = facts.quotas_of("ec2", region)
        used: Counter[str] = Counter()
        for instance in backend.running():
            code = capacity.quota_code(
                instance.instance_type, spot=instance.spot, p5_apart=region in facts.P5_APART
            )
            used[code] += instance.vcpus
        return [_datum(listed[code].usage, vcpus) for code, vcpus in used.items() if code in listed]


def _datum(usage: str, vcpus: int) -> MetricDatum:
    words = facts.usage_dimensions(usage)
    dimensions = [{"Name": name, "Value": value} for name, value in words.items()]
    moment = utcnow() - timedelta(minutes=1)
    return MetricDatum("AWS/Usage", "ResourceCount", vcpus, dimensions, moment, "None")
