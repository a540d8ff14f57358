"""`Unknown`: takes the place of a value that could not be read.

`Quota | Unknown | None` has three answers: the quota, a failed call, and whatever `None` means for
this value, such as "the Region has no such quota". An error that is the outcome of an action stays
a `JarkkitError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from jarkkit.model.errors import JarkkitError

T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """A value that could not be read.

    Attributes:
        reason: the error of the call, with its code and fix.
    """

    reason: JarkkitError


def known_or_none(value: T | Unknown | None) -> T | None:
    """Return the value; None where it is unknown."""
    return None if isinstance(value, Unknown) else value


def known_or_raise(value: T | Unknown) -> T:
    """Return the value. Raises the reason where it is unknown."""
    if isinstance(value, Unknown):
        raise value.reason
    return value
