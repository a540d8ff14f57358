"""Current list prices, from the AWS Price List Query API.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
Its prices are the same for every account. They are cached and override the shipped price table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jarkkit.decisions.costs.price_table import Price
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.concurrency import RateLimiter, gather
from jarkkit.ports.aws.response_cache import ANY_ACCOUNT, DAY, CacheKey
from jarkkit.ports.aws.session import AwsSession, translate_errors

SOURCE = "AWS Price List API"
_KEPT_SECONDS = 90 * DAY
# The published rate limit: a burst of 10 calls, then 5 per second.
_PER_SECOND, _BURST = 5.0, 10
_TYPES_AT_ONCE = 20
_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
# Usage types start with the Region's short name, except in us-east-1: `USW2-NatGateway-Hours`.
_PREFIX = r"(?:[A-Z]{2,4}\d?-|[a-z]{2}(?:-[a-z]+)+-\d-)?"


@dataclass(frozen=True)
class _Query:
    """Query for the price of an item in the price list.

    Attributes:
        usage: usage type without the Region prefix.
        scale: number of the list's units in one of our units.
    """

    service: str
    usage: str
    unit: str
    more: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0


_NETWORK = {"operation": "LoadBalancing:Network"}
_APPLICATION = {"operation": "LoadBalancing:Application"}
_CLASSIC = {"operation": "LoadBalancing"}
_MILLION = 1e6

PRICE_QUERIES: Mapping[str, _Query] = {
    "eks-standard": _Query("AmazonEKS", "AmazonEKS-Hours:perCluster", "hour"),
    "eks-extended": _Query("AmazonEKS", "AmazonEKS-Hours:extendedSupport", "hour"),
    "nat-hour": _Query("AmazonEC2", "NatGateway-Hours", "hour", {"operation": "NatGateway"}),
    "nat-gb": _Query("AmazonEC2", "NatGateway-Bytes", "GB", {"operation": "NatGateway"}),
    "ipv4": _Query("AmazonVPC", "PublicIPv4:InUseAddress", "hour"),
    "nlb-hour": _Query("AWSELB", "LoadBalancerUsage", "hour", _NETWORK),
    "nlb-lcu": _Query("AWSELB", "LCUUsage", "LCU-hour", _NETWORK),
    "alb-hour": _Query("AWSELB", "LoadBalancerUsage", "hour", _APPLICATION),
    "alb-lcu": _Query("AWSELB", "LCUUsage", "LCU-hour", _APPLICATION),
    "clb-hour": _Query("AWSELB", "LoadBalancerUsage", "hour", _CLASSIC),
    "endpoint-hour": _Query("AmazonVPC", "VpcEndpoint-Hours", "hour"),
    "gp3": _Query("AmazonEC2", "EBS:VolumeUsage.gp3", "GiB-month"),
    "snapshot": _Query("AmazonEC2", "EBS:SnapshotUsage", "GiB-month"),
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
class PriceRefresh:
    """Result of a price refresh.

    Attributes:
        prices: by Region and name, as `PriceTable.with_fresh` takes them.
        not_found: names without exactly one price in the price list.
        errors: errors of failed calls.
    """

    prices: Mapping[tuple[str, str], Price]
    not_found: tuple[str, ...] = ()
    errors: tuple[JarkkitError, ...] = ()


# The API rejects credentials of these partitions; China has a separate API, in CNY.
_ELSEWHERE = ("cn-", "us-gov-", "us-iso", "eusc-")


def _no_list(region: str) -> JarkkitError:
    return JarkkitError(
        "JK-AWS-FAILED",
        f"The Price List API has no prices in USD for accounts in {region}.",
        "No action needed: jarkkit uses the shipped prices.",
    )


def endpoint_region(region: str) -> str:
    """Return the nearest Region that has the API."""
    if region.startswith(("eu-", "il-", "me-", "af-")):
        return "eu-central-1"
    return "ap-south-1" if region.startswith("ap-") else "us-east-1"


class Pricing:
    """Prices of one Region. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session.in_region(endpoint_region(session.region))
        self._region = session.region
        self._key = CacheKey(ANY_ACCOUNT, session.region, "list prices")
        self._answers = session.response_cache
        self._pace = RateLimiter(_PER_SECOND, _BURST)

    def cached_prices(self) -> dict[tuple[str, str], Price]:
        """Return the cached prices. Makes no call."""
        answer = self._answers.get(self._key, _KEPT_SECONDS)
        found = answer.value if answer else {}
        return {(self._region, name): Price.model_validate(price) for name, price in found.items()}

    def refresh(self, names: Iterable[str]) -> PriceRefresh:
        """Fetch and cache the prices of these instance types and items (`PRICE_QUERIES`)."""
        if self._region.startswith(_ELSEWHERE):
            return PriceRefresh(self.cached_prices(), (), (_no_list(self._region),))
        wanted = tuple(dict.fromkeys(names))
        answers = gather(dict(enumerate(self._questions(wanted))))
        found: dict[str, Price] = {}
        errors: list[JarkkitError] = []
        for answer in answers.values():
            if isinstance(answer, Unknown):
                errors.append(answer.reason)
            else:
                found |= answer
        prices = self.cached_prices() | {
            (self._region, name): price for name, price in found.items()
        }
        if found:
            kept = {name: price.model_dump() for (_, name), price in prices.items()}
            self._answers.put(self._key, kept)
        missing = () if errors else tuple(name for name in wanted if name not in found)
        return PriceRefresh(prices, missing, tuple(errors))

    def _questions(self, names: Sequence[str]) -> Iterator[Callable[[], dict[str, Price]]]:
        """Yield the calls; each returns the prices that it finds."""
        types = [name for name in names if name not in PRICE_QUERIES]
        for at in range(0, len(types), _TYPES_AT_ONCE):
            yield partial(self._instances, types[at : at + _TYPES_AT_ONCE])
        for name in names:
            if name in PRICE_QUERIES:
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
        query = PRICE_QUERIES[name]
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
            self._pace.acquire()
            with translate_errors("pricing GetProducts"):
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
    """Yield the On-Demand price: that of the first tier that is not free."""
    for term in product["terms"].get("OnDemand", {}).values():
        tiers = sorted(
            (float(tier.get("beginRange") or 0), float(tier["pricePerUnit"].get("USD", 0)))
            for tier in term["priceDimensions"].values()
        )
        paid = [usd for _, usd in tiers if usd]
        if paid:
            date = str(product.get("publicationDate", ""))[:10]
            yield Price(usd=round(paid[0] * scale, 9), unit=unit, source=SOURCE, date=date)
