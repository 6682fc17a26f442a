// What happens elsewhere is seen here, with and without the stream.
import assert from 'node:assert/strict';
import {
  api,
  becomes,
  close,
  createOrder,
  open,
  orderPath,
  please,
  repository,
  row,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
  async 'live: an order made elsewhere, its changes, and what is done to it'(browser) {
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page.locator('[data-live="true"]').waitFor();
    const id = await createOrder(repository, 'Take your time\ndemo@planning: sleep 300');
    await becomes(page, id, 'running');
    await row(page, id).getByText('Plan').first().waitFor();
    assert.equal(
      await row(page, id).locator('xpath=ancestor::section').getAttribute('data-group'),
      'running',
    );
    await row(page, id)
      .getByRole('button', { name: /Show numbers/ })
      .click();
    await row(page, id).getByText('Tokens in / out').waitFor();

    const menu = async (item) => {
      await row(page, id)
        .getByRole('button', { name: /More actions/ })
        .click();
      await page.getByRole('menuitem', { name: item }).click();
    };
    await menu('Pause');
    await becomes(page, id, 'paused');
    await statusBecomes(id, 'paused');
    await row(page, id)
      .getByRole('button', { name: `Resume ${id}` })
      .click();
    await statusBecomes(id, 'running');
    await becomes(page, id, 'running');
    await menu('Cancel');
    await page.getByRole('alertdialog').getByRole('button', { name: 'Keep' }).click();
    await menu('Cancel');
    await page.getByRole('button', { name: 'Cancel order' }).click();
    await becomes(page, id, 'cancelled');
    await statusBecomes(id, 'cancelled');
    await row(page, id)
      .getByRole('button', { name: `Retry ${id}` })
      .click();
    await statusBecomes(id, 'running');
    // how long a change takes from the service to the eye
    await becomes(page, id, 'running');
    const began = Date.now();
    await api('POST', `/agent-work-orders/${id}/pause`);
    await becomes(page, id, 'paused');
    console.log(`a change was seen after ${Date.now() - began} ms`);
    assert.ok(Date.now() - began < 2000);
    await api('POST', `/agent-work-orders/${id}/cancel`, {});
    await becomes(page, id, 'cancelled');
    await statusBecomes(id, 'cancelled');
    await menu('Delete');
    await page.getByRole('button', { name: 'Delete order' }).click();
    await row(page, id).waitFor({ state: 'detached' });
    await close(t);
  },

  async 'a gateway that goes away and comes back'(browser) {
    const id = await createOrder(repository, 'Go on meanwhile\ndemo@planning: sleep 6');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    await page.getByText('Live', { exact: true }).first().waitFor();
    await please('restart the gateway');
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor({ timeout: 60_000 });
    await page.getByText('Historical').waitFor();
    // not a line was lost, and none is there twice
    const { total } = await api('GET', `/agent-work-orders/${id}/logs?limit=1`);
    await page.getByText(`(${total.toLocaleString('en')} entries)`).waitFor();
    await page.locator('[data-live="true"]').waitFor();
    await t.context.close();
  },
};
