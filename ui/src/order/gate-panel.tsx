// An order that waits for a person: read the plan, change it if need be, approve or reject.
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { api } from '../api/client';
import { useDiff } from '../api/queries';
import type { Order } from '../api/types';
import { Button } from '../components/button';
import { Field } from '../components/field';
import type { Doing } from '../lib/actions';
import { parseDiff } from '../lib/diff';
import { toast } from '../lib/toasts';

interface Props {
  order: Order;
  busy: boolean;
  onDo: (what: Doing, comment?: string) => void;
}

const PLAN = /(^|\/)(PRPs|specs)\/|(^|\/)plan[^/]*\.md$/i;

/** The plan as the branch has it: a file that is new, so its added lines are all of it. */
export function planOf(patch: string | null | undefined): { path: string; text: string } | null {
  const file = parseDiff(patch ?? '').find(
    (f) => PLAN.test(f.path) && f.notes.some((n) => n.startsWith('new file')),
  );
  if (!file) return null;
  const lines = file.hunks.flatMap((hunk) => hunk.lines.filter((l) => l.kind === 'added').map((l) => l.text));
  return { path: file.path, text: lines.join('\n') };
}

export function GatePanel({ order, busy, onDo }: Props) {
  const id = order.agent_work_order_id;
  const plan = planOf(useDiff(id).data?.patch);
  const [editing, setEditing] = useState(false);
  const [draft, setDraft] = useState<string | null>(null);
  const [comment, setComment] = useState('');
  const changed = plan !== null && draft !== null && draft !== plan.text;
  const tell = useMutation({
    mutationFn: (text: string) => api.prompt(id, text),
    onSuccess: () => onDo('approve', comment),
    onError: (error) => toast.error('The changed plan was not accepted', error.message),
  });

  function approve(): void {
    if (changed)
      tell.mutate(`Replace the content of ${plan.path} with exactly this and commit it:\n\n${draft}`);
    else onDo('approve', comment);
  }

  return (
    <section aria-labelledby="gate-title" className="card space-y-3 border-l-4 border-l-waiting p-4">
      <h2 id="gate-title" className="font-semibold text-waiting">
        This order waits for you
      </h2>
      {plan && (
        <div className="space-y-2">
          <div className="flex flex-wrap items-center gap-2 text-sm">
            <span className="font-mono">{plan.path}</span>
            <Button small aria-pressed={editing} onClick={() => setEditing(!editing)}>
              {editing ? 'Preview' : 'Edit'}
            </Button>
            <span className={changed ? 'text-waiting' : 'text-soft'}>
              {changed ? 'Unsaved changes' : 'No changes'}
            </span>
          </div>
          {editing ? (
            <textarea
              aria-label="Plan"
              rows={16}
              className="input font-mono text-sm"
              value={draft ?? plan.text}
              onChange={(event) => setDraft(event.target.value)}
            />
          ) : (
            <pre
              tabIndex={0}
              className="max-h-96 overflow-auto rounded-lg bg-raised p-3 text-sm whitespace-pre-wrap"
            >
              {draft ?? plan.text}
            </pre>
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
        <Button look="primary" busy={busy || tell.isPending} onClick={approve}>
          Approve and Move to Next Step
        </Button>
        <Button look="danger" disabled={busy} onClick={() => onDo('reject', comment)}>
          Reject
        </Button>
      </div>
    </section>
  );
}
