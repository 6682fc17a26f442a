import { describe, expect, it } from 'vitest';
import type { LogLine } from '../api/client';
import type { Order, Step } from '../api/types';
import { judge, progressOf } from './attention';
import { parseDiff, firstLines } from './diff';
import { ago, branchAddress, cost, duration, repositoryName, safeLink, title } from './format';
import { describe as inWords } from './log-line';
import { LogStore, NO_FILTER } from './log-store';
import { phaseViews } from './phases';
import { stepViews } from './step-views';
import { DEFAULT_STEPS, missingFor, toggleStep } from './steps';
import { anOrder } from '../testing';

const NOW = Date.parse('2026-01-02T12:00:00Z');

describe('format', () => {
  it('says how long something took', () => {
    expect(duration(59.9)).toBe('59s');
    expect(duration(3723)).toBe('1h 2m 3s');
    expect(ago('2026-01-02T11:58:00Z', NOW)).toBe('2m ago');
    expect(ago('2026-01-02T12:05:00Z', NOW)).toBe('in 5m');
    expect(ago('nonsense', NOW)).toBe('–');
  });
  it('says what something costs', () => {
    expect(cost(undefined)).toBe('–');
    expect(cost(0.001)).toBe('< $0.01');
    expect(cost(1.239)).toBe('$1.24');
  });
  it('names a repository in every form of address', () => {
    for (const url of [
      'https://github.com/octo/sample',
      'git@github.com:octo/sample.git',
      'ssh://git@host:22/octo/sample',
      'file:///srv/git/octo/sample.git/',
      'octo/sample',
    ]) {
      expect(repositoryName(url)).toBe('octo/sample');
    }
  });
  it('links only to what is a page', () => {
    expect(branchAddress('https://github.com/o/s', 'feat/a b')).toBe(
      'https://github.com/o/s/tree/feat/a%20b',
    );
    expect(branchAddress('file:///srv/s', 'main')).toBeNull();
    expect(safeLink('javascript:alert(1)')).toBeNull();
    expect(safeLink('https://x/y')).toBe('https://x/y');
  });
  it('takes the first line of a request as title', () => {
    expect(title({ user_request: '\n  Add it\nmore', github_issue_number: null })).toBe('Add it');
    expect(title({ user_request: null, github_issue_number: '42' })).toBe('Issue #42');
  });
});

describe('attention', () => {
  const group = (order: Partial<Order>, seen = {}, last: number | null = null) =>
    judge(anOrder({ updated_at: '2026-01-02T11:59:00Z', ...order }), NOW, seen, last).group;

  it('puts on top what waits for a person', () => {
    expect(group({ status: 'waiting' })).toBe('attention');
    expect(group({ status: 'failed', error_message: 'no' })).toBe('attention');
    expect(group({ status: 'running' })).toBe('running');
    expect(group({ status: 'completed', github_pull_request_state: 'open' })).toBe('review');
    expect(group({ status: 'completed' })).toBe('done');
  });
  it('forgets a failure that was seen, until the next', () => {
    const order = {
      status: 'failed',
      agent_work_order_id: 'wo-00000001',
      execution_completed_at: 'then',
    } as const;
    expect(group(order, { 'wo-00000001': 'then' })).toBe('done');
    expect(group(order, { 'wo-00000001': 'before' })).toBe('attention');
  });
  it('notices an order that says nothing', () => {
    const order = { status: 'running', updated_at: '2026-01-02T11:00:00Z' } as const;
    expect(group(order)).toBe('attention');
    expect(group(order, {}, NOW - 1000)).toBe('running');
  });
  it('counts whole steps', () => {
    expect(progressOf(anOrder({ status: 'running', step_number: 3, total_steps: 5 }))).toBe(40);
    expect(progressOf(anOrder({ status: 'completed', step_number: 5, total_steps: 5 }))).toBe(100);
    expect(progressOf(anOrder({ status: 'pending', total_steps: 0 }))).toBe(0);
    // the step is done and the next has not begun; and an order at its gate
    expect(progressOf(anOrder({ status: 'paused', step_number: 3, total_steps: 5 }), 3)).toBe(60);
    expect(progressOf(anOrder({ status: 'paused', step_number: 3, total_steps: 5 }), 2)).toBe(40);
    expect(progressOf(anOrder({ status: 'waiting', step_number: 2, total_steps: 5 }))).toBe(40);
    expect(progressOf(anOrder({ status: 'failed', step_number: 5, total_steps: 5 }))).toBe(80);
  });
});

describe('steps', () => {
  it('keeps a selection whole', () => {
    expect(missingFor('execute', ['create-branch'])).toBe('Requires: Plan');
    expect(missingFor('commit', ['create-branch'])).toContain('Requires one of');
    // without a plan nothing is executed, so there is nothing to commit and no pull request
    expect(toggleStep('planning', DEFAULT_STEPS)).toEqual(['create-branch']);
    expect(toggleStep('prp-review', DEFAULT_STEPS)).toEqual([
      'create-branch',
      'planning',
      'execute',
      'prp-review',
      'commit',
      'create-pr',
    ]);
  });
  it('shows what ran, runs and is to come', () => {
    const ran = { attempt: 1, usage: {}, artifacts: [], timestamp: 't', duration_seconds: 1 };
    const steps = [
      { ...ran, step: 'create-branch', success: true },
      { ...ran, step: 'planning', success: null, duration_seconds: null },
    ] as unknown as Step[];
    expect(stepViews(anOrder({ status: 'running' }), steps).map((v) => v.state)).toEqual([
      'done',
      'running',
      'pending',
      'pending',
      'pending',
    ]);
    expect(stepViews(anOrder({ status: 'cancelled' }), steps)[4]?.state).toBe('unreached');
  });
});

