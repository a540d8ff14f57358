"""The examples of docs/library.md, run as one program against the simulated account."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from jarkkit.sandbox import daemon_client
from tests.support.account import sandbox_environment
from tests.support.stacks import SMALL

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
# The page's own settings would take a minute longer.
SETTINGS = '{"region": "us-west-2"}'


def test_the_examples_of_the_page_run(
    tmp_path: Path, sandbox: daemon_client.RunningSandbox, terraform: str
) -> None:
    text = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S))
    assert text.count(SETTINGS) == 1
    program = tmp_path / "program.py"
    program.write_text(text.replace(SETTINGS, repr(SMALL)))
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        env={**sandbox_environment(sandbox), "JARKKIT_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Will it work here? Yes" in done.stdout
    assert "deploy: " in done.stdout
    assert re.search(r"^\d+ resources destroyed$", done.stdout, re.M)
    assert "there is no deployment lab2" in done.stdout
