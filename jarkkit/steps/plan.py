"""What exactly will be created?"""

from __future__ import annotations

from collections.abc import Generator

from jarkkit.aws_layer import AwsLayer
from jarkkit.records import Event, Plan


def plan(layer: AwsLayer) -> Generator[Event, None, Plan]:
    """Make a plan for the settings and save it. Changes nothing in the account."""
    target = layer.target()
    yield from layer.settle("plan")
    yield from layer.prepare("plan")
    if layer.unfinished():
        yield from layer.untaint("plan")
    made = yield from layer.plan("plan", target)
    layer.workspace.save("plan", made)
    layer.workspace.save("reports/plan", made)  # for the record: cleanup forgets the plan itself
    return made
