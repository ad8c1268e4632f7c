# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the demo shop (`demo/store`): pages, search, carts in sessions, orders and uploads as JSON."""

from __future__ import annotations

import asyncio
import random
import re
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from urllib.parse import quote, unquote, urlencode

from trivet.probe.answers import check_ok, excerpt, json_of, text_of
from trivet.probe.contract import Contract, Exchange, Finding, Journey, NoteOrder, Session, find_first
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Endpoint, Response, get_once
from trivet.probe.orders import Ledger, ListedOrder
from trivet.probe.report import Described

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

PAGE_SECONDS = 10.0
"""For one page of a node's list of orders."""
HINT = "Where the application is not the demo shop, `--contract pages` asks any site, by GET alone."

_RELEASE = re.compile(r"<!-- release: (\w+) -->")
"""What each template says of itself, and the process that made the page."""
_PRODUCT_LINK = re.compile(r"/product/([A-Za-z0-9._~%-]+)")


class CartSession(Session):
    """What one customer knows of their session: cookies, and a cart that the shop has confirmed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        """Acknowledged: these must be in the cart."""
        self.uncertain: dict[str, int] = {}
        """Sent, never acknowledged: these may be in the cart."""
        self.unread = False

    @property
    def ready(self) -> bool:
        """An order needs a cart that was read back."""
        return bool(self.lines) and not self.unread

    @property
    def must_read(self) -> bool:
        """Whether the cart is read next, not written."""
        # A write that was never answered may still be at work, and would race with another one.
        return self.unread or bool(self.uncertain) or len(self.lines) >= MAXIMUM_CART_LINES

    def begin_anew(self) -> None:
        """Leave the cart and the cookies behind, as a new customer."""
        super().begin_anew()
        self.lines, self.uncertain, self.unread = {}, {}, False


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the shop sold at the start: names by SKU; `time` is the shop's clock then, less a margin."""

    products: dict[str, str]
    time: datetime


class Shop:
    """Makes the requests of all customers of one run."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self.ledger = Ledger()
        self._since = catalogue.time
        self._products = tuple(catalogue.products.items())
        self._skus = tuple(catalogue.products)
        self._random = random.Random(seed)
        self._run = uuid.uuid4().hex[:12]
        self._media: deque[tuple[str, bytes]] = deque(maxlen=REMEMBERED_MEDIA)
        self._media_count = 0

    @property
    def targets(self) -> int:
        """How many products are asked for."""
        return len(self._products)

    def new_session(self) -> CartSession:
        """A customer with an empty cart."""
        return CartSession()

    def exchange(self, operation: str, session: Session, note_order: NoteOrder) -> Exchange:
        """A request of an operation. Before anything can be read it must be uploaded."""
        assert isinstance(session, CartSession)
        match operation:
            case "home":
                return Exchange("home", "GET", "/", _check_home, headers={"Accept": "text/html"})
            case "product":
                return self._product()
            case "search":
                return self._search()
            case "media-read" if self._media:
                return _media_read(*self._random.choice(self._media))
            case "media-read" | "media-write":
                return self._media_write()
            case "order":
                return self._order(session, note_order)
            case _:
                return _cart_read(session) if session.must_read else self._cart_write(session)

    async def listed(self, endpoint: Endpoint) -> list[ListedOrder]:
        """All pages of one node's list. Raises RequestFailed."""
        listed: list[ListedOrder] = []
        while True:
            after = listed[-1].number if listed else 0
            target = orders_target(self._since, after)
            try:
                async with asyncio.timeout(PAGE_SECONDS):
                    page = order_page(await get_once(endpoint, target, JSON_ONLY, PAGE_SECONDS))
            except TimeoutError:
                raise RequestFailed(FailureKind.TIMEOUT, f"no list of orders in {PAGE_SECONDS:.0f} s") from None
            if not page:
                return listed
            if page[0].number <= after:
                raise RequestFailed(FailureKind.BAD_BODY, f"the list of orders does not go on after {after}")
            listed += page

    def _product(self) -> Exchange:
        sku = self._random.choice(self._skus)

        def accept(response: Response) -> None:
            product = json_of(response, dict)
            if product.get("sku") != sku:
                got = product.get("sku")
                raise RequestFailed(FailureKind.BAD_BODY, f"asked for product {sku}, got {got}")

        return Exchange("product", "GET", f"/product/{quote(sku, safe='')}", accept, JSON_ONLY)

    def _search(self) -> Exchange:
        sku, name = self._random.choice(self._products)

        def accept(response: Response) -> None:
            products = json_of(response, dict).get("products")
            if not isinstance(products, list):
                raise RequestFailed(FailureKind.BAD_BODY, "the answer to a search has no list of products")
            if not any(isinstance(product, dict) and product.get("sku") == sku for product in products):
                raise RequestFailed(FailureKind.BAD_BODY, f"a search for {name!r} did not find {sku}")

        return Exchange("search", "GET", f"/search?{urlencode({'q': name})}", accept, JSON_ONLY)

    def _media_write(self) -> Exchange:
        self._media_count += 1
        name = f"probe-{self._run}-{self._media_count}.bin"
        content = self._random.randbytes(MEDIA_BYTES)

        def accept(response: Response) -> None:
            json_of(response, dict)
            self._media.append((name, content))

        headers = {**JSON_ONLY, "Content-Type": "application/octet-stream", KEY: str(uuid.uuid4())}
        return Exchange("media-write", "POST", f"/media?name={name}", accept, headers, content)

    def _cart_write(self, session: CartSession) -> Exchange:
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
        return Exchange("cart-write", "POST", "/cart", accept, headers, body, failed)

    def _order(self, session: CartSession, note_order: NoteOrder) -> Exchange:
        key = str(uuid.uuid4())
        lines = dict(session.lines)

        def accept(response: Response) -> None:
            if response.status == 409:
                raise RequestFailed(FailureKind.SESSION_LOST, f"acknowledged was {lines}, checkout found no cart")
            number = json_of(response, dict).get("order")
            if not isinstance(number, int) or isinstance(number, bool):
                raise RequestFailed(FailureKind.BAD_BODY, f"no order number in {excerpt(response)}")
            if number in self.ledger.acknowledged:
                raise RequestFailed(FailureKind.ORDER_DUPLICATE, f"order {number} was given to two customers")
            session.begin_anew()
            note_order(number, key)

        def failed() -> None:
            self.ledger.unacknowledged.add(key)
            session.begin_anew()

        headers = {**FORM, KEY: key}
        return Exchange("order", "POST", "/checkout", accept, headers, failed=failed)


