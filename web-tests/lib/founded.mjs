// The company that suites begin with, made by what the forms send: no browser is needed for it. How a person
// makes one is told in `stories/loop.mjs`.

import { request } from 'playwright-core';

import { OWNER, PATIENCE, TASK } from './story.mjs';

/**
 * Founds Marlow Cargo on an empty server. Its agent Ada has done a piece of work, which waits for a review.
 * Gives what stories are given: `place`, the address of the workspace, `task`, that of its task, and `signedIn`,
 * the owner's browser.
 */
export async function found({ url, setupLink }) {
  const http = await request.newContext({ baseURL: url, extraHTTPHeaders: { origin: url } });
  const send = async (path, form) => {
    const answer = await http.post(path, { form, maxRedirects: 0 });
    if (answer.status() !== 303) throw new Error(`${path} answers ${answer.status()}`);
    return new URL(answer.headers().location, url).pathname;
  };
  const { workspace, ...owner } = OWNER;
  const token = new URL(setupLink).searchParams.get('token');
  const place = (await send('/setup', { ...owner, workspace, token, zone: 'Europe/Berlin' })).replace(/\/$/, '');
  const signedIn = await http.storageState();
  const cookie = signedIn.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const signal = AbortSignal.timeout(PATIENCE.timeout);
  const news = await fetch(`${url}${place}/events`, { headers: { cookie }, signal });

  await send(`${place}/agents`, { name: 'Ada', emoji: '🧭', template: 'assistant', thinking: 'low' });
  const task = await send(`${place}/tasks`, { title: TASK, assignee: 'ada', labels: 'prices, rivals' });
  const headers = { 'x-hq-workspace': place.split('/').at(-1) };
  for await (const piece of news.body.pipeThrough(new TextDecoderStream())) {
    if (!piece.includes('event: hq\n')) continue;
    const { items } = await (await http.get('/api/v1/runs', { headers })).json();
    if (items[0]?.state === 'ended') break;
  }
  await http.dispose();
  return { place, task, signedIn };
}
