import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { ReactNode } from 'react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { errorOf } from './api/http';
import { useOrderAction } from './api/actions';
import { putOrder } from './api/orders';
import { readAgain, useOrders } from './api/queries';
import type { Order } from './api/types';
import { ErrorBoundary } from './components/state';
import { problemsOf, toRequest, type Draft } from './new-order/draft';
import { forgetWorkflow, keepWorkflow, move, problemOf } from './lib/own-workflows';
import { planOf, replacePlan } from './lib/plan';
import { remember, remembered } from './lib/storage';
import { GatePanel } from './order/gate-panel';
import { origin, typed } from './settings/setting-row';
import { anOrder } from './testing';

type Answer = { status: number; body: unknown };
let answers: Record<string, Answer>;
let asked: string[];

beforeEach(() => {
  answers = {};
  asked = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    const key = `${init.method} ${url.split('?')[0]}`;
    asked.push(key);
    const { status, body } = answers[key] ?? { status: 404, body: { detail: `nothing at ${key}` } };
    return Promise.resolve(new Response(JSON.stringify(body), { status }));
  });
});

function show(
  children: ReactNode,
  client = new QueryClient({ defaultOptions: { queries: { retry: false } } }),
) {
  render(<QueryClientProvider client={client}>{children}</QueryClientProvider>);
  return client;
}

const ORDERS = '/api/v1/agent-work-orders';
const list = (orders: Order[]) => ({
  status: 200,
  body: { agent_work_orders: orders, total_count: orders.length, has_more: false, next_cursor: null },
});

function Probe() {
  const { orders } = useOrders();
  const act = useOrderAction();
  return (
    <>
      <ul>
        {orders.map((o) => (
          <li key={o.agent_work_order_id}>
            {o.agent_work_order_id} {o.status}
          </li>
        ))}
      </ul>
      <button onClick={() => act.mutate({ id: 'wo-00000001', action: 'pause' })}>pause</button>
    </>
  );
}

describe('actions', () => {
  it('show at once, and are taken back when refused', async () => {
    answers[`GET ${ORDERS}`] = list([anOrder({ status: 'running' })]);
    let refuse: (answer: Response) => void = () => undefined;
    show(<Probe />);
    await screen.findByText('wo-00000001 running');
    vi.stubGlobal('fetch', () => new Promise<Response>((resolve) => (refuse = resolve)));
    await userEvent.click(screen.getByText('pause'));
    await screen.findByText('wo-00000001 paused');
    refuse(new Response(JSON.stringify({ detail: 'no' }), { status: 409 }));
    await screen.findByText('wo-00000001 running');
  });
  it('a new order comes on top of the list that is shown, an ended one goes', async () => {
    answers[`GET ${ORDERS}`] = list([anOrder({ status: 'running' })]);
    const client = show(<Probe />);
    await screen.findByText('wo-00000001 running');
    putOrder(
      client,
      'wo-00000002',
      anOrder({ agent_work_order_id: 'wo-00000002', created_at: '2026-02-02T00:00:00Z' }),
    );
    await waitFor(() => expect(screen.getAllByRole('listitem')[0]?.textContent).toBe('wo-00000002 pending'));
    putOrder(client, 'wo-00000001', null);
    await waitFor(() => expect(screen.getAllByRole('listitem')).toHaveLength(1));
  });
});

describe('a list that is on its way', () => {
  it('is asked for once more when something happened before its first answer', async () => {
    const said: ((answer: string) => void)[] = [];
    function Said() {
      const queryFn = () => new Promise<string>((resolve) => said.push(resolve));
      return <p>{useQuery({ queryKey: ['said'], queryFn }).data}</p>;
    }
    const client = show(<Said />);
    readAgain(client);
    readAgain(client, { queryKey: ['said'] });
    expect(said).toHaveLength(1);
    said.shift()?.('before');
    await waitFor(() => expect(said).toHaveLength(1));
    said.shift()?.('after');
    await screen.findByText('after');
    expect(said).toHaveLength(0);
    readAgain(client, { queryKey: ['said'] });
    await waitFor(() => expect(said).toHaveLength(1));
  });
});

