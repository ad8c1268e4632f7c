# SPDX-License-Identifier: GPL-3.0-or-later
"""What a builder is made of, and what its programs find in their environment."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from tests.unit.build.applications import application
from trivet.build import BuildSettings, PackageSource, release_name
from trivet.build.recipe import needs_of, uses_composer
from trivet.build.variables import environment_of, exports, ini_of
from trivet.errors import BuildError, InputError


def decoded(text: str) -> object:
    return json.loads(base64.b64decode(text))


def test_packages_follow_the_application(tmp_path: Path) -> None:
    plain = needs_of(application(tmp_path), BuildSettings())
    assert {"php8.2-cli", "php8.2-intl", "composer", "tini"} <= set(plain.image.packages)
    assert "npm" not in plain.image.packages and plain.warnings == ()
    more = """
        dependencies: {nodejs: {grunt-cli: "*"}}
        runtime: {extensions: [xsl, sodium, json, imagick, newrelic]}
    """
    needs = needs_of(application(tmp_path, more), BuildSettings())
    assert {"npm", "php8.2-imagick"} == set(needs.image.packages) - set(plain.image.packages) - {"nodejs"}
    assert "runtime.extensions: `newrelic` is not to be had here" in needs.warnings[0]
    assert needs.image.alias != plain.image.alias


@pytest.mark.parametrize(("line", "wanted"), [("npm ci", True), ("cd x && npx gulp", True), ("# npm ci", False)])
def test_a_hook_that_uses_node_has_it(tmp_path: Path, line: str, wanted: bool) -> None:
    needs = needs_of(application(tmp_path, f"hooks: {{build: '{line}'}}"), BuildSettings())
    assert ("npm" in needs.image.packages) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\ntype: php:8.1\n", "type: found `php:8.1`, but Debian bookworm has PHP 8.2 alone"),
        ("name: a\ntype: nodejs:22\n", "type: found `nodejs:22`"),
        ("name: a\ntype: php:8.2\nruntime: {extensions: [nonsense]}\n", "runtime.extensions: found `nonsense`"),
    ],
)
def test_what_is_not_to_be_had_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BuildError) as error:
        needs_of(application(tmp_path, text=text), BuildSettings())
    assert said in error.value.message and ".magento.app.yaml" in error.value.message


def test_another_php_comes_from_a_source_of_packages(tmp_path: Path) -> None:
    settings = BuildSettings(php_source=PackageSource("http://packages.example.com/php", tmp_path / "key.gpg"))
    app = application(tmp_path, text="name: a\ntype: php:8.1\n")
    with pytest.raises(BuildError, match="php_source: there is no key"):
        needs_of(app, settings)
    (tmp_path / "key.gpg").touch()
    needs = needs_of(app, settings)
    assert "php8.1-cli" in needs.image.packages
    assert needs.image.sources == (f"deb [signed-by={tmp_path}/key.gpg] http://packages.example.com/php bookworm main",)


def test_the_environment_of_a_build(tmp_path: Path) -> None:
    more = """
        variables: {env: {FROM_FILE: "1", BOTH: file}, php: {memory_limit: 2G}}
        mounts: {"/var": "shared:files/var"}
        hooks: {build: make}
    """
    app = application(tmp_path, more)
    settings = BuildSettings(
        project="abc",
        variables={"env:BOTH": "settings", "ADMIN_URL": "admin", "php:date.timezone": 'a"b'},
        secrets={"COMPOSER_AUTH": "{}"},
    )
    environment = environment_of(app, settings, "1234")
    assert environment["MAGENTO_CLOUD_TREE_ID"] == environment["PLATFORM_TREE_ID"] == "1234"
    assert environment["MAGENTO_CLOUD_PROJECT"] == "abc" and environment["MAGENTO_CLOUD_APP_DIR"] == "/app"
    assert decoded(environment["PLATFORM_VARIABLES"]) == {"ADMIN_URL": "admin", "COMPOSER_AUTH": "{}"}
    told = decoded(environment["MAGENTO_CLOUD_APPLICATION"])
    assert told["mounts"] == {"var": {"path": "var", "orig": "shared:files/var"}} and told["hooks"] == {"build": "make"}
    assert environment["BOTH"] == "settings" and environment["FROM_FILE"] == "1"
    assert environment["COMPOSER_AUTH"] == "{}" and environment["ADMIN_URL"] == "admin"
    absent = ("RELATIONSHIPS", "ROUTES", "ENVIRONMENT", "BRANCH")
    assert not [name for name in environment for end in absent if name.endswith(f"_{end}")]
    assert ini_of(app, settings) == 'memory_limit = "2G"\ndate.timezone = "a\\"b"\n'


def test_exports_are_read_by_sh_as_they_are_meant(tmp_path: Path) -> None:
    script = tmp_path / "environment"
    script.write_text(exports({"A": 'it\'s $HOME `x`\n"two"', "BAD-NAME": "x"}))
    said = subprocess.run(["sh", "-c", f'. {script}; printf %s "$A"'], check=True, capture_output=True, text=True)
    assert said.stdout == 'it\'s $HOME `x`\n"two"'


def test_a_name_tells_all_that_goes_into_a_build(tmp_path: Path) -> None:
    app = application(tmp_path)
    names = [
        release_name("tree", app, BuildSettings()),
        release_name("other", app, BuildSettings()),
        release_name("tree", app, BuildSettings(variables={"A": "1"})),
        release_name("tree", app, BuildSettings(project="other")),
        release_name("tree", app, BuildSettings(secrets={"A": "1"})),
        release_name("tree", application(tmp_path, "hooks: {build: make}"), BuildSettings()),
    ]
    assert len(set(names)) == len(names) and all(name.startswith("shop-") for name in names)
    assert release_name("tree", app, BuildSettings(network=False, rebuild=True)) == names[0]


@pytest.mark.parametrize(
    ("more", "used"),
    [
        ("build: {flavor: composer}", True),
        ("hooks: {build: 'composer install'}", True),
        ("hooks: {build: 'composer --version'}", False),
        ("", False),
    ],
)
def test_who_uses_composer(tmp_path: Path, more: str, used: bool) -> None:
    assert uses_composer(application(tmp_path, more)) == used


def test_a_project_names_a_folder() -> None:
    with pytest.raises(InputError, match="cannot name a project"):
        BuildSettings(project="../x")
