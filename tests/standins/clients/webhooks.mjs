// Standard Webhooks with the npm package: see webhooks.py.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.cwd()}/`);
const { Webhook } = require("standardwebhooks");

const { secret, received, sent } = JSON.parse(readFileSync(0, "utf8"));
const webhook = new Webhook(secret);
webhook.verify(received.body, received.headers);
const now = new Date();
console.log(JSON.stringify({
  "webhook-id": sent.id,
  "webhook-timestamp": `${Math.floor(now.getTime() / 1000)}`,
  "webhook-signature": webhook.sign(sent.id, now, sent.body),
}));
