// Orders as they were read: an order's record put into every list and page that shows it.
import { type InfiniteData, type QueryClient } from '@tanstack/react-query';
import { remember } from './overtaken';
import type { Order, OrderListAnswer, OrderStatus } from './types';

export interface OrderFilter {
  q?: string;
  repository_url?: string;
  status?: OrderStatus;
  /** Created at or after. */
  since?: string;
  /** Created before. */
  until?: string;
}

type OrderPages = InfiniteData<OrderListAnswer, string | null>;

function matches(order: Order, filter: OrderFilter): boolean {
  if (filter.q) return false; // only the server knows what it looks through
  return (
    (!filter.status || filter.status === order.status) &&
    (!filter.repository_url || filter.repository_url === order.repository_url) &&
    (!filter.since || order.created_at >= filter.since) &&
    (!filter.until || order.created_at < filter.until)
  );
}

/** Puts an order where its age places it, unless that is on a page that was not read; whether it did. */
function insert(pages: OrderListAnswer[], order: Order): boolean {
  const last = pages.at(-1);
  const newer = (o: Order) => o.created_at > order.created_at;
  let at = pages.findIndex((page) => !page.agent_work_orders.every(newer));
  if (at < 0 && !last?.has_more) at = pages.length - 1;
  const page = pages[at];
  if (!page) return false;
  const orders = [...page.agent_work_orders];
  const place = orders.findIndex((o) => !newer(o));
  orders.splice(place < 0 ? orders.length : place, 0, order);
  pages[at] = { ...page, agent_work_orders: orders };
  return true;
}

/** mayCome: whether the order may be added; to a page behind the first that is looked at alone it may not. */
export function changePages(
  pages: OrderListAnswer[],
  id: string,
  order: Order | null,
  filter: OrderFilter,
  mayCome = true,
): OrderListAnswer[] {
  let found = false;
  let more = 0;
  const next = pages.map((page) => {
    const at = page.agent_work_orders.findIndex((o) => o.agent_work_order_id === id);
    if (at < 0) return page;
    found = true;
    const orders = [...page.agent_work_orders];
    if (order && (!filter.status || filter.status === order.status)) orders[at] = order;
    else more -= orders.splice(at, 1).length;
    return { ...page, agent_work_orders: orders };
  });
  if (!found && mayCome && order && matches(order, filter) && insert(next, order)) more = 1;
  return more ? next.map((page) => ({ ...page, total_count: page.total_count + more })) : next;
}

/** Puts an order's record (null: it is gone) into every list and page that has it. */
export function putOrder(client: QueryClient, id: string, order: Order | null): void {
  remember(id, order);
  if (order) client.setQueryData<Order>(['order', id], order);
  for (const [key, data] of client.getQueriesData<OrderPages>({ queryKey: ['orders'] })) {
    if (!data) continue;
    const pages = changePages(data.pages, id, order, key[1] as OrderFilter);
    client.setQueryData(key, { ...data, pages });
  }
}

/** An order as it was read last, wherever that was. */
export function known(client: QueryClient, id: string): Order | undefined {
  const one = client.getQueryData<Order>(['order', id]);
  if (one) return one;
  for (const [, pages] of client.getQueriesData<OrderPages>({ queryKey: ['orders'] })) {
    const found = pages?.pages.flatMap((p) => p.agent_work_orders).find((o) => o.agent_work_order_id === id);
    if (found) return found;
  }
  return undefined;
}
