"""A msgpack-rpc client that knows nothing of AWO: the published protocol over a Unix socket."""
import collections
import itertools
import os
import select
import socket
import time

import msgpack


class RpcError(Exception):
    def __init__(self, error):
        self.raw = error
        error = error if isinstance(error, dict) else {"message": str(error)}
        self.code = error.get("code")
        self.message = error.get("message", "")
        self.field = error.get("field")
        super().__init__(f"{self.code}: {self.message}" + (f" ({self.field})" if self.field else ""))


class Closed(Exception):
    """The peer closed the connection."""


def connect(path, uid=None, gid=None, groups=()):
    """A connected socket whose peer credentials are those of uid: made by a child that has become that user."""
    if uid is None or uid == os.geteuid():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        return sock
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(list(groups))
            os.setresgid(*[gid if gid is not None else uid] * 3)
            os.setresuid(uid, uid, uid)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(path)
            socket.send_fds(theirs, [b"x"], [sock.fileno()])
            status = 0
        except OSError as e:
            theirs.send(str(e.errno).encode())
        finally:
            os._exit(status)
    theirs.close()
    data, fds, _, _ = socket.recv_fds(ours, 16, 1)
    os.waitpid(pid, 0)
    ours.close()
    if not fds:
        raise OSError(int(data or b"5"), f"cannot connect to {path} as uid {uid}")
    return socket.socket(fileno=fds[0])


class Client:
    def __init__(self, path, uid=None, gid=None, groups=()):
        self.sock = connect(path, uid, gid, groups)
        self.unpacker = msgpack.Unpacker(raw=False, max_buffer_size=64 << 20, strict_map_key=False)
        self.ids = itertools.count(1)
        self.answers = {}
        self.notifications = collections.deque()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, method, param=None):
        msgid = next(self.ids)
        self.sock.sendall(msgpack.packb([0, msgid, method, [param or {}]]))
        return msgid

    def pump(self, timeout):
        """Reads once; False when nothing came within the time."""
        ready, _, _ = select.select([self.sock], [], [], max(0, timeout))
        if not ready:
            return False
        data = self.sock.recv(1 << 20)
        if not data:
            raise Closed()
        self.unpacker.feed(data)
        for message in self.unpacker:
            if message[0] == 1:
                self.answers[message[1]] = (message[2], message[3])
            else:
                assert message[0] == 2, message
                self.notifications.append((message[1], message[2][0] if message[2] else {}))
        return True

    def receive(self, msgid, timeout=60):
        end = time.monotonic() + timeout
        while msgid not in self.answers:
            if not self.pump(end - time.monotonic()) and time.monotonic() >= end:
                raise TimeoutError(f"no answer to request {msgid} within {timeout} s")
        error, result = self.answers.pop(msgid)
        if error is not None:
            raise RpcError(error)
        return result

    def call(self, method, param=None, timeout=60, **params):
        return self.receive(self.send(method, {**(param or {}), **params}), timeout)

    def next(self, timeout=30):
        """The next notification as (method, map)."""
        end = time.monotonic() + timeout
        while not self.notifications:
            if not self.pump(end - time.monotonic()) and time.monotonic() >= end:
                raise TimeoutError("no notification came")
        return self.notifications.popleft()
