// The steps that more than one story takes, by the names that a person reads or hears.

export const OWNER = {
  name: 'Mira Lindqvist',
  email: 'mira@marlow.example',
  password: 'a bicycle bell in the fog',
  workspace: 'Marlow Cargo',
};
export const TASK = 'Compare leasing prices of five cargo-bike rivals';

/** Follows the one-time link and fills in the set-up page; ends on the empty dashboard. */
export async function setUp(page, server) {
  await page.goto(server.setupLink);
  await page.getByLabel('Your name').fill(OWNER.name);
  await page.getByLabel('Email').fill(OWNER.email);
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
  await page.getByLabel('Workspace name').fill(OWNER.workspace);
  await page.getByRole('button', { name: 'Create and continue' }).click();
  await page.getByRole('heading', { level: 1, name: /Mira/ }).waitFor();
}

export async function signIn(page, { email, password } = OWNER) {
  await page.goto('/login');
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** Lets HQ make an agent and give it a task, from the empty dashboard; ends on the task's page. */
export async function tryWithPractice(page) {
  await page.getByRole('main').getByRole('button', { name: 'Try with practice' }).click();
  await page.waitForURL(/\/tasks\/[A-Z]+-\d+$/);
}

export async function open(page, name) {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: new RegExp(`^${name}`) }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor({ state: 'attached' });
}

/** Makes an agent and ends on its page. */
export async function createAgent(page, name, template = 'Assistant') {
  await open(page, 'Agents');
  await page.getByRole('main').or(page.getByRole('banner')).getByRole('link', { name: 'New agent' }).first().click();
  await page.getByRole('radio', { name: new RegExp(template, 'i') }).check();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Create agent' }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

/** Makes a task for an agent and ends on its page. */
export async function createTask(page, title, agent) {
  await open(page, 'Tasks');
  await page.getByRole('banner').getByRole('link', { name: 'New task' }).click();
  await page.getByLabel('Title', { exact: true }).fill(title);
  await page.getByLabel('Assignee').selectOption({ label: agent });
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
}

/** The delivered work that waits for a decision on a task's page. */
export function waiting(page) {
  return page.getByRole('main').getByRole('button', { name: 'Approve', exact: true });
}

/** The names of the fields that are marked as wrong; each must say why. */
export async function wrongFields(page) {
  const fields = await page.locator('[aria-invalid="true"]').all();
  return Promise.all(
    fields.map(async (field) => {
      const says = await field.getAttribute('aria-describedby');
      const text = await page.locator(`#${says}`).innerText();
      if (!text.trim()) throw new Error(`nothing is said beside ${await field.getAttribute('id')}`);
      return field.getAttribute('name');
    }),
  );
}

export const PATIENCE = { timeout: 30_000 };
