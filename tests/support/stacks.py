"""Settings and stacks for tests."""

from __future__ import annotations

from typing import Any

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.stack import ResolvedStack

resolved = ResolvedStack.from_settings

# Without Karpenter: the provider waits half a minute for its queue alone.
SMALL: dict[str, Any] = {"karpenter": False, "accelerators": []}
# Without add-ons that Helm installs: for tests of other features.
BARE: dict[str, Any] = {
    **SMALL,
    "addons": {
        a.name: False
        for a in addon_catalog().values()
        if a.install != "eks" and a.default and a.name != "karpenter"
    },
}
