// Measures the pages of a gateway that has running orders: web_ui.mjs ROUNDS prints one line of JSON, times in milliseconds.
import { api, launch, open } from '../tests/ui/support.mjs';

const CHANGES = 10;
const rounds = Number(process.argv[2]);
const browser = await launch();
const usable = [];
const seen = [];
let bytes = 0;

/** Wall time at which the row has this state, in the frame that shows it. */
const watch = (page, id, status) =>
  page.evaluate(
    ([id, status]) => {
      globalThis.shown = new Promise((resolve) => {
        const look = () => {
          if (!document.querySelector(`[data-order="${id}"][data-status="${status}"]`)) return;
          observer.disconnect();
          requestAnimationFrame(() => resolve(performance.timeOrigin + performance.now()));
        };
        const observer = new MutationObserver(look);
        observer.observe(document.body, { subtree: true, childList: true, attributes: true });
        look();
      });
    },
    [id, status],
  );

try {
  // the browser's own start is not the pages'
  const first = await open(browser, '/ui/');
  await first.page.locator('[data-row-link]').first().waitFor();
  await first.context.close();
  for (let round = 0; round < rounds; round++) {
    const t = await open(browser, '/ui/');
    await t.page.locator('[data-row-link]').first().waitFor();
    usable.push(await t.page.evaluate(() => performance.now()));
    bytes = await t.page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .filter((e) => e.name.endsWith('.js'))
        .reduce((n, e) => n + e.encodedBodySize, 0),
    );
    await t.page.locator('[data-live="true"]').waitFor();
    const { agent_work_orders: orders } = await api('GET', '/agent-work-orders');
    const took = [];
    for (let n = 0; n < CHANGES; n++) {
      const id = orders[n % orders.length].agent_work_order_id;
      for (const [action, status] of [
        ['pause', 'paused'],
        ['resume', 'running'],
      ]) {
        await watch(t.page, id, status);
        await api('POST', `/agent-work-orders/${id}/${action}`, {});
        const shown = await t.page.evaluate(() => globalThis.shown);
        const { log_entries: lines } = await api('GET', `/agent-work-orders/${id}/logs?limit=1000`);
        const event = lines.filter((line) => line.event === `agent_work_order_${action}d`).at(-1);
        took.push(shown - Date.parse(event.timestamp));
      }
    }
    seen.push(took);
    await t.context.close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ bytes, usable, seen }));
