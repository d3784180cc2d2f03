"""The served page: many readers at once, odd requests, odd folders, damaged files; the run stays as it is."""

import http.client
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.report import index as index_module
from davidgen_hf.report import read_facts, serve_report, write_report
from davidgen_hf.report.index import INDEX, RowQuery, Rows
from davidgen_hf.report.served import ReportServer


@contextmanager
def served(run: Path) -> Iterator[ReportServer]:
    server = serve_report(run, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(hostile_run) -> Iterator[ReportServer]:
    with served(hostile_run) as server:
        yield server


def get(server: ReportServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_four_hundred_searches_by_two_hundred_readers_are_all_answered(server):
    start = threading.Barrier(200)

    def read(reader: int) -> list[int]:
        start.wait()
        return [get(server, f"/rows?search={word}&page={reader % 3}")[0] for word in ("house", "river")]

    with ThreadPoolExecutor(200) as readers:
        statuses = [status for found in readers.map(read, range(200)) for status in found]
    assert statuses == [200] * 400


@pytest.mark.parametrize(
    "query",
    [
        f"page={'9' * 5000}",
        "page=99999999999999999999",
        "page=-1",
        "page=1e3",
        "page=nan",
        f"kept={'9' * 30}",
        "margin=nan",
        "margin=inf",
        "perplexity=-1e309",
        "sort=n;drop",
        "self=1",
        "__class__=1",
        f"search={'a' * 1001}",
    ],
)
def test_odd_numbers_and_fields_are_answered_with_400(server, query):
    status, text = get(server, f"/rows?{query}")
    assert (status, text.startswith(b"The query: ")) == (400, True)
    assert get(server, "/rows")[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "search=%00",
        "search=%ed%a0%80%ff",
        "search=%22+OR+b*+NEAR(c)+%5Ex+%7Btext%7D",
        "reason=%25'+OR+1=1",
        "strategy=x'+OR+1=1+--",
        "page=1000000000",
        "margin=-1e300",
    ],
)
def test_odd_texts_find_what_they_find(server, query):
    status, text = get(server, f"/rows?{query}")
    assert status == 200
    assert json.loads(text)["rows"] is not None


def test_a_reader_who_leaves_or_sends_garbage_leaves_the_others_alone(server, capfd):
    for sent in (
        b"GET / HTTP/1.1\r\nHost:",
        b"\x00\xff\r\n\r\n",
        b"GET /rows?search=house HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(sent)
    assert get(server, "/rows")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(server, method):
    assert get(server, "/rows", method)[0] == 501


@pytest.mark.parametrize("name", ["my#run", "what?", "100%25", "run[l]", "bold [b]x"])
def test_a_folder_of_any_name_is_served(hostile_run, tmp_path, name):
    run = shutil.copytree(hostile_run, tmp_path / name)
    with served(run) as server:
        assert json.loads(get(server, "/rows?search=house")[1])["total"] > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_written_to_is_served(hostile_run, tmp_path, monkeypatch):
    run = shutil.copytree(hostile_run, tmp_path / "run", ignore=shutil.ignore_patterns(INDEX))
    monkeypatch.setattr(index_module.os, "access", lambda *_: False)  # root may write everywhere
    before = sorted(run.rglob("*"))
    assert Rows(run).find(RowQuery())["total"] > 0
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(100)])
def test_a_damaged_index_is_built_again(hostile_run, tmp_path, content):
    run = shutil.copytree(hostile_run, tmp_path / "run")
    (run / INDEX).write_bytes(content)
    assert Rows(run).find(RowQuery(search="house"))["total"] > 0


def test_a_shard_that_is_damaged_while_it_is_served_is_named(hostile_run, tmp_path, monkeypatch):
    run = shutil.copytree(hostile_run, tmp_path / "run")
    with served(run) as server:
        shard = min((run / "scored").iterdir())
        shard.write_bytes(shard.read_bytes()[:100])
        status, text = get(server, "/rows")
    assert status == 500
    assert f"{shard} is damaged".encode() in text


def change_candidates(shard: Path, **values) -> None:
    """Give all scored candidates of a shard other values."""
    table = pyarrow.parquet.read_table(shard)
    candidates = [
        [one | (values if one["nll"] is not None else {}) for one in row] for row in table["candidates"].to_pylist()
    ]
    place = table.schema.get_field_index("candidates")
    changed = pyarrow.array(candidates, table.schema.field("candidates").type)
    pyarrow.parquet.write_table(table.set_column(place, table.schema.field("candidates"), changed), shard)


@pytest.mark.parametrize("nll", [float("nan"), float("inf"), 1e300])
def test_scores_of_an_old_run_that_are_not_numbers_are_not_shown(hostile_run, tmp_path, nll):
    run = shutil.copytree(hostile_run, tmp_path / "run", ignore=shutil.ignore_patterns(INDEX))
    change_candidates(min((run / "scored").iterdir()), nll=nll)
    write_report(run, tmp_path / "report.html")
    assert read_facts(run).rows == read_facts(hostile_run).rows
    with served(run) as server:
        status, text = get(server, "/rows")
    assert status == 200
    assert json.loads(text, parse_constant=pytest.fail)["rows"]


def test_a_shard_without_a_column_is_named(hostile_run, tmp_path):
    run = shutil.copytree(hostile_run, tmp_path / "run")
    shard = min((run / "scored").iterdir())
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(shard).drop_columns(["candidates"]), shard)
    for read in (read_facts, write_report, serve_report):
        with pytest.raises(RunFolderError, match=rf"{shard.name} lacks the columns \['candidates'\]"):
            read(run)


def test_a_shard_with_a_column_of_another_type_is_named(hostile_run, tmp_path):
    run = shutil.copytree(hostile_run, tmp_path / "run")
    shard = min((run / "scored").iterdir())
    table = pyarrow.parquet.read_table(shard)
    place = table.schema.get_field_index("candidates")
    pyarrow.parquet.write_table(table.set_column(place, "candidates", pyarrow.array(["x"] * len(table))), shard)
    with pytest.raises(RunFolderError, match=rf"{shard.name} .*candidates"):
        read_facts(run)


def test_an_unknown_field_is_named():
    with pytest.raises(SettingError, match="The fields are search, strategy"):
        RowQuery.parse({"nope": "1"})
