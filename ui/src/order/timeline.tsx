// The phases of an order with what happened in each, and its steps.
import { Check, CircleDashed, LoaderCircle, Minus, X } from 'lucide-react';
import type { LogLine } from '../api/client';
import type { Order, PhaseEntry, Step } from '../api/types';
import { duration, plural } from '../lib/format';
import { useNow } from '../lib/now';
import { phaseViews, type PhaseView } from '../lib/phases';
import { stepLabel } from '../lib/steps';
import { stepViews, type StepView } from '../lib/step-views';

type State = PhaseView['state'];

const MARK: Record<State, { icon: typeof Check; look: string; word: string }> = {
  done: { icon: Check, look: 'border-completed text-completed', word: 'completed' },
  running: { icon: LoaderCircle, look: 'border-running text-running', word: 'in progress' },
  pending: { icon: CircleDashed, look: 'border-line text-soft', word: 'pending' },
  failed: { icon: X, look: 'border-failed text-failed', word: 'stopped' },
  unreached: { icon: Minus, look: 'border-line text-soft', word: 'not reached' },
  skipped: { icon: Minus, look: 'border-line text-soft', word: 'not part of this order' },
};

const PHASE_LABEL = {
  planning: 'Planning',
  implementing: 'Implementation',
  testing: 'Testing',
  completed: 'Completed',
};

function Mark({ state }: { state: State }) {
  const { icon: Icon, look } = MARK[state];
  return (
    <span
      className={`z-10 flex size-7 shrink-0 items-center justify-center rounded-full border-2 bg-card ${look}`}
    >
      <Icon aria-hidden size={15} className={state === 'running' ? 'animate-spin' : ''} />
    </span>
  );
}

function seconds(step: StepView, now: number): string {
  if (step.seconds !== null) return duration(step.seconds);
  if (step.state === 'running' && step.startedAt) return duration((now - Date.parse(step.startedAt)) / 1000);
  return '';
}

export function StepTimeline({ order, steps }: { order: Order; steps: readonly Step[] }) {
  const now = useNow(order.status === 'running');
  const views = stepViews(order, steps);
  return (
    <section aria-labelledby="steps-title" className="card p-4">
      <h2 id="steps-title" className="mb-3 font-semibold">
        Steps
      </h2>
      <ol className="flex flex-col gap-3">
        {views.map((step, at) => (
          <li
            key={step.key}
            aria-label={`${stepLabel(step.step)} - ${MARK[step.state].word}`}
            className="relative flex items-center gap-3"
          >
            {at < views.length - 1 && (
              <span
                aria-hidden
                className={`absolute top-6 left-[13px] h-5 w-0.5 ${step.state === 'done' ? 'bg-completed' : 'bg-line'}`}
              />
            )}
            <Mark state={step.state} />
            <span className="min-w-0 grow truncate">
              {stepLabel(step.step)}
              {step.state !== 'done' && (
                <span className="ml-1.5 text-sm text-soft">{MARK[step.state].word}</span>
              )}
            </span>
            <span className="text-sm text-soft tabular-nums">{seconds(step, now)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

interface PhaseProps {
  order: Order;
  history: readonly PhaseEntry[];
  story: readonly LogLine[];
}

export function PhaseTracker({ order, history, story }: PhaseProps) {
  return (
    <section aria-labelledby="phases-title" className="card p-4">
      <h2 id="phases-title" className="mb-3 font-semibold">
        Phases
      </h2>
      <ol className="space-y-3">
        {phaseViews(order, history, story).map((view) => (
          <li key={view.phase} data-phase={view.phase} data-state={view.state} className="flex gap-3">
            <Mark state={view.state} />
            <div className="min-w-0 grow">
              <p>
                {PHASE_LABEL[view.phase]}
                <span className="ml-1.5 text-sm text-soft">{MARK[view.state].word}</span>
                {view.commits > 0 && (
                  <span className="text-sm text-soft"> · {plural(view.commits, 'commit')}</span>
                )}
              </p>
              {view.notes.length > 0 && (
                <ul className="mt-0.5 space-y-0.5 text-sm text-soft">
                  {view.notes.map((note, at) => (
                    <li key={`${at} ${note}`} className="truncate" title={note}>
                      {note}
                    </li>
                  ))}
                </ul>
              )}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}
