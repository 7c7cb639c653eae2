"""Search: suggestions while typing, a shelf for all that was found."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from .page import Page

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def type_words(page: Page, words: str) -> None:
    page.one("#search-input").send_keys(words)
    page.wait(lambda: page.is_shown(".search-option"))


def test_typing_a_title_suggests_it_first(page: Page) -> None:
    page.open("?person=501")
    type_words(page, "the godf")
    assert page.one(".search-option .search-title").text.startswith("The Godfather")


def test_arrows_and_enter_open_a_suggestion(page: Page) -> None:
    page.open("?person=501")
    type_words(page, "the godf")
    page.press(Keys.ARROW_DOWN)
    field = page.one("#search-input")
    assert field.get_attribute("aria-activedescendant") == "search-option-0"
    assert page.one("#search-option-0").get_attribute("aria-selected") == "true"
    page.press(Keys.ENTER)
    assert page.wait(lambda: page.one("#film-title").text).startswith("The Godfather")


def test_escape_closes_the_suggestions_and_keeps_the_words(page: Page) -> None:
    page.open("?person=501")
    type_words(page, "alien")
    page.press(Keys.ESCAPE)
    assert not page.is_shown("#search-options")
    assert page.one("#search-input").get_attribute("value") == "alien"
    assert page.one("#search-input").get_attribute("aria-expanded") == "false"


def test_enter_puts_what_was_found_by_meaning_on_a_shelf(page: Page) -> None:
    page.open("?person=501")
    page.one("#search-input").send_keys("quiet films about the sea", Keys.ENTER)
    page.wait(lambda: page.is_shown("#results .shelf-film"))
    assert "quiet films about the sea" in page.one("#results-heading").text
    assert "Song of the Sea" in page.texts("#results .shelf-title")


def test_slash_jumps_to_the_search_field(page: Page) -> None:
    page.open("?person=501")
    page.one("body").send_keys("/")
    assert page.focused == "Search films"
    assert page.one("#search-input").get_attribute("value") == ""


def test_words_that_nothing_answers_are_said_so(page: Page) -> None:
    page.rewrite("/search", 'async () => Response.json({query: "x", films: [], degraded: []})')
    page.open("?person=501")
    page.one("#search-input").send_keys("zzzz")
    page.wait(lambda: page.is_shown(".search-none"))
    assert page.one(".search-none").text == "Nothing found"
