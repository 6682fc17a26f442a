// Says so when an order begins to need somebody who looks at another page.
import type { Order } from '../api/types';
import { title } from '../lib/format';
import { toast } from '../lib/toasts';
import { orderPath } from './order-row';

/** before: undefined where nothing was known of it. The list shows it by itself, and so does the order's own page. */
export function tellIfNeeding(before: Order | undefined, order: Order | null): void {
  if (!order || !before || before.status === order.status) return;
  const path = orderPath(order.agent_work_order_id);
  const here = location.pathname.replace(/^\/ui/, '');
  if (here === path || here === '/agent-work-orders') return;
  const what = title(order).slice(0, 80);
  if (order.status === 'waiting')
    toast.warning(`Waits for you: ${what}`, 'Its plan is to be approved.', path);
  if (order.status === 'failed') toast.warning(`Failed: ${what}`, order.error_message ?? undefined, path);
}
