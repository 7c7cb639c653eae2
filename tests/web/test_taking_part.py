"""What changes when somebody does something."""

from __future__ import annotations

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from .page import Page

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def test_stars_change_the_wall(page: Page) -> None:
    page.open("?person=401")
    before = page.films
    page.click(f".card[data-movie-id='{before[2]}'] .stars label:nth-of-type(5)")
    after = page.changed_films(before)
    assert before[2] not in after
    assert page.all("#wall .moved[data-direction]")
    assert "5 stars" in page.wait(lambda: page.texts(".notice"))[0]
    assert "5 stars" in page.text(".booth-actions li")


def test_a_rated_film_heads_the_film_strip(page: Page) -> None:
    page.open("?person=402")
    page.wait(lambda: page.all(".frame"))
    title = page.text("#wall .card-title")
    page.click("#wall .card .stars label:nth-of-type(4)")
    page.wait(lambda: title in page.text(".frame"))
    assert page.text(".frame .frame-stars") == "4"


def test_the_rating_is_the_servers_too(page: Page) -> None:
    page.open("?person=403")
    before = page.films
    page.click("#wall .card .stars label:nth-of-type(5)")
    after = page.changed_films(before)
    answer = httpx.post(f"{page.url}/recommend", json={"user_id": "403", "top_k": 25}, timeout=30).json()
    assert [film["movie_id"] for film in answer["recommendations"]] == after


def test_a_film_that_is_not_for_somebody_goes_at_once(page: Page) -> None:
    page.open("?person=404")
    before = page.films
    page.click("#wall .card:nth-child(2) .dismiss")
    assert before[1] not in page.changed_films(before)
    assert "is not for you" in page.text(".booth-actions li")


def test_looking_at_a_film_tells_the_service_and_the_film_stays(page: Page) -> None:
    page.rewrite("/events", "async (ask) => { (window.sent ??= []).push(JSON.parse(options.body)); return ask(); }")
    page.open("?person=412")
    shown_by, film = page.text(".booth-facts .mono"), page.films[1]
    page.click("#wall .card:nth-child(2) .poster-button")
    page.click("#film-dialog .film-close")
    page.wait(lambda: page.text(".booth-facts .mono") != shown_by and page.is_settled)
    expected = {"user_id": "412", "item_id": film, "recommendation_id": shown_by, "event_type": "click"}
    assert page.run("return window.sent") == [expected]
    assert film in page.films


def test_a_taste_built_by_clicks_moves_the_programme(page: Page) -> None:
    page.open("?own")
    page.wait(lambda: page.all(".taste-film"))
    seen = [page.films]
    for n in (1, 2, 3):
        page.click(f".taste-films li:nth-child({n}) .taste-film")
        seen.append(page.changed_films(seen[-1]))
    assert len({tuple(films) for films in seen}) == 4
    page.wait(lambda: page.text("#taste-hint").startswith("3 films so far"))
    assert page.text("#board-name") == "You"


def test_who_asks_for_it_and_means_it_is_forgotten(page: Page) -> None:
    def nothing_is_known() -> bool:  # which films are popular then, others change meanwhile
        return "no history yet" in page.text(".booth-facts")

    page.open("?own")
    page.wait(lambda: page.all(".taste-film"))
    assert nothing_is_known()
    page.click(".taste-film")
    page.wait(lambda: not nothing_is_known())
    assert page.is_shown("#filmstrip")
    mine = page.run("return localStorage.getItem('marquee.own-id')")
    page.click("#forget-me")
    assert page.focused == "Keep everything"
    page.press(Keys.ENTER)
    assert not page.is_shown("#forget-dialog")
    assert not nothing_is_known()
    page.click("#forget-me")
    page.click("#forget-dialog .primary")
    page.wait(nothing_is_known)
    assert not page.is_shown("#filmstrip")
    assert page.wait(lambda: page.text("#notices")).startswith("You are forgotten, with 1 event")
    assert httpx.get(f"{page.url}/people/{mine}", timeout=30).json()["total_ratings"] == 0
    assert page.run("return localStorage.getItem('marquee.own-id')") != mine


