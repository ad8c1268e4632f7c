# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet probe``: measure the availability of a shop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from trivet.api import measured
from trivet.cli.output import Output, output_for
from trivet.model import Environment
from trivet.probe import BackgroundProbe, ProbeReport, ProbeSettings

FAILED = 1
ProbeRate = Annotated[
    float,
    typer.Option(
        "--probe",
        metavar="RATE",
        help="Ask the shop that many times a second meanwhile, with real orders, and report what failed. 0: do not.",
    ),
]
Listener = Callable[[Mapping[str, Any]], None]
Result = TypeVar("Result")


def probe(
    urls: Annotated[list[str], typer.Argument(metavar="URL…", help="Base URLs of the shop, asked in turn.")],
    rate: Annotated[float, typer.Option(help="Requests per second, all URLs together.")] = 50.0,
    duration: Annotated[float, typer.Option(help="Seconds until the load ends by itself.")] = 60.0,
    verify: Annotated[str, typer.Option(metavar="URL,…", help="Where the orders are looked up; default: URLs.")] = "",
    insecure: Annotated[bool, typer.Option(help="Do not verify certificates.")] = False,
    host: Annotated[str | None, typer.Option(help="Host header, where the URLs are bare addresses.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Ask the shop at a constant rate, without retries, and report what failed.

    Reads, carts in sessions, orders and media; half of the clients keep their connection, half use each for one
    request. Afterwards every acknowledged order must be found exactly once. Exit code 0 when nothing failed, else 1.
    Ctrl-C ends the load and still reports.
    """
    output = output_for(json)
    settings = ProbeSettings(
        urls=tuple(urls),
        rate=rate,
        duration=duration,
        host=host,
        insecure=insecure,
        verify_urls=tuple(url for url in verify.split(",") if url),
    )
    with tempfile.TemporaryDirectory() as folder:
        running = BackgroundProbe(settings, Path(folder) / "events.jsonl")
        running.start()
        try:
            _follow(running, output)
        except KeyboardInterrupt:
            output.event("stopping", text="stopping the load; the report follows")
        report = running.stop()
    if json:
        output.data(report.to_json())
    else:
        show_report(output, report)
    raise typer.Exit(0 if report.ok else FAILED)


def beside_probe(
    environment: Environment,
    output: Output,
    rate: float,
    work: Callable[[Listener], Result],
    *,
    listener: Listener,
    show: Callable[[Output, Result], None],
) -> None:
    """Make a change, with the probe beside it unless the rate is 0, and show what both did.

    :param rate: requests per second.
    :param work: makes the change; takes the listener that its events must go to.
    :param listener: shows an event of the change or of the probe.
    :param show: shows what the change did.
    :raises typer.Exit: with 1 when the probe saw a failure.
    """
    if not rate:
        show(output, work(listener))
        return
    report, result = measured(
        environment, rate, work, listener=listener, partial=lambda figures: show_figures(output, figures)
    )
    show(output, result)
    show_figures(output, report)
    if not report.ok:
        raise typer.Exit(FAILED)


def tell_common(output: Output, kind: str, values: Mapping[str, Any]) -> bool:
    """Show an event of the probe beside a change, or of what every change tells; False when it is none of these."""
    match kind:
        case "probe":
            addresses = ", ".join(values["urls"])
            text = f"probe: {values['rate']:g} requests/s on {addresses}; events in {values['events']}"
        case "live":
            figures = f"{values['requests']} requests, {values['failures']} failed, p99 {values['p99_ms']} ms"
            text = f"  probe: {figures}"
        case "lease" | "note":
            text = values["text"]
        case "report":
            text = f"report: {values['html']}"
        case _:
            return False
    output.event(kind, text=text)
    return True


def _follow(running: BackgroundProbe, output: Output) -> None:
    while running.running:
        time.sleep(5)
        live = running.live()
        output.event("live", text=f"{live.requests} requests, {live.failures} failed, p99 {live.p99_ms:.0f} ms")


def show_figures(output: Output, report: ProbeReport) -> None:
    """The figures of a probe beside a change: as text, or as one JSON line, the event ``probe report``."""
    if output.json:
        output.data({"event": "probe report", **report.to_json()})
    else:
        show_report(output, report)


def show_report(output: Output, report: ProbeReport) -> None:
    """The figures of a report as a few lines of text."""
    total = report.total
    output.print(f"requests {total.requests}   failed {total.failures}   {_kinds(total.failures_by_kind)}")
    output.print(f"longest gap {report.longest_gap.seconds:.2f} s")
    for phase, figures in report.phases.items():
        latency = figures.latency_ms
        output.print(
            f"{phase}: {figures.requests} requests, {figures.failures} failed, "
            f"p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms, longest {latency.maximum:.0f} ms"
        )
    if (orders := report.orders) is not None:
        output.print(
            f"{report.contract.orders} acknowledged {orders.acknowledged}   "
            f"found exactly once on every node {orders.found}   "
            f"missing {orders.missing}   duplicates {orders.duplicates}"
        )
    for failure in report.failures[:10]:
        output.print(
            f"  failed at {failure.at:.1f} s: {failure.request} {failure.url}: {failure.kind}: {failure.detail}"
        )


def _kinds(kinds: dict[str, int]) -> str:
    return "".join(f"{kind}: {count}  " for kind, count in kinds.items())
