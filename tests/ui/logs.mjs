// The log of an order: filters, search, clearing, and how it moves with many lines.
import assert from 'node:assert/strict';
import {
  api,
  close,
  createOrder,
  noViolations,
  open,
  orderPath,
  repository,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
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
};
