# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what is in a release, and of what it was built with (SBOM), as CycloneDX 1.6 in JSON."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

COMPOSER_INSTALLED, COMPOSER_LOCK, NPM_LOCK = "vendor/composer/installed.json", "composer.lock", "package-lock.json"
READ = (COMPOSER_INSTALLED, COMPOSER_LOCK, NPM_LOCK)
"""Files of a release that tell what is in it."""
PART = "trivet:part"
RELEASE, BUILDER = "release", "builder"
DEBIAN_QUERY = ("dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\\n")


def list_of(release: str, tree_id: str, files: Mapping[str, bytes], debian: str) -> str:
    """The list as JSON.

    Args:
        release: Name of the release.
        tree_id: Git's id of what it was built of.
        files: Content of those of :data:`READ` that it has.
        debian: What :data:`DEBIAN_QUERY` answered in the builder.
    """
    application = Component(name=release, version=tree_id, type=ComponentType.APPLICATION, bom_ref=release)
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, release), metadata=BomMetaData(component=application))
    inside = {component.bom_ref.value: component for component in (*_of_composer(files), *_of_npm(files))}
    for component in inside.values():
        bom.components.add(component)
    for component in _of_debian(debian):
        bom.components.add(component)
    bom.register_dependency(application, inside.values())
    with warnings.catch_warnings():
        # An application of its own code alone depends on nothing, which the library takes for an omission.
        warnings.filterwarnings("ignore", message="The Component this BOM is describing")
        return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _of_composer(files: Mapping[str, bytes]) -> Iterator[Component]:
    """What is installed counts; of a release without, what is locked."""
    installed = _json(files.get(COMPOSER_INSTALLED, b""))
    if installed is not None:
        packages = installed.get("packages", []) if isinstance(installed, dict) else installed
    else:
        packages = (_json(files.get(COMPOSER_LOCK, b"")) or {}).get("packages", [])
    for package in packages:
        vendor, _, name = str(package.get("name", "")).rpartition("/")
        version = str(package.get("version", ""))
        if name:
            yield _component(PackageURL("composer", vendor or None, name, version or None), RELEASE)


def _of_npm(files: Mapping[str, bytes]) -> Iterator[Component]:
    """Packages as of npm 7 stand by their folder, which ends with their name."""
    for folder, package in (_json(files.get(NPM_LOCK, b"")) or {}).get("packages", {}).items():
        _, _, full = folder.rpartition("node_modules/")
        scope, _, name = full.rpartition("/")
        if folder and name and not package.get("link") and not package.get("dev"):
            yield _component(PackageURL("npm", scope or None, name, str(package.get("version", "")) or None), RELEASE)


def _of_debian(answer: str) -> Iterator[Component]:
    for line in answer.splitlines():
        name, version, architecture = line.split()
        yield _component(PackageURL("deb", "debian", name, version, {"arch": architecture}), BUILDER)


def _component(purl: PackageURL, part: str) -> Component:
    return Component(
        name=purl.name,
        group=purl.namespace,
        version=purl.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        # What a release was built with is not in it.
        scope=ComponentScope.REQUIRED if part == RELEASE else ComponentScope.EXCLUDED,
        properties=[Property(name=PART, value=part)],
    )


def _json(content: bytes) -> Any:
    """None for a file that is not there, or no JSON: then it tells nothing."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None
