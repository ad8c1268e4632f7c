# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a Magento 2 shop: catalogue pages, search, the login page, and guest carts and orders by REST.

An order is five calls: the cart, an item, the shipping methods, the shipping address, the payment. It is `checkmo`, or
the first payment method that the shop offers. The e-mail address of its customer is made of the cart's id.

Without a token a node is asked for each cart: the shop closes a cart and gives it the order's increment id after the
order was committed, so that a node that shows the closed cart has the order. With the token of an integration
(environment variable `TRIVET_PROBE_TOKEN`) a node is asked for the orders themselves, which shows doubles too.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from trivet.probe.answers import check_ok, excerpt, json_of, text_of
from trivet.probe.contract import Contract, Exchange, Finding, Journey, NoteOrder, Session, find_first
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Endpoint, Response, get_once
from trivet.probe.orders import Ledger, ListedOrder
from trivet.probe.report import Described

TOKEN_VARIABLE = "TRIVET_PROBE_TOKEN"
HTML = {"Accept": "text/html"}
JSON_ONLY = {"Accept": "application/json"}
JSON_BOTH = {**JSON_ONLY, "Content-Type": "application/json"}
MAXIMUM_PRODUCTS = 20
MAXIMUM_CATEGORIES = 10
ORDERS_PER_PAGE = 100
QUESTIONS_AT_ONCE = 4
"""When a node is asked for many carts."""
PAGE_SECONDS = 10.0
PREFERRED_PAYMENT = "checkmo"
DOMAIN = "example.com"
HINT = (
    "The contract magento needs a Magento 2 with a simple product in stock, and its GraphQL. "
    "`--contract pages` asks any site, by GET alone."
)
CATALOGUE = (
    '{products(filter:{price:{from:"0.01"}},pageSize:100){items{__typename sku name url_key url_suffix stock_status'
    " ...on CustomizableProductInterface{options{required}}}}"
    "categoryList{children{url_path url_suffix}}"
    "countries{id available_regions{id code name}}}"
)
ADDRESS: dict[str, Any] = {
    "firstname": "Trivet",
    "lastname": "Probe",
    "street": ["1 Test Street"],
    "city": "Austin",
    "postcode": "78701",
    "telephone": "5125550100",
}
PREFERRED_COUNTRY, PREFERRED_REGION = "US", "TX"


@dataclass(frozen=True, slots=True)
class Product:
    """A simple product that was in stock; `page` is the path of its page."""

    sku: str
    name: str
    page: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the shop sold at the start."""

    products: tuple[Product, ...]
    categories: tuple[str, ...]
    address: dict[str, Any]


class GuestSession(Session):
    """What one guest knows: the cart's id, and how far the five calls have come."""

    def __init__(self) -> None:
        super().__init__()
        self.cart: str | None = None
        self.has_item = False
        self.shipping: tuple[str, str] | None = None
        """Carrier and method."""
        self.payment: str | None = None

    @property
    def ready(self) -> bool:
        """Four of the five calls are done: the last one places the order."""
        return self.payment is not None

    def begin_anew(self) -> None:
        """Leave the cart and the cookies behind, as a new guest."""
        super().begin_anew()
        self.cart, self.has_item, self.shipping, self.payment = None, False, None, None


