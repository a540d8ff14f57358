"""What the form asks an account, against the pretend one: a real SDK, real refusals."""

from __future__ import annotations

from jarkkit.aws import Account
from jarkkit.inquiries.prospect import prospect
from jarkkit.inquiries.quota_table import quota_table
from jarkkit.sandbox import control
from jarkkit.settings import FAMILIES, Settings
from tests.conftest import pointed_at

SETTINGS = Settings(name="prospect")


def account(sandbox: control.Running, region: str = "us-west-2") -> Account:
    """One that remembers nothing of other tests."""
    environ = {n: v for n, v in pointed_at(sandbox).items() if n != "JARKKIT_ACCOUNT_CACHE"}
    return Account(region, environ)


def test_one_look_is_enough_for_every_family(sandbox: control.Running) -> None:
    found = prospect(account(sandbox), SETTINGS)
    assert found.unanswered() == ()
    offers = {family: found.offer(family) for family in FAMILIES}
    assert offers["g4dn"].smallest == "g4dn.xlarge"  # and not the one without a size in its name
    assert offers["trn2"].offered is False
    for offer in offers.values():
        if offer.offered:
            assert offer.vcpus
            assert offer.on_demand_usd
            assert offer.spot_usd
    assert found.support(SETTINGS.cluster_version) == "standard"
    for family in FAMILIES:
        table = found.quotas(SETTINGS.changed({"accelerators": [family]}))
        assert table is not None
        assert "unknown" not in {row.fits for row in table.rows}


def test_the_verdict_is_that_of_the_quotas_command(sandbox: control.Running) -> None:
    asked = quota_table(account(sandbox), SETTINGS)
    judged = prospect(account(sandbox), SETTINGS).quotas(SETTINGS)
    assert judged is not None
    assert {r.code: (r.least, r.most, r.quota) for r in judged.rows} == {
        r.code: (r.least, r.most, r.quota) for r in asked.rows
    }


def test_what_may_not_be_asked_is_unknown_and_the_rest_is_there(sandbox: control.Running) -> None:
    control.set_faults(sandbox.home, ("access-denied:servicequotas",))
    try:
        found = prospect(account(sandbox), SETTINGS)
    finally:
        control.set_faults(sandbox.home, ())
    table = found.quotas(SETTINGS)
    assert table is not None
    assert {row.fits for row in table.rows} == {"unknown"}
    assert any("quotas" in line and "JK-AWS-DENIED" in line for line in found.unanswered())
    assert found.offer("g6").offered