describe('a gate', () => {
  const patch =
    'diff --git a/PRPs/x.md b/PRPs/x.md\nnew file mode 100644\n--- /dev/null\n+++ b/PRPs/x.md\n@@ -0,0 +1,2 @@\n+# The plan\n+<b>not HTML</b>\n';
  const order = anOrder({ status: 'waiting', gates: ['planning'], gate: 'planning' });
  function gate() {
    answers[`GET ${ORDERS}/wo-00000001/diff`] = { status: 200, body: { files: [], patch, truncated: false } };
    const done = vi.fn();
    show(<GatePanel order={order} story={[]} busy={false} onDo={done} onChanges={vi.fn()} />);
    return done;
  }
  const approve = { name: 'Approve and Move to Next Step' };
  it('shows the plan as Markdown, and approves with a comment', async () => {
    const done = gate();
    await screen.findByRole('heading', { name: 'The plan', level: 3 });
    expect(screen.getByText('<b>not HTML</b>')).toBeTruthy();
    expect(screen.getByText(/“Plan” is done. “Execute” begins/)).toBeTruthy();
    expect(screen.getByText('No changes')).toBeTruthy();
    await userEvent.type(screen.getByLabelText('Comment'), 'fine');
    await userEvent.click(screen.getByRole('button', approve));
    expect(done).toHaveBeenCalledWith('approve', 'fine', undefined);
  });
  it('sends a changed plan with the approval', async () => {
    const done = gate();
    await userEvent.click(await screen.findByRole('button', { name: 'Edit plan' }));
    await userEvent.type(screen.getByLabelText('Plan'), ' and more');
    expect(screen.getByText('Unsaved changes')).toBeTruthy();
    await userEvent.click(screen.getByRole('button', approve));
    const prompt = replacePlan('PRPs/x.md', '# The plan\n<b>not HTML</b> and more');
    expect(done).toHaveBeenCalledWith('approve', '', prompt);
    await userEvent.click(screen.getByRole('button', { name: 'Discard changes' }));
    expect(screen.getByText('No changes')).toBeTruthy();
  });
  it('takes only a new file for the plan', () => {
    expect(planOf(patch, null)).toEqual({ path: 'PRPs/x.md', text: '# The plan\n<b>not HTML</b>' });
    expect(planOf(patch.replaceAll('PRPs/x.md', 'docs/idea.md'), null)).toBeNull();
    expect(planOf(patch.replaceAll('PRPs/x.md', 'docs/idea.md'), 'docs/idea.md')?.path).toBe('docs/idea.md');
    expect(planOf(patch.replace('new file mode 100644\n', ''), null)).toBeNull();
    expect(planOf(null, null)).toBeNull();
  });
});

describe('a workflow of one’s own', () => {
  beforeEach(() => remember({ workflows: [] }));
  const own = {
    name: 'plan first',
    steps: ['create-branch', 'planning', 'commit'],
    gates: ['planning', 'commit', 'x'],
  };
  it('is kept with the gates that can be', () => {
    expect(problemOf(own, null)).toBeNull();
    keepWorkflow(own, null);
    expect(remembered().workflows).toEqual([{ ...own, gates: ['planning'] }]);
    expect(problemOf({ ...own, name: ' plan first ' }, null)).toContain('already');
    expect(problemOf(own, 'plan first')).toBeNull();
    keepWorkflow({ ...own, name: 'renamed' }, 'plan first');
    expect(remembered().workflows.map((w) => w.name)).toEqual(['renamed']);
    forgetWorkflow('renamed');
    expect(remembered().workflows).toEqual([]);
  });
  it('lacks a name or steps', () => {
    expect(problemOf({ ...own, name: ' ' }, null)).toContain('name');
    expect(problemOf({ ...own, steps: [] }, null)).toContain('At least one');
  });
  it('has its steps in any order', () => {
    expect(move(['a', 'b', 'c'], 2, -1)).toEqual(['a', 'c', 'b']);
    expect(move(['a', 'b', 'c'], 0, 1)).toEqual(['b', 'a', 'c']);
    expect(move(['a'], 0, -1)).toEqual(['a']);
  });
});

