import pytest

from davidgen_hf.storage.record import is_run


@pytest.mark.parametrize("model_file", ["config.json", "adapter_config.json"])
def test_a_trained_model_is_not_a_run(tmp_path, model_file):
    assert not is_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert is_run(tmp_path)
    (tmp_path / model_file).write_text("{}")
    assert not is_run(tmp_path)
