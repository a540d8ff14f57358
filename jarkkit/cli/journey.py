"""`jarkkit run`: all notebooks headless, with a summary and one page at the end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jarkkit.cli import show
from jarkkit.errors import JarkkitError
from jarkkit.headless import Ran, Run, Runner, choose
from jarkkit.home import find_home, sandbox_home
from jarkkit.kit import Kit
from jarkkit.records import Event
from jarkkit.report import page
from jarkkit.scrub import Scrub, words_of
from jarkkit.streams import drain

# What costs money and what destroys, in a real account, is never run unasked.
_DEPLOY, _CLEANUP = "04-deploy", "08-cleanup"


def run(
    name: str,
    *,
    sandbox: bool,
    values: Mapping[str, Any],
    first: str,
    last: str,
    speed: float | None,
    confirm: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Run the notebooks; returns the exit code."""
    home = find_home()
    notebooks = choose(first, last)
    if not sandbox:
        notebooks = _allowed(notebooks, name, yes=yes, confirm=confirm)
    with _account(home, sandbox=sandbox, speed=speed):
        kit = Kit.create(name, rehearsal=sandbox, values=values, home=home, exist_ok=True)
        scrub = Scrub(words_of(home, account_id=_account_id(kit), secrets=_secrets()))
        given = {
            "deployment": name,
            "rehearsal": sandbox,
            "region": kit.settings.region,
            "changes": {key: value for key, value in values.items() if key != "name"},
            "confirm": name if sandbox else confirm,
        }
        environ = {**os.environ, "JARKKIT_HOME": str(home)}
        runner = Runner(kit.workspace, environ, given, scrub)
        result = drain(runner.run(notebooks), _quiet if as_json else _show)
        report = kit.folder / "report.html"
        report.write_text(page(kit, result, scrub), encoding="utf-8")
        _conclude(kit, result, report, as_json=as_json)
    return 0 if result.ok else _exit_code(result)


def _allowed(
    notebooks: tuple[Path, ...], name: str, *, yes: bool, confirm: str
) -> tuple[Path, ...]:
    """In a real account: deploying needs --yes, and cleaning up needs --confirm NAME."""
    names = [path.stem for path in notebooks]
    if _DEPLOY in names and not yes:
        raise JarkkitError(
            "JK-USAGE",
            "This would build in a real AWS account, which costs money.",
            "Rehearse it: add --sandbox. Or look first: add --to 03. To build: add --yes",
        )
    return tuple(p for p in notebooks if p.stem != _CLEANUP or confirm == name)


@contextlib.contextmanager
def _account(home: Path, *, sandbox: bool, speed: float | None) -> Iterator[None]:
    """A sandbox for as long as the run lasts, unless one is there already."""
    if not sandbox or os.environ.get("AWS_ENDPOINT_URL"):
        yield
        return
    from jarkkit.sandbox import control

    folder = sandbox_home(home)
    was_there = control.find(folder) is not None
    if not was_there or speed is not None:
        control.start(folder, speed=speed or 0.0)
    try:
        yield
    finally:
        if not was_there:
            control.stop(folder)


def _account_id(kit: Kit) -> str:
    try:
        return kit.where_am_i().account_id
    except JarkkitError:
        return ""  # notebook 01 says what is wrong


def _secrets() -> tuple[str, ...]:
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
    return tuple(os.environ.get(name, "") for name in names)


def _quiet(_: Event | Ran) -> None:
    pass


def _show(item: Event | Ran) -> None:
    if isinstance(item, Ran):
        mark = "✔" if item.status == "ok" else "✘"
        show.say(f"{mark} {item.name}  {item.seconds:.1f} s")
        if item.status == "failed":
            show.say(f"    {item.code}: {item.message}\n    fix: {item.fix}")
    elif item.kind == "phase" and item.step == "configure":
        show.say(f"\n▶ {item.subject}")
    else:
        show.progress(item)


def _conclude(kit: Kit, result: Run, report: Path, *, as_json: bool) -> None:
    where = kit.status()
    kind = "Rehearsed" if result.rehearsal else "Ran"
    count = sum(ran.status == "ok" for ran in result.notebooks)
    receipt = kit.last_receipt()
    lines = [
        "",
        f"{kind} {count} of {len(result.notebooks)} notebooks in {result.seconds:.0f} s.",
        f"  {kit.name}: {where.state}. {where.summary}",
    ]
    if receipt and where.state == "removed":
        lines.append(
            f"  {receipt.destroyed} resources were destroyed; {len(receipt.looked_at)} places of "
            f"the account looked at: {'nothing is left' if receipt.clean else 'see the report'}."
        )
    lines += [f"  executed notebooks: {kit.folder / 'notebooks'}", f"  report: {report}"]
    if where.state != "removed" or not result.ok:
        lines.append(f"  next: {where.next_command}")
    show.value(result, "\n".join(lines), as_json=as_json)


def _exit_code(result: Run) -> int:
    return 130 if any(ran.code == "JK-INTERRUPTED" for ran in result.notebooks) else 1
