"""A Hub on loopback that the real clients speak to: repositories, rights, commits and large files, all in memory."""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

_LISTENER = socket.create_server(("127.0.0.1", 0))
ENDPOINT = f"http://127.0.0.1:{_LISTENER.getsockname()[1]}"
"""Known before the server runs, as the clients read it when they are imported. Each process has its own."""

LARGE_SUFFIXES = (".safetensors", ".parquet", ".png", ".bin", ".pt")
"""Files that the Hub keeps apart from git (LFS): the client uploads each by itself, before the commit names it."""


@dataclass(frozen=True)
class User:
    """Who a token stands for."""

    name: str
    can_write: bool = True


@dataclass(frozen=True)
class File:
    """A file of a commit."""

    content: bytes
    is_large: bool = False

    @property
    def oid(self) -> str:
        if self.is_large:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        """As listings show it."""
        entry = {"type": "file", "path": path, "size": len(self.content), "oid": self.oid}
        if self.is_large:
            entry["lfs"] = {"oid": self.oid, "size": len(self.content), "pointerSize": 134}
        return entry


@dataclass(frozen=True)
class Commit:
    """A state of a repository. It never changes."""

    sha: str
    title: str
    files: dict[str, File]
    parent: str | None = None

    def folder(self, path: str, recursive: bool) -> list[dict[str, Any]]:
        """What a listing of a folder shows: its files, and the folders in it."""
        prefix = f"{path}/" if path else ""
        entries: dict[str, dict[str, Any]] = {}
        for name, file in self.files.items():
            if not name.startswith(prefix):
                continue
            parts = name.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                folder = prefix + "/".join(parts[:depth])
                oid = hashlib.sha1(folder.encode()).hexdigest()
                entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": oid}
            if recursive or len(parts) == 1:
                entries[name] = file.entry(name)
        return list(entries.values())


@dataclass
class Repository:
    """A model or a data set, and all its commits."""

    kind: str
    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit:
        sha = self.branches.get(revision, revision)
        if sha not in self.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[sha]


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | (headers or {})
        self.body = {"error": message, "errors": [{"message": message}]}


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    user: User | None
    query: dict[str, list[str]]
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What it is told: JSON, or bytes."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


_REPOSITORY = r"/api/(models|datasets)/([^/]+/[^/]+)"
_ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = []


