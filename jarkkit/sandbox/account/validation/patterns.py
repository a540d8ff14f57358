"""Regular expressions of the API models, which are Java's, for Python's `re`. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

# Planes with assigned letters, digits, separators, punctuation and symbols, and the variation
# selectors; all other planes are unassigned or private.
_ASSIGNED = (range(0x40000), range(0xE0000, 0xE0200))
# All characters beyond the first plane, as a range of surrogate pairs.
_SURROGATES = (r"\uD800\uDC00-\uDBFF\uDFFF", "\\U00010000-\\U0010FFFF")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of an API model; services apply it to the whole text (`fullmatch`).

    Raises re.error for a construct that Python does not have.
    """
    text = pattern.replace(*_SURROGATES)
    text = text.replace(r"[\w-", r"[\w\-")  # Java reads this hyphen as itself
    text = re.sub(r"\(\?i\)([^()]*)", r"(?i:\1)", text)
    text = re.sub(r"\\p\{(\w+)\}", lambda found: _category_class(found[1]), text)
    return re.compile(text, re.ASCII)


def _category_class(name: str) -> str:
    """Return the inside of a character class for `\\p{…}`."""
    categories = _ranges()
    found = [ranges for category, ranges in categories.items() if category.startswith(name)]
    if not found:
        raise re.error(f"unknown category {name}")
    return "".join(found)


@cache
def _ranges() -> Mapping[str, str]:
    """Return the characters of each Unicode category as ranges for a character class."""
    bounds: defaultdict[str, list[list[int]]] = defaultdict(list)
    for code in (code for plane in _ASSIGNED for code in plane):
        ranges = bounds[unicodedata.category(chr(code))]
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return {
        category: "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
        for category, ranges in bounds.items()
    }
