# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are: the collection ``trivet.commerce`` (checkout or installed wheel), caches, the labs' state."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from trivet.errors import TrivetError


def collection_root() -> Path:
    """The folder with galaxy.yml: packaged beside this module by the wheel, else the checkout above ``src``.

    :raises TrivetError: when neither is there.
    """
    here = Path(__file__).resolve().parent
    for candidate in (here / "collection" / "ansible_collections" / "trivet" / "commerce", here.parents[1]):
        if (candidate / "galaxy.yml").is_file():
            return candidate
    raise TrivetError(f"the collection trivet.commerce was found neither in {here} nor above it; reinstall trivet")


def inventories_directory() -> Path:
    """The inventories that come with Trivet."""
    return collection_root() / "inventories"


def shop_directory() -> Path:
    """The project of the demonstration shop."""
    return collection_root() / "demo" / "store"


def machine_inventories_directory() -> Path:
    """The inventories of this machine, wherever a command is called: those of a grid machine are there."""
    return Path("/etc/trivet/inventories")


def cache_directory() -> Path:
    """Where Trivet keeps what it can make again: ``$XDG_CACHE_HOME/trivet``, by default ~/.cache/trivet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivet"


def labs_directory() -> Path:
    """Where labs keep their state: ``$TRIVET_LABS`` or /var/lib/trivet/labs."""
    return Path(os.environ.get("TRIVET_LABS", "/var/lib/trivet/labs"))


def releases_directory() -> Path:
    """Where the releases are that this machine built: ``$TRIVET_RELEASES`` or /var/lib/trivet/releases."""
    return Path(os.environ.get("TRIVET_RELEASES", "/var/lib/trivet/releases"))


def collections_path() -> str:
    """Value of ANSIBLE_COLLECTIONS_PATH that leads to ``trivet.commerce`` and to the collections of ``ansible``."""
    root = collection_root()
    installed = root.parts[-3:-1] == ("ansible_collections", "trivet")
    own = root.parents[2] if installed else _linked(root)
    site = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    return f"{own}:{site}"


def has_collection(name: str) -> bool:
    """Whether a collection of Ansible, such as ``amazon.aws``, is where Trivet looks for collections."""
    places = [Path(place) / "ansible_collections" for place in collections_path().split(":")]
    return any(place.joinpath(*name.split(".")).is_dir() for place in places)


def _linked(root: Path) -> Path:
    # Ansible finds a collection by its folder's name, which a checkout does not have.
    base = root / ".cache" / "collections"
    link = base / "ansible_collections" / "trivet" / "commerce"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not (link.is_symlink() and link.resolve() == root):
        fresh = link.with_name(f"commerce.{os.getpid()}")
        fresh.symlink_to(root)
        fresh.replace(link)
    return base
