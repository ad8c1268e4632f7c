# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe asks of the shop and what a right answer is: all knowledge of the shop's contract."""

from __future__ import annotations

import asyncio
import json
import random
import re
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode

from trivet.probe.errors import ProbeError
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Endpoint, Response, get_once
from trivet.probe.settings import RequestKind

JSON_ONLY = {"Accept": "application/json"}
KEY = "Idempotency-Key"
"""What has it may be sent twice without harm, by a proxy too (draft-ietf-httpapi-idempotency-key-header)."""
FORM = {**JSON_ONLY, "Content-Type": "application/x-www-form-urlencoded"}
MAXIMUM_CART_LINES = 3
MEDIA_BYTES = 2048
REMEMBERED_MEDIA = 64
MAXIMUM_PRODUCTS = 20
CLOCK_MARGIN = timedelta(seconds=60)
"""How far the clocks of the nodes may be apart when orders are listed by time."""

NoteOrder = Callable[[int, str], None]
Value = TypeVar("Value", dict[str, Any], list[Any])

_PRODUCT_LINK = re.compile(r"/product/([A-Za-z0-9._~%-]+)")


def _nothing() -> None:
    """A failed read leaves nothing uncertain."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how to judge its answer.

    `accept` raises RequestFailed for an answer that is wrong; `failed` notes what a request without a
    right answer may have done all the same.
    """

    kind: RequestKind
    method: str
    target: str
    accept: Callable[[Response], None]
    headers: dict[str, str] = field(default_factory=lambda: JSON_ONLY)
    body: bytes = b""
    failed: Callable[[], None] = _nothing


@dataclass(slots=True)
class Session:
    """What one customer knows of their session: cookies, and a cart that the shop has confirmed."""

    cookies: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Acknowledged: these must be in the cart."""
    uncertain: dict[str, int] = field(default_factory=dict)
    """Sent, never acknowledged: these may be in the cart."""
    unread: bool = False

    @property
    def ready_to_order(self) -> bool:
        return bool(self.lines) and not self.unread

    @property
    def next_cart_step(self) -> RequestKind:
        # A write that was never answered may still be at work, and would race with another one.
        if self.unread or self.uncertain or len(self.lines) >= MAXIMUM_CART_LINES:
            return RequestKind.CART_READ
        return RequestKind.CART_WRITE

    def begin_anew(self) -> None:
        """Leave the cart and the cookies behind, as a new customer."""
        self.cookies, self.lines, self.uncertain, self.unread = {}, {}, {}, False

    def take_cookies(self, response: Response) -> None:
        for cookie in response.cookies:
            name, separator, value = cookie.partition(";")[0].partition("=")
            if separator:
                self.cookies[name.strip()] = value.strip()


@dataclass(frozen=True, slots=True)
class AcknowledgedOrder:
    """An order that the shop confirmed; `due` in seconds from the start of the run."""

    number: int
    key: str
    due: float
    phase: str
    url: str


@dataclass(slots=True)
class Ledger:
    """All orders of the run: acknowledged by number, and the keys of those that never were."""

    acknowledged: dict[int, AcknowledgedOrder] = field(default_factory=dict)
    unacknowledged: set[str] = field(default_factory=set)

    @property
    def keys(self) -> set[str]:
        return {order.key for order in self.acknowledged.values()} | self.unacknowledged


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order as a node lists it."""

    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the shop sold at the start: names by SKU; `time` is the shop's clock then, less a margin."""

    products: dict[str, str]
    time: datetime


