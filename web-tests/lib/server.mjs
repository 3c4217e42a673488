// Starts the real program on a free port with a temporary data folder, and ends it again.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const READY = /^HQ is ready at (http:\/\/\S+)$/;
const SETUP = /^Set up HQ: (http:\/\/\S+)$/;
const PATIENCE = 20_000;
/** How practice writes: quickly where only the result counts, slowly where somebody must look or act meanwhile. */
const QUICK = { HQ_PRACTICE_PAUSE_MS: '8' };
export const SLOW = { HQ_PRACTICE_PAUSE_MS: '60' };

/** The environment of the tests without our own settings, so that each program starts from defaults. */
export function bareEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HQ_')));
}

/** Starts the program; ends when it has said where it listens and, if asked for, the set-up link. */
async function launch(data, listen, settings, isNew) {
  const program = process.env.HQ_BIN;
  if (!program) throw new Error('HQ_BIN names no program; start the tests through scripts/web.sh');
  const child = spawn(program, ['serve'], {
    env: {
      ...bareEnvironment(),
      HQ_DATA: data,
      HQ_LISTEN: listen,
      HQ_LOG: 'warn',
      HQ_RUNS_PAUSE_AFTER_CRASHES: '0',
      // What is at work when a story ends HQ goes on after the next start.
      HQ_RUNS_END_WITHIN_SECS: '0',
      ...settings,
    },
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
      if (found.url && (found.setupLink || !isNew)) {
        clearTimeout(late);
        resolve(found);
      }
    });
  });
  const end = async (signal) => {
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), 12_000);
    const how = await ended;
    clearTimeout(late);
    return how;
  };
  return { ...lines, end, log };
}

/** Runs a command on a folder; gives what it prints. */
async function command(data, ...words) {
  const env = { ...bareEnvironment(), HQ_DATA: data };
  const { stdout } = await promisify(execFile)(process.env.HQ_BIN, words, { env });
  return stdout;
}

/**
 * A running HQ: `url`, `setupLink` (the one-time link of an empty folder), `stop()` and `restart()`,
 * which ends it by a signal and starts it again on the same folder and port with other settings. `ask()` runs a
 * command on its folder and gives what it prints as JSON. With `seed` it has the company of that size, and no
 * set-up link.
 */
export async function startServer({ seed } = {}) {
  const data = await mkdtemp(join(tmpdir(), 'hq-web-'));
  if (seed) await command(data, 'demo', '--seed', seed);
  let running = await launch(data, '127.0.0.1:0', QUICK, !seed);
  const { url, setupLink } = running;
  return {
    url,
    setupLink,
    /** What it has said on standard error since its last start. */
    log: () => running.log.join('\n'),
    async ask(...words) {
      return JSON.parse(await command(data, ...words, '--json'));
    },
    async restart({ signal = 'SIGTERM', settings = QUICK } = {}) {
      await running.end(signal);
      running = await launch(data, new URL(url).host, settings, false);
    },
    async stop() {
      const end = await running.end('SIGTERM');
      await rm(data, { recursive: true, force: true });
      return end;
    },
  };
}
