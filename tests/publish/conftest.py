"""A Hub in memory that this process takes for the Hub."""

from collections.abc import Iterator

import pytest
from hub_double import TOKEN, HubDouble
from huggingface_hub import constants

from davidgen_hf.publish import calls


@pytest.fixture
def near_hub(monkeypatch, tmp_path) -> Iterator[HubDouble]:
    """The Hub, for calls within this process; without pauses between attempts."""
    with HubDouble() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(calls.time, "sleep", lambda _: None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub
