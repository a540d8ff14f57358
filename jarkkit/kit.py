"""The kit: one deployment with its ports, one short method per step. Composition only."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import psutil

from jarkkit.addons.choice import chosen
from jarkkit.aws import Account
from jarkkit.aws_layer import AwsLayer
from jarkkit.charts import Charts, chart_cache, stand_in_folder
from jarkkit.checks import Report
from jarkkit.clock import now
from jarkkit.cluster import places
from jarkkit.cluster.layer import ClusterLayer, Connect
from jarkkit.cluster.map import ClusterMap, cluster_map
from jarkkit.cluster.memory import ClusterMemory
from jarkkit.cluster.places import Login
from jarkkit.costs.bill import Bill
from jarkkit.costs.lines import SESSION_HOURS
from jarkkit.costs.table import PriceTable
from jarkkit.drills import drill as drilled
from jarkkit.drills import hindrance
from jarkkit.durations.whole import Estimate, Times, times
from jarkkit.errors import JarkkitError
from jarkkit.helm import Helm
from jarkkit.home import DEPLOYMENTS, deployments, find_home, sandbox_home, terraform_folder
from jarkkit.inquiries.costing import Costing
from jarkkit.inquiries.past import past_on_aws
from jarkkit.inquiries.prospect import Prospect, prospect
from jarkkit.inquiries.quota_table import quota_table
from jarkkit.journal import journaled
from jarkkit.kube import Kube
from jarkkit.machine import Machine
from jarkkit.quotas.table import QuotaTable
from jarkkit.records import (
    Caller,
    Deployed,
    Entry,
    Event,
    Plan,
    Receipt,
    Step,
    Target,
    Where,
)
from jarkkit.settings import Settings
from jarkkit.settings_sources import read_environment, read_yaml
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
    use,
    verify,
)
from jarkkit.steps.cost import Cost
from jarkkit.steps.quotas import Filed, Wish
from jarkkit.steps.use import Offers, Pages, Used
from jarkkit.survey import Survey
from jarkkit.terraform import Terraform
from jarkkit.workspace import Workspace

R = TypeVar("R")
# Seconds for which a cluster's API that does not answer is asked again: it may just restart, and on
# a busy machine that takes its time. Who asks what is wrong does not wait for that.
_PATIENCE = 60.0
_LITTLE_PATIENCE = 4.0


class Kit:
    """A deployment, opened. Use `Kit.open` or `Kit.create`; tests hand in ports of their own."""

    def __init__(
        self,
        workspace: Workspace,
        environ: Mapping[str, str],
        *,
        account: Account | None = None,
        terraform: Terraform | None = None,
        connect: Connect | None = None,
        machine: Machine | None = None,
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
        """Open a deployment; without a name the only one there is.

        Raises JK-DEPLOYMENT-MISSING, JK-TARGET-REHEARSAL.
        """
        environ = os.environ if environ is None else environ
        home = home or find_home(environ)
        workspace = Workspace(home / DEPLOYMENTS / (name or _only(home)))
        if not workspace.exists:
            raise JarkkitError(
                "JK-DEPLOYMENT-MISSING",
                f"There is no deployment {workspace.name!r} in {DEPLOYMENTS}/.",
                f"Make it: jarkkit init {workspace.name} --sandbox for a rehearsal, and without "
                "--sandbox for your account; or begin with the notebook 00-start.",
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
        """Make a deployment's folder with its settings: the values given, over the environment's.

        With `exist_ok` one that exists is opened and gets the values; it stays what it is,
        rehearsal or not. Raises JK-DEPLOYMENT-EXISTS, JK-TARGET-MISMATCH, JK-SETTINGS-…
        """
        environ = os.environ if environ is None else environ
        home = home or find_home(environ)
        given = {**read_environment(environ), **(values or {}), "name": name}
        settings = Settings.make(given, source=f"the settings of {name}")
        workspace = Workspace(home / DEPLOYMENTS / settings.name)
        if not workspace.exists:
            workspace.create(settings, rehearsal=rehearsal)
            return cls.open(name, home=home, environ=environ)
        if not exist_ok:
            raise JarkkitError(
                "JK-DEPLOYMENT-EXISTS",
                f"There is a deployment {name!r} already.",
                f"Go on with it (jarkkit status {name}) or choose another name.",
            )
        if workspace.rehearsal != rehearsal:
            kind = "a rehearsal" if workspace.rehearsal else "in a real account"
            raise JarkkitError(
                "JK-TARGET-MISMATCH",
                f"Deployment {name!r} is {kind}, and stays that.",
                "Choose another name for the other kind.",
            )
        kit = cls.open(name, home=home, environ=environ)
        if values:
            kit.configure(values)
        return kit

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
        """True when it lives in a sandbox."""
        return self.workspace.rehearsal

    @property
    def settings(self) -> Settings:
        """The settings as they are on the disk now."""
        return self.workspace.settings()

    @property
    def has_clusters(self) -> bool:
        """False in a sandbox with an account alone: then there is no cluster layer."""
        return self._connect() is not None

    def where_am_i(self) -> Caller:
        """Whose credentials are in use."""
        return self._reaching().account.caller()

    def token(self) -> tuple[str, datetime]:
        """A bearer token for the cluster's API, and until when it may be used.

        Raises JK-TARGET-REHEARSAL, JK-AWS-NO-CREDENTIALS.
        """
        return self._reaching().account.cluster_token(self.settings.name)

    # -- steps ---------------------------------------------------------------------------------

    def configure(self, changes: Mapping[str, Any] | Settings) -> Settings:
        """Save settings, given whole or as changes by name. Raises JK-SETTINGS-…"""
        before = self.settings
        after = changes if isinstance(changes, Settings) else before.changed(changes)
        if after.name != self.name:
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                f"A deployment keeps its name: {self.name!r} cannot become {after.name!r}.",
                f"Make another deployment: jarkkit init {after.name}",
            )
        with self.workspace.only_writer():
            self.workspace.save_settings(after)
            self.workspace.record(
                Entry(time=now(), step="configure", status="finished", digest=after.digest())
            )
        return after

    def tools(self) -> Report:
        """The questions of preflight that need no account."""
        layer = self._layer()
        look = preflight.Look(
            layer.settings,
            layer.account,
            layer.terraform,
            self.workspace,
            machine=self._machine or Machine(self._environ),
        )
        return preflight.tools(look)

    def preflight(self, *, refresh: bool = False) -> Report:
        """Will it work here? Saved as reports/preflight. `refresh` asks the account anew what it
        answered minutes ago."""
        layer = self._reaching()
        if refresh:
            layer.account.forget()
        look = preflight.Look(
            layer.settings,
            layer.account,
            layer.terraform,
            self.workspace,
            self._charts() if self._connect() else None,
            self._machine or Machine(self._environ),
        )
        return self._reported("preflight", preflight.preflight(look))

    def quotas(self, *, refresh: bool = False) -> QuotaTable:
        """What it needs of service quotas against what the account has. Saved as reports/quotas.
        `refresh` as above."""
        layer = self._reaching()
        if refresh:
            layer.account.forget()
        found = quota_table(layer.account, layer.settings)
        self.workspace.save("reports/quotas", found)
        return found

    def ask_for_quota(self, wish: Wish) -> Filed:
        """Send a request to raise a quota; one that is open already is not sent again."""
        return quotas.ask_for(self._reaching().account, wish)

    def regions(
        self, only: Sequence[str] = (), *, settings: Settings | None = None, refresh: bool = False
    ) -> Survey:
        """Where to build? All enabled Regions side by side, or those named. Saved as
        reports/regions.

        Args:
            settings: others than the deployment's own.
            refresh: ask anew what was answered minutes ago.
        """
        account = self._reaching().account
        if refresh:
            account.forget()
        table = PriceTable.shipped()
        found = regions.survey(account, settings or self.settings, table, made=now(), only=only)
        self.workspace.save("reports/regions", found)
        return found

    def prospect(self, settings: Settings | None = None) -> Prospect:
        """What the settings' Region holds for them, and for others like them: prices, quotas, what
        is offered. It judges changes without asking again. Raises JK-TARGET-REHEARSAL."""
        settings = settings or self.settings
        account = self._reaching().account.in_region(settings.region)
        return prospect(account, settings, past_on_aws(self.workspace))

    def region_names(self) -> tuple[str, ...]:
        """Regions where EKS exists, by the SDK's data. Calls nobody."""
        return self._layer().account.known_regions()

    def plan(self) -> Generator[Event, None, Plan]:
        """Make a plan and save it."""
        return self._journaled("plan", plan.plan(self._reaching()))

    def deploy(self) -> Generator[Event, None, Deployed]:
        """Carry out the plan, or go on where an earlier run stopped."""
        return self._journaled(
            "deploy", deploy.deploy(self._reaching(), self._connect(), self._charts())
        )

    def verify(self, *, deep: bool = False) -> Report:
        """Does it work? Saved as reports/verify. `deep` makes a volume, too, and removes it."""
        report = verify.verify(self._reaching(), self._connect(), deep=deep)
        return self._reported("verify", report)

    def cluster_map(self) -> ClusterMap:
        """Which pods run on which nodes; empty in a sandbox whose clusters have none. Saved as
        reports/map. Raises JK-PLAN-MISSING, JK-TARGET-…, JK-KUBE-…"""
        found = ClusterMap(made=now(), nodes=(), pods=())
        if self.has_clusters:
            kube = self._kube()
            nodes, pods = kube.list("v1", "Node"), kube.list("v1", "Pod")
            found = cluster_map(self.settings, nodes, pods, made=now())
        self.workspace.save("reports/map", found)
        return found

    def diagnose(self) -> Report:
        """Why is it broken? Looks everywhere at once, changes nothing, and works at any moment,
        also while a step is under way. Saved as reports/diagnose where that is possible."""
        case = diagnose.Case(
            self.workspace,
            reach=self._reaching,
            connect=partial(self._connect, _LITTLE_PATIENCE),
            where=self.status,
        )
        report = diagnose.diagnose(case)
        with contextlib.suppress(JarkkitError):
            self.workspace.save("reports/diagnose", report)
        return report

    def drill_hindrance(self, name: str) -> str:
        """Why a drill cannot be done here; empty when it can. Calls nobody.

        Raises JK-DRILL-UNKNOWN, and JK-DRILL-REFUSED in a real account.
        """
        if not self.rehearsal:
            raise drill.refused(self.name)
        deployed = self.last_deployed() is not None
        return hindrance(
            drilled(name), self.settings, deployed=deployed, clusters=self.has_clusters
        )

    def provoke(self, name: str) -> None:
        """Let the cluster feel a drill's fault. Raises JK-DRILL-REFUSED, JK-KUBE-…"""
        if not self.rehearsal:
            raise drill.refused(self.name)
        if drilled(name).in_cluster:
            drill.provoke(self._kube(), drilled(name))

    def calm(self, name: str) -> None:
        """Take away what was made for a drill. Raises JK-DRILL-REFUSED, JK-KUBE-…"""
        if not self.rehearsal:
            raise drill.refused(self.name)
        if drilled(name).objects:
            drill.calm(self._kube())

    def workloads(self) -> Offers:
        """The example workloads, and what keeps one from running here. Calls nobody."""
        return use.available(self.settings)

    def use(self, workload: str) -> Generator[Event, None, Used]:
        """Run an example workload and take it away again."""
        if self._connect() is None:
            return use.not_here(workload, deploy.NO_CLUSTERS)
        work = use.run(self._kube(), self.settings, workload, rehearsal=self.rehearsal)
        return self._journaled("use", work)

    def places(self) -> Pages:
        """The pages that the add-ons serve. Calls nobody."""
        return use.pages(self.settings)

    def open_place(self, name: str) -> AbstractContextManager[str]:
        """A way to a page on this machine: its URL, for as long as the context lasts."""
        return places.opened(self._kube(), places.place(self.settings, name))

    def login(self, name: str) -> Login:
        """User and password of a page, read from the cluster and kept nowhere."""
        return places.login(self._kube(), places.place(self.settings, name))

    def cleanup(self, *, confirm: str) -> Generator[Event, None, Receipt]:
        """Destroy everything and prove it. `confirm` is the deployment's name, typed."""
        cleanup.confirmed(self.name, confirm)
        return self._journaled("cleanup", cleanup.cleanup(self._reaching(), self._connect()))

    def proof(self) -> Report | None:
        """The last cleanup's receipt as a report; None before the first."""
        receipt = self.last_receipt()
        return cleanup.report(receipt) if receipt else None

    def bill(self) -> Bill:
        """What it costs. The account is asked only for Spot prices where a pool may have Spot."""
        costing = self._costing()
        return costing.bill(costing.table())

    def cost(self, *, hours: float = SESSION_HOURS, refresh: bool = False) -> Cost:
        """What it costs an hour, a session of so many hours and a month; what was spent so far and
        what is there now. The account is asked only for what is there, for Spot prices where a
        pool may have Spot, and with `refresh` for today's list prices.
        """
        receipt, entries = self.last_receipt(), self.entries()
        costing = self._costing(hours, refresh=refresh)
        return cost.cost(costing, entries, receipt, rehearsal=self.rehearsal)

    def time(self) -> Times:
        """How long a deploy and a cleanup take on AWS, with the critical path. Calls nobody.

        What real deployments of this home took is counted; rehearsals say nothing about AWS.
        """
        return times(self.settings, past_on_aws(self.workspace))

    def status(self) -> Where:
        """Where it stands and the one next command. Calls nobody."""
        planned = self.last_plan()
        return status.status(
            self.name,
            entries=self.entries(),
            plan=planned,
            deployed=self.last_deployed(),
            receipt=self.last_receipt(),
            target=self.workspace.load("target", Target),
            settings_changed=planned is not None and self._changed_since(planned),
            running=self.workspace.busy or self._layer().terraform.running,
            takes=expected.brief if (expected := self._expected("deploy")) else "",
        )

    # -- what is on the disk -------------------------------------------------------------------

    def last_plan(self) -> Plan | None:
        """The saved plan."""
        return self.workspace.load("plan", Plan)

    def planned(self) -> Plan | None:
        """The last plan that was made, also when it has been carried out and cleaned up since."""
        return self.workspace.load("reports/plan", Plan)

    def last_deployed(self) -> Deployed | None:
        """What the last deploy made."""
        return self.workspace.load("deployed", Deployed)

    def last_receipt(self) -> Receipt | None:
        """The proof of the last cleanup."""
        return self.workspace.load("receipt", Receipt)

    def last_report(self, kind: Literal["preflight", "verify", "diagnose"]) -> Report | None:
        """The last report of that step."""
        return self.workspace.load(f"reports/{kind}", Report)

    def last_quotas(self) -> QuotaTable | None:
        """The last comparison with the account's quotas."""
        return self.workspace.load("reports/quotas", QuotaTable)

    def last_cluster_map(self) -> ClusterMap | None:
        """Where things ran when that was last looked at."""
        return self.workspace.load("reports/map", ClusterMap)

    def last_survey(self) -> Survey | None:
        """The last comparison of Regions."""
        return self.workspace.load("reports/regions", Survey)

    def events(self, step: Step | None = None) -> tuple[Event, ...]:
        """What happened, oldest first."""
        return self.workspace.events(step)

    def entries(self) -> tuple[Entry, ...]:
        """The ledger, oldest first."""
        return self.workspace.entries()

    def raw_log(self) -> Path | None:
        """Terraform's newest raw log."""
        return self.workspace.newest_log()

    # -- plumbing ------------------------------------------------------------------------------

    def _layer(self) -> AwsLayer:
        settings = self.settings
        return AwsLayer(
            workspace=self.workspace,
            account=self._account or Account(settings.region, self._environ),
            terraform=self._terraform
            or Terraform(self.folder, self._environ, self.workspace.new_log),
            settings=settings,
            source=terraform_folder(),
        )

    def _reaching(self) -> AwsLayer:
        """The layer, for a step that calls the account. Raises JK-TARGET-REHEARSAL."""
        if self._nowhere:
            raise JarkkitError(
                "JK-TARGET-REHEARSAL",
                f"Deployment {self.name!r} is a rehearsal, and no sandbox is running.",
                "Start it: jarkkit sandbox up --detach. Its account is as you left it.",
            )
        return self._layer()

    def _costing(self, hours: float = SESSION_HOURS, *, refresh: bool = False) -> Costing:
        account = None if self._nowhere else self._layer().account
        return Costing(self.settings, account, hours, refresh)

    @property
    def _nowhere(self) -> bool:
        """True for a rehearsal whose sandbox is not there."""
        return self._environ.get("AWS_ENDPOINT_URL") == NOWHERE and self._account is None

    def _connect(self, patience: float = _PATIENCE) -> Connect | None:
        """How to reach the cluster's API; None in a sandbox whose clusters have none."""
        if self._connecting is not None:
            return self._connecting
        if self._environ.get("JARKKIT_SANDBOX_ACCOUNT_ONLY"):
            return None
        layer = self._layer()
        return lambda outputs: self._cluster(layer, outputs, patience)

    def _kube(self) -> Kube:
        """The API of the deployed cluster. Raises JK-PLAN-MISSING, JK-TARGET-…, JK-USE-UNKNOWN."""
        layer, connect = self._reaching(), self._connect()
        deployed = self.last_deployed()
        if deployed is None:
            raise JarkkitError(
                "JK-PLAN-MISSING", "Nothing has been deployed yet.", "Deploy first: jarkkit deploy"
            )
        if connect is None:
            raise JarkkitError(
                "JK-USE-UNKNOWN",
                "This sandbox has an account alone: there is no cluster to use.",
                "Start one with clusters: jarkkit sandbox down, then jarkkit sandbox up",
            )
        layer.target()
        return connect(deployed.outputs).kube

    def _charts(self) -> Charts:
        """The chart cache; in a rehearsal with the sandbox's stand-ins."""
        stand_ins = stand_in_folder(self._environ) if self.rehearsal else None
        return Charts(chart_cache(self._environ), stand_ins)

    def _cluster(
        self, layer: AwsLayer, outputs: Mapping[str, Any], patience: float
    ) -> ClusterLayer:
        account, settings = layer.account, layer.settings
        endpoint = str(outputs["cluster_endpoint"])
        authority = str(outputs["cluster_certificate_authority"])
        token = partial(account.cluster_token, settings.name)
        return ClusterLayer(
            memory=ClusterMemory(self.workspace, outputs),
            settings=settings,
            outputs=outputs,
            kube=Kube(endpoint, authority, token, patience=patience),
            helm=Helm(endpoint, authority, token, patience=patience),
            charts=self._charts(),
            ami_version=partial(account.node_image_version, settings.cluster_version),
            secret=partial(_secret, account, self._environ),
            addons=chosen(settings),
        )

    def _changed_since(self, planned: Plan) -> bool:
        return planned.digest != self._layer().digest(planned.target)

    def _expected(self, step: Step) -> Estimate | None:
        """How long it is said to take; None where nothing can be said, such as of other steps, or
        of settings that contradict themselves."""
        if step in ("deploy", "cleanup"):
            with contextlib.suppress(JarkkitError):
                found = self.time()
                return found.deploy if step == "deploy" else found.cleanup
        return None

    def _journaled(self, step: Step, work: Generator[Event, None, R]) -> Generator[Event, None, R]:
        expected = self._expected(step)
        return journaled(
            self.workspace,
            step,
            work,
            digest=self.settings.digest(),
            expected=expected.seconds if expected else None,
        )

    def _reported(self, step: Literal["preflight", "verify"], report: Report) -> Report:
        self.workspace.save(f"reports/{step}", report)
        self.workspace.record(
            Entry(
                time=now(),
                step=step,
                status="finished" if report.ok else "failed",
                message=report.verdict,
            )
        )
        return report


