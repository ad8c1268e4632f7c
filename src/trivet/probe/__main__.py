# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m trivet.probe URL…`: the probe in a process of its own, telling what it sees as JSON lines.

SIGINT, SIGTERM or the end of the control input end the load; answers in flight are waited for and the orders
verified. A second signal cuts that short. Either way the last line is the report.
Exit status: 0 nothing failed, 1 something did, 2 the probe could not begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from trivet.errors import TrivetError
from trivet.probe.arguments import parser, settings_from
from trivet.probe.probe import Probe
from trivet.probe.report import Json, ProbeReport
from trivet.probe.settings import ProbeSettings

SPARE_FILE_DESCRIPTORS = 64


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        options = parser().parse_args(arguments)
        settings = settings_from(options)
        _allow_connections(settings.max_in_flight + settings.clients + SPARE_FILE_DESCRIPTORS)
        if options.events == "-":
            report = asyncio.run(_run(settings, sys.stdout, options.control))
        else:
            with Path(options.events).open("w", encoding="utf-8") as events:
                report = asyncio.run(_run(settings, events, options.control))
    except (TrivetError, OSError) as error:
        print(f"probe: {error}", file=sys.stderr)
        return 2
    return 0 if report.ok else 1


async def _run(settings: ProbeSettings, events: TextIO, control: bool) -> ProbeReport:
    def listen(event: Json) -> None:
        # Whole lines, at once: whoever follows the file never waits for a buffer to fill.
        events.write(json.dumps(event, separators=(",", ":")) + "\n")
        events.flush()

    probe = Probe(settings, listen)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _Interruption(probe))
    if control:
        follow = threading.Thread(target=_follow, args=(loop, probe), daemon=True)
        follow.start()
    return await probe.run()


class _Interruption:
    """The first signal ends the load, the next one the waiting as well."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._interrupted = False

    def __call__(self) -> None:
        if self._interrupted:
            self._probe.hurry()
        self._interrupted = True
        self._probe.stop()


def _follow(loop: asyncio.AbstractEventLoop, probe: Probe) -> None:
    """Obey standard input until it ends, which stops the load: without its owner the probe has no purpose.

    os.read, since a thread that waits in sys.stdin would hold its lock while the interpreter shuts down.
    """
    pending = b""
    while data := os.read(0, 4096):
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            command, _, name = line.decode("utf-8", "replace").partition(" ")
            if command == "mark" and name:
                _call(loop, partial(probe.mark, name))
            elif command == "stop":
                _call(loop, probe.stop)
            elif command == "hurry":
                _call(loop, probe.hurry)
    _call(loop, probe.stop)


def _call(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the run may have ended meanwhile
        loop.call_soon_threadsafe(action)


def _allow_connections(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
