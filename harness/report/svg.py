"""SVG elements as escaped markup, and the time axis that all lanes share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from harness.report.text import MINUS, clean

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 960
LEFT = 118  # where the plot begins; labels are left of it
RIGHT = 946
PLOT = RIGHT - LEFT


def el(tag: str, *children: str, **attributes: str | float) -> Markup:
    """An element. Children and attributes are escaped unless they are Markup already.

    ``_`` in an attribute's name becomes ``-``, a trailing one is dropped (``class_``).
    """
    # Pages have thousands of these: plain strings are put together, and marked once.
    written = "".join([f' {_name(name)}="{_value(value)}"' for name, value in attributes.items()])
    if not children:
        return Markup(f"<{tag}{written}/>")
    inside = "".join([_escaped(child) for child in children])
    return Markup(f"<{tag}{written}>{inside}</{tag}>")


def title(text: str) -> Markup:
    """The tooltip of the element that it is put into."""
    return el("title", text)


def label(x: float, y: float, text: str, class_: str = "t", anchor: str = "start") -> Markup:
    """A text whose baseline is at ``y``."""
    return el("text", text, x=x, y=y, class_=class_, text_anchor=anchor)


def rect(x: float, y: float, width: float, height: float, class_: str, tip: str = "") -> Markup:
    """A rectangle, with a tooltip if there is one."""
    children = (title(tip),) if tip else ()
    return el("rect", *children, x=x, y=y, width=max(width, 0), height=height, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A line."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


@cache
def _name(name: str) -> str:
    return escape(name.rstrip("_").replace("_", "-"))


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return _escaped(value)
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text if isinstance(text, Markup) else escape(clean(text))


def text_width(text: str, size: float = 10) -> float:
    """About how wide a text is, in the units of the picture."""
    return len(text) * size * 0.56


@dataclass(frozen=True, slots=True)
class Axis:
    """Time to x. Times are ns on the run's clock; ``zero_ns`` is 0 s."""

    start_ns: int
    end_ns: int
    zero_ns: int

    @property
    def ns_per_unit(self) -> float:
        """How many ns one unit of x is."""
        return (self.end_ns - self.start_ns) / PLOT

    def x(self, t_ns: float) -> float:
        """x of a time, clamped to the plot."""
        share = (t_ns - self.start_ns) / (self.end_ns - self.start_ns)
        return LEFT + PLOT * min(max(share, 0.0), 1.0)

    def shows(self, t_ns: int) -> bool:
        """Whether a time lies in the plot."""
        return self.start_ns <= t_ns <= self.end_ns

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether any of a stretch of time lies in the plot."""
        return start_ns <= self.end_ns and end_ns >= self.start_ns

    def ticks(self) -> Iterator[tuple[float, str]]:
        """(x, label) of round seconds, 7 to 18 of them."""
        span_s = (self.end_ns - self.start_ns) / 1e9
        step = nice_step(span_s / 18)
        number = -int((self.zero_ns - self.start_ns) / 1e9 // step)
        while (t_ns := self.zero_ns + number * step * 1e9) <= self.end_ns:
            value = abs(number * step)
            sign = MINUS if number < 0 else ""
            yield self.x(t_ns), f"{sign}{value:g}"
            number += 1


def nice_step(at_least: float) -> float:
    """The smallest of 1, 2, 5 × 10ⁿ that is not below ``at_least``; for numbers above 0."""
    power = 1e-3
    while True:
        for factor in (1, 2, 5):
            if factor * power >= at_least * 0.999:
                return factor * power
        power *= 10
