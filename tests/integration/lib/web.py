"""A part of the web for tests: any domain, over https with an authority of its own and over plain http, through a proxy
on this machine. What a domain serves is a table."""

import contextlib
import http.server
import select
import socket
import ssl
import threading
import urllib.parse

from lib.registries import make_certificate


class Web:
    """A context manager. pages maps "host/path" to bytes, or to a function(handler) that answers in its own way; 'plain'
    is the same for plain http. asked is what came: "https://host/path?query"."""

    def __init__(self, folder, domains):
        self.pages, self.plain, self.asked = {}, {}, []
        self.ca, cert, key = make_certificate(folder, domains)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.servers = []

    def __enter__(self):
        self.secure = self._serve("https", self.context)
        self.unencrypted = self._serve("http")
        self.proxy = self._listen(self._tunnel)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.proxy.close()

    @property
    def environ(self):
        """For programs that shall see this web."""
        proxy = f"http://127.0.0.1:{self.proxy.getsockname()[1]}"
        return {"https_proxy": proxy, "http_proxy": proxy}

    def _serve(self, scheme, context=None):
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                host = url.hostname or self.headers["Host"].split(":")[0]
                place = (host + url.path).rstrip("/")
                web.asked.append(f"{scheme}://{place}" + (f"?{url.query}" if url.query else ""))
                page = (web.pages if scheme == "https" else web.plain).get(place)
                if callable(page):
                    page(self)
                else:
                    self.answer(404 if page is None else 200, page or b"nothing here\n")

            def answer(self, status, body=b"", headers=()):
                """A whole answer."""
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.servers.append(server)
        return server.server_address[1]

    def _listen(self, serve):
        listener = socket.create_server(("127.0.0.1", 0))

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener

    def _tunnel(self, client):
        """CONNECT leads to the https server whatever the host is called, all else to the http server."""
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
            tunnel = head.startswith(b"CONNECT ")
            with socket.create_connection(("127.0.0.1", self.secure if tunnel else self.unencrypted)) as server:
                if tunnel:
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(head)
                while True:
                    for source in select.select([client, server], [], [])[0]:
                        piece = source.recv(65536)
                        if not piece:
                            return
                        (server if source is client else client).sendall(piece)