class Shop:
    """Makes the requests of all customers of one run.

    Args:
        catalogue: What the shop sold at the start.
        seed: Makes the order of requests repeatable.
        token: Of an integration, for what guests may not ask.
    """

    def __init__(self, catalogue: Catalogue, seed: int, token: str | None) -> None:
        self.ledger = Ledger()
        self._catalogue = catalogue
        self._random = random.Random(seed)
        self._run = uuid.uuid4().hex[:8]
        self._authorized = {**JSON_ONLY, "Authorization": f"Bearer {token}"} if token else None

    @property
    def targets(self) -> int:
        """How many products are asked for."""
        return len(self._catalogue.products)

    def new_session(self) -> GuestSession:
        """A guest without a cart."""
        return GuestSession()

    def exchange(self, operation: str, session: Session, note_order: NoteOrder) -> Exchange:
        """A request of an operation. What the shop does not let guests see becomes the page of a product."""
        assert isinstance(session, GuestSession)
        match operation:
            case "home":
                return _page("home", "/", "</html>")
            case "login":
                return _page("login", "/customer/account/login/", "login[username]")
            case "category" if self._catalogue.categories:
                return _page("category", self._random.choice(self._catalogue.categories), "</html>")
            case "search":
                return self._search()
            case "search-rest":
                return self._search_rest()
            case "product-rest" if self._authorized:
                return self._product_rest(self._authorized)
            case "order":
                return self._order(session, note_order)
            case "cart":
                return self._cart_step(session)
            case _:
                product = self._random.choice(self._catalogue.products)
                return _page("product", product.page, product.name)

    async def listed(self, endpoint: Endpoint) -> list[ListedOrder]:
        """The orders of this run that a node has. Raises RequestFailed."""
        if self._authorized:
            return await self._listed_by_token(endpoint, self._authorized)
        return await self._closed_carts(endpoint)

    def _search(self) -> Exchange:
        product = self._random.choice(self._catalogue.products)
        target = f"/catalogsearch/result/?{urlencode({'q': product.name})}"

        def accept(response: Response) -> None:
            # An exact match of one product, or a redirect set up by the shop, leads to a page.
            if not _leads_somewhere(response) and not _shows(response, product.name):
                raise RequestFailed(FailureKind.BAD_BODY, f"a search for {product.name!r} did not find it")

        return Exchange("search", "GET", target, accept, HTML)

    def _search_rest(self) -> Exchange:
        product = self._random.choice(self._catalogue.products)

        def accept(response: Response) -> None:
            found = json_of(response, dict).get("items")
            if not isinstance(found, list) or not found:
                raise RequestFailed(FailureKind.BAD_BODY, f"a search for {product.name!r} by REST found nothing")

        criteria = {
            "searchCriteria[requestName]": "quick_search_container",
            "searchCriteria[filter_groups][0][filters][0][field]": "search_term",
            "searchCriteria[filter_groups][0][filters][0][value]": product.name,
        }
        return Exchange("search-rest", "GET", f"/rest/V1/search?{urlencode(criteria)}", accept, JSON_ONLY)

    def _product_rest(self, headers: dict[str, str]) -> Exchange:
        sku = self._random.choice(self._catalogue.products).sku

        def accept(response: Response) -> None:
            if (got := json_of(response, dict).get("sku")) != sku:
                raise RequestFailed(FailureKind.BAD_BODY, f"asked for product {sku}, got {got}")

        return Exchange("product-rest", "GET", f"/rest/V1/products/{quote(sku, safe='')}", accept, headers)

    def _cart_step(self, session: GuestSession) -> Exchange:
        """The next of the four calls before the order; a guest who is ready looks at the cart once more."""
        if session.cart is None:
            return _make_cart(session)
        if not session.has_item:
            return self._add_item(session)
        if session.shipping is None:
            return self._ask_shipping(session)
        if session.payment is None:
            return self._set_shipping(session)
        return _read_cart(session)

    def _add_item(self, session: GuestSession) -> Exchange:
        product = self._random.choice(self._catalogue.products)
        item = {"cartItem": {"quote_id": session.cart, "sku": product.sku, "qty": 1}}

        def accept(response: Response) -> None:
            if (got := json_of(_cart_answer(response, session), dict).get("sku")) != product.sku:
                raise RequestFailed(FailureKind.BAD_BODY, f"put {product.sku} into the cart, got {got}")
            session.has_item = True

        return _call(session, "cart-item", "items", item, accept)

    def _ask_shipping(self, session: GuestSession) -> Exchange:
        def accept(response: Response) -> None:
            for method in json_of(_cart_answer(response, session), list):
                if isinstance(method, dict) and method.get("available", True):
                    session.shipping = str(method.get("carrier_code")), str(method.get("method_code"))
                    return
            raise RequestFailed(FailureKind.BAD_BODY, f"no shipping method in {excerpt(response)}")

        body = {"address": self._catalogue.address}
        return _call(session, "shipping-methods", "estimate-shipping-methods", body, accept)

    def _set_shipping(self, session: GuestSession) -> Exchange:
        assert session.cart is not None and session.shipping is not None
        carrier, method = session.shipping
        address = {**self._catalogue.address, "email": self._email(session.cart)}
        information = {
            "shipping_address": address,
            "billing_address": address,
            "shipping_carrier_code": carrier,
            "shipping_method_code": method,
        }

        def accept(response: Response) -> None:
            methods = json_of(_cart_answer(response, session), dict).get("payment_methods")
            codes = [str(item.get("code")) for item in methods or () if isinstance(item, dict)]
            if not codes:
                raise RequestFailed(FailureKind.BAD_BODY, f"no payment method in {excerpt(response)}")
            session.payment = PREFERRED_PAYMENT if PREFERRED_PAYMENT in codes else codes[0]

        return _call(session, "shipping", "shipping-information", {"addressInformation": information}, accept)

    def _order(self, session: GuestSession, note_order: NoteOrder) -> Exchange:
        assert session.cart is not None
        cart, email = session.cart, self._email(session.cart)
        body = {
            "email": email,
            "paymentMethod": {"method": session.payment},
            "billingAddress": {**self._catalogue.address, "email": email},
        }

        def accept(response: Response) -> None:
            number = _order_number(_cart_answer(response, session))
            if number in self.ledger.acknowledged:
                raise RequestFailed(FailureKind.ORDER_DUPLICATE, f"order {number} was given to two customers")
            session.begin_anew()
            note_order(number, cart)

        def failed() -> None:
            self.ledger.unacknowledged.add(cart)

        return _call(session, "order", "payment-information", body, accept, failed)

    def _email(self, cart: str) -> str:
        return f"probe-{self._run}-{cart}@{DOMAIN}"

    async def _closed_carts(self, endpoint: Endpoint) -> list[ListedOrder]:
        """The orders of the carts that a node shows as closed, by their increment ids."""
        slots = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        orders = list(self.ledger.acknowledged.values())

        async def increment(cart: str) -> str | None:
            async with slots:
                return await _increment_id(endpoint, cart)

        increments = await asyncio.gather(*(increment(order.key) for order in orders))
        first: dict[str, int] = {}
        listed = []
        for order, increment_id in zip(orders, increments, strict=True):
            if increment_id is None:
                continue
            listed.append(ListedOrder(order.number, order.key))
            # One increment id for two carts: two customers have one order.
            other = first.setdefault(increment_id, order.number)
            if other != order.number:
                listed.append(ListedOrder(other, order.key))
        return listed

    async def _listed_by_token(self, endpoint: Endpoint, headers: dict[str, str]) -> list[ListedOrder]:
        prefix, suffix = self._email("").partition("@")[0], f"@{DOMAIN}"
        listed: list[ListedOrder] = []
        page = 1
        while True:
            answer = json_of(await _get(endpoint, _orders_target(prefix, page), headers), dict)
            for row in _rows(answer):
                email = str(row.get("customer_email", ""))
                if email.startswith(prefix) and email.endswith(suffix):
                    listed.append(ListedOrder(int(row["entity_id"]), email[len(prefix) : -len(suffix)]))
            if page * ORDERS_PER_PAGE >= int(answer.get("total_count", 0)):
                return listed
            page += 1


