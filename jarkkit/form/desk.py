"""What one can do in the form, without widgets: change, switch, look, compare, save.

A change is judged from what is known already. What has to be asked for is asked in a thread of its
own, and whoever listens is told when the answer is there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from jarkkit.clock import now
from jarkkit.errors import JarkkitError
from jarkkit.form import accelerators, addons
from jarkkit.form.draft import Draft
from jarkkit.form.outlook import Line, outlook
from jarkkit.inquiries.prospect import Prospect
from jarkkit.kit import Kit
from jarkkit.settings import Settings
from jarkkit.survey import Survey, in_region
from jarkkit.survey.shown import Mark

Work = Literal["prospect", "survey"]
_ELSEWHERE = ("availability_zones", "vpc_id", "private_subnet_ids", "public_subnet_ids")


class Said(NamedTuple):
    """An answer to what somebody did."""

    mark: Mark
    text: str


class Desk:
    """The form's work. Safe to use from several threads.

    Args:
        changes: other values than the saved ones to begin with. Raises JK-SETTINGS-…
    """

    def __init__(self, kit: Kit, changes: Mapping[str, Any] | None = None) -> None:
        self.lock = threading.RLock()
        self.draft = Draft(kit.settings, changes)
        self.prospect = Prospect(self.settings.region)
        self.survey: Survey | None = kit.last_survey()
        self.said: Said | None = None
        self.busy: set[Work] = set()
        self._kit = kit
        self._known: dict[str, Prospect] = {}
        self._heard: Callable[[], None] = lambda: None

    @property
    def settings(self) -> Settings:
        """What fits together of what stands in the form."""
        return self.draft.last

    def listen(self, heard: Callable[[], None]) -> None:
        """`heard` is called after everything that may change what is shown."""
        self._heard = heard

    def outlook(self) -> tuple[Line, ...]:
        """What the settings come to."""
        return outlook(self.settings, self.prospect, now()[:10])

    def regions(self) -> tuple[str, ...]:
        """Names of all Regions that can be chosen."""
        return self._kit.region_names()

    # -- changing ------------------------------------------------------------------------------

    def put(self, changes: Mapping[str, Any], said: Said | None = None) -> None:
        """Change settings by name, given as they stand in their inputs."""
        with self._changing():
            self.draft.put(changes)
            self.said = said

    def switch(self, addon: str, on: bool) -> None:
        """Switch an add-on, and what goes with it."""
        done = addons.switch(self.settings, addon, on)
        text = " ".join(done.said)
        said = Said("poor" if done.refused else "fair", text) if text else None
        self.put(done.changes, said)

    def choose(self, family: str, on: bool) -> None:
        """Choose a family of accelerators, or no longer."""
        given = self.draft.input("accelerators")
        try:
            changes = accelerators.choose(given, self.settings, self.prospect, family, on)
        except JarkkitError as error:
            self.put({}, Said("poor", f"Not chosen: {error.message} {error.fix}"))
            return
        self.put(changes)

    def adjust(self, family: str, **update: Any) -> None:
        """How a chosen family is bought (`capacity`), and how much of it (`max_vcpus`)."""
        self.put(accelerators.edit(self.draft.input("accelerators"), family, **update))

    def move(self, region: str) -> None:
        """Choose a Region. What exists in the one before alone is left out."""
        there = in_region(self.settings, region)
        gone = [n for n in _ELSEWHERE if getattr(there, n) != getattr(self.settings, n)]
        empty = dict.fromkeys(gone, "")
        said = Said("fair", f"Left out, for only {self.settings.region} has it: {', '.join(gone)}.")
        self.put({"region": region, **empty}, said if gone else None)
        self.look()

    def save(self) -> None:
        """Write settings.yaml; what cannot be saved is told."""
        with self._changing():
            count = len(self.draft.changed())
            try:
                self.draft.now_saved(self._kit.configure(self.draft.settings))
            except JarkkitError as error:
                # What does not fit is told beside it already.
                why = "" if self.draft.error else f" {error.message} {error.fix}"
                self.said = Said("poor", f"Not saved.{why}")
                return
            words = f"{count} change{'' if count == 1 else 's'}"
            self.said = Said("good", f"Saved to settings.yaml: {words if count else 'no change'}.")

    # -- asking --------------------------------------------------------------------------------

    def look(self, wait_seconds: float = 0.0) -> None:
        """Ask what the chosen Region holds, unless that is known.

        Args:
            wait_seconds: how long to wait for the answer; it comes later all the same.
        """
        region = self.settings.region
        with self._changing():
            self.prospect = self._known.get(region) or Prospect(region)
        if region not in self._known:
            self._apart("prospect", self._ask).join(wait_seconds)

    def look_now(self) -> None:
        """The same, here and to its end."""
        self._ask()

    def compare(self) -> None:
        """Compare all Regions for these settings."""
        if "survey" not in self.busy:
            self._apart("survey", self._compare)

    def _ask(self) -> None:
        settings = self.settings
        try:
            found = self._kit.prospect(settings)
        except JarkkitError as error:
            found = Prospect(settings.region, zones=error, types=error, versions=error)
        with self._changing():
            self._known[settings.region] = found
            if self.settings.region == settings.region:  # else another was chosen meanwhile
                self.prospect = found

    def _compare(self) -> None:
        try:
            found = self._kit.regions(settings=self.settings)
        except JarkkitError as error:
            with self._changing():
                self.said = Said("poor", f"The Regions are not compared. {error.message}")
            return
        with self._changing():
            self.survey = found
            self.said = Said("good", f"{len(found.regions)} Regions compared.")

    def _apart(self, what: Work, work: Callable[[], None]) -> threading.Thread:
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
            self._heard()
