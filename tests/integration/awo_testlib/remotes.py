"""Real git remotes: a bare repository as a directory, behind git's own HTTP program, and behind a real sshd."""
import base64
import getpass
import gzip
import http.server
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

GIT_ENV = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
           "GIT_AUTHOR_NAME": "Tester", "GIT_AUTHOR_EMAIL": "tester@example.invalid",
           "GIT_COMMITTER_NAME": "Tester", "GIT_COMMITTER_EMAIL": "tester@example.invalid", "LANG": "C.UTF-8"}
FILES = {"README.md": "# Sample\n\nA small project.\n", "src/main.py": "print('hello')\n",
         "src/with space.txt": "spaces\n", "docs/usage.md": "Usage\n"}


def git(*args, cwd=None, check=True, input=None):
    done = subprocess.run(["git", *map(str, args)], cwd=cwd, env=GIT_ENV, input=input, capture_output=True, text=True,
                          errors="replace", check=False)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(map(str, args))}: {done.stderr}")
    return done.stdout.strip()


class Repository:
    """A bare repository that plays the remote, and what the tests want to know of it."""

    def __init__(self, path, files=FILES, branch="main", commits=1, empty=False):
        self.path = Path(path)
        self.branch = branch
        git("init", "-q", "--bare", "-b", branch, self.path)
        git("config", "http.receivepack", "true", cwd=self.path)
        git("config", "gc.auto", "0", cwd=self.path)
        git("config", "receive.autogc", "false", cwd=self.path)
        if not empty:
            for i in range(commits):
                self.commit(files if i == 0 else {"history.txt": f"{i}\n"}, "init" if i == 0 else f"change {i}")
        self.open_to_all()

    def open_to_all(self):
        """Orders run under uids of their own, so a directory that they push to must be open to them."""
        if os.geteuid() == 0:
            git("config", "core.sharedRepository", "0666", cwd=self.path)
            subprocess.run(["chmod", "-R", "a+rwX", str(self.path)], check=True)

    def commit(self, files, message, branch=None):
        """Adds a commit without a work tree and returns its id."""
        branch = branch or self.branch
        parent = git("rev-parse", "-q", "--verify", f"refs/heads/{branch}", cwd=self.path, check=False)
        index = {**GIT_ENV, "GIT_INDEX_FILE": str(self.path / "test-index"), "GIT_DIR": str(self.path)}
        run = lambda *a, input=None: subprocess.run(["git", *a], env=index, input=input, capture_output=True, text=True,
                                                    check=True).stdout.strip()
        if parent:
            run("read-tree", parent)
        for name, content in files.items():
            blob = run("hash-object", "-w", "--stdin", input=content)
            run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
        commit = run("commit-tree", run("write-tree"), "-m", message, *(["-p", parent] if parent else []))
        run("update-ref", f"refs/heads/{branch}", commit)
        (self.path / "test-index").unlink(missing_ok=True)
        return commit

    def branches(self):
        return git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=self.path).splitlines()

    def head(self, branch):
        return git("rev-parse", "-q", "--verify", f"refs/heads/{branch}", cwd=self.path, check=False) or None

    def subjects(self, branch, base=None):
        """Subjects of the commits that the branch has beyond base, oldest first."""
        return git("log", "--reverse", "--format=%s", f"{base or self.branch}..{branch}", "--",
                   cwd=self.path).splitlines()

    def numbers(self, branch, base=None):
        """(commits, files, lines added, lines removed) of the branch as git counts them."""
        base = base or self.branch
        merge_base = git("merge-base", base, branch, cwd=self.path)
        count = int(git("rev-list", "--count", f"{merge_base}..{branch}", cwd=self.path))
        stats = [line.split("\t") for line in
                 git("diff", "--numstat", "--no-renames", merge_base, branch, cwd=self.path).splitlines()]
        return (count, len(stats), sum(int(s[0]) for s in stats if s[0] != "-"),
                sum(int(s[1]) for s in stats if s[1] != "-"))

    def show(self, branch, path):
        return git("show", f"{branch}:{path}", cwd=self.path)

    def files(self, branch):
        return git("ls-tree", "-r", "--name-only", "-z", branch, cwd=self.path).strip("\0").split("\0")

    def message(self, branch):
        return git("log", "-1", "--format=%B", branch, "--", cwd=self.path)

    def hook(self, name, text):
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


