# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe in its own process: nothing may be lost, however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.probe.shop_server import Fault, ShopServer
from trivet.probe import BackgroundProbe, ProbeError, ProbeReport, ProbeSettings
from trivet.probe.arguments import arguments_of


@contextmanager
def shop_in_a_thread() -> Iterator[ShopServer]:
    ready, ended = threading.Event(), threading.Event()
    shop = ShopServer()

    async def serve() -> None:
        async with shop:
            ready.set()
            while not ended.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(5)
        yield shop
    finally:
        ended.set()
        thread.join()


def settings(shop: ShopServer, **values: float) -> ProbeSettings:
    return ProbeSettings(urls=(shop.url,), rate=50.0, duration=60.0, timeout=10.0, verify_timeout=2.0, **values)  # type: ignore[arg-type]


def wait_until(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_start_mark_live_stop(tmp_path: Path) -> None:
    with shop_in_a_thread() as shop:
        probe = BackgroundProbe(settings(shop), tmp_path / "probe.jsonl")
        probe.start()
        wait_until(lambda: probe.live().requests > 40)
        assert probe.live().p99_ms > 0
        probe.mark("during the change")
        shop.fault = lambda request: Fault(status=503)
        wait_until(lambda: probe.live().failures > 10)
        shop.fault = lambda request: None
        assert probe.live().phase == "during the change"
        probe.mark("after")
        time.sleep(0.5)
        report = probe.stop()
        assert probe.stop() is report
    assert not probe.running
    assert list(report.phases) == ["before", "during the change", "after"]
    assert report.phases["before"].failures <= 2  # those on their way when it was marked
    assert report.total.failures == report.total.failures_by_kind["status-5xx"] > 10
    assert report.orders.acknowledged == report.orders.found > 0
    events = [json.loads(line) for line in (tmp_path / "probe.jsonl").read_text().splitlines()]
    assert {event["event"] for event in events} == {
        "started", "live", "second", "failure", "mark", "order", "report"
    }  # fmt: skip
    assert sum(event["event"] == "failure" for event in events) == report.total.failures
    assert ProbeReport.from_json(events[-1]["report"]) == report


def test_a_run_that_ended_by_itself_still_gives_its_report(tmp_path: Path) -> None:
    with shop_in_a_thread() as shop:
        short = ProbeSettings(urls=(shop.url,), rate=20.0, duration=0.5)
        with BackgroundProbe(short, tmp_path / "probe.jsonl") as probe:
            wait_until(lambda: not probe.running)
            probe.mark("too late")
            assert probe.stop().total.requests == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_its_report(tmp_path: Path, number: signal.Signals) -> None:
    with shop_in_a_thread() as shop:
        probe = BackgroundProbe(settings(shop), tmp_path / "probe.jsonl")
        probe.start()
        wait_until(lambda: probe.live().requests > 20)
        assert probe._process is not None
        os.kill(probe._process.pid, number)
        wait_until(lambda: not probe.running)
        report = probe.stop()
    assert report.ok, report.failures
    assert report.total.requests == sum(second.requests for second in report.timeline) > 20


def test_a_second_signal_cuts_the_waiting_short(tmp_path: Path) -> None:
    with shop_in_a_thread() as shop:
        slow = ProbeSettings(urls=(shop.url,), rate=50.0, duration=60.0, timeout=60.0)
        probe = BackgroundProbe(slow, tmp_path / "probe.jsonl")
        probe.start()
        wait_until(lambda: probe.live().requests > 20)
        shop.fault = lambda request: Fault(delay=3.0)
        time.sleep(0.3)
        began = time.monotonic()
        assert probe._process is not None
        os.kill(probe._process.pid, signal.SIGINT)
        time.sleep(0.3)
        os.kill(probe._process.pid, signal.SIGINT)
        report = probe.stop()
        assert time.monotonic() - began < 2.5
    assert report.unfinished > 0
    assert not report.orders.verified


def test_the_probe_ends_with_its_owner(tmp_path: Path) -> None:
    """The owner is killed outright; the end of standard input tells the probe."""
    events = tmp_path / "probe.jsonl"
    owner = (
        "import sys, time\nfrom pathlib import Path\n"
        "from trivet.probe import BackgroundProbe, ProbeSettings\n"
        "probe = BackgroundProbe(ProbeSettings(urls=(sys.argv[1],), rate=20.0), Path(sys.argv[2]))\n"
        "probe.start()\nprint('started', flush=True)\ntime.sleep(60)\n"
    )
    with shop_in_a_thread() as shop:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", owner, shop.url, str(events)], stdout=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            process.kill()
        wait_until(lambda: '"event":"report"' in events.read_text())


def test_a_shop_that_is_not_there_is_told_in_the_probes_own_words(tmp_path: Path) -> None:
    with shop_in_a_thread() as shop:
        gone = settings(shop)
    probe = BackgroundProbe(gone, tmp_path / "probe.jsonl")
    with pytest.raises(ProbeError, match="no shop to probe"):
        probe.start()
    assert not probe.running


def test_a_process_that_was_killed_is_an_error(tmp_path: Path) -> None:
    with shop_in_a_thread() as shop:
        probe = BackgroundProbe(settings(shop), tmp_path / "probe.jsonl")
        probe.start()
        assert probe._process is not None
        probe._process.kill()
        with pytest.raises(ProbeError, match="without a report"):
            probe.stop()


@pytest.mark.parametrize(("status", "code"), [(None, 0), (500, 1)])
def test_the_command_says_by_its_exit_status_what_it_found(status: int | None, code: int) -> None:
    with shop_in_a_thread() as shop:
        arguments = arguments_of(ProbeSettings(urls=(shop.url,), rate=20.0, duration=0.5))
        if status is not None:  # after the five requests of the discovery
            shop.fault = lambda request: Fault(status=status) if len(shop.requests) > 5 else None
        command = [sys.executable, "-m", "trivet.probe", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=30)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "report"


def test_a_bad_argument_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "trivet.probe", "--rate=0", "http://shop"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, env=environment, check=False, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "probe: the probe's rate is 0; it must be above 0 and at most 2000\n"
