"""`jarkkit run`: all notebooks headless, then a summary and an HTML report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jarkkit.cli import output
from jarkkit.decisions.permissions.policy import named_policies
from jarkkit.decisions.redaction import Redactor, sensitive_values
from jarkkit.decisions.rehearsal_environment import names_a_sandbox, rehearsal_environment
from jarkkit.deployment import Deployment
from jarkkit.headless.runner import NotebookRunner, select_notebooks
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.notebook_runs import NotebookResult, NotebookRun
from jarkkit.model.records import Event
from jarkkit.model.step_generators import run_to_end
from jarkkit.ports.paths import find_home, local_paths, sandbox_home
from jarkkit.render.run_page import run_page

# In a real account, the notebooks that cost money or destroy resources run only with consent.
_DEPLOY, _CLEANUP = "04-deploy", "08-cleanup"


# Parameters of notebooks that `jarkkit run` passes on; it sets the others from its options.
PARAMETERS = ("deep", "skip_preflight", "cause", "lost")


def split_pairs(pairs: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Return the KEY=VALUE pairs that are settings, and the notebooks' parameters among them."""
    split = [(pair, *pair.partition("=")) for pair in pairs]
    settings = [pair for pair, name, *_ in split if name not in PARAMETERS]
    return settings, {name: value for _, name, _, value in split if name in PARAMETERS}


