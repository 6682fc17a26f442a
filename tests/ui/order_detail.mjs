// One order's page: numbers that go on, the timeline, and what is known of it.
import {
  cancel,
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
    await page.goto(new URL(orderPath(id), process.env.AWO_UI_URL).href);
    await page.getByText('Loading the work order…').waitFor();
    letGo();
    const numbers = page.getByRole('region', { name: 'Real-Time Execution' });
    await numbers.getByText('Execute (3/5) 40%').waitFor({ timeout: 30_000 });
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
    await noViolations(page, 'running order');
    await cancel(id);
    await page.getByRole('region', { name: 'Execution Summary' }).waitFor();
    const ended = await page.locator('[data-stats] dd').first().textContent();
    await page.clock.fastForward(5000);
    await eventually(() => page.locator('[data-stats] dd').first().textContent(), ended);
    await close(t);
  },

  async 'an ended order: details, statistics, steps'(browser) {
    const id = await createOrder(repository, 'Say everything there is');
    const order = await statusBecomes(id, 'completed');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    await page
      .getByRole('region', { name: 'Execution Summary' })
      .getByText('Pull request (5/5) 100%')
      .waitFor();
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
    const output = plan.locator('details');
    const isOpen = async () => (await output.getAttribute('open')) !== null;
    const was = await isOpen();
    await output.locator('summary').click();
    await eventually(isOpen, !was);
    await page.getByRole('link', { name: 'Work orders', exact: true }).last().click();
    await page.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
    await close(t);
  },
};
