import pytest

from davidgen_hf.engines import EngineSettings, load_engine
from davidgen_hf.engines.closed_hosts import closed_models_at
from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance.tables import closed_hosts


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.openai.com/v1",
        "https://API.OpenAI.com./v1",
        "https://eu.api.openai.com:443/v1",
        "https://my-resource.openai.azure.com/openai/v1",
        "https://api.anthropic.com/v1",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://us-central1-aiplatform.googleapis.com/v1",
        "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1",
        "https://api.cohere.ai/compatibility/v1",
        "https://api.mistral.ai/v1",
    ],
)
def test_hosts_of_closed_models_are_known_by_name(base_url):
    assert closed_models_at(base_url) in closed_hosts().values()


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8000/v1",
        "http://gpu-17.cluster.example:8000/v1",
        "https://api.openai.com.mirror.example/v1",
        "https://notopenai.com/v1",
        "http://localhost:8000/api.openai.com/v1",
    ],
)
def test_other_hosts_are_not(base_url):
    assert closed_models_at(base_url) is None


def test_a_closed_host_is_refused_before_anything_is_sent_to_it():
    settings = EngineSettings(kind="server", base_url="https://api.openai.com/v1", model="gpt-4")
    with pytest.raises(ProvenanceError) as error:
        load_engine(settings)
    assert str(error.value) == (
        "https://api.openai.com/v1 serves the GPT models of OpenAI, whose weights are not published. This method is "
        "for open models: serve one yourself, e.g. with `vllm serve MODEL`, or set allow_closed_source to true, which "
        "marks every row that it writes."
    )


def test_what_comes_from_a_closed_host_is_marked_where_the_settings_allow_it(serve, engine, monkeypatch):
    server = serve(None)
    assert not engine(server).restricted
    monkeypatch.setitem(closed_hosts(), "127.0.0.1", "a model for this test")
    assert engine(server, allow_closed_source=True).restricted
