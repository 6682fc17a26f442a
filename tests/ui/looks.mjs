// Every page in every look: accessible, no wider than the screen, soon there.
import assert from 'node:assert/strict';
import { api, base, close, noSidewaysScroll, noViolations, open, orderPath, shot } from './support.mjs';

export const scenarios = {
  async 'how soon it can be used'(browser) {
    const t = await open(browser, '/ui/');
    await t.page.locator('[data-row-link]').first().waitFor();
    // in a browser that has nothing of it yet, from the address to the list and its keys
    const usable = await t.page.evaluate(() => performance.now());
    const loaded = await t.page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .filter((e) => e.name.endsWith('.js'))
        .reduce((n, e) => n + e.encodedBodySize, 0),
    );
    console.log(`usable after ${Math.round(usable)} ms, with ${loaded} bytes of script`);
    assert.ok(loaded > 0 && loaded <= 200_000);
    await close(t);
  },

  async 'every page: light, dark and 360 px'(browser) {
    const { agent_work_orders: orders } = await api('GET', '/agent-work-orders');
    const completed = orders.find((o) => o.status === 'completed').agent_work_order_id;
    const failed = orders.find((o) => o.status === 'failed').agent_work_order_id;
    const pages = {
      orders: '/ui/',
      order: orderPath(completed),
      failed: orderPath(failed),
      new: '/ui/agent-work-orders/new',
      repositories: '/ui/repositories',
      queue: '/ui/queue',
      settings: '/ui/settings',
      credentials: '/ui/settings/credentials',
      tokens: '/ui/settings/tokens',
    };
    const looks = {
      light: {},
      dark: { colorScheme: 'dark' },
      phone: { viewport: { width: 360, height: 740 }, hasTouch: true },
    };
    for (const [look, options] of Object.entries(looks)) {
      const t = await open(browser, '/ui/', options);
      for (const [name, path] of Object.entries(pages)) {
        await t.page.goto(base + path);
        await t.page.locator('h1').waitFor();
        await t.page.locator('[data-live="true"]').waitFor();
        await noViolations(t.page, `${name}, ${look}`);
        await noSidewaysScroll(t.page, `${name}, ${look}`);
        await shot(t.page, `${name}-${look}`);
      }
      await close(t);
    }
  },
};
