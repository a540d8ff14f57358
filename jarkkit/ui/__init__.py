"""What a notebook calls: widgets that only edit values, and displays that only show them.

Run headless (JARKKIT_HEADLESS is set), the same cells run without anybody there: a form returns
what it was given, and a step is waited for.
"""

from jarkkit.ui.asking import Confirmation, confirmation, form
from jarkkit.ui.contents import contents
from jarkkit.ui.drilling import drill, drills, exercise
from jarkkit.ui.following import follow
from jarkkit.ui.opening import HEADLESS, begin, headless, resume
from jarkkit.ui.showing import last_run, must, picture, summary
from jarkkit.ui.starting import Running, start

__all__ = [
    "HEADLESS",
    "Confirmation",
    "Running",
    "begin",
    "confirmation",
    "contents",
    "drill",
    "drills",
    "exercise",
    "follow",
    "form",
    "headless",
    "last_run",
    "must",
    "picture",
    "resume",
    "start",
    "summary",
]
