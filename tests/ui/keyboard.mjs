// Everything without a mouse.
import assert from 'node:assert/strict';
import { close, noViolations, open, repository } from './support.mjs';

export const scenarios = {
  async 'keys alone'(browser) {
    const t = await open(browser, '/ui/');
    const { page } = t;
    await page.locator('[data-row-link]').first().waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).getByText('New work order').waitFor();
    await noViolations(page, 'keys');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    assert.equal(
      await page.evaluate(() => document.activeElement.getAttribute('aria-label')),
      'Search orders',
    );
    await page.keyboard.press('Tab');
    await page.evaluate(() => document.activeElement.blur());
    for (const [keys, heading] of [
      ['gr', 'Repositories'],
      ['gq', 'Queue and host'],
      ['gs', 'Settings'],
      ['go', 'Agent Work Orders'],
    ]) {
      for (const key of keys) await page.keyboard.press(key);
      await page.getByRole('heading', { name: heading, exact: true }).waitFor();
    }
    // an order from its first key to its page
    await page.keyboard.press('n');
    await page.getByRole('heading', { name: 'New work order' }).waitFor();
    await page.keyboard.press('Tab');
    while ((await page.evaluate(() => document.activeElement.tagName)) !== 'INPUT')
      await page.keyboard.press('Tab');
    await page.keyboard.type(repository);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Sandbox and workflow' }).waitFor();
    const press = async (name) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press('Tab');
        if ((await page.evaluate(() => document.activeElement.textContent.trim())) === name) break;
      }
      await page.keyboard.press('Enter');
    };
    await press('Next');
    await page.getByRole('heading', { name: 'Request' }).waitFor();
    while ((await page.evaluate(() => document.activeElement.tagName)) !== 'TEXTAREA')
      await page.keyboard.press('Tab');
    await page.keyboard.type('Made with keys alone');
    await press('Create Work Order');
    await page.getByRole('heading', { name: 'Made with keys alone' }).waitFor();
    await page.getByRole('heading', { name: 'Work order complete' }).waitFor({ timeout: 60_000 });
    await page.keyboard.press('2');
    await page.locator('[data-diff]').waitFor();
    await close(t);
  },
};
