// What happens elsewhere is seen here, with and without the stream.
import assert from 'node:assert/strict';
import {
  api,
  base,
  becomes,
  cancel,
  choose,
  close,
  createOrder,
  hold,
  open,
  orderPath,
  please,
  repository,
  row,
  shot,
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
    await page.locator(`[data-group="running"] [data-order="${id}"]`).waitFor();
    await row(page, id)
      .getByRole('button', { name: /Show numbers/ })
      .click();
    await row(page, id).getByText('Tokens in / out').waitFor();

    await choose(page, id, 'Pause');
    await becomes(page, id, 'paused');
    await statusBecomes(id, 'paused');
    await row(page, id)
      .getByRole('button', { name: `Resume ${id}` })
      .click();
    await statusBecomes(id, 'running');
    await becomes(page, id, 'running');
    await choose(page, id, 'Cancel');
    await page.getByRole('alertdialog').getByRole('button', { name: 'Keep' }).click();
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    await choose(page, id, 'Cancel');
    await page.getByRole('button', { name: 'Cancel order' }).click();
    await becomes(page, id, 'cancelled');
    await statusBecomes(id, 'cancelled');
    await row(page, id)
      .getByRole('button', { name: `Retry ${id}` })
      .click();
    await statusBecomes(id, 'running');
    // how long a change takes from the service to the eye: while the stream is open nothing is asked at intervals
    await becomes(page, id, 'running');
    await page.locator('[data-live="true"]').waitFor();
    const began = Date.now();
    await api('POST', `/agent-work-orders/${id}/pause`);
    await becomes(page, id, 'paused');
    console.log(`a change was seen after ${Date.now() - began} ms`);
    await api('POST', `/agent-work-orders/${id}/cancel`, {});
    await becomes(page, id, 'cancelled');
    await statusBecomes(id, 'cancelled');
    // gone at once, and back when that is refused
    const remove = async () => {
      await choose(page, id, 'Delete');
      await page.getByRole('button', { name: 'Delete order' }).click();
      await row(page, id).waitFor({ state: 'detached' });
    };
    const refuse = await hold(page, `**/agent-work-orders/${id}`, 'DELETE');
    await remove();
    refuse(false);
    await page.getByText(`Could not delete ${id}`).first().waitFor();
    await row(page, id).waitFor();
    await page.unroute(`**/agent-work-orders/${id}`);
    await remove();
    await page.getByText(`Deleted ${id}`).first().waitFor();
    await close(t);
  },

  async 'a gateway that goes away and comes back: not a line is lost or doubled'(browser) {
    const id = await createOrder(repository, 'Count on', {
      agent: 'ticker',
      selected_commands: ['planning'],
    });
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const log = page.locator('[data-log]');
    await page.getByText('Live', { exact: true }).first().waitFor();
    await log
      .getByText(/^tick \d+$/)
      .first()
      .waitFor();
    await please('stop the gateway');
    await page.getByText('AWO does not answer. Is awo-gateway running?').first().waitFor();
    await page.getByText('Polling').first().waitFor();
    await please('start the gateway');
    await page.locator('[data-live="true"]').waitFor();
    const { total } = await api('GET', `/agent-work-orders/${id}/logs?limit=1`);
    await log.getByText(`tick ${total + 3}`, { exact: true }).waitFor();
    await cancel(id);
    await page.getByText('Historical').waitFor();
    const { log_entries: lines } = await api('GET', `/agent-work-orders/${id}/logs?limit=1000`);
    await page.getByText(`(${lines.length.toLocaleString('en')} entries)`).waitFor();
    // every line that the view has, from the first to the last, in its sequence
    await page.getByRole('switch', { name: 'Auto-scroll' }).click();
    const seen = await log.evaluate(async (box) => {
      const all = [];
      for (let top = 0; ; top += box.clientHeight / 2) {
        box.scrollTop = top;
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        for (const line of box.querySelectorAll('[data-index]'))
          all[Number(line.dataset.index)] = Number(line.dataset.seq);
        if (top > box.scrollHeight) return all;
      }
    });
    assert.deepEqual(
      seen,
      lines.map((line) => line.seq),
    );
    await page.getByRole('switch', { name: 'Auto-scroll' }).click();
    await close(t);
  },

  async 'a daemon that is away: what was asked is taken back, and said'(browser) {
    const id = await createOrder(repository, 'Go on without it\ndemo@planning: sleep 300');
    await statusBecomes(id, 'running');
    const t = await open(browser, '/ui/');
    const { page } = t;
    await becomes(page, id, 'running');
    await please('stop the daemon');
    try {
      const letGo = await hold(page, '**/pause');
      await choose(page, id, 'Pause');
      await becomes(page, id, 'paused');
      letGo();
      await page.getByText(`Could not pause ${id}`).first().waitFor();
      await becomes(page, id, 'running');
      await page.getByRole('alert').getByText('What you see may be old.').waitFor();
      await page.locator('[data-live="false"]').waitFor();
      await shot(page, 'daemon-away');
    } finally {
      await please('start the daemon');
    }
    await page.getByText('What you see may be old.').waitFor({ state: 'detached' });
    await page.locator('[data-live="true"]').waitFor();
    await choose(page, id, 'Pause');
    await page.getByText(`Paused: ${id}`).first().waitFor();
    await statusBecomes(id, 'paused');
    await close(t);
    await cancel(id);
  },

  async 'what is older than half a minute is read again when somebody comes back'(browser) {
    const t = await open(browser, '');
    const { page } = t;
    await page.clock.install();
    let asked = 0;
    page.on('request', (request) => (asked += request.url().endsWith('/api/v1/repositories') ? 1 : 0));
    await page.goto(`${base}/ui/`);
    await page.getByRole('heading', { name: 'Agent Work Orders' }).waitFor();
    await page.locator('[data-live="true"]').waitFor();
    // what the page asks because of it, it asks before what is asked behind it
    const comeBack = () =>
      page.evaluate(async () => {
        document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
        await fetch('/health');
      });
    const before = asked;
    assert.ok(before > 0);
    await comeBack();
    assert.equal(asked, before, 'asked anew though it is fresh');
    await page.clock.fastForward(31_000);
    const answer = page.waitForResponse((response) => response.url().endsWith('/api/v1/repositories'));
    await comeBack();
    await answer;
    await close(t);
  },
};
