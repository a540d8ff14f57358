"""The comparison of terraform/ with another version of the provider."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tools.provider_schema import Bindings, used

CONFIGURATION = """resource "aws_eks_cluster" "this" {
  name  = var.name
  count = 1

  vpc_config {
    subnet_ids = [for s in aws_subnet.all : s.id]
  }

  dynamic "encryption_config" {
    for_each = [1]
    content {
      provider {
        key_arn = aws_kms_key.this[0].arn
      }
    }
  }

  tags = {
    Name = "not an argument"
  }

  lifecycle {
    ignore_changes = [name]
  }
}

data "aws_partition" "current" {}

output "name" {
  value = data.aws_partition.current.dns_suffix
}
"""
BINDINGS = '''
"""https://registry.terraform.io/providers/hashicorp/aws/6.25.0/docs"""
class EksCluster:
    def __init__(self, scope, *, name: str, vpc_config, encryption_config) -> None: ...
    @property
    def arn(self): ...
class EksClusterVpcConfig:
    def __init__(self, *, security_group_ids) -> None: ...
class EksClusterEncryptionConfig:
    def __init__(self, *, provider) -> None: ...
class EksClusterEncryptionConfigProvider:
    def __init__(self, *, key_arn) -> None: ...
'''


def test_what_the_configuration_uses() -> None:
    found = used([CONFIGURATION])
    assert found["aws_eks_cluster"].arguments == {
        "name",
        "vpc_config",
        "vpc_config.subnet_ids",
        "encryption_config",
        "encryption_config.provider",
        "encryption_config.provider.key_arn",
        "tags",
    }
    assert found["aws_kms_key"].attributes == {"arn"}
    assert found["data.aws_partition"].attributes == {"dns_suffix"}


def test_what_another_version_does_not_have(tmp_path: Path) -> None:
    wheel = tmp_path / "bindings.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("bindings/py.typed", "")
        archive.writestr("bindings/eks_cluster/__init__.py", BINDINGS)
    bindings, usage = Bindings(wheel), used([CONFIGURATION])["aws_eks_cluster"]
    usage.attributes = {"arn", "certificate"}
    assert bindings.version() == "6.25.0"
    assert bindings.missing("aws_eks_cluster", usage) == (
        "tags",
        "vpc_config.subnet_ids",
        "certificate (attribute)",
    )
