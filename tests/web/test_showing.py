"""What somebody finds who opens the page."""

from __future__ import annotations

import re

import pytest

from .page import PHONE, Page

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def test_the_wall_shows_films_for_the_person_in_the_address(page: Page) -> None:
    page.open("?person=301")
    assert page.text("#board-name") == "Person 301"
    assert len(page.films) == 25
    assert len(set(page.films)) == 25
    assert page.driver.title == "Marquee: films for person 301"


def test_without_an_address_the_first_ticket_is_taken(page: Page) -> None:
    page.open()
    pressed = page.one(".ticket[aria-pressed='true']").get_attribute("data-user-id")
    assert page.text("#board-name") == f"Person {pressed}"
    assert f"person={pressed}" in page.driver.current_url


def test_another_ticket_brings_other_films(page: Page) -> None:
    page.open("?person=302")
    before = page.films
    page.click(".ticket:not([aria-pressed='true'])")
    assert page.changed_films(before) != before
    assert page.text("#board-name") != "Person 302"


def test_the_console_stays_silent_and_no_other_host_is_asked(page: Page) -> None:
    page.open("?person=303")
    page.click("#wall .poster-button")
    page.wait(lambda: page.all("#film-dialog .shelf-film"))
    assert page.console() == []
    assert page.hosts_asked() == {page.url.removeprefix("http://")}


def test_the_page_says_that_the_people_of_the_sample_are_simulated(page: Page) -> None:
    page.open("?person=304")
    assert "2,000 people are simulated" in page.one("#simulated").text
    assert "simulated" in page.one("#foot-data").text


def test_the_booth_shows_release_stages_and_cache(page: Page, service: object) -> None:
    page.open("?person=305")
    facts = dict(zip(page.texts(".booth-answer dt"), page.texts(".booth-answer dd"), strict=True))
    assert facts["Release"] == str(service.release.number)  # type: ignore[attr-defined]
    assert facts["Left out"] == "nothing"
    assert facts["Cache"].startswith("miss")
    assert "Search films" in page.text(".stages")
    assert re.fullmatch(r"[\d.]+ ms", page.texts(".stages td")[0])


def test_the_same_question_again_comes_from_the_cache(page: Page) -> None:
    page.open("?person=306")
    page.open("?person=306")
    assert "hit" in page.text(".booth-answer .booth-facts dd")


def test_why_shows_bars_that_add_up_to_the_score(page: Page) -> None:
    page.open("?person=307")
    page.click("#wall .card:nth-child(3) .why")
    values = [value.replace("−", "-") for value in page.texts("#wall .card:nth-child(3) .bar-value")]
    score = float(page.text("#wall .card:nth-child(3) .score").removeprefix("score "))
    assert len(values) > 1
    # At most seven values and a score, each rounded to hundredths.
    assert sum(map(float, values)) == pytest.approx(score, abs=8 * 0.005)
    assert page.one("#wall .card:nth-child(3) .why").get_attribute("aria-expanded") == "true"


def test_a_film_opens_with_its_story_and_films_like_it(page: Page) -> None:
    page.open("?person=308")
    title = page.text("#wall .card-title")
    page.click("#wall .poster-button")
    assert page.one("#film-title").text == title
    page.wait(lambda: page.all("#film-dialog .shelf-film"))
    assert page.one("#film-dialog .overview").text
    page.click("#film-dialog .shelf-film")
    page.wait(lambda: page.one("#film-title").text != title)
    page.click("#film-dialog .film-back")
    page.wait(lambda: page.one("#film-title").text == title)


@pytest.mark.parametrize("width", [320, 360, 600, 820, 1200, 1400])
def test_no_width_scrolls_sideways_or_breaks_the_name(page: Page, width: int) -> None:
    page.open("?person=312", size=(width, 900))
    scrolled, shown = page.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert scrolled == shown
    height, size = page.run(
        "const name = document.querySelector('.wordmark'); return [name.offsetHeight, getComputedStyle(name).fontSize]"
    )
    assert height < 1.5 * float(size.removesuffix("px"))  # the name stays on one line


@pytest.mark.parametrize("query", ["?person=309", "?own"])
def test_a_phone_scrolls_only_downwards(page: Page, query: str) -> None:
    page.open(query, size=PHONE)
    assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    page.click("#filters-toggle")
    page.click("#compare-toggle")
    page.wait(lambda: page.all(".compare-film"))
    assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]


def test_light_and_dark_follow_the_system_until_somebody_chooses(page: Page) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.open("?person=310", scheme="light").run(ground)
    dark = page.open("?person=310", scheme="dark").run(ground)
    assert light != dark
    page.click("#theme option[value='light']")
    assert page.run(ground) == light


def test_posters_that_do_not_load_become_drawn_cards(page: Page) -> None:
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/poster/*"]})
    try:
        page.open("?person=311")
        title = page.text("#wall .card-title")
        drawn = page.wait(lambda: page.all("#wall .card:first-child .poster-drawn-title"))
        assert drawn[0].text == title
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
