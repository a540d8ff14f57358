"""The Systems Manager backend."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from moto.ssm.models import Parameter, ParameterDict, SimpleSystemManagerBackend

from jarkkit.sandbox.account import node_images

_PREFIXES = ("/aws/service/eks", "/aws/service/bottlerocket")


class Parameters(ParameterDict):
    """Parameters by name; the public ones for EKS nodes are loaded on first use."""

    def __init__(self, account_id: str, region_name: str) -> None:
        super().__init__(account_id, region_name)
        self.node_images_loaded = False

    def __reduce__(self) -> Any:
        # pickle cannot restore moto's own class, whose constructor has required arguments.
        return type(self), (self.account_id, self.region_name), vars(self), None, iter(self.items())

    def _check_loading_status(self, key: str) -> None:
        super()._check_loading_status(key)
        if not self.node_images_loaded and str(key or "").startswith(_PREFIXES):
            self.node_images_loaded = True
            for name, (value, day) in node_images.parameters(self.region_name).items():
                self.setdefault(name, [self._public(name, value, day)])

    def _public(self, name: str, value: str, day: Any) -> Parameter:
        return Parameter(  # type: ignore[abstract]
            account_id=self.account_id,
            name=name,
            value=value,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=day,
            version=1,
            data_type="aws:ec2:image" if name.endswith("/image_id") else "text",
        )


class SsmBackend(SimpleSystemManagerBackend):
    """Systems Manager of one account and Region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._parameters = Parameters(account_id, region_name)
        self._resource_tags = defaultdict(
            partial(defaultdict, dict)
        )  # pickle cannot save moto's lambda
