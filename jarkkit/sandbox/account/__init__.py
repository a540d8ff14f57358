"""What the pretend account has beyond moto: one package or module per AWS service."""

from __future__ import annotations


def install() -> None:
    """Put the extensions in moto's place. Before the first call to the account."""
    from moto.budgets.models import budgets_backends
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.security_groups import SecurityGroupRule
    from moto.eks.models import eks_backends
    from moto.servicequotas.models import servicequotas_backends

    from jarkkit.sandbox.account.budgets.models import BudgetsWithTags
    from jarkkit.sandbox.account.ec2 import Ec2Backend, rule_description
    from jarkkit.sandbox.account.eks.models import EksBackend
    from jarkkit.sandbox.account.servicequotas.models import QuotasBackend

    budgets_backends.backend = BudgetsWithTags
    ec2_backends.backend = Ec2Backend
    eks_backends.backend = EksBackend
    servicequotas_backends.backend = QuotasBackend
    SecurityGroupRule.description = property(rule_description)  # type: ignore[assignment]
