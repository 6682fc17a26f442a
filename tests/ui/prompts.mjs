// Telling an agent more.
import assert from 'node:assert/strict';
import { close, createOrder, open, orderPath, repository, statusBecomes } from './support.mjs';

export const scenarios = {
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
    assert.equal(await box.inputValue(), '/planning ');
    await box.fill('Also mention the weather');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Prompt accepted').first().waitFor();
    assert.equal(await box.inputValue(), '');
    await page.getByRole('listitem', { name: 'Prompt - completed' }).waitFor({ timeout: 30_000 });
    await close(t);
  },
};
