"""The page in a real browser, by keyboard, on a screen and on a phone.

``KGREC_TEST_SCREENSHOTS`` names a folder for pictures of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from kgrec.service.settings import Tokens
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import needs_browser, open_browser
from tests.service.conftest import Service, Start

pytestmark = needs_browser
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
SECONDS = 20.0
T = TypeVar("T")


class Page:
    """The page as somebody sees and uses it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, service: Service) -> None:
        self.driver.get(f"http://127.0.0.1:{service.port}/")
        self.wait_for("#user-search input")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def until(self, holds: Callable[[], T], what: str) -> T:
        """Wait until something holds; elements that the page drew anew are looked up again."""
        waiting = WebDriverWait(
            self.driver, SECONDS, ignored_exceptions=[StaleElementReferenceException]
        )
        return waiting.until(lambda _: holds(), what)

    def wait_for(self, selector: str, words: str = "") -> WebElement:
        def found() -> list[WebElement]:
            return [one for one in self.all(selector) if one.is_displayed() and words in one.text]

        return self.until(found, f"{selector} with '{words}'")[0]

    def click(self, selector: str, words: str = "") -> None:
        """Click once the element is there and nothing covers it, as somebody would."""
        covered: list[str] = []

        def clicked() -> bool:
            try:
                self.wait_for(selector, words).click()
            except ElementClickInterceptedException as error:
                covered.append(str(error.msg))
                return False
            return True

        try:
            self.until(clicked, f"a click on {selector} with '{words}'")
        except TimeoutException as error:
            raise AssertionError(f"{error.msg}: {covered[-1:]}") from error

    def search(self, place: str, words: str) -> None:
        """Type words, wait for the list, and take its first entry, all by keyboard."""
        field = self.wait_for(f"{place} input")
        field.send_keys(words)
        self.wait_for(f"{place} li", words)
        field.send_keys(Keys.ENTER)

    def texts(self, selector: str) -> list[str]:
        """Return texts of all elements, of one moment: the page may draw its lists anew."""
        return list(
            self.driver.execute_script(
                "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)",
                selector,
            )
        )

    def attributes(self, selector: str, name: str) -> list[str]:
        """Return an attribute of all elements, of one moment."""
        return list(
            self.driver.execute_script(
                "return [...document.querySelectorAll(arguments[0])]"
                ".map(e => e.getAttribute(arguments[1]))",
                selector,
                name,
            )
        )

    def items(self) -> list[str]:
        return self.attributes("#list button", "data-item")

    def wait_for_items(self, expected: list[str]) -> None:
        self.until(lambda: self.items() == expected, f"the list {expected}")

    def active(self) -> WebElement:
        return self.driver.switch_to.active_element

    def errors(self) -> list[str]:
        return [one["message"] for one in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def hosts(self) -> set[str]:
        names = self.driver.execute_script(
            "return performance.getEntriesByType('resource').map(e => new URL(e.name).host)"
        )
        return set(names)

    def keep_picture(self, name: str) -> None:
        if folder := os.environ.get("KGREC_TEST_SCREENSHOTS"):
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome, service: Service) -> Page:
    page = Page(driver)
    page.open(service)
    page.errors()
    return page


def test_a_user_their_list_and_the_reasons_by_keyboard_alone(page: Page, service: Service) -> None:
    ranker = service.live.current()
    page.search("#user-search", "person07")
    page.wait_for("#list button")
    page.wait_for("summary", "Which items").send_keys(Keys.ENTER)
    page.wait_for("#length").send_keys(Keys.CONTROL, "a", Keys.NULL, "60", Keys.TAB)
    expected = ranker.recommend("person07", 60)
    page.wait_for_items(expected["item"].tolist())
    cold = page.attributes("#list button:has(.cold)", "data-item")
    assert cold == expected[expected["cold"]]["item"].tolist()
    assert cold
    page.driver.execute_script(f"document.querySelector(\"[data-item='{cold[0]}']\").focus()")
    page.active().send_keys(Keys.ENTER)
    page.wait_for("#detail-title", cold[0])
    path = ranker.explanation(cold[0], user="person07", n=8).paths["path"][0]
    page.wait_for("#panel-why .paths", path)
    boxes = page.texts("#panel-why svg g.boxed text")
    assert cold[0] in boxes
    assert set(boxes) & set(ranker.explain("person07", cold[0], 20)["history_item"])
    page.wait_for("#panel-why table", "has_genre")
    page.keep_picture("why")
    assert page.errors() == []


def test_the_neighbourhood_grows(page: Page, service: Service) -> None:
    page.search("#user-search", "person07")
    page.click("#list button")
    page.wait_for("#detail-title", page.items()[0])
    page.click("#tab-why")
    page.active().send_keys(Keys.ARROW_RIGHT)
    page.wait_for("#panel-around g[role=button]")
    ties = service.ask("GET", f"/neighbourhood?type=film&id={page.items()[0]}").json["ties"]
    shown = set(page.attributes("#panel-around g[role=button]", "data-key"))
    assert {f"{tie['node']['type']}/{tie['node']['id']}" for tie in ties} < shown
    genre = next(key for key in shown if key.startswith("genre/"))
    page.driver.execute_script(f"document.querySelector(\"[data-key='{genre}']\").focus()")
    page.active().send_keys(Keys.ENTER)
    page.wait_for("#panel-around .hint", genre.removeprefix("genre/"))
    assert len(page.all("#panel-around g[role=button]")) > len(shown)
    assert page.active().get_attribute("data-key") == genre
    page.keep_picture("neighbourhood")
    assert page.errors() == []


