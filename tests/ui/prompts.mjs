// Telling an agent more.
import assert from 'node:assert/strict';
import {
  base,
  close,
  createOrder,
  eventually,
  hold,
  open,
  orderPath,
  repository,
  statusBecomes,
} from './support.mjs';

export const scenarios = {
  async 'what comes while one presses a button does not move it away'(browser) {
    const id = await createOrder(repository, 'Plan something small', {
      selected_commands: ['create-branch', 'planning'],
    });
    await statusBecomes(id, 'completed');
    const t = await open(browser, '');
    const { page } = t;
    // what happened in each phase, and what was done last, is not there when the button is pressed
    const letGo = await hold(page, '**/logs?*');
    await page.goto(base + orderPath(id));
    const box = page.getByLabel('Prompt the agent');
    await box.fill('/plan');
    await page.getByRole('button', { name: '/planning', exact: true }).hover();
    await page.mouse.down();
    assert.equal(await page.locator('[data-latest]').count(), 0);
    letGo();
    await page.locator('[data-latest]').waitFor();
    await page
      .locator('[data-phase="planning"]')
      .getByText(/^Created PRPs\//)
      .waitFor();
    await page.mouse.up();
    await eventually(() => box.inputValue(), '/planning ');
    // nor what moves all of the page; who moves the pointer itself has thought better of it
    const press = async () => {
      await box.fill('/plan');
      await page.getByRole('button', { name: '/planning', exact: true }).hover();
      await page.mouse.down();
    };
    await press();
    await page.evaluate(() => (document.querySelector('main').style.marginTop = '300px'));
    await page.mouse.up();
    await eventually(() => box.inputValue(), '/planning ');
    await press();
    await page.mouse.move(900, 300);
    await page.mouse.up();
    await box.press('End');
    assert.equal(await box.inputValue(), '/plan');
    await close(t);
  },

  async 'a prompt, accepted and refused'(browser) {
    const id = await createOrder(repository, 'Plan something small', {
      selected_commands: ['create-branch', 'planning'],
    });
    await statusBecomes(id, 'completed');
    const t = await open(browser, orderPath(id));
    const { page } = t;
    const box = page.getByLabel('Prompt the agent');
    await box.fill('/plan');
    await page.getByRole('button', { name: '/planning', exact: true }).click();
    await eventually(() => box.inputValue(), '/planning ');
    await box.fill('Also mention the weather');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Prompt accepted').first().waitFor();
    await eventually(() => box.inputValue(), '');
    await page.getByRole('listitem', { name: 'Prompt - completed' }).waitFor();
    await close(t);
  },
};
