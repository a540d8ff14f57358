"""The Terraform (or OpenTofu) client: runs its commands and turns its output into events.

Terraform writes its JSON stream into a log file, and jarkkit follows that file. So a run survives
the end of jarkkit, the raw log is always complete, no terminal is needed, and the next process can
follow a run that is still in progress. Terraform runs in a separate process session: it gets an
interrupt only once, from jarkkit, and saves its state before it exits.

python_terraform only builds the command lines; docs/architecture.md lists its pitfalls.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from python_terraform import IsFlagged
from python_terraform import Terraform as CommandLine

from jarkkit.decisions.terraform_failures import terraform_error
from jarkkit.decisions.terraform_messages import (
    changes_from_stream,
    event_from_message,
)
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import StepEvent, StepMessage
from jarkkit.model.polling import poll
from jarkkit.model.records import ResourceChange
from jarkkit.ports.paths import user_cache
from jarkkit.ports.processes import creation_time, find_process
from jarkkit.ports.provider import LOCK_FILE, cli_configuration, find_mirror, mirror_view

_logger = logging.getLogger(__name__)

# Both added native S3 state locking in 1.10.
MIN_VERSION = (1, 10, 0)
PARALLELISM = 20  # AWS does not throttle at this level; Terraform's default is 10

_POLL_SECONDS = 0.05
_PRIVATE = 0o077  # state and plans can contain secrets
# After an interrupt, Terraform waits for running operations; some AWS calls time out after minutes.
_INTERRUPT_SECONDS = 120.0

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class TerraformTool:
    """The Terraform or OpenTofu binary."""

    path: str
    version: str

    @property
    def product(self) -> str:
        """`terraform` or `tofu`, by the name of the program file."""
        return "tofu" if "tofu" in Path(self.path).name else "terraform"


def find_tool(environ: Mapping[str, str]) -> TerraformTool:
    """Return the binary that JARKKIT_TERRAFORM names, else terraform, else tofu on PATH, else the
    OpenTofu that jarkkit built.

    Raises JK-TF-MISSING, JK-TF-VERSION (older than 1.10).
    """
    named = environ.get("JARKKIT_TERRAFORM")
    candidates = [named] if named else ["terraform", "tofu"]
    found = (shutil.which(name, path=environ.get("PATH")) for name in candidates)
    path = next((path for path in found if path), None) or (None if named else _built(environ))
    if path is None:
        raise JarkkitError(
            "JK-TF-MISSING",
            f"{named} is not on PATH."
            if named
            else "Neither terraform nor tofu is on PATH, and jarkkit has not built OpenTofu yet.",
            "Let jarkkit build OpenTofu (once per machine, about 5 minutes): `jarkkit sandbox "
            "setup --only-opentofu`. Or install Terraform or OpenTofu 1.10 or newer, or set "
            "JARKKIT_TERRAFORM to the program.",
        )
    version = _version(path, environ)
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < MIN_VERSION:
        raise JarkkitError(
            "JK-TF-VERSION",
            f"{path} is version {version}.",
            f"Install {'.'.join(map(str, MIN_VERSION))} or newer.",
        )
    return TerraformTool(path=path, version=version)


def _built(environ: Mapping[str, str]) -> str | None:
    """Return the newest OpenTofu that `jarkkit sandbox setup` built."""
    built = user_cache(environ).glob("toolchain/opentofu-*/tofu")
    newest = max(built, key=lambda path: path.stat().st_mtime, default=None)
    return None if newest is None else str(newest)


def _version(path: str, environ: Mapping[str, str]) -> str:
    quiet = {**_without_terraform_variables(environ), "CHECKPOINT_DISABLE": "1"}
    try:
        answer = subprocess.run(
            [path, "version", "-json"], capture_output=True, env=quiet, timeout=60, check=False
        )
        # An invalid CLI configuration prints a warning before the JSON.
        text = answer.stdout.decode(errors="replace")
        return str(json.loads(text[text.index("{") :])["terraform_version"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        raise JarkkitError(
            "JK-TF-VERSION",
            f"{path} does not report its version.",
            "Check that it is Terraform or OpenTofu and is executable.",
            evidence=str(error),
        ) from error


def _without_terraform_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables that would change jarkkit's commands."""
    disturbing = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_LOG")
    return {name: value for name, value in environ.items() if not name.startswith(disturbing)}


