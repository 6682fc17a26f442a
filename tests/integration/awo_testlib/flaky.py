"""A TCP proxy that is away, cuts connections, or loses what the other side answers."""
import select
import socket
import struct
import threading
import time


def reset(sock):
    """Ends a connection so that the other side sees it reset."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    sock.close()


class Flaky:
    """
    plans: what happens to the next connections, one dictionary each (None: nothing); after the last all is well.
    {"away": seconds}     reset, and new ones are refused for so long
    {"down": bytes}       reset after so many bytes from the server
    {"up": bytes}         reset after so many bytes to the server
    {"swallow": bytes}    after so many bytes to the server its answers are lost; reset when it has ended or after 3 s
    {"hang": seconds}     nothing is passed on; reset afterwards
    """

    def __init__(self, port, plans=()):
        self.target, self.plans = port, list(plans)
        self.hits = 0
        self.closed = False
        self.listener = None
        self.listen(0)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def listen(self, port):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(64)
        self.listener = s

    def close(self):
        self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def run(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                continue
            plan = self.plans.pop(0) if self.plans else None
            self.hits += plan is not None
            if plan and "away" in plan:
                self.listener.close()
                reset(client)
                time.sleep(plan["away"])
                if not self.closed:
                    self.listen(self.port)
                continue
            threading.Thread(target=self.serve, args=(client, plan or {}), daemon=True).start()

    def serve(self, client, plan):
        if "hang" in plan:
            time.sleep(plan["hang"])
            reset(client)
            return
        server = socket.create_connection(("127.0.0.1", self.target))
        passed = {"up": 0, "down": 0}
        try:
            self.carry(client, server, plan, passed)
        except OSError:
            pass
        reset(client)
        server.close()

    def carry(self, client, server, plan, passed):
        end = None
        while end is None or time.monotonic() < end:
            for source in select.select([client, server], [], [], 0.2)[0]:
                data = source.recv(4096)
                way, sink = ("up", server) if source is client else ("down", client)
                if not data:
                    return
                passed[way] += len(data)
                if passed[way] > plan.get(way, passed[way]):
                    return
                if passed["up"] > plan.get("swallow", passed["up"]):
                    end = end or time.monotonic() + 3
                    if way == "down":
                        continue
                sink.sendall(data)
