"""Requests in, answers out."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import BaseResponse

from jarkkit.sandbox.account.pricing.models import PricingBackend, invalid, pricing_backends

_PAGE = 100
_VERSION = "aws_v1"


class PricingResponse(BaseResponse):
    """All handlers."""

    def __init__(self) -> None:
        super().__init__(service_name="pricing")

    @property
    def backend(self) -> PricingBackend:
        """The backend of the caller's account and Region."""
        found: PricingBackend = pricing_backends[self.current_account][self.region]
        return found

    def describe_services(self) -> str:
        """DescribeServices."""
        asked = self._asked()
        return self._page("Services", self.backend.services(asked.get("ServiceCode", "")))

    def get_attribute_values(self) -> str:
        """GetAttributeValues."""
        asked = self._asked()
        values = self.backend.attribute_values(asked["ServiceCode"], asked["AttributeName"])
        return self._page("AttributeValues", [{"Value": value} for value in values])

    def get_products(self) -> str:
        """GetProducts: each product as a text in JSON."""
        asked = self._asked()
        products = self.backend.products(asked["ServiceCode"], asked.get("Filters", []))
        return self._page("PriceList", [json.dumps(product) for product in products])

    def _asked(self) -> dict[str, Any]:
        asked = dict(json.loads(self.body))
        if asked.get("FormatVersion", _VERSION) != _VERSION:
            raise invalid("Unsupported format version.")
        return asked

    def _page(self, name: str, found: list[Any]) -> str:
        """As many as were asked for; the token for the rest is where it begins."""
        asked = json.loads(self.body)
        token = str(asked.get("NextToken") or "0")
        if not token.isdigit():
            raise invalid("The nextToken is not valid.", "InvalidNextTokenException")
        end = int(token) + int(asked.get("MaxResults") or _PAGE)
        more = {"NextToken": str(end)} if end < len(found) else {}
        answer = {"FormatVersion": _VERSION, name: found[int(token) : end], **more}
        return json.dumps(answer)
