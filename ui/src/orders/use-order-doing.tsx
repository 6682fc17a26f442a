// Does things to orders, and asks first where they cannot be undone.
import { useState, type ReactNode } from 'react';
import { useDeleteOrder, useOrderAction } from '../api/actions';
import { Confirm } from '../components/dialog';
import type { Doing } from '../lib/actions';

const QUESTION = {
  cancel: {
    title: 'Cancel this order?',
    text: 'Its agent is stopped now. What is committed stays; you can retry later.',
    action: 'Cancel order',
  },
  delete: {
    title: 'Delete this order?',
    text: 'Its record, workspace and log are removed. Its branch and pull request stay.',
    action: 'Delete order',
  },
};

export interface OrderDoing {
  run: (id: string, what: Doing, comment?: string, prompt?: string) => void;
  busy: boolean;
  /** The question, to be rendered somewhere. */
  dialog: ReactNode;
}

export function useOrderDoing(onDeleted?: () => void): OrderDoing {
  const act = useOrderAction();
  const remove = useDeleteOrder();
  const [asked, setAsked] = useState<{ id: string; what: 'cancel' | 'delete' } | null>(null);

  function run(id: string, what: Doing, comment?: string, prompt?: string): void {
    if (what === 'cancel' || what === 'delete') setAsked({ id, what });
    else act.mutate({ id, action: what, comment, prompt });
  }

  function confirmed(): void {
    if (!asked) return;
    if (asked.what === 'cancel') act.mutate({ id: asked.id, action: 'cancel' });
    else remove.mutate(asked.id, { onSuccess: onDeleted });
  }

  const question = QUESTION[asked?.what ?? 'cancel'];
  const dialog = (
    <Confirm
      open={asked !== null}
      onOpenChange={(open) => !open && setAsked(null)}
      {...question}
      text={`${asked?.id ?? ''}: ${question.text}`}
      onConfirm={confirmed}
    />
  );
  return { run, busy: act.isPending || remove.isPending, dialog };
}
