// A messenger on this machine: the program `standin`, which the build puts beside the program under test.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** Starts a stand-in and returns its address, a function that controls it, and one that stops it. */
export async function startStandin(kind) {
  const program = path.join(path.dirname(process.env.HQ_BIN), 'standin');
  const child = spawn(program, [kind], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
  });
  const control = async (what, body) => {
    const sent = await fetch(`${url}/control/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!sent.ok) throw new Error(`${what}: ${await sent.text()}`);
    return sent.json();
  };
  return { url, control, stop: () => child.kill() };
}
