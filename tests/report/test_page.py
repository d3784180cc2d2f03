"""The page in a real browser: what it shows, what it runs and asks for, and who can use it."""

import threading
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest

from davidgen_hf.report import serve_report, write_report

pytestmark = pytest.mark.browser
WAYS = ("file", "served")


@pytest.fixture(scope="session")
def addresses(hostile_run, tmp_path_factory) -> Iterator[dict[str, str]]:
    page = write_report(hostile_run, tmp_path_factory.mktemp("page") / "report.html")
    server = serve_report(hostile_run, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"file": page.as_uri(), "served": f"http://127.0.0.1:{server.server_port}/"}
    server.shutdown()


@pytest.fixture(params=WAYS)
def visit(request, watch, addresses) -> Iterator[Callable]:
    """Open the page from a file or a server."""
    address = addresses[request.param]
    with watch(address) as open_page:
        yield lambda width=1440, scheme="light", suffix="": open_page(address + suffix, width, scheme)


def wait(page, change: Callable) -> None:
    before = page.get_attribute("html", "data-ready")
    change()
    page.wait_for_function("before => document.documentElement.dataset.ready !== before", arg=before)


def test_search_finds_words_of_passages_and_instructions(visit):
    page = visit()
    total = page.inner_text("#found")
    wait(page, lambda: page.fill("#search", "house number 117"))
    assert page.inner_text("#found") in ("1 row", "2 rows")  # whole and sentence
    wait(page, lambda: page.fill("#search", "nowhere to be found"))
    assert page.inner_text("#found") == "0 rows"
    wait(page, lambda: page.click("text=Clear"))
    assert page.inner_text("#found") == total


def test_filters_narrow_and_sorting_orders(visit):
    page = visit()
    wait(page, lambda: page.select_option("#strategy", "sentence"))
    assert set(page.locator("#list .about > span:first-child").all_inner_texts()) == {"sentence"}
    wait(page, lambda: page.fill("#perplexity", "5"))
    values = [float(text.split()[1]) for text in page.locator("#list .about > span:nth-child(2)").all_inner_texts()]
    assert values
    assert max(values) <= 5
    wait(page, lambda: page.select_option("#sort", "-perplexity"))
    values = [float(text.split()[1]) for text in page.locator("#list .about > span:nth-child(2)").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    wait(page, lambda: page.fill("#margin", "0.2"))
    assert min(float(one.split()[1]) for one in page.locator(".about > span:nth-child(3)").all_inner_texts()) >= 0.2


def test_a_reason_finds_the_rows_with_such_a_candidate(visit):
    page = visit()
    reason = page.locator("#reason option").nth(1).get_attribute("value")
    wait(page, lambda: page.select_option("#reason", reason))
    page.locator("#list summary").first.click()
    assert reason.replace("_", " ") in page.locator("#list table").first.inner_text()


def test_an_opened_row_shows_its_passage_and_all_candidates(visit):
    page = visit()
    wait(page, lambda: page.fill("#search", "house number 123"))
    wait(page, lambda: page.select_option("#strategy", "sentence"))
    page.locator("#list summary").first.click()
    text = page.locator("#list .text").first
    assert "The house number 123 stands by the river. 24 people live in it" in text.inner_text()
    assert text.locator("mark").inner_text() in text.inner_text()
    assert page.locator("#list tbody tr").count() == 4


def test_keys_alone_do_it_all(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.focus("#search")
    wait(page, lambda: page.keyboard.type("river"))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#list details[open] table")
    page.focus("#next")
    wait(page, lambda: page.keyboard.press("Enter"))
    assert page.inner_text("#page").startswith("Page 2 of")


def test_filters_are_kept_in_the_address(visit):
    page = visit()
    wait(page, lambda: page.select_option("#strategy", "whole"))
    again = visit(suffix=page.evaluate("location.hash"))
    assert again.input_value("#strategy") == "whole"
    assert again.inner_text("#found") == page.inner_text("#found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_sticks_out_and_axe_finds_no_fault(visit, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(width, scheme)
    wait(page, lambda: page.select_option("#sort", "perplexity"))
    page.locator("#list summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(251, 250, 248)"
    assert dark == (scheme == "dark")
    faults = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert faults == []


@pytest.mark.parametrize("place", range(5))
def test_hostile_text_is_shown_as_text(visit, place):
    page = visit(390)
    wait(page, lambda: page.select_option("#strategy", "whole"))
    page.locator("#list summary").nth(place).click()
    text = page.locator("#list .text").first
    shown = text.inner_text()
    expected = ("<script>window.hacked = 1</script>", "⟨U+202E⟩gnorw", "Z", "longlong", "{{ 7 * 7 }}")[place]
    assert expected in shown
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if place == 2:
        assert shown.count("\u0301") < 10
    if place == 3:
        page.click("text=Show all 200,000 characters")
        assert len(text.inner_text()) >= 200_000
        assert text.bounding_box()["height"] < 600


def test_the_policy_lets_nothing_else_run(hostile_run, tmp_path):
    html = write_report(hostile_run, tmp_path / "report.html").read_text("utf-8")
    assert "default-src 'none'" in unescape(html)
    assert "unsafe" not in html.partition("<title>")[0]
    assert "<script>window.hacked" not in html
    assert Path(tmp_path / "report.html").stat().st_size < 40e6