class Shop:
    """Makes the requests of all customers of one run."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self.ledger = Ledger()
        self._products = tuple(catalogue.products.items())
        self._skus = tuple(catalogue.products)
        self._random = random.Random(seed)
        self._run = uuid.uuid4().hex[:12]
        self._media: deque[tuple[str, bytes]] = deque(maxlen=REMEMBERED_MEDIA)
        self._media_count = 0

    def exchange(self, kind: RequestKind, session: Session, note_order: NoteOrder) -> Exchange:
        """A request of `kind`; `note_order` is told number and key of an order that was acknowledged.

        Its kind may differ: before anything can be read it must be uploaded.
        """
        match kind:
            case RequestKind.HOME:
                return Exchange(kind, "GET", "/", _check_home, headers={"Accept": "text/html"})
            case RequestKind.PRODUCT:
                return self._product()
            case RequestKind.SEARCH:
                return self._search()
            case RequestKind.MEDIA_READ if self._media:
                return _media_read(*self._random.choice(self._media))
            case RequestKind.MEDIA_READ | RequestKind.MEDIA_WRITE:
                return self._media_write()
            case RequestKind.CART_WRITE:
                return self._cart_write(session)
            case RequestKind.CART_READ:
                return _cart_read(session)
            case RequestKind.ORDER:
                return self._order(session, note_order)

    def _product(self) -> Exchange:
        sku = self._random.choice(self._skus)

        def accept(response: Response) -> None:
            product = _json(response, dict)
            if product.get("sku") != sku:
                got = product.get("sku")
                raise RequestFailed(FailureKind.BAD_BODY, f"asked for product {sku}, got {got}")

        return Exchange(RequestKind.PRODUCT, "GET", f"/product/{quote(sku, safe='')}", accept)

    def _search(self) -> Exchange:
        sku, name = self._random.choice(self._products)

        def accept(response: Response) -> None:
            products = _json(response, dict).get("products")
            if not isinstance(products, list):
                raise RequestFailed(FailureKind.BAD_BODY, "the answer to a search has no list of products")
            if not any(isinstance(product, dict) and product.get("sku") == sku for product in products):
                raise RequestFailed(FailureKind.BAD_BODY, f"a search for {name!r} did not find {sku}")

        return Exchange(RequestKind.SEARCH, "GET", f"/search?{urlencode({'q': name})}", accept)

    def _media_write(self) -> Exchange:
        self._media_count += 1
        name = f"probe-{self._run}-{self._media_count}.bin"
        content = self._random.randbytes(MEDIA_BYTES)

        def accept(response: Response) -> None:
            _json(response, dict)
            self._media.append((name, content))

        headers = {**JSON_ONLY, "Content-Type": "application/octet-stream", KEY: str(uuid.uuid4())}
        return Exchange(RequestKind.MEDIA_WRITE, "POST", f"/media?name={name}", accept, headers, content)

    def _cart_write(self, session: Session) -> Exchange:
        unused = [sku for sku in self._skus if sku not in session.lines]
        if not unused:
            return _cart_read(session)
        sku, quantity = self._random.choice(unused), self._random.randint(1, 3)

        def accept(response: Response) -> None:
            shown = _cart_lines(response)
            session.lines[sku] = session.uncertain.pop(sku)
            session.unread = True
            _check_cart(session, shown)

        def failed() -> None:
            if not session.lines:
                session.begin_anew()  # nothing was acknowledged, so nothing can be lost

        # Until the shop has answered the line may or may not be in the cart.
        session.uncertain[sku] = quantity
        body = urlencode({"sku": sku, "qty": quantity, "mode": "set"}).encode()
        headers = {**FORM, KEY: str(uuid.uuid4())}
        return Exchange(RequestKind.CART_WRITE, "POST", "/cart", accept, headers, body, failed)

    def _order(self, session: Session, note_order: NoteOrder) -> Exchange:
        key = str(uuid.uuid4())
        lines = dict(session.lines)

        def accept(response: Response) -> None:
            if response.status == 409:
                raise RequestFailed(FailureKind.SESSION_LOST, f"acknowledged was {lines}, checkout found no cart")
            number = _json(response, dict).get("order")
            if not isinstance(number, int) or isinstance(number, bool):
                raise RequestFailed(FailureKind.BAD_BODY, f"no order number in {_excerpt(response)}")
            if number in self.ledger.acknowledged:
                raise RequestFailed(FailureKind.ORDER_DUPLICATE, f"order {number} was given to two customers")
            session.begin_anew()
            note_order(number, key)

        def failed() -> None:
            self.ledger.unacknowledged.add(key)
            session.begin_anew()

        headers = {**FORM, KEY: key}
        return Exchange(RequestKind.ORDER, "POST", "/checkout", accept, headers, failed=failed)


async def discover(endpoints: list[Endpoint], timeout: float) -> Catalogue:
    """What the shop sells, by the links of its home page, from the first URL that shows it.

    :raises ProbeError: when none does.
    """
    problems = []
    for endpoint in endpoints:
        try:
            async with asyncio.timeout(timeout):
                return await _discover(endpoint, timeout)
        except TimeoutError:
            problems.append(f"{endpoint.url}: no answer within {timeout:g} s")
        except RequestFailed as error:
            problems.append(f"{endpoint.url}: {error}")
    raise ProbeError("no shop to probe: " + "; ".join(problems))


async def _discover(endpoint: Endpoint, timeout: float) -> Catalogue:
    home = await get_once(endpoint, "/", {"Accept": "text/html"}, timeout)
    links = dict.fromkeys(_PRODUCT_LINK.findall(_check_ok(home).body.decode("utf-8", "replace")))
    if not links:
        raise RequestFailed(FailureKind.BAD_BODY, "the home page links to no product")
    products = {}
    for link in list(links)[:MAXIMUM_PRODUCTS]:
        product = _json(await get_once(endpoint, f"/product/{link}", JSON_ONLY, timeout), dict)
        products[unquote(link)] = str(product.get("name", ""))
    try:
        time = parsedate_to_datetime(home.headers["date"])
    except (KeyError, ValueError):
        time = datetime.now(UTC)
    return Catalogue(products, time - CLOCK_MARGIN)


def orders_target(since: datetime, after: int) -> str:
    """A page of the orders created since a time with numbers above `after`, as the asked node has them."""
    query = {"since": since.astimezone(UTC).isoformat(), "after": after, "node": "local"}
    return f"/orders?{urlencode(query)}"


def order_page(response: Response) -> list[ListedOrder]:
    """The orders of a page, by ascending number. Raises RequestFailed."""
    rows = _json(response, list)
    try:
        page = [ListedOrder(int(row["order"]), str(row["key"])) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise RequestFailed(FailureKind.BAD_BODY, f"not a list of orders: {_excerpt(response)}") from None
    return sorted(page, key=lambda order: order.number)


def _media_read(name: str, content: bytes) -> Exchange:
    def accept(response: Response) -> None:
        if _check_ok(response).body != content:
            size = len(response.body)
            raise RequestFailed(FailureKind.BAD_BODY, f"{name} is not what was uploaded ({size} bytes)")

    return Exchange(RequestKind.MEDIA_READ, "GET", f"/media/{name}", accept, headers={"Accept": "*/*"})


def _cart_read(session: Session) -> Exchange:
    def accept(response: Response) -> None:
        _check_cart(session, _cart_lines(response))
        session.unread = False

    return Exchange(RequestKind.CART_READ, "GET", "/cart", accept)


def _cart_lines(response: Response) -> dict[str, int]:
    cart = _json(response, dict)
    try:
        return {str(item["sku"]): int(item["qty"]) for item in cart["items"]}
    except (KeyError, TypeError, ValueError):
        raise RequestFailed(FailureKind.BAD_BODY, f"not a cart: {_excerpt(response)}") from None


def _check_cart(session: Session, shown: dict[str, int]) -> None:
    """Every acknowledged line must be there, and nothing else but lines whose writing was never answered."""
    expected = dict(session.lines)
    if shown.items() - session.uncertain.items() != expected.items():
        # One loss is one failure: the customer goes on with a new session.
        session.begin_anew()
        raise RequestFailed(FailureKind.SESSION_LOST, f"the cart shows {shown}, acknowledged was {expected}")


def _check_home(response: Response) -> None:
    if not _PRODUCT_LINK.search(_check_ok(response).body.decode("utf-8", "replace")):
        raise RequestFailed(FailureKind.BAD_BODY, "the home page links to no product")


def _check_ok(response: Response) -> Response:
    if 200 <= response.status < 300:
        return response
    kinds = {3: FailureKind.STATUS_3XX, 4: FailureKind.STATUS_4XX}
    kind = kinds.get(response.status // 100, FailureKind.STATUS_5XX)
    raise RequestFailed(kind, f"status {response.status}: {_excerpt(response)}")


def _json(response: Response, expected: type[Value]) -> Value:
    _check_ok(response)
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if not isinstance(value, expected):
        raise RequestFailed(FailureKind.BAD_BODY, f"not the JSON that was asked for: {_excerpt(response)}")
    return value


def _excerpt(response: Response) -> str:
    return repr(response.body[:120].decode("utf-8", "replace"))
