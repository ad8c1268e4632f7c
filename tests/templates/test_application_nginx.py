# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx itself serves what a project's files say: requests to a release with mounts, and a stand-in for PHP-FPM."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.templates.daemons import Daemons
from tests.templates.fastcgi import responder
from trivet.health.http import exchange
from trivet.project import Project, check
from trivet.runtime import nginx, routes
from trivet.runtime.places import Places
from trivet.services.application import web
from trivet.services.application.contract import SOCKETS
from trivet.services.application.instance import Instance

SETS = Path(__file__).parents[1] / "unit" / "project" / "cloud-files"
CONFIGURATION = """pid {base}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    client_body_temp_path {base}/body;
    fastcgi_temp_path {base}/fastcgi;
    map $http_x_forwarded_proto $trivet_https {{
        default "";
        https on;
    }}
    server {{
        listen unix:{base}/nginx.sock;
        listen 127.0.0.1:{port};
{server}
    }}
{beside}
}}
"""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def script(self) -> str:
        """The file that PHP would have run; empty when none."""
        return str(self.parameters.get("SCRIPT_FILENAME", ""))

    @property
    def parameters(self) -> dict[str, Any]:
        """What PHP would have got; nothing when it was not asked."""
        return json.loads(self.body) if self.body.startswith('{"QUERY_STRING"') else {}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("shop.example", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


@dataclass
class Site:
    """A folder in the root of the daemons, with a release and what lies beside it."""

    root: Path
    name: str = field(default_factory=lambda: f"srv/r{uuid.uuid4().hex[:8]}")
    port: int = 0

    @property
    def base(self) -> str:
        """As the daemons see it."""
        return f"/{self.name}"

    @property
    def outside(self) -> Path:
        """As this test sees it."""
        return self.root / self.name

    @property
    def places(self) -> Places:
        base = self.base
        return Places(f"{base}/app", f"{base}/shared", f"{base}/local", f"{base}/local/tmp", f"{base}/php.sock")

    def write(self, *files: str) -> None:
        """Files that say their own path."""
        for name in files:
            path = self.outside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name, encoding="utf-8")

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """One request over the socket."""
        connection = _Connection(self.outside / "nginx.sock")
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=names)
        answer = connection.getresponse()
        found = Answer(answer.status, dict(answer.headers.items()), answer.read().decode())
        connection.close()
        return found


def configured(site: Site, text: str, beside: str = "") -> Path:
    site.outside.mkdir(parents=True, exist_ok=True)
    path = site.outside / "nginx.conf"
    filled = CONFIGURATION.format(base=site.base, port=site.port, server=text, beside=beside)
    path.write_text(filled, encoding="utf-8")
    return path


@contextmanager
def serving(site: Site, text: str, beside: str = "") -> Iterator[Site]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        site.port = free.getsockname()[1]
    configured(site, text, beside)
    command = ["chroot", str(site.root), "/usr/sbin/nginx", "-c", f"{site.base}/nginx.conf"]
    with responder(site.outside / "php.sock"):
        daemon = subprocess.Popen([*command, "-g", "daemon off; master_process off;"], stderr=subprocess.PIPE)
        try:
            until = time.monotonic() + 10
            while not (site.outside / "nginx.sock").exists():
                assert daemon.poll() is None and time.monotonic() < until, daemon.stderr.read().decode()
                time.sleep(0.02)
            yield site
        finally:
            daemon.terminate()
            told = daemon.communicate()[1].decode().splitlines()
            # A link that is not followed and a body that is too large are told.
            assert [line for line in told if "symbolic links" not in line and "too large body" not in line] == []


@pytest.fixture(scope="module")
def site(daemons: Daemons) -> Iterator[Site]:
    made = Site(daemons.root)
    yield made
    shutil.rmtree(made.outside, ignore_errors=True)


def project(name: str) -> Project:
    return check(SETS / name, domains=["shop.example"])


APPLICATIONS = [
    (path.name, application.name) for path in sorted(SETS.iterdir()) for application in project(path.name).applications
]


