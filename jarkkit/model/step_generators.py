"""Consuming steps: a step is a generator that yields events and returns a value."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

E = TypeVar("E")
R = TypeVar("R")


def run_to_end(work: Generator[E, None, R], show: Callable[[E], None]) -> R:
    """Run the generator to its end, show everything it yields, and return its value.

    Whatever happens while showing (above all an interrupt), close the generator, so that the step
    stops cleanly and records how far it got.
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
