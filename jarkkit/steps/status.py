"""Where does the deployment stand, and what is the one next thing to do? Pure."""

from __future__ import annotations

from typing import Any

from jarkkit.records import Deployed, Entry, Plan, Receipt, Target, Where

_STEPS_THAT_CHANGE = ("deploy", "cleanup")


def status(
    name: str,
    *,
    entries: tuple[Entry, ...],
    plan: Plan | None,
    deployed: Deployed | None,
    receipt: Receipt | None,
    target: Target | None,
    settings_changed: bool,
    running: bool,
    takes: str = "",
) -> Where:
    """The state of a deployment from what its folder says.

    Args:
        takes: how long a deploy is said to take, in words; told before there is one.
        settings_changed: the settings are not those of the plan.
        running: some process is working on it now, or Terraform outlived its kit.
    """
    last = entries[-1] if entries else None
    state, summary, command = _stand(entries, plan, deployed, receipt, settings_changed, running)
    if takes and state in ("configured", "planned"):
        summary = f"{summary} Deploying takes {takes} on AWS."
    return Where.model_validate(
        {
            "deployment": name,
            "state": state,
            "summary": summary,
            "next_command": f"jarkkit {command} {name}",
            "target": target,
            "last": last,
            "running": running,
        }
    )


def _stand(
    entries: tuple[Entry, ...],
    plan: Plan | None,
    deployed: Deployed | None,
    receipt: Receipt | None,
    settings_changed: bool,
    running: bool,
) -> tuple[Any, str, str]:
    changing = next((e for e in reversed(entries) if e.step in _STEPS_THAT_CHANGE), None)
    if changing is not None and changing.status != "finished":
        return _unfinished(changing, running)
    removed = changing is not None and changing.step == "cleanup" and receipt is not None
    if removed and plan is None:
        return "removed", "Everything was taken down; nothing is left.", "plan"
    if deployed is not None and plan is not None and deployed.time > plan.made:
        if settings_changed:
            return "changed", "Deployed, and the settings have changed since.", "plan"
        took = f"Deployed in {deployed.seconds:.0f} s"
        if _verified(entries):
            return "deployed", f"{took}, and verified.", "use --deployment"
        return "deployed", f"{took}.", "verify"
    if plan is not None:
        if settings_changed:
            return "configured", "The settings have changed since the plan.", "plan"
        return "planned", f"Planned: {len(plan.pending)} resources.", "deploy"
    if any(entry.step in ("configure", "preflight") for entry in entries):
        return "configured", "Settings are saved; nothing is planned yet.", "plan"
    return "new", "Nothing has been done yet.", "preflight"


def _verified(entries: tuple[Entry, ...]) -> bool:
    """Whether the last verification since the last change of anything passed."""
    changes = (i for i, e in enumerate(entries) if e.step in _STEPS_THAT_CHANGE)
    since = entries[max(changes, default=0) :]
    asked = [entry for entry in since if entry.step == "verify"]
    return bool(asked) and asked[-1].status == "finished"


def _unfinished(entry: Entry, running: bool) -> tuple[str, str, str]:
    doing = "deploying" if entry.step == "deploy" else "cleaning"
    verb = "deploy" if entry.step == "deploy" else "cleanup"
    if running:
        return doing, f"{entry.step} is under way since {entry.time}.", "status"
    if entry.status == "started":
        return "failed", f"{entry.step} ended without a word (killed?); run it again.", verb
    why = f": {entry.code} {entry.message}".rstrip() if entry.code else ""
    word = "was interrupted" if entry.status == "interrupted" else "failed"
    return "failed", f"{entry.step} {word}{why}", verb
