"""What EKS rejects of clusters, node groups, access entries and Pod Identity associations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.account.eks import cluster_rules
from jarkkit.sandbox.account.eks.cluster_rules import (
    ROLLBACK_WINDOW_SECONDS,
    VersionChange,
    VersionUpgrade,
    why_not_endpoint,
    why_not_version,
)
from jarkkit.sandbox.account.eks.node_group_rules import (
    why_not_instance_types,
    why_not_release,
)
from jarkkit.sandbox.account.eks.node_group_rules import (
    why_not_version as why_not_group_version,
)
from tests.support.account import (
    ROLE,
    cluster,
    ensure_role,
    error_of,
    make_client,
    network,
    subnets_of,
    trust_policy,
)

REGION = "eu-west-1"
INVALID, REQUEST = "InvalidParameterException", "InvalidRequestException"
Clients = Callable[[str], Any]


def in_vpc_of(ec2: Any, subnet: str, zone: str, block: str) -> str:
    """Create a further subnet beside that one."""
    (found,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    made = ec2.create_subnet(VpcId=found["VpcId"], AvailabilityZone=zone, CidrBlock=block)
    return str(made["Subnet"]["SubnetId"])


class TestNetwork:
    def test_subnets_keep_to_the_zones_of_the_creation(self, client: Clients) -> None:
        eks, ec2 = cluster(client, "zoned"), client("ec2")
        subnets = subnets_of(eks, "zoned")
        third = in_vpc_of(ec2, subnets[0], "eu-west-1c", "10.0.2.0/24")
        change = {"name": "zoned", "resourcesVpcConfig": {"subnetIds": [*subnets, third]}}
        assert error_of(eks.update_cluster_config, **change) == (
            INVALID,
            "Provided subnets belong to the AZs 'eu-west-1a,eu-west-1b,eu-west-1c'. But they "
            "should belong to the exact set of AZs 'eu-west-1a,eu-west-1b' in which subnets were "
            "provided during cluster creation.",
        )
        another = in_vpc_of(ec2, subnets[0], "eu-west-1b", "10.0.3.0/24")
        change["resourcesVpcConfig"] = {"subnetIds": [subnets[0], another]}
        update = eks.update_cluster_config(**change)["update"]
        assert update["type"] == "VpcConfigUpdate"

    @pytest.mark.parametrize(
        ("cidrs", "message"),
        [
            (
                ["8.8.8.0/24", "10.0.0.0/8", "203.0.113.0/24"],
                "The following CIDRs are not allowed in publicAccessCidrs: [10.0.0.0/8, "
                "203.0.113.0/24]",
            ),
            (["100.64.3.0/24"], "not allowed in publicAccessCidrs: [100.64.3.0/24]"),
            (["2001:db8::/32"], "The following CIDRs are invalid in publicAccessCidrs"),
            (["anywhere"], "The following CIDRs are invalid in publicAccessCidrs: [anywhere]"),
            ([f"8.8.{n}.0/24" for n in range(41)], "the limit is 40"),
        ],
    )
    def test_reserved_and_invalid_cidrs_reach_no_endpoint(
        self, cidrs: list[str], message: str
    ) -> None:
        assert message in str(why_not_endpoint(public=True, private=True, cidrs=cidrs))

    def test_public_cidrs_reach_the_endpoint(self) -> None:
        assert why_not_endpoint(public=True, private=False, cidrs=["0.0.0.0/0"]) is None
        assert why_not_endpoint(public=True, private=False, cidrs=["54.240.0.0/16"]) is None

    def test_a_cluster_with_reserved_cidrs_is_rejected(self, client: Clients) -> None:
        ec2, eks = client("ec2"), client("eks")
        wrong = {"subnetIds": network(ec2), "publicAccessCidrs": ["192.168.1.0/24"]}
        role = ensure_role(client("iam"))
        code, message = error_of(
            eks.create_cluster, name="private", roleArn=role, resourcesVpcConfig=wrong
        )
        assert code == INVALID
        assert "not allowed in publicAccessCidrs: [192.168.1.0/24]" in message
        cluster(client, "reached")
        code, message = error_of(
            eks.update_cluster_config,
            name="reached",
            resourcesVpcConfig={"endpointPublicAccess": False, "endpointPrivateAccess": False},
        )
        assert (code, message) == (INVALID, "Private and public endpoint access cannot be false")

    def test_full_subnets_hold_no_control_plane(self, client: Clients) -> None:
        ec2 = client("ec2")
        first = network(ec2)[0]
        small = in_vpc_of(ec2, first, "eu-west-1c", "10.0.9.0/28")
        for _ in range(6):
            ec2.create_network_interface(SubnetId=small)
        code, message = error_of(
            client("eks").create_cluster,
            name="full",
            roleArn=ensure_role(client("iam")),
            resourcesVpcConfig={"subnetIds": [first, small]},
        )
        assert (code, message) == (INVALID, f"Subnets {small} have fewer than 6 free IP addresses")

    def test_an_unknown_subnet_is_an_error_of_eks(self, client: Clients) -> None:
        code, message = error_of(
            client("eks").create_cluster,
            name="lost",
            roleArn=ensure_role(client("iam")),
            resourcesVpcConfig={"subnetIds": ["subnet-00000000000000000"]},
        )
        assert code == INVALID
        assert message == "The subnet ID 'subnet-00000000000000000' does not exist"


CHANGE = VersionChange(
    current="1.35",
    requested="1.36",
    support_type="STANDARD",
    offered=("1.33", "1.34", "1.35", "1.36"),
    now=ROLLBACK_WINDOW_SECONDS,
    in_extended_support=("1.33",),
    node_groups={"core": "1.35"},
    last_upgrade=VersionUpgrade("1.34", 0.0),
)


class TestVersions:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({}, None),
            ({"node_groups": {"core": "1.34", "gpu": "1.35"}}, "Nodegroups core must be updated "),
            ({"current": "1.34", "node_groups": {}}, "update from 1.34 to 1.36"),
            ({"requested": "1.35"}, "update from 1.35 to 1.35"),
            ({"current": "1.36", "requested": "1.37"}, "update from 1.36 to 1.37"),
            ({"requested": "1.34"}, None),
            ({"requested": "1.33"}, "update from 1.35 to 1.33"),
            ({"requested": "1.34", "now": ROLLBACK_WINDOW_SECONDS + 1}, "within 7 days"),
            ({"requested": "1.34", "last_upgrade": None}, "was not upgraded from that version"),
            (
                {"current": "1.34", "requested": "1.33"},
                "was not upgraded from that version",
            ),
            (
                {
                    "current": "1.34",
                    "requested": "1.33",
                    "last_upgrade": VersionUpgrade("1.33", 0.0),
                },
                "set the upgrade policy to EXTENDED first",
            ),
        ],
    )
    def test_one_step_ahead_or_one_back_for_a_week(
        self, change: dict[str, Any], message: str | None
    ) -> None:
        found = why_not_version(replace(CHANGE, **change))
        assert found is None if message is None else message in str(found)

    def test_node_groups_come_first_and_an_upgrade_is_rolled_back(self, client: Clients) -> None:
        eks = cluster(client, "stepped", version="1.34")
        at = {"clusterName": "stepped", "nodegroupName": "core"}
        sizes = {"minSize": 1, "maxSize": 2, "desiredSize": 1}
        given = {"subnets": subnets_of(eks, "stepped"), "nodeRole": ROLE}
        eks.create_nodegroup(**at, **given, scalingConfig=sizes)
        assert eks.describe_nodegroup(**at)["nodegroup"]["version"] == "1.34"

        def change(version: str, **more: Any) -> Any:
            return eks.update_cluster_version(name="stepped", version=version, **more)["update"]

        code, message = error_of(change, version="1.36")
        assert (code, message) == (
            INVALID,
            "Unsupported Kubernetes minor version update from 1.34 to 1.36",
        )
        assert change("1.35")["type"] == "VersionUpdate"
        assert error_of(change, version="1.36") == (
            INVALID,
            "Nodegroups core must be updated to match cluster version 1.35 before updating "
            "cluster version",
        )
        eks.update_nodegroup_version(**at)
        code, message = error_of(change, version="1.34")
        assert code == "InvalidStateException"
        assert "nodes of core are newer than 1.34" in message
        eks.update_nodegroup_version(**at, version="1.34")
        assert change("1.34")["type"] == "VersionRollback"
        assert eks.describe_cluster(name="stepped")["cluster"]["version"] == "1.34"
        code, message = error_of(change, version="1.33")
        assert "was not upgraded from that version" in message

    def test_force_overrides_the_insights_of_a_rollback(self, client: Clients) -> None:
        eks = cluster(client, "forced", version="1.34")
        eks.update_cluster_version(name="forced", version="1.35")
        at = {"clusterName": "forced", "nodegroupName": "core"}
        eks.create_nodegroup(**at, subnets=subnets_of(eks, "forced"), nodeRole=ROLE)
        eks.update_cluster_version(name="forced", version="1.34", force=True)
        assert eks.describe_cluster(name="forced")["cluster"]["version"] == "1.34"

    def test_an_upgrade_needs_free_addresses(self, client: Clients) -> None:
        eks, ec2 = client("eks"), client("ec2")
        first = network(ec2)[0]
        subnets = [
            in_vpc_of(ec2, first, f"eu-west-1{zone}", f"10.0.9.{index * 16}/28")
            for index, zone in enumerate("ab")
        ]
        eks.create_cluster(
            name="narrow",
            version="1.35",
            roleArn=ensure_role(client("iam")),
            resourcesVpcConfig={"subnetIds": subnets},
        )
        for subnet in subnets:
            for _ in range(9):
                ec2.create_network_interface(SubnetId=subnet)
        update = eks.update_cluster_version(name="narrow", version="1.36")["update"]
        done = eks.describe_update(name="narrow", updateId=update["id"])["update"]
        assert done["status"] == "Failed"
        assert done["errors"][0]["errorCode"] == "InsufficientFreeAddresses"
        assert eks.describe_cluster(name="narrow")["cluster"]["version"] == "1.35"


class TestSupport:
    def test_eks_upgrades_a_standard_cluster_at_the_end_of_support(
        self, client: Clients, sandbox: daemon_client.RunningSandbox
    ) -> None:
        eks = client("eks")
        for name, policy in (("ends", "STANDARD"), ("stays", "EXTENDED")):
            eks.create_cluster(
                name=name,
                version="1.35",
                roleArn=ensure_role(client("iam")),
                resourcesVpcConfig={"subnetIds": network(client("ec2"))},
                upgradePolicy={"supportType": policy},
            )
        daemon_client.set_faults(sandbox.home, ["end-of-support:1.35"])
        try:
            (offered,) = eks.describe_cluster_versions(clusterVersions=["1.35"])["clusterVersions"]
            assert offered["versionStatus"] == "EXTENDED_SUPPORT"
            versions = {n: eks.describe_cluster(name=n)["cluster"] for n in ("ends", "stays")}
            assert {n: c["version"] for n, c in versions.items()} == {
                "ends": "1.36",
                "stays": "1.35",
            }
            back = {"name": "ends", "version": "1.35"}
            code, message = error_of(eks.update_cluster_version, **back)
            assert (code, "set the upgrade policy to EXTENDED" in message) == (INVALID, True)
            code, message = error_of(
                eks.update_cluster_config,
                name="stays",
                upgradePolicy={"supportType": "STANDARD"},
            )
            assert (code, "is in extended support" in message) == (INVALID, True)
        finally:
            daemon_client.set_faults(sandbox.home, [])

    def test_a_standard_cluster_has_a_version_in_standard_support(self, client: Clients) -> None:
        code, message = error_of(
            client("eks").create_cluster,
            name="old",
            version="1.33",
            roleArn=ensure_role(client("iam")),
            resourcesVpcConfig={"subnetIds": network(client("ec2"))},
            upgradePolicy={"supportType": "STANDARD"},
        )
        assert code == INVALID
        assert message.startswith("Kubernetes version 1.33 is in extended support.")


class TestRoles:
    def test_the_role_of_a_cluster_trusts_eks(self, client: Clients) -> None:
        iam = client("iam")
        policy = trust_policy("ec2.amazonaws.com")
        role = iam.create_role(RoleName="untrusting", AssumeRolePolicyDocument=policy)["Role"]
        given = {"name": "r", "resourcesVpcConfig": {"subnetIds": network(client("ec2"))}}
        for arn in (role["Arn"], "arn:aws:iam::123456789012:role/absent"):
            assert error_of(client("eks").create_cluster, **given, roleArn=arn) == (
                INVALID,
                f"Role with arn: {arn}, could not be assumed because it does not exist or the "
                "trusted entity is not correct",
            )

    def test_the_role_of_a_pod_exists_and_trusts_pod_identity(self, client: Clients) -> None:
        eks, iam = cluster(client, "podded"), client("iam")
        at = {"clusterName": "podded", "namespace": "a", "serviceAccount": "b"}
        absent = "arn:aws:iam::123456789012:role/absent"
        assert error_of(eks.create_pod_identity_association, **at, roleArn=absent) == (
            INVALID,
            "Role provided in the request does not exist.",
        )
        document = json.loads(trust_policy("pods.eks.amazonaws.com"))
        document["Statement"][0]["Action"] = "sts:AssumeRole"
        role = iam.create_role(RoleName="tagless", AssumeRolePolicyDocument=json.dumps(document))
        arn = role["Role"]["Arn"]
        code, message = error_of(eks.create_pod_identity_association, **at, roleArn=arn)
        assert (code, "sts:TagSession" in message) == (INVALID, True)
        made = eks.create_pod_identity_association(**at, roleArn=ROLE)["association"]
        code, _ = error_of(
            eks.update_pod_identity_association,
            clusterName="podded",
            associationId=made["associationId"],
            roleArn=absent,
        )
        assert code == INVALID


@pytest.fixture(scope="module")
def entered(sandbox: daemon_client.RunningSandbox) -> Any:
    """An EKS client of an account with the cluster `entries`."""
    return cluster(lambda service: make_client(sandbox, service, REGION), "entries")


class TestAccessEntries:
    @pytest.mark.parametrize(
        ("principal", "more", "message"),
        [
            ("role/absent", {}, "The specified principalArn is invalid: invalid principal."),
            ("user/absent", {}, "The specified principalArn is invalid: invalid principal."),
            # A role with a path is another one than a role without.
            ("role/a/assumed", {}, "The specified principalArn is invalid: invalid principal."),
            ("root", {}, "The specified principalArn is invalid: invalid principal."),
            ("group/admins", {}, "The principalArn parameter format is not valid"),
            ("user/learner", {"type": "EC2_LINUX"}, "must be an IAM role"),
            (
                "role/assumed",
                {"kubernetesGroups": ["system:masters"]},
                "The kubernetes group name system:masters is invalid, it cannot start with system:",
            ),
            (
                "role/assumed",
                {"type": "EC2_LINUX", "kubernetesGroups": ["a"]},
                "kubernetesGroups cannot be set",
            ),
        ],
    )
    def test_an_invalid_principal_is_rejected(
        self, entered: Any, principal: str, more: dict[str, Any], message: str
    ) -> None:
        arn = f"arn:aws:iam::123456789012:{principal}"
        code, found = error_of(
            entered.create_access_entry, clusterName="entries", principalArn=arn, **more
        )
        assert (code, message in found) == (INVALID, True)

    def test_an_assumed_role_is_no_principal(self, entered: Any) -> None:
        arn = "arn:aws:sts::123456789012:assumed-role/assumed/me"
        code, message = error_of(
            entered.create_access_entry, clusterName="entries", principalArn=arn
        )
        assert (code, message) == (INVALID, "The principalArn parameter format is not valid")

    def test_entries_of_nodes_have_no_policies(self, entered: Any) -> None:
        entered.create_access_entry(clusterName="entries", principalArn=ROLE, type="EC2_LINUX")
        code, _ = error_of(
            entered.associate_access_policy,
            clusterName="entries",
            principalArn=ROLE,
            policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
            accessScope={"type": "cluster"},
        )
        assert code == INVALID

    def test_the_authentication_mode_moves_one_step_ahead(self, client: Clients) -> None:
        eks = client("eks")
        subnets = {"subnetIds": network(client("ec2"))}
        role = ensure_role(client("iam"))
        eks.create_cluster(name="mapped", roleArn=role, resourcesVpcConfig=subnets)
        assert error_of(eks.list_access_entries, clusterName="mapped") == (
            REQUEST,
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to "
            "perform this operation.",
        )

        def change(mode: str) -> Any:
            config = {"authenticationMode": mode}
            return eks.update_cluster_config(name="mapped", accessConfig=config)

        assert error_of(change, mode="API") == (
            INVALID,
            "Unsupported authentication mode update from CONFIG_MAP to API",
        )
        change("API_AND_CONFIG_MAP")
        change("API")
        assert error_of(change, mode="API_AND_CONFIG_MAP")[0] == INVALID


PROCESSORS = {"x86_64": "m5.large", "arm64": "m6g.large"}
KNOWN: dict[str, dict[str, Any]] = {
    **{
        name: {"ProcessorInfo": {"SupportedArchitectures": [kind]}}
        for kind, name in PROCESSORS.items()
    },
    "g5.xlarge": {
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "GpuInfo": {"Gpus": [{"Manufacturer": "NVIDIA", "Count": 1}]},
    },
    "g4ad.xlarge": {
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "GpuInfo": {"Gpus": [{"Manufacturer": "AMD", "Count": 1}]},
    },
    "inf2.xlarge": {
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "NeuronInfo": {"NeuronDevices": [{"Count": 1}]},
    },
}


class TestNodeGroups:
    @pytest.mark.parametrize(
        ("ami_type", "fitting"),
        [
            ("AL2023_x86_64_STANDARD", {"m5.large", "g4ad.xlarge"}),
            ("AL2023_ARM_64_STANDARD", {"m6g.large"}),
            ("AL2023_x86_64_NVIDIA", {"g5.xlarge"}),
            ("AL2023_x86_64_NEURON", {"inf2.xlarge"}),
            ("BOTTLEROCKET_x86_64_NVIDIA", {"g5.xlarge"}),
            ("WINDOWS_CORE_2022_x86_64", {"m5.large", "g4ad.xlarge"}),
            ("CUSTOM", set(KNOWN)),
        ],
    )
    def test_the_ami_fits_processor_and_accelerator(self, ami_type: str, fitting: set[str]) -> None:
        found = {n for n in KNOWN if why_not_instance_types(ami_type, [n], KNOWN) is None}
        assert found == fitting

    def test_an_unfit_instance_type_is_named(self, client: Clients) -> None:
        eks = cluster(client, "typed")
        subnets = subnets_of(eks, "typed")
        given = {
            "clusterName": "typed",
            "nodegroupName": "core",
            "subnets": subnets,
            "nodeRole": ROLE,
        }

        def create(**more: Any) -> Any:
            return eks.create_nodegroup(**given, **more)

        assert error_of(create, instanceTypes=["t4g.medium"]) == (
            INVALID,
            "[t4g.medium] is not a valid instance type for requested amiType "
            "AL2023_x86_64_STANDARD",
        )
        assert error_of(create, instanceTypes=["m5.large", "m99.large"]) == (
            INVALID,
            "The following supplied instance types do not exist: [m99.large]",
        )
        assert error_of(create, amiType="AL2_x86_64") == (
            INVALID,
            "AMI Type AL2_x86_64 is only supported for kubernetes versions 1.32 or earlier",
        )
        for sizes, message in (
            ((3, 4, 2), "minSize can't be greater than desiredSize"),
            ((1, 2, 3), "desiredSize can't be greater than maxSize"),
        ):
            config = dict(zip(("minSize", "maxSize", "desiredSize"), sizes, strict=True))
            assert error_of(create, scalingConfig=config) == (INVALID, message)
        code, message = error_of(create, version="1.35")
        assert (code, "the cluster's version is 1.36" in message) == (INVALID, True)
        code, message = error_of(create, releaseVersion="1.36.0-20200101")
        assert code == INVALID
        assert message.startswith("Requested Nodegroup release version 1.36.0-20200101 is invalid.")
        given["subnets"] = network(client("ec2"))
        code, message = error_of(create)
        assert (code, "is not in the VPC of the cluster" in message) == (INVALID, True)

    def test_a_launch_template_has_the_image_or_the_type_alone(self, client: Clients) -> None:
        eks, ec2 = cluster(client, "by-template"), client("ec2")
        given = {
            "clusterName": "by-template",
            "nodegroupName": "core",
            "subnets": subnets_of(eks, "by-template"),
            "nodeRole": ROLE,
        }

        def template(name: str, **data: str) -> dict[str, str]:
            made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
            return {"id": made["LaunchTemplate"]["LaunchTemplateId"]}

        code, message = error_of(
            eks.create_nodegroup,
            **given,
            instanceTypes=["m5.large"],
            launchTemplate=template("with-type", InstanceType="m5.large"),
        )
        assert (code, message) == (
            REQUEST,
            "Cannot specify instance types in launch template and API request",
        )
        code, message = error_of(
            eks.create_nodegroup,
            **given,
            amiType="AL2023_x86_64_STANDARD",
            launchTemplate=template("with-image", ImageId="ami-0123456789abcdef0"),
        )
        assert (code, "AMI Type other than CUSTOM" in message) == (INVALID, True)
        code, _ = error_of(
            eks.create_nodegroup, **given, launchTemplate={"id": "lt-00000000000000000"}
        )
        assert code == INVALID
        at = {name: given[name] for name in ("clusterName", "nodegroupName")}
        first = template("first", InstanceType="m5.large")
        eks.create_nodegroup(**given, launchTemplate=first)
        code, message = error_of(
            eks.update_nodegroup_version,
            **at,
            launchTemplate=template("second", InstanceType="m5.large"),
        )
        assert (code, "must be the one" in message) == (INVALID, True)
        ec2.create_launch_template_version(
            LaunchTemplateId=first["id"], LaunchTemplateData={"InstanceType": "m6g.large"}
        )
        code, message = error_of(
            eks.update_nodegroup_version, **at, launchTemplate={**first, "version": "2"}
        )
        assert (code, message.startswith("[m6g.large] is not a valid")) == (INVALID, True)
        # A version without a type has the type that EKS takes by default.
        ec2.create_launch_template_version(
            LaunchTemplateId=first["id"], LaunchTemplateData={"EbsOptimized": True}
        )
        eks.update_nodegroup_version(**at, launchTemplate={**first, "version": "3"})
        nodes = ec2.describe_instances(
            Filters=[
                {"Name": "tag:eks:cluster-name", "Values": ["by-template"]},
                {"Name": "instance-state-name", "Values": ["running"]},
            ]
        )
        types = {i["InstanceType"] for r in nodes["Reservations"] for i in r["Instances"]}
        assert types == {"t3.medium"}

    def test_sizes_of_an_existing_group_stay_in_order(self, client: Clients) -> None:
        eks = cluster(client, "scaled")
        subnets = subnets_of(eks, "scaled")
        at = {"clusterName": "scaled", "nodegroupName": "core"}
        sizes = {"minSize": 2, "maxSize": 4, "desiredSize": 2}
        eks.create_nodegroup(**at, subnets=subnets, nodeRole=ROLE, scalingConfig=sizes)

        def scale(**changed: int) -> Any:
            return eks.update_nodegroup_config(**at, scalingConfig=changed)

        assert error_of(scale, minSize=3) == (
            INVALID,
            "Minimum capacity 3 can't be greater than desired size 2",
        )
        assert error_of(scale, minSize=1, maxSize=1) == (
            INVALID,
            "desired capacity 2 can't be greater than max size 1",
        )
        scale(minSize=3, desiredSize=3)
        found = eks.describe_nodegroup(**at)["nodegroup"]["scalingConfig"]
        assert found == {"minSize": 3, "maxSize": 4, "desiredSize": 3}

    def test_a_group_has_the_version_of_its_cluster(self) -> None:
        assert why_not_group_version("1.35", "1.36") is not None
        assert why_not_group_version("1.36", "1.36") is None
        assert why_not_group_version("1.35", "1.36", present="1.36") is None
        assert why_not_group_version("1.34", "1.36", present="1.36") is not None
        assert why_not_group_version("1.37", "1.36", present="1.36") is not None
        assert why_not_release("1.36.0-1", ["1.36.0-2", "1.36.0-1"]) is None

    @pytest.mark.parametrize("route", [True, False])
    def test_nodes_join_with_a_way_out_only(self, client: Clients, route: bool) -> None:
        eks, name = client("eks"), f"routed-{route}".lower()
        subnets = network(client("ec2"), way_out=route)
        role = ensure_role(client("iam"))
        eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
        at = {"clusterName": name, "nodegroupName": "core"}
        eks.create_nodegroup(**at, subnets=subnets, nodeRole=role)
        group = eks.describe_nodegroup(**at)["nodegroup"]
        issues = [issue["code"] for issue in group["health"]["issues"]]
        expected = ("ACTIVE", []) if route else ("CREATE_FAILED", ["NodeCreationFailure"])
        assert (group["status"], issues) == expected


def test_the_minor_version_is_a_number() -> None:
    assert cluster_rules.minor("1.36") == 36
