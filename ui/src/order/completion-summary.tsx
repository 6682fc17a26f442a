// What a completed order came to.
import { CircleCheck } from 'lucide-react';
import type { ReactNode } from 'react';
import type { LogLine } from '../api/client';
import type { Order, Step } from '../api/types';
import { ButtonLink, OutLink } from '../components/button';
import { plural, safeLink } from '../lib/format';
import { planFile } from '../lib/plan';

interface Props {
  order: Order;
  steps: readonly Step[];
  story: readonly LogLine[];
}

export function CompletionSummary({ order, steps, story }: Props) {
  const plan = planFile(story);
  const testing = steps.findLast((step) => step.step === 'testing');
  const pull = safeLink(order.github_pull_request_url);
  // a row is there before what it says was read: what stands below does not move
  const later = (step: string) => (order.selected_commands.includes(step) ? '–' : null);
  const rows: [string, ReactNode][] = [
    ['Plan', plan ?? later('planning')],
    ['Implementation', plural(order.git_files_changed, 'file')],
    ['Tests', testing ? (testing.success ? 'all passing' : 'failing') : later('testing')],
    [
      'Pull request',
      order.github_pull_request_number
        ? `#${order.github_pull_request_number} (${order.github_pull_request_state ?? 'unknown'})`
        : null,
    ],
    ['Branch', order.git_branch_name],
  ];
  return (
    <section aria-labelledby="summary-title" className="card border-l-4 border-l-completed p-4">
      <h2 id="summary-title" className="flex items-center gap-2 font-semibold">
        <CircleCheck aria-hidden size={20} className="text-completed" /> Work order complete
      </h2>
      <dl className="mt-2 grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-sm">
        {rows
          .filter(([, value]) => value !== null)
          .map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-soft">{name}</dt>
              <dd className="min-w-0 break-all">{value}</dd>
            </div>
          ))}
      </dl>
      <div className="mt-3 flex flex-wrap gap-2">
        {pull && (
          <OutLink small href={pull} look="primary">
            View PR on GitHub
          </OutLink>
        )}
        <ButtonLink small to="/agent-work-orders/new">
          Create New Work Order
        </ButtonLink>
      </div>
    </section>
  );
}
