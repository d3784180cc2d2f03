"""``kill -9`` of the server at any moment: every confirmed decision is in the log, and none twice."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

import pytest
from review_client import Client

from davidgen_hf.corpus.review.log import log_path, read_log

DECISIONS, KILLS = 500, 20


class Server:
    """The command in a process of its own, started again after each kill."""

    def __init__(self, run: Path) -> None:
        self.run, self.kills = run, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "davidgen_hf", "review", str(self.run), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.client = Client(self.run, self.process.stdout.readline().split()[0])

    def kill(self, seconds: float) -> None:
        time.sleep(seconds)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1


def confirm(server: Server, number: int, rows: int) -> str:
    """Send a decision until it is confirmed, as the page does, and return its id."""
    identity, body = uuid4().hex, None
    while True:
        try:
            if body is None:
                row = server.client.row(number % rows)
                action = ("reject", "edit", "note", "undo", "reject")[number % 5]
                body = {"id": identity, "reviewer": "ada", "action": action}
                if action != "undo":
                    body |= {"row": row["key"], "version": row["state"]["version"]}
                body |= {"edit": {"instruction": f"Which house, {number}?"}, "note": {"note": "x" * 500}}.get(
                    action, {}
                )
            status, answer = server.client.ask("/decisions", body)
        except (OSError, HTTPException, json.JSONDecodeError):
            server.process.wait()
            server.start()
            continue
        assert status == 200, answer
        return identity


@pytest.mark.slow
def test_twenty_kills_in_a_session_of_five_hundred_decisions(copy):
    server, chance = Server(copy), random.Random(0)
    kills = set(chance.sample(range(DECISIONS), KILLS))
    rows = len(server.client.ask("/queue?reviewer=ada&order=n")[1]["rows"])
    confirmed = []
    for number in range(DECISIONS):
        killer = threading.Thread(target=server.kill, args=(chance.uniform(0, 0.01),)) if number in kills else None
        if killer:
            killer.start()
        confirmed.append(confirm(server, number, rows))
        if killer:
            killer.join()
            if server.process.poll() is not None:
                server.start()
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert server.kills == KILLS
    assert [one.id for one in read_log(log_path(copy))] == confirmed
