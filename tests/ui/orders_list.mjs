// The list of orders: what is on top, what is filtered, what there is to do about each.
import assert from 'node:assert/strict';
import {
  api,
  base,
  becomes,
  cancel,
  choose,
  close,
  createOrder,
  eventually,
  hold,
  noViolations,
  open,
  orderOf,
  orderPath,
  repository,
  row,
  shot,
  statusBecomes,
  titleOf,
} from './support.mjs';

/** The ids of all rows, from top to bottom. */
const shown = (page) => page.locator('[data-order]').evaluateAll((rows) => rows.map((r) => r.dataset.order));

/** The page of the queue, with every slot taken and one order behind. */
async function queueIsFull(page, busy, behind) {
  const running = page.getByRole('region', { name: 'Running' });
  await eventually(
    () => running.getByRole('link').evaluateAll((all) => all.map((a) => a.getAttribute('href')).sort()),
    busy.map(orderPath).sort(),
  );
  const waiting = page.getByRole('region', { name: 'Waiting' }).getByRole('listitem');
  await eventually(() => waiting.getByRole('link').getAttribute('href'), orderPath(behind));
  await eventually(() => waiting.textContent(), /^1\.Wait for a slot.*priority -1.*Every slot is taken\./);
  const host = page.getByRole('region', { name: 'Host' });
  for (const [name, text] of [
    ['Slots', /^5 of 5$/],
    ['Processor load', /^\d+\.\d on \d+ processors?$/],
    ['Memory', /^[\d.]+ .iB of [\d.]+ .iB available$/],
    ['Disk', /^[\d.]+ .iB of [\d.]+ .iB free$/],
  ]) {
    await eventually(() => host.getByRole('meter', { name }).getAttribute('aria-valuetext'), text);
  }
  await host.getByText(/^git:/).waitFor();
  await page.getByText('Counters of the daemon').click();
  await page.getByText('orders_created_total').first().waitFor();
}

