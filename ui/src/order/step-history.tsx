// Every step that ran, with its output and the files that it left.
import { useInfiniteQuery } from '@tanstack/react-query';
import { FileText } from 'lucide-react';
import { useState } from 'react';
import { api } from '../api/client';
import type { Step } from '../api/types';
import { Button } from '../components/button';
import { Dialog } from '../components/dialog';
import { Empty, Loading, Problem } from '../components/state';
import { bytes, cost, count, duration, timestamp } from '../lib/format';
import { stepLabel } from '../lib/steps';

const LOOK = { true: 'text-completed', false: 'text-failed', null: 'text-running' };
const WORD = { true: 'Done', false: 'Failed', null: 'Running' };

function ArtifactDialog({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const file = useInfiniteQuery({
    queryKey: ['artifact', id, name],
    queryFn: ({ pageParam, signal }) => api.artifact(id, name, pageParam, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => (last.has_more ? last.next_offset : null),
  });
  const first = file.data?.pages[0];
  return (
    <Dialog open wide onOpenChange={onClose} title={name} description={first ? bytes(first.size) : undefined}>
      {file.isPending && <Loading what="the file" />}
      {file.isError && <Problem title="Failed to load the file" error={file.error} />}
      {file.data && (
        <pre
          tabIndex={0}
          className="max-h-[60vh] overflow-auto rounded-lg bg-raised p-3 font-mono text-xs break-words whitespace-pre-wrap"
        >
          {file.data.pages.map((page) => page.content).join('')}
        </pre>
      )}
      {file.hasNextPage && (
        <Button
          className="mt-3"
          small
          busy={file.isFetchingNextPage}
          onClick={() => void file.fetchNextPage()}
        >
          Show more
        </Button>
      )}
    </Dialog>
  );
}

function StepCard({ step, onOpen }: { step: Step; onOpen: (artifact: string) => void }) {
  const key = String(step.success) as keyof typeof LOOK;
  const { usage } = step;
  return (
    <li className="card p-4" data-step={step.step}>
      <div className="flex flex-wrap items-baseline gap-x-3">
        <h3 className="font-semibold">{stepLabel(step.step)}</h3>
        <span className={`text-sm font-medium ${LOOK[key]}`}>{WORD[key]}</span>
        <span className="text-sm text-soft">
          {step.agent_name} · {timestamp(step.timestamp)}
          {step.duration_seconds !== null && ` · ${duration(step.duration_seconds)}`}
          {usage.cost_usd !== undefined && ` · ${cost(usage.cost_usd)}`}
          {usage.output_tokens !== undefined &&
            ` · ${count(usage.input_tokens)} / ${count(usage.output_tokens)} tokens`}
          {step.attempt > 1 && ` · attempt ${step.attempt}`}
        </span>
      </div>
      {step.error_message && <p className="mt-2 text-sm break-words text-failed">{step.error_message}</p>}
      {step.output && (
        <details className="mt-2" open={step.output.length < 400}>
          <summary className="text-sm text-soft">Output</summary>
          <pre
            tabIndex={0}
            className="mt-1 max-h-80 overflow-auto rounded-lg bg-raised p-3 font-mono text-xs break-words whitespace-pre-wrap"
          >
            {step.output}
          </pre>
        </details>
      )}
      {step.session_id && <p className="mt-2 font-mono text-xs text-soft">Session {step.session_id}</p>}
      {step.artifacts.length > 0 && (
        <p className="mt-2 flex flex-wrap gap-1.5">
          {step.artifacts.map((name) => (
            <Button key={name} small onClick={() => onOpen(name)}>
              <FileText aria-hidden size={14} /> {name}
            </Button>
          ))}
        </p>
      )}
    </li>
  );
}

export function StepHistory({ id, steps }: { id: string; steps: readonly Step[] }) {
  const [artifact, setArtifact] = useState<string | null>(null);
  if (steps.length === 0) {
    return (
      <div className="card">
        <Empty title="No step has run yet" text="The first one begins as soon as the order has a slot." />
      </div>
    );
  }
  return (
    <>
      <ol className="space-y-3">
        {steps.map((step) => (
          <StepCard key={`${step.attempt} ${step.step} ${step.timestamp}`} step={step} onOpen={setArtifact} />
        ))}
      </ol>
      {artifact && <ArtifactDialog id={id} name={artifact} onClose={() => setArtifact(null)} />}
    </>
  );
}
