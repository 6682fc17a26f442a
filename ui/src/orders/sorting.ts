// Puts orders into the sequence that the person asked for.
import type { Order } from '../api/types';
import { GROUPS, judge, type Group, type Verdict } from '../lib/attention';
import type { Activity } from '../api/live';

export const SORTS = {
  attention: 'Who needs me',
  newest: 'Newest first',
  oldest: 'Oldest first',
  changed: 'Last changed',
  cost: 'Highest cost',
  priority: 'Highest priority',
} as const;
export type Sort = keyof typeof SORTS;

export interface Judged {
  order: Order;
  verdict: Verdict;
}

const COMPARE: Record<Exclude<Sort, 'attention'>, (a: Order, b: Order) => number> = {
  newest: (a, b) => b.created_at.localeCompare(a.created_at),
  oldest: (a, b) => a.created_at.localeCompare(b.created_at),
  changed: (a, b) => b.updated_at.localeCompare(a.updated_at),
  cost: (a, b) => (b.usage.cost_usd ?? 0) - (a.usage.cost_usd ?? 0),
  priority: (a, b) => b.priority - a.priority || b.created_at.localeCompare(a.created_at),
};

/** Within a group: who waits longest first, the queue in its own order, what has ended newest first. */
function compareInGroup(group: Group): (a: Judged, b: Judged) => number {
  switch (group) {
    case 'queued':
      return (a, b) => (a.order.queue_position ?? Infinity) - (b.order.queue_position ?? Infinity);
    case 'attention':
    case 'paused':
      return (a, b) => a.order.updated_at.localeCompare(b.order.updated_at);
    case 'running':
      return (a, b) => (a.order.execution_started_at ?? '').localeCompare(b.order.execution_started_at ?? '');
    default:
      return (a, b) => b.order.updated_at.localeCompare(a.order.updated_at);
  }
}

export function judgeAll(
  orders: readonly Order[],
  now: number,
  seen: Record<string, string>,
  activities: ReadonlyMap<string, Activity>,
): Judged[] {
  return orders.map((order) => ({
    order,
    verdict: judge(order, now, seen, activities.get(order.agent_work_order_id)?.at ?? null),
  }));
}

export function grouped(all: readonly Judged[]): { group: Group; entries: Judged[] }[] {
  return GROUPS.map((group) => ({
    group,
    entries: all.filter((entry) => entry.verdict.group === group).sort(compareInGroup(group)),
  })).filter(({ entries }) => entries.length > 0);
}

export function sorted(all: readonly Judged[], sort: Exclude<Sort, 'attention'>): Judged[] {
  return [...all].sort((a, b) => COMPARE[sort](a.order, b.order));
}
