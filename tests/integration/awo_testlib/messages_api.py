"""A stand-in of Anthropic's Messages API, with a scripted model that carries out the steps of a work order."""
import json
import re
import socket
import threading
import time
import uuid

from .remotes import BodyHandler, Threaded

TITLES = {"# Create a branch": "create-branch", "# Plan the work": "planning", "# Carry out the plan": "execute",
          "# Review the work": "prp-review", "# Run the tests": "testing", "# Commit what is left": "commit",
          "# Describe the pull request": "create-pr"}


def text(value):
    return {"type": "text", "text": value}


def bash(command):
    return {"type": "tool_use", "name": "Bash", "input": {"command": command, "description": "work"}}


# What the model says in each turn of a step; a turn without a tool ends the step.
SCRIPT = {
    "create-branch": [[text("I make a branch."), bash("git checkout -q -b feat/real-cli && git branch --show-current")],
                      [text("feat/real-cli")]],
    "planning": [[bash("mkdir -p PRPs && printf '# Real CLI\\n\\n## Goal\\n\\nShow it.\\n' > PRPs/real-cli.md && "
                       "git add PRPs/real-cli.md && git commit -q -m 'docs(prp): plan the real cli' && git log -1")],
                 [text("PRPs/real-cli.md")]],
    "execute": [[text("First the code."),
                 bash("printf 'made by the real program\\n' > real.txt && git add real.txt && "
                      "git commit -q -m 'feat: add real.txt' && git log --oneline -1")],
                [bash("printf 'more\\n' >> real.txt && git commit -q -am 'feat: say more' && git log --oneline -1")],
                [text("Added real.txt.")]],
    "prp-review": [[bash("git log --oneline -3")],
                   [text('{"success": true, "summary": "It is there.", "issues": []}')]],
    "testing": [[bash("printf '{\"command\":\"true\",\"exit_code\":0,\"passed\":1,\"failed\":0,\"skipped\":0,"
                      "\"timestamp\":\"2026-01-01T00:00:00Z\"}' > test_results.json && git add test_results.json && "
                      "git commit -q -m 'test: record test results'")],
                [text("true: 0, 1 passed")]],
    "commit": [[bash("git status --short")], [text('{"title": "feat: add real.txt", "body": "By the real program."}')]],
    "create-pr": [[bash("git log --oneline -3")],
                  [text('{"title": "feat: add real.txt", "body": "Made by the real program."}')]],
    "prompt": [[bash("printf 'follow-up\\n' > follow-up.txt && git add follow-up.txt && "
                     "git commit -q -m 'feat: follow up'")], [text("Done.")]],
}


def blocks(message):
    content = message.get("content", "")
    return [text(content)] if isinstance(content, str) else content


def where(messages):
    """(step, number of the turn in it) that a conversation has come to."""
    for i in range(len(messages) - 1, -1, -1):
        message = messages[i]
        if message["role"] != "user" or any(b.get("type") == "tool_result" for b in blocks(message)):
            continue
        words = "\n".join(b.get("text", "") for b in blocks(message) if b.get("type") == "text")
        step = next((s for t, s in TITLES.items() if re.search(rf"^{t}$", words, re.M)), "prompt")
        turns = sum(any(b.get("type") == "tool_result" for b in blocks(m)) for m in messages[i + 1:])
        return step, turns
    return "prompt", 0


class MessagesApi:
    """
    faults: list of dictionaries for the next model requests: {"status": 429, "type": "rate_limit_error", "headers":
    {...}} or {"cut": True} (the stream ends in the middle) or {"delay": seconds} or {"reset": True} (no answer at all) or
    {"sse_error": "overloaded_error"} (an error in the stream) or {"stop": "max_tokens"}. None: nothing. hits counts them.
    """

    KEY = "sk-ant-test-" + "k" * 24

    def __init__(self, key=KEY):
        self.key, self.script = key, dict(SCRIPT)
        self.faults, self.requests, self.steps, self.hits = [], [], [], 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BodyHandler):
            def handle_any(self):
                outer.serve(self)
            do_GET = do_POST = do_HEAD = handle_any

        self.server = Threaded(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def error(self, h, status, kind, message, headers=()):
        body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
        h.answer(status, body, "application/json", [("request-id", "req_" + uuid.uuid4().hex[:24]), *headers])

    def serve(self, h):
        raw = h.body()
        path = h.path.partition("?")[0]
        self.requests.append((h.command, path, dict(h.headers.items())))
        if h.command != "POST":
            return h.answer(200, b"{}", "application/json")
        try:
            body = json.loads(raw)
        except ValueError:
            return self.error(h, 400, "invalid_request_error", "no JSON")
        if path.endswith("/count_tokens"):
            return h.answer(200, json.dumps({"input_tokens": len(raw) // 4}).encode(), "application/json")
        if path != "/v1/messages":
            return h.answer(200, b"{}", "application/json")
        if h.headers.get("x-api-key") != self.key:
            return self.error(h, 401, "authentication_error", "invalid x-api-key")
        # titles and summaries are asked for beside the conversation; those requests offer no tools
        if not any(t.get("name") == "Bash" for t in body.get("tools") or []):
            return self.reply(h, body, [text("a title")], None)
        with self.lock:
            fault = self.faults.pop(0) if self.faults else None
            self.hits += fault is not None
        if fault and fault.get("delay"):
            time.sleep(fault["delay"])
        if fault and fault.get("reset"):
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return None
        if fault and fault.get("status"):
            return self.error(h, fault["status"], fault.get("type", "api_error"), "told to fail",
                              list(fault.get("headers", {}).items()))
        step, turn = where(body["messages"])
        turns = self.script[step]
        self.steps.append((step, turn))
        return self.reply(h, body, turns[min(turn, len(turns) - 1)], fault)

    def reply(self, h, body, content, fault):
        content = [dict(b, id="toolu_" + uuid.uuid4().hex[:24]) if b["type"] == "tool_use" else b for b in content]
        stop = "tool_use" if any(b["type"] == "tool_use" for b in content) else "end_turn"
        stop = (fault or {}).get("stop", stop)
        message = {"id": "msg_" + uuid.uuid4().hex[:24], "type": "message", "role": "assistant",
                   "model": body.get("model", "model"), "stop_reason": None, "stop_sequence": None,
                   "usage": {"input_tokens": 120, "output_tokens": 1, "cache_creation_input_tokens": 0,
                             "cache_read_input_tokens": 0}}
        if not body.get("stream"):
            return h.answer(200, json.dumps({**message, "content": content, "stop_reason": stop}).encode(),
                            "application/json")
        h.send_response(200)
        h.send_header("Content-Type", "text/event-stream")
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()

        def event(name, **data):
            line = f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
            h.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            h.wfile.flush()

        event("message_start", message={**message, "content": []})
        for i, block in enumerate(content):
            if block["type"] == "text":
                event("content_block_start", index=i, content_block=text(""))
                event("content_block_delta", index=i, delta={"type": "text_delta", "text": block["text"]})
            else:
                event("content_block_start", index=i, content_block={**block, "input": {}})
                event("content_block_delta", index=i,
                      delta={"type": "input_json_delta", "partial_json": json.dumps(block["input"])})
            if fault and fault.get("sse_error"):
                event("error", error={"type": fault["sse_error"], "message": "told to fail"})
            if fault and (fault.get("cut") or fault.get("sse_error")):
                h.close_connection = True
                h.connection.shutdown(socket.SHUT_RDWR)
                return None
            event("content_block_stop", index=i)
        event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 25})
        event("message_stop")
        h.wfile.write(b"0\r\n\r\n")
        return None
