"""A Hub in memory, on loopback: what huggingface_hub asks of it when it makes, fills and reads repositories.

    with HubDouble() as hub:
        hub.environment  # for a process of its own: the Hub's address is read when huggingface_hub is imported

``hub.fail(5, "drop")`` has the fifth request from then on go wrong once: see ``FAULTS``.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

import yaml

TOKEN = "hf_" + "double" * 4
# Dropped before it is acted upon, after it was acted upon, refused for a moment, and answered by half.
FAULTS = ("drop", "drop_answer", "unavailable", "half")
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
LFS_SUFFIXES = (".parquet", ".safetensors", ".bin")
DATE = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class File:
    """A file of a repository."""

    data: bytes
    lfs: bool = False

    @property
    def oid(self) -> str:
        """What the Hub calls its content: SHA-256 with LFS, git's own hash without."""
        if self.lfs:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    def entry(self, path: str) -> dict:
        """Return the file as a listing shows it."""
        about = {"type": "file", "oid": self.oid, "size": len(self.data), "path": path}
        return about | ({"lfs": {"oid": self.oid, "size": len(self.data), "pointerSize": 130}} if self.lfs else {})


@dataclass(frozen=True)
class Commit:
    """All files of a repository at one time."""

    oid: str
    title: str
    files: dict[str, File]


@dataclass
class Repo:
    """A repository: its commits by branch, the first first."""

    private: bool
    branches: dict[str, list[Commit]]

    def find(self, revision: str) -> Commit | None:
        """Return the commit of a branch or hash."""
        if revision in self.branches:
            return self.branches[revision][-1]
        return next((one for all_of in self.branches.values() for one in all_of if one.oid == revision), None)


@dataclass
class State:
    """What the Hub holds, was asked, and is to do wrong."""

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    fault: tuple[int, str] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class HubDouble:
    """The Hub, while the block lasts."""

    def __init__(self) -> None:
        self.state = State()
        handler = type("Handler", (_Handler,), {"state": self.state})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> "HubDouble":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that is to take this for the Hub; its cache is to be set beside them."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }

    def fail(self, request: int, fault: str) -> None:
        """Let the request of that number, counted from now, go wrong once."""
        self.state.fault = (len(self.state.log) + request, fault)

    def files(self, repo: str, repo_type: str = "model", revision: str = "main") -> dict[str, bytes]:
        """Return the content of a repository's files."""
        commit = self.state.repos[repo_type, repo].find(revision)
        return {path: file.data for path, file in commit.files.items()}

    def commits(self, repo: str, repo_type: str = "model", branch: str = "main") -> list[str]:
        """Return the titles of a branch's commits, the first first."""
        return [commit.title for commit in self.state.repos[repo_type, repo].branches[branch]]


