"""Checks of the add-ons that jarkkit will install."""

from __future__ import annotations

from jarkkit.decisions.addons import hub_address
from jarkkit.decisions.addons.templating import is_known_reference, references
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


@CHECKS.check("Your own Helm values")
def user_values(context: CheckContext) -> Check:
    """Check the references in a user's values, and that their add-ons are enabled."""
    catalog = context.stack.catalog
    given = {name: addon.user_values for name, addon in catalog.items() if addon.user_values}
    for name, values in given.items():
        unknown = sorted(n for n in references(values) if not is_known_reference(n))
        if unknown:
            return Check(
                name="",
                status="fail",
                found=f"values/{name}.yaml refers to ${{{unknown[0]}}}",
                why="There is no such setting and no such output of Terraform.",
                fix=f"Correct values/{name}.yaml. Write $${{ for a text that contains ${{.",
            )
    if off := sorted(given.keys() - context.stack.addon_names):
        return Check(
            name="",
            status="warn",
            found=f"values for {', '.join(off)}, which is off",
            why="The values of an add-on that is off have no effect.",
            fix=f"Switch {off[0]} on, or delete values/{off[0]}.yaml.",
        )
    return passed(", ".join(given) or "none")


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
