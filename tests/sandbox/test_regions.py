"""Regions, zones, Spot prices and Spot placement scores in all Regions of an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jarkkit.sandbox import daemon_client, regions
from tests.support.account import error_code_of, make_client

NOW = datetime.now(UTC)
TYPES = ["g5.xlarge", "g6.xlarge", "g4dn.xlarge"]


@pytest.fixture
def ec2(sandbox: daemon_client.RunningSandbox) -> Any:
    return make_client(sandbox, "ec2", "us-west-2")


class TestRegions:
    def test_regions_without_opt_in_are_enabled(self, ec2: Any) -> None:
        found = ec2.describe_regions()["Regions"]
        assert len(found) == 17
        assert {region["OptInStatus"] for region in found} == {"opt-in-not-required"}
        assert {region["RegionName"] for region in found} == set(regions.ENABLED)

    def test_regions_with_opt_in_are_listed_on_request(self, ec2: Any) -> None:
        every = ec2.describe_regions(AllRegions=True)["Regions"]
        states = {region["RegionName"]: region["OptInStatus"] for region in every}
        assert states["af-south-1"] == "not-opted-in"
        closed = [{"Name": "opt-in-status", "Values": ["not-opted-in"]}]
        found = ec2.describe_regions(AllRegions=True, Filters=closed)["Regions"]
        assert {region["RegionName"] for region in found} == set(regions.NOT_ENABLED)
        (one,) = ec2.describe_regions(RegionNames=["me-south-1"])["Regions"]
        assert one["OptInStatus"] == "not-opted-in"
        assert error_code_of(ec2.describe_regions, RegionNames=["xx-1"]) == "InvalidParameterValue"

    @pytest.mark.parametrize(
        ("service", "operation", "code"),
        [
            ("ec2", "describe_vpcs", "AuthFailure"),
            ("eks", "list_clusters", "UnrecognizedClientException"),
            ("sts", "get_caller_identity", "InvalidClientTokenId"),
            ("service-quotas", "list_services", "UnrecognizedClientException"),
        ],
    )
    def test_a_disabled_region_rejects_the_credentials(
        self, sandbox: daemon_client.RunningSandbox, service: str, operation: str, code: str
    ) -> None:
        client = make_client(sandbox, service, "af-south-1")
        assert error_code_of(getattr(client, operation)) == code


class TestZones:
    def test_local_zones_are_listed_on_request(self, ec2: Any) -> None:
        usual = ec2.describe_availability_zones()["AvailabilityZones"]
        assert {zone["ZoneType"] for zone in usual} == {"availability-zone"}
        assert {zone["OptInStatus"] for zone in usual} == {"opt-in-not-required"}
        every = ec2.describe_availability_zones(AllAvailabilityZones=True)["AvailabilityZones"]
        local = {z["ZoneName"]: z for z in every if z["ZoneType"] == "local-zone"}
        assert local["us-west-2-lax-1a"]["OptInStatus"] == "not-opted-in"
        assert local["us-west-2-lax-1a"]["ParentZoneName"].startswith("us-west-2")

    def test_an_opted_in_local_zone_is_always_listed(
        self, half_used: daemon_client.RunningSandbox
    ) -> None:
        ec2 = make_client(half_used, "ec2", "us-west-2")
        found = ec2.describe_availability_zones()["AvailabilityZones"]
        assert {"us-west-2-lax-1a", "us-west-2-lax-1b"} <= {zone["ZoneName"] for zone in found}

    def test_zones_can_be_filtered(self, ec2: Any) -> None:
        wanted = [{"Name": "zone-id", "Values": ["usw2-az1"]}]
        (found,) = ec2.describe_availability_zones(Filters=wanted)["AvailabilityZones"]
        assert found["ZoneId"] == "usw2-az1"
        request = {"ZoneNames": ["us-west-2x"]}
        assert error_code_of(ec2.describe_availability_zones, **request) == "InvalidParameterValue"


class TestSpotPrices:
    def history(self, ec2: Any, **request: Any) -> list[Any]:
        pages = ec2.get_paginator("describe_spot_price_history").paginate(**request)
        return [price for page in pages for price in page["SpotPriceHistory"]]

    def test_every_type_has_one_current_price_in_each_zone(self, ec2: Any) -> None:
        now = datetime.now(UTC)  # later than NOW, and perhaps with newer prices
        found = self.history(
            ec2, InstanceTypes=TYPES, StartTime=now, ProductDescriptions=["Linux/UNIX"]
        )
        type_zones = [(price["InstanceType"], price["AvailabilityZone"]) for price in found]
        assert len(type_zones) == len(set(type_zones))
        assert {name for name, _ in type_zones} == set(TYPES)
        assert all(now - timedelta(days=1) <= price["Timestamp"] <= now for price in found)

    def test_past_prices_differ_a_little(self, ec2: Any) -> None:
        found = self.history(
            ec2,
            InstanceTypes=["g5.xlarge"],
            AvailabilityZone="us-west-2a",
            StartTime=NOW - timedelta(days=7),
            EndTime=NOW,
        )
        times = [price["Timestamp"] for price in found]
        values = [float(price["SpotPrice"]) for price in found]
        assert len(found) == 8
        assert times == sorted(times, reverse=True)
        assert 1 < max(values) / min(values) < 1.12

    def test_the_price_history_has_pages(self, ec2: Any) -> None:
        first = ec2.describe_spot_price_history(InstanceTypes=TYPES, MaxResults=5)
        rest = ec2.describe_spot_price_history(
            InstanceTypes=TYPES, MaxResults=5, NextToken=first["NextToken"]
        )
        assert [len(page["SpotPriceHistory"]) for page in (first, rest)] == [5, 5]
        assert first["SpotPriceHistory"][-1] != rest["SpotPriceHistory"][0]
        assert len(self.history(ec2, StartTime=NOW)) > 1000

    def test_other_products_have_no_price_history(self, ec2: Any) -> None:
        request = {"InstanceTypes": TYPES, "ProductDescriptions": ["Windows"]}
        assert self.history(ec2, **request) == []


class TestSpotPlacementScores:
    def test_region_scores_are_stable(self, ec2: Any) -> None:
        request = {"InstanceTypes": TYPES, "TargetCapacity": 8}
        found = ec2.get_spot_placement_scores(**request)["SpotPlacementScores"]
        scores = [item["Score"] for item in found]
        assert len(found) == 10
        assert all(1 <= score <= 10 for score in scores)
        assert scores == sorted(scores, reverse=True)
        assert found == ec2.get_spot_placement_scores(**request)["SpotPlacementScores"]

    def test_zones_are_scored_by_id(self, ec2: Any) -> None:
        found = ec2.get_spot_placement_scores(
            InstanceTypes=TYPES,
            TargetCapacity=8,
            TargetCapacityUnitType="vcpu",
            SingleAvailabilityZone=True,
            RegionNames=["us-west-2"],
        )["SpotPlacementScores"]
        ids = {item["AvailabilityZoneId"] for item in found}
        assert ids <= {"usw2-az1", "usw2-az2", "usw2-az3", "usw2-az4"}

    def test_high_capacity_or_few_types_score_low(self, ec2: Any) -> None:
        def best_score(types: list[str], capacity: int) -> int:
            request = {"InstanceTypes": types, "TargetCapacity": capacity}
            found = ec2.get_spot_placement_scores(**request)["SpotPlacementScores"]
            return int(found[0]["Score"])

        assert best_score(TYPES, 100_000) < best_score(TYPES, 10)
        assert best_score(TYPES[:1], 10) <= 3

    def test_a_region_without_the_type_has_no_score(self, ec2: Any) -> None:
        request = {"InstanceTypes": ["trn1.32xlarge"], "TargetCapacity": 1}
        found = ec2.get_spot_placement_scores(**request, RegionNames=["sa-east-1"])
        assert found["SpotPlacementScores"] == []
        unknown = {"InstanceTypes": ["z9.huge"], "TargetCapacity": 1}
        assert error_code_of(ec2.get_spot_placement_scores, **unknown) == "InvalidInstanceType"


@pytest.mark.parametrize("region", regions.ENABLED)
def test_the_calls_of_a_region_comparison_are_answered_in_every_region(
    sandbox: daemon_client.RunningSandbox, region: str
) -> None:
    ec2, eks = make_client(sandbox, "ec2", region), make_client(sandbox, "eks", region)
    assert len(ec2.describe_availability_zones()["AvailabilityZones"]) >= 2
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["g4dn.*", "m5.xlarge"]}],
    )["InstanceTypeOfferings"]
    assert {"g4dn.xlarge", "m5.xlarge"} <= {offer["InstanceType"] for offer in offered}
    prices = ec2.describe_spot_price_history(InstanceTypes=["g4dn.xlarge"], StartTime=NOW)
    assert prices["SpotPriceHistory"]
    versions = eks.describe_cluster_versions()["clusterVersions"]
    assert all(version["endOfStandardSupportDate"] for version in versions)
    assert {"STANDARD_SUPPORT"} <= {version["versionStatus"] for version in versions}
    assert eks.list_clusters()["clusters"] is not None
    quotas = make_client(sandbox, "service-quotas", region)
    assert quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert ec2.describe_capacity_reservations()["CapacityReservations"] is not None


def test_images_of_other_owners_are_found(ec2: Any) -> None:
    images = ec2.describe_images(ImageIds=["ami-03cf127a"])["Images"]
    assert [image["OwnerId"] for image in images] == ["801119661308"]
    assert len(ec2.describe_images(Owners=["amazon"])["Images"]) > 500
