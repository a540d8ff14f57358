"""What the Service Authorization Reference says of the actions of a deployment.

`python -m tools.action_reference` writes `action_reference.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path


@cache
def action_reference() -> Mapping[str, Mapping[str, str]]:
    """Return by action its resource types, with the flags of its condition keys."""
    text = (Path(__file__).parent / "action_reference.json").read_text()
    return {action: kinds for action, kinds in json.loads(text).items() if action != "_"}
