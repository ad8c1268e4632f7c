# SPDX-License-Identifier: GPL-3.0-or-later
"""Every link of a page, and every page that code or configuration names, is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md"), *ROOT.glob("demo/**/*.md")]
)
CODE = ("src", "roles", "playbooks", "plugins", "inventories", "molecule", "benchmarks", "tests", "bin")
NAMED_PAGE = re.compile(r"\bdocs/[\w./-]+?\.md(?:#[\w-]+)?")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$")


def lines(page: Path) -> Iterator[str]:
    """The lines of a page that are no code block."""
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for heading in (match[1] for line in lines(page) if (match := HEADING.match(line))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = sum(1 for one in found if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", one))
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


def broken(page: Path, target: str) -> bool:
    """Whether a link of a page leads nowhere in this repository."""
    if re.match(r"[a-z]+:", target):
        return False
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists() or ROOT not in [there, *there.parents]:
        return True
    return bool(anchor) and anchor not in anchors(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    # Inline code is no link: `list[str](x)`.
    links = [target for line in lines(page) for target in LINK.findall(re.sub(r"`[^`]*`", "", line))]
    assert [target for target in links if broken(page, target)] == []


@pytest.mark.parametrize("folder", CODE)
def test_every_page_that_code_names_is_there(folder: str) -> None:
    wrong = []
    for path in sorted((ROOT / folder).rglob("*")):
        if not path.is_file() or path.is_symlink() or path.suffix == ".pyc":
            continue
        for named in NAMED_PAGE.findall(path.read_text(encoding="utf-8", errors="replace")):
            if broken(ROOT / "README.md", named):
                wrong.append(f"{path.relative_to(ROOT)}: {named}")
    assert wrong == []


def test_every_page_of_the_documents_is_linked() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for line in lines(page)
        for target in LINK.findall(line)
        if not re.match(r"[a-z]+:", target)
    }
    assert [str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md") if page not in linked] == []
