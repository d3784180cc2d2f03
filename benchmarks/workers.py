"""Two Ray workers against one, on a step that this machine's cores do not bound: ``python -m benchmarks.workers``.

Candidates are asked of a server on this machine that answers each request after a fixed time, as one with a GPU
elsewhere would: the workers wait, and share no core while they do. Each worker has so many requests under way, and the
server takes all that come. Workers are started, and have made a shard, before the time is taken.
"""

import argparse
import json
import multiprocessing
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

from datasets import Dataset

from davidgen_hf.corpus.build import run_stage
from davidgen_hf.corpus.executors import ExecutorSettings, open_executor
from davidgen_hf.engines import EngineSettings
from davidgen_hf.methods import Stage
from davidgen_hf.processors import GenerateInstructions
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.workers", description=__doc__)
    add = parser.add_argument
    add("--passages", default="embedded", help="As for davidgen run (default: the Python language reference).")
    add("--shards", type=int, default=16, help="Number of shards.")
    add("--shard-rows", type=int, default=8, help="Passages of a shard.")
    add("--seconds", type=float, default=1.0, help="How long the server takes for an answer.")
    add("--concurrency", type=int, default=4, help="Requests that each worker has under way.")
    add("--output", type=Path, default=Path(__file__).with_name("results") / "workers.json")
    return parser.parse_args()


def main() -> None:
    """Run one worker and two, and write what they took."""
    args = parse()
    ports = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(args.seconds, ports), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{ports.get()}/v1"
    engine = EngineSettings("server", "embedded", base_url=address, concurrency=args.concurrency)
    settings = Stage("candidates", (GenerateInstructions(engine),))
    passages = read_passages(PassageSource(source=args.passages), Skipped())
    rows = [{"output": row["text"]} for row in islice(passages, args.shard_rows * (args.shards + 2))]
    found = vars(args) | {"output": None, "wait_at_least": args.shards * args.shard_rows * args.seconds}
    made = {}
    for workers in (1, 2):
        with open_executor(ExecutorSettings("ray", workers=workers, gpus_per_worker=0)) as executor:
            cut = [rows[start : start + args.shard_rows] for start in range(0, len(rows), args.shard_rows)]
            work = [(Path(f"{number:05d}.parquet"), Dataset.from_list(one)) for number, one in enumerate(cut)]
            for _ in executor.map(run_stage, settings, work[-2:]):
                pass
            started = time.perf_counter()
            done = list(executor.map(run_stage, settings, work[: args.shards]))
            found[f"seconds_{workers}"] = round(time.perf_counter() - started, 2)
            made[workers] = {one.path: one.rows["candidates"][:] for one in done}
    server.terminate()
    found["ratio"] = round(found["seconds_1"] / found["seconds_2"], 2)
    found["same_rows"] = made[1] == made[2]
    found.pop("output")
    args.output.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(json.dumps(found, indent=2))


def serve(seconds: float, ports: multiprocessing.Queue) -> None:
    """Answer every completion after so many seconds with words of its prompt; tell the port in ``ports``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply({"data": [{"id": "embedded"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(seconds)
            words = body["prompt"].split()
            texts = [" ".join(words[-at - 6 : -at - 1]) for at in range(body["n"])]
            self.reply({"choices": [{"index": at, "text": text} for at, text in enumerate(texts)]})

        def reply(self, content: dict) -> None:
            payload = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ports.put(server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
