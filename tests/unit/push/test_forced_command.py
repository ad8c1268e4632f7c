# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client asks for over SSH: a push or a fetch of a project of its own, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import InputError
from trivet.push.command import allowed, asked, environment_of
from trivet.push.settings import Project, Settings

SETTINGS = Settings(
    {"shop": Project("shop", {"main": "production"}, ("anna",)), "blog": Project("blog", {"main": "blog"}, ("ben",))},
    60.0,
)


@pytest.mark.parametrize(
    ("command", "verb"),
    [
        ("git-receive-pack 'shop.git'", "receive-pack"),
        ("git-receive-pack '/shop.git'", "receive-pack"),
        ("git-upload-pack 'shop'", "upload-pack"),
        ("git upload-pack '/shop.git/'", "upload-pack"),
        ("git-receive-pack shop.git", "receive-pack"),
    ],
)
def test_what_git_sends_is_understood(command: str, verb: str) -> None:
    assert asked(command) == (verb, "shop")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "id",
        "sh",
        "git-shell",
        "git-upload-archive 'shop.git'",
        "git-receive-pack",
        "git-receive-pack ''",
        "git-receive-pack '../../etc'",
        "git-receive-pack '/srv/trivet/git/shop.git'",
        "git-receive-pack 'shop.git/../blog.git'",
        "git-receive-pack 'shop.git'; id",
        "git-receive-pack 'shop.git' && id",
        "git-receive-pack 'shop.git'\nid",
        "git-receive-pack 'shop.git'\n",
        "git-receive-pack $(id)",
        "git-receive-pack `id`",
        "git-receive-pack 'shop.git",
        "git-receive-pack 'shop.git' --advertise-refs",
        "git-receive-pack --help",
        "git-receive-pack '-oProxyCommand=id'",
        "git-receive-pack 'shop\\.git'",
        "git-receive-pack 'Shop.git'",
        "git-receive-pack 'shöp.git'",
        "git  receive-pack 'shop.git'",
        "git -c core.sshCommand=id receive-pack 'shop.git'",
        "GIT_DIR=/ git-receive-pack 'shop.git'",
        "/usr/bin/git-receive-pack 'shop.git'",
    ],
)
def test_everything_else_is_refused(command: str) -> None:
    with pytest.raises(InputError, match="git push"):
        asked(command)


@given(st.text())
def test_no_text_leads_out_of_the_names_of_projects(text: str) -> None:
    for command in (text, f"git-receive-pack '{text}'", f"git-receive-pack {text}"):
        try:
            verb, project = asked(command)
        except InputError:
            continue
        assert verb in ("receive-pack", "upload-pack")
        assert project.isascii() and project.replace("-", "").isalnum() and project[0].isalpha()


def test_a_project_of_others_is_as_unknown_as_one_that_is_not_there() -> None:
    assert allowed(SETTINGS, "anna", "shop").name == "shop"
    told = []
    for name in ("blog", "nothing"):
        with pytest.raises(InputError) as refused:
            allowed(SETTINGS, "anna", name)
        told.append(refused.value.message.replace(name, "X"))
    assert told[0] == told[1] == "anna has no project X; there is shop"


def test_git_gets_nothing_of_the_client_but_the_version_of_its_protocol() -> None:
    given_by_client = {"GIT_PROTOCOL": "version=2", "GIT_DIR": "/", "LD_PRELOAD": "/x", "PATH": "/evil", "HOME": "/h"}
    made = environment_of(given_by_client, "anna")
    assert made["GIT_PROTOCOL"] == "version=2"
    assert made["TRIVET_PUSHER"] == "anna"
    assert set(made) == {"GIT_PROTOCOL", "TRIVET_PUSHER", "PATH", "HOME", "LANG"}
    assert "evil" not in made["PATH"]
    assert "GIT_PROTOCOL" not in environment_of({"GIT_PROTOCOL": "version=2; id"}, "anna")
