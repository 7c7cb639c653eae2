"""The page as a test drives it: a real Chromium, one window."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 30
"""Long enough for a busy machine; a test that passes never waits for it."""

DESKTOP = (1440, 900)
PHONE = (390, 844)

WRAP_FETCH = """
const served = window.fetch;
window.fetch = async (url, options) => {
  const path = new URL(url, location.href).pathname;
  const answer = path === %(path)s ? (%(change)s) : null;
  return answer ? answer(() => served(url, options)) : served(url, options);
};
"""


class Page:
    """What somebody sees and does."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        self.url = url
        self._scripts: list[str] = []

    def open(
        self,
        query: str = "",
        size: tuple[int, int] = DESKTOP,
        scheme: str = "light",
        reduced_motion: bool = False,
        until: str = "#wall .card",
    ) -> Page:
        """Load the page afresh, with nothing remembered, and wait for its films."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        motion = "reduce" if reduced_motion else "no-preference"
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        origin = {"origin": self.url, "storageTypes": "local_storage,session_storage"}
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", origin)
        self.driver.get("about:blank")
        self.console()
        self.requested_urls()
        self.driver.get(f"{self.url}/{query}")
        self.wait(lambda: self.all(until) and self.is_settled)
        return self

    def rewrite(self, path: str, change: str) -> None:
        """From the next `open` on, answers of a path go through `change`, a JavaScript `async (ask) => Response`."""
        source = WRAP_FETCH % {"path": json.dumps(path), "change": change}
        command = "Page.addScriptToEvaluateOnNewDocument"
        self._scripts.append(self.driver.execute_cdp_cmd(command, {"source": source})["identifier"])

    def forget_rewrites(self) -> None:
        """Answers come as they are again."""
        for identifier in self._scripts:
            self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier})
        self._scripts.clear()

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds and return its value."""
        waiting = WebDriverWait(self.driver, PATIENCE_S, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda _: condition())  # the page may redraw what a condition just looked at

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Text of an element, also when a style hides it."""
        content: str = self.run("return document.querySelector(arguments[0]).textContent", selector)
        return content

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(
            "return Array.from(document.querySelectorAll(arguments[0]), e => e.textContent)", selector
        )
        return found

    def is_shown(self, selector: str) -> bool:
        return any(element.is_displayed() for element in self.all(selector))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        """Scroll to an element and click where it stands, once nothing that still moves lies over it."""

        def clicked(_: object) -> bool:
            element = self.one(selector)
            self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
            element.click()
            return True

        in_motion = [ElementClickInterceptedException, StaleElementReferenceException]
        WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=in_motion).until(clicked)

    def press(self, *keys: str) -> None:
        """Keys, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def tab_to(self, selector: str, at_most: int = 60) -> None:
        """Press Tab until an element has the focus."""
        for _ in range(at_most):
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return
            self.press(Keys.TAB)
        raise AssertionError(f"{at_most} times Tab do not reach {selector}")

    @property
    def is_settled(self) -> bool:
        """The programme is not being asked for."""
        return self.one("#wall").get_attribute("aria-busy") == "false"

    @property
    def films(self) -> list[int]:
        """movie_ids on the wall, in their order."""
        found: list[int] = self.run(
            "return Array.from(document.querySelectorAll('#wall .card'), card => Number(card.dataset.movieId))"
        )
        return found

    @property
    def years(self) -> list[int]:
        """Year of each film on the wall."""
        return [int(facts.split(" · ")[0]) for facts in self.texts("#wall .card-facts")]

    @property
    def focused(self) -> str:
        """Accessible words of what has the focus."""
        name: str = self.driver.switch_to.active_element.accessible_name
        return name

    def changed_films(self, before: list[int]) -> list[int]:
        """Wait for another list and return it."""
        self.wait(lambda: self.films and self.films != before and self.is_settled)
        return self.films

    def console(self) -> list[str]:
        """What the console said since it was last asked."""
        return [f"{entry['level']} {entry['message']}" for entry in self.driver.get_log("browser")]

    def requested_urls(self) -> list[str]:
        """Addresses that were asked for since last time."""
        urls = []
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                urls.append(event["params"]["request"]["url"])
        return urls

    def hosts_asked(self) -> set[str]:
        """Hosts of those addresses; data inside the page itself is none."""
        return {
            urlsplit(url).netloc for url in self.requested_urls() if urlsplit(url).scheme in ("http", "https", "ws")
        }
