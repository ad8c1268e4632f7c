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
from trivet.probe.settings import MAXIMUM_IN_FLIGHT
from trivet.remote import WebTunnels
from trivet.run.directories import probes_directory
from trivet.run.events import Event, Listener, Noted, ProbeBegan, ProbeSeen, StepEnded, unheard
from trivet.run.report import ReportWriter

BEFORE_SECONDS = 30
AFTER_SECONDS = 10
PATIENCE_SECONDS = 10.0
"""Beside a change that has no request wait for long."""
LEAST_IN_FLIGHT = 500
"""The bound of requests in flight; where requests may wait for longer it is higher."""
LONGEST_ROTATION_SECONDS = 3600

Result = TypeVar("Result")


def measured(
    environment: Environment,
    rate: float,
    work: Callable[[Listener], Result],
    *,
    contract: str | None = None,
    patience: float = PATIENCE_SECONDS,
    listener: Listener = unheard,
    partial: Callable[[ProbeReport], None] = lambda report: None,
) -> tuple[ProbeReport, Result]:
    """Do some work while the probe asks all gateway addresses; its events are kept beside the journals.

    :param rate: requests per second.
    :param work: takes the listener that its events must go to.
    :param contract: what kind of application is asked; None: what the environment's application names, else the demo.
    :param patience: seconds after which a customer gives up; more than the change may have a request wait.
    :param listener: takes the work's events, after each step what the probe saw, and at the end where the report is.
    :param partial: takes the probe's report when the work fails, before its error goes on.
    :raises TrivetError: when the work fails, or there is no shop to probe.
    """
    tunnels = WebTunnels(environment)
    settings = ProbeSettings(
        urls=tuple(f"http://{gateway}" for gateway in environment.gateways),
        rate=rate,
        timeout=patience,
        max_in_flight=min(MAXIMUM_IN_FLIGHT, max(LEAST_IN_FLIGHT, round(rate * patience))),
        duration=LONGEST_ROTATION_SECONDS,
        host=environment.domain,
        verify_urls=tunnels.urls,
        contract=contract or environment.probe_contract or DEFAULT,
    )
    probe = BackgroundProbe(settings, probes_directory(environment.label) / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    listener(ProbeBegan(rate, settings.contract, settings.urls, str(probe.events)))
    with _Measuring(environment.label, listener, probe) as writer:
        probe.start()
        try:
            time.sleep(BEFORE_SECONDS)
            probe.mark("during")
            result = work(writer)
            probe.mark("after")
            time.sleep(AFTER_SECONDS)
        except BaseException:
            writer.figures = _partial(tunnels, probe, listener)
            if writer.figures is not None:
                partial(writer.figures)
            raise
        with tunnels:
            writer.figures = probe.stop()
        return writer.figures, result


def reported(environment: Environment, work: Callable[[Listener], Result], *, listener: Listener = unheard) -> Result:
    """Do some work that is a change, without a probe, and leave its report.

    :param work: takes the listener that its events must go to.
    :param listener: takes the work's events, and at the end where the report is; within :func:`measured`, the listener
        that it gave: then the report is that one's to write, with the figures.
    :raises TrivetError: when the work fails.
    """
    if isinstance(listener, ReportWriter):
        return work(listener)
    with ReportWriter(environment.label, listener) as writer:
        return work(writer)


def _partial(tunnels: WebTunnels, probe: BackgroundProbe, listener: Listener) -> ProbeReport | None:
    """The figures until here; nothing of it may hide the error that is on its way to the operator."""
    try:
        with tunnels:
            return probe.stop(hurry=True)
    except TrivetError as error:
        listener(Noted(f"no whole report of the probe: {error.message}"))
        return None


class _Measuring(ReportWriter):
    """Tells after each step what the probe saw."""

    def __init__(self, label: str, listener: Listener, probe: BackgroundProbe) -> None:
        super().__init__(label, listener)
        self._probe = probe

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, StepEnded):
            live: LiveFigures = self._probe.live()
            self._listener(ProbeSeen(live.requests, live.failures, round(live.p99_ms)))
