"""Verify the deployment against the account and the cluster, not against the state."""

from __future__ import annotations

from functools import partial

from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterState, DeployResult
from jarkkit.steps.aws_layer import AwsLayer
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.stack_checks.account import AccountCheckContext, check_account
from jarkkit.steps.stack_checks.cluster import (
    CUSTOM_CHECKS_FOLDER,
    ClusterCheckContext,
    check_cluster_layer,
)


def verify(layer: AwsLayer, connect: Connect | None = None, *, deep: bool = False) -> Report:
    """Check every part of both layers. Raises JK-PLAN-MISSING before a deploy.

    Args:
        connect: None in a sandbox without clusters, which skips the cluster layer.
        deep: also create a volume and a pod that uses it, then delete both.
    """
    deployed = layer.workspace.load("deployed", DeployResult)
    if deployed is None:
        raise JarkkitError(
            "JK-PLAN-MISSING", "Nothing is deployed yet.", "Deploy first: jarkkit deploy"
        )
    layer.target()
    cluster = layer.own_cluster()
    components = partial(layer.account.cluster_components, layer.settings.name)
    checks = check_account(AccountCheckContext(layer.stack, deployed, cluster, components))
    notes: tuple[str, ...] = ()
    if connect is not None and cluster is not None:
        context = ClusterCheckContext(
            kube=connect(deployed.outputs).kube,
            stack=layer.stack,
            custom_checks=layer.workspace.folder / CUSTOM_CHECKS_FOLDER,
            rehearsal=layer.workspace.rehearsal,
            deep=deep,
        )
        checks = (*checks, *check_cluster_layer(context))
        notes = _notes(context, layer.workspace.load("cluster", ClusterState) or ClusterState())
    checks = tuple(_with_diagnosis(check, layer.workspace.name) for check in checks)
    return Report(title="Does it work?", checks=checks, notes=notes)


def _with_diagnosis(check: Check, name: str) -> Check:
    """Point a failed check of an object that `diagnose` relates to others at its diagnosis."""
    if check.status != "fail" or not check.about or "jarkkit diagnose" in check.fix:
        return check
    if check.fix.startswith("kubectl "):  # a bare command, so the check already states the cause
        return check
    # First: a fix may end with a command, and nothing may follow that on its line.
    fix = f"To find the cause, run `jarkkit diagnose {name}`. {check.fix}".strip()
    return check.model_copy(update={"fix": fix})


def _notes(context: ClusterCheckContext, state: ClusterState) -> tuple[str, ...]:
    """Explain what a rehearsal proves."""
    if not context.rehearsal:
        return ()
    charts = {name: installed.real for name, installed in state.addons.items()}
    stubs = sorted(name for name, real in charts.items() if real is False)
    real = sum(real is True for real in charts.values())
    notes = [
        "Rehearsal: Kubernetes, Karpenter and the operators of Argo and Ray are real; other pods "
        "are simulated, so the rehearsal proves nothing about their images and programs."
    ]
    if stubs:
        notes.append(f"Charts: {real} real; stub charts from the catalog for {', '.join(stubs)}.")
    return tuple(notes)