export const scenarios = {
  async 'nothing there yet'(browser) {
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page.getByText('No work orders found').waitFor();
    await page.waitForURL('**/ui/agent-work-orders');
    await page.getByText('Describe a piece of work on a repository').waitFor();
    await page.getByText('No repositories configured').waitFor();
    await noViolations(page, 'empty list');
    await page.getByRole('link', { name: 'Create the first one' }).click();
    await page.getByRole('heading', { name: 'New work order' }).waitFor();
    await page.goto(`${base}/ui/agent-work-orders/wo-ffffffff`);
    await page.getByText('Failed to load work order').waitFor();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    await noViolations(page, 'no such order');
    await page.getByRole('link', { name: 'Back to List' }).click();
    await page.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
    await page.goto(`${base}/ui/nowhere`);
    await page.getByText('There is no such page').waitFor();
    await noViolations(page, 'no such page');
    // what is on its way is said to be
    const letGo = await hold(page, '**/api/v1/agent-work-orders?*');
    await page.goto(`${base}/ui/`);
    await page.getByText('Loading work orders…').waitFor();
    letGo();
    await page.getByText('No work orders found').waitFor();
    // and what cannot be read says so, with what to do
    await page.route('**/api/v1/agent-work-orders?*', (route) => route.abort());
    await page.reload();
    await page.getByText('Failed to load work orders').waitFor();
    await page.getByText('AWO does not answer. Is awo-gateway running?').first().waitFor();
    await noViolations(page, 'list that cannot be read');
    await page.unroute('**/api/v1/agent-work-orders?*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('No work orders found').waitFor();
    await close(t);
  },

  async 'a row says what there is to know, and opens to more'(browser) {
    const busy = [];
    for (let i = 0; i < 5; i++) {
      busy.push(await createOrder(repository, `Keep slot ${i} busy\ndemo@planning: sleep 300`));
    }
    for (const id of busy) await statusBecomes(id, 'running');
    const behind = await createOrder(repository, 'Wait for a slot\ndemo@planning: sleep 300', {
      priority: -1,
    });
    const t = await open(browser, '/ui/');
    const { page } = t;

    const running = row(page, busy[0]);
    await running.getByText(busy[0], { exact: true }).waitFor();
    await running.getByText(/\/sample$/).waitFor();
    await running.getByText('Plan 2/5').waitFor();
    assert.match(await running.locator('[data-branch]').textContent(), /keep-slot-0/);
    await running.locator('[data-status="running"]').getByText('Running').waitFor();
    assert.equal(
      await running.getByRole('link', { name: 'Details' }).getAttribute('href'),
      orderPath(busy[0]),
    );
    await eventually(() => running.getByRole('progressbar').getAttribute('aria-valuenow'), '20');

    // an order without a slot: no branch yet, and a way to hasten it
    const pending = row(page, behind);
    await page.locator(`[data-group="queued"] [data-order="${behind}"]`).waitFor();
    assert.equal(await pending.locator('[data-branch]').textContent(), '–');
    await pending.getByText('Number 1 in the queue.').waitFor();
    const queue = await open(browser, '/ui/queue');
    await queueIsFull(queue.page, busy, behind);
    await close(queue);
    await api('POST', `/agent-work-orders/${busy[4]}/cancel`, {});
    await becomes(page, behind, 'running');

    // opened: numbers and the log, of one order at a time
    await running.getByRole('button', { name: /Show numbers/ }).click();
    const numbers = running.getByRole('region', { name: 'Real-Time Execution' });
    await numbers.getByText('Plan (2/5) 20%').waitFor();
    await numbers.getByText('Tokens in / out').waitFor();
    await running.getByRole('button', { name: 'Show Execution Logs' }).click();
    const log = running.locator('[data-log]');
    await running.getByText('Live', { exact: true }).waitFor();
    await log.getByText('agent_command_started').last().waitFor();
    await noViolations(page, 'opened row');
    await shot(page, 'orders-opened');
    const other = row(page, busy[1]);
    await other.getByRole('button', { name: /Show numbers/ }).click();
    await other.getByRole('button', { name: 'Show Execution Logs' }).click();
    await other.locator('[data-log]').waitFor();
    await log.waitFor({ state: 'detached' });
    await other.getByRole('button', { name: 'Hide Execution Logs' }).click();
    await other.locator('[data-log]').waitFor({ state: 'detached' });
    await running.getByRole('button', { name: /Hide numbers/ }).click();
    await numbers.waitFor({ state: 'detached' });
    await choose(page, busy[0], 'Details');
    await titleOf(page, 'Keep slot 0 busy').waitFor();
    await close(t);
    await cancel(...busy.slice(0, 4), behind);
  },

  async 'Start shows at once what it asks for, and takes it back when it is refused'(browser) {
    const id = await createOrder(
      repository,
      'Come back later\ndemo@planning: rate-limit 600\ndemo@execute: sleep 300',
    );
    const t = await open(browser, '/ui/');
    const { page } = t;
    await row(page, id)
      .getByText(/Tries again at .*, attempt 2\. .*rate limit/)
      .waitFor();
    const busy = [];
    for (let i = 0; i < 5; i++)
      busy.push(await createOrder(repository, `Keep busy ${i}\ndemo@planning: sleep 300`));
    for (const other of busy) await statusBecomes(other, 'running');
    // every slot is taken: the daemon refuses
    const letGo = await hold(page, '**/start');
    await row(page, id)
      .getByRole('button', { name: `Start ${id}` })
      .click();
    await becomes(page, id, 'running');
    await row(page, id).getByRole('region', { name: 'Real-Time Execution' }).waitFor();
    assert.equal((await orderOf(id)).status, 'pending');
    letGo();
    await page.getByText(`Could not start ${id}`).first().waitFor();
    await page
      .getByText(/all 5 slots are taken/)
      .first()
      .waitFor();
    await becomes(page, id, 'pending');
    await noViolations(page, 'a refusal');
    // with a slot it runs, and its row stays open
    await cancel(busy[0]);
    await row(page, id)
      .getByRole('button', { name: `Start ${id}` })
      .click();
    await page.getByText(`Started: ${id}`).first().waitFor();
    await row(page, id).getByRole('region', { name: 'Real-Time Execution' }).waitFor();
    const { log_entries: lines } = await api('GET', `/agent-work-orders/${id}/logs?limit=1000`);
    assert.equal(lines.filter((line) => line.event === 'agent_work_order_started').length, 2);
    await close(t);
    await cancel(...busy.slice(1), id);
  },

  async 'filters and sequence are in the address'(browser) {
    const failed = await createOrder(repository, 'Alpha fails\ndemo@planning: fail no good');
    await statusBecomes(failed, 'failed');
    const gone = await createOrder(repository, 'Beta is cancelled\ndemo@planning: sleep 300', {
      priority: 3,
    });
    await cancel(gone);
    const t = await open(browser, '/ui/');
    const { page } = t;
    const gray = (id) => row(page, id).waitFor({ state: 'detached' });
    await row(page, failed).waitFor();
    await page.getByLabel('Status').selectOption('cancelled');
    await gray(failed);
    await row(page, gone).waitFor();
    await page.reload();
    await row(page, gone).waitFor();
    await gray(failed);
    await page.getByLabel('Status').selectOption('');

    await page.getByLabel('Search orders').fill('ALPHA fails');
    await gray(gone);
    await row(page, failed).waitFor();
    await page.getByLabel('Search orders').fill(gone);
    await row(page, gone).waitFor();
    await gray(failed);
    await page.getByLabel('Search orders').fill('no order says this');
    await page.getByText('Nothing matches. Take a filter away to see more.').waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await row(page, failed).waitFor();

    // by the day on which they were made
    const day = (later) =>
      new Date(Date.now() + later * 86_400_000 - new Date().getTimezoneOffset() * 60_000)
        .toISOString()
        .slice(0, 10);
    await page.getByLabel('Created', { exact: true }).selectOption('1d');
    await row(page, failed).waitFor();
    await page.waitForURL(/created=1d/);
    await page.getByLabel('Created', { exact: true }).selectOption('days');
    await page.getByLabel('Created to').fill(day(-1));
    await gray(failed);
    await noViolations(page, 'days');
    await page.getByLabel('Created to').fill(day(0));
    await row(page, failed).waitFor();
    await page.getByLabel('Created from').fill(day(0));
    await page.reload();
    await row(page, failed).waitFor();
    await page.getByLabel('Created to').fill('');
    await page.getByLabel('Created from').fill(day(1));
    await gray(failed);
    await page.getByLabel('Created', { exact: true }).selectOption('');
    await row(page, failed).waitFor();

    const { agent_work_orders: all } = await api('GET', '/agent-work-orders?limit=200');
    const newest = all
      .sort((a, b) => b.created_at.localeCompare(a.created_at))
      .map((order) => order.agent_work_order_id);
    assert.ok(newest.length >= 2);
    await page.getByLabel('Sort').selectOption('newest');
    await eventually(() => shown(page), newest);
    await page.getByLabel('Sort').selectOption('oldest');
    await page.waitForURL(/sort=oldest/);
    await eventually(() => shown(page), [...newest].reverse());
    await page.getByLabel('Sort').selectOption('priority');
    await eventually(async () => (await shown(page))[0], gone);
    await close(t);
  },

  async 'who needs me: a failure is on top until it was looked at, and is told on every page'(browser) {
    const busy = await createOrder(repository, 'Keep busy\ndemo@planning: sleep 300');
    await statusBecomes(busy, 'running');
    const t = await open(browser, '/ui/queue');
    const { page } = t;
    await page.locator('[data-live="true"]').waitFor();
    // this browser has looked at none of them yet
    let before = 0;
    for (const status of ['failed', 'waiting'])
      before += (await api('GET', `/agent-work-orders?limit=1&status=${status}`)).total_count;
    if (before > 0) await page.locator(`[data-needing="${before}"]`).waitFor();
    const failed = await createOrder(
      repository,
      'Fail soon\ndemo@planning: sleep 1\ndemo@planning: fail the plan is no good',
    );
    // somebody who looks at another page is told, and led there
    await page.getByText('Failed: Fail soon').first().waitFor();
    await page.locator(`[data-needing="${before + 1}"]`).waitFor();
    await page.waitForFunction((n) => document.title.startsWith(`(${n}) `), before + 1);
    await noViolations(page, 'told of a failure');
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    await page
      .locator(`[data-group="attention"] [data-order="${failed}"]`)
      .getByText(/the plan is no good/)
      .waitFor();
    await page.locator(`[data-group="running"] [data-order="${busy}"]`).waitFor();
    await eventually(() => page.locator('[data-group]').first().getAttribute('data-group'), 'attention');
    await shot(page, 'orders-light');
    // e goes from one to the next until all were looked at
    for (let left = before + 1; left > 0; left--) {
      await page.keyboard.press('e');
      await page.getByRole('alert').getByText('It failed').waitFor();
      await page.locator('[data-stats] [data-dot="failed"]').waitFor();
      if (left > 1) await page.locator(`[data-needing="${left - 1}"]`).waitFor();
    }
    await page.locator('[data-needing]').waitFor({ state: 'detached' });
    await page.keyboard.press('u');
    await page.locator(`[data-group="done"] [data-order="${failed}"]`).waitFor();
    await eventually(() => page.title(), /^[^(]/);
    await close(t);
    await cancel(busy);
  },
};
