// Tells the order's agent something: text, or /command and its arguments.
import { SendHorizontal } from 'lucide-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useRef, useState, type FormEvent } from 'react';
import { api } from '../api/client';
import { useCommands, readAgain } from '../api/queries';
import type { Order } from '../api/types';
import { Button } from '../components/button';
import { Field } from '../components/field';
import { acceptsPrompt } from '../lib/actions';
import { useKeys } from '../lib/keys';
import { toast } from '../lib/toasts';

const WHEN: Partial<Record<Order['status'], string>> = {
  pending: 'It runs when the order has a slot.',
  running: 'It runs after the current step.',
  waiting: 'It runs now; then the order waits for you again.',
  paused: 'It runs after you resume the order.',
  completed: 'The order is opened again for it, with the same session and branch.',
  failed: 'The order is opened again for it, with the same session and branch.',
};

export function PromptBox({ order }: { order: Order }) {
  const client = useQueryClient();
  const commands = useCommands().data ?? [];
  const box = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState('');
  const id = order.agent_work_order_id;
  const send = useMutation({
    mutationFn: (prompt: string) => api.prompt(id, prompt),
    onMutate: () => setText(''),
    onSuccess: (answer) => {
      toast.success('Prompt accepted', answer.message);
      readAgain(client, { queryKey: ['order', id] });
    },
    onError: (error, prompt) => {
      setText(prompt);
      toast.error('The prompt was not accepted', error.message);
    },
  });
  useKeys('This order', [{ keys: 'i', label: 'Write a prompt', run: () => box.current?.focus() }]);

  function submit(event?: FormEvent): void {
    event?.preventDefault();
    if (text.trim() !== '' && !send.isPending) send.mutate(text);
  }

  if (!acceptsPrompt(order.status)) return null;
  const word = /^\/(\S*)$/.exec(text)?.[1];
  const offered = word === undefined ? [] : commands.filter((c) => c.name.startsWith(word)).slice(0, 6);
  return (
    <form onSubmit={submit} className="card space-y-2 p-4">
      <Field label="Prompt the agent" help={WHEN[order.status]}>
        <textarea
          ref={box}
          rows={3}
          maxLength={65_536}
          className="input"
          value={text}
          placeholder="Also cover the empty case…  or  /planning Issue #42"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit();
          }}
        />
      </Field>
      {offered.length > 0 && (
        <ul aria-label="Commands" className="flex flex-wrap gap-1.5">
          {offered.map((command) => (
            <li key={command.name}>
              <Button
                small
                title={command.description}
                onClick={() => {
                  setText(`/${command.name} `);
                  box.current?.focus();
                }}
              >
                /{command.name}
              </Button>
            </li>
          ))}
        </ul>
      )}
      <div className="flex items-center justify-between gap-2">
        <span className="text-sm text-soft">Ctrl+Enter sends</span>
        <Button type="submit" look="primary" disabled={text.trim() === ''} busy={send.isPending}>
          <SendHorizontal aria-hidden size={16} /> Execute
        </Button>
      </div>
    </form>
  );
}
