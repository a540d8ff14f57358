"""Checks of the add-ons that jarkkit will install."""

from __future__ import annotations

from jarkkit.decisions.addons import hub_address
from jarkkit.model.checks import Check
from jarkkit.steps.check_engine import CheckGroup, passed
from jarkkit.steps.preflight.context import CheckContext

CHECKS = CheckGroup[CheckContext]("Add-ons")


@CHECKS.check("Add-on dependencies")
def addons(context: CheckContext) -> Check:
    """Check that every enabled add-on has what it depends on. Raises JK-ADDON-INVALID."""
    context.stack.check_addons()
    return passed(f"{len(context.stack.addons)} add-ons")


@CHECKS.check("Add-on charts")
def charts(context: CheckContext) -> Check:
    """Check that every chart is available. Raises JK-CHART-MISSING."""
    if context.charts is None:
        return Check(name="", status="skip", found="this sandbox has no clusters")
    found = context.charts.find_all(context.stack.charts)
    real = sum(archive.real for archive in found)
    stubs = len(found) - real
    return passed(f"{real} real" + (f", {stubs} stub charts" if stubs else ""))


@CHECKS.check("JupyterHub login")
def hub_login(context: CheckContext) -> Check:
    """Check that JupyterHub's login can work."""
    settings, names = context.settings, context.stack.addon_names
    if "jupyterhub" not in names:
        return passed("JupyterHub is off")
    if settings.jupyterhub_domain and "aws-load-balancer-controller" not in names:
        return Check(
            name="",
            status="fail",
            found=f"{settings.jupyterhub_domain} without a load balancer",
            why="The add-on aws-load-balancer-controller, which makes it, is off.",
            fix="Switch the add-on aws-load-balancer-controller on, or remove jupyterhub_domain.",
        )
    if not hub_address.has_identity_provider(settings):
        return passed("one password for all")
    return passed(
        f"callback {hub_address.callback_url(settings)}",
        why="List this address at the identity provider as an allowed callback URL.",
    )
