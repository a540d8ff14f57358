"""The form's controller, without widgets: edit, switch, load, compare, save.

A change is judged from data that is already loaded. A background thread makes the AWS calls, and
the subscriber is notified when the answer arrives.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from jarkkit.decisions.regions import RegionComparison, settings_in_region
from jarkkit.decisions.regions.table import Mark
from jarkkit.decisions.setting_effects import setting_effects
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.deployment import Deployment
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.notebook.form import accelerators, addons
from jarkkit.notebook.form.draft import Draft
from jarkkit.notebook.form.settings_summary import settings_summary
from jarkkit.render.form import SummaryLine
from jarkkit.settings import Settings
from jarkkit.steps.queries.region_snapshot import RegionSnapshot

Work = Literal["region", "comparison"]
_REGIONAL = ("availability_zones", "vpc_id", "private_subnet_ids", "public_subnet_ids")


class FormMessage(NamedTuple):
    """A message that answers a user's action."""

    mark: Mark
    text: str


class FormController:
    """The form's controller. Thread-safe.

    Args:
        changes: initial values that differ from the saved settings. Raises JK-SETTINGS-…
    """

    def __init__(self, deployment: Deployment, changes: Mapping[str, Any] | None = None) -> None:
        self.lock = threading.RLock()
        self.draft = Draft(deployment.settings, changes)
        self._stack = ResolvedStack.from_settings(self.settings)
        self.region_snapshot = RegionSnapshot(self.settings.region)
        self.comparison: RegionComparison | None = deployment.last_region_comparison()
        self.message: FormMessage | None = None
        self.busy: set[Work] = set()
        self._deployment = deployment
        self._snapshots: dict[str, RegionSnapshot] = {}
        self._notify: Callable[[], None] = lambda: None

    @property
    def settings(self) -> Settings:
        """The last valid settings built from the form."""
        return self.draft.last_valid

    @property
    def stack(self) -> ResolvedStack:
        """What the last valid settings mean; resolved once for each change."""
        settings, stack = self.settings, self._stack
        if stack.settings is not settings:
            self._stack = stack = ResolvedStack.from_settings(settings)
        return stack

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call the function after every change that may affect the display."""
        self._notify = callback

    def summary(self) -> tuple[SummaryLine, ...]:
        """Return the summary of the settings: cost, quotas, time, problems."""
        lines = settings_summary(self.stack, self.region_snapshot, now()[:10])
        return (*lines, *self._effects())

    def _effects(self) -> tuple[SummaryLine, ...]:
        """Return what the unsaved changes would destroy or replace in an existing deployment."""
        if self._deployment.last_deploy_result() is None:
            return ()
        effects = setting_effects(self.draft.saved, self.settings)
        if not effects:
            return ()
        details = "The plan lists it by name, and the deploy asks for the deployment's name."
        return (SummaryLine("This deployment exists", "poor", "; ".join(effects), details),)

    @functools.cached_property
    def regions(self) -> tuple[str, ...]:
        """The names of all available Regions."""
        return self._deployment.region_names()

    # -- editing -------------------------------------------------------------------------------

    def update(self, changes: Mapping[str, Any], message: FormMessage | None = None) -> None:
        """Change settings by name; the values are those of their inputs."""
        with self._changing():
            self.draft.update(changes)
            self.message = message

    def switch_addon(self, addon: str, on: bool) -> None:
        """Turn an add-on on or off, with its dependencies or dependents."""
        result = addons.switch(self.stack, addon, on)
        text = " ".join(result.messages)
        message = FormMessage("poor" if result.rejected else "fair", text) if text else None
        self.update(result.changes, message)

    def select_family(self, family: str, on: bool) -> None:
        """Select or deselect an accelerator family."""
        given = self.draft.input("accelerators")
        try:
            changes = accelerators.selection_change(
                given, self.settings, self.region_snapshot, family, on
            )
        except JarkkitError as error:
            self.update({}, FormMessage("poor", f"Not selected: {error.message} {error.fix}"))
            return
        self.update(changes)

    def edit_pool(self, family: str, **update: Any) -> None:
        """Change a selected family's purchase options (`capacity`) or limit (`max_vcpus`)."""
        self.update(accelerators.pool_change(self.draft.input("accelerators"), family, **update))

    def change_region(self, region: str) -> None:
        """Choose a Region. Clears settings whose values exist only in the previous one."""
        previous, moved = self.settings, settings_in_region(self.settings, region)
        cleared = [n for n in _REGIONAL if getattr(moved, n) != getattr(previous, n)]
        empty = dict.fromkeys(cleared, "")
        text = f"Cleared, because these exist only in {previous.region}: {', '.join(cleared)}."
        self.update({"region": region, **empty}, FormMessage("fair", text) if cleared else None)
        self.load_region()

    def save(self) -> None:
        """Write settings.yaml, and show why if that fails."""
        with self._changing():
            count = len(self.draft.changed_names())
            try:
                self.draft.mark_saved(self._deployment.configure(self.draft.settings))
            except JarkkitError as error:
                # The form already shows why invalid settings are invalid.
                why = "" if self.draft.error else f" {error.message} {error.fix}"
                self.message = FormMessage("poor", f"Not saved.{why}")
                return
            words = f"{count} change{'' if count == 1 else 's'}"
            self.message = FormMessage(
                "good", f"Saved to settings.yaml: {words if count else 'no change'}."
            )

    # -- loading -------------------------------------------------------------------------------

    def load_region(self, wait_seconds: float = 0.0) -> None:
        """Load the snapshot of the chosen Region in the background, unless it is loaded.

        A snapshot with unanswered queries is loaded again when you choose the Region again.

        Args:
            wait_seconds: how long to wait for the answer; it still arrives later.
        """
        region = self.settings.region
        with self._changing():
            self.region_snapshot = self._snapshots.get(region) or RegionSnapshot(region)
        if region not in self._snapshots:
            self._in_background("region", self._load).join(wait_seconds)

    def load_region_now(self) -> None:
        """Load the snapshot of the chosen Region and wait for it."""
        self._load()

    def compare_regions(self) -> None:
        """Compare all Regions for these settings."""
        if "comparison" not in self.busy:
            self._in_background("comparison", self._compare)

    def _load(self) -> None:
        settings = self.settings
        try:
            found = self._deployment.region_snapshot(settings)
        except JarkkitError as error:
            unknown = Unknown(error)
            found = RegionSnapshot(settings.region, zones=unknown, types=unknown, versions=unknown)
        with self._changing():
            if not found.unanswered():
                self._snapshots[settings.region] = found
            if self.settings.region == settings.region:  # otherwise you chose another one meanwhile
                self.region_snapshot = found

    def _compare(self) -> None:
        try:
            found = self._deployment.compare_regions(settings=self.settings)
        except JarkkitError as error:
            with self._changing():
                self.message = FormMessage(
                    "poor", f"Could not compare the Regions. {error.message}"
                )
            return
        with self._changing():
            self.comparison = found
            self.message = FormMessage("good", f"{len(found.regions)} Regions compared.")

    def _in_background(self, what: Work, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            finally:
                with self._changing():
                    self.busy.discard(what)

        with self._changing():
            self.busy.add(what)
        thread = threading.Thread(target=run, name=f"form-{what}", daemon=True)
        thread.start()
        return thread

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self.lock:
            yield
            self._notify()
