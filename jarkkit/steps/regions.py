"""Where to build? All Regions are asked the same, side by side.

A Region that cannot be reached, or that refuses an answer, is a row with unknowns and the reason;
the others are complete. Only what is wrong everywhere (no credentials, expired ones) is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from jarkkit import zones
from jarkkit.aws import Account
from jarkkit.aws.asking import together
from jarkkit.aws_layer import check_region
from jarkkit.costs.table import PriceTable
from jarkkit.errors import JarkkitError
from jarkkit.inquiries import capacity
from jarkkit.quotas.codes import Quota
from jarkkit.settings import Settings
from jarkkit.survey import Facts, Survey, compared, in_region, surveyed
from jarkkit.survey.region import known, price_sources, smallest_types
from jarkkit.survey.signs import vcpu_quotas

# So many answers are waited for at once, five of each Region: nearly all of the time is waiting,
# and no Region is asked much by this.
_AT_ONCE = 96
# What is wrong with the credentials is wrong in every Region.
_EVERYWHERE = frozenset({"JK-AWS-NO-CREDENTIALS", "JK-AWS-EXPIRED"})

K = TypeVar("K")


def survey(
    account: Account,
    settings: Settings,
    table: PriceTable,
    *,
    made: str,
    only: Sequence[str] = (),
) -> Survey:
    """Compare Regions for these settings.

    Args:
        account: in any Region.
        made: UTC now, ISO 8601.
        only: these Regions; all that are enabled in the account when empty.

    Raises JK-REGION-UNKNOWN, JK-AWS-NO-CREDENTIALS, JK-AWS-EXPIRED.
    """
    with_eks = account.known_regions()
    for region in only:
        check_region(region, with_eks)
    enabled, note = _enabled(account, settings)
    names = tuple(dict.fromkeys(only)) or enabled or (settings.region,)
    found = {n: Facts(n, n in with_eks, not enabled or n in enabled) for n in names}
    places = {n: account.in_region(n) for n, f in found.items() if f.eks and f.enabled}
    found |= _Asking(settings, account, places).facts()
    table = table.with_fresh({k: v for p in places.values() for k, v in p.pricing.known().items()})
    rows = [surveyed(in_region(settings, n), f, table, today=made[:10]) for n, f in found.items()]
    sources = price_sources(rows, table)
    notes = (note, f"On-Demand prices: {sources}." if sources else "")
    return compared(settings, rows, made=made, notes=filter(None, notes))


def _enabled(account: Account, settings: Settings) -> tuple[tuple[str, ...], str]:
    """The account's Regions; where that may not be asked, none, and why. Meanwhile the catalogue is
    read, which the other questions need."""
    found = together(
        {"Regions": account.offers.enabled_regions, "catalogue": lambda: vcpu_quotas(settings)}
    )["Regions"]
    if not isinstance(found, JarkkitError):
        return tuple(map(str, found)), ""
    if found.code in _EVERYWHERE:
        raise found
    why = f"{found.message.rstrip('.')} ({found.code})"
    return (), f"Which Regions are enabled is not known: {why}. Name them with --region."


@dataclass(frozen=True)
class _Asking:
    """Asks the Regions.

    Attributes:
        places: the account in each Region that is asked.
    """

    settings: Settings
    account: Account
    places: Mapping[str, Account]

    def facts(self) -> dict[str, Facts]:
        """What each Region answered."""
        near = self._together({n: p.offers.connect_seconds for n, p in self.places.items()})
        reached = [n for n, latency in near.items() if not isinstance(latency, JarkkitError)]
        answers = {n: Facts(n, latency=latency) for n, latency in near.items()}
        answers |= self._answers(reached, answers)
        places = {n: self.places[n] for n in reached}
        types = {n: known(answers[n].types) or {} for n in reached}
        signals = capacity.signals(self.account, places, self.settings, types)
        return {n: replace(f, signals=signals.get(n, ())) for n, f in answers.items()}

    def _together(self, questions: Mapping[K, Callable[[], Any]]) -> dict[K, Any]:
        return together(questions, at_once=_AT_ONCE)

    def _answers(self, names: Sequence[str], before: Mapping[str, Facts]) -> dict[str, Facts]:
        """The facts of these Regions, with the answers to all questions."""
        quotas = vcpu_quotas(self.settings)
        questions = {
            (name, field): ask
            for name in names
            for field, ask in self._questions(self.places[name], quotas).items()
        }
        found: dict[str, dict[str, Any]] = {name: {} for name in names}
        for (name, field), answer in self._together(questions).items():
            found[name] |= answer if isinstance(answer, dict) else {field: answer}
        return {name: replace(before[name], **answers) for name, answers in found.items()}

    def _questions(
        self, place: Account, quotas: Sequence[Quota]
    ) -> Mapping[str, Callable[[], dict[str, Any]]]:
        """Those of one Region: which fields of its facts they fill, and the first of them."""
        return {
            "types": partial(self._types_and_prices, place),
            "quotas": lambda: {"quotas": place.quotas.in_force(quotas)},
            "zones": lambda: {"zones": place.offers.zones()},
            "versions": lambda: {"versions": place.offers.cluster_versions()},
            "running": partial(self._running, place),
        }

    def _running(self, place: Account) -> dict[str, Any]:
        s = self.settings
        return {"running": place.usage.running(s.name, s.capacity_reservations)}

    def _types_and_prices(self, place: Account) -> dict[str, Any]:
        """Which types there are, and then what the smallest of them cost as Spot."""
        patterns = zones.instance_patterns(self.settings)
        types = place.offers.types(patterns)
        try:
            spot: Any = place.offers.spot_prices(smallest_types(patterns, types))
        except JarkkitError as error:
            spot = error
        return {"types": types, "spot": spot}
