"""The door to the disk: everything that one deployment is, in one folder.

A deployment's folder is also Terraform's working folder, so that a user can run plain `terraform`
in it. Files appear whole or not at all (written beside, then renamed), the ledger and the events
only grow, and one process at a time may change a deployment.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError

from jarkkit.clock import now
from jarkkit.errors import JarkkitError
from jarkkit.records import Entry, Event, Step
from jarkkit.settings import Settings
from jarkkit.settings_sources import read_yaml

R = TypeVar("R", bound=BaseModel)

# Files of the shipped configuration that a deployment gets a copy of.
_CONFIGURATION = ("*.tf", "modules/*/*.tf")


class Workspace:
    """One deployment's folder. Opening it reads nothing; methods act."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The deployment's name: its folder's."""
        return self.folder.name

    @property
    def exists(self) -> bool:
        """True when a deployment is there."""
        return (self.folder / "settings.yaml").is_file()

    def create(self, settings: Settings, *, rehearsal: bool) -> None:
        """Make the folder (mode 0700) with its settings."""
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for sub in ("logs", "notebooks", "reports"):
                (self.folder / sub).mkdir(exist_ok=True)
        kind = {"rehearsal": rehearsal, "created": now()}
        self._write("deployment.json", json.dumps(kind, indent=2) + "\n")
        self.save_settings(settings)

    @property
    def rehearsal(self) -> bool:
        """True when the deployment lives in a sandbox. Decided once, when it is made."""
        return bool(self._json("deployment.json").get("rehearsal", False))

    # -- settings ----------------------------------------------------------------------------

    def settings(self) -> Settings:
        """The settings in settings.yaml. Raises JK-SETTINGS-… with file name and line."""
        text = self._read("settings.yaml")
        source = f"deployments/{self.name}/settings.yaml"
        return Settings.make(read_yaml(text, source), source=source)

    def save_settings(self, settings: Settings) -> None:
        """Write settings.yaml, unless it says the same already (a user's comments stay)."""
        with contextlib.suppress(JarkkitError):
            if self.settings() == settings:
                return
        self._write("settings.yaml", settings.to_yaml())

    # -- saved values ------------------------------------------------------------------------

    def save(self, name: str, value: BaseModel) -> None:
        """Save one of the journey's values as NAME.json (0600)."""
        self._write(f"{name}.json", value.model_dump_json(indent=2) + "\n")

    def load(self, name: str, kind: type[R]) -> R | None:
        """The value saved as NAME.json, or None. Raises JK-DEPLOYMENT-DAMAGED."""
        file = f"{name}.json"
        if not (self.folder / file).is_file():
            return None
        try:
            return kind.model_validate_json(self._read(file))
        except ValidationError as error:
            raise self._damaged(file, str(error)) from error

    def forget(self, name: str) -> None:
        """Remove the value saved as NAME.json, if it is there."""
        with _writing(self.folder):
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    # -- ledger and events -------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        """Append to the ledger and wait until it is on the disk."""
        self._append("ledger.jsonl", entry.model_dump_json(exclude_none=True), sync=True)

    def entries(self) -> tuple[Entry, ...]:
        """The ledger, oldest first."""
        return tuple(Entry.model_validate(line) for line in self._lines("ledger.jsonl"))

    def log(self, event: Event) -> None:
        """Append to the events."""
        self._append("events.jsonl", event.model_dump_json(exclude_none=True), sync=False)

    def events(self, step: Step | None = None) -> tuple[Event, ...]:
        """The events, oldest first, of one step or of all."""
        events = (Event.model_validate(line) for line in self._lines("events.jsonl"))
        return tuple(event for event in events if step in (None, event.step))

    def events_from(self, offset: int) -> tuple[tuple[Event, ...], int]:
        """The events that were written since: those after `offset` bytes, and where they end."""
        try:
            with (self.folder / "events.jsonl").open("rb") as handle:
                handle.seek(offset)
                text = handle.read()
        except FileNotFoundError:
            return (), 0
        whole = text[: text.rfind(b"\n") + 1]  # the rest is being written
        return tuple(_events(whole)), offset + len(whole)

    # -- Terraform's files -------------------------------------------------------------------

    def lay_configuration(self, source: Path) -> None:
        """Copy the shipped configuration into the folder; files of an older release go."""
        wanted = {p.relative_to(source) for pattern in _CONFIGURATION for p in source.glob(pattern)}
        present = {
            p.relative_to(self.folder)
            for pattern in _CONFIGURATION
            for p in self.folder.glob(pattern)
        }
        with _writing(self.folder):
            for path in present - wanted:
                (self.folder / path).unlink()
            for path in sorted(wanted):
                self._lay(source / path, self.folder / path)

    def save_tfvars(self, variables: Mapping[str, Any]) -> None:
        """Write terraform.tfvars.json."""
        text = json.dumps(variables, indent=2, sort_keys=True, default=_plain) + "\n"
        self._write("terraform.tfvars.json", text)

    def tfvars(self) -> dict[str, Any]:
        """What terraform.tfvars.json says; empty when nothing was planned yet."""
        return self._json("terraform.tfvars.json")

    def save_generated(self, name: str, content: Mapping[str, Any] | None) -> None:
        """Write a generated NAME.tf.json, or remove it when there is nothing to say."""
        if content is None:
            with _writing(self.folder):
                (self.folder / f"{name}.tf.json").unlink(missing_ok=True)
            return
        self._write(f"{name}.tf.json", json.dumps(content, indent=2, sort_keys=True) + "\n")

    def generated(self, name: str) -> dict[str, Any]:
        """What a generated NAME.tf.json says; empty when it is not there."""
        return self._json(f"{name}.tf.json")

    @property
    def kubeconfig(self) -> Path:
        """The deployment's own kubeconfig."""
        return self.folder / "kubeconfig"

    def save_kubeconfig(self, content: Mapping[str, Any] | None) -> None:
        """Write it, or remove it when there is no cluster any more. JSON is YAML too."""
        if content is None:
            with _writing(self.folder):
                self.kubeconfig.unlink(missing_ok=True)
            return
        self._write("kubeconfig", json.dumps(content, indent=2) + "\n")

    def configuration_digest(self, *, modules_only: bool = False) -> str:
        """A fingerprint of the configuration and its variables as they lie in the folder, or,
        without the variables, of what decides whether `terraform init` must run again."""
        digest = hashlib.sha256()
        variables = () if modules_only else ("terraform.tfvars.json",)
        generated = ("backend.tf.json", *variables)
        for pattern in (*_CONFIGURATION, *generated):
            for path in sorted(self.folder.glob(pattern)):
                digest.update(str(path.relative_to(self.folder)).encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    def state(self) -> bytes | None:
        """Terraform's local state as it lies in the folder; None where there is none."""
        path = self.folder / "terraform.tfstate"
        return path.read_bytes() if path.is_file() else None

    def mend_state(self) -> str:
        """Put a damaged local state aside and its backup in its place.

        Terraform writes its local state in place, so being killed in that moment can leave half a
        file. Returns what was done in words; empty when nothing was wrong. What the backup does
        not know is adopted by the next plan.
        """
        state, backup = self.folder / "terraform.tfstate", self.folder / "terraform.tfstate.backup"
        if not state.exists() or _is_json(state):
            return ""
        aside = f"terraform.tfstate.damaged-{now().replace(':', '')}"
        with _writing(self.folder):
            state.rename(self.folder / aside)
            if backup.exists() and _is_json(backup):
                shutil.copy2(backup, state)
                return f"the Terraform state was damaged: kept as {aside}, its backup restored"
        return f"the Terraform state was damaged: kept as {aside}, beginning with an empty one"

    def new_log(self, what: str) -> Path:
        """A fresh file for a raw log (0600)."""
        path = self.folder / "logs" / f"{now().replace(':', '')}-{what}.jsonl"
        with _writing(self.folder):
            path.parent.mkdir(exist_ok=True)
            path.touch(mode=0o600)
        return path

    def newest_log(self) -> Path | None:
        """The newest raw log, if there is one."""
        return max((self.folder / "logs").glob("*.jsonl"), default=None)

    def diagnostics(self, since: str) -> tuple[dict[str, Any], ...]:
        """What Terraform complained of, by the raw logs that were begun since then: lines of its
        JSON stream."""
        logs = sorted((self.folder / "logs").glob("*.jsonl"))
        fresh = [log for log in logs if log.name >= since.replace(":", "")]
        return tuple(
            line
            for log in fresh
            for line in self._lines(f"logs/{log.name}")
            if line.get("type") == "diagnostic"
        )

    # -- one writer at a time ----------------------------------------------------------------

    @contextlib.contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the deployment's lock. Raises JK-DEPLOYMENT-BUSY when another process has it.

        The lock belongs to the open file, so it ends with this process, however that ends.
        """
        path = self.folder / ".lock"
        with _writing(self.folder):
            handle = path.open("a+")
        with handle:
            if not _lock(handle):
                handle.seek(0)
                holder = handle.read().strip() or "unknown"
                raise JarkkitError(
                    "JK-DEPLOYMENT-BUSY",
                    f"Process {holder} is working on deployment {self.name!r}.",
                    "Wait until it has ended (`jarkkit status` tells), or end it first.",
                )
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    @property
    def busy(self) -> bool:
        """True while some process holds the lock."""
        path = self.folder / ".lock"
        if not path.exists():
            return False
        with path.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    # -- plumbing ----------------------------------------------------------------------------

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise JarkkitError(
                "JK-DEPLOYMENT-MISSING",
                f"deployments/{self.name}/{name} is not there.",
                f"Make the deployment: jarkkit init {self.name} (with --sandbox for a rehearsal)",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(name, str(error)) from error

    def _json(self, name: str) -> dict[str, Any]:
        if not (self.folder / name).exists():
            return {}
        try:
            loaded = json.loads(self._read(name))
        except ValueError as error:
            raise self._damaged(name, str(error)) from error
        return dict(loaded)

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        with _writing(path):
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as handle:  # mkstemp makes 0600
                    handle.write(text)
                    handle.flush()
                    os.fsync(handle.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def _append(self, name: str, line: str, *, sync: bool) -> None:
        path = self.folder / name
        with _writing(self.folder), open(path, "ab", opener=_private) as handle:
            # A line torn by a crash must not swallow the next one.
            torn = handle.tell() > 0 and not _ends_with_newline(path)
            handle.write((b"\n" if torn else b"") + line.encode() + b"\n")
            if sync:
                handle.flush()
                os.fsync(handle.fileno())

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The JSON lines of a file; a line torn by a crash is passed over."""
        path = self.folder / name
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    yield value

    def _lay(self, source: Path, destination: Path) -> None:
        if destination.exists() and destination.read_bytes() == source.read_bytes():
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)

    def _damaged(self, name: str, why: str) -> JarkkitError:
        return JarkkitError(
            "JK-DEPLOYMENT-DAMAGED",
            f"deployments/{self.name}/{name} cannot be read as what it should be.",
            "Restore the file from a backup, or move it aside and run the step that writes it.",
            evidence=why[:600],
        )


def _events(lines: bytes) -> Iterator[Event]:
    for line in lines.splitlines():
        with contextlib.suppress(ValueError):  # torn by a crash
            yield Event.model_validate_json(line)


def _lock(handle: IO[str]) -> bool:
    # A second try, because `busy` holds a shared lock for a moment when it looks.
    for pause in (0.05, 0.0):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(pause)
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(type(value).__name__)


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Translate the ways in which a write can fail."""
    try:
        yield
    except OSError as error:
        fixes = {
            errno.ENOSPC: "Make room on the disk, then run the step again: nothing is lost.",
            errno.EDQUOT: "Make room in your disk quota, then run the step again.",
            errno.EROFS: "The file system is read-only: set JARKKIT_HOME to another folder.",
        }
        fix = fixes.get(
            error.errno or 0,
            "Give yourself write permission on the folder, or set JARKKIT_HOME to another one.",
        )
        raise JarkkitError(
            "JK-WORKSPACE-WRITE",
            f"{Path(str(error.filename or path)).name}: {error.strerror or error}.",
            fix,
        ) from error
