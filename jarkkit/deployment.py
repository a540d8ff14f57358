"""A deployment with its ports: one short method per step. Composition only."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import psutil

from jarkkit.catalog.drills import drill as drilled
from jarkkit.decisions.cluster.cluster_map import ClusterMap, cluster_map
from jarkkit.decisions.costs.bill import SESSION_HOURS
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.drills import why_not_runnable
from jarkkit.decisions.durations.estimate import (
    DurationEstimate,
    DurationEstimates,
    estimate_durations,
)
from jarkkit.decisions.network_layout import check_layout
from jarkkit.decisions.permissions import AppliedPermissions, Statement, deployment_statements
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.redaction import StrictRedactor, secret_variables, sensitive_values
from jarkkit.decisions.regions import RegionComparison
from jarkkit.decisions.rehearsal_environment import NO_SANDBOX_ENDPOINT, rehearsal_environment
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.decisions.support_bundle import SupportBundle
from jarkkit.model.checks import Report
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError, VersionDrift
from jarkkit.model.events import StepEvent, stamp_all
from jarkkit.model.port_answers import ClusterToken
from jarkkit.model.records import (
    Caller,
    DeploymentStatus,
    DeployResult,
    Event,
    LedgerEntry,
    NetworkLayout,
    Plan,
    Receipt,
    Step,
    Target,
)
from jarkkit.ports.archives import write_archive
from jarkkit.ports.aws import Account
from jarkkit.ports.charts import ChartStore, chart_cache, stub_chart_folder
from jarkkit.ports.helm import Helm
from jarkkit.ports.kube import Kube
from jarkkit.ports.machine import LocalMachine
from jarkkit.ports.paths import (
    DEPLOYMENTS,
    deployment_names,
    find_home,
    local_paths,
    sandbox_home,
    terraform_folder,
)
from jarkkit.ports.terraform import Terraform
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from jarkkit.settings.sources import read_environment, read_yaml
from jarkkit.steps import (
    cleanup,
    cost,
    deploy,
    diagnose,
    drill,
    plan,
    preflight,
    quotas,
    regions,
    status,
    support,
    use,
    verify,
)
from jarkkit.steps.aws_layer import APPLIED_PERMISSIONS, LAYOUT, AwsLayer
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.cluster_layer import ClusterLayer, Connect
from jarkkit.steps.cluster.install_state import InstallState
from jarkkit.steps.cluster.web_uis import Login
from jarkkit.steps.cost import Cost
from jarkkit.steps.ledger import log_ended, log_started, recorded
from jarkkit.steps.own_cluster import recorded_endpoint
from jarkkit.steps.preflight import CheckContext
from jarkkit.steps.queries import node_history
from jarkkit.steps.queries.past_durations import history_on_aws
from jarkkit.steps.queries.pricing_query import PricingQuery
from jarkkit.steps.queries.quota_table import quota_table
from jarkkit.steps.queries.region_snapshot import RegionSnapshot, region_snapshot
from jarkkit.steps.quotas import QuotaIncreaseRequest, QuotaIncreaseResult
from jarkkit.steps.status import ObservedCluster
from jarkkit.steps.use import Examples, WebEndpoints, WorkloadResult

R = TypeVar("R")
# Seconds during which calls to a cluster's API that does not answer are retried: it may be
# restarting, which takes longer on a busy machine. A diagnosis, a plan and the cost do not wait for
# that.
_RETRY_SECONDS = 60.0
_SHORT_RETRY_SECONDS = 4.0


class Deployment:
    """An open deployment. Use `Deployment.open` or `.create`; tests pass their own ports."""

    def __init__(
        self,
        workspace: Workspace,
        environ: Mapping[str, str],
        *,
        account: Account | None = None,
        terraform: Terraform | None = None,
        connect: Connect | None = None,
        machine: LocalMachine | None = None,
    ) -> None:
        self.workspace = workspace
        self._environ = environ
        self._account = account
        self._terraform = terraform
        self._connecting = connect
        self._machine = machine

    @classmethod
    def open(
        cls,
        name: str = "",
        *,
        home: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Open a deployment; without a name, the only one that exists.

        Raises JK-DEPLOYMENT-MISSING, JK-TARGET-REHEARSAL.
        """
        environ = os.environ if environ is None else environ
        home = home or find_home(environ)
        workspace = Workspace(home / DEPLOYMENTS / (name or _only_deployment(home)))
        if not workspace.exists:
            raise JarkkitError(
                "JK-DEPLOYMENT-MISSING",
                f"There is no deployment {workspace.name!r} in {DEPLOYMENTS}/.",
                f"Create it: run jarkkit init {workspace.name} --sandbox for a rehearsal, or "
                "without --sandbox for your account. Or start with the notebook 00-start.",
            )
        return cls(workspace, _environment(workspace, home, environ))

    @classmethod
    def create(
        cls,
        name: str,
        *,
        rehearsal: bool,
        values: Mapping[str, Any] | None = None,
        home: Path | None = None,
        environ: Mapping[str, str] | None = None,
        exist_ok: bool = False,
    ) -> Self:
        """Create a deployment's folder with its settings: `values` override the environment's.

        With `exist_ok`, open an existing deployment and apply the values to it; a rehearsal stays
        a rehearsal, a real deployment stays real.

        Raises JK-DEPLOYMENT-EXISTS, JK-TARGET-MISMATCH, JK-SETTINGS-…
        """
        environ = os.environ if environ is None else environ
        home = home or find_home(environ)
        given = {**read_environment(environ), **(values or {}), "name": name}
        settings = Settings.from_values(given, source=f"the settings of {name}")
        workspace = Workspace(home / DEPLOYMENTS / settings.name)
        if not workspace.exists:
            workspace.create(settings, rehearsal=rehearsal)
            return cls.open(name, home=home, environ=environ)
        if not exist_ok:
            raise JarkkitError(
                "JK-DEPLOYMENT-EXISTS",
                f"A deployment {name!r} already exists.",
                f"Continue with it (jarkkit status {name}) or choose another name.",
            )
        if workspace.rehearsal != rehearsal:
            kind = "a rehearsal" if workspace.rehearsal else "a deployment in a real account"
            raise JarkkitError(
                "JK-TARGET-MISMATCH",
                f"{name!r} is {kind}, and you cannot change that.",
                "Choose another name for a deployment of the other kind.",
            )
        deployment = cls.open(name, home=home, environ=environ)
        if values:
            deployment.configure(values)
        return deployment

    # -- facts ---------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.workspace.name

    @property
    def folder(self) -> Path:
        """The deployment's folder."""
        return self.workspace.folder

    @property
    def rehearsal(self) -> bool:
        """True when the deployment lives in a sandbox."""
        return self.workspace.rehearsal

    @property
    def settings(self) -> Settings:
        """The settings as they are on disk now."""
        return self.workspace.settings()

    def permissions(self, account: str = "*") -> tuple[Statement, ...]:
        """Return the permissions for its settings, and to remove what earlier settings created.

        Args:
            account: the account's ID; `*` for any account.
        """
        applied = self.workspace.load(APPLIED_PERMISSIONS, AppliedPermissions)
        return deployment_statements(self.stack, applied, account)

    @property
    def stack(self) -> ResolvedStack:
        """What these settings mean: add-ons, nodes, images, permissions."""
        return ResolvedStack.from_settings(self.settings, user_values=self.workspace.chart_values())

    @property
    def has_clusters(self) -> bool:
        """False in a sandbox that simulates only the account: it has no cluster layer."""
        return self._connect() is not None

    def caller_identity(self) -> Caller:
        """Return the principal whose credentials are in use."""
        return self._reachable_layer().account.caller()

    def token(self) -> ClusterToken:
        """Return a bearer token for the cluster's API.

        Raises JK-TARGET-REHEARSAL, JK-AWS-NO-CREDENTIALS.
        """
        return self._reachable_layer().account.cluster_token(self.settings.name)

    # -- steps ---------------------------------------------------------------------------------

    def configure(self, changes: Mapping[str, Any] | Settings) -> Settings:
        """Save settings, given complete or as changes by name. Raises JK-SETTINGS-…"""
        before = self.settings
        after = changes if isinstance(changes, Settings) else before.with_changes(changes)
        if after.name != self.name:
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                f"A deployment keeps its name: you cannot rename {self.name!r} to {after.name!r}.",
                f"Create another deployment: jarkkit init {after.name}",
            )
        check_layout(after, self.workspace.load(LAYOUT, NetworkLayout))
        with self.workspace.exclusive_lock():
            self.workspace.save_settings(after)
            self.workspace.record(
                LedgerEntry(time=now(), step="configure", status="finished", digest=after.digest())
            )
        return after

    def check_tools(self) -> Report:
        """Run the preflight checks that need no account."""
        return preflight.check_tools(self._check_context(self._layer()))

    def preflight(self, *, refresh: bool = False) -> Report:
        """Check whether it will work here. Saved as reports/preflight.

        Args:
            refresh: ignore cached AWS responses.
        """
        log_started(self.name, "preflight")
        layer = self._reachable_layer()
        if refresh:
            layer.account.ignore_cache()
        context = self._check_context(layer, self._charts() if self._connect() else None)
        report = preflight.preflight(context)
        return self._save_report("preflight", report, layer.settings.digest())

    def quota_table(self, *, refresh: bool = False) -> QuotaTable:
        """Compare the service quotas that it needs with the account's. Saved as reports/quotas.

        Args:
            refresh: ignore cached AWS responses.
        """
        layer = self._reachable_layer()
        if refresh:
            layer.account.ignore_cache()
        found = quota_table(layer.account, layer.stack)
        self.workspace.save("reports/quotas", found)
        return found

    def request_quota_increase(self, request: QuotaIncreaseRequest) -> QuotaIncreaseResult:
        """Send a quota increase request, unless one is already open."""
        return quotas.request_increase(self._reachable_layer().account, request)

    def compare_regions(
        self, only: Sequence[str] = (), *, settings: Settings | None = None, refresh: bool = False
    ) -> RegionComparison:
        """Compare all enabled Regions, or the named ones. Saved as reports/regions.

        Args:
            settings: compare for these instead of the deployment's own.
            refresh: ignore cached AWS responses.
        """
        account = self._reachable_layer().account
        if refresh:
            account.ignore_cache()
        table = PriceTable.shipped()
        found = regions.compare_regions(
            account, settings or self.settings, table, made=now(), only=only
        )
        self.workspace.save("reports/regions", found)
        return found

    def region_snapshot(self, settings: Settings | None = None) -> RegionSnapshot:
        """Query the settings' Region for prices, quotas and offerings.

        The snapshot evaluates changed settings without further calls. Raises JK-TARGET-REHEARSAL.
        """
        settings = settings or self.settings
        account = self._reachable_layer().account.in_region(settings.region)
        stack = ResolvedStack.from_settings(settings)
        return region_snapshot(account, stack, history_on_aws(self.workspace))

    def region_names(self) -> tuple[str, ...]:
        """Return the Regions that have EKS according to the SDK's data. Makes no calls."""
        return self._layer().account.known_regions()

    def plan(self, *, upgrade: bool = False) -> Generator[Event, None, Plan]:
        """Create a plan and save it.

        Args:
            upgrade: move EKS add-ons and node images to the newest versions; without it, they stay
                at those that the first plan pinned.
        """
        connect = self._connect(_SHORT_RETRY_SECONDS)
        work = plan.plan(self._reachable_layer(), connect, upgrade=upgrade)
        return self._recorded("plan", work)

    def deploy(
        self,
        *,
        confirm: str = "",
        agreed: bool = True,
        allow_orphans: bool = False,
        skip_preflight: bool = False,
    ) -> Generator[Event, None, DeployResult]:
        """Apply the plan, or continue where an earlier run stopped.

        Raises JK-CONFIRM and JK-PREFLIGHT-BLOCKED before anything changes.

        Args:
            confirm: the deployment's name, as you typed it. A plan that destroys or replaces what
                users would lose needs it (`Plan.losses`), also in a rehearsal.
            agreed: that it costs money in a real account, where a view asked you.
            allow_orphans: replace a cluster even if it cannot be emptied first: what its
                controllers created is left. Without it: JK-CLUSTER-NOT-EMPTIED.
            skip_preflight: deploy even if the last preflight of these settings failed.
        """
        if not agreed and not self.rehearsal:
            raise JarkkitError(
                "JK-CONFIRM",
                "This deploys to a real AWS account, which costs money, and you did not agree.",
                "Agree in the cell above (or set agree = True), then run this cell again.",
            )
        layer = self._reachable_layer()
        deploy.check_confirmation(layer, confirm)
        if not skip_preflight:
            layer.require_preflight()
        work = deploy.deploy(
            layer, self._connect(), self._charts(), confirm=confirm, allow_orphans=allow_orphans
        )
        return self._recorded("deploy", work)

    def verify(self, *, deep: bool = False) -> Report:
        """Check whether it works. Saved as reports/verify.

        Args:
            deep: also create a volume and delete it again.
        """
        log_started(self.name, "verify")
        report = verify.verify(self._reachable_layer(), self._connect(), deep=deep)
        self._record_nodes()
        return self._save_report("verify", report)

    def cluster_map(self) -> ClusterMap:
        """Map pods to nodes; empty in a sandbox without clusters. Saved as reports/map.

        Raises JK-PLAN-MISSING, JK-TARGET-…, JK-KUBE-…
        """
        found = ClusterMap(made=now(), nodes=(), pods=())
        if self.has_clusters:
            kube = self._kube()
            nodes, pods = kube.list("v1", "Node"), kube.list("v1", "Pod")
            found = cluster_map(self.stack, nodes, pods, made=now())
        self.workspace.save("reports/map", found)
        return found

    def diagnose(self) -> Report:
        """Find out why it is broken. Saved as reports/diagnose where possible.

        It checks everything in parallel, changes nothing, and works at any time, even while a step
        is running.
        """
        context = diagnose.DiagnosisContext(
            self.workspace,
            get_layer=self._reachable_layer,
            connect=partial(self._connect, _SHORT_RETRY_SECONDS),
            get_status=self.status,
        )
        report = diagnose.diagnose(context)
        with contextlib.suppress(JarkkitError):
            self.workspace.save("reports/diagnose", report)
            self._record_nodes(in_cluster=False)
        return report

    def support_bundle(self) -> SupportBundle:
        """Collect what a bug report needs, without secrets: files, logs, versions, a diagnosis, and
        what failed in the cluster. Writes no archive.

        It changes nothing in the account or the cluster, works at any time, and raises nothing for
        a part that it cannot read: `unread` names it.
        """
        terraform = self._terraform or Terraform(self.folder, self._environ, self.workspace.new_log)
        words = sensitive_values(
            local_paths(self.folder.parents[1]), secrets=secret_variables(self._environ)
        )
        context = support.SupportContext(
            self.workspace,
            self._machine or LocalMachine(self._environ),
            terraform,
            StrictRedactor(words),
            diagnose=self.diagnose,
            get_kube=partial(self._kube, _SHORT_RETRY_SECONDS),
        )
        return support.support_bundle(context)

    def save_support_bundle(
        self, bundle: SupportBundle, out: Path | None = None, *, overwrite: bool = False
    ) -> Path:
        """Write the archive (tar.gz, mode 0600); return its path.

        Raises JK-FILE-EXISTS, JK-WORKSPACE-WRITE.

        Args:
            out: the file; by default one with the current time, in the deployment's folder.
            overwrite: replace the file if it exists.
        """
        path = out or self.folder / bundle.file_name
        write_archive(path, bundle.contents(), overwrite=overwrite)
        return path

    def why_drill_not_runnable(self, name: str) -> str:
        """Explain why a drill cannot run here; empty when it can. Makes no calls.

        Raises JK-DRILL-UNKNOWN, and JK-DRILL-REFUSED in a real account.
        """
        if not self.rehearsal:
            raise drill.real_account_error(self.name)
        deployed = self.last_deploy_result() is not None
        return why_not_runnable(
            drilled(name), self.stack, deployed=deployed, clusters=self.has_clusters
        )

    def inject_drill(self, name: str) -> None:
        """Expose the cluster to a drill's fault. Raises JK-DRILL-REFUSED, JK-KUBE-…"""
        if not self.rehearsal:
            raise drill.real_account_error(self.name)
        if drilled(name).needs_cluster:
            drill.inject(self._kube(), drilled(name))

    def revert_drill(self, name: str) -> None:
        """Delete what a drill created in the cluster. Raises JK-DRILL-REFUSED, JK-KUBE-…"""
        if not self.rehearsal:
            raise drill.real_account_error(self.name)
        if drilled(name).objects:
            drill.revert(self._kube())

    def examples(self) -> Examples:
        """List the example workloads, each with the reason if it cannot run. Makes no calls."""
        return use.examples(self.stack)

    def use(self, workload: str) -> Generator[Event, None, WorkloadResult]:
        """Run an example workload and delete it afterwards."""
        if self._connect() is None:
            skipped = use.skip_without_cluster(workload, deploy.NO_CLUSTER_MESSAGE)
            return stamp_all(skipped, "use")
        work = use.run_example(self._kube(), self.stack, workload, rehearsal=self.rehearsal)
        return self._recorded("use", self._with_nodes(work))

    def endpoints(self) -> WebEndpoints:
        """List the add-ons' web UIs. Makes no calls."""
        return use.web_endpoints(self.stack)

    def open_endpoint(self, name: str, port: int = 0) -> AbstractContextManager[str]:
        """Forward a local port to a web UI; the context's value is its URL.

        Args:
            port: port on this machine; 0 for the one that the login needs, else any free one.
        """
        found = web_uis.find_endpoint(self.stack, name)
        return web_uis.open_endpoint(self._kube(), found, port)

    def login(self, name: str) -> Login:
        """Read a web UI's user and password from the cluster; they are stored nowhere."""
        return web_uis.login(self._kube(), web_uis.find_endpoint(self.stack, name))

    def cleanup(self, *, confirm: str) -> Generator[Event, None, Receipt]:
        """Destroy everything and verify it. `confirm` is the deployment's name, as you typed it."""
        cleanup.require_confirmation(self.name, confirm)
        work = cleanup.cleanup(self._reachable_layer(), self._connect())
        return self._recorded("cleanup", self._with_nodes(work, in_cluster=False))

    def cleanup_report(self) -> Report | None:
        """Return the last cleanup's receipt as a report; None before the first."""
        receipt = self.last_receipt()
        return cleanup.receipt_report(receipt) if receipt else None

    def bill(self) -> Bill:
        """Estimate what it costs. Calls AWS only for Spot prices where a pool may use Spot."""
        pricing = self._pricing()
        return pricing.bill(pricing.price_table())

    def cost(self, *, hours: float = SESSION_HOURS, refresh: bool = False) -> Cost:
        """Calculate the cost per hour, per session and per month, and what was spent so far.

        It calls AWS only for the resources that exist now, for Spot prices where a pool may use
        Spot, and with `refresh` for today's list prices.

        Args:
            hours: length of a session.
        """
        receipt, entries = self.last_receipt(), self.ledger_entries()
        pricing = self._pricing(hours, refresh=refresh)
        self._record_nodes(in_cluster=False)
        nodes = node_history.load(self.workspace)
        return cost.cost(
            pricing,
            entries,
            receipt,
            rehearsal=self.rehearsal,
            endpoint=recorded_endpoint(self.workspace),
            nodes=nodes,
        )

    def estimate_duration(self) -> DurationEstimates:
        """Estimate how long a deploy and a cleanup take on AWS, with the critical path.

        Earlier real deployments in this home count; rehearsals do not. Makes no calls.
        """
        return estimate_durations(self.stack, history_on_aws(self.workspace))

    def status(self, *, ask: bool = False) -> DeploymentStatus:
        """Return the current state and the next command.

        Args:
            ask: whether to ask EKS for the cluster's version, which AWS upgrades by itself at the
                end of standard support; otherwise it makes no calls.
        """
        planned = self.last_plan()
        return status.status(
            self.name,
            entries=self.ledger_entries(),
            plan=planned,
            deployed=self.last_deploy_result(),
            receipt=self.last_receipt(),
            target=self.workspace.load("target", Target),
            settings_changed=planned is not None and self._changed_since(planned),
            running=self.workspace.is_locked or self._layer().terraform.running,
            takes=expected.brief if (expected := self._expected_duration("deploy")) else "",
            observed=self._observed_cluster() if ask else None,
        )

    def _observed_cluster(self) -> ObservedCluster | None:
        deployed, last = self.last_deploy_result(), status.last_change(self.ledger_entries())
        if deployed is None or self._has_no_account:
            return None
        if last is not None and last.step == "cleanup":
            return None  # an incomplete cleanup may have deleted the cluster already
        target = self.workspace.load("target", Target)
        account = self._layer().account.without_retries()
        return status.observe_cluster(account, self.settings, deployed, target)

    # -- what is on disk ----------------------------------------------------------------------

    def last_plan(self) -> Plan | None:
        """Return the saved plan."""
        return self.workspace.load("plan", Plan)

    def unapplied_plan(self) -> Plan | None:
        """Return the saved plan if a deploy would apply it; None if it was applied already."""
        planned, deployed = self.last_plan(), self.last_deploy_result()
        applied = planned and deployed and deployed.time > planned.made
        return None if applied else planned

    def recorded_plan(self) -> Plan | None:
        """Return the last plan, even if it was applied and cleaned up since."""
        return self.workspace.load("reports/plan", Plan)

    def last_deploy_result(self) -> DeployResult | None:
        """Return the result of the last deploy."""
        return self.workspace.load("deployed", DeployResult)

    def last_receipt(self) -> Receipt | None:
        """Return the last cleanup's receipt."""
        return self.workspace.load("receipt", Receipt)

    def last_report(self, kind: Literal["preflight", "verify", "diagnose"]) -> Report | None:
        """Return the step's last report."""
        return self.workspace.load(f"reports/{kind}", Report)

    def last_quota_table(self) -> QuotaTable | None:
        """Return the last comparison with the account's quotas."""
        return self.workspace.load("reports/quotas", QuotaTable)

    def last_cluster_map(self) -> ClusterMap | None:
        """Return the last saved map of pods to nodes."""
        return self.workspace.load("reports/map", ClusterMap)

    def last_region_comparison(self) -> RegionComparison | None:
        """Return the last region comparison."""
        return self.workspace.load("reports/regions", RegionComparison)

    def events(self, step: Step | None = None) -> tuple[Event, ...]:
        """Return the recorded events, oldest first."""
        return self.workspace.events(step)

    def ledger_entries(self) -> tuple[LedgerEntry, ...]:
        """Return the ledger, oldest first."""
        return self.workspace.ledger_entries()

    def raw_log(self) -> Path | None:
        """Return the path of Terraform's newest raw log."""
        return self.workspace.newest_log()

    # -- plumbing ------------------------------------------------------------------------------

    def _layer(self) -> AwsLayer:
        stack = self.stack
        return AwsLayer(
            workspace=self.workspace,
            account=self._account or Account(stack.settings.region, self._environ),
            terraform=self._terraform
            or Terraform(self.folder, self._environ, self.workspace.new_log),
            stack=stack,
            source=terraform_folder(),
            pace=_pace(self._environ),
        )

    def _reachable_layer(self) -> AwsLayer:
        """Return the layer for a step that calls the account. Raises JK-TARGET-REHEARSAL."""
        if self._has_no_account:
            raise JarkkitError(
                "JK-TARGET-REHEARSAL",
                f"Deployment {self.name!r} is a rehearsal, and no sandbox is running.",
                "Start it: jarkkit sandbox up --detach. Its account is as you left it.",
            )
        return self._layer()

    def _check_context(self, layer: AwsLayer, charts: ChartStore | None = None) -> CheckContext:
        machine = self._machine or LocalMachine(self._environ)
        return CheckContext(
            layer.stack, layer.account, layer.terraform, self.workspace, charts, machine
        )

    def _pricing(self, hours: float = SESSION_HOURS, *, refresh: bool = False) -> PricingQuery:
        account = None if self._has_no_account else self._layer().account
        return PricingQuery(self.stack, account, hours, refresh)

    @property
    def _has_no_account(self) -> bool:
        """True for a rehearsal whose sandbox is not running."""
        return (
            self._environ.get("AWS_ENDPOINT_URL") == NO_SANDBOX_ENDPOINT and self._account is None
        )

    def _connect(self, retry_seconds: float = _RETRY_SECONDS) -> Connect | None:
        """Return how to reach the cluster's API; None in a sandbox without clusters."""
        if self._connecting is not None:
            return self._connecting
        if self._environ.get("JARKKIT_SANDBOX_ACCOUNT_ONLY"):
            return None
        layer = self._layer()
        return lambda outputs: self._cluster(layer, outputs, retry_seconds)

    def _kube(self, retry_seconds: float = _RETRY_SECONDS) -> Kube:
        """Return the deployed cluster's API client.

        Raises JK-PLAN-MISSING, JK-TARGET-…, JK-USE-UNKNOWN.
        """
        layer, connect = self._reachable_layer(), self._connect(retry_seconds)
        deployed = self.last_deploy_result()
        if deployed is None:
            raise JarkkitError(
                "JK-PLAN-MISSING", "Nothing is deployed yet.", "Deploy first: jarkkit deploy"
            )
        if connect is None:
            raise JarkkitError(
                "JK-USE-UNKNOWN",
                "This sandbox simulates only the account: it has no cluster to use.",
                "Start one with clusters: jarkkit sandbox down, then jarkkit sandbox up",
            )
        layer.target()
        return connect(deployed.outputs).kube

    def _charts(self) -> ChartStore:
        """Return the chart cache; in a rehearsal, with the sandbox's stub charts."""
        stubs = stub_chart_folder(self._environ) if self.rehearsal else None
        return ChartStore(chart_cache(self._environ), stubs)

    def _cluster(
        self, layer: AwsLayer, outputs: Mapping[str, Any], retry_seconds: float
    ) -> ClusterLayer:
        account, settings = layer.account, layer.settings
        endpoint = str(outputs["cluster_endpoint"])
        authority = str(outputs["cluster_certificate_authority"])
        token = partial(account.cluster_token, settings.name)
        return ClusterLayer(
            install_state=InstallState(self.workspace, outputs),
            stack=layer.stack,
            outputs=outputs,
            kube=Kube(endpoint, authority, token, retry_seconds=retry_seconds),
            helm=Helm(endpoint, authority, token, retry_seconds=retry_seconds),
            charts=self._charts(),
            latest_ami_version=partial(account.node_image_version, settings.cluster_version),
            resolve_secret=partial(_secret, account, self._environ),
        )

    def _changed_since(self, planned: Plan) -> bool:
        return planned.digest != self._layer().digest(planned.target)

    def _expected_duration(self, step: Step) -> DurationEstimate | None:
        """Return the estimated duration; None for other steps and for contradictory settings."""
        if step in ("deploy", "cleanup"):
            with contextlib.suppress(JarkkitError):
                found = self.estimate_duration()
                return found.deploy if step == "deploy" else found.cleanup
        return None

    def _recorded(
        self, step: Step, work: Generator[StepEvent, None, R]
    ) -> Generator[Event, None, R]:
        expected = self._expected_duration(step)
        return recorded(
            self.workspace,
            step,
            work,
            digest=self.settings.digest(),
            expected=expected.seconds if expected else None,
        )

    def _with_nodes(
        self, work: Generator[StepEvent, None, R], *, in_cluster: bool = True
    ) -> Generator[StepEvent, None, R]:
        """Record the nodes of Karpenter before and after a step that starts or ends some."""
        self._record_nodes(in_cluster=in_cluster)
        result = yield from work
        self._record_nodes(in_cluster=in_cluster)
        return result

    def _record_nodes(self, *, in_cluster: bool = True) -> None:
        """Record which nodes of Karpenter ran; an error leaves a gap and stops nothing."""
        if self._has_no_account or not any(e.step == "deploy" for e in self.ledger_entries()):
            return
        with contextlib.suppress(JarkkitError):
            layer = self._layer()
            layer.target()  # in another account, all of them would seem to have ended
            connect = self._connect(_SHORT_RETRY_SECONDS) if in_cluster else None
            deployed = self.last_deploy_result()
            kube = connect(deployed.outputs).kube if connect and deployed else None
            node_history.record(self.workspace, layer.account, self.name, kube)

    def _save_report(
        self, step: Literal["preflight", "verify"], report: Report, digest: str = ""
    ) -> Report:
        log_ended(self.name, step, f"finished: {report.verdict}")
        drift = next((c for c in report.checks if VersionDrift.has_code(c.code)), None)
        self.workspace.save(f"reports/{step}", report)
        self.workspace.record(
            LedgerEntry(
                time=now(),
                step=step,
                status="finished" if report.ok else "failed",
                digest=digest,
                code=drift.code if drift else "",
                message=report.verdict if drift is None else drift.why or drift.found,
            )
        )
        return report


