#!/usr/bin/env python3
"""A bridge between a webhook channel of HQ and Matrix. It needs Python 3.10 and nothing else; see docs/bridges.md.

1. Make a Matrix account for the bot and an access token of it: POST /_matrix/client/v3/login, or the client's settings.
2. hq channel connect --kind webhook --agent ada --name Matrix --api-base http://127.0.0.1:8009/
   hq channel secret Matrix      # prints the incoming address and the signing secret, once
3. HQ_SECRET=whsec_… MATRIX_TOKEN=syt_… ./matrix.py --homeserver https://matrix.example.org \\
       --hq https://hq.example.com/hooks/channels/… --listen 127.0.0.1:8009 --state matrix.json

Invite the bot to a room. A room of two is a direct chat. Buttons are a numbered list: reply to the message with a number.
Encrypted rooms and files from Matrix are not supported. Answers go to Matrix as Markdown text.
"""
import argparse, base64, hashlib, hmac, http.client, json, os, pathlib, threading, time
import urllib.error, urllib.parse, urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
options.add_argument("--homeserver", required=True)
options.add_argument("--hq", required=True, help="the incoming address that HQ showed")
options.add_argument("--listen", default="127.0.0.1:8009")
options.add_argument("--state", default="matrix.json", help="file that remembers what was read")
args = options.parse_args()
KEY = base64.b64decode(os.environ["HQ_SECRET"].removeprefix("whsec_"))
TOKEN = os.environ["MATRIX_TOKEN"]
lock = threading.Lock()