def test_a_history_and_filters(page: Page, service: Service) -> None:
    page.click("input[value=history]")
    for film in ("film03", "film12"):
        page.search("#history-search", film)
        page.wait_for("#history-chips button", film)
    ranker = service.live.current()
    page.wait_for("#list-hint", "film03, film12")
    page.wait_for_items(ranker.recommend_for(["film03", "film12"], 10)["item"].tolist())
    page.click("summary", "Which items")
    page.click("#only-cold")
    expected = ranker.recommend_for(["film03", "film12"], 10, cold=True)["item"].tolist()
    page.wait_for_items(expected)
    page.search("#filter-search", "genre1")
    page.wait_for("#filter-chips button", "genre1")
    expected = ranker.recommend_for(
        ["film03", "film12"], 10, cold=True, where={"genre": ["genre1"]}
    )["item"].tolist()
    page.wait_for_items(expected)
    page.click("#history-chips button", "film12")
    page.wait_for("#list-hint", "film03")
    assert page.errors() == []


def test_a_list_stays_closed_after_a_choice(page: Page) -> None:
    field = page.wait_for("#user-search input")
    field.send_keys("person0")
    page.wait_for("#user-search li", "person00")
    field.send_keys("7", Keys.ENTER)  # chosen while the search for the last letter still waits
    page.wait_for("#list-hint", "person00")
    time.sleep(0.6)  # four times what the field waits before it asks
    assert not page.wait_for("#user-search").find_element(By.TAG_NAME, "ul").is_displayed()


def test_a_new_item_and_who_gets_it(page: Page, service: Service) -> None:
    page.search("#user-search", "person07")
    page.wait_for("#list button")
    page.click("summary", "Add a new item")
    page.wait_for("#new-id").send_keys("jaws <b>2</b>")
    page.wait_for("#new-text").send_keys("a shark <script>alert(1)</script>")
    for genre in ("genre2", "genre5"):
        page.search("#new-search", genre)
        page.wait_for("#new-chips button", genre)
    page.click("#new-form button[type=submit]")
    page.wait_for("#message", "is in")
    page.wait_for("#detail-title", "jaws <b>2</b>")
    page.wait_for("#panel-audience table")
    ranker = service.live.current()
    assert "jaws <b>2</b>" in ranker.graph.items.ids.to_pylist()
    expected = ranker.audience("jaws <b>2</b>", 10)["user"].tolist()
    assert page.texts("#panel-audience tbody td:first-child") == expected
    edges = service.ask("GET", "/neighbourhood?type=film&id=jaws%20%3Cb%3E2%3C/b%3E").json["ties"]
    assert [edge["node"]["id"] for edge in edges] == ["genre2", "genre5"]
    page.keep_picture("new-item")
    assert page.errors() == []


def test_what_is_wrong_is_said(page: Page) -> None:
    page.search("#user-search", "person07")
    page.wait_for("#list button")
    page.click("summary", "Which items")
    length = page.wait_for("#length")
    length.send_keys(Keys.CONTROL, "a", Keys.NULL, "5000", Keys.TAB)
    page.wait_for("#message", "body.n")


def test_on_a_phone(driver: webdriver.Chrome, service: Service) -> None:
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        page = Page(driver)
        page.open(service)
        page.search("#user-search", "person07")
        page.click("#list button")
        page.wait_for("#panel-why .paths, #panel-why .hint")
        page.keep_picture("phone")
        for tab in ("around", "audience"):
            page.click(f"#tab-{tab}")
            page.wait_for(f"#panel-{tab} svg, #panel-{tab} table")
            sizes = driver.execute_script(
                "return [document.documentElement.scrollWidth, window.innerWidth]"
            )
            assert sizes[0] <= sizes[1] == PHONE["width"]
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_is_asked_of_other_hosts(page: Page, service: Service) -> None:
    page.search("#user-search", "person07")
    page.wait_for("#list button")
    assert page.hosts() == {f"127.0.0.1:{service.port}"}
    policy = service.ask("GET", "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy


def test_a_token_is_asked_for(driver: webdriver.Chrome, start: Start) -> None:
    service = start(Tokens(read=("reader-reader-reader",)))
    driver.get(f"http://127.0.0.1:{service.port}/")
    page = Page(driver)
    page.wait_for("#token").send_keys("reader-reader-reader", Keys.ENTER)
    page.wait_for("#user-search input")
    page.search("#user-search", "person07")
    page.wait_for("#list button")
    driver.execute_script("sessionStorage.clear()")


def test_a_replica_offers_no_form(driver: webdriver.Chrome, start: Start) -> None:
    page = Page(driver)
    page.open(start(read_only=True))
    assert not page.all("#new-item:not([hidden])")
