// The plan that an order's agent wrote, as its branch has it.
import type { LogLine } from '../api/client';
import { parseDiff } from './diff';

const PLAN = /(^|\/)(PRPs|specs)\/|(^|\/)plan[^/]*\.md$/i;

/** The plan file, as the newest step that found one says. */
export function planFile(story: readonly LogLine[]): string | null {
  const plans = story.filter((line) => line.event === 'step_completed').map((line) => line.plan_file);
  return plans.findLast((plan): plan is string => typeof plan === 'string') ?? null;
}

/** The plan's text out of a diff: the file is new, so its added lines are all of it. */
export function planOf(
  patch: string | null | undefined,
  path: string | null,
): { path: string; text: string } | null {
  const added = parseDiff(patch ?? '').filter((f) => f.notes.some((n) => n.startsWith('new file')));
  const file = added.find((f) => f.path === path) ?? added.find((f) => PLAN.test(f.path));
  if (!file) return null;
  const lines = file.hunks.flatMap((hunk) => hunk.lines.filter((l) => l.kind === 'added').map((l) => l.text));
  return { path: file.path, text: lines.join('\n') };
}

/** What an agent is told when a person has edited its plan. */
export function replacePlan(path: string, text: string): string {
  return `Replace the content of \`${path}\` with exactly this, and commit it:\n\n${text}\n`;
}