class _Dropped(Exception):
    """The connection is to end here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _handle(self) -> None:
        body = self._body()
        with self.state.lock:
            address = urlparse(self.path)
            self.state.log.append(f"{self.command} {unquote(address.path)}")
            number, fault = self.state.fault or (0, "")
            self._fault = fault if len(self.state.log) == number else ""
            try:
                if self._fault == "drop":
                    raise _Dropped
                if self._fault == "unavailable":
                    return self._answer(503, {"error": "busy"}, {"Retry-After": "0"})
                self._route(unquote(address.path), parse_qs(address.query), body)
            except _Dropped:
                self.close_connection = True
                self.connection.close()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _handle  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, content: object = None, headers: dict | None = None) -> None:
        if self._fault == "drop_answer":
            raise _Dropped
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))} | (headers or {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if self._fault == "half" else data)
        if self._fault == "half":
            raise _Dropped

    def _missing(self, kind: str, **headers: str) -> None:
        self._answer(404, {"error": kind}, {"X-Error-Code": kind, "X-Error-Message": kind} | headers)

    def _route(self, path: str, query: dict, body: bytes) -> None:
        if self.command == "POST" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Unauthorized"})
        for pattern, handle in ROUTES:
            if found := re.fullmatch(pattern, path):
                return handle(self, found, query, body)
        return self._missing("NotFound")

    def _whoami(self, *_: object) -> None:
        token = {"displayName": "t", "role": "write"}
        auth = {"type": "access_token", "accessToken": token}
        self._answer(200, {"type": "user", "name": "tester", "fullname": "t", "orgs": [], "auth": auth})

    def _validate(self, *_: object) -> None:
        self._answer(200, {"errors": [], "warnings": []})

    def _create(self, _found: re.Match, _query: dict, body: bytes) -> None:
        asked = json.loads(body)
        repo_type = asked.get("type") or "model"
        name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        about = {
            "url": f"{self._host}/{'' if repo_type == 'model' else repo_type + 's/'}{name}",
            "id": name,
            "name": name,
        }
        if (repo_type, name) in self.state.repos:
            return self._answer(409, {"error": "You already created this repo"} | about)
        first = Commit(hashlib.sha1(name.encode()).hexdigest(), "initial commit", {})
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.state.repos[repo_type, name] = Repo(private, {"main": [first]})
        return self._answer(200, about)

    @property
    def _host(self) -> str:
        return f"http://{self.headers['Host']}"

    def _api(self, found: re.Match, query: dict, body: bytes) -> None:
        kind, name, rest = KINDS[found[1]], found[2], found[3] or ""
        verb, _, rest = rest.partition("/")
        repo = self.state.repos.get((kind, name))
        if repo is None:
            return self._missing("RepoNotFound")
        if verb == "refs":
            branches = [
                {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": commits[-1].oid}
                for branch, commits in repo.branches.items()
            ]
            return self._answer(200, {"branches": branches, "tags": [], "converts": []})
        if verb == "branch":
            if rest in repo.branches:
                return self._answer(409, {"error": "Reference already exists"})
            repo.branches[rest] = [repo.branches["main"][-1]]
            return self._answer(200, {})
        if verb in ("", "revision", "tree", "paths-info", "preupload", "commit"):
            revision, _, rest = rest.partition("/")
            commit = repo.find(revision or "main")
            if commit is None:
                return self._missing("RevisionNotFound")
            handle = getattr(self, f"_{(verb or 'revision').replace('-', '_')}")
            return handle((kind, name, repo, commit, revision or "main"), rest, query, body)
        return self._missing("EntryNotFound")

    def _revision(self, place: tuple, *_: object) -> None:
        _, name, repo, commit, _ = place
        about = {
            "_id": "0",
            "id": name,
            "modelId": name,
            "author": "tester",
            "sha": commit.oid,
            "private": repo.private,
        }
        about |= {"disabled": False, "gated": False, "downloads": 0, "likes": 0, "tags": []}
        about |= {
            "lastModified": DATE,
            "createdAt": DATE,
            "siblings": [{"rfilename": one} for one in sorted(commit.files)],
        }
        card = commit.files.get("README.md")
        if card and card.data.startswith(b"---\n"):
            about["cardData"] = yaml.safe_load(card.data.decode().split("---\n")[1])
        self._answer(200, about)

    def _tree(self, place: tuple, folder: str, query: dict, _body: bytes) -> None:
        commit = place[3]
        prefix = f"{folder}/" if folder else ""
        below = {path: file for path, file in sorted(commit.files.items()) if path.startswith(prefix)}
        if folder and not below:
            return self._missing("EntryNotFound")
        recursive = query.get("recursive", ["False"])[0].lower() in ("true", "1")
        entries = {}
        for path, file in below.items():
            *folders, _ = path[len(prefix) :].split("/")
            for depth in range(1, len(folders) + 1):
                inner = prefix + "/".join(folders[:depth])
                if recursive or depth == 1:
                    entries[inner] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": inner}
            if recursive or not folders:
                entries[path] = file.entry(path)
        return self._answer(200, list(entries.values()))

    def _paths_info(self, place: tuple, _rest: str, _query: dict, body: bytes) -> None:
        files = place[3].files
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        paths = (json.loads(body) if is_json else parse_qs(body.decode()))["paths"]
        entries = []
        for path in [paths] if isinstance(paths, str) else paths:
            if path in files:
                entries.append(files[path].entry(path))
            elif any(one.startswith(f"{path}/") for one in files):
                entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        self._answer(200, entries)

    def _preupload(self, place: tuple, _rest: str, _query: dict, body: bytes) -> None:
        files = place[3].files
        answers = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
                "oid": files[one["path"]].oid if one["path"] in files else None,
            }
            for one in json.loads(body)["files"]
        ]
        self._answer(200, {"files": answers})

    def _commit(self, place: tuple, _rest: str, query: dict, body: bytes) -> None:
        kind, name, repo, parent, branch = place
        files, title = dict(parent.files), ""
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            match operation["key"]:
                case "header":
                    title = value.get("summary", "")
                case "file":
                    files[value["path"]] = File(base64.b64decode(value["content"]))
                case "lfsFile":
                    if value["oid"] not in self.state.lfs:
                        return self._answer(400, {"error": "LFS object missing"})
                    files[value["path"]] = File(self.state.lfs[value["oid"]], lfs=True)
                case "deletedFile":
                    files.pop(value["path"], None)
        oid = hashlib.sha1(f"{parent.oid}{title}{len(repo.branches[branch])}".encode()).hexdigest()
        if query.get("create_pr"):
            branch = "refs/pr/1"
            repo.branches[branch] = [parent]
        repo.branches[branch].append(Commit(oid, title, files))
        url = f"{self._host}/{'' if kind == 'model' else kind + 's/'}{name}"
        about = {"success": True, "commitOid": oid, "commitUrl": f"{url}/commit/{oid}", "hookOutput": ""}
        return self._answer(
            200, about | ({"pullRequestUrl": f"{url}/discussions/1"} if query.get("create_pr") else {})
        )

    def _lfs_batch(self, _found: re.Match, _query: dict, body: bytes) -> None:
        objects = []
        for one in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{self._host}/_lfs/{one['oid']}", "header": {}}}
            known = one["oid"] in self.state.lfs
            objects.append(
                {"oid": one["oid"], "size": one["size"], "authenticated": True}
                | ({} if known else {"actions": upload})
            )
        self._answer(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})

    def _lfs_put(self, found: re.Match, _query: dict, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != found[1]:
            return self._answer(400, {"error": "the content has another hash"})
        self.state.lfs[found[1]] = body
        return self._answer(200, {})

    def _resolve(self, found: re.Match, _query: dict, _body: bytes) -> None:
        repo = self.state.repos.get((KINDS[found[1] or "models"], found[2]))
        if repo is None:
            return self._missing("RepoNotFound")
        commit = repo.find(found[3])
        if commit is None:
            return self._missing("RevisionNotFound")
        file = commit.files.get(found[4])
        if file is None:
            return self._missing("EntryNotFound", **{"X-Repo-Commit": commit.oid})
        data, status = file.data, 200
        headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if file.lfs:
            headers |= {"X-Linked-ETag": f'"{file.oid}"', "X-Linked-Size": str(len(data))}
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            start = int(asked[1] or 0)
            end = min(int(asked[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            data, status = data[start : end + 1], 206
        return self._answer(status, data, headers | {"Content-Type": "application/octet-stream"})


ROUTES = (
    (r"/api/whoami-v2", _Handler._whoami),
    (r"/api/validate-yaml", _Handler._validate),
    (r"/api/repos/create", _Handler._create),
    (r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(.*))?", _Handler._api),
    (r"/(?:(?:datasets|spaces)/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", _Handler._lfs_batch),
    (r"/_lfs/(\w+)", _Handler._lfs_put),
    (r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler._resolve),
)
