// One order's page: numbers that go on, the timeline, and what is known of it.
import assert from 'node:assert/strict';
import {
  api,
  base,
  close,
  createOrder,
  eventually,
  hold,
  noViolations,
  open,
  orderPath,
  repository,
  statusBecomes,
} from './support.mjs';

const seconds = (text) => {
  const [, h = 0, m = 0, s] = /^(?:(\d+)h )?(?:(\d+)m )?(\d+)s$/.exec(text) ?? [];
  return Number(h) * 3600 + Number(m) * 60 + Number(s);
};

export const scenarios = {
  async 'a running order: step, progress, time, latest activity; an error in its log is no failure'(browser) {
    // the first try of the plan fails with an error in the log, the second goes on
    const id = await createOrder(
      repository,
      'Go on after an error\ndemo@planning: fail-once\ndemo@execute: sleep 300',
    );
    const t = await open(browser, '');
    const { page } = t;
    await page.clock.install();
    const letGo = await hold(page, `**/api/v1/agent-work-orders/${id}`);
    await page.goto(base + orderPath(id));
    await page.getByText('Loading the work order…').waitFor();
    letGo();
    const numbers = page.getByRole('region', { name: 'Real-Time Execution' });
    await numbers.getByText('Execute (3/5) 40%').waitFor();
    await eventually(() => numbers.getByRole('progressbar').getAttribute('aria-valuenow'), '40');
    await numbers.locator('[data-dot="running"]').waitFor();
    await page.getByLabel('Level', { exact: true }).selectOption('error');
    await page.locator('[data-log] [data-index]').first().waitFor();
    await page.locator('header [data-status="running"]').waitFor();
    // it ticks by itself
    const elapsed = numbers.locator('dd').first();
    const before = await elapsed.textContent();
    await eventually(async () => seconds(await elapsed.textContent()) > seconds(before), true);
    // also for who comes only now, with no event since
    await page.reload();
    await numbers.locator('[data-latest]').waitFor();
    await eventually(() => numbers.locator('[data-latest]').textContent(), /^Latest activity, .*: \S/);
    await page.getByRole('listitem', { name: 'Create branch - completed' }).waitFor();
    await page.getByRole('listitem', { name: 'Plan - completed' }).waitFor();
    await page.getByRole('listitem', { name: 'Execute - in progress' }).waitFor();
    await page.getByRole('listitem', { name: 'Pull request - pending' }).waitFor();
    for (const [phase, state] of [
      ['planning', 'done'],
      ['implementing', 'running'],
      ['testing', 'skipped'],
      ['completed', 'pending'],
    ]) {
      await page.locator(`[data-phase="${phase}"][data-state="${state}"]`).waitFor();
    }
    await page.locator('[data-phase="planning"]').getByText('· 1 commit').waitFor();
    await noViolations(page, 'running order');
    // stopped and gone on with by keys and buttons, and cancelled, which is asked about
    await page.locator('h1').click();
    await page.keyboard.press('p');
    await page.getByRole('button', { name: 'Resume', exact: true }).waitFor();
    await statusBecomes(id, 'paused');
    await page.getByRole('button', { name: 'Resume', exact: true }).click();
    await statusBecomes(id, 'running');
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Cancel order' }).click();
    const order = await statusBecomes(id, 'cancelled');
    await page.getByRole('region', { name: 'Execution Summary' }).waitFor();
    // as the record says, from which it no longer moves
    const took = Date.parse(order.execution_completed_at) - Date.parse(order.execution_started_at);
    const shown = async () => seconds(await page.locator('[data-stats] dd').first().textContent());
    await eventually(shown, Math.floor(took / 1000));
    await page.clock.fastForward(5000);
    await page.clock.runFor(1000);
    assert.equal(await shown(), Math.floor(took / 1000));
    await close(t);
  },

  async 'an ended order: details, statistics, steps'(browser) {
    const id = await createOrder(repository, 'Say everything there is');
    const order = await statusBecomes(id, 'completed');
    const { steps } = await api('GET', `/agent-work-orders/${id}/steps`);
    const t = await open(browser, '');
    const { page } = t;
    // a log that has been removed meanwhile: what was done last is read from the steps
    const nothing = { log_entries: [], total: 0, total_count: 0, filtered_total: 0, has_more: false };
    await page.route('**/logs?*', (route) => route.fulfill({ json: nothing }));
    await page.goto(base + orderPath(id));
    const numbers = page.getByRole('region', { name: 'Execution Summary' });
    await numbers.getByText('Pull request (5/5) 100%').waitFor();
    await numbers.locator('[data-dot="completed"]').waitFor();
    await eventually(() => numbers.locator('[data-latest]').textContent(), /: Pull request done$/);
    const shown = (name) =>
      numbers.locator('dt', { hasText: new RegExp(`^${name}$`) }).locator('xpath=following-sibling::dd');
    for (const [name, value] of [
      ['Commits', `${order.git_commit_count}`],
      ['Files changed', `${order.git_files_changed}`],
      ['Lines', `+${order.git_lines_added} −${order.git_lines_removed}`],
      ['Elapsed', /^\d+s$/],
      ['Cost', /^(< )?\$\d+\.\d\d$/],
      ['Tokens in / out', /^[\d.k]+ \/ [\d.k]+$/],
    ]) {
      await eventually(() => shown(name).textContent(), value, name);
    }
    const crumbs = page.getByRole('navigation', { name: 'Breadcrumbs' });
    await crumbs.getByText(id).waitFor();
    await crumbs.getByText(/\/sample$/).waitFor();
    for (const step of ['Create branch', 'Plan', 'Execute', 'Commit and push', 'Pull request']) {
      await page.getByRole('listitem', { name: `${step} - completed`, exact: true }).waitFor();
    }
    await page.getByRole('tab', { name: 'Details' }).click();
    const details = page.getByRole('region', { name: 'Details', exact: true });
    for (const [name, value] of [
      ['Work order', id],
      ['Status', 'Completed'],
      ['Repository', order.repository_url],
      ['Sandbox', `Git worktree (recommended), ${order.sandbox_identifier}`],
      ['Branch', order.git_branch_name],
      ['Agent session', order.agent_session_id],
    ]) {
      const term = details.locator('dt', { hasText: new RegExp(`^${name}$`) });
      await eventually(() => term.locator('xpath=following-sibling::dd').textContent(), value, name);
    }
    const statistics = page.getByRole('region', { name: 'Statistics' });
    for (const [name, value] of [
      ['Commits', order.git_commit_count],
      ['Files changed', order.git_files_changed],
      ['Steps completed', '5/5'],
    ]) {
      const term = statistics.locator('dt', { hasText: new RegExp(`^${name}$`) });
      await eventually(() => term.locator('xpath=following-sibling::dd').textContent(), String(value), name);
    }
    await page.getByRole('tab', { name: 'Step outputs' }).click();
    const plan = page.locator('[data-step="planning"]');
    await plan.getByText('Done', { exact: true }).waitFor();
    await plan.getByText(/^Session \S+$/).waitFor();
    const planned = steps.find((step) => step.step === 'planning');
    const year = new Date(planned.timestamp).getFullYear();
    await plan.getByText(new RegExp(`^Planner · .*${year}.* · \\d+s`)).waitFor();
    const output = plan.locator('details');
    await eventually(() => output.locator('pre').textContent(), planned.output);
    const isOpen = async () => (await output.getAttribute('open')) !== null;
    const was = await isOpen();
    await output.locator('summary').click();
    await eventually(isOpen, !was);
    await page.getByRole('link', { name: 'Work orders', exact: true }).last().click();
    await page.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
    await close(t);
  },
};
