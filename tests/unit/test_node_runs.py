"""Nodes of Karpenter that ran and ended: what is seen of them, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.costs.actuals import actual_costs
from jarkkit.decisions.costs.bill import build_bill
from jarkkit.decisions.costs.node_runs import hourly_now, merged, ran_lines, runs_in_cluster
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.model.records import LedgerEntry, NodeRun
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.settings import Settings
from tests.support.stacks import resolved

TABLE = PriceTable.shipped()
SETTINGS = Settings(region="us-east-1")
NOW = "2026-11-30T12:00:00.000Z"
# g6.xlarge in us-east-1, with the 300 GiB of its disk.
GPU_HOUR = 0.8048 + 300 * 0.08 / 730


def run(name: str = "g6-abcde", began: str = "10:00", seen: str = "12:00", **more: Any) -> NodeRun:
    """Return a g6.xlarge of this day."""
    known = {"pool": "g6", "instance_type": "g6.xlarge", "capacity": "on-demand", **more}
    times = {"began": f"2026-11-30T{began}:00Z", "seen": f"2026-11-30T{seen}:00Z"}
    return NodeRun(name=name, **times, **known)


def claim(name: str = "g6-abcde") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-11-30T10:00:00Z",
            "labels": {
                "karpenter.sh/nodepool": "g6",
                "node.kubernetes.io/instance-type": "g6.xlarge",
                "karpenter.sh/capacity-type": "on-demand",
            },
        },
        "status": {"providerID": "aws:///us-east-1a/i-0123456789abcdef0"},
    }


def event(name: str, first: str, last: str | None) -> dict[str, Any]:
    return {
        "involvedObject": {"kind": "NodeClaim", "name": name},
        "firstTimestamp": f"2026-11-30T{first}:00Z",
        "lastTimestamp": f"2026-11-30T{last}:00Z" if last else None,
    }


class TestHistory:
    def test_claims_and_events_show_nodes(self) -> None:
        events = [
            event("g6-abcde", "10:00", "10:01"),  # of a claim that is there
            event("g6-fghij", "09:00", "09:02"),
            event("g6-fghij", "09:30", None),
            {"involvedObject": {"kind": "Pod", "name": "web"}},
            {"involvedObject": {"kind": "NodeClaim"}, "firstTimestamp": "2026-11-30T09:00:00Z"},
        ]
        there, gone = runs_in_cluster([claim()], events, NOW)
        assert there == NodeRun(
            name="g6-abcde", instance_id="i-0123456789abcdef0", pool="g6",
            instance_type="g6.xlarge", capacity="on-demand", began="2026-11-30T10:00:00Z", seen=NOW,
        )  # fmt: skip
        assert (gone.name, gone.pool, gone.instance_type) == ("g6-fghij", "g6", "")
        assert (gone.began[11:16], gone.seen[11:16], gone.gone) == ("09:00", "09:30", NOW)

    def test_a_node_that_is_missing_has_ended(self) -> None:
        (ended,) = merged([run(seen="11:00")], [], NOW, complete=True)
        assert (ended.seen[11:16], ended.gone) == ("11:00", NOW)
        assert merged([run()], [], NOW, complete=False) == (run(),)
        later = "2026-11-30T15:00:00.000Z"
        assert merged([ended], [], later, complete=True) == (ended,)

    def test_observations_of_one_node_are_joined(self) -> None:
        at_cluster = runs_in_cluster([claim()], [], "2026-11-30T11:00:00Z")
        end = "2026-11-30T11:20:00Z"
        at_account = run(name="", seen="11:20", gone=end, instance_id="i-0123456789abcdef0")
        (joined,) = merged(at_cluster, [at_account], NOW, complete=True)
        assert (joined.name, joined.seen, joined.gone) == ("g6-abcde", end, end)
        (again,) = merged([joined], [], "2026-11-30T14:00:00Z", complete=True)
        assert again.gone == end

    def test_a_node_that_ec2_does_not_list_yet_is_running(self) -> None:
        seen = merged([], runs_in_cluster([claim()], [], NOW), NOW, complete=False)
        assert [found.gone for found in merged(seen, [], NOW, complete=True)] == [""]

    @pytest.mark.parametrize(
        "later",
        [
            *runs_in_cluster([claim()], [], "2026-11-30T13:00:00Z"),
            run(name="", seen="13:00", instance_id="i-0123456789abcdef0"),
        ],
        ids=["in the cluster", "in the account"],
    )
    def test_a_node_that_was_missed_and_runs_has_not_ended(self, later: NodeRun) -> None:
        known = runs_in_cluster([claim()], [], "2026-11-30T11:00:00Z")
        (missed,) = merged(known, [], NOW, complete=True)
        assert missed.gone == NOW
        (running,) = merged([missed], [later], later.seen, complete=True)
        assert (running.seen, running.gone) == ("2026-11-30T13:00:00Z", "")
        end = "2026-11-30T14:00:00Z"
        ended = run(name="", seen="14:00", gone=end, instance_id="i-0123456789abcdef0")
        for before in (missed, running):
            (found,) = merged([before], [ended], "2026-11-30T14:30:00Z", complete=True)
            assert (found.seen, found.gone) == (end, end)

    def test_a_claim_that_outlasts_its_instance_does_not_move_its_end(self) -> None:
        end = "2026-11-30T11:20:00Z"
        ended = run(name="", seen="11:20", gone=end, instance_id="i-0123456789abcdef0")
        lasting = runs_in_cluster([claim()], [], NOW)
        for known, found in (([ended], lasting), (lasting, [ended])):
            (joined,) = merged(known, found, NOW, complete=False)
            assert (joined.name, joined.seen, joined.gone) == ("g6-abcde", end, end)

    def test_two_observations_at_once_are_one_node(self) -> None:
        twice = [run(instance_id="i-0123456789abcdef0"), run(seen="12:30")]
        (joined,) = merged([], twice, NOW, complete=True)
        assert (joined.instance_id, joined.seen[11:16]) == ("i-0123456789abcdef0", "12:30")


class TestCost:
    def test_a_node_costs_from_its_start_to_its_end(self) -> None:
        ended = run(seen="11:30", gone="2026-11-30T11:30:00Z")
        (line,) = ran_lines([ended], SETTINGS, TABLE, NOW)
        assert line.usd
        assert line.usd.low == line.usd.high == pytest.approx(1.5 * GPU_HOUR)
        assert line.what == "1 x g6.xlarge, 1.50 hours together"
        assert line.area == "accelerators"

    def test_an_unknown_end_is_a_range(self) -> None:
        ended = run(seen="11:00", gone="2026-11-30T13:00:00Z")
        (line,) = ran_lines([ended], SETTINGS, TABLE, NOW)
        assert line.usd
        hours = (line.usd.low / GPU_HOUR, line.usd.likely / GPU_HOUR, line.usd.high / GPU_HOUR)
        assert hours == pytest.approx((1, 2, 3))

    def test_a_size_that_is_unknown_is_a_range(self) -> None:
        unknown = run(instance_type="", capacity="", gone=NOW)
        (line,) = ran_lines([unknown], SETTINGS, TABLE, NOW)
        assert line.usd
        assert line.usd.low == pytest.approx(2 * GPU_HOUR)
        assert line.usd.high > 5 * line.usd.low  # g6.16xlarge
        assert "unknown size" in line.what

    def test_how_it_was_bought_counts(self) -> None:
        kinds = ("on-demand", "spot", "reserved")
        lines = ran_lines([run(name=k, capacity=k) for k in kinds], SETTINGS, TABLE, NOW)
        usd = {line.what.split(",")[0]: line.usd for line in lines}
        plain, spot = usd["1 x g6.xlarge"], usd["1 x g6.xlarge Spot"]
        assert plain
        assert spot
        assert spot.high < plain.low
        reserved = usd["1 x g6.xlarge reserved"]
        assert reserved
        assert reserved.likely == pytest.approx(2 * 300 * 0.08 / 730)  # its disk

    def test_a_type_without_a_price_is_unknown(self) -> None:
        (line,) = ran_lines([run(instance_type="x9.big")], SETTINGS, TABLE, NOW)
        assert line.usd is None


class TestSpent:
    BILL = build_bill(resolved(SETTINGS), TABLE, today="2026-11-30")
    ENTRIES = (
        LedgerEntry(time="2026-11-30T08:00:00Z", step="deploy", status="started"),
        LedgerEntry(time="2026-11-30T12:00:00Z", step="cleanup", status="finished"),
    )

    def spent(self, *runs: NodeRun) -> Any:
        return actual_costs(
            self.ENTRIES,
            self.BILL,
            rehearsal=False,
            now=NOW,
            ran=ran_lines(runs, SETTINGS, TABLE, NOW),
            nodes_now=hourly_now(runs, SETTINGS, TABLE),
        )

    def test_accelerators_that_ended_are_part_of_the_sum(self) -> None:
        before = self.spent()
        found = self.spent(run(gone=NOW), run("g6-fghij", "09:00", "10:00", gone=NOW))
        added = found.usd.low - before.usd.low
        assert added == pytest.approx(3 * GPU_HOUR)
        assert "2 x g6.xlarge" in text_of(found)
        assert "2 x g6.xlarge" in html_of(found)
        assert "Karpenter" not in text_of(before)

    def test_cpu_nodes_count_beyond_those_of_the_hourly_rate(self) -> None:
        expected = self.BILL.by_area().get("CPU nodes")
        base, cpu = self.spent(), {"pool": "cpu", "instance_type": "m5.xlarge"}
        found = self.spent(run("cpu-1", "08:00", "12:00", gone=NOW, **cpu))
        node = 4 * (0.192 + 100 * 0.08 / 730)
        always = expected.likely * 4 if expected else 0
        assert found.usd.likely - base.usd.likely == pytest.approx(max(0, node - always))
