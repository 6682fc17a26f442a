// Tries something, and says in words what came of it.
import { useMutation } from '@tanstack/react-query';
import { CircleCheck, CircleX } from 'lucide-react';
import type { TestAnswer } from '../api/types';
import { Button } from '../components/button';

export function TestButton({ label, test }: { label: string; test: () => Promise<TestAnswer> }) {
  const run = useMutation({ mutationFn: test });
  const ok = run.data?.success === true;
  const text = run.data?.message ?? run.error?.message;
  return (
    <div className="space-y-2">
      <Button small busy={run.isPending} onClick={() => run.mutate()}>
        {label}
      </Button>
      <div role="status">
        {text !== undefined && !run.isPending && (
          <p className={`flex gap-1.5 text-sm ${ok ? 'text-completed' : 'text-failed'}`}>
            {ok ? (
              <CircleCheck aria-hidden size={16} className="mt-0.5 shrink-0" />
            ) : (
              <CircleX aria-hidden size={16} className="mt-0.5 shrink-0" />
            )}
            <span className="min-w-0 break-words">
              {text}
              {run.data?.version && ` (${run.data.version})`}
            </span>
          </p>
        )}
      </div>
    </div>
  );
}
