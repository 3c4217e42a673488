// Speaks to HQ with the official Node client of the OpenAI API, as a program written for OpenAI would.
// HQ_URL and HQ_TOKEN say where; the argument says which story. The model behind the agents answers every
// question with ANSWER; in `tools` it asks for the weather of two cities first.
import assert from "node:assert/strict";
import OpenAI from "openai";

const ANSWER = "Three tasks are open.";
const client = new OpenAI({
  baseURL: `${process.env.HQ_URL}/v1`,
  apiKey: process.env.HQ_TOKEN,
  maxRetries: 0,
  timeout: 20_000,
});
const messages = [{ role: "user", content: "What is open?" }];

async function listsModels() {
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  assert.deepEqual(models, ["hq", "hq/default", "hq/ada"]);
  assert.equal((await client.models.retrieve("hq/ada")).owned_by, "hq");
}

async function completesChats() {
  const answer = await client.chat.completions.create({ model: "hq/default", messages });
  assert.equal(answer.choices[0].message.content, ANSWER);
  assert.equal(answer.choices[0].finish_reason, "stop");
  const stream = await client.chat.completions.create({
    model: "hq",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, ANSWER);
  assert.ok(usage.total_tokens > 0);
}

async function responds() {
  const first = await client.responses.create({
    model: "hq/ada",
    input: "The word is heron.",
    instructions: "Be short.",
    metadata: { desk: "mira" },
  });
  assert.equal(first.output_text, ANSWER);
  assert.equal(first.status, "completed");
  assert.deepEqual(first.metadata, { desk: "mira" });
  const stream = client.responses.stream({
    model: "hq/ada",
    input: [{ role: "user", content: [{ type: "input_text", text: "What was the word?" }] }],
    previous_response_id: first.id,
  });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  const final = await stream.finalResponse();
  assert.equal(final.output_text, ANSWER);
  assert.equal(final.previous_response_id, first.id);
  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
  assert.ok(kinds.includes("response.output_text.delta"));
}

async function showsPictures() {
  const url = "data:image/png;base64,iVBORw0KGgpub3QgYSByZWFsIG9uZQ==";
  const text = "What is this?";
  const answer = await client.chat.completions.create({
    model: "hq",
    messages: [{ role: "user", content: [{ type: "text", text }, { type: "image_url", image_url: { url } }] }],
  });
  assert.equal(answer.choices[0].message.content, ANSWER);
  const content = [{ type: "input_image", image_url: url, detail: "auto" }];
  const other = await client.responses.create({ model: "hq", input: [{ role: "user", content }] });
  assert.equal(other.output_text, ANSWER);
}

async function saysWhatIsWrong() {
  const fails = async (status, code, call) => {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.equal(error.status, status, error.message);
      assert.equal(error.code, code, error.message);
      return true;
    });
  };
  const create = (body) => () => client.responses.create({ model: "hq/ada", input: "Hi", ...body });
  await fails(404, "model_not_found", create({ model: "hq/nobody" }));
  await fails(400, "previous_response_not_found", create({ previous_response_id: "resp_x" }));
  await fails(400, "invalid_request", create({ input: [] }));
  await fails(400, "invalid_request", create({ tools: [{ type: "web_search" }] }));
}

const WARM = "Rome is warmer.";
const parameters = { type: "object", properties: { city: { type: "string" } } };
const degrees = (args) => ({ Rome: "21", Oslo: "4" })[JSON.parse(args).city];

async function runsTools() {
  const seen = [];
  const getWeather = ({ city }) => {
    seen.push(city);
    return degrees(JSON.stringify({ city }));
  };
  const tool = {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city, now",
      parameters,
      parse: JSON.parse,
      function: getWeather,
    },
  };
  for (const stream of [false, true]) {
    const runner = client.chat.completions.runTools({
      model: "hq/ada",
      messages: [{ role: "user", content: "Where is it warmer?" }],
      tools: [tool],
      stream,
    });
    assert.equal(await runner.finalContent(), WARM);
  }
  assert.deepEqual(seen.sort(), ["Oslo", "Oslo", "Rome", "Rome"]);
}

async function answersCalls() {
  const tools = [{ type: "function", name: "get_weather", parameters, strict: false }];
  const first = await client.responses
    .stream({ model: "hq/ada", input: "Where is it warmer?", tools })
    .finalResponse();
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.equal(calls.length, 2);
  const input = calls.map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: degrees(call.arguments),
  }));
  const second = await client.responses.create({
    model: "hq/ada",
    previous_response_id: first.id,
    input,
    tools,
  });
  assert.equal(second.output_text, WARM);
}

const stories = {
  talk: [listsModels, completesChats, responds, showsPictures, saysWhatIsWrong],
  tools: [runsTools, answersCalls],
};
for (const step of stories[process.argv[2]]) await step();
