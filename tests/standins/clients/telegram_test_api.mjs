// A Telegram server of other people (telegram-test-api) and somebody who writes to a bot there with its own client.
// Argument: the bot's token. Prints the server's address; then sends each line of standard input and prints, as one line of
// JSON, the texts of all messages of the bot so far, once there are more than before.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const TelegramServer = require("telegram-test-api");

const token = process.argv[2];
const server = new TelegramServer({ host: "127.0.0.1" });
// Its constructor replaces port 0.
server.config.port = 0;
await server.start();
server.config.apiURL = `http://127.0.0.1:${server.server.address().port}`;
console.log(server.config.apiURL);

const person = { userId: 42, chatId: 42, firstName: "Bob", userName: "bob", interval: 20, timeout: 60_000 };
const client = server.getClient(token, person);
for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("/")) await client.sendCommand(client.makeCommand(line));
  else if (line) await client.sendMessage(client.makeMessage(line));
  if (line) await client.getUpdates();
  const all = await client.getUpdatesHistory();
  console.log(JSON.stringify(all.map((one) => one.message).filter((one) => one.chat_id)));
}
process.exit(0);
