"""Prices from the simulated price list, through the real client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.ports.aws.pricing import PRICE_QUERIES, SOURCE, Pricing, endpoint_region
from jarkkit.ports.aws.session import AwsSession
from jarkkit.sandbox import daemon_client
from tests.support.account import make_client, sandbox_environment

REGION = "eu-west-1"


@pytest.fixture
def pricing(sandbox: daemon_client.RunningSandbox, tmp_path: Path) -> Callable[[str], Pricing]:
    environ = {**sandbox_environment(sandbox), "JARKKIT_ACCOUNT_CACHE": str(tmp_path)}
    return lambda region: Pricing(AwsSession(region, environ))


@pytest.fixture
def client(sandbox: daemon_client.RunningSandbox) -> Any:
    return make_client(sandbox, "pricing", "us-east-1")


def price_filter(kind: str, field: str, value: str) -> dict[str, str]:
    return {"Type": kind, "Field": field, "Value": value}


def test_every_item_of_the_table_has_one_price(pricing: Callable[[str], Pricing]) -> None:
    region = "us-east-1"
    shipped = PriceTable.shipped()
    assert set(PRICE_QUERIES) == set(shipped.items)
    refreshed = pricing(region).refresh(PRICE_QUERIES)
    assert refreshed.not_found == ()
    for name in PRICE_QUERIES:
        shipped_price = shipped.item(region, name)
        assert shipped_price is not None
        assert refreshed.prices[region, name].usd == pytest.approx(shipped_price.usd)
        assert refreshed.prices[region, name].unit == shipped_price.unit


def test_instance_prices_are_on_demand_with_shared_tenancy(
    pricing: Callable[[str], Pricing],
) -> None:
    refreshed = pricing("us-west-2").refresh(["m5.xlarge", "g6.xlarge"])
    assert refreshed.prices["us-west-2", "m5.xlarge"].usd == pytest.approx(0.192)
    assert refreshed.prices["us-west-2", "g6.xlarge"].source == SOURCE


def test_types_that_the_region_does_not_offer_are_listed(
    pricing: Callable[[str], Pricing],
) -> None:
    refreshed = pricing(REGION).refresh(["m5.xlarge", "g6.xlarge", "x9.none"])
    assert refreshed.not_found == ("g6.xlarge", "x9.none")
    assert list(refreshed.prices) == [(REGION, "m5.xlarge")]


def test_refreshed_prices_are_cached_and_override_the_table(
    pricing: Callable[[str], Pricing],
) -> None:
    assert pricing(REGION).cached_prices() == {}
    pricing(REGION).refresh(["m5.xlarge"])
    pricing(REGION).refresh(["efs"])
    cached = pricing(REGION).cached_prices()
    assert set(cached) == {(REGION, "m5.xlarge"), (REGION, "efs")}
    price = PriceTable.shipped().with_fresh(cached).instance(REGION, "m5.xlarge")
    assert price is not None
    assert (price.source, price.date) == (SOURCE, "2026-11-20")
    assert pricing("us-east-1").cached_prices() == {}


def test_a_product_with_a_free_tier_has_both_tiers(client: Any) -> None:
    products = client.get_products(
        ServiceCode="AmazonPrometheus",
        Filters=[price_filter("TERM_MATCH", "regionCode", "us-east-1")],
    )["PriceList"]
    terms = json.loads(products[0])["terms"]["OnDemand"]
    tiers = [tier for term in terms.values() for tier in term["priceDimensions"].values()]
    assert [tier["endRange"] for tier in tiers] == ["40000000", "Inf"]
    assert float(tiers[0]["pricePerUnit"]["USD"]) == 0


def test_all_pages_of_products_are_returned(client: Any) -> None:
    filters = [price_filter("TERM_MATCH", "instanceType", "m5.xlarge")]
    paginator = client.get_paginator("get_products")
    pages = list(
        paginator.paginate(
            ServiceCode="AmazonEC2", Filters=filters, PaginationConfig={"PageSize": 40}
        )
    )
    found = [json.loads(product) for page in pages for product in page["PriceList"]]
    assert len(pages) > 1
    assert len({product["product"]["sku"] for product in found}) == len(found)
    assert {product["product"]["attributes"]["tenancy"] for product in found} == {
        "Shared",
        "Dedicated",
    }


def test_services_and_attribute_values_are_listed(client: Any) -> None:
    services = client.describe_services()["Services"]
    assert {"AmazonEC2", "AmazonEKS", "AWSELB"} <= {s["ServiceCode"] for s in services}
    values = client.get_attribute_values(ServiceCode="AmazonEKS", AttributeName="regionCode")
    assert {"Value": "eu-west-1"} in values["AttributeValues"]


def test_an_unknown_service_is_rejected(client: Any) -> None:
    with pytest.raises(ClientError) as raised:
        client.get_products(ServiceCode="AmazonNothing")
    assert raised.value.response["Error"]["Code"] == "NotFoundException"


def test_an_unknown_attribute_matches_no_product(client: Any) -> None:
    filters = [price_filter("TERM_MATCH", "colour", "blue")]
    assert client.get_products(ServiceCode="AmazonEKS", Filters=filters)["PriceList"] == []


def test_the_nearest_endpoint_is_used() -> None:
    regions = ("us-west-2", "sa-east-1", "eu-west-1", "ap-northeast-1", "il-central-1")
    assert [endpoint_region(region) for region in regions] == [
        "us-east-1",
        "us-east-1",
        "eu-central-1",
        "ap-south-1",
        "eu-central-1",
    ]


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_other_partitions_have_no_price_list(
    pricing: Callable[[str], Pricing], region: str
) -> None:
    refreshed = pricing(region).refresh(["m5.xlarge"])
    assert refreshed.prices == {}
    (error,) = refreshed.errors
    assert region in error.message
