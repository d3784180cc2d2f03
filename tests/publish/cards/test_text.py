"""Whatever a text holds, a card shows it as text."""

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from davidgen_hf.publish.cards import text
from davidgen_hf.publish.cards.text import brief, code, directed, inline, number, plain, render

HOSTILE = (
    "a | b",
    "<script>alert(1)</script></details>",
    "`code` ``` **bold** _it_ ~~gone~~ # Heading",
    "[link](https://example.org) ![x](y) <https://example.org>",
    "&lt; &amp; &#124;",
    "\\| \\\\ \\[x\\]",
    "{{ config }} {% raw %}",
    "$$x$$ \\(y\\)",
    "www.example.org @me https://example.org HTTP://EXAMPLE.ORG",
)


def cells_of(markdown: str) -> tuple[list[str], str]:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    inlines = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inlines for child in token.children} | {token.type for token in tokens}
    return ["".join(child.content for child in token.children) for token in inlines], kinds


@pytest.mark.parametrize("value", HOSTILE)
def test_a_cell_shows_the_characters_and_nothing_else(value):
    (_, _, shown, last), kinds = cells_of(f"| a | b |\n|---|---|\n| {plain(value)} | end |\n")
    assert (shown, last) == (value, "end")
    assert kinds <= {
        *("text", "text_special", "inline", "table_open", "table_close", "thead_open", "thead_close", "tr_open"),
        *("tr_close", "th_open", "th_close", "tbody_open", "tbody_close", "td_open", "td_close"),
    }


def test_lines_become_breaks_so_that_none_can_end_the_metadata():
    assert plain("a\n---\r\nb") == "a<br>---<br>b"


def test_what_shows_nothing_or_turns_the_direction_is_shown():
    assert plain("a\u202eb\u200bc\x00d\x1be") == "a\ufffdb\ufffdc\ufffdd\ufffde"


def test_addresses_are_not_links():
    assert "://" not in plain("see https://example.org")
    assert "www." not in plain("see WWW.example.org".lower())


def test_what_is_not_known_is_said_to_be_so():
    assert plain(None) == number(None) == "*not recorded*"


@pytest.mark.parametrize("value", ["a ``` b", "````\n```", "`"])
def test_code_cannot_be_left(value):
    (token,) = MarkdownIt("commonmark").parse(code(value, "yaml"))
    assert (token.type, token.content.strip(), token.info) == ("fence", value.strip(), "yaml")
    (_, line, _) = MarkdownIt("commonmark").parse(inline(value))
    assert [(child.type, child.content) for child in line.children] == [("code_inline", " ".join(value.split()))]


def test_long_texts_are_cut():
    assert brief("a" * 400) == "a" * 299 + "…"
    assert brief(" short ") == "short"


def test_texts_from_right_to_left_say_so():
    assert directed("1. من فعل ذلك؟") == '<span dir="rtl">1. من فعل ذلك؟</span>'
    assert directed("מי *בנה*?") == '<span dir="rtl">מי \\*בנה\\*?</span>'
    assert directed("Who built שלום?") == "Who built שלום?"


def test_numbers():
    assert (number(1234567), number(1234.567), number(0.1234, 3)) == ("1,234,567", "1,234.57", "0.123")


def test_every_value_is_escaped_and_a_fact_that_is_not_given_is_an_error(monkeypatch):
    monkeypatch.setattr(text, "_read", lambda name: "{{ a }} {{ [a, a] | join('|') }} {{ b.c }}")
    assert render("x", {"a": "*", "b": {"c": None}}) == "\\* \\*\\|\\* *not recorded*\n"
    with pytest.raises(UndefinedError, match="'b' is undefined"):
        render("x", {"a": "*"})
