"""The AWS Price List Query API, which moto does not implement."""

from jarkkit.sandbox.account.pricing.models import pricing_backends as pricing_backends
