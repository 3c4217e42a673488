// An MCP server is added on a phone, its tools are reviewed and approved, and a tool that changes is off until its diff
// is approved.

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { OWNER } from '../lib/story.mjs';

const SCRIPT = fileURLToPath(new URL('../../tests/it/mcp/server.py', import.meta.url));

const tool = (name, description) => ({
  name,
  description,
  inputSchema: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
});

/** Presses a button that needs a proof of identity, and gives it if HQ asks. */
async function prove(page, button, done) {
  await button.click();
  const proof = page.getByRole('dialog').getByLabel('Password', { exact: true });
  await done.or(proof).first().waitFor();
  if (await proof.isVisible()) {
    await proof.fill(OWNER.password);
    await proof.press('Enter');
  }
  await done.first().waitFor();
}

export function tell(given) {
  test('an MCP server is added, reviewed and approved, and a changed tool is off until its diff is approved', async () => {
    const { browser, server, place, signedIn } = given;
    const folder = await mkdtemp(join(tmpdir(), 'mcp-'));
    const has = (tools) => writeFile(join(folder, 'tools.json'), JSON.stringify(tools));
    await cp(SCRIPT, join(folder, 'server.py'));
    await has([tool('read_file', 'Reads a file.'), tool('note', 'Notes a text.')]);
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    const main = page.getByRole('main');
    try {
      await page.goto(`${place}/settings/mcp-servers`);
      await assertAccessible(page, 'no MCP servers on a phone');
      await main.getByLabel('Name', { exact: true }).fill('files');
      await main.getByLabel('Command').fill(`python3\n${join(folder, 'server.py')}`);
      await main.getByLabel('Folders to read').fill(folder);
      const row = main.getByRole('listitem').filter({ hasText: 'files' });
      await prove(page, main.getByRole('button', { name: 'Create MCP server' }), row.getByText('Needs approval'));
      await row.getByRole('link', { name: 'Edit files' }).click();
      await main.getByRole('button', { name: 'Test and read tools' }).click();
      await row.getByText('2 to review').waitFor();
      await page.goto(`${place}/settings/mcp-servers`);
      await row.getByRole('link', { name: 'Edit files' }).click();
      await main.getByRole('heading', { name: /^read_file/ }).waitFor();
      assert.equal(await tooWide(page), '');
      await assertAccessible(page, 'an MCP server to review on a phone');
      await main.getByText('Approve', { exact: true }).first().click();
      const approve = main.locator('form[action$="/approve"]');
      await approve.getByLabel('Tools that only read').fill('read_file');
      await approve.getByLabel('Tools that act').fill('note');
      await prove(page, approve.getByRole('button', { name: 'Approve' }), row.getByText('2 of 2 tools'));
      await row.getByText('Ready').waitFor();

      // A changed tool is off, and a page that is open shows it.
      const wide = await (await newContext(browser, server, { size: WIDE, storageState: signedIn })).newPage();
      await wide.goto(`${place}/settings/mcp-tools`);
      const note = wide.getByRole('main').getByRole('listitem').filter({ hasText: 'files__note' });
      await note.getByText('Acts').waitFor();
      await has([tool('read_file', 'Reads a file.'), tool('note', 'Notes a text and mails it.')]);
      await row.getByRole('link', { name: 'Edit files' }).click();
      await main.getByRole('button', { name: 'Test and read tools' }).click();
      await note.getByText('Changed').waitFor();
      await note.getByRole('link', { name: 'Edit files__note' }).click();
      await wide.locator('.diff ins').first().waitFor();
      await assertAccessible(wide, 'a changed tool');
    } finally {
      await context.close();
      await rm(folder, { recursive: true });
    }
  });
}
