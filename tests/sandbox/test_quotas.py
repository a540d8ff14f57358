"""Service Quotas: values by profile, requests to raise them, somebody else in the account."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jarkkit.sandbox import control, profiles
from jarkkit.sandbox.account.servicequotas import facts
from tests.sandbox.test_account import make_client, refused

STANDARD, GPU, P_SPOT, P5_SPOT = "L-1216C47A", "L-DB2E81BA", "L-7212CCBC", "L-C4BD4855"


def quotas(running: control.Running, region: str = "us-west-2") -> Any:
    return make_client(running, "service-quotas", region)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    home = tmp_path_factory.mktemp("fresh")
    yield control.start(home, profile="fresh-account", account_only=True)
    control.stop(home)


@pytest.fixture(scope="module")
def half_used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    home = tmp_path_factory.mktemp("half-used")
    yield control.start(home, profile="half-used", account_only=True)
    control.stop(home)


class TestValues:
    def test_a_prepared_account_has_more_than_the_default(self, sandbox: control.Running) -> None:
        of = {"ServiceCode": "ec2", "QuotaCode": GPU}
        found = quotas(sandbox).get_service_quota(**of)["Quota"]
        assert (found["Value"], found["QuotaName"]) == (64, "Running On-Demand G and VT instances")
        assert quotas(sandbox).get_aws_default_service_quota(**of)["Quota"]["Value"] == 0

    def test_vcpu_quotas_say_which_metric_counts_them(self, sandbox: control.Running) -> None:
        found = quotas(sandbox).get_service_quota(ServiceCode="ec2", QuotaCode=STANDARD)["Quota"]
        metric = found["UsageMetric"]
        assert metric["MetricNamespace"] == "AWS/Usage"
        assert metric["MetricDimensions"]["Class"] == "Standard/OnDemand"

    def test_lists_come_in_pages(self, sandbox: control.Running) -> None:
        pages = list(
            quotas(sandbox)
            .get_paginator("list_service_quotas")
            .paginate(ServiceCode="ec2", PaginationConfig={"PageSize": 7})
        )
        codes = [quota["QuotaCode"] for page in pages for quota in page["Quotas"]]
        assert {len(page["Quotas"]) for page in pages[:-1]} == {7}
        assert len(codes) == len(set(codes))
        assert set(codes) == set(facts.quotas_of("ec2", "us-west-2"))

    @pytest.mark.parametrize("service", facts.QUOTAS)
    def test_every_quota_is_found_by_its_code(self, sandbox: control.Running, service: str) -> None:
        client = quotas(sandbox, facts.GLOBAL_REGION)
        for code, quota in facts.quotas_of(service, facts.GLOBAL_REGION).items():
            found = client.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
            assert found["QuotaName"] == quota.name
            assert found["GlobalQuota"] is (service == "iam")
            assert found["Adjustable"] is quota.adjustable

    def test_those_of_iam_are_in_one_region(self, sandbox: control.Running) -> None:
        of = {"ServiceCode": "iam", "QuotaCode": "L-FE177D64"}
        found = quotas(sandbox, "us-east-1").get_service_quota(**of)["Quota"]
        assert found["QuotaArn"].startswith("arn:aws:servicequotas::")
        assert refused(quotas(sandbox).get_service_quota, **of) == "NoSuchResourceException"
        listed = quotas(sandbox).list_services()["Services"]
        assert "iam" not in {service["ServiceCode"] for service in listed}

    def test_some_regions_still_count_spot_p5_apart(self, sandbox: control.Running) -> None:
        apart, together = quotas(sandbox, "us-east-2"), quotas(sandbox)
        of = {"ServiceCode": "ec2", "QuotaCode": P5_SPOT}
        assert apart.get_service_quota(**of)["Quota"]["QuotaName"].startswith("All P5")
        assert refused(together.get_service_quota, **of) == "NoSuchResourceException"
        of = {"ServiceCode": "ec2", "QuotaCode": P_SPOT}
        names = [
            client.get_service_quota(**of)["Quota"]["QuotaName"] for client in (apart, together)
        ]
        assert names == [
            "All P4, P3 and P2 Spot Instance Requests",
            "All P Spot Instance Requests",
        ]

    def test_what_is_not_known_is_no_such_resource(self, sandbox: control.Running) -> None:
        for of in (("ec2", "L-00000000"), ("nonsense", STANDARD)):
            asked = {"ServiceCode": of[0], "QuotaCode": of[1]}
            assert refused(quotas(sandbox).get_service_quota, **asked) == "NoSuchResourceException"

    def test_a_fresh_account_has_defaults_and_no_applied_values(
        self, fresh: control.Running
    ) -> None:
        client, of = quotas(fresh), {"ServiceCode": "ec2", "QuotaCode": STANDARD}
        assert client.list_service_quotas(ServiceCode="ec2")["Quotas"] == []
        assert refused(client.get_service_quota, **of) == "NoSuchResourceException"
        assert client.get_aws_default_service_quota(**of)["Quota"]["Value"] == 5
        defaults = client.list_aws_default_service_quotas(ServiceCode="ec2")["Quotas"]
        by_code = {quota["QuotaCode"]: quota["Value"] for quota in defaults}
        assert {by_code[code] for code in facts.ACCELERATORS if code in by_code} == {0}

    def test_no_profile_has_accelerators_that_another_denies(self) -> None:
        for service, code in ((s, c) for s in facts.QUOTAS for c in facts.QUOTAS[s]):
            values = {
                p: facts.applied(p, code, facts.QUOTAS[service][code]) for p in profiles.PROFILES
            }
            assert values["fresh-account"] is None
            assert values["half-used"] == values["workshop"]
            assert values["no-gpu-quota"] == (
                0 if code in facts.ACCELERATORS else values["workshop"]
            )


ASKED: dict[str, Any] = {"ServiceCode": "ec2", "QuotaCode": STANDARD, "DesiredValue": 32.0}


class TestRequests:
    def test_a_small_one_is_approved_and_holds(self, fresh: control.Running) -> None:
        client = quotas(fresh, "eu-west-1")
        made = client.request_service_quota_increase(**ASKED)["RequestedQuota"]
        assert (made["Status"], made["DesiredValue"]) == ("PENDING", 32)
        assert "user/learner" in made["Requester"]
        now = client.get_requested_service_quota_change(RequestId=made["Id"])["RequestedQuota"]
        assert now["Status"] == "APPROVED"
        of = {"ServiceCode": "ec2", "QuotaCode": STANDARD}
        assert client.get_service_quota(**of)["Quota"]["Value"] == 32
        assert refused(quotas(fresh).get_service_quota, **of) == "NoSuchResourceException"

    def test_one_for_accelerators_becomes_a_case_and_only_one_is_open(
        self, fresh: control.Running
    ) -> None:
        client = quotas(fresh, "eu-west-1")
        asked = {**ASKED, "QuotaCode": GPU, "DesiredValue": 8.0}
        client.request_service_quota_increase(**asked)
        assert (
            refused(client.request_service_quota_increase, **asked)
            == "ResourceAlreadyExistsException"
        )
        (found,) = client.list_requested_service_quota_change_history_by_quota(
            ServiceCode="ec2", QuotaCode=GPU
        )["RequestedQuotas"]
        assert found["Status"] == "CASE_OPENED"
        assert found["CaseId"]
        history = client.list_requested_service_quota_change_history(ServiceCode="ec2")
        assert GPU in {request["QuotaCode"] for request in history["RequestedQuotas"]}
        opened = client.list_requested_service_quota_change_history(Status="CASE_OPENED")
        assert {r["QuotaCode"] for r in opened["RequestedQuotas"]} == {GPU}

    @pytest.mark.parametrize(
        ("service", "code", "desired"),
        [("ec2", STANDARD, 256.0), ("ec2", STANDARD, 10.0), ("eks", "L-93A74D60", 80.0)],
    )
    def test_what_is_no_increase_is_refused(
        self, sandbox: control.Running, service: str, code: str, desired: float
    ) -> None:
        asked = {"ServiceCode": service, "QuotaCode": code, "DesiredValue": desired}
        call = quotas(sandbox).request_service_quota_increase
        assert refused(call, **asked) == "IllegalArgumentException"

    def test_they_are_saved_with_the_account_and_take_their_time(self, tmp_path: Path) -> None:
        running = control.start(tmp_path, profile="fresh-account", account_only=True, speed=900 / 3)
        try:
            client = quotas(running)
            made = client.request_service_quota_increase(**ASKED)["RequestedQuota"]
            of = {"RequestId": made["Id"]}
            control.stop(tmp_path)
            again = control.start(
                tmp_path, profile="fresh-account", account_only=True, speed=900 / 3
            )
            client = quotas(again)
            states = [client.get_requested_service_quota_change(**of)["RequestedQuota"]["Status"]]
            deadline = time.monotonic() + 20
            while states[-1] != "APPROVED" and time.monotonic() < deadline:
                time.sleep(0.2)
                now = client.get_requested_service_quota_change(**of)["RequestedQuota"]
                states.append(now["Status"])
            assert states[-1] == "APPROVED"
        finally:
            control.stop(tmp_path)


class TestSomebodyElse:
    def test_half_of_the_quotas_is_in_use_in_every_region(self, half_used: control.Running) -> None:
        for region in ("us-west-2", "ap-northeast-3"):
            ec2 = make_client(half_used, "ec2", region)
            running = [
                instance
                for page in ec2.get_paginator("describe_instances").paginate()
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            ]
            sizes = {"m5.4xlarge": 16, "g4dn.8xlarge": 32}
            vcpus = {
                kind: sum(sizes[kind] for i in running if i["InstanceType"] == kind)
                for kind in sizes
            }
            assert vcpus == {"m5.4xlarge": 128, "g4dn.8xlarge": 32}
            assert all(i["State"]["Name"] == "running" for i in running)
            assert len(ec2.describe_vpcs()["Vpcs"]) == 3
            assert len(ec2.describe_addresses()["Addresses"]) == 2

    def test_cloudwatch_counts_them(self, half_used: control.Running) -> None:
        quota = quotas(half_used, "eu-central-1").get_service_quota(
            ServiceCode="ec2", QuotaCode=STANDARD
        )["Quota"]
        metric, now = quota["UsageMetric"], datetime.now(UTC)
        points = make_client(half_used, "cloudwatch", "eu-central-1").get_metric_statistics(
            Namespace=metric["MetricNamespace"],
            MetricName=metric["MetricName"],
            Dimensions=[{"Name": k, "Value": v} for k, v in metric["MetricDimensions"].items()],
            StartTime=now - timedelta(minutes=15),
            EndTime=now,
            Period=300,
            Statistics=[metric["MetricStatisticRecommendation"]],
        )["Datapoints"]
        assert [point["Maximum"] for point in points] == [128]

    def test_only_the_other_half_is_left(self, half_used: control.Running) -> None:
        ec2 = make_client(half_used, "ec2")
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        wish = {"ImageId": image, "InstanceType": "g4dn.8xlarge", "MaxCount": 2}
        assert refused(ec2.run_instances, **wish, MinCount=2) == "VcpuLimitExceeded"
        ec2.run_instances(**{**wish, "MaxCount": 1}, MinCount=1)

    def test_they_stay_the_same(self, half_used: control.Running) -> None:
        def ids() -> set[str]:
            found = make_client(half_used, "ec2", "eu-west-1").describe_instances()
            return {i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]}

        assert ids() == ids()

    def test_they_do_not_look_like_a_deployment(self, half_used: control.Running) -> None:
        found = make_client(half_used, "ec2").describe_instances()["Reservations"]
        tags = {t["Key"] for r in found for i in r["Instances"] for t in i.get("Tags", ())}
        assert tags <= {"Name", "team"}


def test_spot_p5_has_the_quota_of_its_region(sandbox: control.Running) -> None:
    from jarkkit.sandbox.account.ec2 import capacity

    for instance_type in ("p5.48xlarge", "p5en.48xlarge"):
        assert capacity.quota_code(instance_type, spot=True, p5_apart=True) == P5_SPOT
        assert capacity.quota_code(instance_type, spot=True) == P_SPOT
        assert capacity.quota_code(instance_type, spot=False, p5_apart=True) == "L-417A185B"
    assert capacity.quota_code("p4d.24xlarge", spot=True, p5_apart=True) == P_SPOT
