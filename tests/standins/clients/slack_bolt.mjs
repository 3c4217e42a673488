// @slack/bolt in Socket Mode against the stand-in. Usage: slack_bolt.mjs URL

import assert from 'node:assert';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// @slack/bolt is found where this is run, not beside this file.
const require = createRequire(join(process.cwd(), 'index.js'));
const bolt = require('@slack/bolt');

const url = process.argv[2];

async function control(what, params) {
  const answer = await fetch(`${url}/control/${what}`, { method: 'POST', body: JSON.stringify(params) });
  return answer.json().catch(() => null);
}

const app = new bolt.App({
  token: 'xoxb-standin', appToken: 'xapp-1-standin', socketMode: true,
  clientOptions: { slackApiUrl: `${url}/api/` },
});

app.message('hello', async ({ message, client }) => {
  const sent = await client.chat.postMessage({
    channel: message.channel, text: 'go?',
    metadata: { event_type: 'hq_message', event_payload: { key: 'k' } },
    blocks: [{ type: 'actions', elements: [
      { type: 'button', action_id: 'hq0', value: 'yes', text: { type: 'plain_text', text: 'Yes' } },
    ] }],
  });
  const found = await client.conversations.history({
    channel: message.channel, limit: 5, include_all_metadata: true,
  });
  assert.equal(found.messages[0].metadata.event_payload.key, 'k');
  assert.equal(found.messages[0].blocks[0].elements[0].value, 'yes');
  await control('press', { channel: 'C1', message: sent.ts, user: 'U7', text: 'yes' });
});

app.action('hq0', async ({ ack, body }) => {
  await ack();
  assert.equal(body.actions[0].value, 'yes');
  await control('disconnect', { reason: 'refresh_requested' });
  await control('say', { channel: 'C1', user: 'U7', text: 'again' });
});

app.message('again', async () => {
  console.log('ok');
  await app.stop();
  process.exit(0);
});

setTimeout(() => process.exit(1), 60_000).unref();
await app.start();
await control('say', { channel: 'C1', user: 'U7', text: 'hello' });
