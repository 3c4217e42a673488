// Starts the real program on a free port with a temporary data folder, and ends it again.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const READY = /^HQ is ready at (http:\/\/\S+)$/;
const SETUP = /^Set up HQ: (http:\/\/\S+)$/;
const PATIENCE = 20_000;

/** The environment of the tests without our own settings, so that each server starts from defaults. */
function bareEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HQ_')));
}

/** A running HQ: `url`, `setupLink` (the one-time link of an empty folder) and `stop()`. */
export async function startServer() {
  const program = process.env.HQ_BIN;
  if (!program) throw new Error('HQ_BIN names no program; start the tests through scripts/web.sh');
  const data = await mkdtemp(join(tmpdir(), 'hq-web-'));
  const child = spawn(program, ['serve'], {
    env: { ...bareEnvironment(), HQ_DATA: data, HQ_LISTEN: '127.0.0.1:0', HQ_LOG: 'warn' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));

  const lines = await new Promise((resolve, reject) => {
    const found = {};
    const said = () => `\n${log.slice(-20).join('\n')}`;
    const late = setTimeout(() => reject(new Error(`HQ did not get ready in time${said()}`)), PATIENCE);
    child.once('error', reject);
    ended.then(({ code, signal }) => reject(new Error(`HQ ended with ${code ?? signal}${said()}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      found.url ??= line.match(READY)?.[1];
      found.setupLink ??= line.match(SETUP)?.[1];
      if (found.url && found.setupLink) {
        clearTimeout(late);
        resolve(found);
      }
    });
  });

  return {
    ...lines,
    log,
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 12_000);
      const end = await ended;
      clearTimeout(late);
      await rm(data, { recursive: true, force: true });
      return end;
    },
  };
}
