// Further filters of the list, in the page's address: agent, owner, sandbox, pull request, cost.
import { useMemo, type ReactNode } from 'react';
import { useSearchParams } from 'wouter';
import type { Order } from '../api/types';
import { Button } from '../components/button';
import { Field } from '../components/field';
import { Empty } from '../components/state';
import { SANDBOX_LABEL } from '../repositories/repository-dialogs';
import type { Judged } from './sorting';

export const PULL_REQUEST = {
  open: 'Open',
  merged: 'Merged',
  closed: 'Closed',
  none: 'None',
} as const;

export interface More {
  agent: string;
  owner: string;
  sandbox: string;
  workflow: string;
  pr: string;
  /** In dollars, at least. */
  cost: string;
}
const KEYS = ['agent', 'owner', 'sandbox', 'workflow', 'pr', 'cost'] as const;

export function readMore(search: URLSearchParams): More {
  return Object.fromEntries(KEYS.map((key) => [key, search.get(key) ?? ''])) as unknown as More;
}

export const howMany = (more: More): number => KEYS.filter((key) => more[key] !== '').length;

/** The name of an order's workflow, or its steps. */
export const workflowOf = (order: Order): string => order.workflow_type ?? order.selected_commands.join(', ');

export function matchesMore(order: Order, more: More): boolean {
  const cost = Number(more.cost);
  return (
    (more.agent === '' || order.agent === more.agent) &&
    (more.owner === '' || order.owner === more.owner) &&
    (more.sandbox === '' || order.sandbox_type === more.sandbox) &&
    (more.workflow === '' || workflowOf(order) === more.workflow) &&
    (more.pr === '' || (order.github_pull_request_state ?? 'none') === more.pr) &&
    (more.cost === '' || Number.isNaN(cost) || (order.usage.cost_usd ?? 0) >= cost)
  );
}

interface ChooseProps {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}

function Choose({ label, value, options, onChange }: ChooseProps) {
  return (
    <Field label={label}>
      <select className="input" value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">Any</option>
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

interface Props {
  more: More;
  /** What there is to choose from is what these have. */
  orders: readonly Order[];
  onChange: (key: keyof More, value: string | null) => void;
  onClear: () => void;
}

function MoreFilters({ more, orders, onChange, onClear }: Props) {
  const offered = useMemo(() => {
    const of = (value: (order: Order) => string, chosen: string) =>
      [...new Set([...orders.map(value), ...(chosen ? [chosen] : [])])].sort().map((v) => [v, v] as const);
    return {
      agent: of((o) => o.agent, more.agent),
      owner: of((o) => o.owner, more.owner),
      workflow: of(workflowOf, more.workflow),
    };
  }, [orders, more]);
  const many = howMany(more);
  return (
    <details className="card px-4 py-2" open={many > 0 || undefined}>
      <summary className="text-sm font-medium">
        More filters{many > 0 && <span className="text-accent"> ({many} in use)</span>}
      </summary>
      <div className="grid gap-3 py-3 sm:grid-cols-2 lg:grid-cols-3">
        <Choose
          label="Agent"
          value={more.agent}
          options={offered.agent}
          onChange={(v) => onChange('agent', v)}
        />
        <Choose
          label="Owner"
          value={more.owner}
          options={offered.owner}
          onChange={(v) => onChange('owner', v)}
        />
        <Choose
          label="Sandbox"
          value={more.sandbox}
          options={Object.entries(SANDBOX_LABEL)}
          onChange={(v) => onChange('sandbox', v)}
        />
        <Choose
          label="Workflow"
          value={more.workflow}
          options={offered.workflow}
          onChange={(v) => onChange('workflow', v)}
        />
        <Choose
          label="Pull request"
          value={more.pr}
          options={Object.entries(PULL_REQUEST)}
          onChange={(v) => onChange('pr', v)}
        />
        <Field label="Cost at least">
          <input
            className="input"
            inputMode="decimal"
            placeholder="0.50"
            value={more.cost}
            onChange={(event) => onChange('cost', event.target.value.replace(/[^0-9.]/g, ''))}
          />
        </Field>
      </div>
      <p className="flex flex-wrap items-center gap-3 pb-2 text-sm text-soft">
        These look through the orders that are loaded.
        {many > 0 && (
          <Button small onClick={onClear}>
            Clear these filters
          </Button>
        )}
      </p>
    </details>
  );
}

interface FilteredProps {
  judged: readonly Judged[];
  children: (left: readonly Judged[]) => ReactNode;
}

/** The filters, and what they leave of the orders. */
export function MoreFiltered({ judged, children }: FilteredProps) {
  const [search, setSearch] = useSearchParams();
  const more = readMore(search);
  const orders = useMemo(() => judged.map((j) => j.order), [judged]);
  const left = howMany(more) === 0 ? judged : judged.filter((j) => matchesMore(j.order, more));

  function change(to: (next: URLSearchParams) => void): void {
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        to(next);
        return next;
      },
      { replace: true },
    );
  }

  return (
    <>
      <MoreFilters
        more={more}
        orders={orders}
        onChange={(key, value) => change((next) => (value ? next.set(key, value) : next.delete(key)))}
        onClear={() => change((next) => KEYS.forEach((key) => next.delete(key)))}
      />
      {left.length === 0 ? (
        <div className="card">
          <Empty title="No work orders found" text="Nothing matches. Take a filter away to see more." />
        </div>
      ) : (
        children(left)
      )}
    </>
  );
}
