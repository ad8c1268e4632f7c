# SPDX-License-Identifier: GPL-3.0-or-later
"""A store has whole releases alone, verifies what it hands out, and keeps as many as it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trivet.build import BuildError, Release, Store
from trivet.build.archive import sha256_of


def publish(store: Store, name: str, created: str = "2026-01-01T00:00:00Z", content: bytes = b"archive") -> Release:
    with store.staged(name) as folder:
        (folder / "archive.tar.zst").write_bytes(content)
        manifest = {
            "format": 1,
            "application": name.rpartition("-")[0],
            "tree": "t",
            "commit": None,
            "created": created,
            "archive": {"sha256": sha256_of(folder / "archive.tar.zst"), "bytes": len(content)},
        }
        return store.publish(folder, name, manifest)


def test_what_was_published_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "releases")
    assert store.list() == () and not store.has("shop-1")
    release = publish(store, "shop-1")
    assert store.get("shop-1") == release and release.archive.read_bytes() == b"archive"
    assert (release.application, release.size_bytes) == ("shop", 7)
    assert publish(store, "shop-1", content=b"again").size_bytes == 5
    assert {path.name for path in store.directory.iterdir()} == {".lock", "shop-1"}


def test_what_was_not_published_is_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.staged("shop-1") as folder:
        (folder / "release.json").write_text("{}")
        assert store.list() == ()
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_damaged_release_is_not_handed_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    release = publish(store, "shop-1")
    release.archive.write_bytes(b"other")
    with pytest.raises(BuildError, match=r"shop-1 in .* is damaged: archive.tar.zst has the checksum"):
        store.get("shop-1")
    release.archive.unlink()
    with pytest.raises(BuildError, match="cannot be read: No such file"):
        store.get("shop-1")
    manifest = release.directory / "release.json"
    manifest.write_text(json.dumps({**release.manifest, "format": 2}))
    with pytest.raises(BuildError, match="has format 2, this Trivet reads 1"):
        store.get("shop-1")
    manifest.write_text("{")
    with pytest.raises(BuildError, match=r"release.json cannot be read"):
        store.get("shop-1")
    for name in ("missing", "../x"):
        with pytest.raises(BuildError, match="there is no release"):
            store.get(name)


def test_a_damaged_release_does_not_hide_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "shop-1")
    (publish(store, "shop-2").directory / "release.json").write_text("{")
    assert [release.name for release in store.list()] == ["shop-1"]


def test_the_newest_of_each_application_stay_and_those_in_use(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day in range(1, 6):
        publish(store, f"shop-{day}", f"2026-01-0{day}T00:00:00Z")
    publish(store, "other-1", "2025-01-01T00:00:00Z")
    assert store.keep(2, in_use=["shop-1"]) == ("shop-3", "shop-2")
    assert [release.name for release in store.list()] == ["shop-5", "shop-4", "shop-1", "other-1"]


def test_what_a_killed_build_left_goes_and_what_a_running_one_has_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / ".building-shop-1").mkdir()
    with store.staged("shop-2") as running, store.staged("shop-3"):
        assert running.is_dir() and not (tmp_path / ".building-shop-1").exists()


def test_a_release_that_was_built_again_with_other_content_has_another_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store, "shop-000000000001")
    assert store.name_for("shop-000000000002", first.sha256) == "shop-000000000002"
    assert store.name_for(first.name, first.sha256) == first.name == store.newest(first.name)
    other = store.name_for(first.name, "another")
    assert other != first.name and other.startswith("shop-") and len(other) == len(first.name)
    store.supersede(first.name, other)
    assert store.newest(first.name) == first.name, "it is not there yet, or was removed"
    publish(store, other, content=b"another")
    assert store.newest(first.name) == other
    store.supersede(other, first.name)
    assert store.newest(first.name) in (first.name, other), "no endless loop"
