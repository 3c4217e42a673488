// A model without AI: a small server that speaks Chat Completions and answers from stories. A story
// belongs to the last message of a person (or of HQ) that its words fit; the answers after that
// message count its turns, so that a story goes on where it was also after a restart.

import { createServer } from 'node:http';

/** What was said, as text. */
function textOf({ content }) {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('\n');
}

/** The story that the newest fitting message began, and how many turns of it were played. */
function find(stories, messages) {
  for (let at = messages.length - 1; at >= 0; at -= 1) {
    if (messages[at].role !== 'user') continue;
    const text = textOf(messages[at]);
    const story = stories.find((one) => one.when.test(text));
    if (story) return { story, played: messages.slice(at).filter(({ role }) => role === 'assistant').length };
  }
  return undefined;
}

/** The deltas of a turn: thinking, words, calls. */
function* deltas({ thinks = '', says = '', calls = [] }, id) {
  for (const word of thinks.match(/\S*\s*/g)) if (word) yield { reasoning_content: word };
  for (const word of says.match(/\S*\s*/g)) if (word) yield { content: word };
  for (const [index, [name, args]] of calls.entries()) {
    yield { tool_calls: [{ index, id: `${id}-${index}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }] };
  }
}

function usageOf(turn, sent) {
  if (turn.spends) {
    const { input, output } = turn.spends;
    return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  }
  const said = JSON.stringify([turn.thinks, turn.says, turn.calls]).length;
  const prompt = Math.ceil(sent / 4);
  const cached = Math.floor(prompt * (turn.cached ?? 0.8));
  return {
    prompt_tokens: prompt,
    completion_tokens: Math.ceil(said / 4),
    total_tokens: prompt + Math.ceil(said / 4),
    prompt_tokens_details: { cached_tokens: cached },
  };
}

/**
 * Starts it: `url` for a connection, `tell(when, ...turns)` a story, `free()` lets turns that hold go
 * on, `stop()`. A turn is that or a function of the messages: it has `thinks`, `says`, `calls` ([name, arguments]), `pace` (milliseconds a word),
 * `first` (milliseconds before the first), `spends` (the tokens that are counted: `input`, `output`), `holds` (after so many pieces, until it is let go) and
 * `refuses` (an error, once).
 */
export async function startModel(models = ['claude-sonnet-5', 'claude-haiku-5-5']) {
  const stories = [];
  const refused = new Set();
  let number = 0;
  let freed = [];
  const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  async function answer(body, response) {
    const { model, messages, stream } = JSON.parse(body);
    const found = find(stories, messages);
    const told = found?.story.turns[found.played] ?? { says: found ? 'That is all.' : 'ok' };
    const turn = typeof told === 'function' ? told(messages) : told;
    if (turn.refuses && !refused.has(told)) {
      refused.add(told);
      response.writeHead(turn.refuses.status, { 'content-type': 'application/json', ...turn.refuses.headers });
      response.end(JSON.stringify({ error: { message: turn.refuses.message, type: 'server_error', code: turn.refuses.code } }));
      return;
    }
    number += 1;
    const id = `answer-${number}`;
    const stop = turn.calls?.length ? 'tool_calls' : 'stop';
    if (!stream) {
      response.writeHead(200, { 'content-type': 'application/json' });
      const message = { role: 'assistant', content: turn.says ?? '' };
      response.end(JSON.stringify({ id, model, choices: [{ index: 0, message, finish_reason: stop }], usage: usageOf(turn, body.length) }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const send = (data) => response.write(`data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created: 0, model, ...data })}\n\n`);
    await rest(turn.first ?? 0);
    let pieces = 0;
    for (const delta of deltas(turn, id)) {
      if (response.destroyed) return;
      if (pieces === turn.holds) {
        // A provider that is silent for long is given up.
        const alive = setInterval(() => response.write(': still here\n\n'), 20_000);
        await new Promise((resolve) => freed.push(resolve));
        clearInterval(alive);
      }
      pieces += 1;
      send({ choices: [{ index: 0, delta, finish_reason: null }] });
      if (turn.pace) await rest(turn.pace);
    }
    send({ choices: [{ index: 0, delta: {}, finish_reason: stop }] });
    send({ choices: [], usage: usageOf(turn, body.length) });
    response.end('data: [DONE]\n\n');
  }

  const server = createServer((request, response) => {
    if (request.url.endsWith('/models')) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ object: 'list', data: models.map((id) => ({ id, object: 'model' })) }));
      return;
    }
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => answer(Buffer.concat(pieces).toString(), response).catch((error) => response.destroy(error)));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const free = () => {
    for (const resolve of freed) resolve();
    freed = [];
  };
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    tell: (when, ...turns) => stories.unshift({ when, turns }),
    free,
    stop: () => {
      free();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
