# A small MCP server of the era before 2026 for tests. Its tools are in tools.json beside it, read for each list.
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "files", "version": "1"}}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": json.loads((HERE / "tools.json").read_text())}
    if method == "tools/call":
        name, given = params["name"], params.get("arguments", {})
        with open("calls.txt", "a") as calls:
            calls.write(f"{name}\n")
        if name == "read_file":
            text = (HERE / given["path"]).read_text()
            return {"content": [{"type": "text", "text": text}]}
        if name == "end":
            print("ending now", file=sys.stderr, flush=True)
            os._exit(1)
        if name == "note":
            return {"content": [{"type": "text", "text": f"noted {given['text']}"}]}
    return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message["method"], message.get("params", {}))
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": "there is no such method"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