async def find(finding: Finding) -> Shop:
    """The shop, with simple products that are in stock.

    Raises:
        ProbeError: No URL shows such a Magento.
    """
    catalogue = await find_first(finding, _catalogue, HINT)
    return Shop(catalogue, finding.seed, os.environ.get(TOKEN_VARIABLE) or None)


async def _catalogue(endpoint: Endpoint) -> Catalogue:
    answer = json_of(await _get(endpoint, f"/graphql?{urlencode({'query': CATALOGUE})}", JSON_BOTH), dict)
    try:
        data = answer["data"]
        rows = [row for row in data["products"]["items"] if _sold(row)]
        products = [Product(str(row["sku"]), str(row["name"]), _path(row["url_key"], row)) for row in rows]
        branches = [branch for root in data["categoryList"] or () for branch in root["children"] or ()]
        categories = [_path(branch["url_path"], branch) for branch in branches if branch.get("url_path")]
        address = _address(data["countries"])
    except (KeyError, IndexError, TypeError):
        raise RequestFailed(FailureKind.BAD_BODY, f"its GraphQL tells no catalogue: {str(answer)[:160]!r}") from None
    if not products:
        raise RequestFailed(FailureKind.BAD_BODY, "it has no simple product in stock")
    return Catalogue(tuple(products[:MAXIMUM_PRODUCTS]), tuple(categories[:MAXIMUM_CATEGORIES]), address)


def _sold(row: dict[str, Any]) -> bool:
    simple = row["__typename"] == "SimpleProduct" and row["stock_status"] == "IN_STOCK" and bool(row.get("url_key"))
    return simple and not any(option["required"] for option in row.get("options") or ())


def _address(countries: list[dict[str, Any]]) -> dict[str, Any]:
    """An address in a country that the shop sends to. The ids of regions differ from shop to shop."""
    country = _preferred(countries, "id", PREFERRED_COUNTRY)
    address = {**ADDRESS, "country_id": str(country["id"])}
    if regions := country.get("available_regions"):
        region = _preferred(regions, "code", PREFERRED_REGION)
        address |= {"region_id": region["id"], "region_code": region["code"], "region": region["name"]}
    return address


