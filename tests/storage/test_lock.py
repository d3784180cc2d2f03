"""A lock keeps others out, ends with its process, and touches nothing but itself."""

import os

import pytest

from davidgen_hf.errors import FolderBusyError, RunFolderError
from davidgen_hf.storage.lock import LOCK, hold


def test_a_lock_that_is_a_link_leaves_its_target_alone(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(precious)
    with pytest.raises(RunFolderError, match=r"in which \.lock must not be a link"), hold(tmp_path / "run"):
        pass
    assert precious.read_text() == "mine"


def test_a_lock_that_is_another_name_of_a_file_leaves_it_alone(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run").mkdir()
    os.link(precious, tmp_path / "run" / LOCK)
    with hold(tmp_path / "run"):
        pass
    assert precious.read_text() == "mine"


def test_a_lock_that_is_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / LOCK)
    with hold(tmp_path):
        pass


def test_a_lock_that_is_a_folder(tmp_path):
    (tmp_path / LOCK).mkdir()
    with pytest.raises(RunFolderError, match="cannot be written to"), hold(tmp_path):
        pass


def test_the_holder_is_named_and_forgotten(tmp_path):
    with hold(tmp_path):
        with pytest.raises(FolderBusyError, match=rf"is in use: process {os.getpid()} on "), hold(tmp_path):
            pass
        with pytest.raises(FolderBusyError), hold(tmp_path, "0/2"):
            pass
    assert [one.name for one in tmp_path.iterdir() if "holder" in one.name] == []
    with hold(tmp_path, "0/2"), hold(tmp_path, "1/2"), pytest.raises(FolderBusyError), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass
