"""Makes requests that are almost right, from the interface's own description, and spoils some of them byte by byte."""
import json
import random
import re
from urllib.parse import quote

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
IDS = ["wo-12345678", "wo-00000000", "wo-1", "00000000-0000-0000-0000-000000000000", "%20", "%00", "%2F", "%ff", "%c3%a9", "..", ".",
       "a" * 1100, "-1", "null", "prompts/01-x.txt", "outputs", "%2e%2e", "a%0ab", "\\", "'", "x;y", "etc%5cpasswd", "agent_workflow_plan"]
TEXTS = ["", " ", "x", "é", "\u0000", "\ud800", "a\nb", "\u202e", "'; DROP TABLE x", "a" * 3000, "../../etc/passwd", "-rf", "🙂" * 50,
         "2026-01-31T08:00:00Z", "2026-13-31", "0", "true"]
# of these none names a repository, so that no order comes of it
URLS = ["", "no repository", "http://", "https://user:pass@host/", "ftp://a/b", "file://relative", "git@:x", "/", "a/b/c/..", "ssh://", "\u0000"]
NUMBERS = [-1, 0, 1, 100, 101, 500, 501, 1000, 1001, 2**31, 2**53, 2**63 - 1, 2**63, -2**63, 1e300, 0.5, 10**30]
WRONG = [None, True, [], {}, [[]], {"a": {"b": []}}, [None], "x", 5, -0.0]
HEADERS = ["Accept: text/html", "Accept: */*", "If-None-Match: *", 'If-None-Match: "x", W/"y"', "Accept-Encoding: gzip", "Accept-Encoding: ,;q=",
           "Last-Event-ID: 5", "Last-Event-ID: x", "Idempotency-Key: a", "Idempotency-Key: \xff", "Range: bytes=0-1", "X-Request-Id: a b",
           "X-Request-Id: " + "r" * 100, "Cookie: awo_session_1=awos_x; a=b", "Upgrade: websocket", "TE: trailers", "Sec-Fetch-Site: none",
           "User-Agent: " + "u" * 500, "X-GitHub-Event: ping", "Content-Type: text/plain", "Content-Type: application/json"]