def test_a_person_of_the_data_can_be_forgotten(page: Page) -> None:
    page.open("?person=414")
    before = page.films
    page.click("#forget-person")
    assert page.text("#forget-heading") == "Forget person 414?"
    page.click("#forget-dialog .primary")
    assert page.changed_films(before)
    assert "no history yet" in page.text(".booth-facts")
    assert page.text("#board-name") == "Person 414"


def test_a_taste_survives_reloading(page: Page) -> None:
    page.open("?own")
    popular = page.films
    page.wait(lambda: page.all(".taste-film"))
    page.click(".taste-film")
    mine = page.changed_films(popular)
    page.driver.refresh()
    page.wait(lambda: page.films and page.is_settled)
    assert page.films == mine


def test_newest_first_orders_by_year(page: Page) -> None:
    page.open("?person=408")
    before = page.films
    page.click("#sort option[value='newest']")
    after = page.changed_films(before)
    assert sorted(after) == sorted(before)
    years = page.years
    assert years == sorted(years, reverse=True)


def test_more_films_go_on_below(page: Page) -> None:
    page.open("?person=409")
    before = page.films
    page.click("#wall-more")
    page.wait(lambda: len(page.films) == 50)
    assert page.films[:25] == before


def test_a_mix_of_ones_own_changes_the_wall(page: Page) -> None:
    page.open("?person=410")
    before = page.films
    page.click("#blend option[value='mix']")
    page.wait(lambda: page.is_shown("#mixer"))
    page.run(
        "for (const [i, fader] of document.querySelectorAll('.fader input').entries()) {"
        "  fader.value = i === 6 ? 100 : 0; fader.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    mixed = page.changed_films(before)
    page.click("#blend option[value='only-popularity']")
    page.wait(lambda: page.is_settled)
    assert page.films == mixed


def test_the_re_ranker_may_order_the_wall(page: Page) -> None:
    page.open("?person=413")
    question = {"user_id": "413", "top_k": 25, "scorer": "mlp"}
    answer = httpx.post(f"{page.url}/recommend", json=question, timeout=30).json()
    assert answer["scorer"] == "mlp"
    page.click("#blend option[value='scorer-mlp']")
    page.wait(lambda: page.films == [film["movie_id"] for film in answer["recommendations"]])


def test_two_blends_stand_side_by_side(page: Page) -> None:
    page.open("?person=411")
    page.click("#compare-toggle")
    page.wait(lambda: page.one("#compare").get_attribute("aria-busy") == "false")
    before = compared(page, "right")
    page.click(".compare-side.right option[value='only-popularity']")
    page.wait(lambda: compared(page, "right") != before)
    left, right = compared(page, "left"), compared(page, "right")
    shared = set(left) & set(right)
    assert len(left) == len(right) == 12
    page.wait(lambda: page.text(".compare-summary").startswith(f"{len(shared)} of 12"))
    assert len(page.all(".compare-lines path")) == len(shared)


def test_a_varied_order_stands_beside_the_usual_one(page: Page) -> None:
    page.open("?person=412")
    page.click("#compare-toggle")
    page.wait(lambda: page.one("#compare").get_attribute("aria-busy") == "false")
    before = compared(page, "right")
    page.click(".compare-side.right option[value='varied']")
    page.wait(lambda: compared(page, "right") != before)
    left, right = compared(page, "left"), compared(page, "right")
    assert len(right) == len(set(right)) == 12
    assert left[0] == right[0]  # the first place goes to the best film in both


def compared(page: Page, side: str) -> list[str]:
    found: list[str] = page.run(
        "return Array.from(document.querySelectorAll(arguments[0]), row => row.dataset.movieId)",
        f".compare-side.{side} li",
    )
    return found
