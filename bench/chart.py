"""Curves as one SVG: a small panel each, every round a dot, from the least to the most a bar, a line through the medians.

The text is the same for the same curves. It has its own background in light and dark, so that it is readable on any page.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from bench.curve import Curve, Point

COLUMNS = 3
WIDTH, HEIGHT = 300, 250
"""Of a panel, its labels included, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 62
"""Of it, what surrounds the plotted part."""
HEAD, LINE, ASIDE = 44, 16, 18
"""What is above the panels, from one line of text to the next, and from a panel's left edge to its text."""
INSET = 24
"""From the plotted part's left and right edges to the smallest and the largest size."""
APART = 3.0
"""Between the dots of two rounds."""
CAP = 4.0
"""Half the length of the strokes that end a bar."""
LEAST_TOP = 1.5
"""What the vertical axis reaches at least."""
STYLE = """
svg { font-family: system-ui, sans-serif; font-size: 11px }
.page { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e } .title { fill: #1f2328; font-size: 15px }
.grid { stroke: #d1d9e0 } .one { stroke: #59636e; stroke-dasharray: 4 3 }
.curve { stroke: #0969da; fill: none; stroke-width: 1.5 } .spread { stroke: #0969da }
.round { fill: #0969da; fill-opacity: 0.5 } .median { fill: #0969da }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } .text, .title { fill: #f0f6fc } .faint { fill: #9198a1 }
.grid { stroke: #3d444d } .one { stroke: #9198a1 }
.curve, .spread { stroke: #58a6ff } .round, .median { fill: #58a6ff }
}
"""


def draw_chart(curves: Sequence[Curve], *, title: str, notes: Sequence[str]) -> str:
    """Return the text of an SVG with a panel for each curve, and what `notes` say of them all, a line each, after the last."""
    rows = math.ceil((len(curves) + 1) / COLUMNS)
    width, height = COLUMNS * WIDTH, HEAD + rows * HEIGHT
    root = ET.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=str(width),
        height=str(height),
        viewBox=f"0 0 {width} {height}",
        role="img",
    )
    ET.SubElement(root, "title").text = title
    ET.SubElement(root, "desc").text = "\n".join(map(str, curves))  # the figures, for who cannot see them
    ET.SubElement(root, "style").text = STYLE
    ET.SubElement(root, "rect", {"class": "page", "width": "100%", "height": "100%", "rx": "6"})
    _text(root, 16, 28, title, of="title")
    top = _round_up(max((max(point.ratios) for curve in curves for point in curve.points), default=0.0))
    for number, curve in enumerate(curves):
        _Panel(root, curve, _corner(number), top).draw()
    left, upper = _corner(len(curves))
    for number, note in enumerate(notes):
        _text(root, left + ASIDE, upper + TOP + LINE * number, note, of="faint")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


@dataclass(frozen=True, slots=True)
class _Panel:
    """One curve, in a part of the picture whose upper left is `corner`; its vertical axis goes from 0 to `top`."""

    root: ET.Element
    curve: Curve
    corner: tuple[float, float]
    top: float

    @property
    def left(self) -> float:
        return self.corner[0] + LEFT

    @property
    def right(self) -> float:
        return self.corner[0] + WIDTH - RIGHT

    def x(self, size: int) -> float:
        """Return where a size is, on a logarithmic scale."""
        least, most = (math.log(self.curve.sizes[number]) for number in (0, -1))
        share = (math.log(size) - least) / (most - least) if most > least else 0.5
        return self.left + INSET + share * (self.right - self.left - 2 * INSET)

    def y(self, ratio: float) -> float:
        """Return where a ratio is."""
        height = HEIGHT - TOP - BOTTOM
        return self.corner[1] + TOP + height * (1 - ratio / self.top)

    def draw(self) -> None:
        step = _step(self.top)
        for number in range(round(self.top / step) + 1):
            y = self.y(number * step)
            _line(self.root, (self.left, y), (self.right, y), of="grid")
            _text(self.root, self.left - 6, y + 4, f"{number * step:g}", of="faint", anchor="end")
        _line(self.root, (self.left, self.y(1)), (self.right, self.y(1)), of="one")
        _text(self.root, self.corner[0] + ASIDE, self.corner[1] + TOP - 12, self.curve.quantity, of="faint")
        middle, below = (self.left + self.right) / 2, self.y(0) + LINE
        _text(self.root, middle, below + LINE, f"{self.curve.label} (log)", of="text", anchor="middle")
        _text(self.root, middle, below + 2 * LINE, self.curve.note, of="faint", anchor="middle")
        points = self.curve.points
        medians = " ".join(f"{self.x(point.size):.1f},{self.y(point.median):.1f}" for point in points)
        ET.SubElement(self.root, "polyline", {"class": "curve", "points": medians})
        for point in points:
            self._draw_point(point)

    def _draw_point(self, point: Point) -> None:
        x, high, low = self.x(point.size), self.y(max(point.ratios)), self.y(min(point.ratios))
        _line(self.root, (x, high), (x, low), of="spread")
        for end in (high, low):
            _line(self.root, (x - CAP, end), (x + CAP, end), of="spread")
        for number, ratio in enumerate(point.ratios):
            aside = (number - (len(point.ratios) - 1) / 2) * APART
            _dot(self.root, x + aside, self.y(ratio), 2, of="round")
        _dot(self.root, x, self.y(point.median), 3, of="median")
        _text(self.root, x, high - 6, f"{point.median:.2f}", of="text", anchor="middle")
        _text(self.root, x, self.y(0) + LINE, _shorten(point.size), of="faint", anchor="middle")


def _corner(number: int) -> tuple[float, float]:
    row, column = divmod(number, COLUMNS)
    return column * WIDTH, HEAD + row * HEIGHT


def _step(top: float) -> float:
    """Return the distance of two marks of an axis from 0 to `top`: 1, 2 or 5 times a power of ten, at most five to the axis."""
    power = 10.0 ** math.floor(math.log10(top / 5))
    return next(step * power for step in (1, 2, 5, 10) if step * power * 5 >= top)


def _round_up(most: float) -> float:
    """Return a whole number of steps that leaves some room above the highest point."""
    wanted = max(LEAST_TOP, most * 1.1)
    step = _step(wanted)
    return math.ceil(wanted / step) * step


def _shorten(size: int) -> str:
    """Return a size as the axis says it: 1,000, and from there on 10⁴."""
    power = round(math.log10(size))
    if size == 10**power and power > 3:
        return "10" + str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{size:,}"


def _text(root: ET.Element, x: float, y: float, text: str, *, of: str, anchor: str = "start") -> None:
    at = {"class": of, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    ET.SubElement(root, "text", at).text = text


def _line(root: ET.Element, start: tuple[float, float], end: tuple[float, float], *, of: str) -> None:
    named = zip(("x1", "y1", "x2", "y2"), (*start, *end), strict=True)
    ET.SubElement(root, "line", {"class": of} | {name: f"{value:.1f}" for name, value in named})


def _dot(root: ET.Element, x: float, y: float, radius: float, *, of: str) -> None:
    ET.SubElement(root, "circle", {"class": of, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:g}"})
