# SPDX-License-Identifier: GPL-3.0-or-later
"""A visitor of the wiki, with cookies, who speaks its API."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from http.client import HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

TIMEOUT = 60.0


class _Stay(HTTPRedirectHandler):
    """A redirect is an answer: the name that it leads to is in no DNS."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class Wiki:
    """A visitor.

    Args:
        address: Of the gateway.
        host: Name of the wiki.
    """

    def __init__(self, address: str, host: str) -> None:
        self._base = f"http://{address}"
        self._host = host
        self._opener = build_opener(HTTPCookieProcessor(), _Stay())

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a path; of a whole address its path counts."""
        parts = urlsplit(path)
        return self._asked(Request(self._base + parts.path + (f"?{parts.query}" if parts.query else "")))

    def page(self, title: str = "") -> str:
        """A page as visitors see it, which must be there; the main page without a title."""
        status, body = self.get(f"/wiki/{quote(title.replace(' ', '_'))}" if title else "/")
        assert status == 200, (title, status)
        return body.decode()

    def ask(self, **given: str) -> dict[str, Any]:
        """What the API answers, which must be no error."""
        body = urlencode({"format": "json", "formatversion": "2", **given}).encode()
        return self._api(body, "application/x-www-form-urlencoded")

    def log_in(self, name: str, password: str) -> None:
        """Be somebody from now on."""
        said = self.ask(action="login", lgname=name, lgpassword=password, lgtoken=self.token("login"))
        assert said["login"]["result"] == "Success", said

    def name(self) -> str:
        """Who one is: an address without a login."""
        return str(self.ask(action="query", meta="userinfo")["query"]["userinfo"]["name"])

    def token(self, kind: str = "csrf") -> str:
        """What a change must bring."""
        return str(self.ask(action="query", meta="tokens", type=kind)["query"]["tokens"][f"{kind}token"])

    def edit(self, title: str, text: str) -> None:
        """Write a page."""
        said = self.ask(action="edit", title=title, text=text, token=self.token())
        assert said["edit"]["result"] == "Success", said

    def text(self, title: str) -> str:
        """A page as it was written."""
        asked = {"prop": "revisions", "rvprop": "content", "rvslots": "main"}
        found = self.ask(action="query", titles=title, **asked)["query"]["pages"][0]
        return str(found["revisions"][0]["slots"]["main"]["content"])

    def members(self, category: str) -> list[str]:
        """Titles of the pages in a category."""
        found = self.ask(action="query", list="categorymembers", cmtitle=f"Category:{category}")
        return [page["title"] for page in found["query"]["categorymembers"]]

    def found(self, word: str) -> list[str]:
        """Titles of the pages that have a word in their text."""
        found = self.ask(action="query", list="search", srsearch=word, srwhat="text")
        return [page["title"] for page in found["query"]["search"]]

    def upload(self, name: str, content: bytes) -> None:
        """Bring a file, though another may look the same."""
        given = {"action": "upload", "format": "json", "formatversion": "2", "filename": name}
        fields = {**given, "ignorewarnings": "1", "token": self.token()}
        mark = uuid.uuid4().hex
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}\r\n' for key in fields]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        body = "".join(parts).encode() + head.encode() + b"Content-Type: image/png\r\n\r\n" + content
        said = self._api(body + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}")
        assert said["upload"]["result"] == "Success", said

    def addresses(self, name: str, width: int) -> tuple[str, str]:
        """Where a file is, and where it is smaller."""
        asked = {"prop": "imageinfo", "iiprop": "url", "iiurlwidth": str(width)}
        found = self.ask(action="query", titles=f"File:{name}", **asked)["query"]["pages"][0]["imageinfo"][0]
        return str(found["url"]), str(found["thumburl"])

    def _api(self, body: bytes, kind: str) -> dict[str, Any]:
        status, answer = self._asked(Request(f"{self._base}/api.php", body, {"Content-Type": kind}))
        assert status == 200, (status, answer[:500])
        said: dict[str, Any] = json.loads(answer)
        assert "error" not in said, said["error"]
        return said

    def _asked(self, request: Request) -> tuple[int, bytes]:
        request.add_header("Host", self._host)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.read()
        except HTTPError as answer:
            return answer.code, answer.read()


def picture(width: int, height: int) -> bytes:
    """A PNG, its colours from left to right."""
    row = b"\0" + b"".join(bytes((index * 255 // width, 80, 160)) for index in range(width))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * height)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