@pytest.mark.parametrize(("name", "application"), APPLICATIONS)
def test_nginx_accepts_every_set(daemons: Daemons, name: str, application: str) -> None:
    site = Site(daemons.root, port=8080)
    read = project(name)
    which = next(item for item in read.applications if item.name == application)
    text = routes.redirects(read.routes, ["shop.example"]) + nginx.server(which, site.places)
    try:
        configured(site, text)
        command = ["chroot", str(site.root), "/usr/sbin/nginx", "-t", "-q", "-c", f"{site.base}/nginx.conf"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
    finally:
        shutil.rmtree(site.outside)


@pytest.fixture(scope="module")
def template(site: Site) -> Iterator[Site]:
    """Magento's own locations; the mounts as ece-tools leaves them."""
    site.write(
        *("app/composer.json", "app/setup/index.php", "app/app/etc/env.php", "shared/var/log/system.log"),
        *("app/pub/index.php", "app/pub/get.php", "app/pub/front-static.php", "app/pub/health_check.php"),
        *("app/pub/errors/404.php", "app/pub/errors/default/css/styles.css", "app/pub/robots.txt"),
        *("app/pub/.htaccess", "app/pub/.user.ini", "app/pub/.well-known/security.html", "app/pub/mediafile.css"),
        *("app/pub/media/hidden.png", "shared/media/a b.png", "shared/media/evil.php", "shared/media/sitemap_de.xml"),
        *("shared/media/.htaccess", "shared/media/wysiwyg/c.jpg", "shared/media/q?.png", "shared/media/p%20q.png"),
        *("shared/static/frontend/x.css", "shared/static/deployed_version.txt", "secret.txt"),
        *("app/init/pub/static/frontend/built.js",),
    )
    static = site.outside / "shared" / "static"
    (static / "adminhtml").symlink_to("/app/init/pub/static/adminhtml")
    (site.outside / "app/init/pub/static/adminhtml").mkdir()
    site.write("app/init/pub/static/adminhtml/admin.js")
    link = site.outside / "shared" / "media" / "link.png"
    link.symlink_to("../../secret.txt")
    shutil.chown(site.outside / "shared" / "media", 65534)
    subprocess.run(["chown", "-h", "65534", str(link)], check=True)
    (application,) = project("01-shop-2.4").applications
    with serving(site, nginx.server(application, site.places)) as running:
        yield running


FRONT = "/app/pub/index.php"


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/media/a%20b.png", "shared/media/a b.png"),
        ("/media/q%3F.png?x=1", "shared/media/q?.png"),
        ("/media/p%2520q.png", "shared/media/p%20q.png"),
        ("/media/wysiwyg/../wysiwyg/c.jpg", "shared/media/wysiwyg/c.jpg"),
        ("/media//wysiwyg///c.jpg", "shared/media/wysiwyg/c.jpg"),
        ("/static/frontend/x.css", "shared/static/frontend/x.css"),
        ("/static/version1712/frontend/x.css", "shared/static/frontend/x.css"),
        ("/static/version1712/frontend/built.js", "app/init/pub/static/frontend/built.js"),
        ("/static/adminhtml/admin.js", "app/init/pub/static/adminhtml/admin.js"),
        ("/sitemap_de.xml", "shared/media/sitemap_de.xml"),
        ("/errors/default/css/styles.css", "app/pub/errors/default/css/styles.css"),
        ("/mediafile.css", "app/pub/mediafile.css"),
        ("/.well-known/security.html", "app/pub/.well-known/security.html"),
        # Allowed and never run: the file itself is sent.
        ("/media/evil.php", "shared/media/evil.php"),
    ],
)
def test_a_file_is_sent(template: Site, path: str, file: str) -> None:
    answer = template.ask(path)
    assert (answer.status, answer.body) == (200, file)


