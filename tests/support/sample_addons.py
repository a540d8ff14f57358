"""Add-ons that are not in the catalog."""

from __future__ import annotations

from typing import Any

from jarkkit.catalog.addons import Addon


def sample_addon(name: str = "demo", **more: Any) -> Addon:
    """Return an add-on in the form of the catalog."""
    chart = {"repository": "https://x", "name": name, "version": "1.2.3", "release": name}
    return Addon.model_validate(
        {
            "name": name,
            "title": "Demo",
            "what": "A demo.",
            "group": "Jobs",
            "install": "helm",
            "namespace": "demos",
            "chart": chart,
            "link": "https://x",
            **more,
        }
    )


def addon(name: str, *needs: str, core: bool = False) -> Addon:
    """Return an add-on of manifests that needs others."""
    return Addon.model_validate(
        {
            "name": name,
            "title": name,
            "what": "A test.",
            "group": "Jobs",
            "install": "manifests",
            "namespace": name,
            "needs": needs,
            "core": core,
            "link": "https://example.org",
        }
    )
