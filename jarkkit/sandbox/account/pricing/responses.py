"""Request handlers of the Price List Query API."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import BaseResponse

from jarkkit.sandbox.account.pricing.models import PricingBackend, invalid, pricing_backends

_PAGE = 100
_VERSION = "aws_v1"


class PricingResponse(BaseResponse):
    """The handlers."""

    def __init__(self) -> None:
        super().__init__(service_name="pricing")

    @property
    def backend(self) -> PricingBackend:
        """Backend of the caller's account and Region."""
        found: PricingBackend = pricing_backends[self.current_account][self.region]
        return found

    def describe_services(self) -> str:
        """Handle DescribeServices."""
        request = self._asked()
        return self._page("Services", self.backend.services(request.get("ServiceCode", "")))

    def get_attribute_values(self) -> str:
        """Handle GetAttributeValues."""
        request = self._asked()
        values = self.backend.attribute_values(request["ServiceCode"], request["AttributeName"])
        return self._page("AttributeValues", [{"Value": value} for value in values])

    def get_products(self) -> str:
        """Handle GetProducts: each product is a JSON string."""
        request = self._asked()
        products = self.backend.products(request["ServiceCode"], request.get("Filters", []))
        return self._page("PriceList", [json.dumps(product) for product in products])

    def _asked(self) -> dict[str, Any]:
        request = dict(json.loads(self.body))
        if request.get("FormatVersion", _VERSION) != _VERSION:
            raise invalid("Unsupported format version.")
        return request

    def _page(self, name: str, found: list[Any]) -> str:
        """Return one page; the token of the next page is the index where it begins."""
        request = json.loads(self.body)
        token = str(request.get("NextToken") or "0")
        if not token.isdigit():
            raise invalid("The nextToken is not valid.", "InvalidNextTokenException")
        end = int(token) + int(request.get("MaxResults") or _PAGE)
        more = {"NextToken": str(end)} if end < len(found) else {}
        answer = {"FormatVersion": _VERSION, name: found[int(token) : end], **more}
        return json.dumps(answer)
