// An order that waits for a person: read the plan, change it if need be, approve or reject.
import { CircleCheck, Hand, Pencil, Eye } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import type { LogLine } from '../api/client';
import { useDiff } from '../api/queries';
import type { Order } from '../api/types';
import { Button } from '../components/button';
import { Field } from '../components/field';
import { Loading } from '../components/state';
import type { Doing } from '../lib/actions';
import { planFile, planOf, replacePlan } from '../lib/plan';
import { stepLabel } from '../lib/steps';

const MarkdownText = lazy(() => import('./markdown'));

interface Props {
  order: Order;
  story: readonly LogLine[];
  busy: boolean;
  onDo: (what: Doing, comment?: string, prompt?: string) => void;
  onChanges: () => void;
}

const afterGate = (order: Order): number => order.selected_commands.indexOf(order.gate ?? '') + 1;
const stepsDone = (order: Order): string[] => order.selected_commands.slice(0, afterGate(order));

/** What follows the gate; an order that was prompted meanwhile still has the same. */
const nextStep = (order: Order): string | undefined => order.selected_commands[afterGate(order)];

function Plan({ text, onEdit, editing }: { text: string; editing: boolean; onEdit: (text: string) => void }) {
  if (editing) {
    return (
      <textarea
        aria-label="Plan"
        className="input h-96 font-mono text-sm"
        value={text}
        onChange={(event) => onEdit(event.target.value)}
      />
    );
  }
  return (
    <div
      tabIndex={0}
      role="region"
      aria-label="Plan preview"
      className="markdown h-96 overflow-auto rounded-lg bg-raised p-4"
    >
      <Suspense fallback={<Loading what="the plan" />}>
        <MarkdownText text={text} />
      </Suspense>
    </div>
  );
}

export function GatePanel({ order, story, busy, onDo, onChanges }: Props) {
  const diff = useDiff(order.agent_work_order_id);
  const plan = planOf(diff.data?.patch, planFile(story));
  const [editing, setEditing] = useState(false);
  const [draft, setDraft] = useState<string | null>(null);
  const [comment, setComment] = useState('');
  const changed = plan !== null && draft !== null && draft !== plan.text;
  const next = nextStep(order);
  // the place of a plan that is to come is kept free: the buttons below it do not move
  const expected = diff.isPending && stepsDone(order).includes('planning');

  return (
    <section aria-labelledby="gate-title" className="card space-y-3 border-l-4 border-l-waiting p-4">
      <h2 id="gate-title" className="flex items-center gap-2 font-semibold text-waiting">
        <Hand aria-hidden size={18} /> This order waits for you
      </h2>
      <p className="text-sm text-soft">
        {order.gate && `“${stepLabel(order.gate)}” is done. `}
        {next && `“${stepLabel(next)}” begins when you approve. `}A prompt is carried out first; then the
        order waits again.
      </p>
      {(plan ?? expected) && (
        <div className="space-y-2">
          <div className="flex flex-wrap items-center gap-2 text-sm">
            <span className="min-w-0 font-mono break-all">{plan?.path ?? '…'}</span>
            <Button small disabled={!plan} onClick={() => setEditing(!editing)}>
              {editing ? <Eye aria-hidden size={15} /> : <Pencil aria-hidden size={15} />}
              {editing ? 'Preview plan' : 'Edit plan'}
            </Button>
            <span role="status" className={changed ? 'font-medium text-waiting' : 'text-soft'}>
              {changed ? 'Unsaved changes' : 'No changes'}
            </span>
            {changed && (
              <Button small look="quiet" onClick={() => setDraft(null)}>
                Discard changes
              </Button>
            )}
          </div>
          {plan ? (
            <Plan text={draft ?? plan.text} editing={editing} onEdit={setDraft} />
          ) : (
            <div className="h-96 rounded-lg bg-raised">
              <Loading what="the plan" />
            </div>
          )}
          {changed && (
            <p className="text-sm text-soft">The agent puts your plan in place before the next step.</p>
          )}
        </div>
      )}
      <Field label="Comment" help="Recorded with your decision.">
        <input
          className="input"
          value={comment}
          maxLength={8192}
          onChange={(e) => setComment(e.target.value)}
        />
      </Field>
      <div className="flex flex-wrap gap-2">
        <Button
          look="primary"
          busy={busy}
          onClick={() =>
            onDo('approve', comment, changed && plan ? replacePlan(plan.path, draft ?? '') : undefined)
          }
        >
          <CircleCheck aria-hidden size={16} /> Approve and Move to Next Step
        </Button>
        <Button look="danger" disabled={busy} onClick={() => onDo('reject', comment)}>
          Reject
        </Button>
        <Button look="quiet" onClick={onChanges}>
          Look at the changes
        </Button>
      </div>
    </section>
  );
}
