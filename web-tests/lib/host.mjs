// A second machine: `hq replica` in a folder of its own, with a line to HQ that is cut and mended.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { bareEnvironment } from './server.mjs';

/** What others cannot reach invites nobody; the machine itself has the line. */
export const PUBLIC = { HQ_PUBLIC_URL: 'http://10.0.0.7:8080' };
const PATIENCE = 30_000;

/** Everything that comes to `url` goes to the server, until it is cut. */
async function startLine(server) {
  const open = new Set();
  let isCut = false;
  const listener = createServer((near) => {
    const far = isCut ? undefined : connect(new URL(server.url).port, '127.0.0.1');
    for (const socket of [near, far]) {
      socket?.on('error', () => {});
      socket?.on('close', () => (near.destroy(), far?.destroy(), open.delete(near)));
    }
    if (!far) return void near.destroy();
    open.add(near);
    near.pipe(far).pipe(near);
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const hangUp = () => open.forEach((near) => near.destroy());
  return {
    url: `http://127.0.0.1:${listener.address().port}`,
    cut: () => ((isCut = true), hangUp()),
    mend: () => (isCut = false),
    stop: () => (hangUp(), listener.close()),
  };
}

/**
 * A machine that joins with what its invitation says: `cut()` and `mend()` its line, `sleep()` (it says goodbye) and
 * `wake()` it, `log()` what it has said, `hasEnded()`, `stop()`.
 */
export async function joinHost(server, { secret, fingerprint }) {
  const line = await startLine(server);
  const data = await mkdtemp(join(tmpdir(), 'hq-host-'));
  const env = { ...bareEnvironment(), HQ_DATA: data, HQ_LOG: 'warn' };
  const log = [];
  let child;
  let ended;
  const start = (...more) => {
    child = spawn(process.env.HQ_BIN, ['replica', ...more], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    ended = once(child, 'exit');
    createInterface({ input: child.stderr }).on('line', (text) => log.push(text));
  };
  const end = async (signal) => (child.kill(signal), ended);
  start('--join', line.url, '--fingerprint', fingerprint, '--token', secret);
  return {
    cut: line.cut,
    mend: line.mend,
    sleep: () => end('SIGTERM'),
    wake: () => start(),
    log: () => log.slice(-20).join('\n'),
    hasEnded: () => child.exitCode !== null,
    async stop() {
      line.stop();
      if (child.exitCode === null) await end('SIGKILL');
      await rm(data, { recursive: true, force: true });
    },
  };
}

/**
 * Lets a machine join as the gateway of this label; the server begins anew for that. Ends when it is ready; gives its
 * `slug`, too.
 */
export async function startHost(server, label) {
  await server.restart({ settings: PUBLIC });
  const invitation = await server.ask('gateway', 'add', label);
  await server.restart();
  const host = await joinHost(server, invitation);
  const late = Date.now() + PATIENCE;
  for (;;) {
    const { items } = await server.ask('gateway', 'list');
    const own = items.find((one) => one.label === label && one.status === 'ready');
    if (own) return { slug: own.slug, ...host };
    if (late < Date.now() || host.hasEnded()) {
      await host.stop();
      throw new Error(`the machine did not join\n${host.log()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