@pytest.mark.parametrize(
    ("path", "script", "query", "info"),
    [
        ("/", FRONT, "", ""),
        ("/women/dress.html?color=red&size=%20m", FRONT, "color=red&size=%20m", ""),
        ("/index.php", FRONT, "", ""),
        ("/index.php/rest/V1/x.css?a=1", FRONT, "a=1", "/rest/V1/x.css"),
        ("/health_check.php", "/app/pub/health_check.php", "", ""),
        ("/errors/404.php", "/app/pub/errors/404.php", "", ""),
        ("/errors", FRONT, "", ""),
        ("/errors/", FRONT, "", ""),
        ("/media/missing.png?v=2", "/app/pub/get.php", "v=2", ""),
        ("/media/none.php/x", "/app/pub/get.php", "", ""),
        ("/media", "/app/pub/get.php", "", ""),
        ("/media/", "/app/pub/get.php", "", ""),
        # Below the mount of `/media` there is the mount, never the release.
        ("/media/hidden.png", "/app/pub/get.php", "", ""),
        ("/static/version1712/frontend/none.css", "/app/pub/front-static.php", "", ""),
        ("/sitemap_fr.xml", "/app/pub/get.php", "", ""),
        # What is denied goes to the application.
        ("/composer.json", FRONT, "", ""),
        ("/robots.txt", FRONT, "", ""),
        ("/setup/index.php", FRONT, "", ""),
        ("/setup/", FRONT, "", ""),
        ("/app/etc/env.php", FRONT, "", ""),
        ("/var/log/system.log", FRONT, "", ""),
        ("/evil.php/../media/evil.php.css", "/app/pub/get.php", "", ""),
        ("/line%0Abreak", FRONT, "", ""),
        ("/index.php%0A", FRONT, "", ""),
    ],
)
def test_php_is_asked(template: Site, path: str, script: str, query: str, info: str) -> None:
    answer = template.ask(path, X_Forwarded_Proto="https", Proxy="http://evil.example")
    got = answer.parameters
    assert (answer.status, answer.script, got["QUERY_STRING"], got["PATH_INFO"]) == (200, script, query, info)
    assert (got["DOCUMENT_ROOT"], got["REQUEST_URI"]) == ("/app/pub", path)
    assert (got["HTTP_HOST"], got["SERVER_NAME"], got["HTTPS"], got["SERVER_PORT"]) == (
        *("shop.example", "shop.example", "on", "443"),
    )
    assert "HTTP_PROXY" not in got and "X-Frame-Options" not in answer.headers


def test_a_script_s_name_is_the_one_of_the_address(template: Site) -> None:
    got = template.ask("/index.php/a/b").parameters
    assert (got["SCRIPT_NAME"], got["DOCUMENT_URI"]) == ("/index.php", "/index.php/a/b")


@pytest.mark.parametrize("path", ["/.htaccess", "/.user.ini", "/media/.htaccess", "/.git/config", "/a/.b/c.php"])
def test_hidden_files_are_not_there(template: Site, path: str) -> None:
    assert template.ask(path).status == 404


@pytest.mark.parametrize("path", ["/../secret.txt", "/media/../../secret.txt", "/media/%2e%2e/%2e%2e/secret.txt"])
def test_no_path_leads_out(template: Site, path: str) -> None:
    assert template.ask(path).status == 400


def test_a_link_to_what_is_not_the_application_s_is_not_followed(template: Site) -> None:
    answer = template.ask("/media/link.png")
    assert "secret" not in answer.body and answer.script == "/app/pub/get.php"


def test_static_answers_are_kept_as_long_as_the_file_says(template: Site) -> None:
    assert template.ask("/static/frontend/x.css").headers["Cache-Control"] == "max-age=31536000"
    assert template.ask("/static/version1/frontend/built.js").headers["Cache-Control"] == "max-age=31536000"
    assert "Cache-Control" not in template.ask("/mediafile.css").headers
    assert "Cache-Control" not in template.ask("/media/missing.png").headers


def test_a_form_reaches_php(template: Site) -> None:
    answer = template.ask("/checkout", "POST", b"a=1")
    assert (answer.parameters["REQUEST_METHOD"], answer.parameters["BODY_BYTES"]) == ("POST", "3")


def test_the_status_of_php_is_for_the_node_alone(template: Site) -> None:
    assert template.ask("/fpm-status").status == 404
    connection = http.client.HTTPConnection("127.0.0.1", template.port, timeout=10)
    for path in ("/fpm-status", "/fpm-ping"):
        connection.request("GET", path)
        assert json.loads(connection.getresponse().read())["SCRIPT_NAME"] == path


