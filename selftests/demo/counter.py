# SPDX-License-Identifier: GPL-2.0-only
"""For "make demo-redis": a small server, a thread per connection; GET /x is how often that was asked for"""
import collections
import http.server
import sys

counters = collections.Counter()


class Handler(http.server.BaseHTTPRequestHandler):
    """Connections stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """One more."""
        counters[self.path] += 1
        body = f"{counters[self.path]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is logged."""


server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("serving", flush=True)
server.serve_forever()
