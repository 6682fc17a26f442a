// Which orders need a person, and why: what the list of orders is sorted by.
import type { Order } from '../api/types';
import { stepLabel } from './steps';
import { clockTime } from './format';

export const GROUPS = ['attention', 'running', 'paused', 'queued', 'review', 'done'] as const;
export type Group = (typeof GROUPS)[number];

export const GROUP_TITLE: Record<Group, string> = {
  attention: 'Needs you',
  running: 'Running',
  paused: 'Paused',
  queued: 'Queued',
  review: 'Ready for review',
  done: 'Finished',
};

/** A running order that said nothing for so long is worth a look. */
export const QUIET_SECONDS = 600;

export interface Verdict {
  group: Group;
  /** What the person should know or do; empty where the status says it all. */
  why: string;
}

export const isTerminal = (status: Order['status']): boolean =>
  status === 'completed' || status === 'failed' || status === 'cancelled';

export const isActive = (status: Order['status']): boolean => status === 'running' || status === 'pending';

/** lastActivity: milliseconds of the newest thing that was heard of the order, when something was. */
export function judge(
  order: Order,
  now: number,
  seen: Record<string, string>,
  lastActivity: number | null = null,
): Verdict {
  switch (order.status) {
    case 'waiting':
      return {
        group: 'attention',
        why: `Waits for your approval${order.gate ? ` after “${stepLabel(order.gate)}”` : ''}.`,
      };
    case 'failed':
      if (seen[order.agent_work_order_id] !== failedAt(order)) {
        return { group: 'attention', why: order.error_message ?? 'It failed without a reason.' };
      }
      return { group: 'done', why: order.error_message ?? '' };
    case 'running': {
      const last = Math.max(lastActivity ?? 0, Date.parse(order.updated_at));
      const quiet = Math.floor((now - last) / 1000);
      if (quiet >= QUIET_SECONDS) {
        return { group: 'attention', why: `Has said nothing for ${Math.floor(quiet / 60)} minutes.` };
      }
      return { group: 'running', why: '' };
    }
    case 'paused':
      return { group: 'paused', why: 'Paused; it keeps its workspace.' };
    case 'pending':
      if (order.retry_at && Date.parse(order.retry_at) > now) {
        const because = order.error_message ? ` ${order.error_message}` : '';
        return {
          group: 'queued',
          why: `Tries again at ${clockTime(order.retry_at)}, attempt ${order.attempt}.${because}`,
        };
      }
      return {
        group: 'queued',
        why: order.queue_position ? `Number ${order.queue_position} in the queue.` : '',
      };
    case 'completed':
      return order.github_pull_request_state === 'open'
        ? { group: 'review', why: `Pull request #${order.github_pull_request_number} is open.` }
        : { group: 'done', why: '' };
    case 'cancelled':
      return { group: 'done', why: '' };
  }
}

/** When an order failed, as the mark "seen" remembers it: a later failure is news again. */
export function failedAt(order: Order): string {
  return order.execution_completed_at ?? order.updated_at;
}

/**
 * Done of all steps, 0 to 100. The record names the step that runs or ran last; completed is the number of the newest
 * one that is known to be done, and an order at a gate has done the one before it.
 */
export function progressOf(order: Order, completed: number | null = null): number {
  if (order.status === 'completed') return 100;
  if (order.total_steps === 0) return 0;
  const isDone = order.status === 'waiting' || completed === order.step_number;
  const done = isDone ? order.step_number : Math.max(0, order.step_number - 1);
  return Math.min(100, Math.round((done / order.total_steps) * 100));
}

export function elapsedSeconds(order: Order, now: number): number | null {
  if (!order.execution_started_at) return null;
  const end = order.execution_completed_at ? Date.parse(order.execution_completed_at) : now;
  return Math.max(0, (end - Date.parse(order.execution_started_at)) / 1000);
}
