"""One deployment's folder on disk.

It is also Terraform's working directory, so that you can run plain `terraform` in it. Files are
written atomically (to a temporary file, then renamed), the ledger and the events are append-only,
and only one process at a time can change a deployment.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError

from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll
from jarkkit.model.port_answers import EventBatch
from jarkkit.model.records import Event, LedgerEntry, Step
from jarkkit.ports.provider import LOCK_FILE
from jarkkit.settings import Settings
from jarkkit.settings.sources import read_mapping, read_yaml

R = TypeVar("R", bound=BaseModel)

# Files of the shipped configuration that each deployment gets a copy of.
_CONFIGURATION = ("*.tf", "modules/*/*.tf")


class Workspace:
    """One deployment's folder. The constructor reads nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The deployment's name, which is the folder's name."""
        return self.folder.name

    @property
    def exists(self) -> bool:
        """True if the folder contains a deployment."""
        return (self.folder / "settings.yaml").is_file()

    def create(self, settings: Settings, *, rehearsal: bool) -> None:
        """Create the folder (mode 0700) with its settings."""
        with _translate_write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for sub in ("logs", "notebooks", "reports"):
                (self.folder / sub).mkdir(exist_ok=True)
        kind = {"rehearsal": rehearsal, "created": now()}
        self._write("deployment.json", json.dumps(kind, indent=2) + "\n")
        self.save_settings(settings)

    @property
    def rehearsal(self) -> bool:
        """True if the deployment lives in a sandbox. Fixed when the deployment is created."""
        return bool(self._json("deployment.json").get("rehearsal", False))

    # -- settings ----------------------------------------------------------------------------

    def settings(self) -> Settings:
        """Return the settings in settings.yaml. Raises JK-SETTINGS-… with file name and line."""
        text = self._read("settings.yaml")
        source = f"deployments/{self.name}/settings.yaml"
        return Settings.from_values(read_yaml(text, source), source=source)

    def chart_values(self) -> dict[str, dict[str, Any]]:
        """Return your own Helm values, by add-on: the files `values/ADDON.yaml`.

        Raises JK-SETTINGS-SYNTAX with file name and line.
        """
        files = sorted((self.folder / "values").glob("*.yaml"))
        return {path.stem: self._chart_values(f"values/{path.name}") for path in files}

    def _chart_values(self, file: str) -> dict[str, Any]:
        source = f"deployments/{self.name}/{file}"
        return read_mapping(self._read(file), source, "the values of a chart")[0]

    def save_settings(self, settings: Settings) -> None:
        """Write settings.yaml, unless it has the same settings (this keeps your comments)."""
        with contextlib.suppress(JarkkitError):
            if self.settings() == settings:
                return
        self._write("settings.yaml", settings.to_yaml())

    # -- saved values ------------------------------------------------------------------------

    def save(self, name: str, value: BaseModel) -> None:
        """Save a step's result as NAME.json (0600)."""
        self._write(f"{name}.json", value.model_dump_json(indent=2) + "\n")

    def load(self, name: str, kind: type[R]) -> R | None:
        """Return the value saved as NAME.json, or None. Raises JK-DEPLOYMENT-DAMAGED."""
        file = f"{name}.json"
        if not (self.folder / file).is_file():
            return None
        try:
            return kind.model_validate_json(self._read(file))
        except ValidationError as error:
            raise self._damaged(file, str(error)) from error

    def discard(self, name: str) -> None:
        """Delete the value saved as NAME.json, if it exists."""
        with _translate_write_errors(self.folder):
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    # -- ledger and events -------------------------------------------------------------------

    def record(self, entry: LedgerEntry) -> None:
        """Append to the ledger and sync it to disk."""
        self._append("ledger.jsonl", entry.model_dump_json(exclude_none=True), sync=True)

    def ledger_entries(self) -> tuple[LedgerEntry, ...]:
        """Return the ledger's entries, oldest first."""
        return tuple(LedgerEntry.model_validate(line) for line in self._lines("ledger.jsonl"))

    def log(self, event: Event) -> None:
        """Append to the events."""
        self._append("events.jsonl", event.model_dump_json(exclude_none=True), sync=False)

    def events(self, step: Step | None = None) -> tuple[Event, ...]:
        """Return the events of one step or of all steps, oldest first."""
        events = (Event.model_validate(line) for line in self._lines("events.jsonl"))
        return tuple(event for event in events if step in (None, event.step))

    def events_from(self, offset: int) -> EventBatch:
        """Return the events after `offset` bytes."""
        try:
            with (self.folder / "events.jsonl").open("rb") as handle:
                handle.seek(offset)
                text = handle.read()
        except FileNotFoundError:
            return EventBatch((), 0)
        whole = text[: text.rfind(b"\n") + 1]  # the last line is still being written
        return EventBatch(tuple(_events(whole)), offset + len(whole))

    # -- Terraform's files -------------------------------------------------------------------

    def copy_configuration(self, source: Path) -> None:
        """Copy the shipped configuration into the folder and delete files of an older release."""
        wanted = {p.relative_to(source) for pattern in _CONFIGURATION for p in source.glob(pattern)}
        present = {
            p.relative_to(self.folder)
            for pattern in _CONFIGURATION
            for p in self.folder.glob(pattern)
        }
        with _translate_write_errors(self.folder):
            for path in present - wanted:
                (self.folder / path).unlink()
            for path in sorted(wanted):
                self._copy_if_changed(source / path, self.folder / path)

    def save_lock_file(self, source: Path) -> None:
        """Copy a lock file of providers into the folder."""
        with _translate_write_errors(self.folder):
            self._copy_if_changed(source, self.folder / LOCK_FILE)

    def save_tfvars(self, variables: Mapping[str, Any]) -> None:
        """Write terraform.tfvars.json."""
        text = json.dumps(variables, indent=2, sort_keys=True, default=_plain) + "\n"
        self._write("terraform.tfvars.json", text)

    def tfvars(self) -> dict[str, Any]:
        """Return the values in terraform.tfvars.json; empty before the first plan."""
        return self._json("terraform.tfvars.json")

    def save_generated(self, name: str, content: Mapping[str, Any] | None) -> None:
        """Write a generated NAME.tf.json, or delete it if the content is None."""
        if content is None:
            with _translate_write_errors(self.folder):
                (self.folder / f"{name}.tf.json").unlink(missing_ok=True)
            return
        self._write(f"{name}.tf.json", json.dumps(content, indent=2, sort_keys=True) + "\n")

    def generated(self, name: str) -> dict[str, Any]:
        """Return the content of a generated NAME.tf.json; empty if it does not exist."""
        return self._json(f"{name}.tf.json")

    @property
    def kubeconfig(self) -> Path:
        """The deployment's own kubeconfig."""
        return self.folder / "kubeconfig"

    def save_kubeconfig(self, content: Mapping[str, Any] | None) -> None:
        """Write the kubeconfig, or delete it if the content is None. JSON is valid YAML."""
        if content is None:
            with _translate_write_errors(self.folder):
                self.kubeconfig.unlink(missing_ok=True)
            return
        self._write("kubeconfig", json.dumps(content, indent=2) + "\n")

    def sha256(self, file: str) -> str:
        """Return the SHA-256 of a file in the folder; empty if it does not exist."""
        path = self.folder / file
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def configuration_digest(self, *, modules_only: bool = False) -> str:
        """Return a digest of the folder's configuration and variables, or, with `modules_only`, of
        the files that decide whether `terraform init` must run again."""
        digest = hashlib.sha256()
        variables = () if modules_only else ("terraform.tfvars.json",)
        generated = ("backend.tf.json", *variables)
        for pattern in (*_CONFIGURATION, *generated):
            for path in sorted(self.folder.glob(pattern)):
                digest.update(str(path.relative_to(self.folder)).encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    def state(self) -> bytes | None:
        """Return Terraform's local state; None if there is none."""
        path = self.folder / "terraform.tfstate"
        return path.read_bytes() if path.is_file() else None

    def restore_damaged_state(self) -> str:
        """Move a damaged local state aside and restore its backup.

        Terraform overwrites its local state in place, so killing it at that moment can truncate
        the file. Returns a description of the repair; empty if the state is valid. The next plan
        imports resources that the backup does not contain.
        """
        state, backup = self.folder / "terraform.tfstate", self.folder / "terraform.tfstate.backup"
        if not state.exists() or _is_json(state):
            return ""
        aside = f"terraform.tfstate.damaged-{now().replace(':', '')}"
        with _translate_write_errors(self.folder):
            state.rename(self.folder / aside)
            if backup.exists() and _is_json(backup):
                shutil.copy2(backup, state)
                return f"the Terraform state was damaged: saved as {aside}, backup restored"
        return f"the Terraform state was damaged: saved as {aside}, starting with an empty state"

    def new_log(self, what: str) -> Path:
        """Create a new file for a raw log (0600)."""
        path = self.folder / "logs" / f"{now().replace(':', '')}-{what}.jsonl"
        with _translate_write_errors(self.folder):
            path.parent.mkdir(exist_ok=True)
            path.touch(mode=0o600)
        return path

    def log_sizes(self) -> dict[str, int]:
        """Return the bytes of each raw log, by its name in the folder."""
        found = sorted((self.folder / "logs").glob("*.jsonl"))
        return {f"logs/{path.name}": path.lstat().st_size for path in found}

    def tail(self, name: str, limit: int) -> str | None:
        """Return the last `limit` bytes of a file in the folder as text, from the beginning of a
        line; None if it does not exist. Raises JK-DEPLOYMENT-DAMAGED, also for a link."""
        path = self.folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise self._damaged(name, "it is not a regular file")
            with path.open("rb") as handle:
                cut = os.fstat(handle.fileno()).st_size > limit
                handle.seek(-limit if cut else 0, os.SEEK_END if cut else os.SEEK_SET)
                content = handle.read(limit)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._damaged(name, str(error)) from error
        return (content.partition(b"\n")[2] if cut else content).decode(errors="replace")

    def newest_log(self) -> Path | None:
        """Return the newest raw log, or None."""
        return max((self.folder / "logs").glob("*.jsonl"), default=None)

    def diagnostics(self, since: str) -> tuple[dict[str, Any], ...]:
        """Return Terraform's diagnostics from all raw logs since then: lines of its JSON stream."""
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
    def exclusive_lock(self) -> Iterator[None]:
        """Hold the deployment's lock. Raises JK-DEPLOYMENT-BUSY if another process holds it.

        The lock belongs to the open file, so it always ends with this process.
        """
        path = self.folder / ".lock"
        with _translate_write_errors(self.folder):
            handle = path.open("a+")
        with handle:
            if not _lock(handle):
                handle.seek(0)
                holder = handle.read().strip() or "unknown"
                raise JarkkitError(
                    "JK-DEPLOYMENT-BUSY",
                    f"Process {holder} is working on deployment {self.name!r}.",
                    "Wait until it ends (check with `jarkkit status`), or stop it first.",
                )
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    @property
    def is_locked(self) -> bool:
        """True while a process holds the lock."""
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
                f"deployments/{self.name}/{name} does not exist.",
                f"Create the deployment: jarkkit init {self.name} (add --sandbox for the sandbox)",
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
        with _translate_write_errors(path):
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
        with _translate_write_errors(self.folder), open(path, "ab", opener=_private) as handle:
            # A line that a crash truncated must not merge with the next one.
            torn = os.fstat(handle.fileno()).st_size > 0 and not _ends_with_newline(path)
            handle.write((b"\n" if torn else b"") + line.encode() + b"\n")
            if sync:
                handle.flush()
                os.fsync(handle.fileno())

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the JSON lines of a file, without lines that a crash truncated."""
        path = self.folder / name
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    yield value

    def _copy_if_changed(self, source: Path, destination: Path) -> None:
        if destination.exists() and destination.read_bytes() == source.read_bytes():
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)

    def _damaged(self, name: str, why: str) -> JarkkitError:
        return JarkkitError(
            "JK-DEPLOYMENT-DAMAGED",
            f"deployments/{self.name}/{name} is damaged.",
            "Restore the file from a backup, or move it aside and run the step that writes it.",
            evidence=why[:600],
        )


def _events(lines: bytes) -> Iterator[Event]:
    for line in lines.splitlines():
        with contextlib.suppress(ValueError):  # truncated by a crash
            yield Event.model_validate_json(line)


def _lock(handle: IO[str]) -> bool:
    # Try twice, because `is_locked` briefly holds a shared lock.
    for _ in poll(0.05, attempts=2):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
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
def _translate_write_errors(path: Path) -> Iterator[None]:
    """Translate write errors into `JarkkitError`."""
    try:
        yield
    except OSError as error:
        fixes = {
            errno.ENOSPC: "Free disk space, then run the step again: nothing is lost.",
            errno.EDQUOT: "Free space in your disk quota, then run the step again.",
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
