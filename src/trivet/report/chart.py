# SPDX-License-Identifier: GPL-3.0-or-later
"""The geometry of the chart: what is drawn where. Pure; the template turns it into SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trivet.report.change import Attempt, Change, Ending
from trivet.report.measured import Measured, Point, points
from trivet.report.scales import (
    LinearScale,
    LogScale,
    Tick,
    TimeScale,
    linear_scale,
    log_scale,
    place_labels,
    time_scale,
)
from trivet.report.wording import clock, count, duration, latency

WIDTH = 1000.0
LEFT = 104.0
RIGHT = 988.0
LANE_HEIGHT = 34.0
BLOCK_HEIGHT = 24.0
FLAG_HEIGHT = 18.0
_FLAG_ROWS = 3
_THROUGHPUT_HEIGHT = 84.0
_LATENCY_HEIGHT = 128.0
_FAILURES_HEIGHT = 22.0
_CHARACTER = 6.6
"""Width of a character of the chart's text: a generous estimate, since no browser is asked."""
_LEAST_WIDTH = 1.5
_CUT_OFF_WIDTH = 16.0

# What a step means for the node, which its colour tells: it loses its work, is out of use, comes back.
FAMILIES: Mapping[str, str] = {
    "hand over": "leave",
    "drain": "leave",
    "gateway": "leave",
    "stop": "out",
    "resize": "out",
    "patch": "out",
    "replace": "out",
    "start": "out",
    "gate": "back",
    "undrain": "back",
    "soak": "back",
    # Of web nodes: from the first step of a scale-out until a HAProxy has them nobody uses them.
    "create": "out",
    "admit": "out",
    "configure": "out",
    "enter": "back",
    "leave": "out",
    "remove": "out",
    "forget": "out",
}
_TONES: Mapping[str, str] = {
    "failed": "bad",
    "halted": "bad",
    "aborted": "bad",
    "resumed": "good",
    "stop requested": "warning",
    "replanned": "warning",
    "rolled back": "warning",
}


@dataclass(frozen=True, slots=True)
class Block:
    """An attempt at a step. `shade` (1 to 4) tells it from its neighbours of the same family."""

    x: float
    y: float
    width: float
    family: str
    shade: int
    ending: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The row of a node."""

    name: str
    label: str
    y: float
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """An event: a line through the chart with a label above it."""

    x: float
    y: float
    anchor: str
    tone: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the probe; the change itself is shaded."""

    x: float
    width: float
    name: str
    label_x: float
    anchor: str
    shaded: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """A curve's frame with the ticks of its values."""

    title: str
    top: float
    bottom: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A second (or a few) in which requests failed."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Readout:
    """What was measured at a place, for the pointer."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Blank:
    """A time of which nothing is drawn: a pause that is folded up, or what no probe saw."""

    x: float
    width: float
    title: str
    label: str


@dataclass(frozen=True, slots=True)
class Curves:
    """What the probe measured, below the lanes; paths are SVG path data."""

    phases: tuple[Phase, ...]
    phases_top: float
    unmeasured: tuple[Blank, ...]
    """Where the journal goes on without the probe."""
    throughput: Panel
    answered: str
    failed: str
    latency: Panel
    p50: str
    p99: str
    failures_top: float
    failures_bottom: float
    marks: tuple[Mark, ...]
    no_failure: bool
    none_x: float
    readouts: tuple[Readout, ...]
    seconds_per_point: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn, in a box of `WIDTH` by `height`."""

    height: float
    lanes_top: float
    lanes: tuple[Lane, ...]
    flags: tuple[Flag, ...]
    curves: Curves | None
    folds: tuple[Blank, ...]
    ticks: tuple[Tick, ...]
    axis: float
    steps: tuple[tuple[str, str, int], ...]
    """The legend: step, family and shade."""


def draw(change: Change, measured: Measured | None) -> Chart:
    """Lay out the chart of a change, with the probe's curves where there was a probe."""
    scale = time_scale(_active(change, measured), LEFT, RIGHT)
    flags, lanes_top = _flags(change, scale)
    shades = _shades(change.step_names)
    lanes = tuple(
        _lane(change, name, lanes_top + number * LANE_HEIGHT, scale, shades)
        for number, name in enumerate(change.node_names)
    )
    bottom = lanes_top + len(lanes) * LANE_HEIGHT
    curves = _curves(measured, scale, bottom + 12) if measured else None
    axis = curves.failures_bottom + 4 if curves else bottom + 4
    return Chart(
        height=axis + 24,
        lanes_top=lanes_top,
        lanes=lanes,
        flags=flags,
        curves=curves,
        folds=tuple(_fold(fold.left, fold.right, fold.until - fold.since) for fold in scale.folds),
        ticks=scale.ticks(),
        axis=axis,
        steps=tuple((step, *shades[step]) for step in change.step_names),
    )


