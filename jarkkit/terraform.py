"""The door to Terraform (or OpenTofu): the only module that starts processes.

Terraform writes its JSON stream into a log file and the kit follows that file. So a run survives
the death of the kit, the raw log is always complete, no terminal is needed, and the next process
can go on following a run that is still under way. Terraform runs in a session of its own: an
interrupt reaches it once, from us, and it saves its state before it ends.

python_terraform builds the command lines, nothing else; its traps are listed in
docs/architecture.md.
"""

from __future__ import annotations

import contextlib
import json
import re
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

from jarkkit.errors import JarkkitError
from jarkkit.records import Event, ResourceChange, Step
from jarkkit.terraform_messages import event_of, failure, planned

# S3's own state locking came with 1.10 in both.
OLDEST = (1, 10, 0)
PROVIDER = "hashicorp/aws"
PARALLELISM = 20  # AWS throttles far above this; Terraform's default is 10

_POLL_SECONDS = 0.05
_PRIVATE = 0o077  # state and plans can hold secrets
# After an interrupt Terraform waits for what it has begun; some AWS calls take minutes to give up.
_INTERRUPT_SECONDS = 120.0

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Tool:
    """Which binary it is."""

    path: str
    version: str

    @property
    def product(self) -> str:
        """`terraform` or `tofu`, as the program file is called."""
        return Path(self.path).name

    @property
    def registry(self) -> str:
        """Host folder that a provider mirror for this product has."""
        return "registry.opentofu.org" if "tofu" in self.product else "registry.terraform.io"


def find_tool(environ: Mapping[str, str]) -> Tool:
    """The binary named by JARKKIT_TERRAFORM, else terraform, else tofu on PATH.

    Raises JK-TF-MISSING, JK-TF-VERSION (older than 1.10).
    """
    named = environ.get("JARKKIT_TERRAFORM")
    candidates = [named] if named else ["terraform", "tofu"]
    found = (shutil.which(name, path=environ.get("PATH")) for name in candidates)
    path = next((path for path in found if path), None)
    if path is None:
        raise JarkkitError(
            "JK-TF-MISSING",
            f"{named or 'Neither terraform nor tofu'} is not on PATH.",
            "Install Terraform or OpenTofu 1.10 or newer, or name the program in "
            "JARKKIT_TERRAFORM. With conda: environment.yml brings OpenTofu.",
        )
    version = _version(path, environ)
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < OLDEST:
        raise JarkkitError(
            "JK-TF-VERSION",
            f"{path} is version {version}.",
            f"Install {'.'.join(map(str, OLDEST))} or newer.",
        )
    return Tool(path=path, version=version)


