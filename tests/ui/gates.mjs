// A person between the steps: checkpoints, the plan's preview and edit, approve and reject; workflows of one's own.
import assert from 'node:assert/strict';
import {
  api,
  base,
  close,
  createOrder,
  eventually,
  noSidewaysScroll,
  noViolations,
  hold,
  kept,
  open,
  orderOf,
  orderPath,
  repository,
  row,
  shot,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
  async 'a workflow of one’s own, with a checkpoint, becomes an order that waits'(browser) {
    const t = await open(browser, '/ui/agent-work-orders/new');
    const { page } = t;
    await page.getByLabel('Repository URL').fill(repository);
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('button', { name: 'Custom workflow' }).click();
    const dialog = page.getByRole('dialog', { name: 'New workflow' });
    await dialog.getByRole('button', { name: 'Save workflow' }).click();
    await dialog.getByText('Give it a name').waitFor();
    await dialog.getByLabel('Workflow name').fill('Plan first');
    await dialog.getByRole('button', { name: 'Leave Pull request out' }).click();
    await dialog.getByLabel('Add a step').selectOption('testing');
    await dialog.getByRole('button', { name: 'Move Test up' }).click();
    // what cannot run is said by the service, and not kept, however late it says so
    const judge = await hold(page, '**/workflows/validate');
    await dialog.getByRole('button', { name: 'Leave Plan out' }).click();
    await dialog.getByRole('button', { name: 'Save workflow' }).click();
    await judge.asked;
    judge();
    await dialog.getByText('Planning step must run before execute').waitFor();
    assert.equal((await kept(page)).workflows, undefined);
    await page.unroute('**/workflows/validate');
    await dialog.getByLabel('Add a step').selectOption('planning');
    for (let i = 0; i < 3; i++) await dialog.getByRole('button', { name: 'Move Plan up' }).click();
    await dialog.getByText('Planning step must run before execute').waitFor({ state: 'detached' });
    await dialog.getByRole('button', { name: 'Leave Test out' }).click();
    await dialog.getByRole('button', { name: 'Checkpoint after Plan' }).click();
    await dialog.getByText('It waits for your approval after Plan.').waitFor();
    // taken away, and set again
    await dialog.getByRole('button', { name: 'Checkpoint after Plan', pressed: true }).click();
    await dialog.getByText('It runs through.').waitFor();
    await dialog.getByRole('button', { name: 'Checkpoint after Plan', pressed: false }).click();
    await noViolations(page, 'workflow editor');
    await shot(page, 'workflow-editor');
    await dialog.getByRole('button', { name: 'Save workflow' }).click();
    await dialog.waitFor({ state: 'detached' });
    // it is there after a reload, and can be changed and removed
    await page.reload();
    await page.getByLabel('Repository URL').fill(repository);
    await page.getByRole('button', { name: 'Next' }).click();
    const own = page.locator('[data-own-workflow="Plan first"]');
    await own.getByRole('button', { name: 'Edit workflow Plan first' }).click();
    await page.getByLabel('Workflow name').fill('Plan, then ask');
    await page.getByRole('button', { name: 'Save workflow' }).click();
    await page.getByRole('radio', { name: /^Plan, then ask/, checked: true }).waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByLabel('Work Request').fill('Ask me before you build');
    await page.getByRole('button', { name: 'Create Work Order' }).click();
    await page.getByRole('heading', { name: 'This order waits for you' }).waitFor();
    const id = page.url().split('/').at(-1);
    const order = await orderOf(id);
    assert.deepEqual(order.selected_commands, ['create-branch', 'planning', 'execute', 'commit']);
    assert.deepEqual([order.gates, order.gate], [['planning'], 'planning']);

    // what is done is done: two of four
    await page.getByText('Plan (2/4) 50%').waitFor();
    // the plan: shown, changed, put in place before the next step
    const preview = page.getByRole('region', { name: 'Plan preview' });
    await preview.getByRole('heading').first().waitFor();
    // however the agent titled its plan: the page has one title, the order's
    await eventually(() => page.locator('h1').allTextContents(), ['Ask me before you build']);
    await noViolations(page, 'gate');
    await shot(page, 'gate');
    await page.getByText('No changes').waitFor();
    await page.getByRole('button', { name: 'Edit plan' }).click();
    await page.getByLabel('Plan', { exact: true }).fill('# A better plan\n\n* say hello\n* say goodbye');
    await page.getByText('Unsaved changes').waitFor();
    await page.getByRole('button', { name: 'Preview plan' }).click();
    await preview.getByRole('heading', { name: 'A better plan', level: 3, exact: true }).waitFor();
    await page.getByLabel('Comment').fill('shorter, please');
    await page.getByRole('button', { name: 'Approve and Move to Next Step' }).click();
    await page.getByText(`Approved: ${id}`).first().waitFor();
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor();
    const { steps } = await api('GET', `/agent-work-orders/${id}/steps`);
    assert.deepEqual(
      steps.map((s) => s.step),
      ['create-branch', 'planning', 'prompt', 'execute', 'commit'],
    );
    const { patch } = await api('GET', `/agent-work-orders/${id}/diff`);
    assert.match(patch, /\+# A better plan\n\+\n\+\* say hello/);
    await page.goto(page.url().replace(id, 'new'));
    await page.getByLabel('Repository URL').fill(repository);
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('button', { name: 'Remove workflow Plan, then ask' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click();
    await page.locator('[data-own-workflow]').waitFor({ state: 'detached' });
    await close(t);
  },

  async 'an order that waits is on top, takes a prompt and waits again, and is rejected'(browser) {
    const id = await createOrder(repository, 'Wait for me twice', {
      gates: ['planning'],
    });
    await statusBecomes(id, 'waiting');
    const t = await open(browser, '/ui/', {
      viewport: { width: 360, height: 740 },
    });
    const { page } = t;
    await row(page, id).getByText('Waits for your approval after “Plan”.').waitFor();
    await page.locator(`[data-group="attention"] [data-order="${id}"]`).waitFor();
    await page.goto(base + orderPath(id));
    await page.getByText('then the order waits for you again').waitFor();
    await page.getByRole('textbox', { name: 'Prompt the agent' }).fill('Mention the weather');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('listitem', { name: 'Prompt - completed' }).waitFor();
    await page.getByRole('heading', { name: 'This order waits for you' }).waitFor();
    await page.getByRole('button', { name: 'Look at the changes' }).click();
    await page.locator('[data-diff]').getByText('mention the weather').first().waitFor();
    await noViolations(page, 'gate, phone');
    await noSidewaysScroll(page, 'gate, phone');
    await shot(page, 'gate-phone');
    await page.getByLabel('Comment').fill('not worth it');
    await page.getByRole('button', { name: 'Reject', exact: true }).click();
    await page.getByText('rejected behind planning: not worth it').first().waitFor();
    await statusBecomes(id, 'cancelled');
    await close(t);
  },
};
