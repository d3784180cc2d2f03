"""What a model's folder says about itself is read without trust in what people wrote there."""

import pytest

from davidgen_hf.errors import InputError, ModelError
from davidgen_hf.sources.models import read_adapter, read_card


@pytest.mark.parametrize(
    "content",
    [
        b"---\n- a\n---\nx",
        b"---\nlicense: \xff\n---\nx",
        b"---\na: [\n---\nx",
        b"---\n5\n---\n",
        b"---\n" + b"[" * 9000 + b"\n---\n",
    ],
)
def test_a_damaged_card_is_an_error_in_words(tmp_path, content):
    (tmp_path / "README.md").write_bytes(content)
    with pytest.raises(ModelError, match=r"The card .*README\.md cannot be read: .* Fix the card or remove it\."):
        read_card(tmp_path)
    with pytest.raises(InputError):
        read_card(tmp_path, InputError)


@pytest.mark.parametrize("content", [None, "# A model\n", ""])
def test_a_folder_without_metadata_says_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "README.md").write_text(content)
    assert read_card(tmp_path) is None


def test_a_card_and_an_adapter_are_read(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\ntags: [a]\n---\n# A\n")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base", "r": 8}')
    assert read_card(tmp_path).get("tags") == ["a"]
    assert read_adapter(tmp_path).base_model_name_or_path == "org/base"
    assert read_adapter(tmp_path / "elsewhere") is None
