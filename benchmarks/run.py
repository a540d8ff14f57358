"""The cost of jarkkit, as ratios measured in one run (machines are noisy).

    make bench

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.process_memory import peak_memory
from jarkkit.deployment import Deployment
from jarkkit.model.step_generators import run_to_end
from jarkkit.ports.terraform import find_tool
from jarkkit.sandbox import daemon_client

NAME = "bench"
ROUNDS = 15
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TF_", "JARKKIT_"))}
GOALS = {
    "rehearsal / bare terraform": 1.5,
    "import jarkkit, more than `pass` (ms)": 60.0,
    "jarkkit --help (s)": 0.4,
    "memory of jarkkit's process (MB)": 150.0,
}


def main() -> int:
    """Measure everything."""
    figures: dict[str, float] = {}
    figures |= start_up_times()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        running = daemon_client.start(home / ".sandbox")
        try:
            figures |= rehearsal_times(
                home, {**CLEAN, **{k: v for k, v in running.env.items() if v}}
            )
        finally:
            daemon_client.stop(home / ".sandbox")
    show(figures, GOALS)
    return 0


def start_up_times() -> dict[str, float]:
    """Measure start-up times, alternating with `python -c pass`; return medians."""
    bare_python = [sys.executable, "-c", "pass"]
    import_jarkkit = [sys.executable, "-c", "import jarkkit"]
    help_command = [str(Path(sys.executable).with_name("jarkkit")), "--help"]
    seconds: dict[str, list[float]] = {"nothing": [], "imported": [], "asked": []}
    for _ in range(ROUNDS):
        for name, command in (
            ("nothing", bare_python),
            ("imported", import_jarkkit),
            ("asked", help_command),
        ):
            seconds[name].append(timed(command, CLEAN, Path.cwd()))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "python -c pass (ms)": median["nothing"] * 1000,
        "import jarkkit, more than `pass` (ms)": (median["imported"] - median["nothing"]) * 1000,
        "jarkkit --help (s)": median["asked"],
    }


def rehearsal_times(home: Path, environ: dict[str, str]) -> dict[str, float]:
    """Measure all notebooks headless, then the same variables with Terraform alone, in one sandbox.

    Before it deletes a cluster, the provider waits a random time of up to a minute; this time is
    subtracted from both.
    """
    command = [str(Path(sys.executable).with_name("jarkkit")), "run", NAME, "--sandbox", "--json"]
    began = time.perf_counter()
    run(command, {**environ, "JARKKIT_HOME": str(home)}, home)
    rehearsal = time.perf_counter() - began - deletion_wait(newest_log(home))
    folder = bare_folder(home)
    terraform = find_tool(os.environ).path
    mirror = home / "deployments" / NAME / ".terraformrc"
    terraform_config = {"TF_CLI_CONFIG_FILE": str(mirror)} if mirror.is_file() else {}
    common = ["-auto-approve", "-input=false", "-parallelism=20", "-json"]
    began = time.perf_counter()
    run([terraform, "init", "-input=false"], {**environ, **terraform_config}, folder)
    run([terraform, "apply", *common], {**environ, **terraform_config}, folder)
    output = run([terraform, "destroy", *common], {**environ, **terraform_config}, folder)
    bare = time.perf_counter() - began - deletion_wait(output)
    return {
        "whole headless rehearsal (s)": rehearsal,
        "bare terraform init+apply+destroy (s)": bare,
        "rehearsal / bare terraform": rehearsal / bare,
        "memory of jarkkit's process (MB)": memory(home, environ),
    }


def newest_log(home: Path) -> str:
    """Return Terraform's JSON stream of the rehearsal's destroy."""
    logs = sorted((home / "deployments" / NAME / "logs").glob("*-apply.jsonl"))
    return logs[-1].read_text()


def deletion_wait(stream: str) -> float:
    """Return the seconds in which Terraform's destroy only waited for the cluster's deletion: from
    the previous completed deletion in its JSON stream to the cluster's."""
    before = None
    for command in stream.splitlines():
        message = json.loads(command) if command.startswith("{") else {}
        if message.get("type") != "apply_complete" or message["hook"].get("action") != "delete":
            continue
        time_done = datetime.fromisoformat(message["@timestamp"])
        if message["hook"]["resource"]["resource_type"] == "aws_eks_cluster":
            return (time_done - before).total_seconds() if before else 0.0
        before = time_done
    raise SystemExit("the log does not show when the cluster's deletion ended")


def bare_folder(home: Path) -> Path:
    """Copy only the configuration and the variables of the rehearsal; return the folder."""
    source = home / "deployments" / NAME
    folder = home / "bare"
    folder.mkdir()
    for path in source.glob("*.tf"):
        shutil.copy(path, folder)
    shutil.copytree(source / "modules", folder / "modules")
    shutil.copy(source / "terraform.tfvars.json", folder)
    return folder


def memory(home: Path, environ: dict[str, str]) -> float:
    """Return the peak memory (MB) of a process that plans with jarkkit, without Terraform's."""
    script = "import benchmarks.run as b; b.plan_once()"
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=root,
        env={**environ, "JARKKIT_HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate()
    return float(json.loads(output.splitlines()[-1])["peak"])


def plan_once() -> None:
    """Open the deployment, plan and print the peak memory."""
    run_to_end(Deployment.open(NAME).plan(), lambda event: None)
    print(json.dumps({"peak": peak_memory()}))


def timed(command: Sequence[str], environ: dict[str, str], folder: Path) -> float:
    """Return the seconds that a command takes."""
    began = time.perf_counter()
    run(command, environ, folder)
    return time.perf_counter() - began


def run(command: Sequence[str], environ: dict[str, str], folder: Path) -> str:
    """Run a command that must succeed; return its stdout."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def show(
    figures: Mapping[str, float],
    goals: Mapping[str, float],
    at_least: Mapping[str, float] | None = None,
) -> None:
    """Print figures with their goals: the most, or the least, that they should be."""
    for name, figure in figures.items():
        result = ""
        if goal := goals.get(name):
            result = f"goal ≤ {goal:g}: {'met' if figure <= goal else 'MISSED'}"
        elif goal := (at_least or {}).get(name):
            result = f"goal ≥ {goal:g}: {'met' if figure >= goal else 'MISSED'}"
        print(f"{name:54} {figure:9.2f}  {result}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
