"""What the kit costs, as ratios measured side by side in one run (machines are noisy).

    make bench

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jarkkit.kit import Kit
from jarkkit.sandbox import control
from jarkkit.streams import drain

NAME = "bench"
ROUNDS = 15
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TF_", "JARKKIT_"))}
GOALS = {
    "rehearsal / bare terraform": 1.5,
    "import jarkkit, more than `pass` (ms)": 60.0,
    "jarkkit --help (s)": 0.4,
    "memory of the kit's process (MB)": 150.0,
}


def main() -> int:
    """Measure everything."""
    figures: dict[str, float] = {}
    figures |= start_up()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        running = control.start(home / ".sandbox")
        try:
            figures |= journey(home, {**CLEAN, **{k: v for k, v in running.env.items() if v}})
        finally:
            control.stop(home / ".sandbox")
    show(figures, GOALS)
    return 0


def start_up() -> dict[str, float]:
    """Starting things, each in turn with `python -c pass`; medians."""
    nothing = [sys.executable, "-c", "pass"]
    imported = [sys.executable, "-c", "import jarkkit"]
    asked = [str(Path(sys.executable).with_name("jarkkit")), "--help"]
    seconds: dict[str, list[float]] = {"nothing": [], "imported": [], "asked": []}
    for _ in range(ROUNDS):
        for name, line in (("nothing", nothing), ("imported", imported), ("asked", asked)):
            seconds[name].append(timed(line, CLEAN, Path.cwd()))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "python -c pass (ms)": median["nothing"] * 1000,
        "import jarkkit, more than `pass` (ms)": (median["imported"] - median["nothing"]) * 1000,
        "jarkkit --help (s)": median["asked"],
    }


def journey(home: Path, environ: dict[str, str]) -> dict[str, float]:
    """All notebooks headless, then the same variables with Terraform alone, on one sandbox.

    Before it deletes a cluster the provider waits a random time of up to a minute; what that adds
    is taken out of both.
    """
    line = [str(Path(sys.executable).with_name("jarkkit")), "run", NAME, "--sandbox", "--json"]
    began = time.perf_counter()
    run(line, {**environ, "JARKKIT_HOME": str(home)}, home)
    whole = time.perf_counter() - began - waited(newest_log(home))
    folder = bare_folder(home)
    terraform = shutil.which("terraform") or shutil.which("tofu") or "terraform"
    mirror = home / "deployments" / NAME / ".terraformrc"
    point = {"TF_CLI_CONFIG_FILE": str(mirror)} if mirror.is_file() else {}
    common = ["-auto-approve", "-input=false", "-parallelism=20", "-json"]
    began = time.perf_counter()
    run([terraform, "init", "-input=false"], {**environ, **point}, folder)
    run([terraform, "apply", *common], {**environ, **point}, folder)
    said = run([terraform, "destroy", *common], {**environ, **point}, folder)
    bare = time.perf_counter() - began - waited(said)
    return {
        "whole headless rehearsal (s)": whole,
        "bare terraform init+apply+destroy (s)": bare,
        "rehearsal / bare terraform": whole / bare,
        "memory of the kit's process (MB)": memory(home, environ),
    }


def newest_log(home: Path) -> str:
    """Terraform's stream of the rehearsal's destroy."""
    logs = sorted((home / "deployments" / NAME / "logs").glob("*-apply.jsonl"))
    return logs[-1].read_text()


def waited(stream: str) -> float:
    """Seconds in which Terraform's destroy did nothing but wait for the cluster's deletion, from
    its JSON stream: from the last thing that was done before it to its end."""
    before = None
    for line in stream.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("type") != "apply_complete" or message["hook"].get("action") != "delete":
            continue
        moment = datetime.fromisoformat(message["@timestamp"])
        if message["hook"]["resource"]["resource_type"] == "aws_eks_cluster":
            return (moment - before).total_seconds() if before else 0.0
        before = moment
    raise SystemExit("the log does not tell when the cluster's deletion ended")


def bare_folder(home: Path) -> Path:
    """The files and variables of the rehearsal, and nothing else of it."""
    source = home / "deployments" / NAME
    folder = home / "bare"
    folder.mkdir()
    for path in source.glob("*.tf"):
        shutil.copy(path, folder)
    shutil.copytree(source / "modules", folder / "modules")
    shutil.copy(source / "terraform.tfvars.json", folder)
    return folder


def memory(home: Path, environ: dict[str, str]) -> float:
    """Peak resident set of a process that plans with the kit, Terraform's own not counted."""
    script = "import benchmarks.run as b; b.plan_once()"
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=root,
        env={**environ, "JARKKIT_HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate()
    return float(json.loads(output.splitlines()[-1])["peak_kib"]) / 1024


def plan_once() -> None:
    """Open the deployment, plan, say how much memory that took."""
    drain(Kit.open(NAME).plan(), lambda event: None)
    print(json.dumps({"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def timed(line: Sequence[str], environ: dict[str, str], folder: Path) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    run(line, environ, folder)
    return time.perf_counter() - began


def run(line: Sequence[str], environ: dict[str, str], folder: Path) -> str:
    """What a command says on stdout; it must end well."""
    done = subprocess.run(
        line,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(line)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def show(
    figures: Mapping[str, float],
    goals: Mapping[str, float],
    at_least: Mapping[str, float] | None = None,
) -> None:
    """A part of the table: figures with the most, or the least, that they should be."""
    for name, figure in figures.items():
        verdict = ""
        if goal := goals.get(name):
            verdict = f"goal ≤ {goal:g}: {'met' if figure <= goal else 'MISSED'}"
        elif goal := (at_least or {}).get(name):
            verdict = f"goal ≥ {goal:g}: {'met' if figure >= goal else 'MISSED'}"
        print(f"{name:54} {figure:9.2f}  {verdict}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
