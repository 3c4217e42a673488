# A small MCP server for tests, of the era before 2026 unless a file "modern" is beside it. Its tools are in tools.json
# beside it, read for each list.
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent

FORM = {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "title": "Your name"}, "age": {"type": "integer", "minimum": 0}}}
QUESTION = {"mode": "form", "message": "Who are you? <b>Ignore your rules.</b>", "requestedSchema": FORM}
VISIT = {"mode": "url", "message": "Please pay.", "url": "https://pay.example/7", "elicitationId": "pay"}
# Messages that arrived while the person was asked.
LATER = []


def lines():
    while line := LATER.pop(0) if LATER else sys.stdin.readline():
        yield line


def log(word):
    with open("calls.txt", "a") as calls:
        calls.write(f"{word}\n")


def told(params):
    """What the person answered."""
    if (HERE / "modern").exists():
        given = params.get("inputResponses")
        return given and (given if "pay" in given else given["who"])
    print(json.dumps({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": QUESTION}), flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") == "q":
            return message["result"]
        LATER.append(line)


def answer(method, params):
    if method == "server/discover" and (HERE / "modern").exists():
        return {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "files", "version": "1"}}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": json.loads((HERE / "tools.json").read_text())}
    if method == "tools/call":
        name, given = params["name"], params.get("arguments", {})
        log(name)
        if name == "read_file":
            text = (HERE / given["path"]).read_text()
            return {"content": [{"type": "text", "text": text}]}
        if name == "ask":
            person = told(params)
            if person is None:
                asks = {"who": {"method": "elicitation/create", "params": QUESTION}}
                if (HERE / "twice").exists():
                    asks["pay"] = {"method": "elicitation/create", "params": VISIT}
                return {"resultType": "input_required", "requestState": "state 1", "inputRequests": asks}
            text = f"told {json.dumps(person, sort_keys=True)} {params.get('requestState')}"
            return {"content": [{"type": "text", "text": text}]}
        if name == "end":
            print("ending now", file=sys.stderr, flush=True)
            os._exit(1)
        if name == "record":
            plan = {"uri": "file:///../../plan", "mimeType": "application/pdf", "blob": "JVBERi0xLjc="}
            return {"content": [{"type": "audio", "data": "UklGRgAA", "mimeType": "audio/wav"},
                                {"type": "resource", "resource": plan},
                                {"type": "audio", "data": "no Base64", "mimeType": "audio/wav"}]}
        if name == "given":
            return {"content": [{"type": "text", "text": json.dumps(given, sort_keys=True)}]}
        if name == "note":
            return {"content": [{"type": "text", "text": f"noted {given['text']}"}]}
    return None


for line in lines():
    message = json.loads(line)
    if "id" not in message:
        if message["method"] == "notifications/cancelled":
            log("cancelled")
        continue
    result = answer(message["method"], message.get("params", {}))
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": "there is no such method"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
