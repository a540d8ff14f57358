"""Questions about service quotas."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.checks import Check
from jarkkit.inquiries.quota_table import quota_table
from jarkkit.quotas.addresses import judge_addresses
from jarkkit.quotas.findings import attendees, findings
from jarkkit.quotas.launches import patterns
from jarkkit.steps.preflight.asking import Look, Question


def quotas(look: Look) -> Iterator[Check]:
    """Service quotas"""
    yield from findings(quota_table(look.account, look.settings))


def room(look: Look) -> Iterator[Check]:
    """Limits of the pools"""
    types = look.account.instance_types.matching(patterns(look.settings))
    yield from attendees(look.settings, types)


def addresses(look: Look) -> Iterator[Check]:
    """Free addresses in the subnets"""
    ids = look.settings.private_subnet_ids
    if ids:
        types = look.account.instance_types.matching(patterns(look.settings))
        usage = look.account.usage
        running = usage.running(look.settings.name, look.settings.capacity_reservations)
        own = sum(item.count for item in running if item.own and not item.idle)
        yield judge_addresses(look.settings, usage.subnets(ids), types, running=own)


QUESTIONS: tuple[Question, ...] = (quotas, room, addresses)
