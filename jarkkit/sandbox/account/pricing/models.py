"""The price list of the simulated AWS.

Its prices are those of jarkkit's own table, so that a rehearsal costs what the table says. Like
AWS' list, it also has entries that a query must filter out (other tenancies, other operating
systems, free tiers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.exceptions import JsonRESTError

from jarkkit.sandbox.account.pricing import reference_data
from jarkkit.sandbox.account.pricing.reference_data import PricedProduct

Product = dict[str, Any]

# Codes of the On-Demand term and of its price per unit.
_TERM, _RATE = "JRTCKXETXF", "6YS6EN2CT7"
_PUBLISHED = "2026-11-20T00:00:00Z"

_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "TERM_MATCH": lambda value, wanted: value.lower() == wanted.lower(),
    "EQUALS": lambda value, wanted: value == wanted,
    "CONTAINS": lambda value, wanted: wanted in value,
    "ANY_OF": lambda value, wanted: value in wanted.split(","),
    "NONE_OF": lambda value, wanted: value not in wanted.split(","),
}


def invalid(message: str, code: str = "InvalidParameterException") -> JsonRESTError:
    """Build the error for an invalid request."""
    return JsonRESTError(code, message)


class PricingBackend(BaseBackend):
    """The Price List Query API of one account in one Region; it has no state."""

    def services(self, code: str) -> list[dict[str, Any]]:
        """Return all services, or one, with the attributes of their products."""
        found = [code] if code else reference_data.services()
        return [{"ServiceCode": c, "AttributeNames": self._attributes(c)} for c in found]

    def attribute_values(self, code: str, attribute: str) -> list[str]:
        """Return the values of an attribute."""
        if attribute not in self._attributes(code):
            raise invalid(f"Attribute name '{attribute}' is not valid for {code}.")
        found = (product["product"]["attributes"].get(attribute) for product in _list(code, {}))
        return sorted({value for value in found if value})

    def products(self, code: str, filters: list[dict[str, str]]) -> list[Product]:
        """Return the products of a service that pass all filters."""
        self._attributes(code)
        for test in filters:
            if test.get("Type") not in _TESTS:
                raise invalid(f"Filter type {test.get('Type')!r} is not valid.")
        exact = {f["Field"]: f["Value"] for f in filters if f["Type"] in ("TERM_MATCH", "EQUALS")}
        return [product for product in _list(code, exact) if _passes(product, filters)]

    def _attributes(self, code: str) -> list[str]:
        if code not in reference_data.services():
            raise JsonRESTError("NotFoundException", f"Service {code} is not found.")
        names: set[str] = set()
        for product in _list(code, {"regionCode": "us-east-1"}):
            names |= set(product["product"]["attributes"])
        return sorted(names)


def _passes(product: Product, filters: Iterable[Mapping[str, str]]) -> bool:
    attributes = {
        "productFamily": product["product"].get("productFamily", ""),
        "ServiceCode": product["serviceCode"],
        **product["product"]["attributes"],
    }
    return all(
        f["Field"] in attributes and _TESTS[f["Type"]](attributes[f["Field"]], f["Value"])
        for f in filters
    )


def _list(code: str, exact: Mapping[str, str]) -> Iterator[Product]:
    """Yield a service's products; skip Regions that the exact filters exclude."""
    wanted = exact.get("regionCode", "")
    for region in (
        [wanted] if wanted in reference_data.REGIONS else [] if wanted else reference_data.REGIONS
    ):
        if code == "AmazonEC2":
            yield from _instances(region)
        for item in reference_data.ITEMS:
            if item.service == code and (usd := _figure(item.key, region)):
                yield _product(item, region, usd)


def _instances(region: str) -> Iterator[Product]:
    for kind, usd in reference_data.instances(region):
        for more, factor in reference_data.VARIANTS:
            usage = more.get("usage", "BoxUsage")
            attributes = {
                **reference_data.INSTANCE_ATTRIBUTES,
                **{k: v for k, v in more.items() if k != "usage"},
                "instanceType": kind,
                "usagetype": reference_data.usage_type(region, f"{usage}:{kind}"),
            }
            yield _entry("AmazonEC2", "Compute Instance", region, attributes, [(0, usd * factor)])


def _product(item: PricedProduct, region: str, usd: float) -> Product:
    attributes = {**item.more, "usagetype": reference_data.usage_type(region, item.usage)}
    usd /= item.scale
    tiers = [(0.0, usd)] if not item.free else [(0.0, 0.0), (item.free, usd)]
    return _entry(item.service, item.family, region, attributes, tiers)


def _entry(
    code: str,
    family: str,
    region: str,
    attributes: Mapping[str, str],
    tiers: list[tuple[float, float]],
) -> Product:
    sku = hashlib.sha256(f"{code} {sorted(attributes.items())}".encode()).hexdigest()[:16].upper()
    dimensions = {
        f"{sku}.{_TERM}.{_RATE}{number}": {
            "unit": "Hrs",
            "beginRange": f"{begin:.0f}",
            "endRange": f"{tiers[number + 1][0]:.0f}" if number + 1 < len(tiers) else "Inf",
            "description": f"${usd:.10f} per unit",
            "appliesTo": [],
            "rateCode": f"{sku}.{_TERM}.{_RATE}{number}",
            "pricePerUnit": {"USD": f"{usd:.10f}"},
        }
        for number, (begin, usd) in enumerate(tiers)
    }
    described = {
        **attributes,
        "servicecode": code,
        "regionCode": region,
        "locationType": "AWS Region",
    }
    return {
        "product": {"productFamily": family, "attributes": described, "sku": sku},
        "serviceCode": code,
        "terms": {
            "OnDemand": {
                f"{sku}.{_TERM}": {
                    "priceDimensions": dimensions,
                    "sku": sku,
                    "effectiveDate": _PUBLISHED,
                    "offerTermCode": _TERM,
                    "termAttributes": {},
                }
            }
        },
        "version": "20261120000000",
        "publicationDate": _PUBLISHED,
    }


def _figure(key: str, region: str) -> float | None:
    usd = reference_data.price_table()["items"][key]["usd"]
    found = usd.get(region, usd.get("*", usd.get("us-east-1")))
    return None if found is None else float(found)


pricing_backends = BackendDict(PricingBackend, "pricing")