class Requests:
    def __init__(self, api, host, seed):
        self.rnd, self.host, self.seed, self.made = random.Random(seed), host, seed, 0
        self.schemas = api["components"]["schemas"]
        # streams have no end: they have tests of their own
        self.routes = [(method.upper(), path, operation) for path, item in api["paths"].items() for method, operation in item.items()
                       if not path.endswith(("/events", "/logs/stream"))]

    def value(self, name, schema, depth=0):
        rnd = self.rnd
        schema = self.schemas.get(schema.get("$ref", "").rsplit("/", 1)[-1], schema)
        if rnd.random() < 0.2:
            return rnd.choice(WRONG)
        if name == "repository_url":
            return rnd.choice(URLS)
        if "enum" in schema:
            return rnd.choice(schema["enum"] + TEXTS[:3])
        kind = schema.get("type")
        if kind in ("integer", "number"):
            return rnd.choice([*NUMBERS, schema.get("minimum", 0) - 1, schema.get("maximum", 9) + 1])
        if kind == "boolean":
            return rnd.choice([True, False, "yes", 1])
        if kind == "array" and depth < 3:
            return [self.value("", schema.get("items", {}), depth + 1) for _ in range(rnd.choice([0, 1, 2, 70]))]
        if kind == "object" and depth < 3:
            return {k: self.value(k, v, depth + 1) for k, v in schema.get("properties", {}).items() if rnd.random() < 0.5}
        return rnd.choice(TEXTS)

    def target(self, path, operation):
        rnd = self.rnd
        path = re.sub(r"\{[^}]*\}", lambda _: rnd.choice(IDS), path)
        if rnd.random() < 0.3:
            path += "/"
        if rnd.random() < 0.05:
            at = rnd.randrange(len(path))
            path = path[:at] + rnd.choice(["/", "//", "/../", "/./", "%2f", "%", "%zz", ";", "#", "\\", "?", "é", "%00", "*"]) + path[at:]
        query = []
        for p in operation.get("parameters", []):
            if p["in"] == "query" and rnd.random() < 0.3:
                text = self.value(p["name"], p["schema"])
                text = text if isinstance(text, str) else json.dumps(text)
                query.append(f"{p['name']}={quote(text.encode(errors='surrogatepass'))}")
        if rnd.random() < 0.05:
            query.append(rnd.choice(["=", "&&", "a=%", "%ff=1", "a=%00", "limit=5&limit=0", "&".join(f"q{i}=1" for i in range(70))]))
        return path + ("?" + "&".join(query) if query else "")

    def body(self, operation):
        rnd = self.rnd
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is None or rnd.random() < 0.1:
            return rnd.choice([b"", b"{", b"[]", b"null", b'"x"', b"\0", b"\xff\xfe", b'{"a":' * 500, b'{"a":1}x', b"a=b&c=d", b" " * 5000,
                               b'{"repository_url":"\\ud800"}'])
        tree = {k: self.value(k, v) for k, v in schema.get("properties", {}).items() if rnd.random() < 0.6}
        text = json.dumps(tree, ensure_ascii=rnd.random() < 0.5).encode(errors="surrogatepass")
        return text[:rnd.randrange(len(text) + 1)] if rnd.random() < 0.05 else text

    @staticmethod
    def last(request):
        """The same, after which the connection ends."""
        method, data = request
        return method, data if b"\r\nConnection: close" in data else data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    def one(self):
        """(method, bytes) of a request that can be told from the next one."""
        rnd = self.rnd
        method, path, operation = rnd.choice(self.routes)
        body = self.body(operation) if method in ("POST", "PUT", "PATCH") else b""
        if rnd.random() < 0.1:
            method = rnd.choice(METHODS)
            body = b"" if method == "HEAD" else body
        lines = [f"{method} {self.target(path, operation)} HTTP/1.1", f"Host: {self.host}", *rnd.sample(HEADERS, rnd.choice([0, 0, 1, 2, 4]))]
        self.made += 1
        if not any(line.startswith("X-Request-Id") for line in lines):
            lines.append(f"X-Request-Id: {self.seed}-{self.made}")
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        return method, "\r\n".join(lines).encode("latin-1", errors="replace") + b"\r\n\r\n" + body

    def spoilt(self):
        """Bytes that were a request."""
        rnd = self.rnd
        _, data = self.one()
        data = bytearray(data.replace(b" HTTP/1.1", rnd.choice([b" HTTP/1.1"] * 6 + [b" HTTP/1.0", b" HTTP/2.0", b"", b" HTTP/1.1 x"]), 1))
        if rnd.random() < 0.2:
            at = data.find(b"\r\n") + 2
            data[at:at] = rnd.choice([b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999\r\n", b"Host: evil\r\n",
                                      b"Expect: 100-continue\r\n", b"Expect: x\r\n", b" folded\r\n", b": \r\n", b"A" * 17000 + b": b\r\n",
                                      b"Connection: upgrade\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"X:\0\r\n"])
        for _ in range(rnd.choice([0, 1, 1, 2, 8])):
            at = rnd.randrange(len(data) + 1)
            kind = rnd.randrange(4)
            if kind == 0 and at < len(data):
                data[at] = rnd.randrange(256)
            elif kind == 1:
                del data[at:at + rnd.randrange(1, 9)]
            elif kind == 2:
                data[at:at] = rnd.randbytes(rnd.randrange(1, 9))
            else:
                data[at:at] = data[max(0, at - 20):at]
        return bytes(data)


def answers(data, methods):
    """(status, headers, body) of each answer in what came back; the methods say which have no body."""
    out, at = [], 0
    while at < len(data):
        end = data.index(b"\r\n\r\n", at)
        first, *lines = data[at:end].decode("latin-1").split("\r\n")
        if first.startswith("HTTP/1.1 100 "):
            at = end + 4
            continue
        assert re.fullmatch(r"HTTP/1\.[01] \d{3} [A-Za-z ]+", first), first
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        status = int(first.split(" ")[1])
        bare = methods[len(out)] == "HEAD" or status in (204, 304)
        # of one whose first line is longer than may be nobody has read the method
        if status == 400 and headers.get("connection") == "close" and data[end + 4:]:
            bare = False
        size = 0 if bare else int(headers["content-length"])
        body = data[end + 4:end + 4 + size]
        assert len(body) == size, "an answer breaks off"
        out.append((status, headers, body))
        at = end + 4 + size
    return out
