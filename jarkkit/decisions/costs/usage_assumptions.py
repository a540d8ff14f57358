"""The amounts of usage that a bill assumes. Pure.

Nothing can predict usage in advance. Each assumption is a range for a small group that works with
the examples. The bill shows the range and the assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

HOURS_PER_MONTH = 730  # AWS's own figure for a month


@dataclass(frozen=True)
class UsageRange:
    """An amount that depends on usage: minimum, likely and maximum."""

    low: float
    likely: float
    high: float


# GB per hour through NAT: images and packages when users start workloads, little in between.
NAT_GB = UsageRange(0.05, 0.5, 5.0)
# Capacity units of a load balancer that serves a class: one is enough for 800 new connections or
# 100,000 open connections per minute.
LOAD_BALANCER_UNITS = UsageRange(0.0, 0.1, 1.0)
# GB per hour of control-plane logs; the audit log is by far the largest.
AUDIT_GB, OTHER_LOGS_GB = UsageRange(0.02, 0.08, 0.4), UsageRange(0.005, 0.02, 0.1)
# GB per hour of container logs and flow logs per node.
NODE_LOGS_GB = UsageRange(0.005, 0.02, 0.1)
# Million Container Insights observations per hour and node: about 40 per minute for each pod, each
# container and the node.
INSIGHTS_OBSERVATIONS = UsageRange(0.05, 0.1, 0.25)
# Million Application Signals per hour: the requests that the instrumented services serve and make.
# Probes and scrapes alone are a few per second; a class that works is ten times that.
APPLICATION_SIGNALS = UsageRange(0.01, 0.05, 0.5)
# GiB in the shared file system, GB in the bucket.
FILES_GIB, BUCKET_GB = UsageRange(1.0, 10.0, 100.0), UsageRange(0.0, 10.0, 200.0)
# GB per hour read from and written to the shared file system, on average: mostly notebooks, at most
# one or two users per session who install packages of 5 GB into their homes.
EFS_READ_GB, EFS_WRITTEN_GB = UsageRange(0.0, 0.1, 2.0), UsageRange(0.0, 0.1, 2.0)
# Million samples per hour to a Prometheus workspace: 20,000 to 100,000 series, twice per minute.
PROMETHEUS_SAMPLES = UsageRange(2.4, 6.0, 12.0)
