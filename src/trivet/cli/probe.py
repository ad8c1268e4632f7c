# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet probe``: measure the availability of a shop."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from trivet.cli.output import Output, output_for
from trivet.probe import BackgroundProbe, ProbeReport, ProbeSettings

FAILED = 1


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


def _follow(running: BackgroundProbe, output: Output) -> None:
    while running.running:
        time.sleep(5)
        live = running.live()
        output.event("live", text=f"{live.requests} requests, {live.failures} failed, p99 {live.p99_ms:.0f} ms")


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
    orders = report.orders
    output.print(
        f"orders acknowledged {orders.acknowledged}   found exactly once on every node {orders.found}   "
        f"missing {orders.missing}   duplicates {orders.duplicates}"
    )
    for failure in report.failures[:10]:
        output.print(
            f"  failed at {failure.at:.1f} s: {failure.request} {failure.url}: {failure.kind}: {failure.detail}"
        )


def _kinds(kinds: dict[str, int]) -> str:
    return "".join(f"{kind}: {count}  " for kind, count in kinds.items())