async def find(finding: Finding) -> Shop:
    """The shop, with what it sells by the links of its home page.

    Raises:
        ProbeError: No URL shows the demo shop.
    """
    catalogue = await find_first(finding, lambda endpoint: _catalogue(endpoint, finding.timeout), HINT)
    return Shop(catalogue, finding.seed)


async def _catalogue(endpoint: Endpoint, timeout: float) -> Catalogue:
    home = await get_once(endpoint, "/", {"Accept": "text/html"}, timeout)
    links = dict.fromkeys(_PRODUCT_LINK.findall(text_of(home)))
    if not links:
        raise RequestFailed(FailureKind.BAD_BODY, "the home page links to no product")
    products = {}
    for link in list(links)[:MAXIMUM_PRODUCTS]:
        product = json_of(await get_once(endpoint, f"/product/{link}", JSON_ONLY, timeout), dict)
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
    rows = json_of(response, list)
    try:
        page = [ListedOrder(int(row["order"]), str(row["key"])) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise RequestFailed(FailureKind.BAD_BODY, f"not a list of orders: {excerpt(response)}") from None
    return sorted(page, key=lambda order: order.number)


def _media_read(name: str, content: bytes) -> Exchange:
    def accept(response: Response) -> None:
        if check_ok(response).body != content:
            size = len(response.body)
            raise RequestFailed(FailureKind.BAD_BODY, f"{name} is not what was uploaded ({size} bytes)")

    return Exchange("media-read", "GET", f"/media/{name}", accept, headers={"Accept": "*/*"})


def _cart_read(session: CartSession) -> Exchange:
    def accept(response: Response) -> None:
        _check_cart(session, _cart_lines(response))
        session.unread = False

    return Exchange("cart-read", "GET", "/cart", accept, JSON_ONLY)


def _cart_lines(response: Response) -> dict[str, int]:
    cart = json_of(response, dict)
    try:
        return {str(item["sku"]): int(item["qty"]) for item in cart["items"]}
    except (KeyError, TypeError, ValueError):
        raise RequestFailed(FailureKind.BAD_BODY, f"not a cart: {excerpt(response)}") from None


def _check_cart(session: CartSession, shown: dict[str, int]) -> None:
    """Every acknowledged line must be there, and nothing else but lines whose writing was never answered."""
    expected = dict(session.lines)
    if shown.items() - session.uncertain.items() != expected.items():
        # One loss is one failure: the customer goes on with a new session.
        session.begin_anew()
        raise RequestFailed(FailureKind.SESSION_LOST, f"the cart shows {shown}, acknowledged was {expected}")


def _check_home(response: Response) -> None:
    text = text_of(response)
    if not _PRODUCT_LINK.search(text):
        raise RequestFailed(FailureKind.BAD_BODY, "the home page links to no product")
    if len(releases := sorted(set(_RELEASE.findall(text)))) > 1:
        raise RequestFailed(FailureKind.BAD_BODY, f"the home page was made of the releases {', '.join(releases)}")


DEMO = Contract(
    described=Described(
        name="demo",
        mix="pages, search, media, carts in sessions, orders",
        writes=("cart-write", "media-write", "order"),
        orders="orders",
    ),
    weights=MappingProxyType(
        {
            "home": 17.0,
            "product": 30.0,
            "search": 12.0,
            "media-read": 10.0,
            "media-write": 1.0,
            "cart": 20.0,
            "order": 10.0,
        }
    ),
    find=find,
    journey=Journey(step="cart", goal="order"),
)
