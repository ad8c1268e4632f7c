# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a Magento, against a double of the calls that it makes: no real Magento is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.probe.other_servers import PRODUCTS, TOKEN, MagentoServer
from tests.unit.probe.shop_server import Fault, Request
from trivet.probe import FailureKind, Probe, ProbeError, ProbeReport, ProbeSettings
from trivet.probe.contracts.magento import MAGENTO, TOKEN_VARIABLE

QUICK: dict[str, Any] = {"rate": 150.0, "duration": 1.0, "timeout": 10.0, "clients": 8, "verify_timeout": 0.2}
Prepare = Callable[[MagentoServer], None]


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def run_probe(prepare: Prepare = lambda shop: None, **settings: Any) -> tuple[ProbeReport, MagentoServer]:
    """Run against a fresh double; `prepare` is called once the load has begun."""

    async def run() -> tuple[ProbeReport, MagentoServer]:
        async with MagentoServer() as shop:

            def listen(event: dict[str, Any]) -> None:
                if event["event"] == "started":
                    prepare(shop)

            values = {"urls": (shop.url,), "contract": "magento", **QUICK, **settings}
            return await Probe(ProbeSettings(**values), listen).run(), shop

    return asyncio.run(run())


def orders_only(**settings: Any) -> dict[str, Any]:
    return {"weights": {"cart": 4.0, "order": 1.0}, **settings}


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_healthy_shop_has_no_failure(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token:
        monkeypatch.setenv(TOKEN_VARIABLE, token)
    report, shop = run_probe(duration=2.0)
    assert report.ok, report.failures
    kinds = {
        "home", "category", "product", "search", "search-rest", "login",
        "cart-create", "cart-item", "shipping-methods", "shipping", "order",
    }  # fmt: skip
    assert kinds <= set(report.kinds) <= kinds | {"cart-read", "product-rest"}
    assert ("product-rest" in report.kinds) is (token is not None)
    assert report.orders is not None
    assert report.orders.found == report.orders.acknowledged == len(shop.orders) > 5
    assert report.contract == MAGENTO.described
    assert ProbeReport.from_json(report.to_json()) == report


def test_an_order_is_five_calls_in_their_order() -> None:
    report, shop = run_probe(**orders_only())
    assert report.ok, report.failures
    cart = next(name for name, values in shop.carts.items() if not values["is_active"])
    calls = [
        request.path.rpartition("/")[2]
        for request in shop.requests
        if f"guest-carts/{cart}/" in request.path and request.method == "POST"
    ]
    assert calls == ["items", "estimate-shipping-methods", "shipping-information", "payment-information"]
    assert len({email for _number, email in shop.orders}) == len(shop.orders)


def test_order_numbers_may_be_strings() -> None:
    def strings(shop: MagentoServer) -> None:
        shop.string_numbers = True

    report, _ = run_probe(strings, **orders_only())
    assert report.ok, report.failures
    assert report.orders is not None and report.orders.acknowledged > 5


def test_only_simple_products_in_stock_without_required_options_are_bought() -> None:
    _, shop = run_probe(**orders_only())
    bought = {item["sku"] for cart in shop.carts.values() for item in cart["items"]}  # type: ignore[attr-defined]
    assert bought <= set(PRODUCTS) and bought


FAULTS = [
    (Fault(reset=True), FailureKind.RESET),
    (Fault(close=True, sent=40), FailureKind.CLOSED_EARLY),
    (Fault(status=503), FailureKind.STATUS_5XX),
    (Fault(status=404, body=b"{}"), FailureKind.STATUS_4XX),
    (Fault(body=b"<h1>Welcome to nginx!</h1>"), FailureKind.BAD_BODY),
    (Fault(body=b""), FailureKind.BAD_BODY),
]


@pytest.mark.parametrize("operation", MAGENTO.weights)
def test_every_operation_sees_every_fault(operation: str) -> None:
    async def one(fault: Fault) -> ProbeReport:
        async with MagentoServer() as shop:

            def listen(event: dict[str, Any]) -> None:
                if event["event"] == "started":
                    shop.fault = lambda request: fault

            settings = {**QUICK, "rate": 60.0, "duration": 0.2, "weights": {operation: 1.0}, "contract": "magento"}
            return await Probe(ProbeSettings(urls=(shop.url,), **settings), listen).run()

    async def run() -> list[ProbeReport]:
        return await asyncio.gather(*(one(fault) for fault, _ in FAULTS))

    for report, (fault, kind) in zip(asyncio.run(run()), FAULTS, strict=True):
        assert report.total.failures_by_kind == {kind: 12}, fault


def at_step(verb: str, fault: Fault) -> Prepare:
    def prepare(shop: MagentoServer) -> None:
        def strike(request: Request) -> Fault | None:
            return fault if request.path.endswith(verb) else None

        shop.fault = strike

    return prepare


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("/guest-carts", "cart-create"),
        ("/items", "cart-item"),
        ("/estimate-shipping-methods", "shipping-methods"),
        ("/shipping-information", "shipping"),
        ("/payment-information", "order"),
    ],
)
def test_a_failure_of_each_call_is_counted_at_it_and_the_guest_begins_anew(verb: str, kind: str) -> None:
    report, _ = run_probe(at_step(verb, Fault(status=500)), **orders_only())
    assert {name for name, figures in report.kinds.items() if figures.failures} == {kind}
    assert report.kinds[kind].failures == report.kinds[kind].requests > 1