def _route(method: str, pattern: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    def register(function: Callable[..., Answer]) -> Callable[..., Answer]:
        _ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


class HubServer:
    """The state of the Hub, the answers to its clients, and what tests ask of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shas = (hashlib.sha1(b"commit %d" % number).hexdigest() for number in count())
        self.clear()

    def clear(self) -> None:
        """An empty Hub of two users. No commit ever has the hash of one before."""
        self.tokens = {"hf_ada": User("ada"), "hf_ada_read": User("ada", can_write=False), "hf_bob": User("bob")}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.is_cut: Callable[[str, str], bool] = lambda method, path: False
        """Says of a request, by its method and path, whether the connection breaks in the middle of it."""

    # What tests ask.

    def history(self, name: str, kind: str = "models", revision: str = "main") -> list[Commit]:
        """The commits of a branch, the first one first."""
        repository = self.repositories[kind, name]
        commits = [repository.at(revision)]
        while (parent := commits[0].parent) is not None:
            commits.insert(0, repository.commits[parent])
        return commits

    def files(self, name: str, kind: str = "models", revision: str = "main") -> dict[str, bytes]:
        """Path -> content, without the file that each repository begins with."""
        files = self.repositories[kind, name].at(revision).files
        return {path: file.content for path, file in sorted(files.items()) if path != ".gitattributes"}

    def uploads(self) -> int:
        """How many large files clients have begun to send."""
        return sum(method == "PUT" for method, _ in self.requests)

    def write(self, name: str, path: str, content: str, kind: str = "models") -> None:
        """A file that somebody writes on the website."""
        repository = self.repositories[kind, name]
        files = repository.at("main").files | {path: File(content.encode())}
        self._add_commit(repository, "main", f"Update {path}", files)

    # What clients ask.

    @contextmanager
    def running(self) -> Iterator["HubServer"]:
        """Answers requests inside the block."""
        hub = self

        class Handler(_Handler):
            server_hub = hub

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = _LISTENER
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> Answer:
        parts = urlsplit(url)
        with self._lock:
            try:
                user = self._user(headers.get("Authorization"))
                request = Request(user, parse_qs(parts.query), headers, body)
                for of_method, pattern, function in _ROUTES:
                    if of_method == method and (match := pattern.fullmatch(parts.path)):
                        return function(self, request, *(unquote(group or "") for group in match.groups()))
            except Refusal as refusal:
                return Answer(refusal.body, refusal.status, refusal.headers)
        return Answer({"error": f"no route for {method} {parts.path}"}, 404, {"X-Error-Code": "RepoNotFound"})

    def begins(self, method: str, url: str) -> bool:
        """Notes a request. Returns whether it goes through."""
        with self._lock:
            self.requests.append((method, urlsplit(url).path))
            return not self.is_cut(method, urlsplit(url).path)

    def _user(self, authorization: str | None) -> User | None:
        if authorization is None:
            return None
        token = authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            raise Refusal(401, None, "Invalid credentials in Authorization header")
        return self.tokens[token]

    def _repository(self, request: Request, kind: str, name: str, write: bool = False) -> Repository:
        repository = self.repositories.get((kind, name))
        owner = name.split("/")[0]
        is_owner = request.user is not None and request.user.name == owner
        if repository is None or (repository.private and not is_owner):
            raise Refusal(401 if request.user is None else 404, "RepoNotFound", "Repository not found")
        if write:
            self._check_rights(request, owner)
        return repository

    def _check_rights(self, request: Request, owner: str) -> None:
        if request.user is None:
            raise Refusal(401, None, "Invalid username or password.")
        if request.user.name != owner:
            raise Refusal(403, None, f'You don\'t have the rights to write under the namespace "{owner}"')
        if not request.user.can_write:
            raise Refusal(403, None, "Forbidden: pass a token with write access")

    def _add_commit(self, repository: Repository, branch: str, title: str, files: dict[str, File]) -> Commit:
        commit = Commit(next(self._shas), title, files, repository.branches.get(branch))
        repository.commits[commit.sha] = commit
        repository.branches[branch] = commit.sha
        return commit

    @_route("POST", "/api/repos/create")
    def _create(self, request: Request) -> Answer:
        wanted = request.json()
        kind = f"{wanted.get('type') or 'model'}s"
        if request.user is None:
            raise Refusal(401, None, "Invalid username or password.")
        owner = wanted.get("organization") or request.user.name
        self._check_rights(request, owner)
        name = f"{owner}/{wanted['name']}"
        address = {"url": self._url(kind, name)}
        if (kind, name) in self.repositories:
            return Answer({"error": "You already created this repo", **address}, 409)
        repository = Repository(kind, name, wanted.get("visibility") == "private")
        self.repositories[kind, name] = repository
        self._add_commit(repository, "main", "initial commit", {".gitattributes": File(b"*.safetensors filter=lfs\n")})
        return Answer(address)

    def _url(self, kind: str, name: str) -> str:
        return f"{ENDPOINT}/{'datasets/' if kind == 'datasets' else ''}{name}"

    @_route("POST", "/api/validate-yaml")
    def _validate_yaml(self, request: Request) -> Answer:
        header = re.match(r"---\n(.*?)\n---\n", request.json()["content"], re.DOTALL)
        if header is None:
            return Answer({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
        try:
            yaml.safe_load(header.group(1))
        except yaml.YAMLError as error:
            return Answer({"errors": [{"message": f"invalid YAML ({error})"}], "warnings": []}, 400)
        return Answer({"errors": [], "warnings": []})

    @_route("GET", "/api/whoami-v2")
    def _whoami(self, request: Request) -> Answer:
        if request.user is None:
            raise Refusal(401, None, "Invalid username or password.")
        return Answer({"type": "user", "name": request.user.name, "orgs": []})

    @_route("GET", f"{_REPOSITORY}(?:/revision/([^/]+))?")
    def _info(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        repository = self._repository(request, kind, name)
        commit = repository.at(revision or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        return Answer({"id": name, "sha": commit.sha, "private": repository.private, "tags": [], "siblings": siblings})

    @_route("GET", f"{_REPOSITORY}/refs")
    def _refs(self, request: Request, kind: str, name: str) -> Answer:
        branches = self._repository(request, kind, name).branches.items()
        named = [{"name": one, "ref": f"refs/heads/{one}", "targetCommit": sha} for one, sha in branches]
        return Answer({"branches": named, "converts": [], "tags": []})

    @_route("POST", f"{_REPOSITORY}/branch/([^/]+)")
    def _branch(self, request: Request, kind: str, name: str, branch: str) -> Answer:
        repository = self._repository(request, kind, name, write=True)
        if branch in repository.branches:
            raise Refusal(409, None, f"Reference already exists: {branch}")
        repository.branches[branch] = repository.at(request.json().get("startingPoint", "main")).sha
        return Answer({})

    @_route("GET", f"{_REPOSITORY}/tree/([^/]+)/?(.*)")
    def _tree(self, request: Request, kind: str, name: str, revision: str, path: str) -> Answer:
        commit = self._repository(request, kind, name).at(revision)
        entries = commit.folder(path, request.query.get("recursive", ["false"])[0].lower() in ("true", "1"))
        if path and not entries:
            raise Refusal(404, "EntryNotFound", f"{path} does not exist", {"X-Repo-Commit": commit.sha})
        return Answer(entries)

    @_route("POST", f"{_REPOSITORY}/paths-info/([^/]+)")
    def _paths_info(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        commit = self._repository(request, kind, name).at(revision)
        paths = parse_qs(request.body.decode())["paths"]
        entries = {entry["path"]: entry for entry in commit.folder("", recursive=True)}
        return Answer([entries[path] for path in paths if path in entries])

    @_route("POST", f"{_REPOSITORY}/preupload/([^/]+)")
    def _preupload(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        files = self._repository(request, kind, name, write="create_pr" not in request.query).at(revision).files
        modes = []
        for path in (one["path"] for one in request.json()["files"]):
            mode = {"path": path, "uploadMode": "lfs" if path.endswith(LARGE_SUFFIXES) else "regular"}
            mode |= {"shouldIgnore": False} | ({"oid": files[path].oid} if path in files else {})
            modes.append(mode)
        return Answer({"files": modes})

    @_route("POST", r"/(?:(datasets)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch")
    def _batch(self, request: Request, kind: str, name: str) -> Answer:
        self._repository(request, kind or "models", name)
        objects = []
        for wanted in request.json()["objects"]:
            if wanted["oid"] not in self.objects:
                address = {"href": f"{ENDPOINT}/objects/{wanted['oid']}"}
                verify = {"href": f"{ENDPOINT}/verify"}
                wanted |= {"actions": {"upload": address, "verify": verify}}
            objects.append(wanted)
        return Answer({"transfer": "basic", "objects": objects})

    @_route("PUT", "/objects/([0-9a-f]+)")
    def _upload(self, request: Request, oid: str) -> Answer:
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise Refusal(400, None, "the content has another hash")
        self.objects[oid] = request.body
        return Answer()

    @_route("POST", "/verify")
    def _verify(self, request: Request) -> Answer:
        wanted = request.json()
        if len(self.objects.get(wanted["oid"], b"")) != wanted["size"]:
            raise Refusal(404, None, "the object is not there")
        return Answer({})

    @_route("POST", f"{_REPOSITORY}/commit/([^/]+)")
    def _commit(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        is_request = "create_pr" in request.query
        repository = self._repository(request, kind, name, write=not is_request)
        files = dict(repository.at(revision).files)
        lines = [json.loads(line) for line in request.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit", repository.at(revision).sha) != repository.at(revision).sha:
            raise Refusal(412, None, "A commit has happened since")
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refusal(400, None, f"{value['path']}: its content was never sent")
                files[value["path"]] = File(self.objects[value["oid"]], is_large=True)
            elif key == "deletedFile":
                del files[value["path"]]
            elif key == "deletedFolder":
                files = {path: one for path, one in files.items() if not path.startswith(value["path"])}
        answer = {"success": True, "hookOutput": ""}
        if is_request:
            number = sum(branch.startswith("refs/pr/") for branch in repository.branches) + 1
            answer["pullRequestUrl"] = f"{self._url(kind, name)}/discussions/{number}"
            repository.branches[f"refs/pr/{number}"] = repository.at(revision).sha
            revision = f"refs/pr/{number}"
        sha = self._add_commit(repository, revision, header["summary"], files).sha
        return Answer(answer | {"commitOid": sha, "commitUrl": f"{self._url(kind, name)}/commit/{sha}"})

    @_route("GET", r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
    def _resolve(self, request: Request, kind: str, name: str, revision: str, path: str) -> Answer:
        commit = self._repository(request, kind or "models", name).at(revision)
        found = {"X-Repo-Commit": commit.sha}
        if path not in commit.files:
            raise Refusal(404, "EntryNotFound", "Entry not found", found)
        file = commit.files[path]
        found |= {"ETag": f'"{file.oid}"', "Accept-Ranges": "bytes"}
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
            first, last = int(wanted[1]), min(int(wanted[2] or len(file.content)), len(file.content) - 1)
            found["Content-Range"] = f"bytes {first}-{last}/{len(file.content)}"
            return Answer(file.content[first : last + 1], 206, found)
        return Answer(file.content, headers=found)


class _Handler(BaseHTTPRequestHandler):
    """HTTP around `HubServer.answer`."""

    server_hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        if not self.server_hub.begins(self.command, self.path):
            self._cut()
            return
        method = "GET" if self.command == "HEAD" else self.command
        answer = self.server_hub.answer(method, self.path, self.headers, self._body())
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in (answer.headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _cut(self) -> None:
        """Break the connection after half of what the client sends."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
        reset = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read the requests from `HubServer.requests`."""
