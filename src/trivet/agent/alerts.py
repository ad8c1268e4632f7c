# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells people of an incident: by a program of theirs, and by an HTTP request. Once when it is noticed, once when the
agent gives up, and once when it is over."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trivet.agent.repair import News, Notice

SECONDS = 10.0


@dataclass(frozen=True)
class Alerts:
    """Where alerts go; nowhere by default."""

    command: tuple[str, ...] = ()
    """A program and its arguments, which gets the alert as JSON on its standard input."""
    webhook: str = ""
    """A URL, which gets the alert as JSON by POST."""

    def send(self, alert: Mapping[str, Any]) -> list[str]:
        """Send an alert everywhere; what went wrong, in words."""
        text = json.dumps(alert)
        problems = []
        for configured, way in ((self.command, self._run), (self.webhook, self._post)):
            try:
                if configured:
                    way(text)
            except (OSError, ValueError, subprocess.SubprocessError) as problem:
                problems.append(str(problem))
        return problems

    def _run(self, text: str) -> None:
        subprocess.run(self.command, input=text, text=True, capture_output=True, timeout=SECONDS, check=True)

    def _post(self, text: str) -> None:
        # Here, not above: it is as large as the rest of the agent, and most of the time nothing is told.
        import http.client

        parts = urlsplit(self.webhook)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            headers = {"Content-Type": "application/json", "User-Agent": "trivet-agent"}
            connection.request("POST", path, text.encode(), headers)
            status = connection.getresponse().status
        except http.client.HTTPException as problem:
            raise ValueError(f"{parts.hostname} did not answer as a web server: {problem!r}") from problem
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise ValueError(f"{parts.hostname} answered {status}")


def alert_of(environment: str, node: str, notice: Notice) -> dict[str, Any]:
    """What people are told of an incident."""
    symptom = notice.symptom
    hopeless = symptom.remedy is None and not symptom.waits
    where = "cluster" if symptom.cluster_wide else node
    return {
        "incident": f"{environment}/{where}/{symptom.key}",
        "state": str(notice.news),
        "environment": environment,
        "node": node,
        "service": symptom.service,
        "subject": symptom.subject,
        "problem": symptom.problem,
        "reason": symptom.reason,
        "attempts": notice.attempts,
        "human_needed": notice.news is News.GAVE_UP or (notice.news is News.NOTICED and hopeless),
        "next_command": symptom.next_command,
    }


def alerts_from(settings: Mapping[str, Any]) -> Alerts:
    """Read the settings.

    Raises:
        ValueError: the webhook is no HTTP address, or the command no list.
    """
    command: Sequence[Any] = settings.get("alert_command") or ()
    webhook = str(settings.get("alert_webhook") or "")
    if isinstance(command, str) or not isinstance(command, list | tuple):
        raise ValueError("alert_command is a list: a program and its arguments")
    if webhook and not webhook.startswith(("http://", "https://")):
        raise ValueError(f"alert_webhook is no HTTP address: {webhook}")
    return Alerts(tuple(map(str, command)), webhook)
