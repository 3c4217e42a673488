// What the demo company lacks for every page to be reached, through the API.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { request } from 'playwright-core';

import { PUBLIC } from './host.mjs';

/** The demo company's owner, and where the company is. */
const DEMO = { email: 'mara@tidewater.example', password: 'violet kayak under seven bridges' };
const PLACE = '/w/tidewater-bikes';

/**
 * Signs in to the demo company of a running HQ, and makes one of each kind that it does not have. Gives what stories are
 * given: `place`, `signedIn`, the owner's browser, `http` and `visitor` for requests with and without a sign-in, and
 * addresses that no link names: `starts` for the owner, `open` for a visitor. `leave()` removes what it has made beside.
 */
export async function furnished(server) {
  const root = await mkdtemp(join(tmpdir(), 'hq-source-'));
  await writeFile(join(root, 'lease.md'), '# Lease terms\n\nThe deposit is cobalt.\n');
  await server.restart({ settings: { ...PUBLIC, HQ_SOURCE_FOLDERS: root } });
  const http = await request.newContext({ baseURL: server.url, extraHTTPHeaders: { origin: server.url } });
  const visitor = await request.newContext({ baseURL: server.url });
  const addresses = await furnish(http, server, root);
  const leave = () => Promise.all([rm(root, { recursive: true, force: true }), http.dispose(), visitor.dispose()]);
  return { place: PLACE, signedIn: await http.storageState(), http, visitor, leave, ...addresses };
}

/** Makes what is missing; gives the addresses that no link names. */
async function furnish(http, server, root) {
  const signedIn = await http.post('/login', { form: DEMO, maxRedirects: 0 });
  assert.equal(signedIn.status(), 303, await signedIn.text());
  const call = async (method, path, body) => {
    const headers = { origin: server.url, 'x-hq-workspace': PLACE.split('/').at(-1) };
    const answer = await http.fetch(`/api/v1${path}`, { method, headers, ...body });
    assert.ok(answer.status() < 300, `${method} ${path}: ${answer.status()} ${await answer.text()}`);
    return answer.json();
  };
  const post = (path, data) => call('POST', path, { data });
  const send = async (path, options) => {
    const answer = await http.post(`${PLACE}${path}`, { ...options, headers: { origin: server.url }, maxRedirects: 0 });
    assert.equal(answer.status(), 303, `${path}: ${(await answer.text()).slice(0, 400)}`);
    return answer.headers().location;
  };
  const file = (name, mimeType, words) => ({ name, mimeType, buffer: Buffer.from(words) });

  const page = await post('/knowledge', { title: 'Lease terms', text: '# Deposit\n\nOne rate.' });
  await call('PATCH', `/knowledge/${page.id}`, { data: { text: '# Deposit\n\nTwo rates.' } });
  await post('/secrets', { name: 'SHOP_KEY', value: 'a-key-of-the-shop-0123456789' });
  await post('/sources', { connector: 'folder', reads: { path: root } });
  await post('/gateways/tokens', { label: 'The workshop' });
  await post('/connections', { kind: 'openai', name: 'A server that is off', base_url: 'http://127.0.0.1:9/v1', test: false });
  await post('/connections/accounts', { maker: 'chatgpt', name: 'A subscription', client_id: 'a-program-of-ours' });

  const task = await post('/tasks', { title: 'Write the price list' });
  await send(`/tasks/${task.key}/comment`, { form: { body: 'A word of my own.', note_only: 'on' } });
  await send(`/tasks/${task.key}/files`, { multipart: { file: file('prices.csv', 'text/csv', 'van,800') } });
  const piece = await post(`/tasks/${task.key}/deliverables`, { title: 'Price list', text: 'Bikes: 100' });
  await post(`/deliverables/${piece.id}/reviews`, { verdict: 'changes_requested', note: 'Add helmets' });
  const again = { revises: piece.id, text: 'Bikes: 100\n\nHelmets: 20', answers: [{ done: true }] };
  await post(`/tasks/${task.key}/deliverables`, again);
  await post(`/deliverables/${piece.id}/reviews`, { verdict: 'changes_requested', note: 'Add bells' });

  const rows = 'Name,Email\nJana Brandt,jana@brandt.example\n';
  const imported = await send('/contacts/import', { multipart: { file: file('contacts.csv', 'text/csv', rows) } });
  const converted = await send('/settings/fields/deal_value/kind', { form: { of: 'contacts', kind: 'text' } });
  const { items } = await call('GET', '/runs?limit=2');
  const compared = `${PLACE}/runs/compare?a=${items[0].name}&b=${items[1].name}`;
  const invited = await post('/invites', { role: 'member' });
  const forgot = await server.ask('user', 'reset-link', DEMO.email);
  const path = (link) => new URL(link).pathname + new URL(link).search;
  return {
    starts: [imported, converted, compared, `${PLACE}/tasks/${task.key}`, `${PLACE}/review?piece=${piece.id}&changes=1`],
    open: [path(invited.link), path(forgot.link)],
  };
}
