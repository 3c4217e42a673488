// Fills the form of ten steps at an address with one of the peers, as a model would: a look at the page, then a field a call.
// Prints how many bytes a model reads of that. `node peers.mjs playwright|agent-browser <Chromium> <address>`

import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const [peer, chromium, address] = process.argv.slice(2);
const STEPS = 10;
const values = Array.from({ length: STEPS }, (_, step) => `Value ${step + 1}`);

/** The refs of the fields, in their order. */
function refsIn(text, form) {
  const refs = [...text.matchAll(form)].map(([, ref]) => ref);
  if (refs.length < STEPS) throw new Error(`${refs.length} fields in: ${text.slice(0, 400)}`);
  return refs.slice(0, STEPS);
}

/** An MCP server over its pipes, as its makers set it up. */
async function playwright() {
  const args = ['node_modules/@playwright/mcp/cli.js', '--headless', '--isolated', '--no-sandbox', '--executable-path', chromium];
  const server = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map();
  createInterface({ input: server.stdout }).on('line', (line) => {
    const answer = JSON.parse(line);
    waiting.get(answer.id)?.(answer);
  });
  const say = (message) => server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  let id = 0;
  const ask = (method, params) =>
    new Promise((resolve, reject) => {
      id += 1;
      waiting.set(id, ({ result, error }) => (error ? reject(new Error(error.message)) : resolve(result)));
      say({ id, method, params });
    });
  let bytes = 0;
  const call = async (name, args) => {
    const { content, isError } = await ask('tools/call', { name, arguments: args });
    const text = content.map((part) => part.text ?? '').join('\n');
    if (isError) throw new Error(text.slice(0, 400));
    bytes += Buffer.byteLength(text);
    return text;
  };
  try {
    await ask('initialize', { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'bench', version: '1' } });
    say({ method: 'notifications/initialized' });
    let told = await call('browser_navigate', { url: address });
    if (!told.includes('[ref=')) told = await call('browser_snapshot', {});
    const refs = refsIn(told, /textbox "[^"]*"[^\n]*?\[ref=(\w+)\]/g);
    for (const [step, ref] of refs.entries()) {
      await call('browser_type', { element: `Field ${step + 1}`, target: ref, ref, text: values[step] });
    }
    return bytes;
  } finally {
    server.kill();
  }
}

/** Its command line. An act tells only that it was done, so a model looks at the page behind each. */
function agentBrowser() {
  const env = { ...process.env, AGENT_BROWSER_EXECUTABLE_PATH: chromium, AGENT_BROWSER_ARGS: '--no-sandbox', AGENT_BROWSER_SESSION: `bench-${process.pid}` };
  let bytes = 0;
  const call = (...args) => {
    const { status, stdout, stderr, error } = spawnSync(process.execPath, ['node_modules/agent-browser/bin/agent-browser.js', ...args], { env, encoding: 'utf8' });
    if (status !== 0) throw error ?? new Error(stderr.slice(0, 400) || stdout.slice(0, 400));
    bytes += Buffer.byteLength(stdout);
    return stdout;
  };
  try {
    call('open', address);
    const refs = refsIn(call('snapshot'), /textbox "[^"]*"[^\n]*?\[?ref=(\w+)/g);
    for (const [step, ref] of refs.entries()) {
      call('fill', `@${ref}`, values[step]);
      call('snapshot');
    }
    return bytes;
  } finally {
    spawnSync(process.execPath, ['node_modules/agent-browser/bin/agent-browser.js', 'close'], { env });
  }
}

const bytes = await (peer === 'playwright' ? playwright() : agentBrowser());
process.stdout.write(`${bytes}\n`);
process.exit(0);
