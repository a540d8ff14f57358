"""Following long work: a step is a generator of events that ends with a value."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

E = TypeVar("E")
R = TypeVar("R")


def drain(work: Generator[E, None, R], show: Callable[[E], None]) -> R:
    """Run the work to its end, show everything it yields, return its value.

    Whatever happens while showing (an interrupt above all), the work is closed: it then stops in
    order and writes down how far it came.
    """
    try:
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                result: R = end.value
                return result
            show(event)
    finally:
        work.close()
