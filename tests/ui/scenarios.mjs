// What a person does with the pages, from connecting a repository to reading the result.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import {
  api,
  base,
  close,
  createOrder,
  noSidewaysScroll,
  noViolations,
  open,
  run,
  shot,
  statusBecomes,
} from './support.mjs';

const repository = process.env.AWO_UI_REPOSITORY;
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test that started this script for something that only it can do. */
async function please(what) {
  console.log(`@${what}`);
  const { value } = await input.next();
  assert.equal(value, 'done');
}

const row = (page, id) => page.locator(`[data-order="${id}"]`);
const orderPath = (id) => `/ui/agent-work-orders/${id}`;

async function becomes(page, id, status) {
  await page.locator(`[data-order="${id}"][data-status="${status}"]`).waitFor();
}

const failed = await run({
  async 'nothing there yet'(browser) {
    const t = await open(browser, '/ui/');
    await t.page.getByText('No work orders found').waitFor();
    await t.page.getByText('No repositories configured').waitFor();
    await noViolations(t.page, 'empty list');
    await t.page.goto(`${base}/ui/agent-work-orders/wo-ffffffff`);
    await t.page.getByText('Failed to load work order').waitFor();
    await t.page.getByRole('link', { name: 'Back to List' }).click();
    await t.page.goto(`${base}/ui/nowhere`);
    await t.page.getByText('There is no such page').waitFor();
    await close(t);
  },

  async 'from a repository to a result'(browser) {
    const t = await open(browser, '/ui/');
    const { page } = t;
    // 1. connect
    await page.getByRole('link', { name: 'New Work Order' }).click();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('Repository URL is required').waitFor();
    await page.getByLabel('Repository URL').fill('/nowhere/at/all');
    await page.getByRole('button', { name: 'Connect & Verify Repository' }).click();
    await page.getByText('Repository is not accessible').waitFor();
    await page.getByLabel('Repository URL').fill(repository);
    await page.getByRole('button', { name: 'Connect & Verify Repository' }).click();
    await page.getByText('The repository can be reached').waitFor();
    await page.getByText('main', { exact: true }).waitFor();
    await noViolations(page, 'new order, repository');
    await page.getByRole('button', { name: 'Next' }).click();
    // 2. sandbox and steps
    assert.ok(await page.getByRole('radio', { name: /E2B sandbox/ }).isDisabled());
    assert.ok(await page.getByRole('radio', { name: /Dagger/ }).isDisabled());
    const step = (name) => page.getByRole('checkbox', { name, exact: true });
    await step('Plan').uncheck();
    assert.ok(!(await step('Execute').isChecked()));
    assert.ok(!(await step('Pull request').isChecked()));
    assert.ok(await step('Execute').isDisabled());
    await page.getByText('Requires: Plan').waitFor();
    for (const name of ['Plan', 'Execute', 'Commit and push', 'Pull request']) await step(name).check();
    await noViolations(page, 'new order, workflow');
    await shot(page, 'new-order');
    await page.getByRole('button', { name: 'Next' }).click();
    // 3. start
    await page.getByLabel('Work Request').fill('short');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    await page.getByText('Request must be at least 10 characters').waitFor();
    await page.getByLabel('Work Request').fill('Add a greeting to the README');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    await page.getByRole('heading', { name: 'Add a greeting to the README' }).waitFor();
    const id = page.url().split('/').at(-1);
    // 4. track, 5. result: all of it without loading the page again
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor({ timeout: 60_000 });
    await page.locator('[data-phase="planning"][data-state="done"]').getByText(/^Created PRPs\//).waitFor();
    await page.getByText('Historical').waitFor();
    const order = await statusBecomes(id, 'completed');
    await page.getByText(`${order.git_files_changed} files`, { exact: true }).waitFor();
    await page.getByRole('tab', { name: 'Changes' }).click();
    await page.locator('[data-diff] tr').first().waitFor();
    await noViolations(page, 'changes');
    await shot(page, 'changes');
    await page.getByRole('tab', { name: 'Step outputs' }).click();
    await page.locator('[data-step="planning"]').getByRole('button', { name: /prompts\// }).click();
    await page.getByRole('dialog').getByText('Add a greeting').first().waitFor();
    await page.keyboard.press('Escape');
    await noViolations(page, 'step outputs');
    await page.getByRole('tab', { name: 'Details' }).click();
    await page.getByText(`sandbox-${id}`).waitFor();
    await page.getByRole('link', { name: 'Create New Work Order' }).waitFor();
    await close(t);
  },

  async 'logs: filter, search, clear, and only what is in sight'(browser) {
    const id = await createOrder(repository, 'Write a lot\ndemo@planning: flood 12000000');
    await statusBecomes(id, 'completed');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const log = page.locator('[data-log]');
    await page.getByText('Historical').waitFor({ timeout: 30_000 });
    const { total } = await api('GET', `/agent-work-orders/${id}/logs?limit=1`);
    assert.ok(total > 10_000, `only ${total} lines`);
    await page.getByText(`(${total.toLocaleString('en')} entries)`).waitFor();
    assert.ok((await log.locator('[data-index]').count()) < 100, 'lines out of sight are on the page');
    // with auto-scroll the end is in sight, without it the beginning stays there
    await log.getByText('agent_work_order_completed').waitFor();
    await page.getByRole('switch', { name: 'Auto-scroll' }).click();
    const worst = await log.evaluate(async (box) => {
      let longest = 0;
      for (let i = 0; i < 60; i++) {
        const began = performance.now();
        box.scrollTop = (box.scrollHeight / 60) * i;
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        longest = Math.max(longest, performance.now() - began);
      }
      box.scrollTop = 0;
      return longest;
    });
    console.log(`longest of 60 jumps through ${total} lines: ${Math.round(worst)} ms`);
    await log.getByText('agent_work_order_created').waitFor();
    await page.getByLabel('Level').selectOption('error');
    await page.getByText('No logs match the current filter').waitFor();
    await page.getByLabel('Level').selectOption('all');
    await page.getByLabel('Search the log').fill('git_push_completed');
    await page.getByText('(1 entry)').waitFor();
    await log.getByText('git_push_completed').click();
    await log.getByText('remote').first().waitFor();
    await page.getByLabel('Search the log').fill('');
    await page.getByRole('button', { name: 'Clear logs' }).click();
    await page.getByText('Cleared; new lines appear here').waitFor();
    await page.getByRole('button', { name: 'Show all' }).click();
    await noViolations(page, 'logs');
    await close(t);
  },

  async 'live: an order made elsewhere, its changes, and what is done to it'(browser) {
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page.locator('[data-live="true"]').waitFor();
    const id = await createOrder(repository, 'Take your time\ndemo@planning: sleep 300');
    await becomes(page, id, 'running');
    await row(page, id).getByText('Plan').first().waitFor();
    assert.equal(await row(page, id).locator('xpath=ancestor::section').getAttribute('data-group'), 'running');
    await row(page, id).getByRole('button', { name: /Show numbers/ }).click();
    await row(page, id).getByText('Tokens in / out').waitFor();

    const menu = async (item) => {
      await row(page, id).getByRole('button', { name: /More actions/ }).click();
      await page.getByRole('menuitem', { name: item }).click();
    };
    await menu('Pause');
    await becomes(page, id, 'paused');
    await statusBecomes(id, 'paused');
    await row(page, id).getByRole('button', { name: `Resume ${id}` }).click();
    await statusBecomes(id, 'running');
    await becomes(page, id, 'running');
    await menu('Cancel');
    await page.getByRole('alertdialog').getByRole('button', { name: 'Keep' }).click();
    await menu('Cancel');
    await page.getByRole('button', { name: 'Cancel order' }).click();
    await becomes(page, id, 'cancelled');
    await statusBecomes(id, 'cancelled');
    await row(page, id).getByRole('button', { name: `Retry ${id}` }).click();
    await statusBecomes(id, 'running');
    // how long a change takes from the service to the eye
    await becomes(page, id, 'running');
    const began = Date.now();
    await api('POST', `/agent-work-orders/${id}/pause`);
    await becomes(page, id, 'paused');
    console.log(`a change was seen after ${Date.now() - began} ms`);
    assert.ok(Date.now() - began < 2000);
    await api('POST', `/agent-work-orders/${id}/cancel`, {});
    await becomes(page, id, 'cancelled');
    await statusBecomes(id, 'cancelled');
    await menu('Delete');
    await page.getByRole('button', { name: 'Delete order' }).click();
    await row(page, id).waitFor({ state: 'detached' });
    await close(t);
  },

  async 'who needs me: a failure is on top until it was looked at'(browser) {
    const failed = await createOrder(repository, 'Fail at once\ndemo@planning: fail the plan is no good');
    const busy = await createOrder(repository, 'Keep busy\ndemo@planning: sleep 300');
    await statusBecomes(failed, 'failed');
    await statusBecomes(busy, 'running');
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page.locator(`[data-group="attention"] [data-order="${failed}"]`).getByText(/the plan is no good/).waitFor();
    await page.waitForFunction(() => document.title.startsWith('('));
    await shot(page, 'orders-light');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText(/the plan is no good/).waitFor();
    await page.keyboard.press('u');
    await page.locator(`[data-group="done"] [data-order="${failed}"]`).waitFor();
    // filters and sort are in the address
    await page.getByLabel('Status').selectOption('running');
    await row(page, failed).waitFor({ state: 'detached' });
    await page.getByLabel('Status').selectOption('');
    await page.getByLabel('Search orders').fill('Keep busy');
    await row(page, failed).waitFor({ state: 'detached' });
    await row(page, busy).waitFor();
    await page.getByLabel('Search orders').fill('no order says this');
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await page.getByLabel('Sort').selectOption('oldest');
    assert.match(page.url(), /sort=oldest/);
    await api('POST', `/agent-work-orders/${busy}/cancel`, {});
    await statusBecomes(busy, 'cancelled');
    await close(t);
  },

  async 'a prompt, accepted and refused'(browser) {
    const id = await createOrder(repository, 'Plan something small', { selected_commands: ['create-branch', 'planning'] });
    await statusBecomes(id, 'completed');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const box = page.getByLabel('Prompt the agent');
    await box.fill('/plan');
    await page.getByRole('button', { name: '/planning', exact: true }).click();
    assert.equal(await box.inputValue(), '/planning ');
    await box.fill('Also mention the weather');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Prompt accepted').first().waitFor();
    assert.equal(await box.inputValue(), '');
    await page.getByRole('listitem', { name: 'Prompt - completed' }).waitFor({ timeout: 30_000 });
    await close(t);
  },

  async 'repositories: add, choose, change, remove'(browser) {
    const t = await open(browser, '/ui/repositories', { permissions: ['clipboard-read', 'clipboard-write'] });
    const { page } = t;
    await page.getByText('No repositories configured').waitFor();
    await page.getByRole('button', { name: 'Add repository' }).click();
    await page.getByRole('button', { name: 'Add and verify' }).click();
    await page.getByText('Repository URL is required').waitFor();
    await page.getByLabel('Repository URL').fill(repository);
    await noViolations(page, 'add a repository');
    await page.getByRole('button', { name: 'Add and verify' }).click();
    await page.getByText('Repository created successfully').first().waitFor();
    const card = page.locator('[data-repository]');
    await card.getByText(/Verified/).waitFor();
    await card.getByRole('button', { name: 'Verify', exact: true }).click();
    await page.getByText('Repository verified').first().waitFor();
    await card.getByRole('button', { name: /Copy URL/ }).click();
    await page.getByText('URL copied').first().waitFor();
    await page.getByLabel('Search repositories').fill('nothing like it');
    await page.getByText('No repositories match your search').waitFor();
    await page.getByLabel('Search repositories').fill('');
    await card.getByRole('button', { name: /^Edit/ }).click();
    await page.getByLabel('Default sandbox').selectOption('git_branch');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Repository updated successfully').first().waitFor();
    await card.getByText(/Git branch/).waitFor();
    const { repositories } = await api('GET', '/repositories');
    assert.equal(repositories[0].default_sandbox_type, 'git_branch');

    // chosen among the orders: in the address, and in a new order
    await page.goto(`${base}/ui/`);
    const side = page.locator('aside [data-repository]');
    await side.getByText(/^Total \d+$/).waitFor();
    await side.locator('button[aria-pressed]').click();
    assert.match(page.url(), /repo=/);
    await page.getByRole('group', { name: 'Whose orders' }).waitFor();
    await page.getByRole('link', { name: 'New Work Order' }).click();
    await page.getByLabel('Repository URL').waitFor();
    assert.equal(await page.getByLabel('Repository URL').inputValue(), repositories[0].repository_url);
    await page.goto(`${base}/ui/`);
    // the layout is remembered
    await page.getByRole('button', { name: 'Repositories on top' }).click();
    await page.reload();
    await page.locator('[aria-label="Repositories on top"][aria-pressed="true"]').waitFor();
    await page.getByRole('button', { name: 'Repositories at the side' }).click();
    await page.getByRole('button', { name: 'Hide repositories' }).click();
    await page.reload();
    await page.getByRole('button', { name: 'Show repositories' }).click();

    await side.getByRole('button', { name: /^Delete/ }).click();
    await page.getByText('Are you sure you want to delete this repository configuration?').waitFor();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Repository deleted successfully').first().waitFor();
    await page.getByText('No repositories configured').waitFor();
    await close(t);
  },

  async 'keys alone'(browser) {
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page.locator('[data-row-link]').first().waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).getByText('New work order').waitFor();
    await noViolations(page, 'keys');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Search orders');
    await page.keyboard.press('Tab');
    await page.evaluate(() => document.activeElement.blur());
    for (const [keys, heading] of [
      ['gr', 'Repositories'],
      ['gq', 'Queue and host'],
      ['gs', 'Settings'],
      ['go', 'Agent Work Orders'],
    ]) {
      for (const key of keys) await page.keyboard.press(key);
      await page.getByRole('heading', { name: heading, exact: true }).waitFor();
    }
    // an order from its first key to its page
    await page.keyboard.press('n');
    await page.getByRole('heading', { name: 'New work order' }).waitFor();
    await page.keyboard.press('Tab');
    while ((await page.evaluate(() => document.activeElement.tagName)) !== 'INPUT') await page.keyboard.press('Tab');
    await page.keyboard.type(repository);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Sandbox and workflow' }).waitFor();
    const press = async (name) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press('Tab');
        if ((await page.evaluate(() => document.activeElement.textContent.trim())) === name) break;
      }
      await page.keyboard.press('Enter');
    };
    await press('Next');
    await page.getByRole('heading', { name: 'Request' }).waitFor();
    while ((await page.evaluate(() => document.activeElement.tagName)) !== 'TEXTAREA') await page.keyboard.press('Tab');
    await page.keyboard.type('Made with keys alone');
    await press('Create Work Order');
    await page.getByRole('heading', { name: 'Made with keys alone' }).waitFor();
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor({ timeout: 60_000 });
    await page.keyboard.press('2');
    await page.locator('[data-diff]').waitFor();
    await close(t);
  },

  async 'a gateway that goes away and comes back'(browser) {
    const id = await createOrder(repository, 'Go on meanwhile\ndemo@planning: sleep 6');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    await page.getByText('Live', { exact: true }).first().waitFor();
    await please('restart the gateway');
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor({ timeout: 60_000 });
    await page.getByText('Historical').waitFor();
    // not a line was lost, and none is there twice
    const { total } = await api('GET', `/agent-work-orders/${id}/logs?limit=1`);
    await page.getByText(`(${total.toLocaleString('en')} entries)`).waitFor();
    await page.locator('[data-live="true"]').waitFor();
    await t.context.close();
  },

  async 'how soon it can be used'(browser) {
    const t = await open(browser, '/ui/');
    await t.page.locator('[data-row-link]').first().waitFor();
    // in a browser that has nothing of it yet, from the address to the list and its keys
    const usable = await t.page.evaluate(() => performance.now());
    const loaded = await t.page.evaluate(() =>
      performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js')).reduce((n, e) => n + e.encodedBodySize, 0),
    );
    console.log(`usable after ${Math.round(usable)} ms, with ${loaded} bytes of script`);
    assert.ok(loaded > 0 && loaded <= 200_000);
    await close(t);
  },

  async 'every page: light, dark and 360 px'(browser) {
    const { agent_work_orders: orders } = await api('GET', '/agent-work-orders');
    const completed = orders.find((o) => o.status === 'completed').agent_work_order_id;
    const failed = orders.find((o) => o.status === 'failed').agent_work_order_id;
    const pages = {
      orders: '/ui/',
      order: orderPath(completed),
      failed: orderPath(failed),
      new: '/ui/agent-work-orders/new',
      repositories: '/ui/repositories',
      queue: '/ui/queue',
      settings: '/ui/settings',
      credentials: '/ui/settings/credentials',
      tokens: '/ui/settings/tokens',
    };
    const looks = {
      light: {},
      dark: { colorScheme: 'dark' },
      phone: { viewport: { width: 360, height: 740 }, hasTouch: true },
    };
    for (const [look, options] of Object.entries(looks)) {
      const t = await open(browser, '/ui/', options);
      for (const [name, path] of Object.entries(pages)) {
        await t.page.goto(base + path);
        await t.page.locator('h1').waitFor();
        await t.page.locator('[data-live="true"]').waitFor();
        await noViolations(t.page, `${name}, ${look}`);
        await noSidewaysScroll(t.page, `${name}, ${look}`);
        await shot(t.page, `${name}-${look}`);
      }
      await close(t);
    }
  },
});
process.exit(failed === 0 ? 0 : 1);