describe('errors', () => {
  it('name the field', () => {
    const error = errorOf(422, {
      detail: [{ type: 'missing', loc: ['body', 'user_request'], msg: 'Field required', input: {} }],
    });
    expect(error.message).toBe('user_request: Field required');
    expect(error.fields).toEqual([{ field: 'user_request', message: 'Field required' }]);
    expect(errorOf(503, null).message).toContain('away');
    expect(errorOf(500, { detail: 'x'.repeat(9000) }).message).toHaveLength(500);
    expect(errorOf(429, {}, '7').retryAfter).toBe(7);
  });
  it('of one page stay there', () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const Broken = () => {
      throw new Error('defect');
    };
    render(
      <ErrorBoundary>
        <Broken />
      </ErrorBoundary>,
    );
    const alert = screen.getByRole('alert');
    expect(within(alert).getByText('defect')).toBeTruthy();
    expect(within(alert).getByRole('button', { name: 'Load anew' })).toBeTruthy();
  });
});

describe('a draft', () => {
  const draft: Draft = {
    repositoryUrl: 'octo/sample',
    sandbox: 'git_worktree',
    workflow: '',
    own: '',
    steps: ['create-branch'],
    gates: [],
    request: 'Add a greeting',
    issue: '',
    agent: '',
    model: '',
    baseBranch: '',
    priority: '0',
  };
  it('says what it lacks', () => {
    expect(problemsOf(draft)).toEqual({});
    expect(problemsOf({ ...draft, request: '', issue: '42' })).toEqual({});
    const bad = { ...draft, repositoryUrl: ' ', steps: [], request: 'short', issue: 'x', priority: '101' };
    expect(Object.keys(problemsOf(bad)).sort()).toEqual([
      'issue',
      'priority',
      'repositoryUrl',
      'request',
      'steps',
    ]);
  });
  it('sends a workflow or steps, never both', () => {
    expect(toRequest(draft, draft.steps)).toMatchObject({
      selected_commands: ['create-branch'],
      user_request: 'Add a greeting',
    });
    const planned = ['create-branch', 'planning', 'commit'];
    const named = toRequest(
      { ...draft, workflow: 'agent_workflow_plan', gates: ['planning', 'commit', 'testing'] },
      planned,
    );
    expect(named.gates).toEqual(['planning']);
    expect(toRequest(draft, draft.steps).gates).toBeUndefined();
    expect(named.workflow_type).toBe('agent_workflow_plan');
    expect(named.selected_commands).toBeUndefined();
  });
});

describe('a setting', () => {
  it('is sent in its own type', () => {
    expect(typed('7', 5)).toEqual({ value: 7 });
    expect(typed('15m', 900)).toEqual({ value: '15m' });
    expect(typed('much', 5)).toHaveProperty('problem');
    expect(typed('true', false)).toEqual({ value: true });
    expect(typed('a, b', [])).toEqual({ value: ['a', 'b'] });
  });
  it('says where its value comes from', () => {
    expect(origin({ source: 'default', value: null, fixed: false })).toBe('Not set');
    expect(origin({ source: 'default', value: 5, fixed: false })).toBe('The default');
    expect(origin({ source: 'stored', value: 5, fixed: false })).toBe('From: stored');
    expect(origin({ source: 'environment AWO_RETENTION_DAYS', value: 9, fixed: true })).toBe(
      'Fixed by: environment AWO_RETENTION_DAYS',
    );
    const inFile = 'changed in the configuration file only';
    expect(origin({ source: 'default', value: [], fixed: true })).toBe(`Not set · ${inFile}`);
    expect(origin({ source: '/etc/awo/config.yaml:3', value: 'x', fixed: true })).toBe(
      `From: /etc/awo/config.yaml:3 · ${inFile}`,
    );
  });
});
