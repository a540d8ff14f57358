"""Regions, zones, and the market for Spot instances, in all Regions of an account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jarkkit.sandbox import control, regions
from tests.sandbox.test_account import make_client, refused
from tests.sandbox.test_quotas import half_used as half_used

NOW = datetime.now(UTC)
TYPES = ["g5.xlarge", "g6.xlarge", "g4dn.xlarge"]


@pytest.fixture
def ec2(sandbox: control.Running) -> Any:
    return make_client(sandbox, "ec2", "us-west-2")


class TestRegions:
    def test_those_that_need_no_opt_in_are_enabled(self, ec2: Any) -> None:
        found = ec2.describe_regions()["Regions"]
        assert len(found) == 17
        assert {region["OptInStatus"] for region in found} == {"opt-in-not-required"}
        assert {region["RegionName"] for region in found} == set(regions.ENABLED)

    def test_the_others_are_shown_on_request(self, ec2: Any) -> None:
        every = ec2.describe_regions(AllRegions=True)["Regions"]
        states = {region["RegionName"]: region["OptInStatus"] for region in every}
        assert states["af-south-1"] == "not-opted-in"
        closed = [{"Name": "opt-in-status", "Values": ["not-opted-in"]}]
        found = ec2.describe_regions(AllRegions=True, Filters=closed)["Regions"]
        assert {region["RegionName"] for region in found} == set(regions.NOT_ENABLED)
        (one,) = ec2.describe_regions(RegionNames=["me-south-1"])["Regions"]
        assert one["OptInStatus"] == "not-opted-in"
        assert refused(ec2.describe_regions, RegionNames=["xx-1"]) == "InvalidParameterValue"

    @pytest.mark.parametrize(
        ("service", "operation", "code"),
        [
            ("ec2", "describe_vpcs", "AuthFailure"),
            ("eks", "list_clusters", "UnrecognizedClientException"),
            ("sts", "get_caller_identity", "InvalidClientTokenId"),
            ("service-quotas", "list_services", "UnrecognizedClientException"),
        ],
    )
    def test_one_that_is_not_enabled_does_not_know_the_account(
        self, sandbox: control.Running, service: str, operation: str, code: str
    ) -> None:
        client = make_client(sandbox, service, "af-south-1")
        assert refused(getattr(client, operation)) == code


class TestZones:
    def test_local_zones_are_shown_on_request(self, ec2: Any) -> None:
        usual = ec2.describe_availability_zones()["AvailabilityZones"]
        assert {zone["ZoneType"] for zone in usual} == {"availability-zone"}
        assert {zone["OptInStatus"] for zone in usual} == {"opt-in-not-required"}
        every = ec2.describe_availability_zones(AllAvailabilityZones=True)["AvailabilityZones"]
        local = {z["ZoneName"]: z for z in every if z["ZoneType"] == "local-zone"}
        assert local["us-west-2-lax-1a"]["OptInStatus"] == "not-opted-in"
        assert local["us-west-2-lax-1a"]["ParentZoneName"].startswith("us-west-2")

    def test_one_that_somebody_opted_in_to_is_always_shown(
        self, half_used: control.Running
    ) -> None:
        ec2 = make_client(half_used, "ec2", "us-west-2")
        found = ec2.describe_availability_zones()["AvailabilityZones"]
        assert {"us-west-2-lax-1a", "us-west-2-lax-1b"} <= {zone["ZoneName"] for zone in found}

    def test_they_are_filtered(self, ec2: Any) -> None:
        wanted = [{"Name": "zone-id", "Values": ["usw2-az1"]}]
        (found,) = ec2.describe_availability_zones(Filters=wanted)["AvailabilityZones"]
        assert found["ZoneId"] == "usw2-az1"
        asked = {"ZoneNames": ["us-west-2x"]}
        assert refused(ec2.describe_availability_zones, **asked) == "InvalidParameterValue"


class TestSpotPrices:
    def history(self, ec2: Any, **asked: Any) -> list[Any]:
        pages = ec2.get_paginator("describe_spot_price_history").paginate(**asked)
        return [price for page in pages for price in page["SpotPriceHistory"]]

    def test_from_now_on_there_is_one_for_each_type_and_zone(self, ec2: Any) -> None:
        found = self.history(
            ec2, InstanceTypes=TYPES, StartTime=NOW, ProductDescriptions=["Linux/UNIX"]
        )
        places = [(price["InstanceType"], price["AvailabilityZone"]) for price in found]
        assert len(places) == len(set(places))
        assert {name for name, _ in places} == set(TYPES)
        assert all(NOW - timedelta(days=1) <= price["Timestamp"] <= NOW for price in found)

    def test_before_that_they_were_a_little_different(self, ec2: Any) -> None:
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

    def test_they_come_in_pages(self, ec2: Any) -> None:
        first = ec2.describe_spot_price_history(InstanceTypes=TYPES, MaxResults=5)
        rest = ec2.describe_spot_price_history(
            InstanceTypes=TYPES, MaxResults=5, NextToken=first["NextToken"]
        )
        assert [len(page["SpotPriceHistory"]) for page in (first, rest)] == [5, 5]
        assert first["SpotPriceHistory"][-1] != rest["SpotPriceHistory"][0]
        assert len(self.history(ec2, StartTime=NOW)) > 1000

    def test_other_products_have_none(self, ec2: Any) -> None:
        asked = {"InstanceTypes": TYPES, "ProductDescriptions": ["Windows"]}
        assert self.history(ec2, **asked) == []


class TestSpotPlacementScores:
    def test_regions_are_scored_alike_each_time(self, ec2: Any) -> None:
        asked = {"InstanceTypes": TYPES, "TargetCapacity": 8}
        found = ec2.get_spot_placement_scores(**asked)["SpotPlacementScores"]
        scores = [item["Score"] for item in found]
        assert len(found) == 10
        assert all(1 <= score <= 10 for score in scores)
        assert scores == sorted(scores, reverse=True)
        assert found == ec2.get_spot_placement_scores(**asked)["SpotPlacementScores"]

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

    def test_much_capacity_and_few_types_score_low(self, ec2: Any) -> None:
        def best(types: list[str], capacity: int) -> int:
            asked = {"InstanceTypes": types, "TargetCapacity": capacity}
            found = ec2.get_spot_placement_scores(**asked)["SpotPlacementScores"]
            return int(found[0]["Score"])

        assert best(TYPES, 100_000) < best(TYPES, 10)
        assert best(TYPES[:1], 10) <= 3

    def test_where_it_is_not_offered_there_is_no_score(self, ec2: Any) -> None:
        asked = {"InstanceTypes": ["trn1.32xlarge"], "TargetCapacity": 1}
        found = ec2.get_spot_placement_scores(**asked, RegionNames=["sa-east-1"])
        assert found["SpotPlacementScores"] == []
        unknown = {"InstanceTypes": ["z9.huge"], "TargetCapacity": 1}
        assert refused(ec2.get_spot_placement_scores, **unknown) == "InvalidInstanceType"


@pytest.mark.parametrize("region", regions.ENABLED)
def test_what_a_survey_asks_is_answered_in_every_region(
    sandbox: control.Running, region: str
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


def test_images_other_than_those_for_eks_are_there_when_asked_for(ec2: Any) -> None:
    named = ec2.describe_images(ImageIds=["ami-03cf127a"])["Images"]
    assert [image["OwnerId"] for image in named] == ["801119661308"]
    assert len(ec2.describe_images(Owners=["amazon"])["Images"]) > 500
