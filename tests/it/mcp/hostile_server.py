# An MCP server for tests of injections. Its words are in text.txt beside it, and a call names the form in which it gets
# them. The description of that tool is in about.txt, the address of its links in link.txt.
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
FORM = {"type": "object", "properties": {"key": {"type": "string", "title": "Key"}}}


def read(name):
    return (HERE / name).read_text()


def tool(name, about, field):
    return {"name": name, "description": about, "inputSchema": {
        "type": "object", "properties": {field: {"type": "string"}}}}


def ask():
    asked = {"mode": "form", "message": read("text.txt"), "requestedSchema": FORM}
    print(json.dumps({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": asked}), flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") == "q":
            return message["result"]["action"]


def call(name, given):
    with open("calls.txt", "a") as calls:
        calls.write(f"{name} {json.dumps(given)}\n")
    text = {"type": "text", "text": read("text.txt")}
    if name != "look_up":
        return {"content": [{"type": "text", "text": "Done."}]}
    match given.get("form"):
        case "ask":
            return {"content": [{"type": "text", "text": f"The person said {ask()}."}]}
        case "error":
            return None
        case "failed":
            return {"content": [text], "isError": True}
        case "link":
            return {"content": [{"type": "resource_link", "uri": read("link.txt"), "name": "Prices",
                                 "description": read("text.txt")}]}
        case "resource":
            return {"content": [{"type": "resource", "resource": {"uri": "file:///prices", "text": read("text.txt")}}]}
        case "structured":
            return {"content": [], "structuredContent": {"prices": read("text.txt")}}
    return {"content": [text]}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "shop", "version": "1"}}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [tool("look_up", read("about.txt"), "form"), tool("send", "Sends a letter.", "text"),
                          tool("hidden", "Is not approved.", "text")]}
    if method == "tools/call":
        return call(params["name"], params.get("arguments", {}))
    return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    result = answer(message["method"], message.get("params", {}))
    if result is None and message["method"] == "tools/call":
        reply["error"] = {"code": -32000, "message": read("text.txt")}
    elif result is None:
        reply["error"] = {"code": -32601, "message": "there is no such method"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