def run(
    name: str,
    *,
    sandbox: bool,
    values: Mapping[str, Any],
    parameters: Mapping[str, str],
    first: str,
    last: str,
    speed: float | None,
    confirm: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Run the notebooks; return the exit code.

    Args:
        parameters: of notebooks, beside those that this sets; each notebook reads them in the type
            that it declares.
    """
    home = find_home()
    notebooks = select_notebooks(first, last)
    if not sandbox:
        notebooks = _allowed(notebooks, name, yes=yes, confirm=confirm)
    with _account(home, sandbox=sandbox, speed=speed):
        deployment = Deployment.create(
            name, rehearsal=sandbox, values=values, home=home, exist_ok=True
        )
        limits = run_limits(home, deployment) if sandbox else RunLimits()
        environ = {**kernel_environment(os.environ, limits), "JARKKIT_HOME": str(home)}
        secrets = _secrets(os.environ) + _secrets(limits.environment)
        scrub = Redactor(
            sensitive_values(local_paths(home), account_id=_account_id(deployment), secrets=secrets)
        )
        given = {
            **parameters,
            "deployment": name,
            "rehearsal": sandbox,
            "region": deployment.settings.region,
            "changes": {key: value for key, value in values.items() if key != "name"},
            "agree": yes,
            "confirm_destroy": confirm,
            "confirm": name if sandbox else confirm,
        }
        runner = NotebookRunner(
            deployment.workspace, environ, given, scrub, limits.policies, limits.own_policies
        )
        result = run_to_end(runner.run(notebooks), _ignore if as_json else _show)
        report = deployment.folder / "report.html"
        report.write_text(run_page(deployment, result, scrub), encoding="utf-8")
        _conclude(deployment, result, report, as_json=as_json)
    return 0 if result.ok else _exit_code(result)


def _allowed(
    notebooks: tuple[Path, ...], name: str, *, yes: bool, confirm: str
) -> tuple[Path, ...]:
    """Return the notebooks to run in a real account: deploy needs --yes, cleanup --confirm NAME."""
    names = [path.stem for path in notebooks]
    if _DEPLOY in names and not yes:
        raise JarkkitError(
            "JK-USAGE",
            "This deploys to a real AWS account, which costs money.",
            "To rehearse, add --sandbox. To stop before that, add --to 03. To deploy, add --yes.",
        )
    return tuple(p for p in notebooks if p.stem != _CLEANUP or confirm == name)


@contextlib.contextmanager
def _account(home: Path, *, sandbox: bool, speed: float | None) -> Iterator[None]:
    """Start a sandbox for the duration of the run, unless one is already running."""
    if not sandbox or names_a_sandbox(os.environ):
        yield
        return
    from jarkkit.sandbox.shared_use import in_use

    with in_use(sandbox_home(home), speed, _waiting):
        yield


def _waiting() -> None:
    output.info("Another run still uses this sandbox; it stops when that has ended. Ctrl-C: now.")


@dataclass(frozen=True)
class RunLimits:
    """What a sandbox allows the run's calls.

    Attributes:
        environment: variables of the calls that are limited; empty if they are not.
        policies: names of the policies.
        own_policies: True if you gave the sandbox policies, which limit all of its user's calls.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    policies: tuple[str, ...] = ()
    own_policies: bool = False


def run_limits(home: Path, deployment: Deployment) -> RunLimits:
    """Limit the run's calls to the policies of `jarkkit permissions`.

    The settings are final: notebook 02 gets the same changes as the deployment. Calls of other
    deployments stay as they are. Returns no limits for a sandbox of another home, and for one whose
    policies you chose. Raises JK-SANDBOX-MISSING, JK-SANDBOX-POLICY.
    """
    from jarkkit.sandbox import daemon_client

    folder = sandbox_home(home)
    running = daemon_client.find(folder)
    named = os.environ.get("AWS_ENDPOINT_URL") if names_a_sandbox(os.environ) else None
    if running is None or (named and named != running.endpoint):
        return RunLimits()
    if daemon_client.is_limited(folder):
        return RunLimits(own_policies=True)
    statements = deployment.permissions(running.account_id)
    policies = named_policies(deployment.name, statements)
    environment = daemon_client.limited_environment(folder, deployment.name, policies)
    return RunLimits(environment, tuple(policies))


def kernel_environment(environ: Mapping[str, str], limits: RunLimits) -> dict[str, str]:
    """Return the environment of the notebooks' kernels.

    With limits, no other AWS variable is left, so that other programs there, such as the AWS CLI,
    reach the sandbox too, with the same limits.
    """
    if not limits.environment:
        return dict(environ)
    return rehearsal_environment({**environ, **limits.environment}, None)


def _account_id(deployment: Deployment) -> str:
    try:
        return deployment.caller_identity().account_id
    except JarkkitError:
        return ""  # notebook 01 reports what is wrong


def _secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    variables = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
    return tuple(environ.get(name, "") for name in variables)


def _ignore(_: Event | NotebookResult) -> None:
    pass


def _show(item: Event | NotebookResult) -> None:
    if isinstance(item, NotebookResult):
        mark = "✔" if item.status == "ok" else "✘"
        output.info(f"{mark} {item.name}  {item.seconds:.1f} s")
        if item.status == "failed":
            output.info(f"    {item.code}: {item.message}\n    fix: {item.fix}")
    elif item.kind == "phase" and item.step == "configure":
        output.info(f"\n▶ {item.subject}")
    else:
        output.progress(item)


def _conclude(deployment: Deployment, result: NotebookRun, report: Path, *, as_json: bool) -> None:
    where = deployment.status()
    kind = "Rehearsed" if result.rehearsal else "Ran"
    count = sum(ran.status == "ok" for ran in result.notebooks)
    receipt = deployment.last_receipt()
    lines = [
        "",
        f"{kind} {count} of {len(result.notebooks)} notebooks in {result.seconds:.0f} s.",
        f"  {deployment.name}: {where.state}. {where.summary}",
    ]
    if receipt and where.state == "removed":
        lines.append(
            f"  {receipt.destroyed} resources destroyed; {len(receipt.looked_at)} locations in "
            f"the account checked: {receipt.verdict}."
        )
    if result.permissions:
        lines.append(f"  {result.permissions}")
    lines += [f"  executed notebooks: {deployment.folder / 'notebooks'}", f"  report: {report}"]
    if where.state != "removed" or not result.ok:
        lines.append(f"  next: {where.next_command}")
    output.print_record(result, "\n".join(lines), as_json=as_json)


def _exit_code(result: NotebookRun) -> int:
    return 130 if any(Interrupted.has_code(ran.code) for ran in result.notebooks) else 1
