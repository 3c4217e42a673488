// Calls echo of an MCP server with the client of npm. Arguments: the folder of the client, the server's command. For each
// line of input it calls once with the line as the text, and prints how many milliseconds that took.
import { createInterface } from 'node:readline';

const [folder, command, ...args] = process.argv.slice(2);
const { Client } = await import(`${folder}/index.js`);
const { StdioClientTransport } = await import(`${folder}/stdio.js`);
const client = new Client({ name: 'bench', version: '1' });
await client.connect(new StdioClientTransport({ command, args }));
for await (const text of createInterface({ input: process.stdin })) {
  const began = performance.now();
  const { content } = await client.callTool({ name: 'echo', arguments: { text } });
  const took = performance.now() - began;
  if (content[0].text !== text) throw new Error(`echo answers ${content[0].text}`);
  console.log(took);
}
await client.close();