def check_machine(environ: Mapping[str, str] | None = None) -> Report:
    """Check whether this machine is ready: the preflight checks that need no account."""
    environ = os.environ if environ is None else environ
    home = find_home(environ)
    settings = Settings()
    context = CheckContext(
        ResolvedStack.from_settings(settings),
        Account(settings.region, environ),
        Terraform(home, environ, lambda what: home / f"{what}.log"),
        Workspace(home),
        machine=LocalMachine(environ),
    )
    return preflight.check_tools(context)


def compare_regions(
    settings: Settings,
    only: Sequence[str] = (),
    *,
    environ: Mapping[str, str] | None = None,
    refresh: bool = False,
) -> RegionComparison:
    """Compare Regions without a deployment: for these settings, in the environment's account."""
    account = Account(settings.region, os.environ if environ is None else environ)
    if refresh:
        account.ignore_cache()
    return regions.compare_regions(account, settings, PriceTable.shipped(), made=now(), only=only)


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read the values in a settings file, without checking them against each other.

    Raises JK-SETTINGS-MISSING, JK-SETTINGS-SYNTAX.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JarkkitError(
            "JK-SETTINGS-MISSING",
            f"Cannot read the settings file {path} ({error}).",
            "Check its path. `jarkkit init NAME` writes one that explains every setting.",
        ) from error
    return read_yaml(text, str(path))


