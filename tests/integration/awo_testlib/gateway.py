"""Starts the real gateway on a free port beside an Instance, and speaks HTTP with it, as clients do and as they should not."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from .instance import is_sanitized
from .processes import resident
from .rpc import Client

GATEWAY_UID = 64010


class Answer:
    def __init__(self, response, body):
        self.status, self.body = response.status, body
        self.headers = {k.lower(): v for k, v in response.getheaders()}

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"HTTP {self.status} {self.headers}\n{self.body[:3000]!r}"


class Stream:
    """A stream of server-sent events, read line by line from a raw socket."""

    def __init__(self, gateway, path, headers=None, timeout=30):
        self.connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=timeout)
        self.connection.request("GET", path, headers=headers or {})
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = {k.lower(): v for k, v in self.response.getheaders()}

    def events(self):
        """(event, id, data) of each event; comments as ("comment", None, text); ends with the stream."""
        kind, ident, data = None, None, []
        while True:
            try:
                line = self.response.readline()
            except (http.client.IncompleteRead, ConnectionError, ValueError, AttributeError):
                return
            if not line:
                return
            line = line.decode().rstrip("\n")
            if line == "":
                if data:
                    yield kind or "message", ident, "\n".join(data)
                kind, ident, data = None, None, []
            elif line.startswith(":"):
                yield "comment", None, line[1:].strip()
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("id: "):
                ident = int(line[4:])
            elif line.startswith("data: "):
                data.append(line[6:])

    def lines(self):
        """The JSON objects of a log, up to its end."""
        out = []
        for kind, _, data in self.events():
            if kind == "end":
                return out
            if kind == "message":
                out.append(json.loads(data))
        return out

    def close(self):
        self.response.close()  # it holds the socket, too
        self.connection.close()


class Gateway:
    def __init__(self, instance, env=None, args=()):
        self.instance = instance
        self.env = {**instance.env, **(env or {})}
        self.args = [str(a) for a in args]
        self.log_path = Path(instance.base) / "gateway.stderr"
        self.process = None
        self.host, self.port = "127.0.0.1", 0

    def argv(self):
        argv = [str(self.instance.programs / "awo-gateway"), "--config", str(self.instance.config_dir / "config.yaml"),
                "--config-dir", str(self.instance.config_dir), "--socket", str(self.instance.socket),
                "--listen", f"127.0.0.1:{self.port}"]
        if self.instance.system:
            argv += ["--run-as", str(GATEWAY_UID)]
        else:
            argv.append("--user")
        return argv + self.args

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, timeout=30):
        assert self.process is None
        before = len(self.log())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv(), env=self.env, cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        end = time.monotonic() + timeout
        while True:
            found = re.search(r"gateway_listening.*?127\.0\.0\.1:(\d+)", self.log()[before:])
            if found:
                # the same port again after a restart
                self.port = int(found.group(1))
                return self
            if self.process.poll() is not None:
                raise RuntimeError(f"awo-gateway ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"awo-gateway does not listen:\n{self.log()[-4000:]}")
            time.sleep(0.02)

    def stop(self, sig=signal.SIGTERM, timeout=20):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"awo-gateway did not end within {timeout} s:\n{self.log()[-4000:]}") from None
        self.process = None
        return status

    def close(self):
        """Ends it, and says what it printed."""
        status = self.stop()
        log = self.log()
        assert status in (None, 0), f"awo-gateway ended with {status}:\n{log[-4000:]}"
        return log

    @property
    def pid(self):
        return self.process.pid

    def resident(self):
        """Bytes of memory that it has."""
        return resident(self.pid)

    @property
    def is_sanitized(self):
        return is_sanitized(self.instance.programs / "awo-gateway")

    # ---- requests -------------------------------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path, body=None, **headers):
        return self.request("POST", path, body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def create(self, url, request="Add a greeting", **fields):
        """Hands an order in, as Instance.create does; returns its id."""
        made = self.post("/api/v1/", {"repository_url": str(url), "user_request": request, **fields})
        assert made.status == 201, made
        return made.json["agent_work_order"]["agent_work_order_id"]

    def raw(self, data, timeout=10, shut=False):
        """Sends these bytes and returns all that comes back until the end of the connection or the timeout."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as s:
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            out = b""
            while True:
                try:
                    part = s.recv(65536)
                except (TimeoutError, ConnectionError):
                    return out
                if not part:
                    return out
                out += part

    def stream(self, path, headers=None, timeout=30):
        return Stream(self, path, headers, timeout)

    def curl(self, *args):
        done = subprocess.run(["curl", "-sS", *args], capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": os.environ["PATH"]})
        assert done.returncode == 0, done.stderr
        return done.stdout


# ---- who asks -----------------------------------------------------------------------------------------------------

def token(gateway, uid=None, **more):
    """An access token of the user's."""
    return gateway.instance.call("token.create", {"name": "t", **more}, uid=uid)["token"]


def bearer(text, **more):
    return {"Authorization": f"Bearer {text}", **more}


def login_link(gateway, uid=None, **more):
    return "/ui/login?token=" + gateway.instance.call("session.create", more, uid=uid)["login_token"]


def cookie(gateway, uid=None, **more):
    """Of a session that a link has begun."""
    answer = gateway.get(login_link(gateway, uid, **more))
    assert answer.status == 303, answer
    return answer.headers["set-cookie"].split(";")[0]


def own(gateway, jar):
    """What a browser sends with a page's own request."""
    return {"Cookie": jar, "Origin": f"http://{gateway.host}:{gateway.port}", "Sec-Fetch-Site": "same-origin"}


def as_gateway(gateway):
    """A connection as the gateway's user, to say what the gateway never would."""
    return Client(str(gateway.instance.socket), uid=GATEWAY_UID if gateway.instance.system else None)
