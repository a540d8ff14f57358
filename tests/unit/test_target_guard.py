"""The target of a deployment: one account, one Region, one cluster."""

from __future__ import annotations

import pytest

from jarkkit.decisions.target_guard import check_target, target_of
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller, Target

CALLER = Caller(account_id="111122223333", arn="arn:aws:iam::111122223333:user/me")

TARGET = target_of(CALLER, "us-west-2", "demo", rehearsal=False)


def test_the_target_names_the_cluster_in_its_partition() -> None:
    assert TARGET.cluster_arn == "arn:aws:eks:us-west-2:111122223333:cluster/demo"
    other = Caller(account_id="1", arn="arn:aws-us-gov:sts::1:assumed-role/x/y")
    assert target_of(other, "us-gov-west-1", "d", rehearsal=False).cluster_arn.startswith(
        "arn:aws-us-gov:eks"
    )


@pytest.mark.parametrize(
    ("update", "word"),
    [
        ({"account_id": "444455556666"}, "account"),
        ({"region": "eu-west-1"}, "Region"),
        ({"cluster_arn": "arn:other"}, "cluster"),
        ({"rehearsal": True}, "rehearsal"),
    ],
)
def test_any_other_target_is_rejected(update: dict[str, object], word: str) -> None:
    check_target(None, TARGET)
    check_target(TARGET, TARGET)
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH") as caught:
        check_target(TARGET, TARGET.model_copy(update=update))
    assert word in caught.value.message


def test_records_reject_unknown_keys() -> None:
    with pytest.raises(ValueError, match="extra"):
        Target.model_validate({**TARGET.model_dump(), "more": 1})
