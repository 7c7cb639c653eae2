"""What the page shows when a server fails, lacks something, or sends titles that look like markup."""

from __future__ import annotations

import pytest

from .page import Page

pytestmark = [pytest.mark.integration, pytest.mark.browser]

ANSWER_503 = """async () => Response.json(
  {success: false, error: {code: "not_ready", message: "the service is not ready", detail: {}}}, {status: 503})"""

ANSWER_404 = """async () => Response.json(
  {success: false, error: {code: "unknown_route", message: "nothing is served here", detail: {}}}, {status: 404})"""

NASTY_TITLE = "<img src=x onerror=window.caught=1><script>window.caught=1</script>"

NASTY_TITLES = """async (ask) => {
  const answer = await (await ask()).json();
  const nasty = '<img src=x onerror=window.caught=1><script>window.caught=1<' + '/script>';
  for (const film of answer.recommendations) { film.title = nasty; film.genres = [nasty]; film.poster_url = null; }
  return Response.json(answer);
}"""

DEGRADED = """async (ask) => {
  const answer = await (await ask()).json();
  return Response.json({...answer, degraded: ["sequence", "feature_store"]});
}"""


def test_errors_are_told_in_the_servers_words(page: Page) -> None:
    page.rewrite("/recommend", ANSWER_503)
    page.open("?person=701", until="#wall-retry:not([hidden])")
    assert page.one("#wall-empty").text == "The service is not ready."
    assert "The service is not ready." in page.text("#alerts")
    assert page.films == []


def test_trying_again_brings_the_films(page: Page) -> None:
    page.rewrite("/recommend", ANSWER_503.replace("async () =>", "async (ask) => window.isWell ? ask() :"))
    page.open("?person=702", until="#wall-retry:not([hidden])")
    page.run("window.isWell = true")
    page.click("#wall-retry")
    page.wait(lambda: len(page.films) == 25)
    assert not page.is_shown("#wall-empty")


def test_an_unreachable_server_is_called_so(page: Page) -> None:
    page.rewrite("/recommend", "async () => { throw new TypeError('Failed to fetch') }")
    page.open("?person=703", until="#wall-retry:not([hidden])")
    assert page.one("#wall-empty").text == "The server cannot be reached. Is it still running?"


def test_an_event_is_sent_again_under_the_same_key(page: Page) -> None:
    """The answer to the first is lost; the server counts both as one."""
    page.rewrite(
        "/events",
        """async (ask) => {
          (window.keys ??= []).push(options.headers["Idempotency-Key"]);
          const answer = await ask();
          if (window.keys.length === 1) throw new TypeError("connection lost");
          window.acknowledged = await answer.clone().json();
          return answer;
        }""",
    )
    page.open("?person=704")
    before = page.films
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.changed_films(before)
    first, second = page.run("return window.keys")
    assert first == second
    assert page.run("return window.acknowledged.status") == "duplicate"


@pytest.mark.parametrize(
    ("route", "hidden"),
    [("/events", ".stars"), ("/people", "#tickets"), ("/similar", ".film-similar")],
)
def test_what_a_server_lacks_is_hidden(page: Page, route: str, hidden: str) -> None:
    page.rewrite(route, ANSWER_404)
    page.open("?person=705")
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.wait(lambda: page.is_settled)
    page.click("#wall .poster-button")
    page.wait(lambda: page.all(hidden) and not page.is_shown(hidden))
    assert len(page.films) == 25


def test_titles_that_look_like_markup_stay_text(page: Page) -> None:
    page.rewrite("/recommend", NASTY_TITLES)
    page.open("?person=707")
    assert page.text("#wall .card-title") == NASTY_TITLE
    page.click("#wall .poster-button")
    assert page.one("#film-title").text == NASTY_TITLE
    assert page.all("#wall .card-title *, #film-title *, #wall img") == []
    assert page.run("return window.caught") is None


def test_parts_that_were_left_out_are_named(page: Page) -> None:
    page.rewrite("/recommend", DEGRADED)
    page.open("?person=708")
    assert page.text(".booth-facts .bad") == "“Next to watch” and the store of events"


def test_the_lamp_says_when_redis_is_away(page: Page) -> None:
    page.rewrite("/health", 'async (ask) => Response.json({...(await (await ask()).json()), redis: "not_available"})')
    page.open("?person=709")
    page.wait(lambda: page.one("#lamp").get_attribute("data-state") == "weak")
    assert "Redis is away" in page.text(".booth-health")


def test_an_inline_script_would_not_run(page: Page) -> None:
    """The content security policy holds, should markup ever slip in."""
    page.open("?person=710")
    page.run(
        "const script = document.createElement('script'); script.textContent = 'window.caught = 1';"
        "document.body.append(script)"
    )
    assert page.run("return window.caught") is None
