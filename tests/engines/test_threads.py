"""Torch's threads fit the processors that a process may use."""

import pytest
import torch

from davidgen_hf.engines import EngineSettings, load_engine, release_models
from davidgen_hf.engines.threads import fit_threads


@pytest.fixture
def many_threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(7)
    yield
    torch.set_num_threads(before)


def test_threads_fit_the_quota(many_threads, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    fit_threads()
    assert torch.get_num_threads() == 1


def test_a_model_that_is_loaded_fits_them(many_threads, monkeypatch, tiny_llama):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    load_engine(EngineSettings(model=str(tiny_llama), device="cpu"))
    release_models()
    assert torch.get_num_threads() == 1


def test_a_number_of_your_own_stays(many_threads, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    fit_threads()
    assert torch.get_num_threads() == 7
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "64")
    torch.set_num_threads(1)
    fit_threads()
    assert torch.get_num_threads() == 1
