"""Settings that are out of range, of the wrong type, or given in another form."""

import math
import pickle
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from davidgen_hf.engines import EngineSettings, Sampling, Score
from davidgen_hf.engines.settings import ENGINES
from davidgen_hf.errors import SettingError
from davidgen_hf.processors import ScoreCandidates

URL = "http://127.0.0.1:8000/v1"


def test_a_single_stop_is_one_text():
    assert Sampling(stop="###").stop == Sampling(stop=["###"]).stop == ("###",)


@pytest.mark.parametrize("stop", ["", ("",), ["###", ""]])
def test_an_empty_stop_is_refused(stop):
    with pytest.raises(SettingError, match="stop holds an empty text, which would end a candidate before its first"):
        Sampling(stop=stop)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"temperature": math.nan}, "temperature must be at least 0 and finite, got nan"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"top_p": math.nan}, r"top_p must be in \(0, 1\], got nan"),
        ({"max_new_tokens": 1.5}, "max_new_tokens: Input should be a valid integer"),
        ({"max_new_tokens": None}, "max_new_tokens: Input should be a valid integer"),
        ({"seed": 10**5000}, "seed"),
        ({"stop": 3}, "stop: Input should be a valid tuple"),
        ({"stop": (3,)}, "stop: 0: Input should be a valid string"),
    ],
)
def test_a_sampling_that_no_engine_can_follow_is_refused(settings, reason):
    with pytest.raises(SettingError, match=reason):
        Sampling(**settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kind": "magic"}, "kind"),
        ({"model": 5}, "model: Input should be a valid string"),
        ({"max_length": 1}, "max_length must be at least 2 tokens, got 1"),
        ({"max_batch_tokens": "many"}, "max_batch_tokens: Input should be a valid integer"),
        ({"kind": "vllm", "memory_share": math.nan}, r"memory_share must be in \(0, 1\), got nan"),
        (
            {"kind": "server", "base_url": "http://a/v1", "timeout_seconds": math.nan},
            "timeout_seconds must be above 0",
        ),
        ({"kind": "server", "base_url": "http://a/v1", "concurrency": 0}, "concurrency must be 1 to 10,000, got 0"),
    ],
)
def test_settings_that_name_no_engine_are_refused(settings, reason):
    with pytest.raises(SettingError, match=reason):
        EngineSettings(**settings)


@pytest.mark.parametrize("kind", ENGINES)
def test_each_kind_has_the_settings_that_mean_something_for_it(kind):
    made = EngineSettings(kind=kind, model="m", base_url=URL, memory_share=0.2, dtype="float32", concurrency=3)
    names = {one.name for one in fields(made)} - {"kind", "model", "revision"}
    local = {"dtype", "device", "max_length", "max_batch_tokens"}
    server = {"max_length", "base_url", "concurrency", "timeout_seconds", "allow_closed_source", "endpoint"}
    assert names == {"transformers": local, "vllm": local | {"memory_share"}, "server": server, "echo": set()}[kind]
    assert made.kind == kind
    assert isinstance(made, EngineSettings)
    assert pickle.loads(pickle.dumps(made)) == made == replace(made) == EngineSettings(**asdict(made))
    assert hash(made) == hash(replace(made))


def test_another_kind_keeps_what_both_have():
    there = EngineSettings("server", "m", "main", base_url=URL, max_length=99)
    here = replace(there, kind="transformers")
    assert here == EngineSettings(model="m", revision="main", max_length=99)
    with pytest.raises(SettingError, match="needs base_url"):
        replace(here, kind="server")


def test_a_misspelt_setting_is_refused():
    with pytest.raises(TypeError, match="modle"):
        EngineSettings(modle="m")


def test_a_processor_takes_settings_as_a_mapping():
    step = ScoreCandidates(engine={"kind": "server", "base_url": URL, "memory_share": 0.3})
    assert step.engine == EngineSettings(kind="server", base_url=URL)
    with pytest.raises(SettingError, match=r"engine.*concurency"):
        ScoreCandidates(engine={"kind": "server", "base_url": URL, "concurency": 3})


def test_a_model_may_be_a_path(tmp_path):
    assert EngineSettings(model=tmp_path).model == EngineSettings(model=str(tmp_path)).model == str(Path(tmp_path))


def test_a_perplexity_beyond_all_floats_is_capped():
    assert Score(nll=1e9, n_tokens=2).perplexity == Score(nll=1400.0, n_tokens=2).perplexity == math.exp(700)
    assert Score(nll=2.0, n_tokens=2).perplexity == math.e
