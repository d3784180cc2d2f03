"""The review page in a real browser: by keyboard alone, by two people at once, and with hostile texts."""

from collections import Counter
from collections.abc import Callable

import pytest

from davidgen_hf.corpus.review import Reviews

pytestmark = pytest.mark.browser


def after(page, act: Callable) -> None:
    """Do something and wait until the page shows a row again."""
    before = page.get_attribute("html", "data-shown")
    act()
    page.wait_for_function("before => document.documentElement.dataset.shown !== before", arg=before)


def accept(page) -> None:
    after(page, lambda: page.keyboard.press("a"))


def reject(page) -> None:
    page.keyboard.press("r")
    after(page, lambda: page.keyboard.press("1"))


def reject_for_own_reason(page) -> None:
    page.keyboard.press("r")
    page.wait_for_selector("#reject:not([hidden])")
    for _ in range(5):  # past the reasons of the list
        page.keyboard.press("Tab")
    page.keyboard.type("my own reason")
    after(page, lambda: page.keyboard.press("Enter"))


def edit(page) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#edit:not([hidden])")
    page.keyboard.press("Control+A")
    page.keyboard.type("What stands by the river?")
    after(page, lambda: page.keyboard.press("Control+Enter"))


def promote(page) -> None:
    has_second = page.locator("#candidates li:nth-child(2) button:enabled").count()
    after(page, lambda: page.keyboard.press("2")) if has_second else edit(page)


def test_fifty_rows_by_keyboard_alone(visit, client):
    page = visit()
    for _ in range(10):
        for act in (reject, promote, edit, reject_for_own_reason, edit):
            act(page)
    entries = client.log()
    actions = Counter(one.action for one in entries)
    assert (actions["reject"], actions["promote"] + actions["edit"]) == (20, 30)
    assert actions["promote"] >= 3
    assert len(Reviews.of(entries).rows) == 50
    assert Counter(one.after.reason for one in entries)["my own reason"] == 10
    assert page.evaluate("document.activeElement.id") == "place"  # a screen reader says which row this is

    accept(page)
    accepted = client.log()[-1]
    assert accepted.after.verdict == "accepted"
    after(page, lambda: page.keyboard.press("u"))
    assert client.log()[-1].undoes == accepted.id
    assert page.get_attribute("html", "data-row") == accepted.row
    shown = page.get_attribute("html", "data-row")
    press = "document.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, ...%s}))".replace(
        "document.", "document.body."
    )
    for held in ("{key: 'a', code: 'KeyA', repeat: true}", "{key: 'Escape', isComposing: true}"):
        page.evaluate(press % held)
    after(page, lambda: page.evaluate(press % "{key: 'ا', code: 'KeyJ'}"))  # an Arabic keyboard
    after(page, lambda: page.evaluate(press % "{key: 'K', code: 'KeyK'}"))
    assert page.get_attribute("html", "data-row") == shown
    assert client.log()[-1].undoes == accepted.id
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    after(page, lambda: page.keyboard.press("j"))
    after(page, lambda: page.keyboard.press("k"))
    page.keyboard.press("n")
    page.wait_for_selector("#remark:not([hidden])")
    page.keyboard.type("look at this again")
    after(page, lambda: page.keyboard.press("Control+Enter"))
    assert client.log()[-1].after.note == "look at this again"
    page.wait_for_function("() => document.getElementById('progress').textContent.startsWith('50 of')")
    assert "decisions per hour" in page.inner_text("#progress")


def test_two_people_at_once_and_a_conflict_that_the_second_sees(visit, client):
    ada, ben = visit(name="ada"), visit(name="ben", width=390, scheme="dark")
    assert ada.get_attribute("html", "data-row") != ben.get_attribute("html", "data-row")  # both look for new rows
    for page in (ada, ben):
        after(page, lambda page=page: page.select_option("#only", "not_mine"))
    assert ada.get_attribute("html", "data-row") == ben.get_attribute("html", "data-row")
    edit(ada)
    after(ben, lambda: ben.keyboard.press("1"))
    assert "Another reviewer has changed this row" in ben.inner_text("#refused")
    assert ben.inner_text("#instruction") == "What stands by the river?"
    assert [one.action for one in client.log()] == ["edit"]
    accept(ben)
    for page in (ada, ben):
        reject(page)
    ben.wait_for_function("() => document.getElementById('progress').textContent.includes('agreement 2 of 2')")
    assert [(one.reviewer, one.action) for one in client.log()] == [
        *(("ada", "edit"), ("ben", "accept")),
        *(("ada", "reject"), ("ben", "reject")),
    ]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_axe_finds_no_fault_and_hostile_texts_are_shown_as_text(visit, client, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    attack = "<img src=x onerror='window.hacked = 1'>\u202egnorw"
    status, _ = client.decide("edit", 0, "<b>eve</b>", instruction=attack)
    assert status == 200
    client.decide("note", 0, "<b>eve</b>", note="<script>window.hacked = 1</script>")
    assert client.ask("/reasons", {"reasons": ["<script>window.hacked = 1</script>"]})[0] == 200
    page = visit(width, scheme, name="<b>eve</b>")
    after(page, lambda: page.select_option("#order", "n"))
    after(page, lambda: page.select_option("#only", ""))
    for act in ("", "r", "Escape", "e"):
        page.keyboard.press(act) if act else None
        faults = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert faults == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "<img src=x onerror='window.hacked = 1'>⟨U+202E⟩gnorw" in page.inner_text("#instruction")
    assert "<script>window.hacked = 1</script>" in page.inner_text("#state")
    assert "<script>window.hacked = 1</script>" in page.text_content("#reasons")
