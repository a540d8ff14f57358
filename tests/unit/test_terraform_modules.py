"""The shipped Terraform configuration as text: what must hold in every module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from jarkkit.ports.paths import terraform_folder
from jarkkit.settings import Settings
from jarkkit.steps.preflight.unique_names import unique_names
from tests.support.stacks import resolved


def configuration(*folders: str) -> str:
    return "\n".join(
        file.read_text(encoding="utf-8")
        for file in sorted(terraform_folder().joinpath(*folders).rglob("*.tf"))
    )


def test_no_launch_template_lets_pods_get_the_nodes_credentials() -> None:
    text = configuration()
    assert set(re.findall(r"http_put_response_hop_limit\s*=\s*(\d+)", text)) == {"1"}
    assert text.count('aws_launch_template" ') == text.count("http_put_response_hop_limit")


def test_the_cluster_waits_for_the_second_range_of_its_vpc() -> None:
    # EKS recognizes a range that the VPC gets later only after up to five hours:
    # https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    outputs = terraform_folder().joinpath("modules", "network", "outputs.tf").read_text()
    (subnets,) = re.findall(r'output "private_subnet_ids" \{(.*?)\n\}', outputs, re.S)
    assert "depends_on = [aws_vpc_ipv4_cidr_block_association.pods]" in subnets
    assert "module.network[0].private_subnet_ids" in configuration()


def test_karpenter_hears_of_every_interruption_and_preflight_knows_the_rules() -> None:
    # https://karpenter.sh/docs/concepts/disruption/#interruption
    (events,) = re.findall(r"events = \{(.*?)\n  \}", configuration("modules", "karpenter"), re.S)
    rules = dict(
        re.findall(r'([a-z-]+)\s*=\s*\{ source = "[a-z0-9.]+", type = "([^"]+)" \}', events)
    )
    assert set(rules.values()) == {
        "AWS Health Event",
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "EC2 Capacity Reservation Instance Interruption Warning",
    }
    names = {
        each.name
        for each in unique_names(resolved(Settings(name="demo")), "123456789012")
        if each.terraform_type == "aws_cloudwatch_event_rule"
    }
    assert names == {f"demo-karpenter-{key}" for key in rules}


# A block of a resource, data source or module call, with its body.
BLOCK = re.compile(r'^(resource|data|module) "(\w+)"(?: "(\w+)")? \{\n(.*?)^\}', re.M | re.S)
MODULE_FOLDERS = sorted({file.parent for file in terraform_folder().rglob("*.tf")})
ADDRESSES = Path(__file__).with_name("terraform_addresses.txt")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the address in its module, and the body, of every block."""
    for kind, first, second, body in BLOCK.findall(text):
        yield ".".join(filter(None, (kind if kind != "resource" else "", first, second))), body


def module_text(folder: Path) -> str:
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))


def test_terraform_tests_name_every_block_whose_number_depends_on_a_variable() -> None:
    tests = "\n".join(
        file.read_text() for file in sorted(terraform_folder().glob("tests/*.tftest.hcl"))
    )
    depending = [
        address
        for address, body in blocks(module_text(terraform_folder()))
        if re.search(r"^  (count|for_each) +=", body, re.MULTILINE)
    ]
    assert len(depending) > 10
    assert [address for address in depending if address not in tests] == []


def test_every_declaration_is_used() -> None:
    for folder in MODULE_FOLDERS:
        text = module_text(folder)
        local_values = re.findall(r"^locals \{\n(.*?)^\}", text, re.M | re.S)
        names = [
            *(f"var.{name}" for name in re.findall(r'^variable "(\w+)"', text, re.M)),
            *(
                f"local.{n}"
                for part in local_values
                for n in re.findall(r"^  (\w+) +=", part, re.M)
            ),
            *(address for address, _ in blocks(text) if address.startswith("data.")),
        ]
        for name in names:
            used = re.sub(r'^variable "\w+" \{.*?^\}', "", text, flags=re.M | re.S)
            assert re.search(rf"\b{re.escape(name)}\b", used), f"{folder.name}: {name} is not used"


def addresses(folders: dict[str, str]) -> set[str]:
    """Return the addresses of all resources and module calls, each after its module."""
    return {
        f"{name}: {address}"
        for name, text in folders.items()
        for address, _ in blocks(text)
        if not address.startswith("data.")
    }


def gone(recorded: set[str], folders: dict[str, str]) -> set[str]:
    """Return the recorded addresses that no module has, and that no block accounts for.

    Args:
        folders: the text of each module by its name.
    """
    accounted = {
        f"{name}: {address}"
        for name, text in folders.items()
        for address in re.findall(r"^(?:moved|removed) \{\n  from += ([\w.]+)", text, re.M)
    }
    return recorded - addresses(folders) - accounted


def test_no_address_disappears_without_a_block_that_accounts_for_it() -> None:
    folders = {
        "root" if folder == terraform_folder() else folder.name: module_text(folder)
        for folder in MODULE_FOLDERS
    }
    recorded = set(ADDRESSES.read_text().splitlines())
    assert gone(recorded, folders) == set()
    missing = addresses(folders) - recorded
    assert missing == set(), f"Add the new addresses to {ADDRESSES.name}."


def test_a_renamed_resource_needs_a_moved_block() -> None:
    renamed = 'resource "aws_vpc" "main" {\n}\n'
    block = "moved {\n  from = aws_vpc.this\n  to   = aws_vpc.main\n}\n"
    assert gone({"network: aws_vpc.this"}, {"network": renamed}) == {"network: aws_vpc.this"}
    assert gone({"network: aws_vpc.this"}, {"network": renamed + block}) == set()
    assert gone({"network: aws_vpc.this"}, {"root": renamed + block}) == {"network: aws_vpc.this"}
