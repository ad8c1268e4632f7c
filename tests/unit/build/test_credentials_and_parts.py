# SPDX-License-Identifier: GPL-3.0-or-later
"""Which repositories are asked with what, and what a list of parts says."""

from __future__ import annotations

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from trivet.build.credentials import credentials, repositories
from trivet.build.sbom import list_of
from trivet.errors import BuildError


def test_repositories_of_packages_are_asked_and_no_others() -> None:
    entries = [
        {"type": "composer", "url": "https://repo.example.com/"},
        {"type": "composer", "url": "satis"},
        {"type": "path", "url": "https://no.example.com"},
        {"packagist.org": False},
    ]
    wanted = ("https://repo.example.com",)
    assert repositories(json.dumps({"repositories": entries})) == wanted
    assert repositories(json.dumps({"repositories": {"a": entries[0], "packagist.org": False}})) == wanted
    assert repositories("") == repositories("{}") == ()


def test_a_later_source_wins_and_is_named() -> None:
    one = json.dumps({"http-basic": {"a.example.com": {"username": "u", "password": 'p"\\'}, "b": {}}})
    two = json.dumps({"bearer": {"a.example.com": "token"}})
    known = credentials({"auth.json": one, "COMPOSER_AUTH": ""})
    assert known["a.example.com"].option == 'user = "u:p\\"\\\\"\n'
    known = credentials({"auth.json": one, "COMPOSER_AUTH": two})
    assert known["a.example.com"].source == "COMPOSER_AUTH"
    assert known["a.example.com"].option == 'header = "Authorization: Bearer token"\n'


@pytest.mark.parametrize("text", ["{", "[]"])
def test_what_is_no_json_is_told_by_its_name(text: str) -> None:
    with pytest.raises(BuildError, match=r"auth.json is no JSON"):
        credentials({"auth.json": text})


FILES = {
    "composer.lock": {"packages": [{"name": "locked/alone", "version": "1"}]},
    "vendor/composer/installed.json": {"packages": [{"name": "magento/framework", "version": "103.0.7"}]},
    "package-lock.json": {
        "packages": {
            "": {"name": "shop"},
            "node_modules/@scope/a": {"version": "1.0.0"},
            "node_modules/@scope/a/node_modules/b": {"version": "2.0.0"},
            "node_modules/dev": {"version": "3.0.0", "dev": True},
        }
    },
}
DEBIAN = "php8.2-cli 8.2.36-1~deb12u1 amd64\n"


def parts(*names: str) -> dict[str, str]:
    """Scope by package URL, of a list that the schema takes."""
    text = list_of("shop-1", "tree", {name: json.dumps(FILES[name]).encode() for name in names}, DEBIAN)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return {item["purl"]: item["scope"] for item in json.loads(text)["components"]}


def test_the_list_has_what_is_in_a_release_and_what_it_was_built_with() -> None:
    debian = "pkg:deb/debian/php8.2-cli@8.2.36-1~deb12u1?arch=amd64"
    assert parts(*FILES) == {
        debian: "excluded",
        "pkg:composer/magento/framework@103.0.7": "required",
        "pkg:npm/%40scope/a@1.0.0": "required",
        "pkg:npm/b@2.0.0": "required",
    }
    assert parts("composer.lock") == {debian: "excluded", "pkg:composer/locked/alone@1": "required"}


def test_an_application_without_packages_has_a_list(recwarn: pytest.WarningsRecorder) -> None:
    assert len(parts()) == 1 and not recwarn.list


def test_a_file_that_is_no_json_tells_nothing() -> None:
    assert list_of("shop-1", "tree", {"composer.lock": b"{"}, "")
