"""Figures, and how two of them are compared on a machine that is never quiet.

Both sides are measured in turns within one run (A B, B A, A B, …) and each turn gives one ratio: what slows the
machine down for a while slows both sides, and the median of the ratios is what is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

__all__ = ["Row", "interleaved"]

_DECIMALS = {"µs": 0, "ms": 1, "/s": 0, "/h": 0}


@dataclass(frozen=True)
class Row:
    """One line of the table. `ours` and `theirs` hold a figure a round, in `unit`; `theirs` is empty where nothing is
    compared.

    A `target` is about the ratio of ours to theirs, or about the difference where `difference` is set, or about ours
    where nothing is compared; None for a figure that only stands beside the others.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...] = ()
    difference: bool = False
    target: tuple[str, float] | None = None
    """`("<=", 1.3)` or `(">=", 0.9)`."""

    @property
    def compared(self) -> tuple[float, ...]:
        pairs = zip(self.ours, self.theirs, strict=bool(self.theirs))
        return tuple(one - other if self.difference else one / other for one, other in pairs)

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        word, bound = self.target
        found = median(self.compared or self.ours)
        return found <= bound if word == "<=" else found >= bound

    def cells(self) -> tuple[str, ...]:
        """Name, ours, by hand, ratio or difference with its range, target, and whether it was met."""
        compared, target, verdict = "", "", ""
        if self.compared:
            low, middle, high = min(self.compared), median(self.compared), max(self.compared)
            if self.difference:
                compared = f"+{middle:.1f} {self.unit} ({low:.1f}–{high:.1f})"
            else:
                compared = f"{_ratio(middle)} × ({_ratio(low)}–{_ratio(high)})"
        if self.target is not None:
            word, bound = self.target
            sign = {"<=": "≤", ">=": "≥"}[word]
            target = f"{sign} {bound:,g} {self.unit if self.difference or not self.compared else '×'}"
            verdict = "yes" if self.met else "no"
        return self.name, self._figure(self.ours), self._figure(self.theirs), compared, target, verdict

    def _figure(self, figures: tuple[float, ...]) -> str:
        if not figures:
            return ""
        return f"{median(figures):,.{_DECIMALS[self.unit]}f} {self.unit}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One figure of each side a round; who goes first changes from round to round. A first round is thrown away."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        order = (0, 1) if number % 2 else (1, 0)
        for side in order:
            figure = (ours, theirs)[side]()
            if number:
                found[side].append(figure)
    return tuple(found[0]), tuple(found[1])
