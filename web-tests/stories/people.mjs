// An invitation from its making to its end, what a role may do, and a sign-in in two steps.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { appCode, invite, join, OWNER, signIn } from '../lib/story.mjs';

const TOM = { name: 'Tom Okafor', email: 'tom@marlow.example', password: 'seven lanterns over a quiet canal' };

export function tell(given) {
  test('somebody is invited by a link, joins, and may do what the role says', async () => {
    const { browser, server, signedIn, place } = given;
    const owner = await newContext(browser, server, { storageState: signedIn });
    const page = await owner.newPage();
    const link = await invite(page, place, 'Member');
    assert.match(link, /\/join\?in=/);
    await page.goto(`${place}/settings/members`);
    assert.equal(await page.getByText(link).count(), 0, 'the link is shown once');

    const other = await newContext(browser, server);
    const tom = await other.newPage();
    await join(tom, link, TOM);
    assert.equal(new URL(tom.url()).pathname, `${place}/`);
    // The owner's page knows without a reload.
    const row = page.getByRole('row', { name: new RegExp(TOM.name) });
    await row.waitFor();
    await tom.goto(`${place}/settings/members`);
    assert.equal(await tom.getByRole('button', { name: 'Create invitation link' }).count(), 0);
    await tom.goto(`${place}/tasks/new`);
    await tom.getByRole('heading', { level: 1 }).waitFor();

    await row.getByRole('button', { name: `Change ${TOM.name}` }).click();
    await page.getByRole('button', { name: 'Viewer', exact: true }).click();
    await page.getByText(`${TOM.name} is now a viewer.`).waitFor();
    const refused = await tom.goto(`${place}/tasks/new`);
    assert.equal(refused.status(), 403);
    assert.deepEqual(page.context().faults(), []);
    Object.assign(given, { tom: await other.storageState() });
    await owner.close();
    await other.close();
  });

  test('a sign-in in two steps, with an app and with a recovery code', async () => {
    const { browser, server, tom: signedIn, place } = given;
    assert.ok(signedIn, 'Tom must have joined first');
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/settings/security`);
    await page.getByRole('button', { name: 'Set up' }).click();
    await page.getByRole('img', { name: /QR code/ }).waitFor();
    const key = await page.locator('.steps .code code').innerText();
    await page.getByLabel('Code', { exact: true }).fill('000000');
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByText("This isn't the app's current code").waitFor();
    const used = Date.now();
    await page.getByLabel('Code', { exact: true }).fill(appCode(key, used));
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByRole('heading', { level: 1, name: 'Your recovery codes' }).waitFor();
    const codes = await page.locator('.codes code').allInnerTexts();
    assert.equal(codes.length, 10);
    await context.close();

    const fresh = await newContext(browser, server);
    const again = await fresh.newPage();
    await signIn(again, TOM);
    await again.getByRole('heading', { level: 1, name: 'Two-step sign-in' }).waitFor();
    await again.goto(`${place}/tasks`);
    assert.equal(new URL(again.url()).pathname, '/login', 'nothing opens before the second step');
    await again.goto('/login/code');
    // The next step's code: the one of the set-up is used up, and a clock may be ahead by one.
    await again.getByLabel('Code').fill(appCode(key, used + 30_000));
    await again.getByRole('button', { name: 'Sign in' }).click();
    await again.waitForURL(`**${place}/`);
    await fresh.close();

    const lost = await newContext(browser, server, { script: false });
    const plain = await lost.newPage();
    await signIn(plain, TOM);
    await plain.getByLabel('Code').fill(codes[0]);
    await plain.getByRole('button', { name: 'Sign in' }).click();
    await plain.waitForURL(`**${place}/`);
    await lost.close();
  });

  test('a passkey is added and signs in by itself', async () => {
    const { browser, server, tom: signedIn, place } = given;
    const local = { url: server.url.replace('127.0.0.1', 'localhost') };
    const context = await newContext(browser, local);
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
    await signIn(page, OWNER);
    await page.getByRole('heading', { level: 1, name: /Mira/ }).waitFor();
    await page.goto(`${place}/settings/security`);
    await page.getByLabel('Name', { exact: true }).fill('Laptop');
    await page.locator('#key-password').fill(OWNER.password);
    await page.getByRole('button', { name: 'Add passkey' }).click();
    await page.getByText('Passkey "Laptop" added.').waitFor();
    await page.getByRole('button', { name: `${OWNER.name}’s account` }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('heading', { level: 1, name: /Mira/ }).waitFor();
    await page.goto(`${place}/settings/security`);
    await page.getByRole('row', { name: /Laptop/ }).getByRole('button', { name: 'Change Laptop' }).click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByText('Passkey "Laptop" removed.').waitFor();
    assert.ok(signedIn);
    await context.close();

    // Under a number instead of a name browsers give no passkeys; the page says so.
    const number = await newContext(browser, server, { storageState: given.signedIn });
    const told = await number.newPage();
    await told.goto(`${place}/settings/security`);
    await told.getByText('Browsers offer passkeys only at an https address').waitFor();
    await number.close();
  });

  test('who is removed loses the workspace at once', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn, script: false });
    const page = await context.newPage();
    await page.goto(`${place}/settings/members`);
    const row = page.getByRole('row', { name: new RegExp(TOM.name) });
    await row.getByRole('button', { name: `Change ${TOM.name}` }).click();
    // By keyboard: without script nothing tells the browser's driver when the menu has come to rest.
    await page.getByRole('link', { name: 'Remove from workspace' }).press('Enter');
    await page.getByRole('heading', { name: `Remove ${TOM.name}` }).waitFor();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByText(`${TOM.name} is no longer a member of this workspace.`).waitFor();
    assert.equal(await page.getByRole('button', { name: `Change ${TOM.name}` }).count(), 0);
    // His account belongs to no workspace now.
    await page.getByRole('heading', { name: 'Accounts without a workspace' }).waitFor();
    assert.equal(await page.getByRole('row', { name: new RegExp(TOM.name) }).count(), 1);
    await context.close();
  });
}
