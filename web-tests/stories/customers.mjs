// Contacts, organizations and collections: cells edited in place by keyboard, cards on the board, talks and what follows
// from them, several at once, without a script on a phone, and accessible on every page.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE, twoContexts, WIDE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

export function tell(given) {
  /** Sends what a form sends; gives the address that follows. */
  const send = async (page, path, form) => {
    const { server, place } = given;
    const answer = await page.request.post(`${server.url}${place}${path}`, { form, headers: { origin: server.url }, maxRedirects: 0 });
    assert.equal(answer.status(), 303, `${path}: ${await answer.text()}`);
    return new URL(answer.headers().location, server.url).pathname;
  };
  const opened = async (options = {}) => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, ...options });
    return { context, page: await context.newPage() };
  };
  const over = async (context, allowed = []) => {
    assert.deepEqual(context.faults().filter((fault) => !allowed.some((word) => fault.includes(word))), []);
    await context.close();
  };
  const rowOf = (page, name) => page.locator('.crm-table tbody tr', { hasText: name });
  const cellOf = (page, name, column) => rowOf(page, name).locator(`[data-col="${column}"] a.cell`);
  const isFocused = (one) => one.evaluate((element) => element === document.activeElement);
  const focused = async (one, says) => {
    await one.page().waitForFunction((element) => element === document.activeElement, await one.elementHandle());
    assert.ok(await isFocused(one), says);
  };
  /** Goes right by the arrow key until a cell has the focus. */
  const goRight = async (page, cell) => {
    for (let step = 0; step < 12; step += 1) {
      if (await isFocused(cell)) return;
      await page.keyboard.press('ArrowRight');
    }
    throw new Error('the arrow keys do not lead to this cell');
  };
  const answered = (page) => page.waitForResponse((answer) => answer.request().method() === 'POST');
  const column = (page, name) => page.getByRole('region', { name, exact: true });

  test('A contact is made, its cells are edited by keyboard, and another page shows it at once', async () => {
    const { browser, server, signedIn, place } = given;
    const [here, there] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await here.newPage(), await there.newPage()];
    await page.goto(`${place}/contacts/new`);
    await page.getByLabel('Name', { exact: true }).fill('Rosa Teixeira');
    await page.getByRole('button', { name: 'Create contact' }).click();
    await page.getByRole('heading', { level: 1, name: 'Rosa Teixeira' }).waitFor();
    await send(page, '/contacts', { name: 'Nils Petersen', title: 'Baker' });

    const list = `${place}/contacts?sort=name&q=Rosa+Teixeira`;
    await Promise.all([page.goto(list), other.goto(list)]);
    await tabTo(page, rowOf(page, 'Rosa Teixeira').locator('a.who'), 60);
    const role = cellOf(page, 'Rosa Teixeira', 'title');
    await goRight(page, role);
    await page.keyboard.press('Enter');
    const editor = page.locator('[data-cell-edit] [name="title"]');
    await focused(editor, 'the editor has the focus');
    await page.keyboard.type('Head of pastry');
    const saved = answered(page);
    await page.keyboard.press('Enter');
    assert.equal((await saved).status(), 200);
    await cellOf(other, 'Rosa Teixeira', 'title').getByText('Head of pastry', { exact: true }).waitFor();
    await role.getByText('Head of pastry', { exact: true }).waitFor();
    await editor.waitFor({ state: 'detached' });

    // What stands there is selected, so that typing replaces it; Escape leaves it as it was.
    await focused(role, 'the last row has none below it');
    await page.keyboard.press('F2');
    await focused(editor, 'F2 opens the editor');
    await page.keyboard.type('Nothing');
    assert.equal(await editor.inputValue(), 'Nothing');
    await page.keyboard.press('Escape');
    await editor.waitFor({ state: 'detached' });
    await focused(role, 'Escape goes back to the cell');
    assert.equal((await role.innerText()).trim(), 'Head of pastry');

    // What HQ refuses stays as it was typed, and the corner says why.
    await goRight(page, cellOf(page, 'Rosa Teixeira', 'email'));
    await page.keyboard.press('Enter');
    const mail = page.locator('[data-cell-edit] [name="email"]');
    await focused(mail, 'the editor has the focus');
    await page.keyboard.type('no address');
    const refused = answered(page);
    await page.keyboard.press('Tab');
    assert.equal((await refused).status(), 422);
    await page.locator('.toast[data-tone="danger"]').waitFor();
    await focused(mail, 'one goes on where it went wrong');
    assert.equal(await mail.inputValue(), 'no address');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('rosa@pastelaria.example');
    const mended = answered(page);
    await page.keyboard.press('Tab');
    assert.equal((await mended).status(), 200);
    await cellOf(other, 'Rosa Teixeira', 'email').getByText('rosa@pastelaria.example').waitFor();
    await over(here, ['422']);
    await over(there);
  });

  test('Enter goes down, leaving a cell saves it, and the arrows lead to every cell', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const name of ['Down One', 'Down Two']) await send(page, '/contacts', { name });
    await page.goto(`${place}/contacts?sort=name&q=Down`);
    const first = cellOf(page, 'Down One', 'title');
    await first.click();
    const editor = page.locator('[data-cell-edit] [name="title"]');
    await focused(editor, 'a click opens the editor');
    await page.keyboard.type('Driver');
    const saved = answered(page);
    await page.keyboard.press('Enter');
    await saved;
    await focused(cellOf(page, 'Down Two', 'title'), 'Enter goes down');
    await page.keyboard.press('Enter');
    await focused(editor, 'and the next one opens');
    await page.keyboard.type('Cook');
    const left = answered(page);
    await page.getByLabel('Filter contacts').click();
    assert.equal((await left).status(), 200);
    await cellOf(page, 'Down Two', 'title').getByText('Cook', { exact: true }).waitFor();
    await cellOf(page, 'Down One', 'title').focus();
    await page.keyboard.press('Home');
    await focused(rowOf(page, 'Down One').locator('.tick'), 'the tick is the first one');
    await page.keyboard.press('ArrowDown');
    await focused(rowOf(page, 'Down Two').locator('.tick'), 'and the one below it');
    await over(context);
  });

  test('Typing replaces the value of a cell, Tab goes on editing, and no letter is a shortcut there', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await send(page, '/contacts', { name: 'Typed One', title: 'Apprentice' });
    await send(page, '/contacts', { name: 'Typed Two' });
    await page.goto(`${place}/contacts?sort=name&q=Typed`);
    const field = (name) => page.locator(`[data-cell-edit] [name="${name}"]`);
    const role = cellOf(page, 'Typed One', 'title');
    await role.focus();
    await page.keyboard.type('Head of pastry');
    await focused(field('title'), 'the first letter opens the editor');
    await page.waitForFunction((one) => one.value === 'Head of pastry', await field('title').elementHandle());
    let saved = answered(page);
    await page.keyboard.press('Tab');
    assert.equal((await saved).status(), 200);
    await focused(field('email'), 'Tab opens the editor of the next cell');
    await role.getByText('Head of pastry', { exact: true }).waitFor();
    await page.keyboard.type('typed@pastelaria.example');
    saved = answered(page);
    await page.keyboard.press('Shift+Tab');
    assert.equal((await saved).status(), 200);
    await focused(field('title'), 'and Shift+Tab that of the one before');
    await page.keyboard.press('Enter');
    await focused(cellOf(page, 'Typed Two', 'title'), 'Enter goes down and edits nothing');
    await field('title').waitFor({ state: 'detached' });

    const stage = cellOf(page, 'Typed One', 'stage');
    await stage.focus();
    await page.keyboard.press('w');
    await focused(field('stage'), 'a letter opens choices, too');
    assert.equal(await field('stage').inputValue(), 'won');
    saved = answered(page);
    await page.keyboard.press('Enter');
    assert.equal((await saved).status(), 200);
    await stage.getByText('Won', { exact: true }).waitFor();

    // Elsewhere / leads to the filter and X selects the row.
    const name = rowOf(page, 'Typed One').locator('a.who');
    await name.focus();
    for (const key of ['/', 'x', 'j']) {
      await page.keyboard.press(key);
      assert.ok(await isFocused(name), `${key} does nothing on a name`);
    }
    assert.equal(await rowOf(page, 'Typed One').locator('.tick').isChecked(), false);
    await over(context);
  });

  test('A card goes to another stage by mouse and by keyboard, and stays there', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const name of ['Card by mouse', 'Card by key']) await send(page, '/contacts', { name, stage: 'lead' });
    await page.goto(`${place}/contacts?layout=board&q=Card`);
    const card = page.locator('.tile', { hasText: 'Card by mouse' });
    const [from, to] = [await card.boundingBox(), await column(page, 'Qualified').boundingBox()];
    await page.mouse.move(from.x + 60, from.y + from.height - 14);
    await page.mouse.down();
    await page.mouse.move(to.x + 60, to.y + 60, { steps: 8 });
    const moved = answered(page);
    await page.mouse.up();
    assert.equal((await moved).status(), 200);
    await column(page, 'Qualified').getByText('Card by mouse').waitFor();

    await tabTo(page, page.locator('.tile', { hasText: 'Card by key' }).locator('[data-grip]'), 200);
    await page.keyboard.press(' ');
    await page.keyboard.press('ArrowRight');
    const lifted = answered(page);
    await page.keyboard.press(' ');
    assert.equal((await lifted).status(), 200);
    await page.reload();
    for (const name of ['Card by mouse', 'Card by key']) await column(page, 'Qualified').getByText(name).waitFor();
    assert.equal(await column(page, 'Lead').locator('.tile').count(), 0);

    // Where a deal is over is a field to drop a card on: it counts, and its cards stand in the list.
    await tabTo(page, page.locator('.tile', { hasText: 'Card by key' }).locator('[data-grip]'), 200);
    await page.keyboard.press(' ');
    for (let n = 0; n < 3; n++) await page.keyboard.press('ArrowRight');
    const won = answered(page);
    await page.keyboard.press(' ');
    assert.equal((await won).status(), 200);
    await page.reload();
    await column(page, 'Won').getByText('1', { exact: true }).waitFor();
    assert.equal(await page.locator('.tile', { hasText: 'Card by key' }).count(), 0);
    await column(page, 'Won').getByRole('link', { name: 'Won' }).click();
    await page.locator('tbody').getByText('Card by key').waitFor();
    await over(context);
  });

  test('A talk with a follow-up is logged with the key I, and called done', async () => {
    const { place } = given;
    const { context, page } = await opened();
    const contact = await send(page, '/contacts', { name: 'Jana Brandt' });
    await page.goto(contact);
    await page.keyboard.press('i');
    const words = page.getByLabel('Interaction notes');
    await focused(words, 'I leads to the field');
    await page.keyboard.type('The hitch of bike 31 broke.');
    await page.getByLabel('Next step').fill('Say when the new hitch arrives');
    await page.getByLabel('Follow up on').fill(new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin' }).format(new Date()));
    await page.getByRole('button', { name: 'Log', exact: true }).click();
    await page.getByText('The hitch of bike 31 broke.').waitFor();
    await page.getByText('Follow-up due today.').waitFor();

    await page.goto(`${place}/contacts`);
    await page.getByRole('link', { name: 'Follow-up due' }).click();
    await rowOf(page, 'Jana Brandt').getByText('Today', { exact: true }).waitFor();
    await page.goto(contact);
    await page.getByRole('button', { name: 'Done', exact: true }).click();
    await page.getByText('Followed up').waitFor();
    assert.equal(await page.getByText('Follow-up due').count(), 0);
    await over(context);
  });

  test('Several contacts get a stage and a tag and are archived with one press each', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const name of ['Batch One', 'Batch Two']) await send(page, '/contacts', { name, stage: 'lead' });
    await page.goto(`${place}/contacts?sort=name&q=Batch&cols=stage,tags`);
    const choose = async () => {
      for (const name of ['Batch One', 'Batch Two']) await page.getByLabel(`Select ${name}`).check();
      await page.getByText('2 selected').waitFor();
    };
    await choose();
    await page.keyboard.press('s');
    await page.locator('#bulk-status').getByRole('button', { name: 'Won' }).click();
    for (const name of ['Batch One', 'Batch Two']) await cellOf(page, name, 'stage').getByText('Won').waitFor();
    await choose();
    await page.keyboard.press('l');
    await page.getByLabel('Tag name').fill('harbour');
    await page.keyboard.press('Enter');
    for (const name of ['Batch One', 'Batch Two']) await cellOf(page, name, 'tags').getByText('harbour').waitFor();
    await choose();
    await page.getByRole('button', { name: 'Archive selected contacts' }).click();
    await page.getByRole('heading', { name: 'No matching contacts' }).waitFor();
    await over(context);
  });

  test('Cells of a spreadsheet are pasted into the table: what is refused is named first, and one undo takes all back', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const name of ['Block One', 'Block Two']) await send(page, '/contacts', { name });
    await page.goto(`${place}/contacts?sort=name&q=Block&cols=phone,email`);
    await cellOf(page, 'Block One', 'phone').focus();
    await page.evaluate((text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', text);
      document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
    }, '040 555 1\tone@block.example\n040 555 2\tnobody\n');
    const dialog = page.getByRole('dialog', { name: 'Paste cells' });
    await dialog.getByText('3 cells in 2 rows will change.').waitFor();
    await dialog.getByRole('row', { name: /Block Two.*Email.*isn.t an email address/ }).waitFor();
    await assertAccessible(page, 'the dialog of pasting');
    await dialog.getByRole('button', { name: 'Paste 3 cells' }).click();
    await dialog.waitFor({ state: 'detached' });
    const phone = cellOf(page, 'Block Two', 'phone').getByText('040 555 2');
    await phone.waitFor();
    await cellOf(page, 'Block One', 'email').getByText('one@block.example').waitFor();
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await phone.waitFor({ state: 'detached' });
    await over(context);
  });

  test('A comment, a file and a task stand on a contact, and on another open page at once', async () => {
    const { browser, server, signedIn } = given;
    const [here, there] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await here.newPage(), await there.newPage()];
    const contact = await send(page, '/contacts', { name: 'Greta Olsen' });
    await Promise.all([page.goto(contact), other.goto(contact)]);
    await page.getByLabel('Comment', { exact: true }).fill('She **pays** early.');
    await page.locator('#say').getByRole('button', { name: /^Comment/ }).click();
    const timeline = other.locator('#crm-talks');
    await timeline.getByText('pays', { exact: true }).waitFor();
    await page.locator('#new-files').setInputFiles({ name: 'offer.txt', mimeType: 'text/plain', buffer: Buffer.from('Ten bikes') });
    await other.locator('#task-files').getByRole('link', { name: 'offer.txt', exact: true }).waitFor();
    await page.locator('#task-files').getByRole('link', { name: 'offer.txt', exact: true }).waitFor();

    await page.getByRole('link', { name: 'Ask an agent' }).click();
    await focused(page.getByLabel('What needs to be done?'), 'the form unfolds');
    await page.keyboard.type('Send her the offer');
    await page.getByLabel('Assignee').selectOption('');
    await page.locator('#ask').getByRole('button', { name: 'Create task', exact: true }).click();
    await other.locator('#crm-tasks').getByRole('link', { name: 'Send her the offer' }).waitFor();
    await timeline.getByText(/created .*Send her the offer/).waitFor();
    await timeline.getByRole('link', { name: 'Comments', exact: true }).click();
    await timeline.getByText(/created .*Send her the offer/).waitFor({ state: 'detached' });
    await timeline.getByText('pays', { exact: true }).waitFor();
    await over(here);
    await over(there);
  });

  test('Without a script and on a phone a contact is made and a field changed', async () => {
    const { place } = given;
    const { context, page } = await opened({ script: false, size: PHONE });
    await page.goto(`${place}/contacts/new`);
    assert.equal(await tooWide(page), '', 'the form of a new contact');
    await page.getByLabel('Name', { exact: true }).fill('Anke Wolters');
    await page.getByLabel('Phone', { exact: true }).fill('040 5550 1824');
    await page.getByRole('button', { name: 'Create contact' }).click();
    await page.getByRole('heading', { level: 1, name: 'Anke Wolters' }).waitFor();
    assert.equal(await tooWide(page), '', 'the page of a contact');
    // Each field has its name in sight.
    await page.locator('#crm-cells dt', { hasText: /^Phone$/ }).waitFor();
    await page.getByRole('button', { name: /^Role:\s*Add$/ }).click();
    const menu = page.locator('#m-title');
    await menu.getByLabel('Role').fill('Owner');
    await menu.getByRole('button', { name: 'Save' }).press('Enter');
    await page.getByRole('button', { name: /^Role:\s*Owner$/ }).waitFor();
    await page.goto(`${place}/contacts`);
    await page.getByRole('link', { name: 'Anke Wolters' }).waitFor();
    assert.equal(await tooWide(page), '', 'the list');
    await over(context);
  });

  test('Chosen contacts are given to an agent as one task that leads to each', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const name of ['Given One', 'Given Two']) await send(page, '/contacts', { name });
    await page.goto(`${place}/contacts?sort=name&q=Given`);
    for (const name of ['Given One', 'Given Two']) await page.getByLabel(`Select ${name}`).check();
    await page.getByText('2 selected').waitFor();
    await page.getByRole('button', { name: 'Give to agent' }).click();
    await page.getByLabel('What needs to be done').fill('Check the addresses');
    await page.getByLabel('Agent', { exact: true }).selectOption('ada');
    await page.getByRole('button', { name: 'Create a task' }).click();
    await page.getByText(/about 2 contacts/).waitFor();
    await page.goto(`${place}/tasks?q=Check+the+addresses&status=all`);
    await page.getByRole('main').getByRole('link', { name: 'Check the addresses' }).first().click();
    for (const name of ['Given One', 'Given Two']) await page.getByRole('main').getByRole('link', { name }).first().waitFor();
    await over(context);
  });

  test('A file is mapped on its columns, checked beside them, brought in and taken back', async () => {
    const { browser, server, signedIn, place } = given;
    const { context, page } = await opened();
    await send(page, '/contacts', { name: 'Fair Jana', email: 'jana@fair.example' });
    await page.goto(`${place}/contacts/import`);
    const rows = ['Who;Mail;Phase;Wheels', 'Fair Henrike;henrike@fair.example;Kalt;3', 'Fair Jana;jana@fair.example;Lead;4', 'Fair Ole;ole@@fair;Lead;2'];
    await page.getByLabel('File').setInputFiles({ name: 'fair.csv', mimeType: 'text/csv', buffer: Buffer.from(rows.join('\n')) });
    await page.getByRole('button', { name: 'Map columns' }).press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Import contacts' }).waitFor();
    const sheet = page.getByRole('region', { name: 'File columns and rows' });
    await sheet.getByLabel('Who', { exact: true }).selectOption({ label: 'Name' });
    await sheet.getByLabel('Wheels', { exact: true }).selectOption({ label: 'New field: Number' });
    await page.getByLabel('Kalt', { exact: true }).selectOption({ label: 'Lost' });
    await page.getByLabel('Fill empty fields only').check();
    await page.getByRole('button', { name: 'Update preview' }).click();
    await page.getByText('Adds the field Wheels.').waitFor();
    const beside = page.getByRole('complementary', { name: 'Preview' });
    await beside.getByText('of 3 rows ready').waitFor();
    await beside.getByRole('link', { name: /^Mail/ }).click();
    await page.waitForURL(/column=Mail/);
    await sheet.getByRole('row', { name: /ole@@fair/ }).waitFor();
    assert.equal(await sheet.getByText('Fair Henrike').count(), 0, 'only rows with this problem');
    const at = new URL(page.url()).pathname;
    const looks = [WIDE, PHONE].flatMap((size) => ['light', 'dark'].map((theme) => ({ size, theme })));
    for (const look of looks) {
      const seen = await newContext(browser, server, { ...look, storageState: signedIn });
      const one = await seen.newPage();
      await one.goto(at);
      await assertAccessible(one, `the preview of an import (${look.theme}, ${look.size.width} px)`);
      assert.equal(await tooWide(one), '', 'the preview of an import');
      await over(seen);
    }
    await page.getByRole('button', { name: 'Import 3 contacts' }).click();
    await page.getByText('2 new, 1 changed').waitFor();
    await page.goto(`${place}/contacts?sort=name&q=Fair&cols=stage,wheels`);
    await cellOf(page, 'Fair Henrike', 'stage').getByText('Lost').waitFor();
    await cellOf(page, 'Fair Jana', 'wheels').getByText('4').waitFor();
    await page.goto(at);
    await page.getByRole('button', { name: 'Undo import' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Undo import' }).click();
    await page.getByText('Undone').first().waitFor();
    await page.goto(`${place}/contacts?sort=name&q=Fair`);
    await rowOf(page, 'Fair Jana').waitFor();
    assert.equal(await rowOf(page, 'Fair Henrike').count(), 0);
    await over(context);
  });

  test('Pages of customers are accessible in states that the demo company does not show', async () => {
    const { browser, server, signedIn, place } = given;
    const { context, page } = await opened();
    const contact = await send(page, '/contacts', { name: 'Piet Hansen', title: 'Head of logistics', stage: 'proposal', organization: 'Hansen & Kröger', owner: 'me', tags: 'north', notes: 'Calls **early**.' });
    await send(page, contact.replace(place, '').concat('/talks'), { kind: 'call', way: 'inbound', subject: 'Twelve bikes', body: 'Wants **twelve**.', next_action: 'Send the offer', next_on: '2020-01-02' });
    await page.goto(`${place}/collections`);
    await page.getByLabel('Name', { exact: true }).fill('Bikes');
    await page.getByRole('button', { name: 'Create collection' }).click();
    // A new one is asked for its fields.
    await page.getByRole('heading', { level: 1, name: 'Fields' }).waitFor();
    const added = page.getByRole('complementary').filter({ hasText: 'New field' });
    await added.getByLabel('Name', { exact: true }).fill('Frame');
    await page.getByRole('button', { name: 'Add field' }).click();
    await page.locator('#field-frame').waitFor();
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Bikes' }).click();
    await page.getByRole('heading', { level: 1, name: 'Bikes' }).waitFor();
    await page.getByRole('heading', { name: 'No records yet' }).waitFor();
    const bikes = new URL(page.url()).pathname;
    const record = await send(page, bikes.replace(place, ''), { name: 'MC-B28' });
    await page.goto(`${place}/organizations`);
    const organization = await page.getByRole('link', { name: 'Hansen & Kröger' }).getAttribute('href');
    await over(context);
    const paths = ['/suggestions', '/contacts', '/contacts?layout=board', '/contacts?layout=cards', '/contacts?q=nobody-is-called-so', '/contacts/new', '/organizations', '/organizations/new', '/collections', '/settings/fields?of=contacts'];
    const pages = [...paths.map((path) => place + path), contact, organization, bikes, `${bikes}/new`, record];
    const remarks = [];
    // suites/pages.mjs has all four combinations; these are the states that the demo company does not show.
    for (const look of [{ theme: 'light', size: WIDE }, { theme: 'dark', size: PHONE }]) {
      const seen = await newContext(browser, server, { ...look, storageState: signedIn });
      const one = await seen.newPage();
      for (const path of pages) {
        await one.goto(path);
        await assertAccessible(one, `${path} (${look.theme}, ${look.size.width} px)`).catch((error) => remarks.push(error.message));
      }
      remarks.push(...seen.faults());
      await seen.close();
    }
    assert.equal(remarks.length, 0, remarks.join('\n\n'));
  });
  test('Customers are switched off and on again: the side bar follows, and what they hold stays', async () => {
    const { place } = given;
    const { context, page } = await opened();
    const contact = await send(page, '/contacts', { name: 'Kept Meanwhile' });
    const link = page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: /^Contacts/ });
    const turn = async (on) => {
      await page.goto(`${place}/settings/modules`);
      await page.getByRole('switch', { name: 'Customers' }).setChecked(on);
      await page.locator('#modules [data-saved="done"]').waitFor();
      await page.goto(`${place}/tasks`);
    };
    await turn(false);
    assert.equal(await link.count(), 0, 'it is not in the side bar');
    await page.goto(contact);
    await page.getByRole('heading', { level: 1, name: 'Customers is turned off' }).waitFor();
    await assertAccessible(page, 'a page of a disabled module');
    await page.getByRole('main').getByRole('link', { name: 'Modules' }).click();
    await page.getByRole('switch', { name: 'Customers' }).waitFor();
    await page.goto(contact);
    await page.getByRole('button', { name: 'Turn on Customers' }).click();
    await link.waitFor();
    await page.getByRole('heading', { level: 1, name: 'Kept Meanwhile' }).waitFor();
    await over(context, ['404']);
  });
}
