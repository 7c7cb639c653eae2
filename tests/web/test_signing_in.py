"""The page of a server that asks who is calling."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from bento.auth.tokens import Tokens
from tests.conftest import JWT_SECRET, Service

from .page import Page

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.timeout(300)]

PASSWORD = "correct horse"
DIALOG = "#sign-in-dialog"

REFUSED_ONCE = """async (ask) => {
  if (sessionStorage.getItem("refused")) return ask();
  sessionStorage.setItem("refused", "yes");
  return new Response("{}", {status: 401});
}"""
"""What a token that ends between two clicks is answered."""


@pytest.fixture
def page(chromium: WebDriver, asking_service: Service) -> Iterator[Page]:
    page = Page(chromium, asking_service.url)
    page.open(until=f"{DIALOG}[open] form")
    yield page
    page.forget_rewrites()


def fill_in(page: Page, username: str, password: str) -> None:
    for field, text in (("username", username), ("password", password)):
        page.one(f"{DIALOG} [name={field}]").clear()
        page.one(f"{DIALOG} [name={field}]").send_keys(text)
    page.click(f"{DIALOG} [type=submit]")


def register(page: Page, username: str) -> None:
    page.click(f"{DIALOG} .sign-in-turn")
    fill_in(page, username, PASSWORD)
    page.wait(lambda: page.all("#wall .card") and page.is_settled)


def kept(page: Page) -> dict[str, str]:
    """What the tab remembers of whoever signed in."""
    found: dict[str, str] = json.loads(page.run("return sessionStorage.getItem('marquee.signed-in')"))
    return found


def test_somebody_new_registers_rates_and_stays_signed_in(page: Page) -> None:
    assert page.text(f"{DIALOG} .sign-in-words") == "This server requires you to sign in."
    register(page, "walter")
    assert page.texts("#account .account-name") == ["walter"]
    assert not page.is_shown("#known-panel")  # other people are not theirs to see
    assert not page.is_shown(DIALOG)
    poster = "return document.querySelector('#wall .card img').naturalWidth"
    assert page.wait(lambda: page.run(poster)) > 0  # pictures need no token
    before = page.films
    page.click("#wall .card .stars label:nth-of-type(5)")
    assert before[0] not in page.changed_films(before)
    page.wait(lambda: page.is_shown("#filmstrip"))  # their own history is theirs to see
    after = page.films
    page.driver.refresh()
    page.wait(lambda: page.all("#wall .card") and page.is_settled)
    assert (page.films, page.is_shown(DIALOG)) == (after, False)
    assert [line for line in page.console() if "401" not in line] == []


def test_signing_in_takes_the_right_password_and_signing_out_forgets_it(page: Page, asking_service: Service) -> None:
    account = {"username": "jesse", "password": PASSWORD}
    assert httpx.post(f"{asking_service.url}/auth/register", json=account).status_code == 201
    fill_in(page, "jesse", "wrong horse")
    assert page.wait(lambda: page.text(f"{DIALOG} [role=alert]")) == "Name or password is wrong."
    fill_in(page, "jesse", PASSWORD)
    page.wait(lambda: page.all("#wall .card") and page.is_settled)
    page.click("#account button")  # sign out
    page.wait(lambda: page.all(f"{DIALOG}[open] form"))
    assert page.run("return sessionStorage.getItem('marquee.signed-in')") is None
    assert page.films == []


@pytest.mark.slow
def test_a_name_that_is_taken_is_told(page: Page, asking_service: Service) -> None:
    page.click(f"{DIALOG} .sign-in-turn")
    fill_in(page, "601", PASSWORD)  # a person of the release
    words = page.wait(lambda: page.text(f"{DIALOG} [role=alert]"))
    assert "is taken" in words


def test_an_expired_token_leads_to_the_form_and_back_to_the_same_person(page: Page, asking_service: Service) -> None:
    register(page, "skyler")
    expired = Tokens(JWT_SECRET, 60, lambda: time.time() - 3_600).issue("skyler", "user")
    page.run("sessionStorage.setItem('marquee.signed-in', arguments[0])", json.dumps(kept(page) | {"token": expired}))
    page.driver.refresh()
    page.wait(lambda: page.all(f"{DIALOG}[open] form"))
    assert page.text(f"{DIALOG} .sign-in-words") == "Your sign-in has ended. Please sign in again."
    fill_in(page, "skyler", PASSWORD)
    page.wait(lambda: page.all("#wall .card") and page.is_settled)
    assert kept(page)["token"] != expired


def test_a_rating_that_met_an_ended_sign_in_counts_after_signing_in_again(page: Page) -> None:
    page.rewrite("/events", REFUSED_ONCE)
    page.open(until=f"{DIALOG}[open] form")
    register(page, "hank")
    film = page.films[0]
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.wait(lambda: page.all(f"{DIALOG}[open] form"))
    assert "counts as soon as you have signed in" in page.wait(lambda: page.text("#notices"))
    fill_in(page, "hank", PASSWORD)
    page.wait(lambda: "films moved" in page.text("#notices") or "new, " in page.text("#notices"))
    assert film not in page.films
    assert page.text(".frame-stars") == "5"
    page.driver.refresh()
    page.wait(lambda: page.all("#wall .card") and page.is_settled)
    assert page.text("#notices") == ""  # it was sent once


def test_an_account_is_forgotten_with_its_person(page: Page, asking_service: Service) -> None:
    register(page, "saul")
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.wait(lambda: page.is_shown("#filmstrip"))
    page.click("#forget-me")
    assert "Your account “saul” is deleted with it" in page.text("#forget-dialog")
    page.click("#forget-dialog .primary")
    page.wait(lambda: page.text("#forget-heading") == "You are forgotten")
    assert page.text("#forget-dialog p") == "Your account is gone, with 1 event."
    page.click("#forget-dialog .primary")
    page.wait(lambda: page.all(f"{DIALOG}[open] form"))
    fill_in(page, "saul", PASSWORD)
    assert page.wait(lambda: page.text(f"{DIALOG} [role=alert]")) == "Name or password is wrong."


@pytest.mark.slow
def test_who_is_forgotten_meanwhile_is_asked_again_when_they_rate(page: Page, asking_service: Service) -> None:
    register(page, "gus")
    bearer = {"Authorization": f"Bearer {kept(page)['token']}"}
    assert httpx.delete(f"{asking_service.url}/users/gus", headers=bearer).status_code == 200
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.wait(lambda: page.all(f"{DIALOG}[open] form"))
    assert page.text(f"{DIALOG} .sign-in-words") == "Your sign-in has ended. Please sign in again."
    page.click(f"{DIALOG} .buttons [type=button]")  # not now
    assert page.one("#account button").text == "Sign in"
    page.click("#account button")
    assert page.is_shown(f"{DIALOG} form")


@pytest.mark.slow
def test_a_service_account_may_look_at_anybody(page: Page, asking_service: Service, admin_key: str) -> None:
    account = {"username": "ticket office", "password": PASSWORD, "role": "service"}
    made = httpx.post(f"{asking_service.url}/auth/register", json=account, headers={"X-API-Key": admin_key})
    assert made.status_code == 201
    fill_in(page, "ticket office", PASSWORD)
    page.wait(lambda: page.all("#wall .card") and page.is_settled)
    assert len(page.all("#tickets .ticket")) == 10
