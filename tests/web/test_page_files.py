"""The page's files, without a browser: nothing inline, nothing from elsewhere, nothing missing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "bento" / "web"
MODULES = sorted(WEB.glob("*.js"))
STYLES = sorted(WEB.glob("*.css"))

NAMESPACE = "http://www.w3.org/2000/svg"


class Elements(HTMLParser):
    """Collects tags with their attributes and the text of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def index() -> Elements:
    elements = Elements()
    elements.feed((WEB / "index.html").read_text(encoding="utf-8"))
    return elements


def test_index_holds_no_inline_script_or_style(index: Elements) -> None:
    attributes = [name for _, attrs in index.tags for name in attrs]
    assert index.inline == []
    assert [name for name in attributes if name == "style" or name.startswith("on")] == []


def test_index_names_only_files_that_exist(index: Elements) -> None:
    links = [attrs.get("href") or attrs.get("src") for tag, attrs in index.tags if tag in ("link", "script", "img")]
    missing = [link for link in links if link and not (WEB / link.removeprefix("/static/")).is_file()]
    assert len(links) > 10
    assert missing == []


def test_every_id_is_given_once(index: Elements) -> None:
    ids = [attrs["id"] for _, attrs in index.tags if "id" in attrs]
    assert sorted(set(ids)) == sorted(ids)


def test_every_id_that_the_code_looks_up_is_there(index: Elements) -> None:
    made_by_code = {"film-title"}
    ids = {attrs["id"] for _, attrs in index.tags if "id" in attrs} | made_by_code
    wanted = {name for path in MODULES for name in re.findall(r'byId\("([^"]+)"\)', path.read_text(encoding="utf-8"))}
    assert wanted - ids == set()


@pytest.mark.parametrize("path", [*MODULES, *STYLES, WEB / "index.html"], ids=lambda path: path.name)
def test_no_file_names_another_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(NAMESPACE, "")
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]+", text.replace("Source: ", "")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_import_only_files_beside_them(path: Path) -> None:
    imported = re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8"))
    assert [name for name in imported if not name.startswith("./") or not (WEB / name).is_file()] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_turns_text_into_markup(path: Path) -> None:
    """Titles come from data; what would parse them as HTML or code is not used anywhere."""
    text = path.read_text(encoding="utf-8")
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", text)
        == []
    )


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_styles_use_only_files_beside_them(path: Path) -> None:
    urls = re.findall(r'url\("?([^")]+)"?\)', path.read_text(encoding="utf-8"))
    assert [url for url in urls if not (WEB / url).is_file()] == []


def test_fonts_come_with_their_licence() -> None:
    licence = (WEB / "fonts-license.txt").read_text(encoding="utf-8")
    assert [font.name for font in WEB.glob("*.woff2") if font.name not in licence] == []
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
