// The list of orders: what is on top, what is filtered, what there is to do about each.
import assert from 'node:assert/strict';
import {
  api,
  base,
  close,
  createOrder,
  noViolations,
  open,
  repository,
  row,
  shot,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
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

  async 'who needs me: a failure is on top until it was looked at'(browser) {
    const failed = await createOrder(repository, 'Fail at once\ndemo@planning: fail the plan is no good');
    const busy = await createOrder(repository, 'Keep busy\ndemo@planning: sleep 300');
    await statusBecomes(failed, 'failed');
    await statusBecomes(busy, 'running');
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page
      .locator(`[data-group="attention"] [data-order="${failed}"]`)
      .getByText(/the plan is no good/)
      .waitFor();
    await page.waitForFunction(() => document.title.startsWith('('));
    await shot(page, 'orders-light');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page
      .getByRole('alert')
      .getByText(/the plan is no good/)
      .waitFor();
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
};