def _active(change: Change, measured: Measured | None) -> Iterable[tuple[float, float]]:
    for item in change.attempts:
        yield item.began, item.began if item.ended is None else item.ended
    for event in change.events:
        yield event.at, event.at
    if change.began is not None and change.ended is not None:
        yield change.began, change.began
        yield change.ended, change.ended
    if measured:
        yield measured.began, measured.ended


def _shades(steps: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Family and shade of each step: neighbours of a family get different shades."""
    seen: dict[str, int] = {}
    shades = {}
    for step in steps:
        family = FAMILIES.get(step, "other")
        seen[family] = seen.get(family, 0) + 1
        shades[step] = (family, (seen[family] - 1) % 4 + 1)
    return shades


def _lane(change: Change, name: str, y: float, scale: TimeScale, shades: Mapping[str, tuple[str, int]]) -> Lane:
    attempts = change.of(name)
    top = y + (LANE_HEIGHT - BLOCK_HEIGHT) / 2
    following: list[Attempt | None] = [*attempts[1:], None]
    blocks = tuple(
        _block(item, None if after is None else scale.x(after.began), top, scale, shades[item.step])
        for item, after in zip(attempts, following, strict=False)
    )
    return Lane(name, shortened(name, LEFT - 12), y, blocks)


def _block(item: Attempt, room: float | None, y: float, scale: TimeScale, shade: tuple[str, int]) -> Block:
    left = scale.x(item.began)
    if item.ended is None:
        # Nobody knows when it ended: the block shows that it was begun, and never covers what came after it.
        width = min(_CUT_OFF_WIDTH, (RIGHT if room is None else room) - left)
        title = f"{item.node}: {item.step}, begun {clock(item.began)} UTC, cut off: its end is not in the journal"
    else:
        width = scale.x(item.ended) - left
        title = f"{item.node}: {item.step}, {duration(item.seconds)}, {clock(item.began)}–{clock(item.ended)} UTC"
    if item.ending is Ending.FAILED:
        title += f", failed: {item.error or 'no reason was written'}"
    width = max(_LEAST_WIDTH, width)
    label = item.step if len(item.step) * _CHARACTER + 8 <= width else ""
    longer = f"{item.step} {duration(item.seconds)}"
    if item.seconds is not None and len(longer) * _CHARACTER + 8 <= width:
        label = longer
    return Block(left, y, width, *shade, ending=item.ending.value.replace(" ", "-"), label=label, title=title)


def _flags(change: Change, scale: TimeScale) -> tuple[tuple[Flag, ...], float]:
    """The events that belong on the chart, and where the lanes begin below them."""
    shown = sorted((event for event in change.events if event.kind in _TONES), key=lambda event: event.at)
    # A failed step and the halt that follows it are one thing to the eye.
    halts = [event.at for event in shown if event.kind == "halted"]
    shown = [event for event in shown if event.kind != "failed" or not any(0 <= at - event.at < 5 for at in halts)]
    spans = []
    for event in shown:
        x, width = scale.x(event.at), len(event.kind) * _CHARACTER + 14
        spans.append((x, "start", x, x + width) if x + width <= WIDTH else (x, "end", x - width, x))
    rows = place_labels([(left, right) for _, _, left, right in spans], _FLAG_ROWS)
    flags = tuple(
        Flag(
            x=x,
            y=row * FLAG_HEIGHT,
            anchor=anchor,
            tone=_TONES[event.kind],
            label=event.kind,
            title=f"{clock(event.at)} UTC: {event.kind} {event.text}".strip(),
        )
        for event, (x, anchor, _, _), row in zip(shown, spans, rows, strict=True)
    )
    return flags, (max(rows) + 1) * FLAG_HEIGHT + 6 if rows else 4.0


def _curves(measured: Measured, scale: TimeScale, top: float) -> Curves:
    seen = points(measured)
    per_point = max(1, round(seen[0].seconds)) if seen else 1
    throughput_top = top + 40
    latency_top = throughput_top + _THROUGHPUT_HEIGHT + 34
    failures_top = latency_top + _LATENCY_HEIGHT + 16
    rates = [(point.answered or 0) + (point.failed or 0) for point in seen]
    answered = linear_scale(max([*rates, 1.0]), throughput_top + _THROUGHPUT_HEIGHT, throughput_top)
    known = [value for point in seen for value in (point.p50_ms, point.p99_ms) if value is not None]
    latencies = log_scale(known, latency_top + _LATENCY_HEIGHT, latency_top)
    marks = _marks(measured, seen, scale)
    return Curves(
        phases=_phases(measured, scale),
        phases_top=top,
        unmeasured=_unmeasured(scale.x(measured.began), scale.x(measured.ended)),
        throughput=Panel("requests answered per second", throughput_top, answered.bottom, answered.ticks()),
        answered=_area(seen, scale, answered, lambda point: (0.0, point.answered)),
        failed=_area(seen, scale, answered, _stacked),
        latency=Panel("latency (logarithmic)", latency_top, latencies.bottom, latencies.ticks()),
        p50=_line(seen, scale, latencies, lambda point: point.p50_ms),
        p99=_line(seen, scale, latencies, lambda point: point.p99_ms),
        failures_top=failures_top,
        failures_bottom=failures_top + _FAILURES_HEIGHT,
        marks=marks,
        no_failure=not marks and not measured.report.total.failures and bool(measured.report.total.requests),
        none_x=(scale.x(measured.began) + scale.x(measured.ended)) / 2,
        readouts=tuple(Readout(round(scale.x(_middle(point)), 1), _told(point)) for point in seen),
        seconds_per_point=per_point,
    )


def _unmeasured(began: float, ended: float) -> tuple[Blank, ...]:
    spans = ((LEFT, began), (ended, RIGHT))
    words = "not measured"
    title = "the probe did not run here: availability was not measured"
    return tuple(
        Blank(left, right - left, title, words if len(words) * _CHARACTER < right - left else "")
        for left, right in spans
        if right - left > _LEAST_WIDTH
    )


def _stacked(point: Point) -> tuple[float, float | None]:
    if not point.failed or point.answered is None:
        return 0.0, None
    return point.answered, point.answered + point.failed


def _area(
    seen: Sequence[Point],
    scale: TimeScale,
    values: LinearScale,
    of: Callable[[Point], tuple[float, float | None]],
) -> str:
    """A column for each point, from a lower value to an upper one; nothing where the upper one is None."""
    path = []
    for point in seen:
        low, high = of(point)
        if high is not None:
            left, right = scale.x(point.at), scale.x(point.at + point.seconds)
            path.append(f"M{left:.1f} {values.y(low):.1f}V{values.y(high):.1f}H{right:.1f}V{values.y(low):.1f}Z")
    return "".join(path)


def _line(seen: Sequence[Point], scale: TimeScale, values: LogScale, of: Callable[[Point], float | None]) -> str:
    """A line through the middle of the points; it is broken where there is no value or no point."""
    path = []
    last: Point | None = None
    for point in seen:
        value = of(point)
        if value is None:
            last = None
            continue
        joined = last is not None and point.at - (last.at + last.seconds) < 0.5
        place = f"{scale.x(_middle(point)):.1f} {values.y(value):.1f}"
        # A lone point must be seen too: a line of no length is not drawn.
        path.append(f"L{place}" if joined else f"M{place}h.1")
        last = point
    return "".join(path)


def _middle(point: Point) -> float:
    return point.at + point.seconds / 2


def _marks(measured: Measured, seen: Sequence[Point], scale: TimeScale) -> tuple[Mark, ...]:
    """Where requests failed: by the timeline, and the orders whose loss showed only afterwards."""
    marks = [_mark(scale, point.at, point.at + point.seconds, point.failures) for point in seen if point.failures]
    told = {second.second for second in measured.report.timeline if second.failures}
    late: dict[int, int] = {}
    for failure in measured.report.failures:
        if int(failure.at) not in told:
            late[int(failure.at)] = late.get(int(failure.at), 0) + 1
    marks += [_mark(scale, measured.began + at, measured.began + at + 1, failed) for at, failed in late.items()]
    return tuple(sorted(marks, key=lambda mark: mark.x))


def _mark(scale: TimeScale, since: float, until: float, failed: int) -> Mark:
    left = scale.x(since)
    return Mark(left, max(2.5, scale.x(until) - left), f"{clock(since)} UTC: {count(failed)} failed")


def _phases(measured: Measured, scale: TimeScale) -> tuple[Phase, ...]:
    marks = measured.report.marks
    ends = [*(mark.at for mark in marks[1:]), measured.report.seconds]
    found = []
    for number, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        left, right = scale.x(measured.began + mark.at), scale.x(measured.began + end)
        first, last = number == 0, number == len(marks) - 1
        fits = len(mark.phase) * _CHARACTER <= right - left
        anchor = "middle" if fits else "start" if first else "end" if last else "none"
        label_x = {"middle": (left + right) / 2, "start": left, "end": right, "none": left}[anchor]
        found.append(Phase(left, max(0.0, right - left), mark.phase, label_x, anchor, number % 2 == 1))
    return tuple(found)


def _told(point: Point) -> str:
    answered = "" if point.answered is None else f" · {point.answered:.0f} answered/s"
    lost = f" · {count(point.failures)} FAILED" if point.failures else " · 0 failed"
    return f"{clock(point.at)} UTC{answered}{lost} · p50 {latency(point.p50_ms)} · p99 {latency(point.p99_ms)}"


def _fold(left: float, right: float, seconds: float) -> Blank:
    return Blank(left, right - left, f"{duration(seconds)} without a line in the journal or a probe", duration(seconds))


def shortened(text: str, width: float) -> str:
    """The text, cut where it would be wider than `width`."""
    room = max(1, int(width / _CHARACTER))
    return text if len(text) <= room else text[: room - 1] + "…"
