"""Prices from the pretend price list, through the real client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.aws.pricing import ITEMS, SOURCE, Pricing, endpoint_region
from jarkkit.aws.session import Session
from jarkkit.costs.table import PriceTable
from jarkkit.sandbox import control
from tests.conftest import pointed_at
from tests.sandbox.test_account import make_client

REGION = "eu-west-1"


@pytest.fixture
def pricing(sandbox: control.Running, tmp_path: Path) -> Callable[[str], Pricing]:
    environ = {**pointed_at(sandbox), "JARKKIT_ACCOUNT_CACHE": str(tmp_path)}
    return lambda region: Pricing(Session(region, environ))


@pytest.fixture
def client(sandbox: control.Running) -> Any:
    return make_client(sandbox, "pricing", "us-east-1")


def asking(kind: str, field: str, value: str) -> dict[str, str]:
    return {"Type": kind, "Field": field, "Value": value}


def test_every_item_of_the_table_is_found_as_one_figure(pricing: Callable[[str], Pricing]) -> None:
    region = "us-east-1"
    shipped = PriceTable.shipped()
    assert set(ITEMS) == set(shipped.items)
    refreshed = pricing(region).refresh(ITEMS)
    assert refreshed.not_found == ()
    for name in ITEMS:
        usual = shipped.item(region, name)
        assert usual is not None
        assert refreshed.prices[region, name].usd == pytest.approx(usual.usd)
        assert refreshed.prices[region, name].unit == usual.unit


def test_instances_are_priced_on_demand_shared_and_without_licence(
    pricing: Callable[[str], Pricing],
) -> None:
    refreshed = pricing("us-west-2").refresh(["m5.xlarge", "g6.xlarge"])
    assert refreshed.prices["us-west-2", "m5.xlarge"].usd == pytest.approx(0.192)
    assert refreshed.prices["us-west-2", "g6.xlarge"].source == SOURCE


def test_types_that_are_not_sold_in_the_region_are_named(
    pricing: Callable[[str], Pricing],
) -> None:
    refreshed = pricing(REGION).refresh(["m5.xlarge", "g6.xlarge", "x9.none"])
    assert refreshed.not_found == ("g6.xlarge", "x9.none")
    assert list(refreshed.prices) == [(REGION, "m5.xlarge")]


def test_what_was_asked_is_known_afterwards_and_laid_over_the_table(
    pricing: Callable[[str], Pricing],
) -> None:
    assert pricing(REGION).known() == {}
    pricing(REGION).refresh(["m5.xlarge"])
    pricing(REGION).refresh(["efs"])
    known = pricing(REGION).known()
    assert set(known) == {(REGION, "m5.xlarge"), (REGION, "efs")}
    price = PriceTable.shipped().with_fresh(known).instance(REGION, "m5.xlarge")
    assert price is not None
    assert (price.source, price.date) == (SOURCE, "2026-11-20")
    assert pricing("us-east-1").known() == {}


def test_the_tier_that_costs_something_counts(client: Any) -> None:
    products = client.get_products(
        ServiceCode="AmazonPrometheus",
        Filters=[asking("TERM_MATCH", "regionCode", "us-east-1")],
    )["PriceList"]
    terms = json.loads(products[0])["terms"]["OnDemand"]
    tiers = [tier for term in terms.values() for tier in term["priceDimensions"].values()]
    assert [tier["endRange"] for tier in tiers] == ["40000000", "Inf"]
    assert float(tiers[0]["pricePerUnit"]["USD"]) == 0


def test_pages_of_products_end(client: Any) -> None:
    filters = [asking("TERM_MATCH", "instanceType", "m5.xlarge")]
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


def test_services_and_values_of_attributes(client: Any) -> None:
    services = client.describe_services()["Services"]
    assert {"AmazonEC2", "AmazonEKS", "AWSELB"} <= {s["ServiceCode"] for s in services}
    values = client.get_attribute_values(ServiceCode="AmazonEKS", AttributeName="regionCode")
    assert {"Value": "eu-west-1"} in values["AttributeValues"]


def test_a_service_that_does_not_exist_is_refused(client: Any) -> None:
    with pytest.raises(ClientError) as raised:
        client.get_products(ServiceCode="AmazonNothing")
    assert raised.value.response["Error"]["Code"] == "NotFoundException"


def test_an_attribute_that_no_product_has_matches_none(client: Any) -> None:
    filters = [asking("TERM_MATCH", "colour", "blue")]
    assert client.get_products(ServiceCode="AmazonEKS", Filters=filters)["PriceList"] == []


def test_the_nearest_endpoint_is_asked() -> None:
    regions = ("us-west-2", "sa-east-1", "eu-west-1", "ap-northeast-1", "il-central-1")
    assert [endpoint_region(region) for region in regions] == [
        "us-east-1",
        "us-east-1",
        "eu-central-1",
        "ap-south-1",
        "eu-central-1",
    ]


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_other_partitions_have_no_price_list_to_be_asked(
    pricing: Callable[[str], Pricing], region: str
) -> None:
    refreshed = pricing(region).refresh(["m5.xlarge"])
    assert refreshed.prices == {}
    (error,) = refreshed.errors
    assert region in error.message
