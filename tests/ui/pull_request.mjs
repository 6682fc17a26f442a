// An order that ended in a pull request asks for a review, and leads there; one that a webhook makes comes by itself.
import assert from 'node:assert/strict';
import { base, close, eventually, launch, noViolations, open, please, shot } from './support.mjs';

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
  await page.setViewportSize({ width: 1280, height: 620 });
  await shot(page, 'pull-request');

  // the list is open, and nobody touches it
  await page.getByRole('link', { name: 'Work orders' }).first().click();
  await row.waitFor();
  await page.locator('[data-live="true"]').waitFor();
  const before = await page.locator('[data-order]').count();
  const began = Date.now();
  await please('deliver the webhook');
  const made = page.locator('[data-order]', { hasText: process.env.AWO_UI_ISSUE });
  await made.waitFor();
  console.log(`an order made by a webhook was seen after ${Date.now() - began} ms`);
  await eventually(() => page.locator('[data-order]').count(), before + 1);
  await page
    .locator('[data-order][data-status="completed"]', { hasText: process.env.AWO_UI_ISSUE })
    .waitFor();
  // its issue, on top of its page and in its details
  await made.locator('[data-row-link]').click();
  const issue = /\/octo\/sample\/issues\/\d+$/;
  assert.match(await page.getByRole('link', { name: /^Issue #\d+$/ }).getAttribute('href'), issue);
  await page.getByRole('tab', { name: 'Details' }).click();
  const details = page.getByRole('region', { name: 'Details', exact: true });
  assert.match(await details.getByRole('link', { name: /^#\d+$/ }).getAttribute('href'), issue);
  await close(t);
  console.log('ok pull request and webhook');
} finally {
  await browser.close();
}
process.exit(0);
