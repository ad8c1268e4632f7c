# SPDX-License-Identifier: GPL-3.0-or-later
"""What mounts are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.project import check
from trivet.project.application import Application, Mount
from trivet.runtime.places import BindMount, Places, mounts

SETS = Path(__file__).parents[1] / "project" / "cloud-files"
PLACES = Places("/srv/releases/x/app", "/srv/shared/x", "/srv/local/x", "/srv/local/x/tmp", "/run/x.sock")


def application(name: str, *added: Mount) -> Application:
    found = check(SETS / name).applications[0]
    return replace(found, mounts=(*found.mounts, *added))


def test_a_mount_s_source_follows_its_kind() -> None:
    found = {mount.target: mount.source for mount in mounts(application("04-platform-names"), PLACES)}
    assert found["/app/pub/media"] == "/srv/local/x/media" and found["/app/tmp"] == "/srv/local/x/tmp/tmp"
    assert mounts(application("01-shop-2.4"), PLACES)[0] == BindMount("/srv/shared/x/etc", "/app/app/etc")


def test_parents_come_first() -> None:
    inner = (Mount("var/log", "shared", "var/log", 1), Mount("var-2", "shared", "other", 1))
    order = [mount.target for mount in mounts(application("01-shop-2.4", *inner), PLACES)]
    assert order.index("/app/var") < order.index("/app/var/log")


def test_a_path_below_a_mount_is_the_mount_s() -> None:
    shop = application("01-shop-2.4", Mount("pub/media/in", "local", "elsewhere", 1))
    assert PLACES.on_host(shop, "pub") == "/srv/releases/x/app/pub"
    assert PLACES.on_host(shop, "pub/media/a/../b") == "/srv/shared/x/media/b"
    assert PLACES.on_host(shop, "pub/media/in/c") == "/srv/local/x/elsewhere/c"
    assert PLACES.on_host(shop, "pub/mediafile") == "/srv/releases/x/app/pub/mediafile"


@pytest.mark.parametrize("mount", [Mount("../x", "shared", "x", 1), Mount("x", "shared", "../../etc", 1)])
def test_a_mount_that_leads_out_is_refused(mount: Mount) -> None:
    with pytest.raises(InputError, match="leads out"):
        mounts(application("01-shop-2.4", mount), PLACES)
