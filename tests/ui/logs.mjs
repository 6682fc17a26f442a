// The log of an order: filters, search, clearing, and how it moves with many lines.
import assert from 'node:assert/strict';
import {
  api,
  cancel,
  close,
  createOrder,
  eventually,
  noViolations,
  open,
  orderPath,
  repository,
  statusBecomes,
} from './support.mjs';

let many;

/** What takes a while, begun while others are at work. */
export const begin = {
  async 'an order writes 100,000 lines'() {
    many = await createOrder(repository, 'Write a hundred thousand lines', {
      agent: 'flood',
      selected_commands: ['planning'],
    });
  },
};

export const scenarios = {
  async '100,000 lines: all there, few on the page'(browser) {
    await statusBecomes(many, 'failed');
    const { total } = await api('GET', `/agent-work-orders/${many}/logs?limit=1`);
    assert.ok(total > 100_000, `only ${total} lines`);
    const t = await open(browser, orderPath(many));
    const { page } = t;
    const log = page.locator('[data-log]');
    await page.getByText('Historical').waitFor();
    await page.getByText(`(${total.toLocaleString('en')} entries)`).waitFor();
    await log.getByText('agent_work_order_failed').waitFor();
    const { worst, most, wrong } = await log.evaluate(async (box) => {
      const found = { worst: 0, most: 0, wrong: [] };
      for (let i = 0; i < 40; i++) {
        const began = performance.now();
        box.scrollTop = (box.scrollHeight / 100) * ((i * 37) % 100);
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        found.worst = Math.max(found.worst, performance.now() - began);
        const rows = [...box.querySelectorAll('[data-index]')];
        found.most = Math.max(found.most, rows.length);
        // wherever one jumps to there are lines, and they are those of the place
        const { top, bottom } = box.getBoundingClientRect();
        const middle = rows.find((row) => {
          const at = row.getBoundingClientRect();
          return at.top <= (top + bottom) / 2 && at.bottom >= (top + bottom) / 2;
        });
        if (!middle) found.wrong.push(i);
      }
      return found;
    });
    console.log(
      `longest of 40 jumps through ${total} lines: ${Math.round(worst)} ms, at most ${most} lines on the page`,
    );
    assert.ok(most > 0 && most < 100, `${most} lines on the page`);
    assert.deepEqual(wrong, [], 'nothing to be seen after a jump');
    await page.getByLabel('Search the log').fill('77777');
    await page.getByText('(1 entry)').waitFor();
    await log.getByText('77777', { exact: true }).waitFor();
    await page.getByLabel('Search the log').fill('');
    await page.getByLabel('Level', { exact: true }).selectOption('error');
    await log.getByText('step_completed').waitFor();
    await eventually(async () => (await log.locator('[data-index]').count()) < 10, true);
    await close(t);
  },

  async 'lines as they come: badge, sequence, time, and a cleared view'(browser) {
    const id = await createOrder(repository, 'Tick', { agent: 'ticker', selected_commands: ['planning'] });
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const log = page.locator('[data-log]');
    await page.getByText('Live', { exact: true }).first().waitFor();
    await log.getByText('tick 30', { exact: true }).waitFor();
    // the end stays in sight while lines come; the beginning, when that is not wanted
    const fromEnd = () => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
    await eventually(async () => (await fromEnd()) < 60, true);
    await page.getByRole('switch', { name: 'Auto-scroll' }).click();
    await log.evaluate((box) => (box.scrollTop = 0));
    const before = await page.getByText(/entries\)$/).textContent();
    await page.waitForFunction((was) => !document.body.textContent.includes(was), before);
    assert.equal(await log.evaluate((box) => box.scrollTop), 0);
    await log.getByText('agent_work_order_created').waitFor();
    await log.getByText('[planning]').first().waitFor();
    // how long ago, or by the clock
    const time = () => log.locator('time').first().textContent();
    await eventually(time, /just now|ago/);
    await page.getByRole('button', { name: 'Clock' }).click();
    await eventually(time, /^\d\d:\d\d:\d\d$/);
    await page.getByRole('button', { name: 'Clock' }).click();
    // cleared is only what is shown, and only until there is something new
    await page.getByRole('button', { name: 'Clear logs' }).click();
    await log.getByText('agent_work_order_created').waitFor({ state: 'detached' });
    await log
      .getByText(/^tick \d+$/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Show all' }).click();
    await log.getByText('agent_work_order_created').waitFor();
    await page.getByRole('switch', { name: 'Auto-scroll' }).click();
    await cancel(id);
    await page.getByText('Historical').waitFor();
    await close(t);
  },

  async 'logs: filter, search, clear, and only what is in sight'(browser) {
    const id = await createOrder(repository, 'Write a lot\ndemo@planning: flood 1000000');
    await statusBecomes(id, 'completed');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const log = page.locator('[data-log]');
    await page.getByText('Historical').waitFor();
    const { total } = await api('GET', `/agent-work-orders/${id}/logs?limit=1`);
    assert.ok(total > 500, `only ${total} lines`);
    await page.getByText(`(${total.toLocaleString('en')} entries)`).waitFor();
    await log.locator('[data-index]').first().waitFor();
    assert.ok((await log.locator('[data-index]').count()) < 100, 'lines out of sight are on the page');
    // with auto-scroll the end is in sight, without it the beginning stays there
    await log.getByText('agent_work_order_completed').waitFor();
    await page.getByRole('switch', { name: 'Auto-scroll' }).click();
    await log.evaluate((box) => (box.scrollTop = 0));
    await log.getByText('agent_work_order_created').waitFor();
    const level = page.getByLabel('Level');
    await eventually(
      () => level.locator('option').allTextContents(),
      ['All levels', 'Debug', 'Info', 'Warning', 'Error'],
    );
    await level.selectOption('error');
    await page.getByText('No logs match the current filter').waitFor();
    await level.selectOption('info');
    const { filtered_total: infos } = await api('GET', `/agent-work-orders/${id}/logs?limit=1&level=info`);
    await page.getByText(`(${infos.toLocaleString('en')} entries)`).waitFor();
    // a line: when, level, step, event, and how far the order was
    const line = log.locator('[data-index]', { hasText: 'step_started' }).first();
    await eventually(() => line.textContent(), /^(just now|\S+ ago)info\[[a-z-]+\]step_started.*\(1\/5\)$/);
    await level.selectOption('all');
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
};
