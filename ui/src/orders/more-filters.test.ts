import { describe, expect, it } from 'vitest';
import { anOrder } from '../testing';
import { howMany, matchesMore, readMore } from './more-filters';

const of = (query: string) => readMore(new URLSearchParams(query));

describe('more filters', () => {
  it('are read from the address', () => {
    expect(howMany(of('status=failed'))).toBe(0);
    expect(of('agent=codex&cost=1')).toMatchObject({ agent: 'codex', cost: '1', owner: '' });
    expect(howMany(of('agent=codex&cost=1'))).toBe(2);
  });
  it('each takes its part away', () => {
    const order = anOrder({
      agent: 'codex',
      owner: 'ada',
      workflow_type: 'agent_workflow_plan',
      github_pull_request_state: 'merged',
      usage: { cost_usd: 1.5 },
    });
    const all = 'agent=codex&owner=ada&sandbox=git_worktree&workflow=agent_workflow_plan&pr=merged&cost=1.5';
    expect(matchesMore(order, of(all))).toBe(true);
    for (const other of [
      'agent=claude',
      'owner=eve',
      'sandbox=git_branch',
      'workflow=x',
      'pr=none',
      'cost=1.51',
    ]) {
      expect(matchesMore(order, of(other)), other).toBe(false);
    }
    expect(matchesMore(anOrder(), of('pr=none'))).toBe(true);
    expect(matchesMore(anOrder(), of('cost=.'))).toBe(true);
    expect(matchesMore(anOrder(), of('workflow=create-branch, planning, execute, commit, create-pr'))).toBe(
      true,
    );
  });
});
