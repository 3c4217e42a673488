// discord.js against the stand-in: messages, buttons, resume. Usage: discord_js.mjs URL

import assert from 'node:assert';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// discord.js is found where this is run, not beside this file.
const require = createRequire(join(process.cwd(), 'index.js'));
const {
  ActionRowBuilder, ButtonBuilder, ButtonStyle, Client, Events, GatewayIntentBits,
} = require('discord.js');

const url = process.argv[2];
const room = '3000';

async function control(what, params) {
  const answer = await fetch(`${url}/control/${what}`, { method: 'POST', body: JSON.stringify(params) });
  return answer.json().catch(() => null);
}

const { Guilds, GuildMessages, MessageContent } = GatewayIntentBits;
const client = new Client({
  intents: [Guilds, GuildMessages, MessageContent],
  rest: { api: `${url}/api` },
});

client.once(Events.ClientReady, () => control('say', { channel: room, user: '7', text: 'hello' }));

client.on(Events.MessageCreate, async (message) => {
  if (message.author.id === client.user.id) return;
  if (message.content === 'again') {
    await message.reply('done');
    console.log('ok');
    await client.destroy();
    process.exit(0);
  }
  assert.equal(message.content, 'hello');
  const button = new ButtonBuilder().setCustomId('yes').setLabel('Yes').setStyle(ButtonStyle.Primary);
  const sent = await message.channel.send({
    content: 'go?', components: [new ActionRowBuilder().addComponents(button)],
    nonce: 'n1', enforceNonce: true, allowedMentions: { parse: [] },
  });
  await sent.edit('go!');
  const found = await message.channel.messages.fetch({ limit: 5, cache: false });
  assert.deepEqual([...found.values()].map((one) => one.content), ['go!', 'hello']);
  await control('press', { channel: room, message: sent.id, user: '7', text: 'yes' });
});

client.on(Events.InteractionCreate, async (interaction) => {
  assert.equal(interaction.customId, 'yes');
  await interaction.deferUpdate();
  await control('close', { code: 4000 });
});

client.on(Events.ShardResume, () => control('say', { channel: room, user: '7', text: 'again' }));
setTimeout(() => process.exit(1), 60_000).unref();
await client.login('standin.discord.token');
