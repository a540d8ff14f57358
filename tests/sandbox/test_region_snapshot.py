"""The account data behind the form, from the sandbox account through a real SDK."""

from __future__ import annotations

from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from jarkkit.settings import FAMILIES, Settings
from jarkkit.steps.queries.quota_table import quota_table
from jarkkit.steps.queries.region_snapshot import region_snapshot
from tests.support.account import sandbox_environment
from tests.support.stacks import resolved

SETTINGS = Settings(name="prospect")


def uncached_account(sandbox: daemon_client.RunningSandbox, region: str = "us-west-2") -> Account:
    """Return an account without cached answers of other tests."""
    environ = {
        n: v for n, v in sandbox_environment(sandbox).items() if n != "JARKKIT_ACCOUNT_CACHE"
    }
    return Account(region, environ)


def test_one_snapshot_has_the_data_for_every_family(sandbox: daemon_client.RunningSandbox) -> None:
    snapshot = region_snapshot(uncached_account(sandbox), resolved(SETTINGS))
    assert snapshot.unanswered() == ()
    offers = {family: snapshot.offering(family) for family in FAMILIES}
    assert offers["g4dn"].smallest == "g4dn.xlarge"  # not the type without a size in its name
    assert offers["trn2"].offered is False
    for offer in offers.values():
        if offer.offered:
            assert offer.vcpus
            assert offer.on_demand_usd
            assert offer.spot_usd
    assert snapshot.support(SETTINGS.cluster_version) == "standard"
    for family in FAMILIES:
        table = snapshot.quotas(resolved(SETTINGS.with_changes({"accelerators": [family]})))
        assert table is not None
        assert "unknown" not in {row.fits for row in table.rows}


def test_the_snapshots_quotas_match_the_quotas_command(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    expected = quota_table(uncached_account(sandbox), resolved(SETTINGS))
    from_snapshot = region_snapshot(uncached_account(sandbox), resolved(SETTINGS)).quotas(
        resolved(SETTINGS)
    )
    assert from_snapshot is not None
    assert {r.code: (r.least, r.most, r.quota) for r in from_snapshot.rows} == {
        r.code: (r.least, r.most, r.quota) for r in expected.rows
    }


def test_denied_answers_are_unknown_and_the_rest_is_complete(
    sandbox: daemon_client.RunningSandbox,
) -> None:
    daemon_client.set_faults(sandbox.home, ("access-denied:servicequotas",))
    try:
        snapshot = region_snapshot(uncached_account(sandbox), resolved(SETTINGS))
    finally:
        daemon_client.set_faults(sandbox.home, ())
    table = snapshot.quotas(resolved(SETTINGS))
    assert table is not None
    assert {row.fits for row in table.rows} == {"unknown"}
    assert any("quotas" in line and "JK-AWS-DENIED" in line for line in snapshot.unanswered())
    assert snapshot.offering("g6").offered
