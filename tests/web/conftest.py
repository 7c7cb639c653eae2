"""A headless Chromium, started once, on the page of the shared service."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service as ChromeDriver
from selenium.webdriver.chrome.webdriver import WebDriver

from .page import Page

if TYPE_CHECKING:
    from tests.conftest import Service

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver on the PATH")
    options = ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options, ChromeDriver(driver, log_output=subprocess.DEVNULL))
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium: WebDriver, service: Service) -> Iterator[Page]:
    """The page; `open` it with whoever should be watching. Each test takes people of its own: ratings stay."""
    page = Page(chromium, service.url)
    yield page
    page.forget_rewrites()
