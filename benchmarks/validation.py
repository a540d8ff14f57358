"""What the validation of calls adds to the sandbox's account, side by side in one run.

    python -m benchmarks.validation

Serves the calls that a rehearsal makes most, each alternately with and without validation. Prints a
table of goals and figures. It reports and never fails: time depends on the machine.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from werkzeug.test import run_wsgi_app

from benchmarks.run import show
from jarkkit.sandbox import daemon, faults
from jarkkit.sandbox.account import install
from jarkkit.sandbox.account.iam import policy_enforcement
from tests.support.api_requests import ApiRequest, api_request

ROUNDS = 40
# A rehearsal of the account layer: its calls, and its seconds (30 November 2026, 2 busy cores).
CALLS, SECONDS = 900, 120
GOALS = {"validation, of the account layer's rehearsal (%)": 5.0}


def main() -> int:
    """Measure everything."""
    install()
    with tempfile.TemporaryDirectory() as folder:
        served = daemon.Daemon(Path(folder), daemon.DaemonOptions(account_only=True))
        served._enforcer = policy_enforcement.PolicyEnforcer("", sys.stderr)
        application = served.application
        with_it, without = [], []
        for request in requests():
            seconds(application, request)  # creates the Region and reads the API model
            with_it.append(statistics.median(seconds(application, request) for _ in range(ROUNDS)))
            with mock.patch.object(daemon, "_invalid", no_validation):
                without.append(
                    statistics.median(seconds(application, request) for _ in range(ROUNDS))
                )
    more = statistics.mean(with_it) - statistics.mean(without)
    figures = {
        "a call without validation (ms)": statistics.mean(without) * 1000,
        "validation of a call (ms)": more * 1000,
        "with / without validation": sum(with_it) / sum(without),
        "validation, of the account layer's rehearsal (%)": more * CALLS / SECONDS * 100,
    }
    show(figures, GOALS)
    return 0


def requests() -> list[ApiRequest]:
    """Return requests like those of Terraform: queries, and a creation with many parameters."""
    tags = [{"Key": f"key-{number}", "Value": "value"} for number in range(5)]
    filters = [{"Name": "tag:key-1", "Values": ["value"]}]
    return [
        api_request("ec2", "DescribeVpcs", {"Filters": filters}),
        api_request("ec2", "DescribeSecurityGroupRules", {"Filters": filters}),
        api_request("iam", "ListRoles", {"MaxItems": 100}),
        api_request("eks", "ListClusters", {"maxResults": 100}),
        api_request("kms", "ListKeys", {"Limit": 100}),
        api_request("logs", "DescribeLogGroups", {"logGroupNamePrefix": "/aws/eks"}),
        api_request("sqs", "ListQueues", {}),
        api_request("efs", "DescribeFileSystems", {"MaxItems": 100}),
        api_request(
            "ec2",
            "CreateVpc",
            {
                "CidrBlock": "10.0.0.0/16",
                "TagSpecifications": [{"ResourceType": "vpc", "Tags": tags}],
            },
        ),
    ]


def seconds(application: Any, request: ApiRequest) -> float:
    """Return the seconds that the account takes to respond."""
    environ = request.environ()
    began = time.perf_counter()
    run_wsgi_app(application, environ, buffered=True)
    return time.perf_counter() - began


def no_validation(call: Any, environ: dict[str, Any]) -> faults.WsgiResponse | None:
    """Replace the validation."""
    return None


if __name__ == "__main__":
    sys.exit(main())
