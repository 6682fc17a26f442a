// Repositories: adding, choosing, changing, removing.
import assert from 'node:assert/strict';
import { api, base, close, eventually, hold, noViolations, open, repository } from './support.mjs';

export const scenarios = {
  async 'repositories: add, choose, change, remove'(browser) {
    const t = await open(browser, '/ui/repositories', { permissions: ['clipboard-read', 'clipboard-write'] });
    const { page } = t;
    await page.getByText('No repositories configured').waitFor();
    await page.getByRole('button', { name: 'Add repository' }).click();
    await page.getByRole('button', { name: 'Add and verify' }).click();
    await page.getByText('Repository URL is required').waitFor();
    // one that cannot be reached is added, with a warning
    await page.getByLabel('Repository URL').fill('/nowhere/at/all');
    await page.getByRole('button', { name: 'Add and verify' }).click();
    await page.getByText('Repository is not accessible').first().waitFor();
    const card = page.locator('[data-repository]');
    await card.getByText('Not verified').waitFor();
    await card.getByRole('button', { name: /^Delete/ }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Repository deleted successfully').first().waitFor();
    await page.getByText('No repositories configured').waitFor();
    await page.getByRole('button', { name: 'Add repository' }).click();
    await page.getByLabel('Repository URL').fill(repository);
    await noViolations(page, 'add a repository');
    await page.getByRole('button', { name: 'Add and verify' }).click();
    await page.getByText('Repository created successfully').first().waitFor();
    await card.getByText(/Verified/).waitFor();
    await card.getByRole('button', { name: 'Verify', exact: true }).click();
    await page.getByText('Repository verified').first().waitFor();
    await card.getByRole('button', { name: /Copy URL/ }).click();
    await page.getByText('URL copied').first().waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, (await api('GET', '/repositories')).repositories[0].repository_url);
    await page.getByLabel('Search repositories').fill('nothing like it');
    await page.getByText('No repositories match your search').waitFor();
    await page.getByLabel('Search repositories').fill('');
    const chooseBranch = async () => {
      await card.getByRole('button', { name: /^Edit/ }).click();
      await page.getByLabel('Default sandbox').selectOption('git_branch');
      await page.getByRole('button', { name: 'Save' }).click();
    };
    // a change is shown at once, and taken back when it is refused
    const refuse = await hold(page, '**/api/v1/repositories/*', 'PATCH');
    await card.getByText(/Git worktree/).waitFor();
    await chooseBranch();
    await card.getByText(/Git branch/).waitFor();
    refuse(false);
    await page.getByText('Could not update the repository').first().waitFor();
    await card.getByText(/Git worktree/).waitFor();
    await page.unroute('**/api/v1/repositories/*');
    await chooseBranch();
    await page.getByText('Repository updated successfully').first().waitFor();
    await card.getByText(/Git branch/).waitFor();
    const { repositories } = await api('GET', '/repositories');
    assert.equal(repositories[0].default_sandbox_type, 'git_branch');

    // chosen among the orders: in the address, and in a new order
    await page.goto(`${base}/ui/`);
    const side = page.locator('aside [data-repository]');
    await side.getByText(/^Total \d+$/).waitFor();
    await side.locator('button[aria-pressed]').click();
    await page.waitForURL(/repo=/);
    await page.getByRole('group', { name: 'Whose orders' }).waitFor();
    await page.getByRole('link', { name: 'New Work Order' }).click();
    await page.getByLabel('Repository URL').waitFor();
    await eventually(() => page.getByLabel('Repository URL').inputValue(), repositories[0].repository_url);
    await page.goto(`${base}/ui/`);
    // the layout is remembered
    const onTop = page.getByRole('button', { name: 'Repositories on top', pressed: true });
    await page.getByRole('button', { name: 'Repositories on top' }).click();
    await onTop.waitFor();
    await page.reload();
    await onTop.waitFor();
    await page.getByRole('button', { name: 'Repositories at the side' }).click();
    await page.getByRole('button', { name: 'Hide repositories' }).click();
    await page.getByRole('button', { name: 'Show repositories' }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Show repositories' }).click();

    const remove = async () => {
      await side.getByRole('button', { name: /^Delete/ }).click();
      await page.getByText('Are you sure you want to delete this repository configuration?').waitFor();
      await page.getByRole('button', { name: 'Delete', exact: true }).click();
    };
    const keep = await hold(page, '**/api/v1/repositories/*', 'DELETE');
    await remove();
    await side.waitFor({ state: 'detached' });
    keep(false);
    await page.getByText('Could not delete the repository').first().waitFor();
    await side.waitFor();
    await page.unroute('**/api/v1/repositories/*');
    await remove();
    await page.getByText('Repository deleted successfully').first().waitFor();
    await page.getByText('No repositories configured').waitFor();
    await close(t);
  },
};
