// A bot is connected on a phone; a stranger writes to it, and is let in as a guest on another page that updates itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { startStandin } from '../lib/standin.mjs';

const TOKEN = '700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi';
const WRONG = '700100200:QQqqBBbbCCccDDddEEeeFFffGGggHHhhIIi';

export function tell(given) {
  test('a bot is connected, and a stranger is let in as a guest', async () => {
    const { browser, server, place, signedIn } = given;
    const telegram = await startStandin('telegram');
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    try {
      await telegram.control('bot', { token: TOKEN, id: 7001, name: 'Ada', handle: 'ada_bot' });
      await page.goto(`${place}/agents/ada`);
      const rail = page.getByRole('heading', { name: 'Channels' });
      await rail.getByRole('link', { name: 'Connect' }).click();
      assert.equal(await page.getByLabel('Agent', { exact: true }).inputValue(), 'ada');
      await page.getByText('Telegram', { exact: true }).and(page.locator('summary span')).click();
      await page.getByText('Open a chat with @BotFather').waitFor();
      await assertAccessible(page, 'no channels on a phone');
      const connect = async (token) => {
        await page.getByLabel('Messenger').selectOption('telegram');
        await page.getByLabel('Agent', { exact: true }).selectOption('ada');
        await page.getByLabel('Bot token').fill(token);
        await page.getByLabel('API address').fill(telegram.url);
        await page.getByRole('main').getByRole('button', { name: 'Connect channel' }).click();
      };
      await connect(WRONG);
      await page.locator('[name="token"][aria-invalid="true"]').waitFor();
      assert.ok(!(await page.content()).includes(WRONG), 'the wrong token is not shown again');
      await assertAccessible(page, 'a refused token on a phone');
      await connect(TOKEN);
      const row = page.getByRole('main').getByRole('listitem').filter({ hasText: 'Ada' });
      await row.getByText('Online').waitFor();
      assert.equal(await tooWide(page), '');
      await assertAccessible(page, 'a connected channel on a phone');
      await page.goto(`${place}/agents/ada`);
      await page.getByRole('listitem').filter({ hasText: 'Telegram' }).getByRole('img', { name: 'Online' }).waitFor();

      // A second page shows the request without being loaded again.
      const wide = await (await newContext(browser, server, { size: WIDE, storageState: signedIn })).newPage();
      await wide.goto(`${place}/settings/channel-people`);
      await wide.getByText('No people on channels yet.').waitFor();
      const [chat, from] = [{ id: 42, type: 'private' }, { id: 42, is_bot: false, first_name: 'Bob', username: 'bob' }];
      await telegram.control('say', { token: TOKEN, chat, from, text: 'Hello there' });
      const bob = wide.getByRole('main').getByRole('listitem').filter({ hasText: 'Bob' });
      await bob.getByText('Requests access').waitFor();
      await bob.getByRole('link', { name: 'Edit Bob' }).click();
      await wide.getByText('Approve', { exact: true }).first().click();
      await wide.locator('form[action$="/approve"] [name="as"]').fill('guest');
      await wide.getByRole('button', { name: 'Approve', exact: true }).click();
      await bob.getByText('Guest').waitFor();
      await assertAccessible(wide, 'people on channels');
      for (const tab of ['Rooms', 'Routes', 'Received', 'Sent']) {
        await wide.getByRole('main').getByRole('link', { name: tab, exact: true }).click();
        await wide.getByRole('heading', { level: 1, name: tab }).waitFor();
        await assertAccessible(wide, tab);
      }
      await wide.getByText('Sent', { exact: true }).first().waitFor();
    } finally {
      telegram.stop();
      await context.close();
    }
  });
}
