// The phases of an order and what happened in each, read from its log.
import type { LogLine } from '../api/client';
import type { Order, OrderPhase, PhaseEntry } from '../api/types';
import { stepLabel } from './steps';

export interface PhaseView {
  phase: OrderPhase;
  state: 'done' | 'running' | 'pending' | 'failed' | 'unreached' | 'skipped';
  notes: string[];
  commits: number;
  startedAt: string | null;
  completedAt: string | null;
}

const WORK: OrderPhase[] = ['planning', 'implementing', 'testing'];
const PHASE_OF_STEP: Record<string, OrderPhase> = {
  planning: 'planning',
  execute: 'implementing',
  'prp-review': 'testing',
  testing: 'testing',
};
const NOTES_MAX = 6;

const str = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Notes of each phase, in the order in which they came. */
export function phaseNotes(lines: readonly LogLine[]): Map<OrderPhase, string[]> {
  const notes = new Map<OrderPhase, string[]>();
  let phase: OrderPhase = 'planning';
  const add = (at: OrderPhase, note: string) => notes.set(at, [...(notes.get(at) ?? []), note]);
  for (const line of lines) {
    if (line.event === 'workflow_phase_started') phase = str(line.phase) as OrderPhase;
    else if (line.event === 'step_started') {
      const step = str(line.step);
      add(PHASE_OF_STEP[step] ?? phase, `Executing ${stepLabel(step)}`);
    } else if (line.event === 'git_branch_created') add(phase, `Created branch ${str(line.git_branch_name)}`);
    else if (line.event === 'git_commit_created') {
      const at = (str(line.phase) as OrderPhase) || phase;
      add(at, `Changes detected in git: ${str(line.sha).slice(0, 8)} ${str(line.subject)}`);
    } else if (line.event === 'step_completed' && str(line.plan_file)) {
      if (line.step === 'planning') add('planning', `Created ${str(line.plan_file)}`);
    } else if (line.event === 'git_push_completed') add(phase, `Pushed ${str(line.git_branch_name)}`);
    else if (line.event === 'github_pull_request_created') {
      add('completed', `Pull request #${String(line.github_pull_request_number)}`);
    }
  }
  return notes;
}

export function phaseViews(
  order: Order,
  history: readonly PhaseEntry[],
  lines: readonly LogLine[],
): PhaseView[] {
  const notes = phaseNotes(lines);
  // git says what is committed; the step that runs may be ahead of it
  const running =
    order.status === 'running' && order.current_step ? PHASE_OF_STEP[order.current_step] : undefined;
  const current =
    running && WORK.indexOf(running) > WORK.indexOf(order.current_phase ?? running)
      ? running
      : (order.current_phase ?? running);
  const planned = new Set(order.selected_commands.map((step) => PHASE_OF_STEP[step]));
  const ended = order.status === 'failed' || order.status === 'cancelled';
  const views = WORK.map((phase, at): PhaseView => {
    const entries = history.filter((entry) => entry.phase === phase);
    const happened = entries.length > 0;
    let state: PhaseView['state'];
    if (order.status === 'completed')
      state = happened || (notes.get(phase)?.length ?? 0) > 0 ? 'done' : 'skipped';
    else if (current === phase) state = ended ? 'failed' : order.status === 'pending' ? 'pending' : 'running';
    else if (current && at < WORK.indexOf(current)) state = happened ? 'done' : 'skipped';
    else if (current === 'completed') state = happened ? 'done' : 'skipped';
    else if (!planned.has(phase)) state = 'skipped';
    else state = ended ? 'unreached' : 'pending';
    return {
      phase,
      state,
      notes: (notes.get(phase) ?? []).slice(-NOTES_MAX),
      commits: entries.reduce((sum, entry) => sum + entry.commits, 0),
      startedAt: entries[0]?.started_at ?? null,
      completedAt: entries.at(-1)?.completed_at ?? null,
    };
  });
  views.push({
    phase: 'completed',
    state: order.status === 'completed' ? 'done' : ended ? 'unreached' : 'pending',
    notes: notes.get('completed') ?? [],
    commits: 0,
    startedAt: null,
    completedAt: order.status === 'completed' ? order.execution_completed_at : null,
  });
  return views;
}