class Threaded(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that went away is no news here


class BodyHandler(http.server.BaseHTTPRequestHandler):
    """Reads bodies with a length and chunked ones; keeps connections open."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                out += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return out
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, body=b"", content_type="text/plain", headers=(), cut=False):
        """cut: the connection ends in the middle of the body."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


class GitFault:
    """
    What happens to the next requests for a repository's service (git-upload-pack or git-receive-pack; phase: refs, pack or
    None for both) that are allowed: to `times` of them or, with seconds, to all until so long after the first. Without
    status, reset, cut, lost or hang they are served, after before() and followed by after().
    """

    def __init__(self, repository, service, phase=None, times=1, seconds=None, status=None, reset=False, cut=False,
                 lost=False, hang=0, before=None, after=None):
        self.repository, self.service, self.phase = repository, service, phase
        self.times, self.seconds, self.status, self.reset, self.cut = times, seconds, status, reset, cut
        self.lost, self.hang, self.before, self.after = lost, hang, before, after
        self.hits, self.first = 0, None

    def takes(self, path, query):
        phase = "refs" if path.endswith("/info/refs") else "pack"
        if self.repository not in path.split("/") and f"{self.repository}.git" not in path.split("/") or \
                self.service not in path + query or self.phase not in (None, phase):
            return False
        if self.seconds is not None:
            self.first = self.first or time.monotonic()
            if time.monotonic() > self.first + self.seconds:
                return False
        elif self.times <= 0:
            return False
        self.times -= 1
        self.hits += 1
        return True


class GitHttpServer:
    """
    git-http-backend behind a small HTTP server. token: password (or bearer) that it wants; delay: seconds before each
    answer; failures: list of HTTP statuses for the next requests (0 closes the connection); faults: see GitFault.
    """

    def __init__(self, root, token=None, delay=0.0):
        self.root, self.token, self.delay = Path(root), token, delay
        self.failures, self.requests, self.faults = [], [], []
        self.lock = threading.Lock()
        outer = self

        class Handler(BodyHandler):
            def handle_any(self):
                outer.serve(self)
            do_GET = do_POST = do_HEAD = handle_any

        self.server = Threaded(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def url(self, name):
        return f"http://{self.host}/{name}"

    def authorized(self, header):
        if self.token is None:
            return True
        kind, _, value = (header or "").partition(" ")
        if kind.lower() == "basic":
            value = base64.b64decode(value).decode(errors="replace").partition(":")[2]
        return value == self.token

    def serve(self, h):
        body = h.body()
        with self.lock:
            failure = self.failures.pop(0) if self.failures else None
            self.requests.append((h.command, h.path, h.headers.get("Authorization")))
        if self.delay:
            time.sleep(self.delay)
        if failure == 0:
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        if failure:
            h.answer(failure, b"told to fail\n")
            return
        if not self.authorized(h.headers.get("Authorization")):
            h.answer(401, b"authentication required\n", headers=[("WWW-Authenticate", 'Basic realm="git"')])
            return
        path, _, query = h.path.partition("?")
        with self.lock:
            fault = next((f for f in self.faults if f.takes(path, query)), None)
        if fault and fault.before:
            fault.before()
        if fault and fault.hang:
            time.sleep(fault.hang)
        if fault and (fault.reset or fault.hang):
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault and fault.status:
            h.answer(fault.status, b"told to fail\n", headers=[("WWW-Authenticate", 'Basic realm="git"')])
            return
        path = self.find(path)
        env = {**GIT_ENV, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "QUERY_STRING": query, "REQUEST_METHOD": h.command, "REMOTE_USER": "tester", "REMOTE_ADDR": "127.0.0.1",
               "CONTENT_TYPE": h.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body))}
        if h.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
            env["CONTENT_LENGTH"] = str(len(body))
        if h.headers.get("Git-Protocol"):
            env["GIT_PROTOCOL"] = h.headers["Git-Protocol"]
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, headers, kind = 200, [], "text/plain"
        for line in head.decode().split("\r\n"):
            key, _, value = line.partition(": ")
            if key.lower() == "status":
                status = int(value.split()[0])
            elif key.lower() == "content-type":
                kind = value
            elif key:
                headers.append((key, value))
        if fault and fault.after:
            fault.after()
        if fault and fault.lost:
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        h.answer(status, content, kind, headers, cut=bool(fault and fault.cut))

    def fault(self, *arguments, **fault):
        self.faults.append(GitFault(*arguments, **fault))
        return self.faults[-1]

    def find(self, path):
        """Repositories answer with and without .git in their address, as on the great forges."""
        for suffix in ("/info/refs", "/git-upload-pack", "/git-receive-pack", "/HEAD"):
            if path.endswith(suffix):
                from urllib.parse import unquote
                name = unquote(path[:-len(suffix)])
                if not (self.root / name.lstrip("/")).is_dir() and (self.root / (name.lstrip("/") + ".git")).is_dir():
                    return name + ".git" + suffix
                return name + suffix
        return path

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sshd:
    """A real sshd on a free port of the loopback, with keys of its own."""

    def __init__(self, base):
        self.base = Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        self.user = getpass.getuser() if os.geteuid() else "root"
        for name in ("host", "user", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.base / name)],
                           check=True)
        authorized = self.base / "authorized_keys"
        authorized.write_text((self.base / "user.pub").read_text())
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        config = self.base / "sshd_config"
        config.write_text(f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.base}/host
AuthorizedKeysFile {authorized}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
MaxSessions 200
LogLevel VERBOSE
""")
        self.log = self.base / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"sshd does not start: {self.log.read_text()}") from None
                time.sleep(0.05)

    @property
    def known_hosts(self):
        key = " ".join((self.base / "host.pub").read_text().split()[:2])
        return f"[127.0.0.1]:{self.port} {key}\n"

    def url(self, path):
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def key(self, name="user"):
        return (self.base / name).read_text()

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self.process.terminate()
        self.process.wait()
