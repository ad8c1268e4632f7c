# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that was built goes live again by the files of its project that were kept beside it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.environments import environment
from trivet.build import Release, Tree
from trivet.build.archive import sha256_of
from trivet.deploy.source import PROJECT, Source, keep_project, release_store
from trivet.errors import InputError
from trivet.paths import shop_directory
from trivet.project import check


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setenv("TRIVET_RELEASES", str(tmp_path / "releases"))
    store = release_store()
    with store.staged("store-000000000001") as folder:
        (folder / "archive.tar.zst").write_bytes(b"archive")
        archive = {"sha256": sha256_of(folder / "archive.tar.zst"), "bytes": 7}
        manifest = {"format": 1, "application": "store", "tree": "t", "commit": None, "created": "", "archive": archive}
        return store.publish(folder, "store-000000000001", manifest)


def test_a_release_goes_live_by_the_files_of_its_last_build(release: Release, tmp_path: Path) -> None:
    shop = Path(shutil.copytree(shop_directory(), tmp_path / "shop"))
    (shop / "php.ini").write_text("memory_limit = 1G\n")
    keep_project(Tree(shop, None), check(shop), release)
    kept = {str(path.relative_to(release.directory / PROJECT)) for path in (release.directory / PROJECT).rglob("*.*")}
    assert {".magento.app.yaml", ".magento/services.yaml", ".trivet.yaml", "php.ini"} <= kept
    assert "README.md" not in kept
    shutil.rmtree(shop)
    source = Source.built(release.name)
    given = replace(environment(), domains=("shop.example",))
    with source.opened(given, print) as opened:
        assert opened.application.name == "store" and opened.built == release
        before = json.dumps(opened.project.to_dict())
        opened.keep(release)
    keep_project(Tree(release.directory / PROJECT, None), opened.project, release)
    with Source.built(release.name).opened(given, print) as again:
        assert json.dumps(again.project.to_dict()) == before


def test_one_whose_project_is_not_known_is_refused(release: Release) -> None:
    with pytest.raises(InputError, match="has no files of its project"):
        Source.built(release.name)
