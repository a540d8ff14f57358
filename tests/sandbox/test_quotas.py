"""Service Quotas: values by profile, increase requests, and an account with another user."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jarkkit.sandbox import account_profiles, daemon_client
from jarkkit.sandbox.account.servicequotas import reference_data
from tests.support.account import error_code_of, make_client
from tests.support.poll import wait_for

STANDARD, GPU, P_SPOT, P5_SPOT = "L-1216C47A", "L-DB2E81BA", "L-7212CCBC", "L-C4BD4855"


def quotas(running: daemon_client.RunningSandbox, region: str = "us-west-2") -> Any:
    return make_client(running, "service-quotas", region)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    home = tmp_path_factory.mktemp("fresh")
    yield daemon_client.start(home, profile="fresh-account", account_only=True)
    daemon_client.stop(home)


class TestValues:
    def test_a_prepared_account_has_raised_quotas(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        quota_id = {"ServiceCode": "ec2", "QuotaCode": GPU}
        found = quotas(sandbox).get_service_quota(**quota_id)["Quota"]
        assert (found["Value"], found["QuotaName"]) == (64, "Running On-Demand G and VT instances")
        assert quotas(sandbox).get_aws_default_service_quota(**quota_id)["Quota"]["Value"] == 0

    def test_vcpu_quotas_name_their_usage_metric(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        found = quotas(sandbox).get_service_quota(ServiceCode="ec2", QuotaCode=STANDARD)["Quota"]
        metric = found["UsageMetric"]
        assert metric["MetricNamespace"] == "AWS/Usage"
        assert metric["MetricDimensions"]["Class"] == "Standard/OnDemand"

    def test_quotas_are_listed_in_pages(self, sandbox: daemon_client.RunningSandbox) -> None:
        pages = list(
            quotas(sandbox)
            .get_paginator("list_service_quotas")
            .paginate(ServiceCode="ec2", PaginationConfig={"PageSize": 7})
        )
        codes = [quota["QuotaCode"] for page in pages for quota in page["Quotas"]]
        assert {len(page["Quotas"]) for page in pages[:-1]} == {7}
        assert len(codes) == len(set(codes))
        assert set(codes) == set(reference_data.quotas_of("ec2", "us-west-2"))

    @pytest.mark.parametrize("service", reference_data.QUOTAS)
    def test_every_quota_is_found_by_its_code(
        self, sandbox: daemon_client.RunningSandbox, service: str
    ) -> None:
        client = quotas(sandbox, reference_data.GLOBAL_REGION)
        for code, quota in reference_data.quotas_of(service, reference_data.GLOBAL_REGION).items():
            found = client.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
            assert found["QuotaName"] == quota.name
            assert found["GlobalQuota"] is (service == "iam")
            assert found["Adjustable"] is quota.adjustable

    def test_iam_quotas_are_listed_in_one_region_only(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        quota_id = {"ServiceCode": "iam", "QuotaCode": "L-FE177D64"}
        found = quotas(sandbox, "us-east-1").get_service_quota(**quota_id)["Quota"]
        assert found["QuotaArn"].startswith("arn:aws:servicequotas::")
        assert (
            error_code_of(quotas(sandbox).get_service_quota, **quota_id)
            == "NoSuchResourceException"
        )
        listed = quotas(sandbox).list_services()["Services"]
        assert "iam" not in {service["ServiceCode"] for service in listed}

    def test_some_regions_have_a_separate_spot_p5_quota(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        separate, combined = quotas(sandbox, "us-east-2"), quotas(sandbox)
        quota_id = {"ServiceCode": "ec2", "QuotaCode": P5_SPOT}
        assert separate.get_service_quota(**quota_id)["Quota"]["QuotaName"].startswith("All P5")
        assert error_code_of(combined.get_service_quota, **quota_id) == "NoSuchResourceException"
        quota_id = {"ServiceCode": "ec2", "QuotaCode": P_SPOT}
        names = [
            client.get_service_quota(**quota_id)["Quota"]["QuotaName"]
            for client in (separate, combined)
        ]
        assert names == [
            "All P4, P3 and P2 Spot Instance Requests",
            "All P Spot Instance Requests",
        ]

    def test_an_unknown_quota_is_no_such_resource(
        self, sandbox: daemon_client.RunningSandbox
    ) -> None:
        for quota_id in (("ec2", "L-00000000"), ("nonsense", STANDARD)):
            unknown_quota = {"ServiceCode": quota_id[0], "QuotaCode": quota_id[1]}
            assert (
                error_code_of(quotas(sandbox).get_service_quota, **unknown_quota)
                == "NoSuchResourceException"
            )

    def test_a_fresh_account_has_defaults_and_no_applied_values(
        self, fresh: daemon_client.RunningSandbox
    ) -> None:
        client, quota_id = quotas(fresh), {"ServiceCode": "ec2", "QuotaCode": STANDARD}
        assert client.list_service_quotas(ServiceCode="ec2")["Quotas"] == []
        assert error_code_of(client.get_service_quota, **quota_id) == "NoSuchResourceException"
        assert client.get_aws_default_service_quota(**quota_id)["Quota"]["Value"] == 5
        defaults = client.list_aws_default_service_quotas(ServiceCode="ec2")["Quotas"]
        by_code = {quota["QuotaCode"]: quota["Value"] for quota in defaults}
        assert {by_code[code] for code in reference_data.ACCELERATORS if code in by_code} == {0}

    def test_profiles_differ_only_in_their_accelerator_quotas(self) -> None:
        for service, code in (
            (s, c) for s in reference_data.QUOTAS for c in reference_data.QUOTAS[s]
        ):
            values = {
                p: reference_data.applied(p, code, reference_data.QUOTAS[service][code])
                for p in account_profiles.PROFILES
            }
            assert values["fresh-account"] is None
            assert values["half-used"] == values["workshop"]
            assert values["no-gpu-quota"] == (
                0 if code in reference_data.ACCELERATORS else values["workshop"]
            )


REQUEST: dict[str, Any] = {"ServiceCode": "ec2", "QuotaCode": STANDARD, "DesiredValue": 32.0}


class TestRequests:
    def test_a_small_increase_is_approved_and_applied(
        self, fresh: daemon_client.RunningSandbox
    ) -> None:
        client = quotas(fresh, "eu-west-1")
        created = client.request_service_quota_increase(**REQUEST)["RequestedQuota"]
        assert (created["Status"], created["DesiredValue"]) == ("PENDING", 32)
        assert "user/learner" in created["Requester"]
        current = client.get_requested_service_quota_change(RequestId=created["Id"])[
            "RequestedQuota"
        ]
        assert current["Status"] == "APPROVED"
        quota_id = {"ServiceCode": "ec2", "QuotaCode": STANDARD}
        assert client.get_service_quota(**quota_id)["Quota"]["Value"] == 32
        assert (
            error_code_of(quotas(fresh).get_service_quota, **quota_id) == "NoSuchResourceException"
        )

    def test_an_increase_for_accelerators_opens_one_case(
        self, fresh: daemon_client.RunningSandbox
    ) -> None:
        client = quotas(fresh, "eu-west-1")
        increase = {**REQUEST, "QuotaCode": GPU, "DesiredValue": 8.0}
        client.request_service_quota_increase(**increase)
        assert (
            error_code_of(client.request_service_quota_increase, **increase)
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
    def test_an_invalid_increase_is_rejected(
        self, sandbox: daemon_client.RunningSandbox, service: str, code: str, desired: float
    ) -> None:
        increase = {"ServiceCode": service, "QuotaCode": code, "DesiredValue": desired}
        call = quotas(sandbox).request_service_quota_increase
        assert error_code_of(call, **increase) == "IllegalArgumentException"

    def test_requests_survive_a_restart_and_take_time(self, tmp_path: Path) -> None:
        running = daemon_client.start(
            tmp_path, profile="fresh-account", account_only=True, speed=900 / 3
        )
        try:
            client = quotas(running)
            created = client.request_service_quota_increase(**REQUEST)["RequestedQuota"]
            ref = {"RequestId": created["Id"]}
            daemon_client.stop(tmp_path)
            again = daemon_client.start(
                tmp_path, profile="fresh-account", account_only=True, speed=900 / 3
            )
            client = quotas(again)
            change = lambda: client.get_requested_service_quota_change(**ref)["RequestedQuota"]  # noqa: E731
            wait_for(lambda: change()["Status"] == "APPROVED", 20)
        finally:
            daemon_client.stop(tmp_path)


class TestHalfUsedAccount:
    def test_half_of_every_quota_is_used_in_every_region(
        self, half_used: daemon_client.RunningSandbox
    ) -> None:
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

    def test_cloudwatch_reports_the_usage(self, half_used: daemon_client.RunningSandbox) -> None:
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

    def test_launches_are_limited_to_the_unused_half(
        self, half_used: daemon_client.RunningSandbox
    ) -> None:
        ec2 = make_client(half_used, "ec2")
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        request = {"ImageId": image, "InstanceType": "g4dn.8xlarge", "MaxCount": 2}
        assert error_code_of(ec2.run_instances, **request, MinCount=2) == "VcpuLimitExceeded"
        ec2.run_instances(**{**request, "MaxCount": 1}, MinCount=1)

    def test_instances_of_the_other_user_do_not_change(
        self, half_used: daemon_client.RunningSandbox
    ) -> None:
        def ids() -> set[str]:
            found = make_client(half_used, "ec2", "eu-west-1").describe_instances()
            return {i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]}

        assert ids() == ids()

    def test_instances_of_the_other_user_have_no_deployment_tags(
        self, half_used: daemon_client.RunningSandbox
    ) -> None:
        found = make_client(half_used, "ec2").describe_instances()["Reservations"]
        tags = {t["Key"] for r in found for i in r["Instances"] for t in i.get("Tags", ())}
        assert tags <= {"Name", "team"}


def test_a_spot_p5_launch_uses_the_quota_of_its_region(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    from jarkkit.sandbox.account.ec2 import capacity

    for instance_type in ("p5.48xlarge", "p5en.48xlarge"):
        assert capacity.quota_code(instance_type, spot=True, separate_p5_quota=True) == P5_SPOT
        assert capacity.quota_code(instance_type, spot=True) == P_SPOT
        assert (
            capacity.quota_code(instance_type, spot=False, separate_p5_quota=True) == "L-417A185B"
        )
    assert capacity.quota_code("p4d.24xlarge", spot=True, separate_p5_quota=True) == P_SPOT
