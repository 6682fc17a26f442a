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
    const completed = orders.find((o) => o.status === 'completed' && o.git_files_changed).agent_work_order_id;
    const failed = orders.find((o) => o.status === 'failed').agent_work_order_id;
    const pages = {
      orders: '/ui/',
      order: orderPath(completed),
      failed: orderPath(failed),
      new: '/ui/agent-work-orders/new',
      repositories: '/ui/repositories',
      queue: '/ui/queue',
      analytics: '/ui/analytics',
      settings: '/ui/settings',
      credentials: '/ui/settings/credentials',
      tokens: '/ui/settings/tokens',
    };
    // each page light and dark, wide and narrow; colours are the same at every width
    const looks = {
      light: {},
      phone: { colorScheme: 'dark', viewport: { width: 360, height: 740 }, hasTouch: true },
    };
    const lookAt = async ([look, options]) => {
      const t = await open(browser, '/ui/', options);
      for (const [name, path] of Object.entries(pages)) {
        await t.page.goto(base + path);
        await t.page.locator('h1').waitFor();
        await t.page.locator('[data-live="true"]').waitFor();
        await t.page
          .getByText(/^Loading /)
          .first()
          .waitFor({ state: 'detached' });
        await noViolations(t.page, `${name}, ${look}`);
        await noSidewaysScroll(t.page, `${name}, ${look}`);
        await shot(t.page, `${name}-${look}`);
        if (name !== 'order') continue;
        for (const tab of ['Changes', 'Step outputs', 'Details']) {
          await t.page.getByRole('tab', { name: tab }).click();
          await t.page.getByRole('tabpanel', { name: tab }).locator('h2, h3').first().waitFor();
          await noViolations(t.page, `${tab}, ${look}`);
          await noSidewaysScroll(t.page, `${tab}, ${look}`);
          await shot(t.page, `${name}-${tab.toLowerCase().replace(' ', '-')}-${look}`);
        }
      }
      await close(t);
    };
    await Promise.all(Object.entries(looks).map(lookAt));
  },
};
