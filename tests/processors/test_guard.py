"""Each reason, its threshold, and that the candidate passes without the rule."""

import pytest
from datasets import Dataset

from davidgen_hf.errors import SettingError
from davidgen_hf.processors import GuardCandidates, apply
from davidgen_hf.processors import guard as guard_module
from davidgen_hf.processors.guard import candidate_text, copied_share
from davidgen_hf.schema import FRAGMENT, empty_candidate
from davidgen_hf.sources.words import words

OUTPUT = (
    "The bridge over the river was built in 1849 by a Scottish engineer and still carries the traffic of the town."
)


def reasons(*instructions: str, output: str = OUTPUT, language: str = "en", **settings) -> list[str | None]:
    candidates = [empty_candidate(instruction=text, input="", style="chatbot", finished=True) for text in instructions]
    rows = Dataset.from_dict({"output": [output], "language": [language], "candidates": [candidates]})
    marked = apply(GuardCandidates(**settings), rows)
    return [one["reject_reason"] for one in marked["candidates"][0]]


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("Who built the bridge?", None),
        ("Tell me about the old bridge in our town.", None),
        ("Who built the bridge over the river?", None),
        ("", "empty"),
        ("?!", "empty"),
        ("why " * 81, "over_long"),
        ("Explain this.\nOutput: a text", "template_words"),
        ("Explain this.\n### Response:\nno", "template_words"),
        ("What is the detailed query X", "echoes_prompt"),
        ("Solve the equation for x", None),
        ("What kind of instruction could this be?", "echoes_prompt"),
        ("A person queried something in detail and left.", "echoes_prompt"),
        (OUTPUT, "copies_output"),
        ("Say: the bridge over the river was built in 1849 ok", "copies_output"),
        ("The bridge over the river was built", "copies_output"),
        ("Wer hat die alte Brücke über den Fluss gebaut und warum?", "wrong_language"),
    ],
)
def test_reasons(instruction, reason):
    assert reasons(instruction) == [reason]


@pytest.mark.parametrize(
    ("owner", "rule", "instruction"),
    [
        (GuardCandidates, "_copies", OUTPUT),
        (guard_module, "is_other_language", "Wer hat die alte Brücke über den Fluss gebaut und warum?"),
    ],
)
def test_without_the_rule_the_candidate_passes(monkeypatch, owner, rule, instruction):
    monkeypatch.setattr(owner, rule, lambda *_: False)
    assert reasons(instruction) == [None]


@pytest.mark.parametrize(("name", "instruction"), [("TEMPLATE_PART", "Explain this.\nOutput: a text")])
def test_without_the_pattern_the_candidate_passes(monkeypatch, name, instruction):
    monkeypatch.setattr(guard_module, name, guard_module.re.compile("(?!)"))
    assert reasons(instruction) == [None]


def test_a_candidate_cut_off_by_the_token_limit_is_unfinished():
    one = empty_candidate(instruction="Who built the", input="", style="chatbot", finished=False)
    marked = GuardCandidates()({"output": [OUTPUT], "candidates": [[one, one | {"finished": True}]]})
    assert [one["reject_reason"] for one in marked["candidates"][0]] == ["unfinished", None]


def test_only_an_accepted_candidate_makes_the_next_a_duplicate():
    assert reasons("Who built it?", "who built it", OUTPUT, OUTPUT) == [
        None,
        "duplicate",
        "copies_output",
        "copies_output",
    ]


def test_an_earlier_reason_is_kept():
    one = empty_candidate(instruction="", input="", reject_reason="engine_failed")
    assert GuardCandidates()({"output": ["a"], "candidates": [[one]]})["candidates"][0] == [one]


def test_the_input_counts_too():
    one = empty_candidate(instruction="Who built it?", input=OUTPUT, finished=True)
    assert (
        GuardCandidates()({"output": [OUTPUT], "candidates": [[one]]})["candidates"][0][0]["reject_reason"]
        == "copies_output"
    )
    assert candidate_text(one) == f"Who built it?\n{OUTPUT}"


@pytest.mark.parametrize(("longest", "reason"), [(6, "copies_output"), (7, None)])
def test_the_longest_allowed_run(longest, reason):
    instruction = (
        "Is it true that the bridge over the river was built so long ago, and who can tell me more of that story?"
    )
    assert reasons(instruction, max_copied_run=longest) == [reason]


