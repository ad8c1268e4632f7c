# SPDX-License-Identifier: GPL-3.0-or-later
"""Test doubles over real sockets: the calls of a Magento that the probe makes, and a site of plain pages.

No Magento is behind the first one: it keeps to the routes, statuses and fields of Magento 2.4's webapi.xml and GraphQL.
"""

from __future__ import annotations

import json

from tests.unit.probe.shop_server import Answer, Request, ShopServer, json_answer

PRODUCTS = {"MUG-1": "Red mug", "MUG-2": "Tom & Jerry mug", "POT-1": "Tea pot"}
TOKEN = "s3cret"


def page(text: str) -> Answer:
    return Answer(200, f"<html><body>{text}</body></html>".encode(), {"Content-Type": "text/html; charset=UTF-8"})


class MagentoServer(ShopServer):
    """Guest carts by REST, a catalogue by GraphQL, pages; switches as those of `ShopServer`."""

    def __init__(self) -> None:
        super().__init__()
        self.lose_carts = False
        self.keep_closed = True
        self.string_numbers = False
        self.carts: dict[str, dict[str, object]] = {}

    def _answer(self, request: Request) -> Answer:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                return page("Home")
            case "GET", ["graphql"]:
                return self._graphql(request)
            case "GET", ["customer", "account", "login"]:
                return page('<input name="login[username]">')
            case "GET", ["catalogsearch", "result"]:
                return page(request.query["q"].replace("&", "&amp;"))
            case "GET", ["gear.html"]:
                return page("Gear")
            case "GET", [name] if name.removesuffix(".html").upper() in PRODUCTS:
                return page(PRODUCTS[name.removesuffix(".html").upper()].replace("&", "&amp;"))
            case method, ["rest", "V1", *rest]:
                return self._rest(method, rest, request)
        return Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"})

    def _graphql(self, request: Request) -> Answer:
        assert "CustomizableProductInterface" in request.query["query"]
        common = {"url_suffix": ".html", "stock_status": "IN_STOCK", "options": None}
        items = [
            {"__typename": "SimpleProduct", "sku": sku, "name": name, "url_key": sku.lower(), **common}
            for sku, name in PRODUCTS.items()
        ]
        items += [
            {**items[0], "sku": "SHIRT", "__typename": "ConfigurableProduct"},
            {**items[0], "sku": "GONE", "stock_status": "OUT_OF_STOCK"},
            {**items[0], "sku": "ENGRAVED", "options": [{"required": True}]},
        ]
        children = [{"url_path": "gear", "url_suffix": ".html"}, {"url_path": None, "url_suffix": ".html"}]
        countries = [
            {"id": "DE", "available_regions": None},
            {"id": "US", "available_regions": [{"id": 1, "code": "AL", "name": "Alabama"},
                                               {"id": 169, "code": "TX", "name": "Texas"}]},
        ]  # fmt: skip
        data = {"products": {"items": items}, "categoryList": [{"children": children}], "countries": countries}
        return json_answer({"data": data})

    def _rest(self, method: str, path: list[str], request: Request) -> Answer:
        match method, path:
            case "GET", ["search"]:
                assert request.query["searchCriteria[requestName]"] == "quick_search_container"
                return json_answer({"items": [{"id": 1}], "total_count": 1})
            case "GET", ["products", sku]:
                return json_answer({"sku": sku}) if self._is_authorized(request) else _unauthorized()
            case "GET", ["orders"]:
                return self._list_orders(request) if self._is_authorized(request) else _unauthorized()
            case "POST", ["guest-carts"]:
                cart = f"{len(self.carts):032x}"
                self.carts[cart] = {"id": len(self.carts), "is_active": True, "items": []}
                return json_answer(cart)
            case _, ["guest-carts", cart, *verb]:
                if self.lose_carts or cart not in self.carts:
                    return _no_cart()
                return self._cart(method, cart, verb, request)
        return json_answer({"message": "Request does not match any route."}, 404)

    def _cart(self, method: str, name: str, verb: list[str], request: Request) -> Answer:
        cart = self.carts[name]
        body = json.loads(request.body) if request.body else {}
        match method, verb:
            case "GET", []:
                return json_answer(cart)
            case "POST", ["items"] if cart["is_active"]:
                cart["items"] = [{"sku": body["cartItem"]["sku"], "qty": body["cartItem"]["qty"]}]
                return json_answer({**body["cartItem"], "item_id": 1})
            case "POST", ["estimate-shipping-methods"] if cart["items"]:
                assert body["address"]["region_id"] == 169
                busy = {"carrier_code": "ups", "method_code": "x", "available": False}
                return json_answer([busy, {"carrier_code": "flatrate", "method_code": "flatrate", "available": True}])
            case "POST", ["shipping-information"] if cart["items"]:
                assert body["addressInformation"]["shipping_carrier_code"] == "flatrate"
                cart["shipped"] = True
                return json_answer({"payment_methods": [{"code": "card"}, {"code": "checkmo"}], "totals": {}})
            case "POST", ["payment-information"] if cart.get("shipped"):
                assert body["paymentMethod"] == {"method": "checkmo"}
                assert body["email"] == body["billingAddress"]["email"]
                return self._place(cart, body["email"])
        return json_answer({"message": "The shipping address is missing. Set the address and try again."}, 400)

    def _place(self, cart: dict[str, object], email: str) -> Answer:
        number = self._next_number
        for copy in range(self.keep_orders(number)):
            self.orders.append((number + copy, email))
        if self.keep_closed and self.keep_orders(number):
            cart |= {"is_active": False, "reserved_order_id": f"{1 if self.same_number else number:09}"}
        self._next_number += 3
        return json_answer(str(number) if self.string_numbers else number)

    def _list_orders(self, request: Request) -> Answer:
        query = request.query
        pattern = query["searchCriteria[filter_groups][0][filters][0][value]"].replace("%", "")
        found = [(number, email) for number, email in sorted(self.orders) if email.startswith(pattern)]
        size, number = int(query["searchCriteria[pageSize]"]), int(query["searchCriteria[currentPage]"])
        rows = [{"entity_id": n, "customer_email": email} for n, email in found[(number - 1) * size : number * size]]
        return json_answer({"items": rows, "total_count": len(found)})

    @staticmethod
    def _is_authorized(request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {TOKEN}"


def _unauthorized() -> Answer:
    return json_answer({"message": "The consumer isn't authorized to access %resources."}, 401)


def _no_cart() -> Answer:
    message = "No such entity with %fieldName = %fieldValue"
    return json_answer({"message": message, "parameters": {"fieldName": "cartId", "fieldValue": None}}, 404)


class SiteServer(ShopServer):
    """Pages by path; `robots` and `sitemaps` as a test wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Answer] = {}
        self.files: dict[str, bytes] = {}

    def link(self, *targets: str) -> None:
        """A home page with links, and a page for each that leads nowhere else."""
        self.pages["/"] = page("".join(f'<a href="{target}">x</a>' for target in targets))
        for target in targets:
            if target.startswith("/"):
                self.pages.setdefault(target.partition("#")[0], page(target))

    def _answer(self, request: Request) -> Answer:
        target = request.path + ("?" + "&".join(f"{k}={v}" for k, v in request.query.items()) if request.query else "")
        if target in self.files:
            return Answer(200, self.files[target], {"Content-Type": "text/plain"})
        return self.pages.get(target, Answer(404, b"<html>none</html>", {"Content-Type": "text/html"}))
