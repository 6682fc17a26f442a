// Logging in, an order by keys alone, and what an administrator does in the settings.
import assert from 'node:assert/strict';
import { orderWithKeys, press } from './keyboard.mjs';
import { base, close, eventually, launch, noViolations, open, shot } from './support.mjs';

const browser = await launch();
try {
  const t = await open(browser, '/ui/');
  const { page } = t;
  await page.getByText('awoctl ui').waitFor();
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    await page.locator(`html[data-theme="${colorScheme}"]`).waitFor();
    await noViolations(page, `login, ${colorScheme}`);
    await shot(page, `login-${colorScheme}`);
  }
  // the link is opened beside it, as from a terminal; from here to a finished order there is no mouse
  const beside = await t.context.newPage();
  await beside.goto(process.env.AWO_UI_LINK);
  await beside.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
  assert.ok(!beside.url().includes('token='), 'the link stays in the address');
  await beside.close();
  await press(page, 'I have logged in: try again');
  await page.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
  await orderWithKeys(page, 'Made with keys alone');

  await page.goto(`${base}/ui/settings`);
  const setting = (key) => page.locator(`[data-setting="${key}"]`);
  // what the environment says is not changed here
  const fixed = setting('retention.workspace_days');
  await fixed.getByText(/Fixed by: environment AWO_RETENTION_DAYS/).waitFor();
  await eventually(() => fixed.getByLabel('retention.workspace_days').isDisabled(), true);
  // nor what is read before the stored settings can be
  const storage = setting('storage.directory');
  await storage.getByText('Not set · changed in the configuration file only').waitFor();
  await eventually(() => storage.getByLabel('storage.directory').isDisabled(), true);
  const slots = setting('max_concurrent');
  await slots.getByLabel('max_concurrent').fill('many');
  await slots.getByRole('button', { name: 'Save' }).click();
  await slots.getByRole('alert').waitFor();
  await slots.getByLabel('max_concurrent').fill('0');
  await slots.getByRole('button', { name: 'Save' }).click();
  await slots.getByRole('alert').getByText(/1/).waitFor();
  await slots.getByLabel('max_concurrent').fill('7');
  await slots.getByRole('button', { name: 'Save' }).click();
  await page.getByText('max_concurrent changed').first().waitFor();
  await setting('max_concurrent')
    .getByText(/stored/)
    .waitFor();
  const save = async (key, value) => {
    await setting(key).getByLabel(key, { exact: true }).fill(value);
    await setting(key).getByRole('button', { name: 'Save' }).click();
  };
  await save('timeouts.step', 'soon');
  await setting('timeouts.step').getByRole('alert').getByText(/2h/).waitFor();
  await save('timeouts.step', '2h');
  await page.getByText('timeouts.step changed').first().waitFor();
  await eventually(() => setting('timeouts.step').getByLabel('timeouts.step').inputValue(), '7200');
  await save('agents.claude.model', 'opus');
  await page.getByText('agents.claude.model changed').first().waitFor();
  await save('agents.claude.program', 'no-such-program');
  await page.getByText('agents.claude.program changed').first().waitFor();
  // what needs a restart is stored, and stands there as pending until it is taken back
  const find = (text) => page.getByLabel('Search settings').fill(text);
  await find('gateway.url');
  await setting('gateway.url').getByText('Not set').waitFor();
  await find('socket.group');
  await save('socket.group', 'staff');
  await page.getByText('socket.group is stored').first().waitFor();
  await setting('socket.group')
    .getByText(/^Pending: awod runs with \d+ until/)
    .waitFor();
  await page.getByText('A change is stored and waits for a restart').waitFor();
  await page.reload();
  await find('socket.group');
  await setting('socket.group')
    .getByText(/^Pending/)
    .waitFor();
  await noViolations(page, 'settings, pending');
  await shot(page, 'settings-pending');
  await setting('socket.group').getByRole('button', { name: 'Back to the configured value' }).click();
  await setting('socket.group')
    .getByText(/^Pending/)
    .waitFor({ state: 'detached' });
  await page.getByText('A change is stored and waits for a restart').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Test GitHub' }).click();
  await page
    .getByText(/there is no token for/)
    .first()
    .waitFor();
  await page.getByRole('button', { name: 'Test the agent program' }).click();
  await page
    .getByText(/demonstration agent/)
    .first()
    .waitFor();

  await page.getByRole('tab', { name: 'Credentials' }).click();
  assert.equal(await page.getByLabel('Secret').getAttribute('type'), 'password');
  assert.equal(await page.getByLabel('Secret').getAttribute('placeholder'), 'ghp_…');
  await page.getByLabel('Secret').fill('ghp_abcdefghijklmnopqrstuvwxyz1234567890');
  await page.getByRole('button', { name: 'Store' }).click();
  await page.locator('[data-credential="github"]').getByText('***7890').waitFor();
  await eventually(() => page.getByLabel('Secret').inputValue(), '');
  assert.ok(!(await page.content()).includes('ghp_abcdef'), 'the secret is still on the page');
  await page.getByRole('button', { name: 'Test github' }).click();
  await page
    .locator('[data-credential="github"] [role="status"]')
    .getByText(/\w+ \w+/)
    .waitFor();
  await page.getByRole('button', { name: 'Remove github' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click();
  await page.getByText('No credentials stored').waitFor();

  await page.getByRole('tab', { name: 'Access tokens' }).click();
  await page.getByLabel('Name').fill('a script');
  await page.getByRole('button', { name: 'Make token' }).click();
  await page.getByText('Copy it now').waitFor();
  const token = await page.locator('code').first().textContent();
  const ask = () =>
    fetch(`${base}/api/v1/agent-work-orders`, { headers: { Authorization: `Bearer ${token}` } });
  assert.equal((await ask()).status, 200);
  await page.getByRole('button', { name: 'Revoke a script' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('No access tokens').waitFor();

  await page.getByRole('button', { name: /Log out/ }).click();
  await page.getByText('awoctl ui').waitFor();
  await page.goto(`${base}/ui/`);
  await page.getByText('awoctl ui').waitFor();
  await close(t);
  console.log('ok session');
} finally {
  await browser.close();
}
process.exit(0);
