"""The AWS Price List Query API, which moto has not."""

from jarkkit.sandbox.account.pricing.models import pricing_backends as pricing_backends
