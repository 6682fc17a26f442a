// From a repository to a result, as a person goes.
import assert from 'node:assert/strict';
import {
  close,
  eventually,
  hold,
  kept,
  noViolations,
  open,
  repository,
  shot,
  statusBecomes,
  titleOf,
} from './support.mjs';

export const scenarios = {
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
    await page.getByRole('radio', { name: /E2B sandbox/, disabled: true }).waitFor();
    await page.getByRole('radio', { name: /Dagger/, disabled: true }).waitFor();
    const step = (name, state = {}) => page.getByRole('checkbox', { name, exact: true, ...state });
    await step('Plan').uncheck();
    for (const name of ['Execute', 'Pull request']) {
      await step(name, { checked: false, disabled: true }).waitFor();
    }
    await page.getByText('Requires: Plan').waitFor();
    await step('Plan').check();
    await step('Review', { disabled: true }).waitFor();
    await step('Execute').check();
    await step('Review', { disabled: false }).waitFor();
    await step('Pull request', { disabled: true }).waitFor();
    await step('Commit and push').check();
    await step('Pull request').check();
    await step('Commit and push').uncheck();
    await step('Pull request', { checked: false, disabled: true }).waitFor();
    // chosen in another sequence than they run in
    await step('Create branch').uncheck();
    for (const name of ['Commit and push', 'Create branch', 'Pull request']) await step(name).check();
    await noViolations(page, 'new order, workflow');
    await shot(page, 'new-order');
    await page.getByRole('button', { name: 'Next' }).click();
    // 3. start
    await page.getByLabel('Work Request').fill('short');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    await page.getByText('Request must be at least 10 characters').waitFor();
    await page.getByLabel('Work Request').fill('Add a greeting to the README');
    const creating = await hold(page, '**/api/v1/agent-work-orders', 'POST');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    const { selected_commands: sent } = await creating.asked;
    assert.deepEqual(sent, ['create-branch', 'planning', 'execute', 'commit', 'create-pr']);
    creating();
    await titleOf(page, 'Add a greeting to the README').waitFor();
    const id = page.url().split('/').at(-1);
    // 4. track, 5. result: all of it without loading the page again
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor();
    await page
      .locator('[data-phase="planning"][data-state="done"]')
      .getByText(/^Created PRPs\//)
      .waitFor();
    await page.getByText('Historical').waitFor();
    const order = await statusBecomes(id, 'completed');
    await page.getByText(`${order.git_files_changed} files`, { exact: true }).waitFor();
    await page.getByRole('tab', { name: 'Changes' }).click();
    await page.locator('[data-diff] tr').first().waitFor();
    // long lines are cut off at first, and broken when asked; that is remembered
    const line = page.locator('[data-diff] tr td:last-child').last();
    const breaks = () => line.evaluate((cell) => getComputedStyle(cell).whiteSpace);
    await eventually(breaks, 'pre');
    await page.getByRole('button', { name: 'Wrap lines', pressed: false }).click();
    await page.getByRole('button', { name: 'Wrap lines', pressed: true }).waitFor();
    await eventually(breaks, /pre-wrap|break-spaces/);
    await eventually(async () => (await kept(page)).wrapDiff, true);
    await noViolations(page, 'changes');
    await shot(page, 'changes');
    await page.getByRole('tab', { name: 'Step outputs' }).click();
    await page
      .locator('[data-step="planning"]')
      .getByRole('button', { name: /prompts\// })
      .click();
    await page.getByRole('dialog').getByText('Add a greeting').first().waitFor();
    await page.keyboard.press('Escape');
    await noViolations(page, 'step outputs');
    await page.getByRole('tab', { name: 'Details' }).click();
    await page.getByText(`sandbox-${id}`).waitFor();
    await page.getByRole('link', { name: 'Create New Work Order' }).waitFor();
    await close(t);
  },
};
