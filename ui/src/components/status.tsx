// An order's status, never by colour alone.
import { Ban, CircleCheck, CircleDashed, CirclePause, CirclePlay, CircleX, Hand } from 'lucide-react';
import type { OrderStatus } from '../api/types';

const ICON = {
  pending: CircleDashed,
  running: CirclePlay,
  waiting: Hand,
  paused: CirclePause,
  completed: CircleCheck,
  failed: CircleX,
  cancelled: Ban,
} satisfies Record<OrderStatus, unknown>;

const COLOUR: Record<OrderStatus, string> = {
  pending: 'text-pending',
  running: 'text-running',
  waiting: 'text-waiting',
  paused: 'text-paused',
  completed: 'text-completed',
  failed: 'text-failed',
  cancelled: 'text-cancelled',
};

export const STATUS_LABEL: Record<OrderStatus, string> = {
  pending: 'Queued',
  running: 'Running',
  waiting: 'Waiting for you',
  paused: 'Paused',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export function StatusPill({ status }: { status: OrderStatus }) {
  const Icon = ICON[status];
  return (
    <span
      data-status={status}
      className={`inline-flex items-center gap-1 text-sm font-medium whitespace-nowrap ${COLOUR[status]}`}
    >
      <Icon aria-hidden size={16} className={status === 'running' ? 'pulse' : ''} />
      {STATUS_LABEL[status]}
    </span>
  );
}

const DOT: Record<OrderStatus, string> = {
  pending: 'bg-pending',
  running: 'bg-running pulse',
  waiting: 'bg-waiting',
  paused: 'bg-paused',
  completed: 'bg-completed',
  failed: 'bg-failed',
  cancelled: 'bg-cancelled',
};

/** A glance at the status beside something that says it in words. */
export function StatusDot({ status }: { status: OrderStatus }) {
  return (
    <span
      aria-hidden
      data-dot={status}
      className={`size-2.5 shrink-0 rounded-full shadow-[0_0_6px_currentColor] ${DOT[status]} ${COLOUR[status]}`}
    />
  );
}

interface ProgressProps {
  value: number;
  label: string;
  status: OrderStatus;
}

const BAR: Record<OrderStatus, string> = {
  pending: 'bg-pending',
  running: 'bg-running',
  waiting: 'bg-waiting',
  paused: 'bg-paused',
  completed: 'bg-completed',
  failed: 'bg-failed',
  cancelled: 'bg-cancelled',
};

export function ProgressBar({ value, label, status }: ProgressProps) {
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuenow={value}
      aria-valuemin={0}
      aria-valuemax={100}
      className="h-1.5 w-full overflow-hidden rounded-full bg-raised"
    >
      <div
        className={`h-full rounded-full transition-[width] duration-300 ${BAR[status]}`}
        style={{ width: `${Math.max(value, status === 'pending' ? 0 : 3)}%` }}
      />
    </div>
  );
}