@dataclass
class Terraform:
    """Terraform in one deployment's folder. The constructor does nothing.

    Args:
        folder: the deployment's folder, also Terraform's working directory.
        environ: environment of the process, with AWS credentials and endpoints.
        new_log: creates a new file for a raw log; its argument names the command.
    """

    folder: Path
    environ: Mapping[str, str]
    new_log: Callable[[str], Path]
    sleep: Sleep = time.sleep
    _tool: TerraformTool | None = field(default=None, init=False)
    _log: Path | None = field(default=None, init=False)

    @property
    def tool(self) -> TerraformTool:
        """The binary in use. Raises JK-TF-MISSING, JK-TF-VERSION."""
        if self._tool is None:
            self._tool = find_tool(self.environ)
        return self._tool

    # -- commands ----------------------------------------------------------------------------

    def init(self) -> Iterator[StepEvent]:
        """Install the provider and set up the backend. Raises JK-TF-PROVIDER and others."""
        options = {"input": False, "no_color": IsFlagged, "reconfigure": IsFlagged}
        yield from self._follow("init", self._line("init", **options))

    @property
    def initialised(self) -> bool:
        """True if init ran for the modules and the backend in the folder."""
        return (self.folder / ".terraform/modules/modules.json").is_file() and (
            self.folder / LOCK_FILE
        ).is_file()

    def plan(
        self, file: str, *, destroy: bool = False, targets: Sequence[str] = ()
    ) -> Iterator[StepEvent]:
        """Write a plan file. Raises JK-TF-… and JK-AWS-… errors from the diagnostics.

        Args:
            targets: addresses to plan, with their dependencies; empty plans everything.
        """
        line = self._line(
            "plan",
            json=IsFlagged,
            input=False,
            parallelism=PARALLELISM,
            out=file,
            destroy=IsFlagged if destroy else None,
            target=list(targets) or None,
        )
        yield from self._follow("plan", line)
        with contextlib.suppress(OSError):  # a plan contains every value of the state
            (self.folder / file).chmod(0o600)

    def planned_changes(self) -> tuple[ResourceChange, ...]:
        """Return the changes of the plan that was just created, from its stream."""
        if self._log is None:
            return ()
        return changes_from_stream(self._messages(self._log, alive=lambda: False))

    def apply(self, file: str) -> Iterator[StepEvent]:
        """Apply exactly that plan file. After an interrupt, Terraform saves the state and exits."""
        line = self._line("apply", file, json=IsFlagged, input=False, parallelism=PARALLELISM)
        yield from self._follow("apply", line)

    def show(self, file: str = "") -> dict[str, Any]:
        """Return a plan file, or the state if no file is given, in Terraform's JSON format."""
        return self._json("show", *([file] if file else []), json=IsFlagged)

    def outputs(self) -> dict[str, Any]:
        """Return all outputs of the state by name."""
        return {name: out["value"] for name, out in self._json("output", json=IsFlagged).items()}

    def validate(self) -> None:
        """Check configuration and variables without the account. Raises JK-TF-INVALID."""
        answer = self._json("validate", json=IsFlagged, accept=(0, 1))
        if not answer["valid"]:
            found = [f"{d['summary']} {d.get('detail', '')}" for d in answer["diagnostics"]]
            raise terraform_error(
                1, [f"Invalid expression: {found[0]}", *found[1:]], "", "validate"
            )

    def untaint(self, address: str) -> None:
        """Remove the taint of a resource whose creation was interrupted but then completed."""
        self._run(self._line("untaint", address))

    # -- a run in progress -------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """True while a Terraform process of this folder runs, regardless of which process started
        it."""
        return self._other() is not None

    def follow_running(self) -> Iterator[StepEvent]:
        """Follow a run that another process started, until it ends. Its result is not checked: the
        next plan shows what remains to do."""
        record = self._run_record()
        if record is None or self._other() is None:
            return
        log = Path(record["log"])
        yield from self._events(log, alive=lambda: self._other() is not None, errors=[])

    def _run_record(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.folder / ".terraform-run.json").read_text()))
        except (OSError, ValueError):
            return None

    def _other(self) -> psutil.Process | None:
        record = self._run_record()
        if record is None:
            return None
        try:
            return find_process(record["pid"], record["created"])
        except (KeyError, TypeError):
            return None

    # -- plumbing ----------------------------------------------------------------------------

    def _line(self, command: str, *args: str, **options: Any) -> list[str]:
        # This working_dir has no state file, because the constructor would read it.
        maker = CommandLine(
            working_dir=str(self.folder / "logs"), terraform_bin_path=self.tool.path
        )
        return [str(word) for word in maker.generate_cmd_string(command, *args, **options)]

    def _environment(self) -> dict[str, str]:
        environ = {
            **_without_terraform_variables(self.environ),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
        }
        mirror = find_mirror(self.tool.product, self.environ)
        if mirror is not None:
            environ["TF_CLI_CONFIG_FILE"] = str(self._write_configuration(mirror))
        elif not Path(environ.get("TF_CLI_CONFIG_FILE", "/")).is_file():
            environ.pop("TF_CLI_CONFIG_FILE", None)
        return environ

    def _write_configuration(self, mirror: Path) -> Path:
        path, product = self.folder / ".terraformrc", self.tool.product
        view = mirror_view(mirror, product, self.folder / ".terraform-mirror")
        path.write_text(cli_configuration(view, product))
        return path

    def _log_command(self, line: Sequence[str]) -> None:
        """Log a command line. Variables and their secrets are in files, never on it."""
        words = mask_account_ids(shlex.join([self.tool.product, *line[1:]]))
        _logger.info("%s: %s", self.folder.name, words)

    def _run(self, line: list[str], accept: Sequence[int] = (0,)) -> str:
        self._log_command(line)
        answer = subprocess.run(
            line,
            cwd=self.folder,
            env=self._environment(),
            umask=_PRIVATE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode not in accept:
            raise terraform_error(answer.returncode, [], answer.stderr or answer.stdout, line[1])
        return answer.stdout

    def _json(
        self, command: str, *args: str, accept: Sequence[int] = (0,), **options: Any
    ) -> dict[str, Any]:
        return dict(json.loads(self._run(self._line(command, *args, **options), accept)))

    def _follow(self, what: str, line: list[str]) -> Generator[StepEvent, None, None]:
        """Run the command to its end and yield its events. Raises the error for its exit code."""
        if self._other() is not None:
            raise JarkkitError(
                "JK-TF-LOCKED",
                "An earlier Terraform run of this deployment is still in progress.",
                "Wait until it ends, then run the step again.",
            )
        log = self._log = self.new_log(what)
        errors: list[str] = []
        process = self._start(line, log)
        try:
            yield from self._events(log, alive=lambda: process.poll() is None, errors=errors)
        except BaseException as stopped:
            # Also if the consumer closes the generator (GeneratorExit): stop Terraform.
            self._interrupt(process)
            if isinstance(stopped, KeyboardInterrupt):
                raise _interrupted(process) from stopped
            raise
        finally:
            if process.poll() is not None:
                (self.folder / ".terraform-run.json").unlink(missing_ok=True)
        if process.returncode != 0:
            raise terraform_error(process.returncode, errors, _tail(log), what)

    def _start(self, line: list[str], log: Path) -> subprocess.Popen[bytes]:
        self._log_command(line)
        with log.open("ab") as out:
            process = subprocess.Popen(
                line,
                cwd=self.folder,
                env=self._environment(),
                umask=_PRIVATE,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        record = {"pid": process.pid, "created": creation_time(process.pid), "log": str(log)}
        (self.folder / ".terraform-run.json").write_text(json.dumps(record))
        return process

    def _interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Ask Terraform to stop after its running operations, and wait until it does."""

        def interrupt() -> None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

        def pause(seconds: float) -> None:
            try:
                self.sleep(seconds)
            except KeyboardInterrupt:  # a second interrupt stops Terraform at once
                interrupt()

        interrupt()
        for _ in poll(_POLL_SECONDS, _INTERRUPT_SECONDS, sleep=pause):
            if process.poll() is not None:
                return

    def _events(
        self, log: Path, *, alive: Callable[[], bool], errors: list[str]
    ) -> Iterator[StepEvent]:
        for message in self._messages(log, alive):
            event = event_from_message(message)
            if event is None:
                continue
            if isinstance(event, StepMessage) and event.kind == "error":
                errors.append(event.message)
            yield event

    def _messages(self, log: Path, alive: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Yield the JSON lines of a growing file, until its writer exits and all lines are read."""
        rest = b""
        with log.open("rb") as handle:
            for _ in poll(_POLL_SECONDS, sleep=self.sleep):
                writer_alive = alive()  # check before reading, so that the last lines are read
                *lines, rest = (rest + handle.read()).split(b"\n")
                for line in lines:
                    with contextlib.suppress(ValueError):
                        message = json.loads(line)
                        if isinstance(message, dict):
                            yield message
                if not writer_alive:
                    return


def _interrupted(process: subprocess.Popen[bytes]) -> JarkkitError:
    still = "" if process.poll() is not None else " It is still finishing a call."
    return JarkkitError(
        "JK-INTERRUPTED",
        f"Interrupted; Terraform saved its state.{still}",
        "Run the step again to continue where it stopped, or delete it all: jarkkit cleanup",
    )


def _tail(log: Path, lines: int = 30) -> str:
    """Return the last lines of the log, with the messages of JSON lines."""
    shown = []
    for line in log.read_text(errors="replace").splitlines()[-lines:]:
        try:
            shown.append(str(json.loads(line).get("@message", "")))
        except (ValueError, AttributeError):
            shown.append(line)
    return "\n".join(text for text in shown if text.strip(" ╷│╵"))