def _preferred(rows: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
    return next((row for row in rows if row[key] == value), rows[0])


def _path(key: str, row: dict[str, Any]) -> str:
    return f"/{quote(str(key))}{row.get('url_suffix') or ''}"


def _page(kind: str, target: str, mark: str) -> Exchange:
    """A page that must contain a mark."""

    def accept(response: Response) -> None:
        if not _shows(response, mark):
            raise RequestFailed(FailureKind.BAD_BODY, f"{target} does not contain {mark!r}")

    return Exchange(kind, "GET", target, accept, HTML)


def _shows(response: Response, mark: str) -> bool:
    """Whether the text of a page has a mark, escaped in whatever way."""
    text = text_of(response)
    return mark in text or mark in html.unescape(text)


def _leads_somewhere(response: Response) -> bool:
    return response.status in (301, 302) and bool(response.headers.get("location"))


def _make_cart(session: GuestSession) -> Exchange:
    def accept(response: Response) -> None:
        session.cart = json_of(response, str)

    return Exchange("cart-create", "POST", "/rest/V1/guest-carts", accept, JSON_BOTH, b"{}")


def _read_cart(session: GuestSession) -> Exchange:
    def accept(response: Response) -> None:
        items = json_of(_cart_answer(response, session), dict).get("items")
        if not items:
            raise RequestFailed(FailureKind.SESSION_LOST, f"cart {session.cart} is empty, an item was acknowledged")

    target = f"/rest/V1/guest-carts/{session.cart}"
    return Exchange("cart-read", "GET", target, accept, JSON_ONLY, failed=session.begin_anew)


def _call(
    session: GuestSession,
    kind: str,
    verb: str,
    body: dict[str, Any],
    accept: Callable[[Response], None],
    failed: Callable[[], None] = lambda: None,
) -> Exchange:
    """One of the calls of a guest's cart. After a failure the guest begins anew: nobody knows what was done."""

    def give_up() -> None:
        failed()
        session.begin_anew()

    target = f"/rest/V1/guest-carts/{session.cart}/{verb}"
    return Exchange(kind, "POST", target, accept, JSON_BOTH, json.dumps(body).encode(), give_up)


def _cart_answer(response: Response, session: GuestSession) -> Response:
    """The response itself.

    Raises:
        RequestFailed: The cart that the shop had acknowledged is not there.
    """
    if response.status == 404 and b"cartId" in response.body:
        raise RequestFailed(FailureKind.SESSION_LOST, f"the shop made cart {session.cart} and does not know it")
    return response


def _order_number(response: Response) -> int:
    """The order's entity id: REST gives it as a number or as a string of digits."""
    if found := re.fullmatch(rb'\s*"?(\d{1,18})"?\s*', check_ok(response).body):
        return int(found[1])
    raise RequestFailed(FailureKind.BAD_BODY, f"no order number in {excerpt(response)}")


async def _increment_id(endpoint: Endpoint, cart: str) -> str | None:
    """The increment id of the order that closed a cart; None where the node has no such cart, or it is open."""
    response = await _get(endpoint, f"/rest/V1/guest-carts/{quote(cart, safe='')}", JSON_ONLY)
    if response.status == 404:
        return None
    found = json_of(response, dict)
    return None if found.get("is_active", True) else str(found.get("reserved_order_id") or "") or None


def _orders_target(prefix: str, page: int) -> str:
    criteria = {
        "searchCriteria[filter_groups][0][filters][0][field]": "customer_email",
        "searchCriteria[filter_groups][0][filters][0][value]": f"{prefix}%",
        "searchCriteria[filter_groups][0][filters][0][condition_type]": "like",
        "searchCriteria[sortOrders][0][field]": "entity_id",
        "searchCriteria[sortOrders][0][direction]": "ASC",
        "searchCriteria[pageSize]": ORDERS_PER_PAGE,
        "searchCriteria[currentPage]": page,
        "fields": "items[entity_id,customer_email],total_count",
    }
    return f"/rest/V1/orders?{urlencode(criteria)}"


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows = answer.get("items") or []
    if not all(isinstance(row, dict) and str(row.get("entity_id", "")).isdigit() for row in rows):
        raise RequestFailed(FailureKind.BAD_BODY, f"not a list of orders: {str(answer)[:120]!r}")
    return rows


async def _get(endpoint: Endpoint, target: str, headers: dict[str, str]) -> Response:
    try:
        async with asyncio.timeout(PAGE_SECONDS):
            return await get_once(endpoint, target, headers, PAGE_SECONDS)
    except TimeoutError:
        raise RequestFailed(FailureKind.TIMEOUT, f"no answer in {PAGE_SECONDS:.0f} s") from None


MAGENTO = Contract(
    described=Described(
        name="magento",
        mix="catalogue pages, search, the login page, guest carts and orders by REST",
        writes=("cart-create", "cart-item", "shipping", "order"),
        orders="orders",
    ),
    weights=MappingProxyType(
        {
            "home": 10.0,
            "category": 10.0,
            "product": 22.0,
            "product-rest": 5.0,
            "search": 8.0,
            "search-rest": 4.0,
            "login": 4.0,
            "cart": 30.0,
            "order": 7.0,
        }
    ),
    find=find,
    journey=Journey(step="cart", goal="order"),
)
