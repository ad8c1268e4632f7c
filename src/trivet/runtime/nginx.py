# SPDX-License-Identifier: GPL-3.0-or-later
"""``web.locations`` as directives of nginx.

nginx runs outside of the release's mount namespace: it looks for files on the host's paths, and gives PHP the paths
that PHP sees. How the text is built, and why:

- Every area of the URL space is a regular expression, the longest prefix first. ``$trivet_file`` is what follows the
  prefix; ``root`` with ``try_files $trivet_file`` takes the place of ``alias``, which fails beside ``try_files``.
- A rule is a regular expression inside of its area, tested against the whole path.
- What PHP answers has no headers of static answers, and is in a location of its own.
- ``if`` stands only before ``rewrite`` and ``return``: else nginx takes another configuration than written.
"""

from __future__ import annotations

import re

from trivet.project.application import Application
from trivet.runtime.directives import block, literal, word
from trivet.runtime.locations import Answers, Area, Rule, areas, target
from trivet.runtime.places import Places

HIDDEN = r"/\.(?!well-known(?:/|\z))"
"""Files that begin with a dot: never sent and never run, whatever a rule says."""
PARAMETERS = (
    ("QUERY_STRING", "$args"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("SCRIPT_NAME", "$trivet_script_name"),
    ("SCRIPT_FILENAME", "$trivet_script_file"),
    ("PATH_INFO", "$trivet_path_info"),
    ("REQUEST_URI", "$request_uri"),
    ("DOCUMENT_URI", "$trivet_script_name$trivet_path_info"),
    ("DOCUMENT_ROOT", "$trivet_document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$trivet_scheme"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/$nginx_version"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_ADDR", "$server_addr"),
    ("SERVER_NAME", "$host"),
    ("SERVER_PORT", "$trivet_port"),
    ("HTTPS", "$trivet_https if_not_empty"),
    ("REDIRECT_STATUS", "200"),
    # A client's header `Proxy` would become the proxy of PHP's own requests (httpoxy).
    ("HTTP_PROXY", '""'),
)


def server(application: Application, places: Places) -> str:
    """The directives that answer for an application, to stand inside of a ``server`` block.

    They need ``$trivet_https`` (``on`` or empty) from the ``http`` block, and take ``fastcgi_read_timeout``,
    ``fastcgi_send_timeout`` and ``client_max_body_size`` from what stands around them.

    Raises:
        InputError: a root leads out of the application, or a value cannot be written for nginx.
    """
    return "\n".join([*_Server(application, places).lines(), ""])


class _Server:
    def __init__(self, application: Application, places: Places) -> None:
        self._php = application.runtime == "php"
        self._home = places.home
        self._socket = places.socket
        self._areas = areas(application, places)
        self._named: dict[tuple[str, ...], str] = {}

    def lines(self) -> list[str]:
        answers = [line for area in self._areas for line in ["", *self._area(area)]]
        named = [line for body, name in self._named.items() for line in ["", *block(f"location {name}", body)]]
        return [
            *(self._fastcgi() if self._php else self._http()),
            "",
            *block(f"location ~ {word(HIDDEN)}", ["return 404;"]),
            *answers,
            # What no location names.
            "",
            *block("location /", ["return 404;"]),
            *named,
        ]

    def _fastcgi(self) -> list[str]:
        status = [
            "if ($server_addr != 127.0.0.1) { return 404; }",
            "access_log off;",
            *_set(self._home, "$uri", "$uri", ""),
            f"fastcgi_pass unix:{self._socket};",
        ]
        return [
            "set $trivet_scheme http;",
            "set $trivet_port 80;",
            "if ($trivet_https) { set $trivet_scheme https; }",
            "if ($trivet_https) { set $trivet_port 443; }",
            *(f"fastcgi_param {name} {value};" for name, value in PARAMETERS),
            "fastcgi_buffers 16 16k;",
            "fastcgi_buffer_size 32k;",
            "fastcgi_connect_timeout 5s;",
            "# Which request may be tried again is for HAProxy to say.",
            "fastcgi_next_upstream off;",
            "",
            "# For collectors on the node itself: asked at the local address only, which no proxy uses.",
            *block("location = /fpm-status", status),
            *block("location = /fpm-ping", status),
        ]

    def _http(self) -> list[str]:
        return [
            "proxy_http_version 1.1;",
            "proxy_set_header Host $http_host;",
            'proxy_set_header Connection "";',
            "proxy_buffers 16 16k;",
            "proxy_buffer_size 32k;",
            "proxy_connect_timeout 5s;",
            "proxy_next_upstream off;",
        ]

    def _area(self, area: Area) -> list[str]:
        file = "/.*" if area.itself is False else "(?:/.*)?"
        head = f"location ~ {word(f'(?s)^{re.escape(area.prefix)}(?<trivet_file>{file})' + chr(92) + 'z')}"
        if area.folder is None:
            # Without a root nothing is a file.
            bodies = [block(self._rule_head(rule), self._fallback(area, rule.answers)) for rule in area.rules]
            return block(head, [*_joined(bodies), *block('location ~ "^"', self._fallback(area, area.answers))])
        rules = [block(self._rule_head(rule), self._answers(area, rule.answers)) for rule in area.rules]
        lines = [
            f"root {literal(area.folder)};",
            # A link of the application must not lead to what is not its own.
            f"disable_symlinks if_not_owner from={literal(area.folder)};",
            *_joined(rules),
            *self._answers(area, area.answers),
        ]
        return block(head, lines)

    @staticmethod
    def _rule_head(rule: Rule) -> str:
        return f"location ~ {word(rule.pattern.text)}"

    def _answers(self, area: Area, answers: Answers) -> list[str]:
        """Scripts, folders and files, in this order."""
        limit = [f"client_max_body_size {answers.largest_request};"] if answers.largest_request else []
        lines = [*limit]
        if answers.scripts and self._php:
            name = (
                rf"(?s)^(?<trivet_script>{re.escape(area.prefix)}(?<trivet_file>/.*?[^/]\.php))(?<trivet_info>/.*)?\z"
            )
            lines += block(f"location ~ {word(name)}", self._script(area, answers))
        if answers.index:
            lines += block(f"location ~ {word('/' + chr(92) + 'z')}", self._folder(area, answers))
        return [*lines, *block('location ~ "^"', self._file(area, answers))]

    def _script(self, area: Area, answers: Answers) -> list[str]:
        return [
            f"try_files $trivet_file {self._jump(area, answers)};",
            *self._run(area.document_root, "$trivet_script", f"{area.path}$trivet_file", "$trivet_info", answers),
        ]

    def _folder(self, area: Area, answers: Answers) -> list[str]:
        """The first index file that is there answers as if it had been asked for."""
        tests = [
            f"if (-f {word(f'{area.folder}${{trivet_file}}{_plain(name)}')}) "
            f'{{ rewrite "(?s)^(.*)\\\\z" {word(f"$1{_plain(name)}")} last; }}'
            for name in answers.index
        ]
        return [*tests, *self._fallback(area, answers)]

    def _file(self, area: Area, answers: Answers) -> list[str]:
        # A folder with an index is asked for again with a slash at its end, so that relative links work.
        lines = [
            f"if (-f {word(f'{area.folder}${{trivet_file}}/{_plain(name)}')}) "
            '{ rewrite "(?s)^(.*)\\\\z" "$1/" permanent; }'
            for name in answers.index
        ]
        if lines:
            lines.insert(0, "absolute_redirect off;")
        if not answers.allow:
            return [*lines, *self._fallback(area, answers)]
        jump = self._jump(area, answers)
        if area.built is not None:
            # ece-tools makes links of what the build kept for a mount; they are links inside of the namespace.
            body = [f"root {literal(area.built)};", *_static(answers), f"try_files $trivet_file {jump};"]
            jump = self._name(body)
        return [*lines, *_static(answers), f"try_files $trivet_file {jump};"]

    def _jump(self, area: Area, answers: Answers) -> str:
        """What ``try_files`` ends with."""
        if answers.passthru is False:
            return "=404"
        return self._name(self._fallback(area, answers))

    def _name(self, body: list[str]) -> str:
        return self._named.setdefault(tuple(body), f"@trivet-{len(self._named) + 1}")

    def _fallback(self, area: Area, answers: Answers) -> list[str]:
        """What answers for a file that is missing or may not be sent."""
        passthru = answers.passthru
        if passthru is False:
            return ["return 404;" if answers.allow else "return 403;"]
        if not self._php:
            return self._proxied(passthru, answers)
        path = f"{area.prefix}/index.php" if passthru is True else str(passthru)
        if "$" in path or "?" in path or not path.endswith(".php"):
            return [f"rewrite ^ {word(path)} last;"]
        own = target(self._areas, path) or area
        return self._run(own.document_root, path, own.path + path.removeprefix(own.prefix), "", answers)

    def _run(self, root: str, name: str, file: str, info: str, answers: Answers) -> list[str]:
        return [
            *_set(root, name, file, info),
            *([f"client_max_body_size {answers.largest_request};"] if answers.largest_request else []),
            *_buffering("fastcgi", answers),
            f"fastcgi_pass unix:{self._socket};",
        ]

    def _proxied(self, passthru: str | bool, answers: Answers) -> list[str]:
        rewritten = [f"rewrite ^ {word(passthru)} break;"] if isinstance(passthru, str) else []
        return [*rewritten, *_buffering("proxy", answers), f"proxy_pass http://unix:{self._socket}:;"]


def _set(root: str, name: str, file: str, info: str) -> list[str]:
    """What differs between the scripts; the parameters are the same for all of them."""
    return [
        f"set $trivet_document_root {word(root)};",
        f"set $trivet_script_name {word(name)};",
        f"set $trivet_script_file {word(file)};",
        f"set $trivet_path_info {word(info)};",
    ]


def _static(answers: Answers) -> list[str]:
    headers = [f"add_header {literal(name)} {literal(value)};" for name, value in answers.headers.items()]
    return [f"expires {answers.expires};", *headers, "gzip_static on;"]


def _buffering(kind: str, answers: Answers) -> list[str]:
    if answers.buffered is None:
        return []
    return [f"{kind}_request_buffering {'on' if answers.buffered else 'off'};"]


def _plain(name: str) -> str:
    """An index file's name, which has no variable."""
    return literal(name)[1:-1]


def _joined(blocks: list[list[str]]) -> list[str]:
    return [line for lines in blocks for line in lines]
