"""The workspace: atomic writes, one writer, recovery after a crash."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import LedgerEntry, Target
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings

TARGET = Target(account_id="1", region="r", cluster_arn="a", rehearsal=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "deployments" / "demo")
    made.create(Settings(), rehearsal=True)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_it(workspace: Workspace) -> None:
    workspace.save("target", TARGET)
    workspace.record(LedgerEntry(time=now(), step="plan", status="started"))
    assert mode(workspace.folder) == 0o700
    for name in ("settings.yaml", "target.json", "ledger.jsonl", "deployment.json"):
        assert mode(workspace.folder / name) == 0o600
    assert mode(workspace.new_log("plan")) == 0o600


def test_a_users_comments_stay_when_nothing_changes(workspace: Workspace) -> None:
    path = workspace.folder / "settings.yaml"
    path.write_text("# my note\nname: demo\n")
    workspace.save_settings(Settings())
    assert "my note" in path.read_text()
    workspace.save_settings(Settings(az_count=3))
    assert workspace.settings().az_count == 3


def test_values_read_back(workspace: Workspace) -> None:
    assert workspace.load("target", Target) is None
    workspace.save("target", TARGET)
    assert workspace.load("target", Target) == TARGET
    workspace.discard("target")
    workspace.discard("target")
    assert workspace.load("target", Target) is None


def test_a_damaged_value_is_an_error_with_the_file_name(workspace: Workspace) -> None:
    (workspace.folder / "target.json").write_text('{"account_id": "1"')
    with pytest.raises(JarkkitError, match=r"JK-DEPLOYMENT-DAMAGED.*target\.json"):
        workspace.load("target", Target)


def test_a_torn_ledger_line_is_skipped_and_the_next_is_read(
    workspace: Workspace,
) -> None:
    workspace.record(LedgerEntry(time=now(), step="plan", status="started"))
    with (workspace.folder / "ledger.jsonl").open("a") as handle:
        handle.write('{"time": "20')
    workspace.record(LedgerEntry(time=now(), step="deploy", status="started"))
    assert [entry.step for entry in workspace.ledger_entries()] == ["plan", "deploy"]


def test_a_failed_write_leaves_the_old_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.save("target", TARGET)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(JarkkitError, match="JK-WORKSPACE-WRITE") as caught:
        workspace.save("target", TARGET.model_copy(update={"region": "other"}))
    assert "disk space" in caught.value.fix
    assert workspace.load("target", Target) == TARGET
    assert not list(workspace.folder.glob(".target*"))


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JarkkitError, match="JK-WORKSPACE-WRITE"):
        Workspace(tmp_path / "file" / "demo").create(Settings(), rehearsal=True)


def _hold(folder: Path, ready: object, go: object) -> None:
    with Workspace(folder).exclusive_lock():
        ready.set()  # type: ignore[attr-defined]
        go.wait(30)  # type: ignore[attr-defined]


def test_a_second_process_is_rejected_until_the_first_ends(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(workspace.folder, ready, go))
    holder.start()
    assert ready.wait(30)
    assert workspace.is_locked
    with (
        pytest.raises(JarkkitError, match="JK-DEPLOYMENT-BUSY") as caught,
        workspace.exclusive_lock(),
    ):
        pass
    assert str(holder.pid) in caught.value.message
    holder.kill()  # the lock ends with its process, however that ends
    holder.join()
    assert not workspace.is_locked
    with workspace.exclusive_lock():
        assert workspace.is_locked


def test_the_configuration_is_copied_and_old_files_are_deleted(
    workspace: Workspace, tmp_path: Path
) -> None:
    source = tmp_path / "terraform"
    (source / "modules" / "vpc").mkdir(parents=True)
    (source / "main.tf").write_text("# one")
    (source / "old.tf").write_text("# old")
    (source / "modules" / "vpc" / "main.tf").write_text("# two")
    workspace.copy_configuration(source)
    first = workspace.configuration_digest()
    (source / "old.tf").unlink()
    workspace.copy_configuration(source)
    assert not (workspace.folder / "old.tf").exists()
    assert (workspace.folder / "modules" / "vpc" / "main.tf").read_text() == "# two"
    assert workspace.configuration_digest() != first


def test_variables_do_not_change_the_digest_of_the_modules(workspace: Workspace) -> None:
    before = workspace.configuration_digest(), workspace.configuration_digest(modules_only=True)
    workspace.save_tfvars({"name": "demo", "list": ("a",)})
    after = workspace.configuration_digest(), workspace.configuration_digest(modules_only=True)
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert workspace.tfvars() == {"name": "demo", "list": ["a"]}


def test_a_half_written_state_is_kept_and_its_backup_restored(workspace: Workspace) -> None:
    state = workspace.folder / "terraform.tfstate"
    assert workspace.restore_damaged_state() == ""
    state.write_text('{"version": 4, "resou')
    state.with_suffix(".tfstate.backup").write_text(json.dumps({"version": 4}))
    assert "backup restored" in workspace.restore_damaged_state()
    assert json.loads(state.read_text()) == {"version": 4}
    assert len(list(workspace.folder.glob("terraform.tfstate.damaged-*"))) == 1
    assert workspace.restore_damaged_state() == ""


def test_a_half_written_state_without_backup_starts_empty(workspace: Workspace) -> None:
    state = workspace.folder / "terraform.tfstate"
    state.write_text("")
    assert "empty" in workspace.restore_damaged_state()
    assert not state.exists()