def machine(environ: Mapping[str, str] | None = None) -> Report:
    """Is this machine ready? The questions of preflight that need no account."""
    environ = os.environ if environ is None else environ
    home = find_home(environ)
    settings = Settings()
    look = preflight.Look(
        settings,
        Account(settings.region, environ),
        Terraform(home, environ, lambda what: home / f"{what}.log"),
        Workspace(home),
        machine=Machine(environ),
    )
    return preflight.tools(look)


def survey(
    settings: Settings,
    only: Sequence[str] = (),
    *,
    environ: Mapping[str, str] | None = None,
    refresh: bool = False,
) -> Survey:
    """Where to build? Without a deployment: for these settings, in the environment's account."""
    account = Account(settings.region, os.environ if environ is None else environ)
    if refresh:
        account.forget()
    return regions.survey(account, settings, PriceTable.shipped(), made=now(), only=only)


def settings_of_file(path: Path) -> dict[str, Any]:
    """The values in a settings file, not yet checked against each other.

    Raises JK-SETTINGS-MISSING, JK-SETTINGS-SYNTAX.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JarkkitError(
            "JK-SETTINGS-MISSING",
            f"The settings file {path} cannot be read ({error}).",
            "Check its path. `jarkkit init NAME` writes one with every setting explained.",
        ) from error
    return read_yaml(text, str(path))


def _secret(account: Account, environ: Mapping[str, str], reference: str) -> str:
    """What a reference to a secret stands for. Raises JK-SETTINGS-MISSING, JK-AWS-…"""
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


def _only(home: Path) -> str:
    names = deployments(home)
    if len(names) == 1:
        return names[0]
    known = f"There are: {', '.join(names)}." if names else "There is none yet."
    raise JarkkitError(
        "JK-DEPLOYMENT-MISSING",
        f"Which deployment is meant? {known}",
        f"Name one of them at the end of the command, such as jarkkit status {names[0]}."
        if names
        else "Make one: jarkkit init demo --sandbox",
    )


def _environment(workspace: Workspace, home: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment for AWS calls. A rehearsal finds its sandbox by the file that it keeps."""
    if not workspace.rehearsal or environ.get("AWS_ENDPOINT_URL"):
        return environ
    try:
        known = json.loads((sandbox_home(home) / "sandbox.json").read_text())
        if psutil.pid_exists(known["pid"]):
            return _without_empty({**environ, **known["env"]})
    except (OSError, ValueError, KeyError):
        pass
    return _without_empty({**environ, **_NO_SANDBOX})


def _without_empty(environ: dict[str, str]) -> dict[str, str]:
    """An empty profile or token is not the same as none to every tool."""
    return {name: value for name, value in environ.items() if value or name[:4] != "AWS_"}


# Nothing listens there: a rehearsal without its sandbox must never reach a real account.
NOWHERE = "http://127.0.0.1:9"
_NO_SANDBOX = {
    "AWS_ENDPOINT_URL": NOWHERE,
    "AWS_ACCESS_KEY_ID": "rehearsal",
    "AWS_SECRET_ACCESS_KEY": "rehearsal",
    "AWS_SESSION_TOKEN": "",
    "AWS_PROFILE": "",
}
