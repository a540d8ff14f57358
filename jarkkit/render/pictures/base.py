"""Shared by all pictures: alternative text and style."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe-Ito palette: distinguishable with any color vision, on light and dark pages.
COLOR: dict[str, str] = {
    "create": "#009e73",
    "import": "#56b4e9",
    "update": "#e69f00",
    "replace": "#cc79a7",
    "delete": "#d55e00",
    "failed": "#d55e00",
}


@dataclass(frozen=True)
class Picture:
    """A PNG with alternative text."""

    png: bytes
    alt: str

    def html(self) -> str:
        """Return an image tag with the PNG embedded."""
        data = base64.b64encode(self.png).decode()
        source = f"data:image/png;base64,{data}"
        return f'<img style="max-width:100%" alt="{escape(self.alt)}" src="{source}">'

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, object]]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}


def figure_of(height: float) -> Figure:
    """Create an empty figure of this height in inches."""
    return Figure(figsize=(8.0, height), dpi=110, layout="constrained")


def tidy(axes: Axes) -> None:
    """Remove the frame and add horizontal margins."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)


def picture_of(figure: Figure, alt: str) -> Picture:
    """Render the figure."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Picture(buffer.getvalue(), alt)
