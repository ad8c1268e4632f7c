# SPDX-License-Identifier: GPL-3.0-or-later
"""The twelve example sets, each as its ``expect.md`` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet.project import Project, check

SETS = Path(__file__).parent / "cloud-files"


def read(name: str, **options: object) -> Project:
    return check(SETS / name, **options)  # type: ignore[arg-type]


def told(findings: object) -> list[tuple[str, int, str]]:
    return [(item.file, item.line, item.key) for item in findings]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "warnings"),
    [
        ("01-shop-2.4", []),
        (
            "02-shop-2.1-relic",
            [
                (".magento.app.yaml", 4, "type"),
                (".magento.app.yaml", 59, "hooks.build"),
                (".magento/services.yaml", 2, "mysql.type"),
                (".magento/services.yaml", 6, "redis.type"),
                (".magento/services.yaml", 9, "solr.type"),
            ],
        ),
        ("03-stores-by-alias", [(".magento.app.yaml", 41, "web.locations./outlet.passthru")]),
        ("04-platform-names", [(".platform.app.yaml", 41, "mounts..config")]),
        ("05-shop-and-storefront", []),
        ("06-windows-editor", [(".magento/routes.yaml", 0, "")]),
        ("07-env-merge-and-constants", []),
        ("08-redirects-and-cache", [(".magento/routes.yaml", 24, "https://{default}.redirects.paths./sale")]),
    ],
)
def test_an_accepted_set_has_exactly_these_warnings(name: str, warnings: list[tuple[str, int, str]]) -> None:
    project = read(name)
    assert (project.errors, told(project.warnings)) == ((), warnings)


def test_the_shop_of_today() -> None:
    project = read("01-shop-2.4", domains=["shop.example"])
    (application,) = project.applications
    assert (application.name, application.runtime, application.version, application.root) == (
        "mymagento",
        "php",
        "8.2",
        "/",
    )
    assert [(item.name, item.service, item.endpoint) for item in application.relationships] == [
        ("database", "mysql", "mysql"),
        ("redis", "redis", "redis"),
        ("opensearch", "opensearch", "opensearch"),
        ("rabbitmq", "rabbitmq", "rabbitmq"),
    ]
    assert {mount.path: (mount.source, mount.source_path) for mount in application.mounts} == {
        "var": ("shared", "var"),
        "app/etc": ("shared", "etc"),
        "pub/media": ("shared", "media"),
        "pub/static": ("shared", "static"),
    }
    assert list(application.locations["/static"]["rules"]) == [r"^/static/version\d+/(?<resource>.*)$"]
    # Both schemes are served, and `{default}` wins where `{all}` gives the same URL.
    assert [(route.url, route.original_url, route.type) for route in project.routes] == [
        ("http://shop.example/", "http://{default}/", "upstream"),
        ("https://shop.example/", "http://{default}/", "upstream"),
    ]


def test_the_relic_is_read_to_the_end() -> None:
    project = read("02-shop-2.1-relic")
    assert project.applications[0].crons[0].command == "php bin/magento cron:run && php bin/magento cron:run"
    assert project.applications[0].locations["/"]["index"] == ["index.html", "index.php"]
    assert project.routes[0].upstream == "mymagento"


def test_aliased_locations_are_copies() -> None:
    project = read("03-stores-by-alias", domains=["shop.example"])
    locations = project.applications[0].locations
    assert set(locations) == {"/", "/media", "/static", "/trade", "/outlet", "/outlet/static"}
    assert locations["/trade"] == locations["/"]
    assert locations["/outlet"] == {**locations["/"], "passthru": "/outlet/index.php"}
    assert locations["/trade"] is not locations["/"] and locations["/trade"]["rules"] is not locations["/"]["rules"]
    assert {"http://lamps.shop.example/", "http://*.shop.example/"} <= {route.url for route in project.routes}
    assert any("certificate" in note.message for note in project.notes)


def test_the_platform_s_names() -> None:
    project = read("04-platform-names")
    (application,) = project.applications
    assert [(item.name, item.service, item.endpoint) for item in application.relationships] == [
        ("database", "store", "write"),
        ("database-slave", "store", "read"),
        ("redis", "cache", "redis"),
        ("redis-slave", "cache", "redis-replica"),
        ("redis-session", "session", "redis"),
        ("search", "search", "opensearch"),
    ]
    assert [mount.path for mount in application.mounts] == [".npm", "app/etc", "pub/media", "pub/static", "tmp", "var"]
    assert next(mount.source_path for mount in application.mounts if mount.path == "app/etc") == "app/etc"
    assert application.environment == {"NODE_VERSION": "20", "CRM_ENABLED": "true"}
    assert application.ini == {"memory_limit": "512M"}
    assert (
        application.crons[0].command.startswith("bash -c 'for g in default index; do")
        and "${g}" in application.crons[0].command
    )
    assert application.crons[1].command.startswith("shtool rotate")
    assert ("http://{default}/", "redirect", "https://{default}/") in {
        (route.url, route.type, route.to) for route in project.routes
    }


def test_two_applications() -> None:
    project = read("05-shop-and-storefront", domains=["shop.example"])
    assert [(item.name, item.root) for item in project.applications] == [
        ("mymagento", "/"),
        ("storefront", "/storefront"),
    ]
    assert [(item.service, item.endpoint) for item in project.applications[1].relationships] == [("mymagento", "http")]
    routes = {route.url: route for route in project.routes if route.type == "upstream"}
    assert routes["https://shop.example/"].primary and routes["https://shop.example/graphql"].upstream == "mymagento"
    assert routes["https://admin.shop.example/"].id == "backoffice"
    assert any(note.key == "variables.env.PORT" for note in project.notes)


def test_files_of_a_windows_editor() -> None:
    project = read("06-windows-editor")
    (application,) = project.applications
    assert application.name == "mymagento"
    assert application.hooks["build"] == (
        "set -e\nphp ./vendor/bin/ece-tools build:generate\nphp ./vendor/bin/ece-tools build:transfer\n"
    )
    assert application.crons[0].command == "php bin/magento cron:run"
    assert [(route.url, route.type) for route in project.routes] == [
        ("http://{default}/", "redirect"),
        ("https://{default}/", "upstream"),
    ]
    assert b"\r\n" in (SETS / "06-windows-editor" / ".magento.app.yaml").read_bytes()


def test_redirects_and_the_cache() -> None:
    project = read("08-redirects-and-cache", domains=["shop.example"], environment="staging")
    urls = {route.url: route for route in project.routes}
    shop = urls["https://shop.example/"]
    assert (shop.id, shop.primary, shop.attributes, shop.original_url) == (
        "shop",
        True,
        {"team": "storefront"},
        "https://{default}/",
    )
    assert {item.path: (item.code, item.prefix, item.append_suffix, item.regexp) for item in shop.redirects} == {
        "/old-lamps": (302, True, True, False),
        "/imprint": (301, False, True, False),
        "/sale": (302, True, False, False),
        "^/senses/(.*)$": (308, False, False, True),
    }
    assert shop.cache["cookies"] == ["PHPSESSID", "/^mage-/"] and shop.cache["default_ttl"] == 0
    # Outside of production another domain becomes one below the environment's own.
    assert urls["https://sale.example.com.shop.example/"].to == "https://shop.example/sale-2024"
    production = read("08-redirects-and-cache", domains=["shop.example"])
    assert "https://sale.example.com/" in {route.url for route in production.routes}


def test_a_tab_is_told_with_its_line_made_visible() -> None:
    project = read("09-tab-in-env")
    (error,) = project.errors
    assert (error.file, error.line) == (".magento.env.yaml", 8)
    assert "column 1" in error.message and "→SCD_MAX_EXECUTION_TIME: 7200" in error.message


def test_relationships_that_lead_nowhere_are_told_in_one_answer() -> None:
    project = read("10-typo-in-relationship")
    assert told(project.errors) == [
        (".magento.app.yaml", 8, "relationships.redis-session"),
        (".magento.app.yaml", 9, "relationships.opensearch"),
        (".magento.app.yaml", 10, "relationships.rabbitmq"),
    ]
    messages = [error.message for error in project.errors]
    assert "did you mean `redis-session`?" in messages[0]
    assert "services of that kind: `opensearch` (opensearch:2)" in messages[1]
    assert "has no endpoint `amqp`; its endpoint is `rabbitmq`" in messages[2]
    # That two services are unused then is a consequence, and is not told as well.
    assert project.warnings == () and not any("no application relates" in note.message for note in project.notes)


def test_a_key_that_is_given_twice() -> None:
    (error,) = read("11-runtime-twice").errors
    assert (error.file, error.line, error.key) == (".magento.app.yaml", 31, "runtime")
    assert "first at line 7" in error.message


def test_many_mistakes_at_once() -> None:
    project = read("12-many-mistakes-at-once")
    assert told(project.errors) == [
        (".magento.app.yaml", 2, "type"),
        (".magento.app.yaml", 12, "disk"),
        (".magento.app.yaml", 17, "mounts.../media"),
        (".magento.app.yaml", 20, "crons.cronrun.spec"),
        (".magento.env.yaml", 3, "stage.build.SCD_THREADS"),
        (".magento.env.yaml", 5, "stage.deploy.SCD_STRATEGY"),
    ]
    messages = [error.message for error in project.errors]
    assert "did you mean `php:8.2`?" in messages[0] and "minimum of 128 MB" in messages[1]
    assert messages[4] == (
        "The SCD_THREADS variable contains an invalid value of type string. Use the following type: integer."
    )
    assert messages[5] == (
        "The SCD_STRATEGY variable contains an invalid value fast. "
        "Use one of the available value options: compact, quick, standard."
    )
