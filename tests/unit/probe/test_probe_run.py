# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe against a real server: every failure must be seen, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.probe.shop_server import Fault, Request, ShopServer
from trivet.errors import InputError
from trivet.probe import FailureKind, Probe, ProbeError, ProbeReport, ProbeSettings
from trivet.probe.contract import Exchange, Session
from trivet.probe.contracts.demo import DEMO
from trivet.probe.failures import RequestFailed
from trivet.probe.http import Endpoint
from trivet.probe.load import Visitor

QUICK: dict[str, Any] = {"rate": 150.0, "duration": 0.8, "timeout": 10.0, "clients": 8, "verify_timeout": 0.2}

Prepare = Callable[[ShopServer, Probe], Awaitable[None] | None]


def run_probe(prepare: Prepare | None = None, **settings: Any) -> tuple[ProbeReport, ShopServer]:
    """Run against a fresh shop; `prepare` is called once the load has begun."""

    async def run() -> tuple[ProbeReport, ShopServer]:
        async with ShopServer() as shop:
            tasks = []

            def listen(event: dict[str, Any]) -> None:
                if event["event"] == "started" and prepare is not None and (work := prepare(shop, probe)):
                    tasks.append(asyncio.ensure_future(work))

            probe = Probe(ProbeSettings(**{"urls": (shop.url,), **QUICK, **settings}), listen)
            report = await probe.run()
            await asyncio.gather(*tasks)
            return report, shop

    return asyncio.run(run())


OPERATIONS = tuple(DEMO.weights)


def only(operation: str) -> dict[str, float]:
    return {operation: 1.0}


def failing(fault: Fault, wanted: Callable[[Request], bool] = lambda request: True) -> Prepare:
    def prepare(shop: ShopServer, _probe: Probe) -> None:
        shop.fault = lambda request: fault if wanted(request) else None

    return prepare


def test_a_healthy_shop_has_no_failure() -> None:
    report, shop = run_probe(duration=2.0)
    assert report.ok, report.failures
    assert report.total.requests == 300
    assert report.total.failures == 0
    assert set(report.kinds) == {
        "home", "product", "search", "media-read", "media-write", "cart-write", "cart-read", "order"
    }  # fmt: skip
    assert report.orders.acknowledged == report.orders.found == report.kinds["order"].requests == len(shop.orders)
    assert report.orders.acknowledged > 10
    assert report.served_by == {"node1": 300}
    assert sum(second.requests for second in report.timeline) == 300
    assert [second.second for second in report.timeline] == [0, 1]
    assert 0 < report.total.latency_ms.p50 <= report.total.latency_ms.p99 <= report.total.latency_ms.maximum
    assert ProbeReport.from_json(report.to_json()) == report


def test_half_of_the_clients_keep_their_connection() -> None:
    _, shop = run_probe()
    closing = [request for request in shop.requests if request.headers.get("connection") == "close"]
    kept = Counter(request.connection for request in shop.requests if request.headers.get("connection") != "close")
    assert sum(kept.values()) == 60
    # Four of the eight clients; on a busy machine others come along for a moment.
    assert len([requests for requests in kept.values() if requests > 1]) >= 4
    assert 60 <= len(closing) <= 60 + 10  # half of 120, the discovery and the verification
    assert all(request.nth == 1 for request in closing)


FAULTS = [
    (Fault(reset=True), FailureKind.RESET),
    (Fault(reset=True, sent=40), FailureKind.RESET),
    (Fault(close=True), FailureKind.CLOSED_EARLY),
    (Fault(close=True, sent=150), FailureKind.CLOSED_EARLY),
    (Fault(status=500), FailureKind.STATUS_5XX),
    (Fault(status=503), FailureKind.STATUS_5XX),
    (Fault(status=404), FailureKind.STATUS_4XX),
    (Fault(status=302), FailureKind.STATUS_3XX),
    (Fault(body=b"<h1>Welcome to nginx!</h1>"), FailureKind.BAD_BODY),
    (Fault(body=b""), FailureKind.BAD_BODY),
    (Fault(body=b'<a href="/product/x"></a><!-- release: a1 --><!-- release: b2 -->'), FailureKind.BAD_BODY),
]


async def run_with_fault(fault: Fault, operation: str, timeout: float) -> ProbeReport:
    async with ShopServer() as shop:

        def listen(event: dict[str, Any]) -> None:
            if event["event"] == "started":
                shop.fault = lambda request: fault

        settings = {**QUICK, "rate": 60.0, "duration": 0.2, "timeout": timeout, "weights": only(operation)}
        return await Probe(ProbeSettings(urls=(shop.url,), **settings), listen).run()