def save(**news):
    """Replaces the file as a whole, so that a crash leaves the old or the new one."""
    with lock:
        state.update(news)
        with open(args.state + ".new", "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(args.state + ".new", args.state)


def sign(name, at, body):
    tag = hmac.new(KEY, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(tag).decode()


def is_signed(headers, body):
    name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(time.time() - int(at)) > 300:
        return False
    right = sign(name, at, body)
    return any(hmac.compare_digest(right, one) for one in headers.get("webhook-signature", "").split())


def matrix(method, path, body=None, query=None, timeout=30, kind="application/json"):
    url = args.homeserver.rstrip("/") + "/_matrix/" + path + ("?" + urllib.parse.urlencode(query) if query else "")
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": kind}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=timeout) as response:
        return json.load(response)


def room_path(room, rest):
    return f"client/v3/rooms/{urllib.parse.quote(room, safe='')}/{rest}"


def put(data, content):
    """Sends an event. Matrix performs a transaction id once, so that HQ may repeat its request."""
    relation = content.setdefault("m.relates_to", {})
    if data.get("thread") and "rel_type" not in relation:
        relation.update({"rel_type": "m.thread", "event_id": data["thread"]})
    if data.get("reply_to"):
        relation["m.in_reply_to"] = {"event_id": data["reply_to"]}
    return matrix("PUT", room_path(data["chat"], "send/m.room.message/" + data["key"]), content)["event_id"]


def to_matrix(kind, data):
    """Performs a request of HQ. Returns the id of the message."""
    text, buttons = data.get("text") or "", data.get("buttons") or []
    text += "".join(f"\n{number}. {button['label']}" for number, button in enumerate(buttons, 1))
    if kind == "message":
        event = put(data, {"msgtype": "m.text", "body": text})
        if buttons:
            save(buttons={**state["buttons"], event: [button["data"] for button in buttons]})
        return event
    if kind == "edit":
        new = {"msgtype": "m.text", "body": text}
        relation = {"rel_type": "m.replace", "event_id": data["message"]}
        save(buttons={at: known for at, known in state["buttons"].items() if at != data["message"]})
        return put(data, {**new, "body": "* " + text, "m.new_content": new, "m.relates_to": relation})
    if kind == "file":
        file = data["file"]
        query, content = {"filename": file["name"]}, base64.b64decode(file["content"])
        made = matrix("POST", "media/v3/upload", content, query, 120, file["media_type"])
        return put(data, {"msgtype": "m.file", "body": file["name"], "url": made["content_uri"]})
    if kind == "pressed" and text:
        return put(data, {"msgtype": "m.notice", "body": text})
    return None


class FromHq(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, reply = 200 if is_signed(self.headers, body) else 401, {}
        try:
            event = json.loads(body)
            if status == 200 and (message := to_matrix(event["type"], event["data"])):
                reply = {"message": message}
        except OSError as error:
            # Matrix refuses it for good, unless it is busy or broken.
            status = error.code if getattr(error, "code", 0) in (400, 403, 404, 429) else 503
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())


def is_final(error):
    is_refusal = isinstance(error, urllib.error.HTTPError) and error.code // 100 == 4
    return is_refusal and error.code not in (401, 408, 429)


def to_hq(kind, data):
    """Sends an event until HQ has stored or refused it."""
    body, pause = json.dumps({"type": kind, "data": data}).encode(), 1
    while True:
        at = str(int(time.time()))
        headers = {"Content-Type": "application/json", "webhook-id": data["id"], "webhook-timestamp": at,
                   "webhook-signature": sign(data["id"], at, body)}
        try:
            return urllib.request.urlopen(urllib.request.Request(args.hq, body, headers), timeout=30).close()
        except urllib.error.HTTPError as error:
            print("HQ answers", error.code, error.read().decode(errors="replace"), flush=True)
            if is_final(error):
                return
        except (OSError, http.client.HTTPException) as error:
            print("HQ is not reachable:", error, flush=True)
        time.sleep(pause)
        pause = min(pause * 2, 60)


def from_matrix(room, event):
    content, sender = event.get("content", {}), event["sender"]
    if event["type"] != "m.room.message" or sender == me or "body" not in content:
        return
    people = matrix("GET", room_path(room, "joined_members"))["joined"]
    relation, text = content.get("m.relates_to", {}), content["body"]
    is_edit = relation.get("rel_type") == "m.replace"
    text = content.get("m.new_content", {}).get("body", text) if is_edit else text
    reply_to = relation.get("m.in_reply_to", {}).get("event_id")
    if reply_to and text.startswith("> "):
        text = text.partition("\n\n")[2]  # the quotation that older clients add
    who = {"id": sender, "name": (people.get(sender) or {}).get("display_name") or sender,
           "handle": sender[1:], "is_bot": content.get("msgtype") == "m.notice"}
    thread = relation.get("event_id") if relation.get("rel_type") == "m.thread" else None
    data = {"chat": room, "thread": thread, "sender": who, "id": event["event_id"]}
    choices = state["buttons"].get(reply_to, [])
    if text.strip().isdecimal() and 1 <= int(text) <= len(choices):
        return to_hq("press", {**data, "message": reply_to, "data": choices[int(text) - 1]})
    mentioned = me in content.get("m.mentions", {}).get("user_ids", []) or me in text
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=event["origin_server_ts"])
    to_hq("edit" if is_edit else "message", {
        **data, "id": relation["event_id"] if is_edit else event["event_id"], "text": text,
        "is_direct": len(people) == 2, "title": room, "mentions_bot": mentioned, "reply_to": reply_to,
        "sent_at": at.isoformat().replace("+00:00", "Z")})


def attempt(what, do, *given):
    """What cannot be handled is skipped: it would fail again and again. What may succeed later comes again."""
    try:
        do(*given)
    except Exception as error:
        if isinstance(error, (OSError, http.client.HTTPException)) and not is_final(error):
            raise
        print(f"Skipped {what}: {error!r}", flush=True)


def read():
    """One round: passes on what is new, then remembers the position."""
    first = state["since"] is None
    query = {"timeout": 30_000, "filter": json.dumps({"room": {"timeline": {"limit": 100}}})}
    news = matrix("GET", "client/v3/sync", query=query | ({} if first else {"since": state["since"]}), timeout=60)
    rooms = news.get("rooms", {})
    for room in rooms.get("invite", {}):
        attempt(f"the invitation to {room}", matrix, "POST", room_path(room, "join"), {})
    for room, joined in rooms.get("join", {}).items():
        # What was said before the first start is not for HQ.
        for event in [] if first else joined["timeline"]["events"]:
            attempt(f"an event of {room}", from_matrix, room, event)
    save(since=news["next_batch"])


state = {"since": None, "buttons": {}}
if os.path.exists(args.state):
    state = json.loads(pathlib.Path(args.state).read_text("utf-8"))
me = matrix("GET", "client/v3/account/whoami")["user_id"]
host, port = args.listen.rsplit(":", 1)
threading.Thread(target=ThreadingHTTPServer((host, int(port)), FromHq).serve_forever, daemon=True).start()
print(f"{me} is online", flush=True)
while True:
    try:
        read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        print("Matrix is not reachable:", error, flush=True)
        time.sleep(5)