const line = (seq: number, event: string, more: Partial<LogLine> = {}): LogLine => ({
  seq,
  timestamp: '2026-01-02T11:00:00Z',
  level: 'info',
  event,
  agent_work_order_id: 'wo-00000001',
  ...more,
});

describe('phases', () => {
  it('says which phase runs and what happened in it', () => {
    const views = phaseViews(
      anOrder({ status: 'running', current_phase: 'planning', current_step: 'execute' }),
      [{ phase: 'planning', started_at: 't', completed_at: null, commits: 1 }],
      [
        line(1, 'step_started', { step: 'planning' }),
        line(2, 'git_commit_created', { sha: 'abcdef0123', subject: 'docs: plan', phase: 'planning' }),
        line(3, 'step_completed', { step: 'planning', plan_file: 'PRPs/x.md' }),
        line(4, 'step_started', { step: 'execute' }),
      ],
    );
    expect(views.map((v) => v.state)).toEqual(['done', 'running', 'skipped', 'pending']);
    const ended = phaseViews(anOrder({ status: 'failed', current_phase: 'planning' }), [], []);
    expect(ended.map((v) => v.state)).toEqual(['failed', 'unreached', 'skipped', 'unreached']);
    expect(views[0]?.notes).toEqual([
      'Executing Plan',
      'Changes detected in git: abcdef01 docs: plan',
      'Created PRPs/x.md',
    ]);
  });
});

describe('log', () => {
  it('takes each line once, and filters', () => {
    const store = new LogStore();
    store.add(line(10, 'agent_output', { kind: 'text', text: 'hello' }));
    store.add(line(20, 'step_started', { step: 'planning', level: 'error' }));
    store.add(line(10, 'agent_output'));
    store.flush();
    expect(store.get().total).toBe(2);
    expect(store.getStory().map((l) => l.seq)).toEqual([20]);
    store.setFilter({ ...NO_FILTER, level: 'error' });
    expect(store.get().visible.map((l) => l.seq)).toEqual([20]);
    store.setFilter({ ...NO_FILTER, text: 'HELLO' });
    expect(store.get().visible.map((l) => l.seq)).toEqual([10]);
    store.setFilter(NO_FILTER);
    store.clear();
    expect(store.get().visible).toEqual([]);
    store.add(line(30, 'agent_output'));
    store.flush();
    expect(store.get().visible.map((l) => l.seq)).toEqual([30]);
  });
  it('keeps up with 100,000 lines', () => {
    const store = new LogStore();
    for (let seq = 1; seq <= 200_000; seq++)
      store.add(line(seq, 'agent_output', { kind: 'text', text: 'x' }));
    store.flush();
    expect(store.get().total).toBeLessThanOrEqual(150_000);
    expect(store.get().visible.at(-1)?.seq).toBe(200_000);
    expect(store.get().dropped).toBe(1);
  });
  it('puts lines into words', () => {
    expect(inWords(line(1, 'agent_output', { kind: 'tool_use', tool: 'Bash', input: 'ls' }))).toBe(
      '▸ Bash: ls',
    );
    expect(inWords(line(1, 'step_completed', { step: 'execute', success: false, error_message: 'no' }))).toBe(
      'Execute failed: no',
    );
    expect(inWords(line(1, 'something_new', { answer: 42 }))).toBe('answer=42');
  });
});

describe('diff', () => {
  const patch = [
    'diff --git a/a b.txt b/a b.txt',
    'index 1..2 100644',
    '--- a/a b.txt\t',
    '+++ b/a b.txt\t',
    '@@ -1,2 +1,2 @@ head',
    ' same',
    '-old',
    '+new',
    '\\ No newline at end of file',
    'diff --git "a/\\303\\244.bin" "b/\\303\\244.bin"',
    'new file mode 100644',
    'Binary files /dev/null and "b/\\303\\244.bin" differ',
    '',
  ].join('\n');

  it('reads files, hunks and numbers', () => {
    const files = parseDiff(patch);
    expect(files.map((f) => f.path)).toEqual(['a b.txt', 'ä.bin']);
    expect(files[0]?.hunks[0]?.lines.map((l) => [l.kind, l.oldNumber, l.newNumber])).toEqual([
      ['context', 1, 1],
      ['removed', 2, null],
      ['added', null, 2],
      ['note', null, null],
    ]);
    expect(firstLines(files[0]?.hunks ?? [], 1)[0]?.lines).toHaveLength(1);
  });
  it('survives what is no diff', () => {
    expect(parseDiff('')).toEqual([]);
    expect(parseDiff('nonsense\n@@ -1 +1 @@\n+x')).toEqual([]);
  });
});
