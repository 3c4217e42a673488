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
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Chooses the built-in provider from the empty dashboard. */
export async function tryWithPractice(page) {
  await page.getByRole('main').getByRole('button', { name: 'Try with practice' }).click();
  await page.getByText(/practice/i).first().waitFor();
}

/** Makes an agent and ends on its page. */
export async function createAgent(page, name, template = 'Assistant') {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Agents', exact: true }).click();
  await page.getByRole('link', { name: 'New agent', exact: true }).first().click();
  await page.getByRole('radio', { name: new RegExp(template, 'i') }).check();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Create agent' }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

/** Makes a task for an agent and ends on its page. */
export async function createTask(page, title, agent) {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Tasks', exact: true }).click();
  await page.getByRole('link', { name: 'New task', exact: true }).first().click();
  await page.getByLabel('Title').fill(title);
  await page.getByLabel('Assignee').selectOption({ label: agent });
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
}

/** Everything up to a piece of work that waits for approval, on its task's page. */
export async function upToReview(page, server, agent = 'Ada') {
  await setUp(page, server);
  await tryWithPractice(page);
  await createAgent(page, agent);
  await createTask(page, TASK, agent);
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 30_000 });
}