def assert_all_failed(report: ProbeReport, fault: Fault, kind: FailureKind) -> None:
    assert report.total.failures_by_kind == {kind: 12}, fault
    assert report.total.requests == report.total.failures == 12
    assert not report.ok
    assert {failure.kind for failure in report.failures} == {kind}
    assert report.longest_gap.seconds == report.seconds


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_sees_every_fault(operation: str) -> None:
    # The whole answer to a written file may be shorter than 150 bytes.
    cut_short = {Fault(close=True, sent=150)} if operation == "media-write" else set()
    faults = [(fault, kind) for fault, kind in FAULTS if fault not in cut_short]

    async def run() -> list[ProbeReport]:
        # Each with a shop and a probe of its own, all at once: they mostly wait.
        return await asyncio.gather(*(run_with_fault(fault, operation, 10.0) for fault, _kind in faults))

    for report, (fault, kind) in zip(asyncio.run(run()), faults, strict=True):
        assert_all_failed(report, fault, kind)


def test_every_operation_sees_an_answer_that_comes_too_late() -> None:
    async def run() -> list[ProbeReport]:
        return await asyncio.gather(*(run_with_fault(Fault(delay=2.0), operation, 0.5) for operation in OPERATIONS))

    for report in asyncio.run(run()):
        assert_all_failed(report, Fault(delay=2.0), FailureKind.TIMEOUT)


def test_the_node_that_failed_is_named() -> None:
    report, _ = run_probe(failing(Fault(status=500)), duration=0.1)
    assert {failure.node for failure in report.failures} == {"node1"}
    report, _ = run_probe(failing(Fault(close=True, sent=180)), duration=0.1, weights=only("home"))
    assert {failure.node for failure in report.failures} == {"node1"}  # its head had arrived


def test_a_shop_that_went_away_refuses() -> None:
    async def leave(shop: ShopServer, _probe: Probe) -> None:
        await asyncio.sleep(0.3)
        await shop.stop()

    report, _ = run_probe(leave, weights=only("home"))
    assert report.total.failures_by_kind[FailureKind.CONNECT_REFUSED] > 40
    assert set(report.total.failures_by_kind) <= {"connect-refused", "reset", "closed-early"}
    assert 0.3 < report.longest_gap.seconds < 0.6
    assert 0.2 < report.longest_gap.since < 0.5


def test_a_dead_address_times_out() -> None:
    """A listener with a full backlog drops SYNs, as a machine that is gone does."""

    async def run(dead: str) -> ProbeReport:
        async with ShopServer() as shop:
            settings = ProbeSettings(urls=(shop.url, dead), connect_timeout=0.2, weights=only("home"), **QUICK)
            return await Probe(settings).run()

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        report = asyncio.run(run(f"http://127.0.0.1:{listener.getsockname()[1]}"))
    assert report.total.failures_by_kind == {FailureKind.CONNECT_TIMEOUT: 60}
    alive, dead = report.urls
    assert {failure.url for failure in report.failures} == {dead}
    assert report.gateway_gaps[alive].seconds < 0.3 < report.gateway_gaps[dead].seconds


def test_a_tls_handshake_that_fails_is_a_failed_connect() -> None:
    def speak_plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad request\r\n\r\n")

    async def run() -> ProbeReport:
        async with ShopServer() as shop, await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as plain:
            as_tls = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
            urls = (shop.url, as_tls)
            settings = ProbeSettings(urls=urls, insecure=True, weights=only("home"), **QUICK)
            return await Probe(settings).run()

    assert asyncio.run(run()).total.failures_by_kind == {FailureKind.CONNECT_FAILED: 60}


def test_a_lost_session_is_seen_once_per_customer() -> None:
    def lose(shop: ShopServer, _probe: Probe) -> None:
        def fault(request: Request) -> None:
            shop.lose_sessions = request.method == "GET" and request.path == "/cart"

        shop.fault = fault

    report, _ = run_probe(lose, weights=only("cart"))
    assert set(report.total.failures_by_kind) == {FailureKind.SESSION_LOST}
    assert report.kinds["cart-read"].failures == report.kinds["cart-read"].requests > 0


def test_checkout_of_a_cart_that_vanished_is_a_lost_session() -> None:
    def lose(shop: ShopServer, _probe: Probe) -> None:
        def fault(request: Request) -> None:
            shop.lose_sessions = request.path == "/checkout"

        shop.fault = fault

    report, _ = run_probe(lose, weights=only("order"), rate=50.0, clients=2)
    assert set(report.total.failures_by_kind) == {FailureKind.SESSION_LOST}
    assert report.kinds["order"].failures == report.kinds["order"].requests > 0


