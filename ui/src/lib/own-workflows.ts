// Workflows that somebody has put together in this browser: a name for steps and for the gates between them.
import { remember, remembered, type OwnWorkflow } from './storage';

export const NAME_MAX = 60;
export const WORKFLOWS_MAX = 50;

/** Behind the last step nothing waits, and a step that is not there has no gate. */
export function usableGates(gates: readonly string[], steps: readonly string[]): string[] {
  const last = steps.at(-1);
  return steps.filter((step, at) => step !== last && gates.includes(step) && steps.indexOf(step) === at);
}

export function move(steps: readonly string[], at: number, by: -1 | 1): string[] {
  const next = [...steps];
  const [step] = next.splice(at, 1);
  if (step !== undefined) next.splice(Math.max(0, at + by), 0, step);
  return next;
}

/** What hinders a workflow from being kept, in words; null: nothing. */
export function problemOf(workflow: OwnWorkflow, before: string | null): string | null {
  const name = workflow.name.trim();
  if (name === '') return 'Give it a name';
  if (workflow.steps.length === 0) return 'At least one workflow step must be selected';
  const others = remembered().workflows.filter((w) => w.name !== before);
  if (others.some((w) => w.name === name)) return `There is a workflow ${name} already`;
  if (others.length >= WORKFLOWS_MAX) return `${WORKFLOWS_MAX} workflows are kept; remove one first`;
  return null;
}

/** Puts it in the place of the one that was edited, or behind the others. */
export function keepWorkflow(workflow: OwnWorkflow, before: string | null): void {
  const kept = {
    ...workflow,
    name: workflow.name.trim(),
    gates: usableGates(workflow.gates, workflow.steps),
  };
  const all = remembered().workflows;
  const at = all.findIndex((w) => w.name === before);
  remember({ workflows: at < 0 ? [...all, kept] : all.map((w, i) => (i === at ? kept : w)) });
}

export function forgetWorkflow(name: string): void {
  remember({ workflows: remembered().workflows.filter((w) => w.name !== name) });
}
