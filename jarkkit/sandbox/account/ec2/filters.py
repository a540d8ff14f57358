"""EC2's filters: a resource with several values of an attribute matches if one of them does.

moto wants the filter's values to contain all of the resource's, or the other way round.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable
from typing import Any

from moto.ec2 import utils

_of_single_values = utils.is_filter_matching


def is_filter_matching(obj: Any, _filter: str, filter_value: Any) -> bool:
    """Return True if one of moto's resources matches a filter.

    Args:
        filter_value: the filter's values, with `*` and `?` as wildcards.
    """
    found = obj.get_filter_value(_filter)
    several = isinstance(found, Collection) and not isinstance(found, str)
    if several and isinstance(filter_value, list):
        return _any_matches(map(str, found), filter_value)
    return bool(_of_single_values(obj, _filter, filter_value))


def _any_matches(found: Iterable[str], patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for value in found for pattern in patterns)
