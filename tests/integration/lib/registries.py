"""Registries for tests: Debian's docker-registry on loopback, and one of our own that breaks every promise asked of it."""

import contextlib
import crypt
import http.server
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse
import urllib.request

from lib import layouts, proc

SKOPEO = ["skopeo", "--insecure-policy"]


def free_port():
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def make_certificate(folder, names=("localhost",)):
    """A certificate of an authority of its own for these names and this machine: (ca.crt, server.crt, server.key)."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    ca, key, request, cert = (folder / n for n in ("ca.crt", "server.key", "server.csr", "server.crt"))
    extensions = folder / "extensions"
    alternatives = ",".join([f"DNS:{name}" for name in names] + ["IP:127.0.0.1"])
    extensions.write_text(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n")

    def openssl(*args):
        proc.run("openssl", *args, timeout=60).check()

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", ca, "-subj", "/CN=test authority", "-days", "2")
    openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", folder / "ca.key", "-CAcreateserial", "-out", cert, "-days", "2",
            "-extfile", extensions)
    return ca, cert, key


class DebianRegistry:
    """docker-registry as Debian has it, below a folder; started and ended by pid (a context manager)."""

    def __init__(self, folder, tls=False, users=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        self.tls = tls
        self.users = users or {}
        self.ca = None
        config = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        if tls:
            self.ca, cert, key = make_certificate(self.folder)
            config["http"]["tls"] = {"certificate": str(cert), "key": str(key)}
        if users:
            lines = [f"{name}:{crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}" for name, password in users.items()]
            (self.folder / "htpasswd").write_text("\n".join(lines) + "\n")
            config["auth"] = {"htpasswd": {"realm": "cooper tests", "path": str(self.folder / "htpasswd")}}
        (self.folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML

    def __enter__(self):
        self.log = open(self.folder / "log", "wb")
        self.child = subprocess.Popen(
            ["docker-registry", "serve", self.folder / "config.yml"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        proc.until(self._answers, 30, 0.1, f"an answer of the registry at {self.host}")
        return self

    def _answers(self):
        assert self.child.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        return False

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.log.close()

    def requests(self):
        """Lines of the access log so far: "GET /v2/..." and the status."""
        found = []
        for line in (self.folder / "log").read_text(errors="replace").splitlines():
            parts = line.split('"')
            if len(parts) > 2 and "/v2/" in parts[1]:
                found.append((*parts[1].split()[:2], int(parts[2].split()[0])))
        return found

    def fetched(self):
        """What was read: the paths of manifests and blobs, in order."""
        return [path for method, path, status in self.requests() if method == "GET" and status < 400 and path != "/v2/"]

    def push(self, source, name, *flags):
        """Copy an image of a transport of skopeo into this registry."""
        flags = [*flags]
        if self.tls:
            flags += ["--dest-cert-dir", self._certificates()]
        else:
            flags += ["--dest-tls-verify=false"]
        if self.users:
            flags += ["--dest-creds", ":".join(next(iter(self.users.items())))]
        proc.run(*SKOPEO, "copy", "--quiet", *flags, source, f"docker://{self.host}/{name}", timeout=120).check()
        return f"{self.host}/{name}"

    def upload(self, repository, data):
        """Put a blob there by the API; its digest. For a registry without TLS and users."""
        base = f"http://{self.host}/v2/{repository}/blobs/uploads/"
        with urllib.request.urlopen(urllib.request.Request(base, method="POST")) as answer:
            place = answer.headers["Location"]
        query = urllib.parse.urlencode({"digest": layouts.digest(data)})
        url = urllib.parse.urljoin(base, place) + ("&" if "?" in place else "?") + query
        request = urllib.request.Request(url, data, {"Content-Type": "application/octet-stream"}, method="PUT")
        urllib.request.urlopen(request).close()
        return layouts.digest(data)

    def put_manifest(self, repository, tag, document):
        """Put an OCI manifest there by the API, under a tag."""
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": layouts.MANIFEST}, method="PUT")
        urllib.request.urlopen(request).close()

    def _certificates(self):
        folder = self.folder / "trust"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.ca, folder / "ca.crt")
        return folder

    def digest(self, name):
        """The digest of what a tag names."""
        out = proc.run(*SKOPEO, "inspect", "--raw", "--tls-verify=false", f"docker://{self.host}/{name}").check().out
        return layouts.digest(out.encode())


class Hostile:
    """A registry of Python: serves the images of a layout and takes new ones, except where a rule says otherwise.

    rules maps a part of a path, or a method, a blank and a part of a path, to a function(handler, body) that answers in
    its own way; body is what would be sent. It is asked for every request that has that part; honest() is what would be
    done without it. Clients need a certificate of client_authority when there is one. requests is what came: (method, path, headers).
    """

    def __init__(self, layout=None, certificate=None, client_authority=None, newest_tls=ssl.TLSVersion.TLSv1_3):
        self.documents = {}
        self.uploads = {}
        self.numbers = itertools.count()
        self.mountable = set()
        self.rules = {}
        self.requests = []
        self.repository = "name"
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                owner.requests.append((self.command, self.path, dict(self.headers)))
                self.unread = int(self.headers.get("Content-Length", 0))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    owner.answer(self)
                    while self.unread and not self.close_connection and self.body(min(self.unread, 65536)):
                        pass
                # The rest of a body is no request.
                self.close_connection = self.close_connection or self.unread > 0

            do_POST = do_HEAD = do_PUT = do_PATCH = do_GET

            def body(self, count=None):
                """What is sent along, or so many bytes of it."""
                data = self.rfile.read(self.unread if count is None else count)
                self.unread -= len(data)
                return data

            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                if "content_length" not in headers:
                    headers["content_length"] = len(body)
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def cut(self):
                """End the connection in the middle."""
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate[1], certificate[2])
            context.maximum_version = newest_tls
            if client_authority:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client_authority)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"localhost:{self.port}"
        if layout:
            self.serve(layout)

    def serve(self, layout):
        """Every blob of the layout, and what its index names as tag 1."""
        for blob in (layout.path / "blobs/sha256").iterdir():
            self.documents["sha256:" + blob.name] = (blob.read_bytes(), "application/octet-stream")
        for descriptor in json.loads((layout.path / "index.json").read_text())["manifests"]:
            data, _ = self.documents[descriptor["digest"]]
            self.documents["1"] = self.documents[descriptor["digest"]] = (data, descriptor["mediaType"])

    @property
    def name(self):
        return f"{self.host}/{self.repository}:1"

    def answer(self, handler):
        data, _ = self.documents.get(handler.path.split("?")[0].rsplit("/", 1)[1], (None, None))
        for part, rule in list(self.rules.items()):
            method, _, path = part.rpartition(" ")
            if path in handler.path and method in ("", handler.command):
                return rule(handler, data)
        return self.honest(handler, data)

    def honest(self, handler, data=None):
        """Answer as a registry should."""
        path, _, query = handler.path.partition("?")
        words = {key: values[0] for key, values in urllib.parse.parse_qs(query).items()}
        name = path.rsplit("/", 1)[1]
        if "/blobs/uploads/" in path:
            return self.take_upload(handler, name, words)
        if handler.command == "PUT":
            body = handler.body()
            self.documents[name] = self.documents[layouts.digest(body)] = (body, handler.headers["Content-Type"])
            return handler.reply(201, location=path, docker_content_digest=layouts.digest(body))
        data, media_type = self.documents.get(name, (None, None))
        if data is None:
            return handler.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        return handler.reply(200, data, content_type=media_type, docker_content_digest=layouts.digest(data))

    def take_upload(self, handler, name, words):
        """A request of an upload: its parts go to uploads[name]."""
        if handler.command == "POST":
            if words.get("mount") in self.mountable:
                self.documents[words["mount"]] = (b"", "application/octet-stream")
                return handler.reply(201, docker_content_digest=words["mount"])
            name = str(next(self.numbers))
            self.uploads[name] = b""
            return handler.reply(202, location=f"/v2/{self.repository}/blobs/uploads/{name}?state=0", range="0-0")
        if name not in self.uploads:
            return handler.reply(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}')
        place = f"/v2/{self.repository}/blobs/uploads/{name}?state={len(self.uploads[name])}"
        if handler.command == "GET":
            return handler.reply(204, content_length=None, location=place, range=f"0-{max(len(self.uploads[name]) - 1, 0)}")
        start = int(handler.headers.get("Content-Range", str(len(self.uploads[name]))).split("-")[0])
        if start != len(self.uploads[name]):
            return handler.reply(416, range=f"0-{max(len(self.uploads[name]) - 1, 0)}")
        self.uploads[name] += handler.body()
        if handler.command == "PATCH":
            return handler.reply(202, location=place, range=f"0-{len(self.uploads[name]) - 1}")
        data = self.uploads.pop(name)
        if layouts.digest(data) != words.get("digest"):
            return handler.reply(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}')
        self.documents[words["digest"]] = (data, "application/octet-stream")
        return handler.reply(201, location=f"/v2/{self.repository}/blobs/{words['digest']}", docker_content_digest=words["digest"])

    def sent(self, *methods):
        """Paths of requests of these methods, or of all that change something."""
        return [path for method, path, _ in self.requests if method in (methods or ("POST", "PATCH", "PUT"))]

    def paths(self, part=""):
        """Paths that were asked for and hold this."""
        return [path for _, path, _ in self.requests if part in path]

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def once(rule):
    """A rule for the first request only; later ones are answered as without it."""
    state = {"left": 1}

    def apply(handler, data):
        if state["left"]:
            state["left"] -= 1
            return rule(handler, data)
        start = 0
        if found := handler.headers.get("Range"):
            start = int(found.removeprefix("bytes=").removesuffix("-"))
            return handler.reply(206, data[start:], content_range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        return handler.reply(200, data)

    return apply


def failing(registry, times, how):
    """A rule under which a registry fails each request so many times before it answers: by a status, 429 with a Retry-After, or "reset", an RST instead of an answer."""
    left = {}

    def apply(handler, data):
        key = handler.command + handler.path.partition("/uploads/")[0]  # each upload is another path
        left[key] = left.get(key, times) - 1
        if left[key] < 0:
            return registry.honest(handler, data)
        if how != "reset":
            return handler.reply(int(how), b"", retry_after=0 if how == "429" else None)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection, handler.unread = True, 0
        handler.connection.close()

    return apply
