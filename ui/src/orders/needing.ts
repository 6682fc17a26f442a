// The orders that need somebody, whichever page is open.
import { useActivitiesOf } from '../api/latest';
import { useOrders, useUnfinished } from '../api/queries';
import type { Order } from '../api/types';
import { useRemembered } from '../lib/storage';
import { useNow } from '../lib/now';
import { grouped, judgeAll } from './sorting';

/** Each order once, those of the first list first. */
export function together(...lists: (readonly Order[])[]): Order[] {
  return [...new Map(lists.flat().map((order) => [order.agent_work_order_id, order])).values()];
}

/** Their ids, who waits longest first. */
export function useNeeding(): string[] {
  const all = useOrders();
  const unfinished = useUnfinished({}, all.hasNextPage);
  const orders = together(all.orders, unfinished);
  const activities = useActivitiesOf(orders);
  const { seen } = useRemembered();
  const now = useNow(false);
  const groups = grouped(judgeAll(orders, now, seen, activities));
  const needing = groups.find(({ group }) => group === 'attention')?.entries ?? [];
  return needing.map(({ order }) => order.agent_work_order_id);
}
