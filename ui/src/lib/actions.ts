// What may be done with an order in each state of its life.
import type { OrderAction } from '../api/client';
import type { OrderStatus } from '../api/types';

export type Doing = OrderAction | 'delete';

const ALLOWED: Record<OrderStatus, Doing[]> = {
  pending: ['start', 'cancel'],
  running: ['pause', 'cancel'],
  waiting: ['approve', 'reject', 'cancel'],
  paused: ['resume', 'cancel'],
  completed: ['delete'],
  failed: ['retry', 'delete'],
  cancelled: ['retry', 'delete'],
};

export const ACTION_LABEL: Record<Doing, string> = {
  start: 'Start',
  pause: 'Pause',
  resume: 'Resume',
  retry: 'Retry',
  cancel: 'Cancel',
  approve: 'Approve',
  reject: 'Reject',
  delete: 'Delete',
};

export const allowedActions = (status: OrderStatus): readonly Doing[] => ALLOWED[status];

export const acceptsPrompt = (status: OrderStatus): boolean => status !== 'cancelled';
