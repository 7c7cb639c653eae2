"""The page without a mouse, without eyes on every change, without motion."""

from __future__ import annotations

from itertools import pairwise

import pytest
from selenium.webdriver.common.keys import Keys

from .page import Page

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def test_the_first_tab_offers_to_skip_to_the_films(page: Page) -> None:
    page.open("?person=601")
    page.press(Keys.TAB)
    assert page.focused == "Skip to the films"
    page.press(Keys.ENTER)
    page.wait(lambda: page.run("return document.activeElement.id") == "programme")


def test_arrows_walk_from_poster_to_poster(page: Page) -> None:
    page.open("?person=601")
    page.run("document.querySelector('#wall .poster-button').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.closest('.card').dataset.movieId") == str(page.films[1])
    page.press(Keys.ARROW_DOWN)
    second_row = page.run(
        "return [...document.querySelectorAll('#wall .card')].indexOf(document.activeElement.closest('.card'))"
    )
    columns = page.run("return getComputedStyle(document.querySelector('#wall')).gridTemplateColumns.split(' ').length")
    assert second_row == 1 + columns  # the feature stands alone above the columns


def test_stars_work_by_keyboard_and_the_focus_stays_in_the_wall(page: Page) -> None:
    page.open("?person=602")
    before = page.films
    page.run("document.querySelector('#wall .card:nth-child(2) .poster-button').focus()")
    page.tab_to("#wall .card:nth-child(2) .stars input")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    after = page.changed_films(before)
    assert before[1] not in after
    assert page.run("return document.activeElement.closest('.card')?.dataset.movieId") == str(after[1])


def test_only_the_star_that_is_meant_is_sent(page: Page) -> None:
    """Arrow keys pass over stars; one event goes out, with the last one."""
    page.rewrite(
        "/events",
        "async (ask) => { (window.sent ??= []).push(JSON.parse(options.body)); return ask(); }",
    )
    page.open("?person=603")
    before = page.films
    page.run("document.querySelector('#wall .card:nth-child(2) .stars input').focus()")
    page.press(Keys.SPACE, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.changed_films(before)
    assert [(event["event_type"], event["value"]) for event in page.run("return window.sent")] == [("rate", 4)]


def test_escape_closes_a_film_and_gives_the_focus_back(page: Page) -> None:
    page.open("?person=604")
    page.run("document.querySelector('#wall .card:nth-child(3) .poster-button').focus()")
    name = page.focused
    page.press(Keys.ENTER)
    page.wait(lambda: page.is_shown("#film-dialog"))
    assert page.run("return document.activeElement.id") == "film-title"
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.is_shown("#film-dialog"))
    assert page.focused == name


def test_a_changed_list_is_announced(page: Page) -> None:
    page.open("?person=605")
    before = page.films
    title = page.text("#wall .card-title")
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.changed_films(before)
    words = page.wait(lambda: "5 stars" in page.text("#announcer") and page.text("#announcer"))
    assert title in words
    assert "First now" in words
    assert page.one("#announcer").get_attribute("aria-live") == "polite"


def test_landmarks_and_headings_tell_the_page(page: Page) -> None:
    page.open("?person=606")
    for landmark in ("header", "main", "aside", "footer", "[role='search']"):
        assert len(page.all(landmark)) == 1, landmark
    assert page.texts("h1") == ["Marquee"]
    levels = page.run("return Array.from(document.querySelectorAll('h1,h2,h3,h4'), h => Number(h.tagName[1]))")
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_everything_that_can_be_used_has_a_name(page: Page) -> None:
    page.open("?person=607")
    page.click("#filters-toggle")
    nameless = [
        element.get_attribute("outerHTML")
        for element in page.all("button, input, select, a, summary")
        if element.is_displayed() and not element.accessible_name.strip()
    ]
    assert nameless == []


def test_nothing_moves_for_whoever_wants_stillness(page: Page) -> None:
    page.open("?person=608", reduced_motion=True)
    before = page.films
    page.click("#wall .card:nth-child(2) .stars label:nth-of-type(5)")
    page.changed_films(before)
    assert page.run("return document.getAnimations().length") == 0
    assert page.all("#wall .moved[data-direction]")  # the change is told, only not acted


def test_films_are_seen_to_move_by_everybody_else(page: Page) -> None:
    page.open("?person=609")
    before = page.films
    page.run(
        "window.travelled = 0; const play = Element.prototype.animate;"
        "Element.prototype.animate = function (...how) {"
        "  window.travelled += Boolean(this.matches('.card') && how[0][0].transform?.startsWith('translate('));"
        "  return play.apply(this, how) }"
    )
    page.click("#wall .card:nth-child(2) .stars label:nth-of-type(5)")
    page.changed_films(before)
    assert page.run("return window.travelled") > 3