WEB = """name: shop
type: php:8.2
disk: 512
mounts:
  pub/media: shared:files/media
  pub/up: {source: local, source_path: up}
  pub/up/deep: {source: local, source_path: elsewhere}
web:
  locations:
    /:
      root: pub
      passthru: /index.php
      index: [index.html, index.php]
      scripts: true
      allow: true
      rules:
        ^/old/(.*)/([a-z]+)$: {passthru: '/index.php?q=$1&w=$2'}
        ^/img/(?<uri>.*)\\.(?<type>.*)$: {passthru: '/$type/$uri.$type'}
        ^/closed/: {allow: false, passthru: false}
        ^/tools/.*\\.php$: {scripts: false, allow: false}
        (?<!x)\\.txt$: {expires: 2w, headers: {X-Robots-Tag: 'noindex; "all"'}}
    /inner: {root: pub/up/deep/in, scripts: false, headers: {X-Frame-Options: DENY}}
    /login.php: {root: pub, passthru: '/core/login.php?do=login'}
    /us: {root: pub, passthru: /us/index.php, scripts: true, index: [index.php]}
    /api/: {passthru: /index.php, request_buffering: {enabled: false, max_request_size: 10}}
    /strict: {root: pub, passthru: true, allow: false, scripts: false}
"""


@pytest.fixture(scope="module")
def other(daemons: Daemons, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Locations that go further than Magento's own."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".magento.app.yaml").write_text(WEB, encoding="utf-8")
    read = check(folder)
    assert read.errors == ()
    made = Site(daemons.root)
    made.write(
        *("app/pub/index.php", "app/pub/doc/index.html", "app/pub/wiki/index.php", "app/pub/png/a.png"),
        *("app/pub/closed/a.css", "app/pub/tools/t.php", "app/pub/read.txt", "app/pub/core/login.php"),
        *("shared/media/m.png", "local/up/u.png", "local/up/run.php", "local/up/page/index.html"),
        *("local/elsewhere/d.png", "local/elsewhere/in/i.png", "app/pub/up/wrong.png", "app/pub/a b/index.html"),
    )
    try:
        with serving(made, nginx.server(read.applications[0], made.places)) as running:
            yield running
    finally:
        shutil.rmtree(made.outside, ignore_errors=True)


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/media/m.png", "shared/media/m.png"),
        ("/up/u.png", "local/up/u.png"),
        ("/up/deep/d.png", "local/elsewhere/d.png"),
        ("/up/page/", "local/up/page/index.html"),
        ("/inner/i.png", "local/elsewhere/in/i.png"),
        ("/doc/", "app/pub/doc/index.html"),
        ("/img/a.png", "app/pub/png/a.png"),
        ("/us/doc/index.html", "app/pub/doc/index.html"),
    ],
)
def test_a_file_below_a_mount_or_behind_a_rule_is_sent(other: Site, path: str, file: str) -> None:
    answer = other.ask(path)
    assert (answer.status, answer.body) == (200, file)


@pytest.mark.parametrize(
    ("path", "script", "query"),
    [
        ("/old/a/b/c?x=1", FRONT, "q=a/b&w=c&x=1"),
        ("/up/run.php", "/app/pub/up/run.php", ""),
        ("/up/wrong.png", FRONT, ""),
        ("/wiki/", "/app/pub/wiki/index.php", ""),
        ("/login.php?a=1", "/app/pub/core/login.php", "do=login&a=1"),
        ("/tools/t.php", FRONT, ""),
        ("/us", FRONT, ""),
        ("/us/x", FRONT, ""),
        ("/usa", FRONT, ""),
        ("/api/x", FRONT, ""),
        ("/strict/index.html", FRONT, ""),
        ("/strict/index.php", FRONT, ""),
    ],
)
def test_php_is_asked_by_other_locations(other: Site, path: str, script: str, query: str) -> None:
    answer = other.ask(path)
    if path == "/us":
        # The folder has an index.
        assert (answer.status, answer.headers["Location"]) == (301, "/us/")
        answer = other.ask("/us/")
    assert (answer.status, answer.script, answer.parameters["QUERY_STRING"]) == (200, script, query)


def test_refusals_and_headers(other: Site) -> None:
    assert other.ask("/closed/a.css").status == 403
    assert other.ask("/inner/none.png").status == 404
    assert other.ask("/inner/i.png").headers["X-Frame-Options"] == "DENY"
    text = other.ask("/read.txt").headers
    assert (text["Cache-Control"], text["X-Robots-Tag"]) == ("max-age=1209600", 'noindex; "all"')
    moved = other.ask("/a%20b?c=1")
    assert (moved.status, moved.headers["Location"]) == (301, "/a%20b/?c=1")
    assert other.ask("/api/x", "POST", b"12345678901").status == 413
    assert other.ask("/us/x").parameters["SCRIPT_NAME"] == "/us/index.php"


