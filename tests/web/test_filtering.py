"""Filters: what is wanted stays, what is unwanted goes."""

from __future__ import annotations

import httpx
import pytest

from .page import Page
from .test_trouble import ANSWER_404

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def test_wanted_genres_filter_the_wall(page: Page) -> None:
    page.open("?person=405")
    before = page.films
    page.click("#filters-toggle")
    page.click(".chip[data-genre='Western']")
    page.changed_films(before)
    assert {"Western" in facts for facts in genres_of(page)} == {True}
    assert page.one("#filters-count").text == "1"


def test_unwanted_genres_leave_the_wall(page: Page) -> None:
    page.open("?person=406")
    before = page.films
    genre = genres_of(page)[0][0]
    page.click("#filters-toggle")
    page.click(f".chip[data-genre='{genre}']")
    page.click(f".chip[data-genre='{genre}']")
    page.changed_films(before)
    assert {genre in genres for genres in genres_of(page)} == {False}


def test_years_bound_the_wall(page: Page) -> None:
    page.open("?person=407")
    before = page.films
    page.click("#filters-toggle")
    page.one("input[name='min_year']").send_keys("1950")
    page.one("input[name='max_year']").send_keys("1959")
    page.changed_films(before)
    assert {year // 10 for year in page.years} == {195}
    page.click("#filters [type='reset']")
    page.wait(lambda: page.films == before)


def test_a_server_without_filters_still_shows_films(page: Page) -> None:
    page.rewrite("/recommend/filtered", ANSWER_404)
    page.open("?person=706")
    shown_by = page.text(".booth-facts .mono")
    page.click("#filters-toggle")
    page.click(".chip")
    page.wait(lambda: not page.is_shown("#filters") and page.text(".booth-facts .mono") != shown_by)
    assert len(page.films) == 25
    assert not page.is_shown("#wall-retry")


def genres_of(page: Page) -> list[list[str]]:
    """Genres of each film on the wall, as the service knows them."""
    films = (httpx.get(f"{page.url}/movie/{movie_id}", timeout=30).json() for movie_id in page.films)
    return [film["genres"] for film in films]
