# An MCP server for tests of kills. It notes each call in its home before it makes it. A call never ends while a file
# "hold-" with its id is beside the program. A process of its own must end like the server.
import json
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
TOOLS = [{"name": "look", "description": "Looks an entry up.", "inputSchema": SCHEMA},
         {"name": "act", "description": "Makes an entry.", "inputSchema": SCHEMA}]


def log(line):
    with open("calls.txt", "a") as calls:
        calls.write(f"{line}\n")


def call(name, entry):
    log(f"begin {entry}")
    Path(f"begun-{entry}").touch()
    while (HERE / f"hold-{entry}").exists():
        signal.pause()
    log(f"end {entry}")
    Path(f"ended-{entry}").touch()
    return {"content": [{"type": "text", "text": f"{name} has done {entry}"}]}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "ledger", "version": "1"}}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return call(params["name"], params["arguments"]["id"])
    return None


NOTHING = subprocess.DEVNULL
subprocess.Popen(["tail", "-f", __file__], stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    result = answer(message["method"], message.get("params", {}))
    if result is None:
        reply["error"] = {"code": -32601, "message": "there is no such method"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