def _version(path: str, environ: Mapping[str, str]) -> str:
    quiet = {**_undisturbed(environ), "CHECKPOINT_DISABLE": "1"}
    try:
        answer = subprocess.run(
            [path, "version", "-json"], capture_output=True, env=quiet, timeout=60, check=False
        )
        # A faulty CLI configuration puts a warning in front of the JSON.
        text = answer.stdout.decode(errors="replace")
        return str(json.loads(text[text.index("{") :])["terraform_version"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        raise JarkkitError(
            "JK-TF-VERSION",
            f"{path} does not say which version it is.",
            "Check that it is Terraform or OpenTofu and can be run.",
            evidence=str(error),
        ) from error


def _undisturbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that would change what the kit asks for."""
    disturbing = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_LOG")
    return {name: value for name, value in environ.items() if not name.startswith(disturbing)}


def find_mirror(
    tool: Tool,
    environ: Mapping[str, str],
    roots: Sequence[Path] = (Path("/opt"),),
    system: Sequence[Path] = (Path("/usr/local/share/terraform/plugins"),),
) -> Path | None:
    """The provider mirror to use; None leaves the choice to Terraform.

    JARKKIT_TF_MIRROR first; else what the user's own configuration or Terraform's implied
    directories say; else a folder directly below one of `roots` that holds the provider.
    """
    if named := environ.get("JARKKIT_TF_MIRROR"):
        return Path(named).expanduser().resolve()
    provider = Path(tool.registry) / PROVIDER
    if _user_configuration(environ) is not None:
        return None
    home = Path(environ.get("HOME", "~")).expanduser()
    implied = (home / ".terraform.d/plugins", home / ".local/share/terraform/plugins", *system)
    if any((folder / provider).is_dir() for folder in implied):
        return None
    folders = (folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()))
    return next((folder for folder in folders if (folder / provider).is_dir()), None)


def _user_configuration(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("TF_CLI_CONFIG_FILE")
    home = Path(environ.get("HOME", "~")).expanduser()
    candidates = [Path(named)] if named else [home / ".terraformrc", home / ".tofurc"]
    return next((path for path in candidates if path.is_file()), None)


@dataclass
class Terraform:
    """Terraform in one deployment's folder. Making one does nothing; methods act.

    Args:
        folder: the deployment's folder, also Terraform's working folder.
        environ: what the process sees; AWS credentials and endpoints come from here.
        new_log: makes a fresh file for a raw log, given a word for what it is.
    """

    folder: Path
    environ: Mapping[str, str]
    new_log: Callable[[str], Path]
    sleep: Sleep = time.sleep
    _tool: Tool | None = field(default=None, init=False)
    _log: Path | None = field(default=None, init=False)

    @property
    def tool(self) -> Tool:
        """Which binary is used. Raises JK-TF-MISSING, JK-TF-VERSION."""
        if self._tool is None:
            self._tool = find_tool(self.environ)
        return self._tool

    # -- commands ----------------------------------------------------------------------------

    def init(self, step: Step) -> Iterator[Event]:
        """Install the provider and set up the backend. Raises JK-TF-PROVIDER and others."""
        options = {"input": False, "no_color": IsFlagged, "reconfigure": IsFlagged}
        yield from self._follow("init", self._line("init", **options), step)

    @property
    def initialised(self) -> bool:
        """True when init has run for the modules and the backend that lie in the folder."""
        return (self.folder / ".terraform/modules/modules.json").is_file() and (
            self.folder / ".terraform.lock.hcl"
        ).is_file()

    def plan(
        self, step: Step, file: str, *, destroy: bool = False, only: Sequence[str] = ()
    ) -> Iterator[Event]:
        """Write a plan file. Raises JK-TF-… and JK-AWS-… as the diagnostics say.

        Args:
            only: addresses to plan, with what they need; empty plans everything.
        """
        line = self._line(
            "plan",
            json=IsFlagged,
            input=False,
            parallelism=PARALLELISM,
            out=file,
            destroy=IsFlagged if destroy else None,
            target=list(only) or None,
        )
        yield from self._follow("plan", line, step)
        with contextlib.suppress(OSError):  # a plan holds every value of the state
            (self.folder / file).chmod(0o600)

    def planned(self) -> tuple[ResourceChange, ...]:
        """What the plan that was just made will change, from its stream."""
        if self._log is None:
            return ()
        return planned(self._messages(self._log, alive=lambda: False))

    def apply(self, step: Step, file: str) -> Iterator[Event]:
        """Carry out exactly that plan file. An interrupt ends it after saving the state."""
        line = self._line("apply", file, json=IsFlagged, input=False, parallelism=PARALLELISM)
        yield from self._follow("apply", line, step)

    def show(self, file: str = "") -> dict[str, Any]:
        """A plan file, or the state when none is named, in Terraform's JSON format."""
        return self._json("show", *([file] if file else []), json=IsFlagged)

    def outputs(self) -> dict[str, Any]:
        """All outputs of the state by name."""
        return {name: out["value"] for name, out in self._json("output", json=IsFlagged).items()}

    def validate(self) -> None:
        """Check configuration and variables without the account. Raises JK-TF-INVALID."""
        answer = self._json("validate", json=IsFlagged, accept=(0, 1))
        if not answer["valid"]:
            said = [f"{d['summary']} {d.get('detail', '')}" for d in answer["diagnostics"]]
            raise failure(1, [f"Invalid expression: {said[0]}", *said[1:]], "", "validate")

    def untaint(self, address: str) -> None:
        """Tell Terraform that a resource is sound although its creation was interrupted."""
        self._run(self._line("untaint", address))

    # -- a run that is under way -------------------------------------------------------------

    @property
    def running(self) -> bool:
        """True while a Terraform that this folder knows of is alive, whoever started it."""
        return self._other() is not None

    def attach(self, step: Step) -> Iterator[Event]:
        """Follow a run that another process began, until it has ended. No verdict is given:
        the next plan tells what is left to do."""
        known = self._known()
        if known is None or self._other() is None:
            return
        log = Path(known["log"])
        yield from self._events(log, step, alive=lambda: self._other() is not None, said=[])

    def _known(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.folder / ".terraform-run.json").read_text()))
        except (OSError, ValueError):
            return None

    def _other(self) -> psutil.Process | None:
        known = self._known()
        if known is None:
            return None
        try:
            process = psutil.Process(known["pid"])
            same = abs(process.create_time() - known["created"]) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, KeyError, TypeError):
            return None

    # -- plumbing ----------------------------------------------------------------------------

    def _line(self, command: str, *args: str, **options: Any) -> list[str]:
        # The working folder given here is one without a state file: the constructor reads it.
        maker = CommandLine(
            working_dir=str(self.folder / "logs"), terraform_bin_path=self.tool.path
        )
        return [str(word) for word in maker.generate_cmd_string(command, *args, **options)]

    def _environment(self) -> dict[str, str]:
        environ = {
            **_undisturbed(self.environ),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
        }
        mirror = find_mirror(self.tool, self.environ)
        if mirror is not None:
            environ["TF_CLI_CONFIG_FILE"] = str(self._write_configuration(mirror))
        elif not Path(environ.get("TF_CLI_CONFIG_FILE", "/")).is_file():
            environ.pop("TF_CLI_CONFIG_FILE", None)
        return environ

    def _write_configuration(self, mirror: Path) -> Path:
        path = self.folder / ".terraformrc"
        source = f"{self.tool.registry}/{PROVIDER}"
        path.write_text(
            "provider_installation {\n"
            f"  filesystem_mirror {{\n    path    = {json.dumps(str(mirror))}\n"
            f'    include = ["{source}"]\n  }}\n'
            f'  direct {{\n    exclude = ["{source}"]\n  }}\n}}\n'
        )
        return path

    def _run(self, line: list[str], accept: Sequence[int] = (0,)) -> str:
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
            raise failure(answer.returncode, [], answer.stderr or answer.stdout, line[1])
        return answer.stdout

    def _json(
        self, command: str, *args: str, accept: Sequence[int] = (0,), **options: Any
    ) -> dict[str, Any]:
        return dict(json.loads(self._run(self._line(command, *args, **options), accept)))

    def _follow(self, what: str, line: list[str], step: Step) -> Generator[Event, None, None]:
        """Run to the end and yield its events; raise what its exit stands for."""
        if self._other() is not None:
            raise JarkkitError(
                "JK-TF-LOCKED",
                "An earlier Terraform run of this deployment is still under way.",
                "Wait until it has ended, then run the step again.",
            )
        log = self._log = self.new_log(what)
        said: list[str] = []
        process = self._start(line, log)
        try:
            yield from self._events(log, step, alive=lambda: process.poll() is None, said=said)
        except BaseException as stopped:
            # Also when the consumer stopped listening (GeneratorExit): never leave it unattended.
            self._interrupt(process)
            if isinstance(stopped, KeyboardInterrupt):
                raise _interrupted(process) from stopped
            raise
        finally:
            if process.poll() is not None:
                (self.folder / ".terraform-run.json").unlink(missing_ok=True)
        if process.returncode != 0:
            raise failure(process.returncode, said, _tail(log), what)

    def _start(self, line: list[str], log: Path) -> subprocess.Popen[bytes]:
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
        known = {"pid": process.pid, "created": _created(process.pid), "log": str(log)}
        (self.folder / ".terraform-run.json").write_text(json.dumps(known))
        return process

    def _interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Ask Terraform to stop after what it has begun, and wait until it has."""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _INTERRUPT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self.sleep(_POLL_SECONDS)
            except KeyboardInterrupt:  # asked a second time: Terraform then stops at once
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)

    def _events(
        self, log: Path, step: Step, *, alive: Callable[[], bool], said: list[str]
    ) -> Iterator[Event]:
        for message in self._messages(log, alive):
            event = event_of(message, step)
            if event is None:
                continue
            if event.kind == "error":
                said.append(event.message)
            yield event

    def _messages(self, log: Path, alive: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """The JSON lines of a growing file, until its writer is gone and all is read."""
        rest = b""
        with log.open("rb") as handle:
            while True:
                writer_alive = alive()  # asked before reading, so that the last lines are seen
                chunk = handle.read()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    with contextlib.suppress(ValueError):
                        message = json.loads(line)
                        if isinstance(message, dict):
                            yield message
                if not writer_alive:
                    return
                if not chunk:
                    self.sleep(_POLL_SECONDS)


def _interrupted(process: subprocess.Popen[bytes]) -> JarkkitError:
    still = "" if process.poll() is not None else " It is still finishing a call."
    return JarkkitError(
        "JK-INTERRUPTED",
        f"Interrupted; Terraform saved its state.{still}",
        "Run the step again: it goes on where it stopped. Or take it down: jarkkit cleanup",
    )


def _created(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _tail(log: Path, lines: int = 30) -> str:
    """The last lines that are not part of the JSON stream, or their messages."""
    shown = []
    for line in log.read_text(errors="replace").splitlines()[-lines:]:
        try:
            shown.append(str(json.loads(line).get("@message", "")))
        except (ValueError, AttributeError):
            shown.append(line)
    return "\n".join(text for text in shown if text.strip(" ╷│╵"))
