// A new work order in three steps: repository, sandbox and workflow, request.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { api } from '../api/client';
import { putOrder } from '../api/orders';
import { useRepositories, useWorkflows } from '../api/queries';
import type { Repository } from '../api/types';
import { Button, ButtonLink } from '../components/button';
import { DEFAULT_STEPS } from '../lib/steps';
import { usePageTitle } from '../lib/title';
import { toast } from '../lib/toasts';
import { problemsOf, toRequest, type Draft, type Problems } from '../new-order/draft';
import { RepositoryStep } from '../new-order/repository-step';
import { RequestStep } from '../new-order/request-step';
import { WorkflowStep } from '../new-order/workflow-step';
import { orderPath } from '../orders/order-row';

const EMPTY: Draft = {
  repositoryUrl: '',
  sandbox: 'git_worktree',
  workflow: '',
  own: '',
  steps: DEFAULT_STEPS,
  gates: [],
  request: '',
  issue: '',
  agent: '',
  model: '',
  baseBranch: '',
  priority: '0',
};

const STEPS: { title: string; fields: (keyof Draft)[] }[] = [
  { title: 'Repository', fields: ['repositoryUrl'] },
  { title: 'Sandbox and workflow', fields: ['sandbox', 'workflow', 'steps', 'gates'] },
  { title: 'Request', fields: ['request', 'issue', 'agent', 'model', 'baseBranch', 'priority'] },
];

const fromRepository = (r: Repository): Partial<Draft> => ({
  repositoryUrl: r.repository_url,
  sandbox: r.default_sandbox_type,
  steps: r.default_commands,
  workflow: '',
  own: '',
});

/** What of the draft's problems belongs to a step. */
function within(problems: Problems, step: number): Problems {
  const fields = STEPS[step]?.fields ?? [];
  return Object.fromEntries(Object.entries(problems).filter(([key]) => fields.includes(key as keyof Draft)));
}

export function NewOrderPage() {
  const [, navigate] = useLocation();
  const client = useQueryClient();
  const [search] = useSearchParams();
  const repositories = useRepositories().data;
  const preselected = repositories?.find((r) => r.id === search.get('repo'));
  const [own, setOwn] = useState<Partial<Draft>>({});
  const [step, setStep] = useState(0);
  const [tried, setTried] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  // a key for this draft: sent twice, it is still one order
  const [key] = useState(() => crypto.randomUUID());

  const draft: Draft = { ...EMPTY, ...(preselected ? fromRepository(preselected) : {}), ...own };
  const workflows = useWorkflows().data;
  const planned = draft.workflow
    ? (workflows?.find((w) => w.name === draft.workflow)?.steps ?? [])
    : draft.steps;
  const all = problemsOf(draft);
  const problems = within(all, step);
  const shown = tried ? problems : {};
  const last = step === STEPS.length - 1;

  const create = useMutation({
    mutationFn: () => api.createOrder(toRequest(draft, planned), key),
    onSuccess: ({ agent_work_order: order }) => {
      putOrder(client, order.agent_work_order_id, order);
      toast.success('Work order created', order.agent_work_order_id);
      navigate(orderPath(order.agent_work_order_id));
    },
  });

  usePageTitle('New work order');
  useEffect(() => {
    heading.current?.focus();
  }, [step]);

  const change = (next: Partial<Draft>) => setOwn((before) => ({ ...before, ...next }));

  function go(to: number): void {
    setTried(false);
    setStep(to);
  }

  function submit(event: FormEvent): void {
    event.preventDefault();
    setTried(true);
    if (Object.keys(problems).length > 0) return;
    if (last) create.mutate();
    else go(step + 1);
  }

  return (
    <form onSubmit={submit} noValidate className="mx-auto max-w-3xl space-y-5">
      <h1 className="text-xl font-semibold">New work order</h1>
      <ol className="flex flex-wrap gap-2" aria-label="Parts of the order">
        {STEPS.map(({ title }, at) => (
          <li key={title}>
            <Button
              small
              aria-current={at === step ? 'step' : undefined}
              className={at === step ? 'border-accent bg-accent-soft' : ''}
              disabled={at > step}
              onClick={() => go(at)}
            >
              {at + 1}. {title}
            </Button>
          </li>
        ))}
      </ol>
      <div className="card space-y-4 p-4 sm:p-5">
        <h2 ref={heading} tabIndex={-1} className="text-lg font-semibold outline-none">
          {STEPS[step]?.title}
        </h2>
        {step === 0 && (
          <RepositoryStep
            url={draft.repositoryUrl}
            problem={shown.repositoryUrl}
            onUrl={(repositoryUrl) => change({ repositoryUrl })}
            onRepository={(repository) => change(fromRepository(repository))}
          />
        )}
        {step === 1 && (
          <WorkflowStep draft={draft} planned={planned} problem={shown.steps} onChange={change} />
        )}
        {step === 2 && <RequestStep draft={draft} problems={shown} onChange={change} />}
        {create.isError && (
          <p role="alert" className="text-sm font-medium break-words text-failed">
            {create.error.message}
          </p>
        )}
        <div className="flex justify-between gap-2">
          <ButtonLink to="/agent-work-orders" look="quiet">
            Cancel
          </ButtonLink>
          <span className="flex gap-2">
            {step > 0 && <Button onClick={() => go(step - 1)}>Back</Button>}
            <Button type="submit" look="primary" busy={create.isPending}>
              {last ? (create.isPending ? 'Creating…' : 'Create Work Order') : 'Next'}
            </Button>
          </span>
        </div>
      </div>
    </form>
  );
}