def test_an_unanswered_cart_write_is_no_lost_session_whether_it_was_done_or_not() -> None:
    def prepare(shop: ShopServer, _probe: Probe) -> None:
        writes = iter(range(1_000_000))

        def fault(request: Request) -> Fault | None:
            unlucky = request.path == "/cart" and request.method == "POST" and next(writes) % 3 == 2
            return Fault(reset=True) if unlucky else None

        shop.fault = fault

    report, _ = run_probe(prepare, weights={"cart": 2.0, "order": 1.0}, duration=2.0)
    assert set(report.total.failures_by_kind) == {FailureKind.RESET}
    assert report.kinds["cart-read"].requests > 0


def test_lost_and_doubled_orders_are_found() -> None:
    def prepare(shop: ShopServer, _probe: Probe) -> None:
        shop.keep_orders = lambda number: {4: 0, 7: 2}.get(number, 1)

    report, _ = run_probe(prepare, weights=only("order"))
    assert report.total.failures_by_kind == {FailureKind.ORDER_LOST: 1, FailureKind.ORDER_DUPLICATE: 1}
    assert report.kinds["order"].failures == 2
    assert (report.orders.missing, report.orders.duplicates) == (1, 1)
    assert report.orders.found == report.orders.acknowledged - 2
    (node,) = report.orders.nodes
    assert (node.missing, node.duplicates) == ((4,), (7, 8))
    assert report.orders.verified
    assert not report.ok


def test_one_number_for_two_customers_is_a_duplicate() -> None:
    def prepare(shop: ShopServer, _probe: Probe) -> None:
        shop.same_number = True

    report, _ = run_probe(prepare, weights=only("order"))
    assert report.total.failures_by_kind[FailureKind.ORDER_DUPLICATE] > 0


def test_replication_may_lag_but_not_for_ever() -> None:
    def lag(shop: ShopServer, _probe: Probe) -> None:
        shop.replication_delay = 1.5

    report, _ = run_probe(lag, weights=only("order"), verify_timeout=5.0)
    assert report.ok
    report, _ = run_probe(lag, weights=only("order"), verify_timeout=0.1)
    assert report.orders.missing == report.total.failures_by_kind[FailureKind.ORDER_LOST] > 0


def test_a_node_that_cannot_be_asked_is_not_a_lost_order_and_not_a_success() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        report, _ = run_probe(weights=only("order"), verify_urls=(url,))
    assert report.total.failures == report.orders.missing == report.orders.found == 0
    assert not report.orders.verified
    assert report.orders.nodes[0].error is not None
    assert not report.ok


def test_corrupt_media_is_seen() -> None:
    def corrupt(shop: ShopServer, _probe: Probe) -> None:
        shop.corrupt_media = True

    report, _ = run_probe(corrupt, weights=only("media-read"))
    assert report.kinds["media-read"].failures_by_kind == {FailureKind.BAD_BODY: report.kinds["media-read"].requests}


def test_connection_close_and_idle_closes_are_no_failures() -> None:
    report, shop = run_probe(failing(Fault(close_after=True), lambda request: request.nth % 5 == 0))
    assert report.ok
    assert max(request.nth for request in shop.requests) == 5
    # Idle for long enough that the close arrives before the next request.
    report, _ = run_probe(failing(Fault(drop_after=True)), rate=40.0)
    assert report.ok, report.failures


def test_an_idle_close_in_the_very_moment_of_the_next_request_is_noticed_before_sending() -> None:
    async def run() -> ProbeReport:
        async with ShopServer() as shop:
            quick = {**QUICK, "rate": 20.0, "clients": 1}
            settings = ProbeSettings(urls=(shop.url,), weights=only("product"), **quick)
            probe = Probe(settings, lambda event: start(event))

            def start(event: dict[str, Any]) -> None:
                if event["event"] == "started":
                    shop.fault = lambda request: Fault(drop_after=True)

            work = asyncio.ensure_future(probe.run())
            while not work.done():
                # Both ends share this event loop: holding it makes close and next request due at once.
                await asyncio.sleep(0.07)
                time.sleep(0.06)
            return work.result()

    assert asyncio.run(run()).ok


def test_chunked_answers_are_read() -> None:
    report, _ = run_probe(failing(Fault(chunked=True)))
    assert report.ok, report.failures


