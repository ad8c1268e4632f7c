# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the platform, and the access to services that stands in them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.unit.runtime.test_places import SETS
from trivet.errors import InputError
from trivet.project import Project, check
from trivet.runtime.access import Login, ServiceAccess, accesses
from trivet.runtime.routes import Upstream, concrete, host_names, upstreams
from trivet.runtime.variables import settings, variables
from trivet.services.contract import Terms

PROMISED = (
    *("APP_DIR", "APPLICATION", "APPLICATION_NAME", "BRANCH", "DOCUMENT_ROOT", "ENVIRONMENT", "LOCKS_DIR", "PROJECT"),
    *("RELATIONSHIPS", "ROUTES", "TREE_ID", "VARIABLES"),
)


def made(project: Project, custom: dict[str, str] | None = None, **logins: Login) -> dict[str, str]:
    application = project.applications[0]
    known = {
        (service.id, endpoint): logins[service.id]
        for service in project.services
        if service.id in logins
        for endpoint in service.endpoints
    }
    return variables(
        project,
        application,
        environment="production",
        project_id="fernweh",
        tree="9851a01",
        services=accesses(project, application, Terms(), known),
        domains=["shop.example"],
        custom=custom or {},
    )


def decoded(found: dict[str, str], name: str) -> Any:
    return json.loads(base64.b64decode(found[name]))


def test_every_promised_variable_has_both_names() -> None:
    found = made(check(SETS / "01-shop-2.4"))
    assert {name for name in found if name.startswith(("MAGENTO_CLOUD_", "PLATFORM_"))} == {
        f"{prefix}{name}" for prefix in ("MAGENTO_CLOUD_", "PLATFORM_") for name in PROMISED
    }
    assert all(found[f"MAGENTO_CLOUD_{name}"] == found[f"PLATFORM_{name}"] for name in PROMISED)
    assert (found["PLATFORM_DOCUMENT_ROOT"], found["PLATFORM_BRANCH"]) == ("/app/pub", "production")
    assert found["PLATFORM_LOCKS_DIR"] == "/app/var/locks"
    assert found["CONFIG__DEFAULT__GENERAL__STORE_INFORMATION__NAME"] == "Fernweh Outdoor"


def test_relationships_lead_to_the_local_ports() -> None:
    found = decoded(made(check(SETS / "01-shop-2.4"), mysql=Login("u", "p")), "MAGENTO_CLOUD_RELATIONSHIPS")
    assert {name: (one["host"], one["port"]) for name, (one,) in found.items()} == {
        "database": ("127.0.0.1", 3306),
        "database-slave": ("127.0.0.1", 3304),
        "redis": ("127.0.0.1", 6370),
        "redis-slave": ("127.0.0.1", 6371),
        "opensearch": ("127.0.0.1", 9200),
        "rabbitmq": ("127.0.0.1", 5672),
    }
    (database,) = found["database"]
    assert (database["path"], database["username"], database["password"], database["type"]) == (
        *("mymagento", "u", "p", "mysql:10.6"),
    )
    assert database["query"] == {"is_master": True} and found["database-slave"][0]["query"] == {"is_master": False}
    assert found["rabbitmq"][0]["vhost"] == "shop" and found["redis"][0]["path"] is None


def test_replicas_sessions_and_named_endpoints() -> None:
    project = check(SETS / "04-platform-names")
    found = accesses(project, project.applications[0], Terms(), {("store", "read"): Login("reader", "r")})
    assert {name: access.port for name, access in found.items()} == {
        "database": 3306,
        "database-slave": 3304,
        "redis": 6370,
        "redis-slave": 6371,
        "redis-session": 6372,
        "search": 9200,
    }
    assert (found["database-slave"].username, found["database"].username) == ("reader", None)


def test_an_application_may_be_an_endpoint() -> None:
    project = check(SETS / "05-shop-and-storefront")
    storefront = project.applications[1]
    assert accesses(project, storefront, Terms(), {}) == {
        "backend": ServiceAccess("mymagento", "http", "php:8.1", "http", "127.0.0.1", 8080)
    }


def test_the_routes_variable_is_the_platform_s() -> None:
    found = decoded(made(check(SETS / "08-redirects-and-cache")), "PLATFORM_ROUTES")
    assert found["https://shop.example/"] == {
        "type": "upstream",
        "original_url": "https://{default}/",
        "primary": True,
        "id": "shop",
        "attributes": {"team": "storefront"},
        "upstream": "mymagento",
    }
    assert found["https://www.shop.example/"]["to"] == "https://shop.example/"
    assert [url for url, route in found.items() if route["primary"]] == ["https://shop.example/"]
    twice = decoded(made(check(SETS / "08-redirects-and-cache", domains=["shop.example"])), "PLATFORM_ROUTES")
    assert twice == found


def test_exactly_one_route_is_primary_where_none_says_so() -> None:
    found = decoded(made(check(SETS / "01-shop-2.4")), "PLATFORM_ROUTES")
    assert [url for url, route in found.items() if route["primary"]] == ["https://shop.example/"]


def test_the_application_has_its_mounts_and_hooks() -> None:
    found = decoded(made(check(SETS / "01-shop-2.4")), "MAGENTO_CLOUD_APPLICATION")
    assert found["mounts"]["var"] == {"path": "var", "orig": "shared:files/var"}
    assert found["hooks"]["deploy"].startswith("php ./vendor/bin/ece-tools") and found["type"] == "php:8.2"


def test_variables_of_the_environment_go_where_their_prefix_says() -> None:
    custom = {"ADMIN_EMAIL": "a@b.example", "env:CRM_ENABLED": "false", "php:memory_limit": "3G"}
    found = made(check(SETS / "04-platform-names"), custom)
    assert decoded(found, "PLATFORM_VARIABLES") == {"ADMIN_EMAIL": "a@b.example"}
    assert found["CRM_ENABLED"] == "false" and settings(custom) == {"memory_limit": "3G"}
    assert decoded(made(check(SETS / "01-shop-2.4")), "PLATFORM_VARIABLES") == {}


@pytest.mark.parametrize("custom", [{"env:A-B": "1"}, {"env:A": "x" * 131072}, {"x": "y" * 98304}, {"env:A": "a\0"}])
def test_what_no_process_can_get_is_refused(custom: dict[str, str]) -> None:
    with pytest.raises(InputError):
        made(check(SETS / "01-shop-2.4"), custom)


def test_nobody_takes_the_platform_s_own_names() -> None:
    assert made(check(SETS / "01-shop-2.4"), {"env:PLATFORM_PROJECT": "x"})["PLATFORM_PROJECT"] == "fernweh"


def test_hosts_and_applications_of_the_routes() -> None:
    routes = concrete(check(SETS / "05-shop-and-storefront"), ["shop.example"], "production")
    assert host_names(routes) == ("admin.shop.example", "shop.example")
    assert [item for item in upstreams(routes) if item.host == "shop.example"] == [
        Upstream("shop.example", "/graphql", "mymagento"),
        Upstream("shop.example", "/media/", "mymagento"),
        Upstream("shop.example", "/", "storefront"),
    ]
    stores = concrete(check(SETS / "03-stores-by-alias"), ["shop.example"], "production")
    assert host_names(stores) == ("lamps.shop.example", "shop.example", "*.shop.example")
