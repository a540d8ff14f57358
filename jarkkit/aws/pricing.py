"""Today's list prices, from the AWS Price List Query API.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
What it answers is the same for every account; it is kept, and laid over the shipped table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jarkkit.aws.answers import DAY, PUBLIC, Key
from jarkkit.aws.asking import Pace, together
from jarkkit.aws.session import Session, translated
from jarkkit.costs.table import Price
from jarkkit.errors import JarkkitError

SOURCE = "AWS Price List API"
_KEPT_SECONDS = 90 * DAY
# The published limits: 10 calls at once, then 5 a second.
_PER_SECOND, _BURST = 5.0, 10
_TYPES_AT_ONCE = 20
_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
# Usage types begin with the Region's short name, except in us-east-1: `USW2-NatGateway-Hours`.
_PREFIX = r"(?:[A-Z]{2,4}\d?-|[a-z]{2}(?:-[a-z]+)+-\d-)?"


@dataclass(frozen=True)
class _Query:
    """Where the price of an item is in the price list.

    Attributes:
        usage: usage type without the Region.
        scale: how many of the list's units are one of ours.
    """

    service: str
    usage: str
    unit: str
    more: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0


_NETWORK = {"operation": "LoadBalancing:Network"}
_APPLICATION = {"operation": "LoadBalancing:Application"}
_MILLION = 1e6

ITEMS: Mapping[str, _Query] = {
    "eks-standard": _Query("AmazonEKS", "AmazonEKS-Hours:perCluster", "hour"),
    "eks-extended": _Query("AmazonEKS", "AmazonEKS-Hours:extendedSupport", "hour"),
    "nat-hour": _Query("AmazonEC2", "NatGateway-Hours", "hour", {"operation": "NatGateway"}),
    "nat-gb": _Query("AmazonEC2", "NatGateway-Bytes", "GB", {"operation": "NatGateway"}),
    "ipv4": _Query("AmazonVPC", "PublicIPv4:InUseAddress", "hour"),
    "nlb-hour": _Query("AWSELB", "LoadBalancerUsage", "hour", _NETWORK),
    "nlb-lcu": _Query("AWSELB", "LCUUsage", "LCU-hour", _NETWORK),
    "alb-hour": _Query("AWSELB", "LoadBalancerUsage", "hour", _APPLICATION),
    "alb-lcu": _Query("AWSELB", "LCUUsage", "LCU-hour", _APPLICATION),
    "gp3": _Query("AmazonEC2", "EBS:VolumeUsage.gp3", "GiB-month"),
    "efs": _Query("AmazonEFS", "TimedStorage-ByteHrs", "GiB-month"),
    "logs-gb": _Query("AmazonCloudWatch", "DataProcessing-Bytes", "GB"),
    "logs-stored": _Query("AmazonCloudWatch", "TimedStorage-ByteHrs", "GB-month"),
    "insights": _Query(
        "AmazonCloudWatch", "CW:ObservationUsage", "million observations", scale=_MILLION
    ),
    "prometheus": _Query(
        "AmazonPrometheus", "AMP:MetricSampleCount", "million samples", scale=_MILLION
    ),
    "kms-key": _Query("awskms", "KMS-Keys", "month"),
    "s3": _Query("AmazonS3", "TimedStorage-ByteHrs", "GB-month"),
}


@dataclass(frozen=True)
class Refreshed:
    """What became of asking for prices.

    Attributes:
        prices: by Region and name, as `PriceTable.with_fresh` takes them.
        not_found: names that the price list has no single figure for.
        errors: of calls that were refused or not answered.
    """

    prices: Mapping[tuple[str, str], Price]
    not_found: tuple[str, ...] = ()
    errors: tuple[JarkkitError, ...] = ()


# Partitions whose credentials the API does not know; China has one of its own, in CNY.
_ELSEWHERE = ("cn-", "us-gov-", "us-iso", "eusc-")


def _no_list(region: str) -> JarkkitError:
    return JarkkitError(
        "JK-AWS-FAILED",
        f"The Price List API gives no prices in USD for {region} to its accounts.",
        "The shipped prices are in use.",
    )


def endpoint_region(region: str) -> str:
    """The nearest Region that has the API."""
    if region.startswith(("eu-", "il-", "me-", "af-")):
        return "eu-central-1"
    return "ap-south-1" if region.startswith("ap-") else "us-east-1"


class Pricing:
    """Prices of one Region. Making one calls nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session.elsewhere(endpoint_region(session.region))
        self._region = session.region
        self._key = Key(PUBLIC, session.region, "list prices")
        self._answers = session.answers
        self._pace = Pace(_PER_SECOND, _BURST)

    def known(self) -> dict[tuple[str, str], Price]:
        """The prices that were asked for before. Calls nobody."""
        answer = self._answers.get(self._key, _KEPT_SECONDS)
        found = answer.value if answer else {}
        return {(self._region, name): Price.model_validate(price) for name, price in found.items()}

    def refresh(self, names: Iterable[str]) -> Refreshed:
        """Ask for the prices of these instance types and items (`ITEMS`) and keep them."""
        if self._region.startswith(_ELSEWHERE):
            return Refreshed(self.known(), (), (_no_list(self._region),))
        wanted = tuple(dict.fromkeys(names))
        asked = together(dict(enumerate(self._questions(wanted))))
        found: dict[str, Price] = {}
        errors: list[JarkkitError] = []
        for answer in asked.values():
            if isinstance(answer, JarkkitError):
                errors.append(answer)
            else:
                found |= answer
        prices = self.known() | {(self._region, name): price for name, price in found.items()}
        if found:
            kept = {name: price.model_dump() for (_, name), price in prices.items()}
            self._answers.put(self._key, kept)
        missing = () if errors else tuple(name for name in wanted if name not in found)
        return Refreshed(prices, missing, tuple(errors))

    def _questions(self, names: Sequence[str]) -> Iterator[Callable[[], dict[str, Price]]]:
        """The calls, each with the prices that it finds."""
        types = [name for name in names if name not in ITEMS]
        for at in range(0, len(types), _TYPES_AT_ONCE):
            yield partial(self._instances, types[at : at + _TYPES_AT_ONCE])
        for name in names:
            if name in ITEMS:
                yield partial(self._item, name)

    def _instances(self, types: Sequence[str]) -> dict[str, Price]:
        exact = {**_LINUX, "regionCode": self._region}
        filters = [*_matching(exact), _filter("ANY_OF", "instanceType", ",".join(types))]
        found: dict[str, set[Price]] = {}
        for product in self._products("AmazonEC2", filters):
            attributes = product["product"]["attributes"]
            if re.fullmatch(_PREFIX + r"BoxUsage:\S+", attributes["usagetype"]):
                for price in _prices(product, "hour", 1.0):
                    found.setdefault(attributes["instanceType"], set()).add(price)
        return {name: prices.pop() for name, prices in found.items() if len(prices) == 1}

    def _item(self, name: str) -> dict[str, Price]:
        query = ITEMS[name]
        exact = {**query.more, "regionCode": self._region}
        filters = [*_matching(exact), _filter("CONTAINS", "usagetype", query.usage)]
        found = {
            price
            for product in self._products(query.service, filters)
            if re.fullmatch(
                _PREFIX + re.escape(query.usage), product["product"]["attributes"]["usagetype"]
            )
            for price in _prices(product, query.unit, query.scale)
        }
        return {name: found.pop()} if len(found) == 1 else {}

    def _products(self, service: str, filters: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
        client = self._session.client("pricing")
        token: dict[str, str] = {}
        while True:
            self._pace.wait()
            with translated("pricing GetProducts"):
                page = client.get_products(
                    ServiceCode=service, Filters=filters, FormatVersion="aws_v1", **token
                )
            yield from (json.loads(product) for product in page["PriceList"])
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


def _filter(kind: str, name: str, value: str) -> dict[str, str]:
    return {"Type": kind, "Field": name, "Value": value}


def _matching(exact: Mapping[str, str]) -> list[dict[str, str]]:
    return [_filter("TERM_MATCH", name, value) for name, value in exact.items()]


def _prices(product: Mapping[str, Any], unit: str, scale: float) -> Iterator[Price]:
    """The On-Demand price: of tiers the first that costs something."""
    for term in product["terms"].get("OnDemand", {}).values():
        tiers = sorted(
            (float(tier.get("beginRange") or 0), float(tier["pricePerUnit"].get("USD", 0)))
            for tier in term["priceDimensions"].values()
        )
        paid = [usd for _, usd in tiers if usd]
        if paid:
            date = str(product.get("publicationDate", ""))[:10]
            yield Price(usd=round(paid[0] * scale, 9), unit=unit, source=SOURCE, date=date)
