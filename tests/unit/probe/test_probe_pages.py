# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of any site: nothing but GET, to the site alone, for pages that may be asked for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.probe.other_servers import SiteServer, page
from tests.unit.probe.shop_server import Answer, Fault
from trivet.probe import FailureKind, Probe, ProbeError, ProbeReport, ProbeSettings
from trivet.probe.contracts import pages
from trivet.probe.contracts.site import harmless, links_of, robots_of, sitemap_locations, target_of, targets_of

QUICK: dict[str, Any] = {"rate": 150.0, "duration": 0.5, "timeout": 10.0, "clients": 8}
HOSTS = frozenset({"shop.example"})
BASE = "https://shop.example/"


def run_probe(
    prepare: Callable[[SiteServer], None],
    strike: Callable[[SiteServer], None] = lambda site: None,
    prefix: str = "",
    **settings: Any,
) -> tuple[ProbeReport, SiteServer]:
    """Run against a fresh site; `strike` is called once the load has begun."""

    async def run() -> tuple[ProbeReport, SiteServer]:
        async with SiteServer() as site:
            prepare(site)

            def listen(event: dict[str, Any]) -> None:
                if event["event"] == "started":
                    strike(site)

            values = {"urls": (site.url + prefix,), "contract": "pages", **QUICK, **settings}
            return await Probe(ProbeSettings(**values), listen).run(), site

    return asyncio.run(run())


def asked(site: SiteServer) -> set[str]:
    return {request.path for request in site.requests}


def test_the_links_of_the_home_page_are_asked_where_there_is_no_sitemap() -> None:
    report, site = run_probe(lambda site: site.link("/a", "/b.html", "/c?page=2"))
    assert report.ok, report.failures
    assert set(report.kinds) == {"home", "page"}
    assert report.orders is None
    assert asked(site) == {"/robots.txt", "/sitemap.xml", "/", "/a", "/b.html", "/c"}
    assert ProbeReport.from_json(report.to_json()) == report


def test_nothing_but_get_is_ever_sent_and_nothing_that_does_something_is_asked() -> None:
    acts = (
        "/logout",
        "/customer/account/logout/",
        "/checkout/cart/",
        "/item/1/delete",
        "/page?action=remove",
        "/add-to-cart",
        "/wp-admin/",
        "/newsletter/unsubscribe",
        "http://elsewhere.example/x",
        "mailto:a@b.example",
        "/file.pdf",
    )
    report, site = run_probe(lambda site: site.link("/good", *acts))
    assert report.ok
    assert {request.method for request in site.requests} == {"GET"}
    assert not any(request.body for request in site.requests)
    assert asked(site) == {"/robots.txt", "/sitemap.xml", "/", "/good"}


def test_a_sitemap_is_preferred_and_an_index_and_compressed_ones_are_followed() -> None:
    def prepare(site: SiteServer) -> None:
        site.link("/linked")
        for target in ("/one", "/two"):
            site.pages[target] = page(target)
        site.files["/robots.txt"] = f"Sitemap: {site.url}/maps/index.xml\n".encode()
        index = f"<sitemapindex><sitemap><loc>{site.url}/maps/1.xml.gz</loc></sitemap></sitemapindex>"
        site.files["/maps/index.xml"] = index.encode()
        urls = f"<urlset><url><loc>{site.url}/one</loc></url><url><loc><![CDATA[{site.url}/two]]></loc></url></urlset>"
        site.files["/maps/1.xml.gz"] = gzip.compress(urls.encode())

    report, site = run_probe(prepare)
    assert report.ok
    assert {"/one", "/two"} < asked(site)
    assert "/linked" not in asked(site)


def test_what_robots_txt_forbids_is_not_asked() -> None:
    def prepare(site: SiteServer) -> None:
        site.link("/open", "/private/x", "/private/allowed", "/find?q=1")
        site.files["/robots.txt"] = (
            b"User-agent: *\nDisallow: /private/ # secret\nAllow: /private/allowed\nDisallow: /*?q=\n"
        )

    report, site = run_probe(prepare)
    assert report.ok
    assert asked(site) == {"/robots.txt", "/sitemap.xml", "/", "/open", "/private/allowed"}


def test_a_site_that_forbids_everything_is_not_probed() -> None:
    def prepare(site: SiteServer) -> None:
        site.link("/a")
        site.files["/robots.txt"] = b"User-agent: trivet-probe\nDisallow: /\n"

    with pytest.raises(ProbeError, match="no page of it may be asked for"):
        run_probe(prepare)


