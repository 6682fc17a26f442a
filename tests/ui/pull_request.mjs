// An order that ended in a pull request: it asks for a review, and leads there.
import assert from 'node:assert/strict';
import { base, close, launch, noViolations, open, shot } from './support.mjs';

const { AWO_UI_LINK: link, AWO_UI_ORDER: id, AWO_UI_PULL: pull, AWO_UI_BRANCH: branch } = process.env;
const browser = await launch();
try {
  const t = await open(browser, link.slice(base.length));
  const { page } = t;
  const row = page.locator(`[data-group="review"] [data-order="${id}"]`);
  await row.waitFor();
  assert.equal(await row.getByRole('link', { name: 'Pull request' }).getAttribute('href'), pull);
  await row.getByText(branch).first().waitFor();
  await row.locator('[data-row-link]').click();
  assert.equal(await page.getByRole('link', { name: /View PR #/ }).getAttribute('href'), pull);
  assert.equal(await page.getByRole('link', { name: 'View PR on GitHub' }).getAttribute('href'), pull);
  const toBranch = await page.getByRole('link', { name: 'View branch' }).getAttribute('href');
  assert.ok(toBranch.endsWith(`/tree/${branch}`), toBranch);
  for (const out of await page.locator('a[target="_blank"]').all()) {
    assert.match((await out.getAttribute('rel')) ?? '', /noopener/);
  }
  await page.getByText(/^#\d+ \(open\)$/).waitFor();
  await noViolations(page, 'completed order');
  await shot(page, 'pull-request');
  await close(t);
  console.log('ok pull request');
} finally {
  await browser.close();
}
process.exit(0);
