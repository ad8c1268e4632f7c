# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances and releases on a node."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trivet.health.config import NodeConfig
from trivet.node.errors import AgentError
from trivet.services.application import instance, releases, web
from trivet.services.application.contract import INSTANCES, RELEASES, SOCKETS
from trivet.services.application.instance import Instance, Mount
from trivet.services.application.releases import Store
from trivet.services.application.schedule import Cron
from trivet.services.contract import Terms

RELEASE = "shop-0123456789ab"
GIVEN = Instance(
    name=f"{RELEASE}-01234567",
    release=RELEASE,
    application="shop",
    user="shop",
    archive_sha256="0" * 64,
    health_page="/health_check.php",
    domain="shop.example",
    nginx="location / { return 200; }",
    mounts=(Mount("/srv/shared/var", "/app/var", shared=True), Mount("/srv/local/shop/log", "/app/log", shared=False)),
    crons=(
        Cron("cronrun", "true", ((0,), (0,), (1,), (1,), (0,)), any_day=False, timeout_seconds=1, shutdown_seconds=1),
    ),
    workers={"consumer": "php bin/magento queue:consumers:start"},
)


def test_a_description_survives_its_json() -> None:
    assert Instance.from_dict(GIVEN.to_dict()) == GIVEN


def test_one_of_an_earlier_agent_has_neither_crons_nor_workers() -> None:
    data = GIVEN.to_dict()
    del data["crons"], data["workers"]
    assert Instance.from_dict(data) == replace(GIVEN, crons=(), workers={})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "../../etc-0123456789ab-01234567"}, "is no instance"),
        ({"name": "other-0123456789ab-01234567"}, "is no instance"),
        ({"files": {"../../../etc/passwd": ""}}, "leads out"),
        ({"files": {"/etc/passwd": ""}}, "leads out"),
        ({"mounts": (Mount("/srv/shared/x", "/etc", shared=True),)}, "leads out"),
        ({"mounts": (Mount("/srv/shared/x", "/app/../etc", shared=True),)}, "leads out"),
        ({"workers": {"a b": "true"}}, "no name"),
    ],
)
def test_what_could_lead_out_of_its_folders_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(AgentError, match=words):
        Instance.from_dict({**GIVEN.to_dict(), **replace(GIVEN, **changed).to_dict()})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["plain", 'a "quote"', "back\\slash", "$HOME `id`", "two\nlines", "end\\"])
def test_systemd_reads_the_variables_that_were_given(value: str, tmp_path: Path) -> None:
    # The same rules as of a shell's double quotes, for the four characters that matter.
    path = tmp_path / "environment"
    path.write_text(instance.environment_file({"VALUE": value}), encoding="utf-8")
    said = subprocess.run(
        ["sh", "-c", '. "$1"; printf %s "$VALUE"', "sh", str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert said == value


def packed(folder: Path) -> bytes:
    """An archive as a build makes it."""
    (folder / "app" / "pub").mkdir(parents=True)
    (folder / "app" / "pub" / "index.php").write_text("<?php", encoding="utf-8")
    words = ["tar", "--create", "--zstd", "--directory", str(folder), "app"]
    return subprocess.run(words, capture_output=True, check=True).stdout


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A shared volume, and places for releases and instances."""
    mount = tmp_path / "shared"
    mount.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == mount)
    for term, folder in ((RELEASES, "releases"), (INSTANCES, "instances")):
        object.__setattr__(term, "default", tmp_path / folder)
        monkeypatch.setattr(releases, "RELEASES", RELEASES)
    config = NodeConfig("test", "node-1", 1, "192.0.2.11", "eth0", (), terms=Terms({"files_mount": str(mount)}))
    return Store(config)


@pytest.fixture(autouse=True)
def _places() -> object:
    before = RELEASES.default, INSTANCES.default
    yield
    object.__setattr__(RELEASES, "default", before[0])
    object.__setattr__(INSTANCES, "default", before[1])


def test_an_archive_is_taken_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    archive = packed(tmp_path / "made")
    sha256 = hashlib.sha256(archive).hexdigest()
    with pytest.raises(AgentError, match="did not arrive whole"):
        store.receive(RELEASE, sha256, io.BytesIO(archive[:-1]))
    assert not store.archive(RELEASE).exists()
    assert store.receive(RELEASE, sha256, io.BytesIO(archive))
    assert not store.receive(RELEASE, sha256, io.BytesIO(b"")), "what is there is not taken again"


def test_a_release_is_unpacked_once_and_only_the_one_that_was_built(store: Store, tmp_path: Path) -> None:
    archive = packed(tmp_path / "made")
    sha256 = hashlib.sha256(archive).hexdigest()
    store.receive(RELEASE, sha256, io.BytesIO(archive))
    with pytest.raises(AgentError, match="not the one that was built"):
        releases.unpack(store, RELEASE, "0" * 64)
    assert releases.unpack(store, RELEASE, sha256)
    assert (RELEASES.default / RELEASE / "app" / "pub" / "index.php").read_text(encoding="utf-8") == "<?php"
    assert not releases.unpack(store, RELEASE, sha256)
    releases.make_mount_points(GIVEN)
    assert (GIVEN.code / "var").is_dir() and (GIVEN.code / "log").is_dir()


def test_what_is_recorded_is_what_a_node_that_comes_back_takes(store: Store) -> None:
    assert store.recorded() is None
    store.record(GIVEN)
    assert store.recorded() == GIVEN


def test_an_unmounted_volume_says_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda _path: False)
    with pytest.raises(AgentError, match="is not mounted"):
        store.recorded()


def test_the_last_releases_stay(store: Store) -> None:
    names = [f"shop-{number:012x}" for number in range(8)]
    for age, name in enumerate(names):
        (RELEASES.default / name).mkdir(parents=True)
        os.utime(RELEASES.default / name, (age, age))
    assert releases.prune({names[0]}) == names[1:3]
    assert releases.present() == [names[0], *names[3:]]


def test_the_volume_keeps_archives_by_its_own_age_and_what_is_recorded(store: Store) -> None:
    store.ready()
    names = [f"shop-{number:012x}" for number in range(8)]
    for age, name in enumerate(names):
        made = replace(GIVEN, name=f"{name}-01234567", release=name)
        store.record(made)
        store.archive(name).write_bytes(b"")
        os.utime(store.archive(name), (age, age))
    store.record(replace(GIVEN, name=f"{names[0]}-01234567", release=names[0]))
    assert store.prune() == names[1:3]
    assert store.described(f"{names[0]}-01234567").release == names[0]
    assert store.described(f"{names[3]}-01234567").release == names[3]
    with pytest.raises(AgentError, match="has no instance"):
        store.described(f"{names[1]}-01234567")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for that of a socket: a path of one has 107 characters at most."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_a_candidate_is_asked_when_nginx_listens_and_not_before(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SOCKETS", replace(SOCKETS, default=short))
    monkeypatch.setattr(web, "TAKEN_SECONDS", 10.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(short / f"{GIVEN.name}.candidate"))

        def answer() -> None:
            time.sleep(0.5)
            server.listen()
            for expected in (b"", b"GET /health_check.php"):
                connection, _address = server.accept()
                with connection:
                    assert connection.recv(4096).startswith(expected)
                    if expected:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        (page,) = web.warm(GIVEN)
        answering.join(10)
    assert (page.path, page.status) == ("/health_check.php", 200), page.error
