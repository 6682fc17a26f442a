// The steps of an order as a line of beads: what ran, what runs, what is still to come.
import type { Order, Step } from '../api/types';
import { isTerminal } from './attention';

export interface StepView {
  key: string;
  step: string;
  state: 'done' | 'running' | 'pending' | 'failed' | 'unreached';
  seconds: number | null;
  startedAt: string | null;
}

function stateOf(step: Step, order: Order): StepView['state'] {
  if (step.success === true) return 'done';
  if (step.success === false) return 'failed';
  return order.status === 'running' || order.status === 'paused' || order.status === 'waiting'
    ? 'running'
    : 'failed';
}

/** The newest run of each step and of each prompt, then the planned steps that have not run. */
export function stepViews(order: Order, steps: readonly Step[]): StepView[] {
  const newest = new Map<string, Step>();
  for (const step of steps) {
    // a prompt is a step of its own each time; a retried step takes the place of the one that failed
    const key = step.step === 'prompt' ? `prompt ${step.timestamp}` : step.step;
    newest.set(key, step);
  }
  const views: StepView[] = [...newest].map(([key, step]) => ({
    key,
    step: step.step,
    state: stateOf(step, order),
    seconds: step.duration_seconds,
    startedAt: step.timestamp,
  }));
  const ran = new Set(steps.map((step) => step.step));
  for (const step of order.selected_commands) {
    if (ran.has(step)) continue;
    views.push({
      key: step,
      step,
      state: isTerminal(order.status) ? 'unreached' : 'pending',
      seconds: null,
      startedAt: null,
    });
  }
  return views;
}
