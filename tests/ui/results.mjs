// What an order came to, phase by phase; prompts in words and with a command; pages without a live stream.
import assert from 'node:assert/strict';
import {
  api,
  base,
  close,
  createOrder,
  open,
  orderPath,
  repository,
  shot,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
  async 'completion summary, phase notes, and a command as prompt'(browser) {
    const id = await createOrder(repository, 'Add a greeting and test it', {
      workflow_type: 'agent_workflow_plan_build_test',
    });
    const order = await statusBecomes(id, 'completed');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const summary = page.getByRole('region', { name: 'Work order complete' });
    await summary.getByText(/^PRPs\/.*\.md$/).waitFor();
    await summary.getByText(`${order.git_files_changed} files`, { exact: true }).waitFor();
    await summary.getByText('all passing').waitFor();
    await summary.getByText(order.git_branch_name, { exact: true }).waitFor();
    const notes = {
      planning: [/^Executing Plan$/, /^Created PRPs\//, /^Changes detected in git: [0-9a-f]{8} docs/],
      implementing: [/^Executing Execute$/, /^Changes detected in git: [0-9a-f]{8} feat/],
      testing: [/^Executing Test$/],
    };
    for (const [phase, lines] of Object.entries(notes)) {
      const part = page.locator(`[data-phase="${phase}"][data-state="done"]`);
      for (const line of lines) await part.getByText(line).first().waitFor();
    }
    await page.locator('[data-phase="completed"][data-state="done"]').waitFor();
    await page
      .getByText(/^Pushed /)
      .first()
      .waitFor();
    for (const name of [
      'Create branch',
      'Plan',
      'Execute',
      'Review',
      'Test',
      'Commit and push',
      'Pull request',
    ]) {
      await page.getByRole('listitem', { name: `${name} - completed` }).waitFor();
    }
    await shot(page, 'completed');
    await page.getByLabel('Prompt the agent').fill('/plan Issue #42');
    await page.getByRole('button', { name: 'Execute', exact: true }).click();
    await page.getByText('Prompt accepted').first().waitFor();
    await page.getByRole('listitem', { name: 'Prompt - completed' }).waitFor();
    await statusBecomes(id, 'completed');
    const { log_entries: lines } = await api('GET', `/agent-work-orders/${id}/logs?limit=1000`);
    assert.ok(
      lines.some(
        (l) => l.event === 'agent_command_started' && String(l.command_file).endsWith('/planning.md'),
      ),
    );
    await page.getByRole('link', { name: 'Create New Work Order' }).click();
    await page.getByRole('heading', { name: 'New work order' }).waitFor();
    await close(t);
  },

  async 'without the live stream the pages ask every three seconds'(browser) {
    const id = await createOrder(repository, 'Seen by asking\ndemo@planning: hang');
    const t = await open(browser, '');
    const { page, context } = t;
    const asked = [];
    // the streams are refused, as a proxy that buffers or forbids them would
    await context.route(/\/(events|logs\/stream)\b/, (route) => route.abort());
    page.on('request', (r) => {
      if (r.url().endsWith(`/agent-work-orders/${id}`) && r.resourceType() === 'fetch')
        asked.push(Date.now());
    });
    await page.goto(base + orderPath(id));
    await page.locator('[data-live="false"]').waitFor();
    await page.getByRole('listitem', { name: 'Plan - in progress' }).waitFor();
    await page.getByRole('region', { name: 'Execution logs' }).getByText('Polling').waitFor();
    await page.locator('[data-log]').getByText('agent_command_started').last().waitFor();
    await api('POST', `/agent-work-orders/${id}/cancel`, {});
    await page.getByRole('button', { name: 'Retry' }).waitFor();
    const between = asked.slice(1).map((at, i) => at - asked[i]);
    // at intervals, not all the time
    assert.ok(
      between.some((ms) => ms > 2500),
      `asked at intervals of ${between.join(', ')} ms`,
    );
    await api('DELETE', `/agent-work-orders/${id}`);
    await close(t);
  },
};
