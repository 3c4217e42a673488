# An MCP server for measurements, of the era before 2026. Arguments: a word for its tools, and their number. The first
# one is echo.
import json
import sys

WORD, COUNT = sys.argv[1], int(sys.argv[2])
VERBS = ["list", "create", "update", "delete", "search", "export", "merge", "archive"]
NOUNS = ["issue", "invoice", "contact", "label", "page", "order", "shipment"]


def tool(n):
    if n == 0:
        fields = {"text": {"type": "string"}}
        return {"name": "echo", "description": "Returns its text.",
                "inputSchema": {"type": "object", "properties": fields, "required": ["text"]}}
    verb, noun = VERBS[n % len(VERBS)], NOUNS[n % len(NOUNS)]
    fields = {
        "id": {"type": "string", "description": f"Identifier of the {noun}"},
        "fields": {"type": "array", "items": {"type": "string"}, "description": "Names of fields to return"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        "state": {"type": "string", "enum": ["open", "closed", "all"]},
    }
    about = f"Can {verb} an {noun} of {WORD}, number {n}, with the rights of the signed-in person. Returns JSON."
    return {"name": f"{verb}_{noun}_{n}", "description": about,
            "inputSchema": {"type": "object", "properties": fields, "required": ["id"]}}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": WORD, "version": "1"}}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [tool(n) for n in range(COUNT)]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": params["arguments"].get("text", "Done.")}]}
    return None


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