def test_load_is_open_loop_and_latency_counts_from_the_schedule() -> None:
    """One request at a time, 100 ms each, but one due every 10 ms: each waits longer than the last."""
    report, _ = run_probe(
        failing(Fault(delay=0.1)),
        weights=only("home"), rate=100.0, duration=0.1, timeout=5.0, clients=1, max_in_flight=1,
    )  # fmt: skip
    assert report.ok
    assert report.total.requests == 10
    assert report.total.latency_ms.maximum > 900
    assert report.total.latency_ms.p50 > 400
    # With room for all of them none waits for another, though all are slow.
    report, _ = run_probe(
        failing(Fault(delay=0.3)),
        weights=only("home"),
        rate=100.0,
        duration=0.5,
        timeout=5.0,
        clients=2,
    )
    assert report.total.requests == 50
    assert 300 <= report.total.latency_ms.p50 <= report.total.latency_ms.p90 < 1500
    assert report.seconds < 1.0


def test_waiting_for_ones_turn_beyond_the_timeout_is_a_failure() -> None:
    report, _ = run_probe(failing(Fault(delay=0.4)), weights=only("home"), max_in_flight=1, clients=1, timeout=0.5)
    assert set(report.total.failures_by_kind) <= {FailureKind.TIMEOUT, FailureKind.CONNECT_TIMEOUT}
    assert report.total.failures > 100


def test_a_request_that_is_late_already_is_not_sent() -> None:
    async def run() -> int:
        async with ShopServer() as shop:
            endpoint = await Endpoint.resolve(shop.url, host=None, insecure=False)
            visitor = Visitor(endpoint, Session(), keep_alive=True, connect_timeout=1.0)
            exchange = Exchange("home", "GET", "/", lambda response: None)
            with pytest.raises(RequestFailed, match="timeout: not even sent"):
                await visitor.perform(exchange, asyncio.get_running_loop().time() - 0.001)
            return shop.connections

    assert asyncio.run(run()) == 0


def test_marks_split_the_timeline() -> None:
    async def work(shop: ShopServer, probe: Probe) -> None:
        await asyncio.sleep(0.3)
        shop.fault = lambda request: Fault(status=500)
        probe.mark("during")
        await asyncio.sleep(0.3)
        shop.fault = lambda request: None
        probe.mark("after")

    report, _ = run_probe(work, weights=only("home"), duration=1.0)
    assert [mark.phase for mark in report.marks] == ["before", "during", "after"]
    assert sum(figures.requests for figures in report.phases.values()) == 150
    assert all(figures.requests > 30 for figures in report.phases.values())
    assert report.phases["during"].failures > 30
    assert report.phases["before"].failures <= 5  # those on their way
    assert report.phases["after"].failures == 0


def test_stop_waits_for_answers_and_hurry_does_not() -> None:
    async def stop(_shop: ShopServer, probe: Probe) -> None:
        await asyncio.sleep(0.2)
        probe.stop()

    report, _ = run_probe(stop, duration=60.0)
    assert report.ok
    assert 20 <= report.total.requests <= 40

    async def hurry(shop: ShopServer, probe: Probe) -> None:
        shop.fault = lambda request: Fault(delay=2.0)
        await asyncio.sleep(0.2)
        probe.hurry()

    report, _ = run_probe(hurry, duration=60.0, timeout=30.0)
    assert report.unfinished > 20
    assert not report.ok


def test_failures_are_kept_up_to_fifty_and_counted_beyond() -> None:
    report, _ = run_probe(failing(Fault(status=500)))
    assert len(report.failures) == 50
    assert report.total.failures == 120


def test_a_shop_that_cannot_be_reached_at_the_start_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ProbeError, match=r"no shop to probe.*connect-refused"):
            asyncio.run(Probe(ProbeSettings(urls=(url,))).run())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"urls": ()}, "at least one"),
        ({"urls": ("ftp://shop",)}, "base URL"),
        ({"urls": ("http://shop:99999",)}, "base URL"),
        ({"urls": ("http://a", "http://a")}, "twice"),
        ({"rate": 0.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"duration": 1e9}, "duration"),
        ({"weights": {"home": 0.0}}, "zero"),
        ({"weights": {"home": -1.0}}, "negative"),
        ({"weights": {"blog": 1.0}}, "nothing that contract demo weighs"),
        ({"contract": "blog"}, "no contract 'blog'; it has demo"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProbeSettings(**{"urls": ("http://shop",), **settings})


def test_https_is_verified_unless_told_otherwise(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=shop -days 1"
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def run(insecure: bool) -> ProbeReport:
        async with ShopServer(context) as shop:
            return await Probe(ProbeSettings(urls=(shop.url,), insecure=insecure, **QUICK)).run()

    report = asyncio.run(run(insecure=True))
    assert report.ok, report.failures
    with pytest.raises(ProbeError, match="certificate verify failed"):
        asyncio.run(run(insecure=False))
