# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet probe``: measure the availability of a shop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from trivet.api.changes import Listener
from trivet.api.probes import (
    CONTRACTS,
    DEFAULT,
    PATIENCE_SECONDS,
    BackgroundProbe,
    ProbeReport,
    ProbeSettings,
    ResultKind,
    contract_named,
    customers,
    leave_result,
    measured,
    reported,
)
from trivet.cli.output import Output, output_for
from trivet.model import Environment

FAILED = 1
ProbeRate = Annotated[
    float,
    typer.Option(
        "--probe",
        metavar="RATE",
        help="Send RATE test requests per second during the change and report failures. Places real orders, unless the "
        "contract reads only. 0 (default) disables it.",
    ),
]
ProbeContract = Annotated[
    str | None,
    typer.Option(
        "--contract",
        metavar="NAME",
        help=f"What the probe asks: {', '.join(CONTRACTS)}. `pages` only reads. "
        f"Default: `probe` of the environment's application, else {DEFAULT}.",
    ),
]


@dataclass(frozen=True, slots=True)
class Beside:
    """The probe beside a change.

    Args:
        rate: Requests per second; 0: no probe.
        contract: What is asked; None: what the environment's application names.
        patience: Seconds after which a customer gives up.

    Raises:
        InputError: There is no such contract.
    """

    rate: float = 0.0
    contract: str | None = None
    patience: float = PATIENCE_SECONDS

    def __post_init__(self) -> None:
        if self.contract is not None:
            contract_named(self.contract)

    def __bool__(self) -> bool:
        return bool(self.rate)


NO_PROBE = Beside()
Result = TypeVar("Result")


def probe(
    urls: Annotated[list[str], typer.Argument(metavar="URL…", help="Base URLs of the shop, asked in turn.")],
    rate: Annotated[float, typer.Option(help="Requests per second, all URLs together.")] = 50.0,
    duration: Annotated[float, typer.Option(help="Seconds until the load ends by itself.")] = 60.0,
    verify: Annotated[str, typer.Option(metavar="URL,…", help="Where the orders are looked up; default: URLs.")] = "",
    insecure: Annotated[bool, typer.Option(help="Do not verify certificates.")] = False,
    host: Annotated[str | None, typer.Option(help="Host header, where the URLs are bare addresses.")] = None,
    contract: Annotated[
        str, typer.Option(metavar="NAME", help=f"What is asked: {', '.join(CONTRACTS)}. `pages` only reads.")
    ] = DEFAULT,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Send requests at a constant rate, without retries, and report what failed.

    Half of the clients keep their connection, half use each for one request. Press Ctrl-C to end the load and get the
    report. Exit code 0: nothing failed; 1: something did.

    The contract says what is asked. `demo`: the demo shop, with carts, orders and uploads. `magento`: a Magento 2, with
    guest carts and orders by REST. `pages`: any site, by GET alone; safe in production. Where a contract places orders,
    each node must have every acknowledged order exactly once.

    Example: trivet probe https://shop.example --contract pages --rate 5
    """
    output = output_for(json)
    settings = ProbeSettings(
        urls=tuple(urls),
        rate=rate,
        duration=duration,
        host=host,
        insecure=insecure,
        verify_urls=tuple(url for url in verify.split(",") if url),
        contract=contract,
    )
    with tempfile.TemporaryDirectory() as folder:
        running = BackgroundProbe(settings, Path(folder) / "events.jsonl")
        running.start()
        try:
            _follow(running, output)
        except KeyboardInterrupt:
            output.event("stopping", text="stopping the load; the report follows")
        report = running.stop()
    leave_result(ResultKind.PROBE, customers(report))
    if json:
        output.data(report.to_json())
    else:
        show_report(output, report)
    raise typer.Exit(0 if report.ok else FAILED)


def beside_probe(
    environment: Environment,
    output: Output,
    probe: Beside,
    work: Callable[[Listener], Result],
    *,
    listener: Listener,
    show: Callable[[Output, Result], None],
) -> None:
    """Make a change, with the probe beside it unless the rate is 0, and show what both did.

    :param probe: its rate and contract.
    :param work: makes the change; takes the listener that its events must go to.
    :param listener: shows an event of the change or of the probe.
    :param show: shows what the change did.
    :raises typer.Exit: with 1 when the probe saw a failure.
    """
    if not probe:
        show(output, reported(environment, work, listener=listener))
        return
    report, result = measured(
        environment,
        probe.rate,
        work,
        contract=probe.contract,
        patience=probe.patience,
        listener=listener,
        partial=lambda figures: show_figures(output, figures),
    )
    show(output, result)
    show_figures(output, report)
    if not report.ok:
        raise typer.Exit(FAILED)


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
