"""
The reference of web.py: FastAPI behind uvicorn, one process, answers an order and a list of orders from memory.

web_fastapi.py loop http order.json list.json; prints the port. What it answers is what a handler of FastAPI usually
returns, a dict: no model checks it on its way out, nothing is written to an access log, nobody has to show a token.
"""
import json
import socket
import sys

import uvicorn
from fastapi import FastAPI

loop, http, *paths = sys.argv[1:]
order, orders = (json.load(open(path)) for path in paths)
known = {order["agent_work_order"]["agent_work_order_id"]: order}
app = FastAPI()


@app.get("/api/v1/agent-work-orders")
async def list_orders(limit: int = 50):
    return orders


@app.get("/api/v1/agent-work-orders/{agent_work_order_id}")
async def get_order(agent_work_order_id: str):
    return known[agent_work_order_id]


# named as TCP, so that asyncio switches Nagle's algorithm off, as it does for sockets of uvicorn's own
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, loop=loop, http=http, log_level="warning", access_log=False)).run(sockets=[listener])
