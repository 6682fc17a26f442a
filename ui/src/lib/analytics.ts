// Figures over many orders: how many, how well, how long, how dear.
import type { Order } from '../api/types';

const DAY_MS = 86_400_000;

export interface Day {
  /** As "2026-01-31", in the person's own time. */
  date: string;
  completed: number;
  failed: number;
  cancelled: number;
  open: number;
}

export interface Row {
  name: string;
  orders: number;
  completed: number;
  failed: number;
  cost: number;
  /** Of those that completed; null: none did. */
  medianSeconds: number | null;
}

export interface Figures {
  orders: number;
  completed: number;
  failed: number;
  cancelled: number;
  /** Completed of all that came to an end by themselves, 0 to 1; null: none did. */
  successRate: number | null;
  medianSeconds: number | null;
  cost: number;
  tokens: number;
  retried: number;
  pullRequests: number;
  merged: number;
  linesChanged: number;
  days: Day[];
  repositories: Row[];
  agents: Row[];
  failures: { category: string; count: number }[];
}

export function dateOf(ms: number): string {
  const d = new Date(ms);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 ? high : ((sorted[middle - 1] ?? 0) + high) / 2;
}

const sum = (orders: readonly Order[], of: (order: Order) => number): number =>
  orders.reduce((total, order) => total + of(order), 0);
const count = (orders: readonly Order[], is: (order: Order) => boolean): number => orders.filter(is).length;
const cost = (order: Order): number => order.usage.cost_usd ?? 0;

function seconds(order: Order): number | null {
  if (order.status !== 'completed' || !order.execution_started_at || !order.execution_completed_at)
    return null;
  return (Date.parse(order.execution_completed_at) - Date.parse(order.execution_started_at)) / 1000;
}

const medianOf = (orders: readonly Order[]): number | null =>
  median(orders.map(seconds).filter((s): s is number => s !== null));

/** By some name, those with most orders first. */
function rows(orders: readonly Order[], name: (order: Order) => string): Row[] {
  const groups = new Map<string, Order[]>();
  for (const order of orders) groups.set(name(order), [...(groups.get(name(order)) ?? []), order]);
  return [...groups]
    .map(([key, some]) => ({
      name: key,
      orders: some.length,
      completed: count(some, (o) => o.status === 'completed'),
      failed: count(some, (o) => o.status === 'failed'),
      cost: sum(some, cost),
      medianSeconds: medianOf(some),
    }))
    .sort((a, b) => b.orders - a.orders || a.name.localeCompare(b.name));
}

function perDay(orders: readonly Order[], now: number, days: number): Day[] {
  const all = new Map<string, Day>();
  for (let back = days - 1; back >= 0; back--) {
    // noon, so that a day of 23 or 25 hours is not left out or counted twice
    const noon = new Date(now - back * DAY_MS).setHours(12, 0, 0, 0);
    all.set(dateOf(noon), { date: dateOf(noon), completed: 0, failed: 0, cancelled: 0, open: 0 });
  }
  for (const order of orders) {
    const day = all.get(dateOf(Date.parse(order.created_at)));
    if (!day) continue;
    if (order.status === 'completed' || order.status === 'failed' || order.status === 'cancelled')
      day[order.status]++;
    else day.open++;
  }
  return [...all.values()];
}

/** Figures over the orders that were made in the last days. */
export function figures(orders: readonly Order[], now: number, days: number): Figures {
  const completed = count(orders, (o) => o.status === 'completed');
  const failed = count(orders, (o) => o.status === 'failed');
  const failures = new Map<string, number>();
  for (const order of orders) {
    if (order.status !== 'failed') continue;
    const category = order.error_category ?? 'unknown';
    failures.set(category, (failures.get(category) ?? 0) + 1);
  }
  return {
    orders: orders.length,
    completed,
    failed,
    cancelled: count(orders, (o) => o.status === 'cancelled'),
    successRate: completed + failed === 0 ? null : completed / (completed + failed),
    medianSeconds: medianOf(orders),
    cost: sum(orders, cost),
    tokens: sum(orders, (o) => (o.usage.input_tokens ?? 0) + (o.usage.output_tokens ?? 0)),
    retried: count(orders, (o) => o.attempt > 1),
    pullRequests: count(orders, (o) => o.github_pull_request_number !== null),
    merged: count(orders, (o) => o.github_pull_request_state === 'merged'),
    linesChanged: sum(orders, (o) => o.git_lines_added + o.git_lines_removed),
    days: perDay(orders, now, days),
    repositories: rows(orders, (o) => o.repository_url),
    agents: rows(orders, (o) => (o.model ? `${o.agent}, ${o.model}` : o.agent)),
    failures: [...failures]
      .map(([category, n]) => ({ category, count: n }))
      .sort((a, b) => b.count - a.count || a.category.localeCompare(b.category)),
  };
}
