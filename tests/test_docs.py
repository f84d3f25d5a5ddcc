"""The documentation's snippets are files that the tests run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_SHOWN = re.compile(
    r"^\[[^\]]+\]\((?P<file>[^)#:]+)\):\n\n```\w*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?P<file>[^)#:\s]+)(?:#[^)]*)?\)")


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_what_is_shown_of_a_file_is_in_it(page: Path) -> None:
    """A block below a line that is a link to a file and a colon is that file."""
    for shown in _SHOWN.finditer(page.read_text("utf-8")):
        file = page.parent / shown["file"]
        assert file.read_text("utf-8") == shown["text"], file


def test_every_snippet_is_shown() -> None:
    """No file beside the pages on integrations is without its place in one."""
    shown = {
        (page.parent / match["file"]).resolve()
        for page in PAGES
        for match in _SHOWN.finditer(page.read_text("utf-8"))
    }
    files = {
        file.resolve()
        for file in ROOT.glob("docs/integrations/*/**/*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    assert set() == files - shown


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Of those within the project."""
    text = page.read_text("utf-8")
    missing = [
        link["file"]
        for link in _LINK.finditer(text)
        if not (page.parent / link["file"]).exists()
    ]

    assert [] == missing
