"""Files are replaced as a whole or not at all, and nothing is left behind."""

import os
import stat
import subprocess
import sys

import pytest

from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.storage.files import clear_drafts, replacing, write_whole


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        write_whole(path, text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_earlier_file_and_no_draft(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")

    def fail(draft):
        draft.write_text("half")
        raise KeyError("x")

    with pytest.raises(KeyError), replacing(path) as draft:
        fail(draft)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_and_a_failed_one_leaves_nothing(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    for fails in (True, False):
        with pytest.raises(ZeroDivisionError) if fails else replacing(path) as draft:
            if fails:
                with replacing(path) as draft:
                    draft.mkdir()
                    (draft / "a").touch()
                    raise ZeroDivisionError
            draft.mkdir()
            (draft / "a").write_text("x")
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert (path / "a").read_text() == "x"


def test_the_mode_is_the_users(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_long_name_can_be_replaced(tmp_path):
    path = tmp_path / ("n" * 250)
    write_whole(path, "x")
    assert path.read_text() == "x"


def test_half_a_surrogate_pair_is_written(tmp_path):
    write_whole(tmp_path / "a", '"\udcff"')
    assert (tmp_path / "a").read_text() == '"\\udcff"'


@pytest.mark.parametrize("make", ["folder", "under a file", "too long"])
def test_what_cannot_be_written_is_said(tmp_path, make):
    path = tmp_path / "a"
    if make == "folder":
        path.mkdir()
        (path / "b").touch()
    elif make == "under a file":
        path.touch()
        path = path / "b"
    else:
        path = tmp_path / ("n" * 300)
    with pytest.raises(InputError, match=r"cannot be written: .*\. Do that\."):
        write_whole(path, "x", error=InputError, advice="Do that.")
    with pytest.raises(RunFolderError, match=r"What is finished is safe\. Make room or allow writing"):
        write_whole(path, "x")
    assert not list(tmp_path.rglob("*.part"))


def test_the_draft_of_a_killed_process_is_cleared(tmp_path):
    code = "import os, sys\nfrom pathlib import Path\nfrom davidgen_hf.storage.files import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as draft:\n    draft.write_text('half')\n    os.kill(os.getpid(), 9)"
    path = tmp_path / "a.txt"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(path)], check=False)
        assert [one.suffix for one in tmp_path.iterdir()] == [".part"]
    write_whole(path, "whole")
    assert list(tmp_path.iterdir()) == [path]


def test_the_draft_of_a_running_process_stays(tmp_path):
    with replacing(tmp_path / "a") as draft:
        draft.write_text("mine")
        code = "import sys\nfrom pathlib import Path\nfrom davidgen_hf.storage.files import write_whole\n"
        code += "write_whole(Path(sys.argv[1]), 'theirs')"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
        assert draft.read_text() == "mine"
    assert (tmp_path / "a").read_text() == "mine"


def test_drafts_of_files_and_folders_are_cleared(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x.part").touch()
    (tmp_path / "folder.part").mkdir()
    (tmp_path / "folder.part" / "a").touch()
    clear_drafts(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "one"]
