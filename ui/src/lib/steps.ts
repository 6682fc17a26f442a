// Which steps there are, what each needs, and how a selection of them is kept whole.

export const STEP_ORDER = [
  'create-branch',
  'planning',
  'execute',
  'prp-review',
  'testing',
  'commit',
  'create-pr',
] as const;

export const DEFAULT_STEPS: string[] = ['create-branch', 'planning', 'execute', 'commit', 'create-pr'];

export const STEP_LABEL: Record<string, string> = {
  'create-branch': 'Create branch',
  planning: 'Plan',
  execute: 'Execute',
  'prp-review': 'Review',
  testing: 'Test',
  commit: 'Commit and push',
  'create-pr': 'Pull request',
  prompt: 'Prompt',
};

export const STEP_HELP: Record<string, string> = {
  'create-branch': 'The agent names a branch for the work.',
  planning: 'Writes a plan into the repository.',
  execute: 'Does what the plan says.',
  'prp-review': 'Reads the result against the plan; a blocker stops the order.',
  testing: 'Runs the tests; a failing test stops the order.',
  commit: 'Commits what is left and pushes the branch.',
  'create-pr': 'Opens a pull request for the branch.',
};

/** Steps that must be selected, all of them, for a step to be. */
const NEEDS_ALL: Record<string, string[]> = {
  execute: ['planning'],
  'prp-review': ['execute'],
  'create-pr': ['create-branch', 'commit'],
};
/** Steps of which one must be selected. */
const NEEDS_ONE: Record<string, string[]> = {
  commit: ['planning', 'execute', 'testing'],
};

export const stepLabel = (step: string): string => STEP_LABEL[step] ?? step;

/** What a step still lacks, in words; null when it can be selected. */
export function missingFor(step: string, selected: readonly string[]): string | null {
  const lacking = (NEEDS_ALL[step] ?? []).filter((s) => !selected.includes(s));
  if (lacking.length > 0) return `Requires: ${lacking.map(stepLabel).join(', ')}`;
  const one = NEEDS_ONE[step];
  if (one && !one.some((s) => selected.includes(s)))
    return `Requires one of: ${one.map(stepLabel).join(', ')}`;
  return null;
}

export function sortSteps(steps: readonly string[]): string[] {
  const place = (step: string) => {
    const at = (STEP_ORDER as readonly string[]).indexOf(step);
    return at < 0 ? STEP_ORDER.length : at;
  };
  return [...steps].sort((a, b) => place(a) - place(b));
}

/** Selects or clears a step; steps that lose what they need go with it. */
export function toggleStep(step: string, selected: readonly string[]): string[] {
  let next = selected.includes(step) ? selected.filter((s) => s !== step) : [...selected, step];
  for (;;) {
    const kept = next.filter((s) => missingFor(s, next) === null);
    if (kept.length === next.length) return sortSteps(next);
    next = kept;
  }
}
