// The repositories beside the orders: found, chosen, counted, and out of the way.
import assert from 'node:assert/strict';
import {
  api,
  base,
  cancel,
  close,
  createOrder,
  eventually,
  hold,
  kept,
  noViolations,
  open,
  repository,
  row,
  shot,
} from './support.mjs';

export const scenarios = {
  async 'search, layout, choice and counts'(browser) {
    const known = (url) => api('POST', '/repositories', { repository_url: url, verify: false });
    const own = await known(repository);
    const greeter = await known('https://github.com/octo/greeter');
    const parser = await known('https://github.com/Acme/parser');
    const id = await createOrder(repository, 'Be counted\ndemo@planning: sleep 300');
    const t = await open(browser, '/ui/');
    const { page } = t;
    const card = (r) => page.locator(`aside [data-repository="${r.id}"]`);
    const gone = (r) => card(r).waitFor({ state: 'detached' });
    await card(greeter).waitFor();
    await card(greeter).getByText('octo/greeter', { exact: true }).waitFor();
    await card(greeter).getByTitle('Not verified', { exact: true }).waitFor();
    for (const title of ['Edit octo/greeter', 'Copy URL of octo/greeter', 'Delete octo/greeter']) {
      await card(greeter).getByTitle(title, { exact: true }).waitFor();
    }

    // by name, owner and address, in any case; remembered
    const search = page.getByPlaceholder('Search repositories...');
    for (const [text, one, other] of [
      ['GREET', greeter, parser],
      ['acme', parser, greeter],
      ['github.com/octo', greeter, own],
    ]) {
      await search.fill(text);
      await gone(other);
      await card(one).waitFor();
    }
    await search.fill('nothing like it');
    await page.locator('aside').getByText('No repositories match your search').waitFor();
    await search.fill('github.com/octo');
    await page.reload();
    await card(greeter).waitFor();
    await gone(parser);
    await eventually(() => search.inputValue(), 'github.com/octo');
    assert.equal((await kept(page)).repositorySearch, 'github.com/octo');
    await search.fill('');

    // what its orders are
    const counts = async () => {
      const { agent_work_orders: all } = await api('GET', '/agent-work-orders?limit=200');
      const here = all.filter((order) => order.repository_url === own.repository_url);
      const active = here.filter((order) => ['running', 'pending'].includes(order.status)).length;
      return [here.length, active, here.filter((order) => order.status === 'completed').length];
    };
    const [total, active, done] = await counts();
    assert.ok(active >= 1 && done >= 1 && total > active + done - 1);
    for (const pill of [`Total ${total}`, `Active ${active}`, `Done ${done}`]) {
      await card(own).getByText(pill, { exact: true }).waitFor();
    }
    await card(greeter).getByText('Total 0', { exact: true }).waitFor();
    await cancel(id);
    await card(own)
      .getByText(`Active ${active - 1}`, { exact: true })
      .waitFor();

    // chosen by mouse and by keys, in the address, and given up by the tab for all
    const choice = card(greeter).locator('button[aria-pressed]');
    const chosen = () => new URL(page.url()).searchParams.get('repo');
    await choice.click();
    await eventually(chosen, greeter.id);
    await eventually(() => choice.getAttribute('aria-pressed'), 'true');
    await eventually(() => card(greeter).getAttribute('class'), /glow/);
    await page.getByText('No work orders found').waitFor();
    await shot(page, 'repository-chosen');
    await page.getByRole('group', { name: 'Whose orders' }).getByText('octo/greeter').waitFor();
    await page.getByRole('button', { name: 'All Work Orders' }).focus();
    await page.keyboard.press('Enter');
    await row(page, id).waitFor();
    await eventually(chosen, null);
    for (const key of ['Enter', 'Space']) {
      await choice.focus();
      await page.keyboard.press(key);
      await page.locator('aside button[aria-pressed="true"][title]').first().waitFor();
      await eventually(chosen, greeter.id, key);
      await page.keyboard.press(key);
      await row(page, id).waitFor();
    }

    // at the side in a column, or on top in a line that scrolls
    const compact = () => card(own).getAttribute('data-compact');
    const lines = () =>
      page.locator('aside [data-repository]').evaluateAll((all) => new Set(all.map((c) => c.offsetTop)).size);
    await eventually(compact, 'true');
    await eventually(lines, 3);
    await page.getByRole('button', { name: 'Repositories on top' }).click();
    await eventually(compact, 'false');
    await eventually(lines, 1);
    const scrolls = () => page.locator('aside ul').evaluate((list) => getComputedStyle(list).overflowX);
    await eventually(scrolls, 'auto');
    await noViolations(page, 'repositories on top');
    await page.reload();
    await eventually(compact, 'false');
    await page.getByRole('button', { name: 'Repositories at the side' }).click();
    await page.getByRole('button', { name: 'Hide repositories' }).click();
    await gone(own);
    await page.getByRole('button', { name: 'Show repositories', expanded: false }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Show repositories' }).click();
    await card(own).waitFor();

    // one that is added is there at once, and goes when the service refuses it
    await page.getByRole('button', { name: 'New Repo' }).click();
    const letGo = await hold(page, '**/api/v1/repositories');
    await page.getByLabel('Repository URL').fill('https://github.com/octo/greeter');
    await page.getByRole('button', { name: 'Add and verify' }).click();
    const unchecked = page.locator('aside [data-repository="unchecked"]');
    await unchecked.getByText('Checking…').waitFor();
    letGo();
    await unchecked.waitFor({ state: 'detached' });
    await page.getByRole('dialog').getByRole('alert').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });

    for (const r of [own, greeter, parser]) await api('DELETE', `/repositories/${r.id}`);
    await page.goto(`${base}/ui/`);
    await page.getByText('No repositories configured').waitFor();
    await close(t);
  },
};