def test_pages_that_do_not_answer_well_before_the_load_are_left_out_and_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "MAXIMUM_PAGES", 5)

    def prepare(site: SiteServer) -> None:
        site.link("/gone", "/moved", *(f"/p{number}" for number in range(18)))
        del site.pages["/gone"]
        site.pages["/moved"] = Answer(302, b"", {"Location": "/login"})

    report, site = run_probe(prepare)
    assert report.ok
    assert len(asked(site) - {"/", "/robots.txt", "/sitemap.xml"}) == 5


FAULTS = [
    (Fault(reset=True), FailureKind.RESET),
    (Fault(close=True, sent=40), FailureKind.CLOSED_EARLY),
    (Fault(status=503), FailureKind.STATUS_5XX),
    (Fault(status=404), FailureKind.STATUS_4XX),
    (Fault(status=302), FailureKind.STATUS_3XX),
    (Fault(body=b"<html>half a page"), FailureKind.BAD_BODY),
    (Fault(body=b""), FailureKind.BAD_BODY),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_every_fault_is_seen(fault: Fault, kind: FailureKind) -> None:
    def strike(site: SiteServer) -> None:
        site.fault = lambda request: fault

    report, _ = run_probe(lambda site: site.link("/a"), strike, duration=0.2)
    assert report.total.failures_by_kind == {kind: 30}


def test_a_page_that_never_ended_is_no_failure() -> None:
    def prepare(site: SiteServer) -> None:
        site.link("/fragment")
        site.pages["/fragment"] = Answer(200, b"<p>no end", {"Content-Type": "text/html"})

    report, _ = run_probe(prepare)
    assert report.ok, report.failures


def test_a_base_url_with_a_path_stays_below_it() -> None:
    def prepare(site: SiteServer) -> None:
        site.pages["/shop/"] = page('<a href="a">a</a><a href="/other">o</a>')
        site.pages["/shop/a"] = page("a")

    report, site = run_probe(prepare, prefix="/shop")
    assert report.ok
    assert asked(site) == {"/robots.txt", "/sitemap.xml", "/shop/", "/shop/a"}


@pytest.mark.parametrize(
    ("target", "may"),
    [
        ("/", True),
        ("/blog/2026/a-post.html", True),
        ("/index.php?id=3", True),
        ("/v1.2", True),
        ("/accessories", True),
        ("/sign-out", False),
        ("/SignOut", False),
        ("/customer/account/logoutSuccess", False),
        ("/onepagecheckout", False),
        ("/x?do=%64elete", False),
        ("/api/users", False),
        ("/sales/order/history", False),
        ("/pic.jpg", False),
    ],
)
def test_what_looks_harmless(target: str, may: bool) -> None:
    assert harmless(target) is may


def test_addresses_of_other_hosts_and_schemes_are_no_targets() -> None:
    for location in (
        "https://other.example/",
        "//other.example/x",
        "ftp://shop.example/",
        "javascript:x()",
        "http://[",
    ):
        assert target_of(location, BASE, HOSTS) is None
    assert target_of("HTTP://SHOP.example/a b", BASE, HOSTS) is None
    assert target_of("../a?x=1#top", BASE + "b/c", HOSTS) == "/a?x=1"
    assert targets_of(["/a", "/a#2", "a"], BASE, HOSTS, robots_of("")) == ["/a"]


def test_links_that_nobody_should_follow_are_left_out() -> None:
    text = '<a href="/a">a</a><a rel="nofollow" href="/b">b</a><a download href="/c">c</a><link href="/d"><a>no</a>'
    assert links_of(text) == ["/a"]


def test_rules_of_robots_txt() -> None:
    own = robots_of(
        "User-agent: *\nDisallow: /\n\nUser-agent: other\nUser-agent: Trivet-Probe\nDisallow: /x$\nAllow: /\n"
    )
    assert own.allows("/") and own.allows("/xy") and not own.allows("/x")
    everybody = robots_of(
        "nonsense\nUser-agent: *\nDisallow:\nCrawl-delay: 1\nDisallow: /*.php\nSitemap: https://a/s.xml"
    )
    assert everybody.allows("/a") and not everybody.allows("/b/c.php?d=1")
    assert everybody.sitemaps == ("https://a/s.xml",)
    assert robots_of("User-agent: somebody\nDisallow: /").allows("/")


def test_what_is_no_sitemap_names_nothing() -> None:
    assert sitemap_locations(b"\x1f\x8bbroken") == ([], [])
    assert sitemap_locations(b"<html>") == ([], [])
