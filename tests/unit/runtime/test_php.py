# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP's settings; that PHP-FPM takes its configuration is tried in tests/templates."""

from __future__ import annotations

import pytest

from tests.unit.runtime.test_places import SETS, application
from trivet.errors import InputError
from trivet.runtime.php import ini


def test_the_project_s_file_is_kept_and_app_resolved() -> None:
    written = (SETS / "01-shop-2.4" / "php.ini").read_text(encoding="utf-8")
    made = ini(application("01-shop-2.4"), written, {})
    assert made == written.replace("${MAGENTO_CLOUD_APP_DIR}", "/app")


@pytest.mark.parametrize("value", ["op-exclude.txt", '"op-exclude.txt"', "'op-exclude.txt'"])
def test_a_relative_list_of_exclusions_lies_in_the_application(value: str) -> None:
    made = ini(application("01-shop-2.4"), f"opcache.blacklist_filename = {value}\n", {})
    assert "/app/op-exclude.txt" in made and made.count("op-exclude") == 1
    absolute = "opcache.blacklist_filename=/app/x.txt\n"
    assert ini(application("01-shop-2.4"), absolute, {}) == absolute


def test_odd_lines_pass_through() -> None:
    odd = "flag session.auto_start = off\r\nopcache.memory_consumption => 2048\r\n"
    assert ini(application("06-windows-editor"), "\ufeff" + odd, {}) == odd


def test_the_environment_has_the_last_word() -> None:
    made = ini(application("04-platform-names"), "a = 1", {"memory_limit": "2G", "date.timezone": 'Europe/"x"'})
    assert made.splitlines() == ["a = 1", "[PHP]", "memory_limit = 2G", 'date.timezone = "Europe/\\"x\\""']
    assert "memory_limit = 512M" in ini(application("04-platform-names"), None, {})


@pytest.mark.parametrize(("name", "value"), [("a b", "1"), ("a", "1\nb=2"), ("a", "${HOME}")])
def test_what_a_file_cannot_hold_is_refused(name: str, value: str) -> None:
    with pytest.raises(InputError):
        ini(application("01-shop-2.4"), None, {name: value})
