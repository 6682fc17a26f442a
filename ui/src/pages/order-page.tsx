// One work order: what it does now, how it came there, and everything to do about it.
import * as Tabs from '@radix-ui/react-tabs';
import { useEffect, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import { useLog, useStory } from '../api/log-stream';
import { useOrder, useProgress, useSteps } from '../api/queries';
import type { Order } from '../api/types';
import { ButtonLink } from '../components/button';
import { Loading, Problem } from '../components/state';
import { allowedActions, type Doing } from '../lib/actions';
import { failedAt, isTerminal } from '../lib/attention';
import { title } from '../lib/format';
import { useKeys } from '../lib/keys';
import { markSeen } from '../lib/storage';
import { usePageTitle } from '../lib/title';
import { CompletionSummary } from '../order/completion-summary';
import { Details } from '../order/details';
import { DiffView } from '../order/diff-view';
import { GatePanel } from '../order/gate-panel';
import { LogView } from '../order/log-view';
import { OrderHeader } from '../order/now-panel';
import { PromptBox } from '../order/prompt-box';
import { StepHistory } from '../order/step-history';
import { PhaseTracker, StepTimeline } from '../order/timeline';
import { LiveStats } from '../orders/live-stats';
import { useNeeding } from '../orders/needing';
import { orderPath } from '../orders/order-row';
import { useOrderDoing } from '../orders/use-order-doing';

const TABS = [
  { value: 'logs', label: 'Logs' },
  { value: 'changes', label: 'Changes' },
  { value: 'steps', label: 'Step outputs' },
  { value: 'details', label: 'Details' },
] as const;
type Tab = (typeof TABS)[number]['value'];

/** Goes to the next order that needs somebody. */
function useNextNeeding(id: string): () => void {
  const [, navigate] = useLocation();
  const needing = useNeeding();
  return () => {
    const next = needing[(needing.indexOf(id) + 1) % needing.length];
    navigate(next ? orderPath(next) : '/agent-work-orders');
  };
}

const KEY_OF: Partial<Record<Doing, string>> = {
  cancel: 'c',
  retry: 'r',
  start: 's',
  approve: 'a',
  delete: 'Delete',
};

function OrderView({ order }: { order: Order }) {
  const id = order.agent_work_order_id;
  const [, navigate] = useLocation();
  const [tab, setTab] = useState<Tab>('logs');
  const parts = useRef<HTMLDivElement>(null);
  const doing = useOrderDoing(() => navigate('/agent-work-orders'));
  const steps = useSteps(id).data ?? [];
  const progress = useProgress(id).data;
  // a stream that ended with the order is opened anew when the order goes on
  const log = useLog(id, isTerminal(order.status) ? 0 : order.attempt);
  const story = useStory(log.store);
  const next = useNextNeeding(id);

  usePageTitle(title(order).slice(0, 60));
  useEffect(() => {
    if (order.status === 'failed') markSeen(id, failedAt(order));
  }, [id, order]);

  const allowed = allowedActions(order.status);
  useKeys('This order', [
    { keys: 'u', label: 'Back to all orders', run: () => navigate('/agent-work-orders') },
    { keys: 'e', label: 'Next order that needs you', run: next },
    ...TABS.map((t, at) => ({
      keys: String(at + 1),
      label: `Show ${t.label.toLowerCase()}`,
      run: () => setTab(t.value),
    })),
    ...allowed
      .filter((what) => KEY_OF[what])
      .map((what) => ({
        keys: KEY_OF[what] ?? '',
        label: `${what} this order`,
        run: () => doing.run(id, what),
      })),
    ...(allowed.includes('pause')
      ? [{ keys: 'p', label: 'Pause this order', run: () => doing.run(id, 'pause') }]
      : []),
    ...(allowed.includes('resume')
      ? [{ keys: 'p', label: 'Resume this order', run: () => doing.run(id, 'resume') }]
      : []),
  ]);

  return (
    <div className="space-y-5">
      <OrderHeader order={order} busy={doing.busy} onDo={(what) => doing.run(id, what)} />
      {order.status === 'waiting' && (
        <GatePanel
          order={order}
          story={story}
          busy={doing.busy}
          onDo={(what, comment, prompt) => doing.run(id, what, comment, prompt)}
          onChanges={() => {
            setTab('changes');
            parts.current?.scrollIntoView();
          }}
        />
      )}
      {order.status === 'completed' && <CompletionSummary order={order} steps={steps} story={story} />}
      <div className="card p-4">
        <LiveStats order={order} />
      </div>
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-5 lg:grid-cols-[20rem_minmax(0,1fr)]">
        <div className="space-y-5">
          {/* above what grows while one is about to press something in it: a click that begins here must end here */}
          <PromptBox order={order} />
          <StepTimeline order={order} steps={steps} />
          <PhaseTracker order={order} history={progress?.phase_history ?? []} story={story} />
        </div>
        <Tabs.Root
          value={tab}
          onValueChange={(value) => setTab(value as Tab)}
          ref={parts}
          className="min-w-0 scroll-mt-28"
        >
          <Tabs.List
            aria-label="Parts of the order"
            className="mb-3 flex gap-1 overflow-x-auto border-b border-line"
          >
            {TABS.map((t) => (
              <Tabs.Trigger
                key={t.value}
                value={t.value}
                className="-mb-px border-b-2 border-transparent px-3 py-2 font-medium whitespace-nowrap text-soft data-[state=active]:border-accent data-[state=active]:text-text"
              >
                {t.label}
              </Tabs.Trigger>
            ))}
          </Tabs.List>
          <Tabs.Content value="logs">
            <LogView store={log.store} stream={log.state} />
          </Tabs.Content>
          <Tabs.Content value="changes">
            <DiffView id={id} />
          </Tabs.Content>
          <Tabs.Content value="steps">
            <StepHistory id={id} steps={steps} />
          </Tabs.Content>
          <Tabs.Content value="details">
            <Details order={order} progress={progress} steps={steps} />
          </Tabs.Content>
        </Tabs.Root>
      </div>
      {doing.dialog}
    </div>
  );
}

export function OrderPage({ id }: { id: string }) {
  const order = useOrder(id);
  if (order.isPending) return <Loading what="the work order" />;
  if (!order.data) {
    return (
      <Problem
        whole
        title="Failed to load work order"
        error={order.error ?? new Error('It is not there any more.')}
        onRetry={() => void order.refetch()}
      >
        <ButtonLink to="/agent-work-orders">Back to List</ButtonLink>
      </Problem>
    );
  }
  return <OrderView order={order.data} />;
}
