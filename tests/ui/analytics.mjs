// Figures over the orders that the other scenarios have left.
import { api, close, createOrder, eventually, open, repository, statusBecomes } from './support.mjs';

export const scenarios = {
  async 'analytics: the same figures as the orders'(browser) {
    const listed = () => api('GET', '/agent-work-orders?limit=500');
    if ((await listed()).total_count === 0) {
      await statusBecomes(await createOrder(repository, 'Something to count'), 'completed');
    }
    const { agent_work_orders: orders } = await listed();
    const many = (status) => orders.filter((o) => o.status === status).length;
    const t = await open(browser, '/ui/analytics');
    const { page } = t;
    const words = `${many('completed')} completed, ${many('failed')} failed, ${many('cancelled')} cancelled`;
    await page.getByText(words, { exact: true }).waitFor();
    const days = page.getByRole('list', { name: 'Orders of each day' }).getByRole('listitem');
    await eventually(() => days.count(), 30);
    await page.getByLabel('Period').selectOption('7');
    await eventually(() => days.count(), 7);
    await page.waitForURL(/days=7/);
    await eventually(() => days.last().textContent(), new RegExp(`${many('completed')} completed`));
    await close(t);
  },
};
