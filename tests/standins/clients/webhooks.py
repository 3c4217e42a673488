"""Standard Webhooks with the PyPI package. Reads `{secret, received: {headers, body}, sent: {id, body}}` from standard input.
Fails if what was received is not signed with the secret; else signs what is to be sent, and prints its headers."""

import json
import sys
from datetime import datetime, timezone

from standardwebhooks import Webhook

given = json.load(sys.stdin)
webhook = Webhook(given["secret"])
webhook.verify(given["received"]["body"], given["received"]["headers"])
sent, now = given["sent"], datetime.now(timezone.utc)
headers = {
    "webhook-id": sent["id"],
    "webhook-timestamp": str(int(now.timestamp())),
    "webhook-signature": webhook.sign(sent["id"], now, sent["body"]),
}
print(json.dumps(headers))
