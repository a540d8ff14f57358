"""Extensions of moto for the simulated account: one package or module per AWS service."""

from __future__ import annotations

import importlib
import re
import sys

# Services that moto does not implement, with the start of their URLs.
_NEW = {"pricing": r"https?://pricing\.(.+)\.amazonaws\.com"}


def install() -> None:
    """Register the extensions with moto. Call this before the first request to the account."""
    _add_services()
    import moto.ec2.utils
    from moto.budgets.models import budgets_backends
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.security_groups import SecurityGroupRule
    from moto.efs.models import efs_backends
    from moto.eks.models import eks_backends
    from moto.elb.models import elb_backends
    from moto.elbv2.models import elbv2_backends
    from moto.iam.models import iam_backends
    from moto.servicequotas.models import servicequotas_backends
    from moto.sqs.models import sqs_backends
    from moto.ssm.models import ssm_backends

    from jarkkit.sandbox.account.budgets.models import BudgetsWithTags
    from jarkkit.sandbox.account.ec2.filters import is_filter_matching
    from jarkkit.sandbox.account.ec2.models import Ec2Backend
    from jarkkit.sandbox.account.ec2.network import rule_description
    from jarkkit.sandbox.account.efs.models import EfsBackend
    from jarkkit.sandbox.account.eks.models import EksBackend
    from jarkkit.sandbox.account.elb.models import ElbBackend
    from jarkkit.sandbox.account.elbv2.models import Elbv2Backend
    from jarkkit.sandbox.account.iam.models import IamBackend
    from jarkkit.sandbox.account.servicequotas.models import QuotasBackend
    from jarkkit.sandbox.account.sqs.models import SqsBackend
    from jarkkit.sandbox.account.ssm.models import SsmBackend

    budgets_backends.backend = BudgetsWithTags
    ec2_backends.backend = Ec2Backend
    efs_backends.backend = EfsBackend
    eks_backends.backend = EksBackend
    elb_backends.backend = ElbBackend
    elbv2_backends.backend = Elbv2Backend
    iam_backends.backend = IamBackend
    servicequotas_backends.backend = QuotasBackend
    sqs_backends.backend = SqsBackend
    ssm_backends.backend = SsmBackend
    importlib.import_module(
        "jarkkit.sandbox.account.cloudwatch_usage"
    )  # moto finds metric providers by subclass
    moto.ec2.utils.is_filter_matching = is_filter_matching
    SecurityGroupRule.description = property(rule_description)  # type: ignore[assignment]


def _add_services() -> None:
    """Register our packages so that moto finds them like its own."""
    from moto.backend_index import backend_url_patterns

    for service, address in _NEW.items():
        sys.modules[f"moto.{service}"] = importlib.import_module(f"{__name__}.{service}")
        if service not in dict(backend_url_patterns):
            backend_url_patterns.append((service, re.compile(address)))