def test_an_instruction_must_not_contain_all_of_a_short_output():
    assert reasons("Is four words in all an answer of a kind?", output="Four words in all.") == ["copies_output"]
    assert reasons("Is the answer yes or no, do you think?", output="yes") == [None]


def test_copied_share_counts_words_in_runs():
    own, output = words("please a b c d now and w x y z"), words("a b c d e f w x y z")
    assert copied_share(own, output, 4) == pytest.approx(8 / 11)
    assert copied_share(own, output, 5) == 0.0
    assert copied_share([], output, 4) == 0.0


def test_copies_are_found_in_scripts_without_spaces():
    assert reasons(
        "黑豹队的防守只丢了三百零八分吗", output="黑豹队的防守只丢了三百零八分。排名第六。", language="zh"
    ) == ["copies_output"]
    assert reasons("黑豹队有几位球员入选职业碗", output="丢分排名联赛第六。", language="zh-Hans") == [None]
    thai = "พิพิธภัณฑ์แห่งชาติเปิดให้เข้าชมทุกวันและมีของเก่ามากมาย"
    for between in ("\u00ad", "\n"):  # soft hyphens, and the ends of lines in a PDF
        copied = between.join(thai[place : place + 6] for place in range(0, len(thai), 6))
        assert reasons(copied, output=thai, language="th") == ["copies_output"]


@pytest.mark.parametrize(
    ("language", "output", "question"),
    [
        ("en", "A library lends books to the people of its town.", "What is a library?"),
        ("ja", "プログラミングとは、コンピュータに命令を与える作業である。", "プログラミングとは何ですか。"),
        ("zh", "中国科学技术大学的校园位于合肥，学生来自全国各地。", "中国科学技术大学在哪里？"),
        ("th", "พิพิธภัณฑ์แห่งชาติเปิดให้เข้าชมทุกวันและมีของเก่ามากมาย", "พิพิธภัณฑ์แห่งชาติมีอะไรบ้าง"),
        ("km", "សាកលវិទ្យាល័យនេះមាននិស្សិតច្រើន។", "តើសាកលវិទ្យាល័យមានអ្វី?"),
    ],
)
def test_a_question_that_names_its_subject_does_not_copy(language, output, question):
    assert reasons(question, output=output, language=language) == [None]


def test_a_limit_of_words_does_not_count_characters():
    thai = "จงอธิบายขั้นตอนการปลูกข้าวในนาตั้งแต่การเตรียมดินการหว่านเมล็ดการดูแลน้ำและการเก็บเกี่ยวอย่างละเอียด"
    assert len(thai) > 80
    assert reasons(thai, language="th") == [None]
    assert reasons(thai, language="th", max_words=20) == ["over_long"]


GERMAN = "Erkläre bitte, warum der Kuchen im Ofen aufgeht, wenn man Backpulver nimmt."


@pytest.mark.parametrize("language", ["de", "DE", "de-AT", "de_CH", "deu", "ger", "deu_Latn", "German", "Deutsch"])
def test_a_language_is_known_in_any_spelling(language):
    assert reasons(GERMAN, language=language) == [None]
    assert reasons("Explain why the cake rises in the oven.", language=language) == ["wrong_language"]


@pytest.mark.parametrize("language", ["und", "mul", "Python", "Java", "JavaScript", "C++", "tlh", "??", "\0"])
def test_a_language_that_the_identifier_does_not_know_is_not_compared(language):
    assert reasons(GERMAN, language=language) == [None]


@pytest.mark.parametrize(
    ("language", "instruction"),
    [
        ("nb", "Forklar hvorfor kaken hever seg i ovnen når man bruker bakepulver."),
        ("fil", "Ipaliwanag kung bakit umaalsa ang keyk sa loob ng hurno kapag may lebadura."),
        ("zh_TW", "請解釋為什麼蛋糕在烤箱裡會膨脹起來。"),
    ],
)
def test_a_language_is_compared_by_the_identifiers_name_for_it(language, instruction):
    assert reasons(instruction, language=language) == [None]
    assert reasons(GERMAN, language=language) == ["wrong_language"]


def test_bounds_are_checked():
    with pytest.raises(SettingError, match=r"must be above 0, got max_words=0, max_copied_share=-1\.0"):
        GuardCandidates(max_words=0, max_copied_share=-1.0)


def test_it_needs_an_output_and_candidates():
    assert set(GuardCandidates.reads) == {"output", "candidates"} <= {*FRAGMENT, "candidates"}
