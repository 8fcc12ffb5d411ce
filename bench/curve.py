"""What was measured along one axis, and how it compares with the smallest size."""

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """One size, compared with the smallest round by round."""

    size: int
    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.ratios)

    def __str__(self) -> str:
        return f"{self.size:,}: {self.median:.2f} ({min(self.ratios):.2f}–{max(self.ratios):.2f})"


@dataclass(frozen=True, slots=True)
class Curve:
    """Tokens a second, round by round: of the `reference`, which is the smallest size, and of each size.

    The smallest is in `rates` as well, measured once more a round: how far it is from itself is the noise that all points have.
    """

    label: str
    note: str
    is_speed: bool
    sizes: tuple[int, ...]
    reference: tuple[float, ...]
    rates: tuple[tuple[float, ...], ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """Return what a token costs, or how many there are a second, at each size ÷ at the smallest in the same round."""
        return tuple(
            Point(
                size,
                tuple(
                    rate / reference if self.is_speed else reference / rate
                    for rate, reference in zip(rates, self.reference, strict=True)
                ),
            )
            for size, rates in zip(self.sizes, self.rates, strict=True)
        )

    @property
    def quantity(self) -> str:
        """Say what is compared, and with what."""
        what = "tokens/s" if self.is_speed else "cost of a token"
        return f"{what} ÷ that at {self.sizes[0]:,}"

    def __str__(self) -> str:
        return f"{self.label}, {self.quantity}: " + ", ".join(map(str, self.points))


def read_curve(stored: dict[str, Any]) -> Curve:
    """Return a curve that was written to a file of results."""
    sides = {name: tuple(stored[name]) for name in ("sizes", "reference")}
    return Curve(**stored | sides | {"rates": tuple(map(tuple, stored["rates"]))})
