"""What all pictures have in common: the words beside them, and their look."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Colours of Okabe and Ito: told apart with any colour vision, and on light and dark pages.
COLOUR: dict[str, str] = {
    "create": "#009e73",
    "import": "#56b4e9",
    "update": "#e69f00",
    "replace": "#cc79a7",
    "delete": "#d55e00",
    "failed": "#d55e00",
}


@dataclass(frozen=True)
class Picture:
    """A PNG with the words for those who cannot see it."""

    png: bytes
    alt: str

    def html(self) -> str:
        """An image tag that carries the picture with it."""
        data = base64.b64encode(self.png).decode()
        source = f"data:image/png;base64,{data}"
        return f'<img style="max-width:100%" alt="{escape(self.alt)}" src="{source}">'

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, object]]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}


def figure_of(height: float) -> Figure:
    """An empty figure, so high in inches."""
    return Figure(figsize=(8.0, height), dpi=110, layout="constrained")


def tidy(axes: Axes) -> None:
    """Without a frame, and with some room at the sides."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)


def picture_of(figure: Figure, alt: str) -> Picture:
    """The figure drawn."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return Picture(buffer.getvalue(), alt)
