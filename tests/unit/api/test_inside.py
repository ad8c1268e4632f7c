# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and dumps that come from a node: whole or with the words of what failed. The node is this machine."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.unit.environments import environment
from trivet.api import inside
from trivet.api.inside import Inside
from trivet.errors import InputError, RemoteError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """An application whose mount ``media`` is a folder of this machine, reached without SSH."""
    (tmp_path / "node" / "media" / "sub").mkdir(parents=True)
    (tmp_path / "node" / "media" / "sub" / "a b.txt").write_text("from there")
    monkeypatch.setattr(inside, "HOME", str(tmp_path / "node"))

    def command(_node: object, words: list[str], *, terminal: bool) -> list[str]:
        assert not terminal
        return words[words.index("--") + 1 :] or ["sh", "-c", "echo dumped"]

    monkeypatch.setattr(inside, "terminal_command", command)
    endpoints: dict[str, dict[str, Any]] = {name: {"scheme": "mysql"} for name in ("database", "database-slave")}
    given = environment()
    return Inside(given, given.nodes[0], "shop-0-0", {"media": True}, {**endpoints, "redis": {"scheme": "redis"}})


def test_a_mount_comes_here_and_goes_there(here: Inside, tmp_path: Path) -> None:
    names: list[str] = []
    assert here.download("media", tmp_path / "down", (), names.append) == 1
    assert (tmp_path / "down" / "sub" / "a b.txt").read_text() == "from there"
    assert names == ["sub/a b.txt"]
    (tmp_path / "down" / "new").write_text("from here")
    assert here.upload("media/", tmp_path / "down", names.append) == 2
    assert (tmp_path / "node" / "media" / "new").read_text() == "from here"
    assert here.download("media", tmp_path / "less", ("sub",), names.append) == 1


@pytest.mark.parametrize("name", ["app/etc", "/app/app/etc", "app/etc/", "/app/etc"])
def test_a_mount_is_named_below_the_root_or_whole(name: str) -> None:
    given = environment()
    found = Inside(given, given.nodes[0], "shop-0-0", {"app/etc": True, "etc": True}, {})
    assert found._mount(name) == ("/app/etc" if name == "/app/etc" else "/app/app/etc")


def test_what_does_not_come_is_told_in_the_words_of_the_node(
    here: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = ["sh", "-c", "echo Connection refused >&2; exit 255"]
    monkeypatch.setattr(inside, "terminal_command", lambda *_words, **_options: failing)
    with pytest.raises(RemoteError, match="media of node-1: Connection refused"):
        here.download("media", tmp_path / "down", (), str)
    with pytest.raises(RemoteError, match="media of node-1: Connection refused"):
        here.upload("media", tmp_path / "node", str)
    with pytest.raises(RemoteError, match="dump of database on node-1: Connection refused"):
        here.dump("database", io.BytesIO(), lambda _count: None)


def test_what_is_not_there_is_named_before_anything_is_done(here: Inside, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no mount src; it has media"):
        here.download("src", tmp_path, (), str)
    with pytest.raises(InputError, match="is no folder"):
        here.upload("media", tmp_path / "none", str)
    with pytest.raises(InputError, match="no database redis; it has database, database-slave"):
        here.client("redis", terminal=False)


def test_a_dump_is_read_where_nothing_is_written(here: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def command(_node: object, words: list[str], **_options: object) -> list[str]:
        asked.append(words)
        return ["echo", "dumped"]

    monkeypatch.setattr(inside, "terminal_command", command)
    target = io.BytesIO()
    here.dump("database", target, lambda _count: None)
    assert target.getvalue() == b"dumped\n" and asked[0][2:5] == ["database", "dump", "database-slave"]