def _secret(account: Account, environ: Mapping[str, str], reference: str) -> str:
    """Resolve a reference to a secret. Raises JK-SETTINGS-MISSING, JK-AWS-…"""
    if not reference.startswith("env:"):
        return account.secret(reference)
    name = reference.removeprefix("env:")
    if value := environ.get(name):
        return value
    raise JarkkitError(
        "JK-SETTINGS-MISSING",
        f"The settings refer to the environment variable {name}, which is not set.",
        f"Set it where jarkkit runs: export {name}=…",
    )


def _only_deployment(home: Path) -> str:
    names = deployment_names(home)
    if len(names) == 1:
        return names[0]
    known = f"These exist: {', '.join(names)}." if names else "None exists yet."
    raise JarkkitError(
        "JK-DEPLOYMENT-MISSING",
        f"You named no deployment. {known}",
        f"Name one of them at the end of the command, such as jarkkit status {names[0]}."
        if names
        else "Create one: jarkkit init demo --sandbox",
    )


def _environment(workspace: Workspace, home: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment for AWS calls; a rehearsal finds its sandbox in sandbox.json."""
    if not workspace.rehearsal:
        return environ
    return rehearsal_environment(environ, _running_sandbox(home))


def _pace(environ: Mapping[str, str]) -> float:
    """Return how long AWS takes compared with the real one, by the sandbox's speed."""
    speed = environ.get("JARKKIT_SANDBOX_SPEED", "")
    if not speed:
        return 1.0
    return 1.0 / float(speed) if float(speed) else 0.0


def _running_sandbox(home: Path) -> dict[str, str] | None:
    """Return the environment variables of the home's sandbox; None if none is running."""
    try:
        known = json.loads((sandbox_home(home) / "sandbox.json").read_text())
        return dict(known["env"]) if psutil.pid_exists(known["pid"]) else None
    except (OSError, ValueError, KeyError):
        return None
