# SPDX-License-Identifier: GPL-3.0-or-later
"""A change with the probe beside it: what customers would have seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from trivet.errors import TrivetError
from trivet.model import Environment
from trivet.probe import BackgroundProbe, LiveFigures, ProbeReport, ProbeSettings
from trivet.probe.contracts import DEFAULT
from trivet.remote import WebTunnels
from trivet.run.directories import probes_directory
from trivet.run.events import Event, Listener
from trivet.run.report import leave_report

BEFORE_SECONDS = 30
AFTER_SECONDS = 10
LONGEST_ROTATION_SECONDS = 3600

Result = TypeVar("Result")


def measured(
    environment: Environment,
    rate: float,
    work: Callable[[Listener], Result],
    *,
    contract: str | None = None,
    listener: Listener = lambda event: None,
    partial: Callable[[ProbeReport], None] = lambda report: None,
) -> tuple[ProbeReport, Result]:
    """Do some work while the probe asks all gateway addresses; its events are kept beside the journals.

    :param rate: requests per second.
    :param work: takes the listener that its events must go to.
    :param contract: what kind of application is asked; None: what the environment's application names, else the demo.
    :param listener: takes the work's events, and after each step one called ``live`` with the probe's figures.
    :param partial: takes the probe's report when the work fails, before its error goes on.
    :raises TrivetError: when the work fails, or there is no shop to probe.
    """
    tunnels = WebTunnels(environment)
    settings = ProbeSettings(
        urls=tuple(f"http://{gateway}" for gateway in environment.gateways),
        rate=rate,
        duration=LONGEST_ROTATION_SECONDS,
        host=environment.domain,
        verify_urls=tunnels.urls,
        contract=contract or environment.probe_contract or DEFAULT,
    )
    probe = BackgroundProbe(settings, probes_directory(environment.label) / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    listener(
        {
            "event": "probe",
            "rate": rate,
            "contract": settings.contract,
            "urls": settings.urls,
            "events": str(probe.events),
        }
    )
    journal = _JournalSeen(listener)
    probe.start()
    try:
        time.sleep(BEFORE_SECONDS)
        probe.mark("during")
        result = work(_with_figures(journal, probe))
        probe.mark("after")
        time.sleep(AFTER_SECONDS)
    except BaseException:
        if figures := _partial(tunnels, probe, listener):
            partial(figures)
            journal.report(environment.label, figures)
        raise
    with tunnels:
        figures = probe.stop()
    journal.report(environment.label, figures)
    return figures, result


class _JournalSeen:
    """Passes events on, and remembers the journal that their change is written to."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._journal: str | None = None

    def __call__(self, event: Event) -> None:
        self._journal = event.get("journal", self._journal) if event["event"] == "plan" else self._journal
        # The change leaves a report without figures; the one with them is told when it is written.
        if event["event"] != "report":
            self._listener(event)

    def report(self, label: str, figures: ProbeReport) -> None:
        """Write the report of the change anew, with the figures; no failure may hide what the change did."""
        if self._journal is None:
            return
        try:
            files = leave_report(label, self._journal, figures)
        except (TrivetError, OSError) as error:
            self._listener({"event": "note", "text": f"no report was written: {error}"})
        else:
            self._listener({"event": "report", "html": str(files.html), "json": str(files.json)})


def _partial(tunnels: WebTunnels, probe: BackgroundProbe, listener: Listener) -> ProbeReport | None:
    """The figures until here; nothing of it may hide the error that is on its way to the operator."""
    try:
        with tunnels:
            return probe.stop(hurry=True)
    except TrivetError as error:
        listener({"event": "note", "text": f"no whole report of the probe: {error.message}"})
        return None


def _with_figures(listener: Listener, probe: BackgroundProbe) -> Listener:
    def listen(event: Event) -> None:
        listener(event)
        if event["event"] == "step ends":
            live: LiveFigures = probe.live()
            listener(
                {"event": "live", "requests": live.requests, "failures": live.failures, "p99_ms": round(live.p99_ms)}
            )

    return listen
