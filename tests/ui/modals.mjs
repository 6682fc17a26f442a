// The dialogs: what they refuse, what they send, and what they say while the service thinks.
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
  orderOf,
  repository,
  statusBecomes,
  titleOf,
} from './support.mjs';

export const scenarios = {
  async 'add and edit a repository'(browser) {
    const t = await open(browser, '/ui/repositories');
    const { page } = t;
    await page.getByRole('button', { name: 'Add repository' }).click();
    const add = page.getByRole('dialog', { name: 'Add repository' });
    await add.getByText('Name, owner and default branch are read from it').waitFor();
    await add.getByLabel('Repository URL').fill('not an address');
    await add.getByRole('button', { name: 'Add and verify' }).click();
    await add.getByRole('alert').waitFor();
    await page.keyboard.press('Escape');
    await add.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Add repository' }).click();
    // the default steps are sent, and the address is verified
    await add.getByLabel('Repository URL').fill(repository);
    await add.getByRole('checkbox', { name: 'Pull request', exact: true }).uncheck();
    const adding = await hold(page, '**/api/v1/repositories', 'POST');
    await add.getByRole('button', { name: 'Add and verify' }).click();
    assert.deepEqual(await adding.asked, {
      repository_url: repository,
      verify: true,
      default_sandbox_type: 'git_worktree',
      default_commands: ['create-branch', 'planning', 'execute', 'commit'],
    });
    await add.getByRole('button', { name: 'Checking…' }).waitFor();
    adding();
    await page.getByText('Repository created successfully').first().waitFor();
    await page.unroute('**/api/v1/repositories');
    await page.getByRole('button', { name: 'Add repository' }).click();
    await add.getByLabel('Repository URL').fill(repository);
    await add.getByRole('button', { name: 'Add and verify' }).click();
    await add
      .getByRole('alert')
      .getByText(/already/)
      .waitFor();
    await page.keyboard.press('Escape');

    const card = page.locator('[data-repository]').first();
    await card.getByRole('button', { name: /^Edit/ }).click();
    const edit = page.getByRole('dialog', { name: /^Edit/ });
    await edit.getByText('main', { exact: true }).waitFor();
    await edit.getByRole('checkbox', { name: 'Plan', exact: true }).uncheck();
    await edit.getByText('Requires: Plan').waitFor();
    await edit.getByRole('checkbox', { name: 'Commit and push', exact: true, disabled: true }).waitFor();
    await edit.getByRole('checkbox', { name: 'Create branch', exact: true }).uncheck();
    // without any step
    await edit.getByRole('button', { name: 'Save', disabled: true }).waitFor();
    for (const name of ['Plan', 'Create branch']) {
      await edit.getByRole('checkbox', { name, exact: true }).check();
    }
    await edit.getByLabel('Default sandbox').selectOption('git_branch');
    await noViolations(page, 'edit a repository');
    const id = await page.locator('[data-repository]').first().getAttribute('data-repository');
    const patching = await hold(page, `**/api/v1/repositories/${id}`, 'PATCH');
    await edit.getByRole('button', { name: 'Save' }).click();
    // chosen last, sent first: in the order in which steps run
    assert.deepEqual(await patching.asked, {
      default_sandbox_type: 'git_branch',
      default_commands: ['create-branch', 'planning'],
    });
    patching();
    await page.getByText('Repository updated successfully').first().waitFor();
    await close(t);
  },

  async 'a new order takes what its repository says, and what the service refuses is said'(browser) {
    const { repositories } = await api('GET', '/repositories');
    const known = repositories.find((r) => r.repository_url.endsWith(repository));
    const t = await open(browser, '/ui/agent-work-orders/new');
    const { page } = t;
    await page.getByLabel('Repository', { exact: true }).selectOption(known.id);
    await eventually(() => page.getByLabel('Repository URL').inputValue(), known.repository_url);
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('radio', { name: /^Git branch/, checked: true }).waitFor();
    for (const name of ['Create branch', 'Plan']) {
      await page.getByRole('checkbox', { name, exact: true, checked: true }).waitFor();
    }
    await page.getByRole('checkbox', { name: 'Execute', exact: true, checked: false }).waitFor();
    const reasons = await api('GET', '/info');
    for (const { available, reason } of reasons.sandbox_types) {
      if (!available) await page.getByText(reason, { exact: true }).first().waitFor();
    }
    await eventually(() => page.getByText('(Coming Soon)').count(), 2);
    for (const name of ['Plan', 'Create branch']) {
      await page.getByRole('checkbox', { name, exact: true }).uncheck();
    }
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('At least one workflow step must be selected').waitFor();
    await page.getByRole('radio', { name: /^agent_workflow_plan / }).check();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByLabel('Work Request').fill('Only a plan, please');
    await page.getByLabel('GitHub Issue Number').fill('forty-two');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    await page.getByText('The number of an issue, like 42').waitFor();
    await page.getByLabel('GitHub Issue Number').fill('');
    await page.getByText('Agent, branch and priority').click();
    await page.getByLabel('Base branch').fill('..');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    await page
      .getByRole('alert')
      .getByText(/no valid name of a branch/)
      .waitFor();
    await page.getByLabel('Base branch').fill('');
    const creating = await hold(page, '**/api/v1/agent-work-orders', 'POST');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    const body = await creating.asked;
    assert.equal(body.workflow_type, 'agent_workflow_plan');
    assert.equal(body.selected_commands, undefined);
    await page.getByRole('button', { name: 'Creating…' }).waitFor();
    creating();
    await titleOf(page, 'Only a plan, please').waitFor();
    const id = page.url().split('/').at(-1);
    const order = await statusBecomes(id, 'completed');
    assert.deepEqual(order.selected_commands, ['create-branch', 'planning', 'commit', 'create-pr']);
    await page.goto(`${base}/ui/agent-work-orders/new`);
    await page.getByRole('link', { name: 'Cancel' }).click();
    await page.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
    // left as it was found, for what comes next
    await api('DELETE', `/repositories/${known.id}`);
    await close(t);
  },

  async 'Escape is for the dialog, not for a message that has come up since'(browser) {
    const t = await open(browser, '/ui/repositories');
    const { page } = t;
    await page.getByText('Live', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Add repository' }).click();
    const add = page.getByRole('dialog', { name: 'Add repository' });
    await add.getByLabel('Repository URL').fill('octo/sample');
    // of one that the page has seen running
    const id = await createOrder(repository, 'Go wrong\ndemo@planning: sleep 3\ndemo@planning: fail no good');
    const message = page.locator('[data-message]').getByText('Failed: Go wrong');
    await message.waitFor();
    await page.keyboard.press('Escape');
    await add.waitFor({ state: 'detached' });
    assert.ok(await message.isVisible());
    await page.keyboard.press('Escape');
    await message.waitFor({ state: 'detached' });
    assert.equal((await orderOf(id)).status, 'failed');
    await close(t);
  },

  async 'a page that fails says so, and the others still work'(browser) {
    const t = await open(browser, '/ui/queue');
    const { page } = t;
    await page.route('**/api/v1/queue', (route) => route.fulfill({ json: { entries: 'none' } }));
    await page.reload();
    await page.getByText('This page failed. Your work orders go on regardless.').waitFor();
    await page.getByRole('button', { name: 'Load anew' }).waitFor();
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByRole('heading', { name: 'Settings', exact: true }).waitFor();
    // what is said here is meant for the console
    await t.context.close();
  },
};
