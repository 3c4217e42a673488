"""slack_sdk's Socket Mode client against the stand-in. Usage: slack_sdk_socket.py URL"""

import json
import sys
import threading
import urllib.request

from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse

URL = sys.argv[1]
done = threading.Event()


def control(what, **params):
    body = json.dumps(params).encode()
    request = urllib.request.Request(f"{URL}/control/{what}", data=body, method="POST")
    return json.loads(urllib.request.urlopen(request).read() or b"null")


web = WebClient("xoxb-standin", base_url=f"{URL}/api/")
app_web = WebClient("xapp-1-standin", base_url=f"{URL}/api/")
client = SocketModeClient("xapp-1-standin", web_client=app_web)
seen = []


def on_request(client, request):
    client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
    event = request.payload.get("event", {})
    if request.type == "interactive":
        assert request.payload["actions"][0]["value"] == "yes"
        control("disconnect", reason="refresh_requested")
        control("say", channel="C1", user="U7", text="again")
    elif event.get("user") == "U7" and event["text"] == "again":
        done.set()
    elif event.get("user") == "U7":
        seen.append(event["text"])
        metadata = {"event_type": "hq_message", "event_payload": {"key": "k"}}
        sent = web.chat_postMessage(channel="C1", text="go?", metadata=metadata)
        web.chat_update(channel="C1", ts=sent["ts"], text="go!")
        found = web.conversations_history(channel="C1", limit=5, include_all_metadata=True)
        assert found["messages"][0]["text"] == "go!"
        assert found["messages"][0]["metadata"]["event_payload"]["key"] == "k"
        web.files_upload_v2(channel="C1", filename="a.txt", content="lines", title="a")
        control("press", channel="C1", message=sent["ts"], user="U7", text="yes")


assert web.auth_test()["user_id"] == "U0BOT"
client.socket_mode_request_listeners.append(on_request)
client.connect()
control("say", channel="C1", user="U7", text="hello")
assert done.wait(60), seen
assert seen == ["hello"]
client.close()
print("ok")
