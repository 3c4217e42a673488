// The unmodified grammy against the stand-in: telegram_grammy.mjs URL

import assert from "node:assert";
import { createRequire } from "node:module";
import { join } from "node:path";

// grammy is found where this is run, not beside this file.
const require = createRequire(join(process.cwd(), "index.js"));
const { Bot, GrammyError, InlineKeyboard, InputFile } = require("grammy");

const url = process.argv[2];
const token = "222222:grammy_0123456789abcdefghijABCDEFGHIJ";
const chat = { id: 12, type: "private", first_name: "Ann" };
const from = { id: 12, is_bot: false, first_name: "Ann", username: "ann" };

async function control(what, params = {}) {
  const answer = await fetch(`${url}/control/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, ...params }),
  });
  assert(answer.ok, what);
  return answer.json();
}

await control("bot", { id: 8, name: "Bo", handle: "bo_bot" });
const bot = new Bot(token, { client: { apiRoot: url } });
let heard;
const next = () => new Promise((resolve) => (heard = resolve));
bot.command("start", (ctx) => heard(ctx));
bot.on("message:text", (ctx) => heard(ctx));
bot.on("callback_query:data", (ctx) => heard(ctx));
const running = bot.start({ timeout: 20 });

for (const text of ["/start code", "Grüße 😀"]) {
  const waiting = next();
  await control("say", { chat, from, text });
  const ctx = await waiting;
  assert.equal(ctx.message.text, text);
  assert.equal(ctx.me.username, "bo_bot");
}

const entities = [{ type: "bold", offset: 0, length: 2 }];
const reply_markup = new InlineKeyboard().text("Yes", "yes");
const sent = await bot.api.sendMessage(12, "😀 one", { entities, reply_markup });
assert.deepEqual(sent.entities, entities);
const edited = await bot.api.editMessageText(12, sent.message_id, "two");
assert.equal(edited.text, "two");
await assert.rejects(bot.api.editMessageText(12, sent.message_id, "two"), (err) => {
  return err instanceof GrammyError && err.description.includes("not modified");
});

const waiting = next();
await control("press", { chat, from, message_id: sent.message_id, data: "yes" });
const press = await waiting;
assert.equal(press.callbackQuery.message.text, "two");
assert(await press.answerCallbackQuery("Done"));

const document = await bot.api.sendDocument(12, new InputFile(Buffer.from("content"), "a.txt"));
const file = await bot.api.getFile(document.document.file_id);
const content = await fetch(`${url}/file/bot${token}/${file.file_path}`);
assert.equal(await content.text(), "content");
await bot.api.setMyCommands([{ command: "stop", description: "Stop the run" }]);
assert.equal((await bot.api.getMyCommands())[0].command, "stop");

const parameters = { method: "sendMessage", status: 429, description: "Too Many Requests", retry_after: 3 };
await control("fail", parameters);
await assert.rejects(bot.api.sendMessage(12, "x"), (err) => err.parameters.retry_after === 3);
await bot.stop();
await running;
const methods = (await control("sent")).map((it) => it.method);
assert.deepEqual(methods, ["sendMessage", "editMessageText", "answerCallbackQuery", "sendDocument"]);
console.log("ok");