@pytest.fixture(scope="module")
def redirecting(daemons: Daemons) -> Iterator[Site]:
    made = Site(daemons.root)
    read = project("08-redirects-and-cache")
    made.write("app/pub/index.php")
    text = routes.redirects(read.routes, ["shop.example"]) + nginx.server(read.applications[0], made.places)
    try:
        with serving(made, text) as running:
            yield running
    finally:
        shutil.rmtree(made.outside, ignore_errors=True)


@pytest.mark.parametrize(
    ("url", "code", "to", "kept"),
    [
        ("http://shop.example/a?b=1", 301, "https://shop.example/a?b=1", None),
        ("https://www.shop.example/a?b=1", 301, "https://shop.example/a?b=1", None),
        ("https://sale.example.com/x", 301, "https://shop.example/sale-2024/x", None),
        ("https://shop.example/old-lamps", 302, "https://shop.example/lamps", "max-age=86400"),
        ("https://shop.example/old-lamps/a?c=%20", 302, "https://shop.example/lamps/a?c=%20", "max-age=86400"),
        ("https://shop.example/imprint", 301, "/legal", "max-age=86400"),
        ("https://shop.example/sale/x?y=1", 302, "https://sale.example.com/", "max-age=0"),
        ("https://shop.example/senses/a/b", 308, "https://www.example.com/senses/a/b", "max-age=86400"),
        ("https://shop.example/senses/%0d%0aX:1", 308, "https://www.example.com/senses/%0d%0aX:1", "max-age=86400"),
        ("https://shop.example/imprint/x", 200, None, None),
        ("https://shop.example/sale-2024", 200, None, None),
        ("https://shop.example/old-lampshades", 200, None, None),
        ("https://other.example/senses/a", 200, None, None),
    ],
)
def test_routes_redirect(redirecting: Site, url: str, code: int, to: str | None, kept: str | None) -> None:
    scheme, rest = url.split("://")
    host, _, path = rest.partition("/")
    answer = redirecting.ask(f"/{path}", Host=host, X_Forwarded_Proto=scheme)
    assert (answer.status, answer.headers.get("Location")) == (code, to)
    assert answer.headers.get("Cache-Control") == kept


def test_a_site_with_redirects_knows_its_scheme(redirecting: Site) -> None:
    got = redirecting.ask("/imprint/x", Host="shop.example", X_Forwarded_Proto="https").parameters
    assert (got["REQUEST_SCHEME"], got["SERVER_PORT"], got["HTTPS"]) == ("https", "443", "on")


def test_the_node_itself_is_not_redirected(redirecting: Site) -> None:
    assert redirecting.ask("/old-lamps").status == 200
    assert redirecting.ask("/trivet-redirect-301-off", Host="shop.example", X_Forwarded_Proto="https").status == 404


def test_who_asks_a_candidate_has_an_address(daemons: Daemons, monkeypatch: pytest.MonkeyPatch) -> None:
    """MediaWiki answers 500 to a visitor without one."""
    site = Site(daemons.root)
    (application,) = project("01-shop-2.4").applications
    release = "shop-0123456789ab"
    instance = Instance(
        name=f"{release}-01234567",
        release=release,
        application="shop",
        user="shop",
        archive_sha256="0" * 64,
        health_page="/health_check.php",
        domain="shop.example",
        nginx=nginx.server(application, site.places),
    )
    site.write("app/pub/index.php")
    monkeypatch.setattr(web, "SOCKETS", replace(SOCKETS, default=Path(site.base)))
    try:
        with serving(site, "", web.candidate_server(instance)), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(site.outside / f"{instance.name}.candidate"))
            answer = exchange(connection, "GET", "/", web.visitor_headers(instance))
    finally:
        shutil.rmtree(site.outside)
    given = json.loads(answer.body)
    assert (given["REMOTE_ADDR"], given["HTTP_HOST"]) == ("127.0.0.1", "shop.example")