def test_an_order_without_an_answer_is_unacknowledged_and_not_lost() -> None:
    report, shop = run_probe(at_step("/payment-information", Fault(reset=True)), **orders_only())
    assert set(report.total.failures_by_kind) == {FailureKind.RESET}
    assert report.orders is not None
    assert report.orders.acknowledged == 0 and report.orders.unacknowledged == len(shop.orders) > 0


def test_a_cart_that_vanished_is_a_lost_session() -> None:
    def lose(shop: MagentoServer) -> None:
        shop.lose_carts = True

    report, _ = run_probe(lose, **orders_only())
    assert set(report.total.failures_by_kind) == {FailureKind.SESSION_LOST}


def test_a_node_that_does_not_have_the_closed_cart_has_lost_the_order() -> None:
    def forget(shop: MagentoServer) -> None:
        shop.keep_closed = False

    report, _ = run_probe(forget, **orders_only())
    assert report.orders is not None
    assert report.orders.missing == report.orders.acknowledged == report.total.failures_by_kind["order-lost"] > 0


def test_one_increment_id_for_two_carts_is_a_duplicate() -> None:
    def same(shop: MagentoServer) -> None:
        shop.same_number = True

    report, _ = run_probe(same, **orders_only())
    assert report.orders is not None and report.orders.duplicates == report.orders.acknowledged - 1 > 0


def test_with_a_token_lost_and_doubled_orders_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setattr("trivet.probe.contracts.magento.ORDERS_PER_PAGE", 3)

    def prepare(shop: MagentoServer) -> None:
        shop.keep_orders = lambda number: {4: 0, 7: 2}.get(number, 1)

    report, _ = run_probe(prepare, **orders_only())
    assert report.orders is not None
    assert report.total.failures_by_kind == {FailureKind.ORDER_LOST: 1, FailureKind.ORDER_DUPLICATE: 1}
    assert (report.orders.missing, report.orders.duplicates) == (1, 1)


def test_a_wrong_token_is_not_verified_and_no_lost_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "wrong")
    report, _ = run_probe(**orders_only())
    assert report.orders is not None
    assert not report.orders.verified and report.orders.missing == 0 and not report.ok


def test_what_is_no_magento_is_said() -> None:
    async def run() -> None:
        async with MagentoServer() as shop:
            shop.fault = lambda request: Fault(status=404)
            await Probe(ProbeSettings(urls=(shop.url,), contract="magento")).run()

    with pytest.raises(ProbeError, match=r"no shop to probe.*--contract pages"):
        asyncio.run(run())
