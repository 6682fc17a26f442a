import { describe, expect, it } from 'vitest';
import { anOrder } from '../testing';
import { changePages, type OrderFilter } from './orders';
import type { Order, OrderListAnswer } from './types';

const at = (n: number, status: Order['status'] = 'running') =>
  anOrder({ agent_work_order_id: `wo-0000000${n}`, created_at: `2026-01-0${n}T00:00:00Z`, status });

/** Two pages of two orders, newest first, of five in all. */
const pages: OrderListAnswer[] = [
  { agent_work_orders: [at(9), at(7)], total_count: 5, has_more: true, next_cursor: 'a' },
  { agent_work_orders: [at(5), at(3)], total_count: 5, has_more: true, next_cursor: 'b' },
];

const after = (order: Order | null, id: string, filter: OrderFilter = {}) =>
  changePages(pages, id, order, filter)
    .map(
      (page) =>
        `${page.agent_work_orders.map((o) => o.agent_work_order_id.at(-1)).join('')} of ${page.total_count}`,
    )
    .join(', ');

describe('pages of orders when one of them changes', () => {
  it('have it in its place, and count it once', () => {
    expect(after(at(7, 'paused'), at(7).agent_work_order_id)).toBe('97 of 5, 53 of 5');
    expect(after(at(6), at(6).agent_work_order_id)).toBe('97 of 6, 653 of 6');
    expect(after(at(1), at(1).agent_work_order_id)).toBe('97 of 5, 53 of 5');
  });

  it('do not count one that is gone, or that the filter no longer takes', () => {
    expect(after(null, at(5).agent_work_order_id)).toBe('97 of 4, 3 of 4');
    expect(after(at(9, 'completed'), at(9).agent_work_order_id, { status: 'running' })).toBe(
      '7 of 4, 53 of 4',
    );
    expect(after(at(8, 'completed'), at(8).agent_work_order_id, { status: 'running' })).toBe(
      '97 of 5, 53 of 5',
    );
  });
});
