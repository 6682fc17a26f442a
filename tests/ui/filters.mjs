// Finding orders by more than their text.
import {
  api,
  close,
  createOrder,
  eventually,
  noSidewaysScroll,
  open,
  repository,
  row,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
  async 'more filters: in the address, and taken away again'(browser) {
    const steps = ['create-branch', 'planning'];
    const id = await createOrder(repository, 'Found by its steps', { selected_commands: steps });
    await statusBecomes(id, 'completed');
    // another one, which the filters take away
    await statusBecomes(
      await createOrder(repository, 'Not this one', { selected_commands: ['create-branch'] }),
      'completed',
    );
    const t = await open(browser, '/ui/', { viewport: { width: 360, height: 740 } });
    const { page } = t;
    const { total_count: all } = await api('GET', '/agent-work-orders?limit=1');
    const rows = page.locator('[data-order]');
    await row(page, id).waitFor();
    await page.getByText('More filters').click();
    await page.getByLabel('Workflow').selectOption(steps.join(', '));
    await page.getByLabel('Pull request').selectOption('none');
    await page.getByLabel('Agent').selectOption('demo');
    await page.getByText('(3 in use)').waitFor();
    await noSidewaysScroll(page, 'more filters');
    await eventually(async () => (await rows.count()) >= 1 && (await rows.count()) < all, true);
    await page.waitForURL(/agent=demo/);
    // the address brings them back
    await page.reload();
    await page.getByText('(3 in use)').waitFor();
    await page.getByLabel('Cost at least').fill('1000');
    await page.getByText('Nothing matches. Take a filter away to see more.').waitFor();
    await page.getByRole('button', { name: 'Clear these filters' }).click();
    await eventually(() => rows.count(), all);
    await close(t);
  },
};
