// Everything without a mouse.
import assert from 'node:assert/strict';
import { close, eventually, noViolations, open, repository, titleOf } from './support.mjs';

/** Goes on with Tab until what has the focus answers yes. */
async function tabTo(page, what, is, argument) {
  for (let i = 0; i < 120; i++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(is, argument)) return;
  }
  assert.fail(`Tab does not lead to ${what}`);
}

/** What is in focus can be seen to be. */
async function focusIsSeen(page, what) {
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', `nothing shows that ${what} has the focus`);
}

/** Presses the button of that name. */
export async function press(page, name) {
  const named = (wanted) => {
    const { ariaLabel, textContent } = document.activeElement;
    return (ariaLabel ?? textContent.trim()) === wanted;
  };
  await tabTo(page, name, named, name);
  await focusIsSeen(page, name);
  await page.keyboard.press('Enter');
}

const tabToTag = (page, tag) => tabTo(page, tag, (wanted) => document.activeElement.tagName === wanted, tag);

/** From the list to an order that has ended, over a plan that is approved. */
export async function orderWithKeys(page, request) {
  await page.keyboard.press('n');
  await page.getByRole('heading', { name: 'New work order' }).waitFor();
  await tabToTag(page, 'INPUT');
  await page.keyboard.type(repository);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Sandbox and workflow' }).waitFor();
  await press(page, 'Checkpoint after Plan');
  await page.getByText('It waits for your approval after Plan.').waitFor();
  await press(page, 'Next');
  await page.getByRole('heading', { name: 'Request', exact: true }).waitFor();
  await tabToTag(page, 'TEXTAREA');
  await page.keyboard.type(request);
  await press(page, 'Create Work Order');
  await titleOf(page, request).waitFor();
  await page.getByRole('heading', { name: 'This order waits for you' }).waitFor();
  await press(page, 'Approve and Move to Next Step');
  await page.getByRole('heading', { name: 'Work order complete' }).waitFor();
  await page.keyboard.press('2');
  await page.locator('[data-diff]').waitFor();
  await page.keyboard.press('u');
  await page.getByRole('link', { name: request }).first().waitFor();
}

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
    await eventually(
      () => page.evaluate(() => document.activeElement.getAttribute('aria-label')),
      'Search orders',
    );
    await page.keyboard.press('Tab');
    await page.evaluate(() => document.activeElement.blur());
    for (const [keys, heading] of [
      ['gr', 'Repositories'],
      ['gq', 'Queue and host'],
      ['ga', 'Analytics'],
      ['gs', 'Settings'],
      ['go', 'Agent Work Orders'],
    ]) {
      for (const key of keys) await page.keyboard.press(key);
      await page.getByRole('heading', { name: heading, exact: true }).waitFor();
    }
    // light, dark, or as the system has it: kept in this browser
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.emulateMedia({ colorScheme: 'dark' });
    await eventually(theme, 'dark');
    await page.keyboard.press('t');
    await eventually(theme, 'light');
    await page.reload();
    await page.getByRole('button', { name: 'Theme: light' }).waitFor();
    await eventually(theme, 'light');
    for (const next of ['dark', 'system']) {
      await page.keyboard.press('t');
      await page.getByRole('button', { name: `Theme: ${next}` }).waitFor();
      await eventually(theme, 'dark');
    }
    // a row's menu, its items by arrows, and the focus back where it was
    await page.locator('[data-row-link]').first().waitFor();
    await page.keyboard.press('j');
    await eventually(() => page.evaluate(() => document.activeElement.matches('[data-row-link]')), true);
    await tabTo(page, 'a menu', () => document.activeElement.ariaLabel?.startsWith('More actions'));
    await page.keyboard.press('Enter');
    await page.getByRole('menu').waitFor();
    await page.keyboard.press('ArrowDown');
    await eventually(() => page.evaluate(() => document.activeElement.role), 'menuitem');
    await page.keyboard.press('Escape');
    await page.getByRole('menu').waitFor({ state: 'detached' });
    await eventually(() => page.evaluate(() => document.activeElement.ariaLabel), /^More actions/);
    await close(t);
  },
};
