"""What the sandbox knows about actions is what AWS' tables say."""

from __future__ import annotations

from jarkkit.decisions.permissions.statements import statement_templates
from jarkkit.sandbox.account.iam.action_reference import action_reference
from tools.action_reference import FILE, flags_of
from tools.action_reference import action_reference as written


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text() == written(), "python -m tools.action_reference"


def test_every_action_of_a_statement_has_a_resource_type() -> None:
    actions = {action for statement in statement_templates() for action in statement.actions}
    assert not [action for action in actions if not action_reference().get(action)]


def test_flags() -> None:
    assert flags_of("eks:CreateCluster") == {"*": "Q"}
    assert flags_of("ec2:CreateSubnet") == {"subnet": "!Q", "vpc": "!R"}
    assert flags_of("kms:CreateGrant") == {"key": "!R"}
