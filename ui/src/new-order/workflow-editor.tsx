// A workflow of one's own: which steps, in which order, and where somebody is asked.
import { queryOptions, useQuery, useQueryClient } from '@tanstack/react-query';
import { ArrowDown, ArrowUp, X } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import { api } from '../api/client';
import { useCommands, useInfo } from '../api/queries';
import { Button, IconButton } from '../components/button';
import { Dialog } from '../components/dialog';
import { Field } from '../components/field';
import { keepWorkflow, move, NAME_MAX, problemOf } from '../lib/own-workflows';
import { STEP_HELP, STEP_ORDER, stepLabel } from '../lib/steps';
import type { OwnWorkflow } from '../lib/storage';
import { Checkpoints } from './checkpoints';

const verdictOn = (steps: readonly string[]) =>
  queryOptions({
    queryKey: ['validate', steps],
    queryFn: ({ signal }) => api.validateWorkflow([...steps], signal),
    staleTime: 60_000,
  });

/** What the service itself says about a sequence of steps. */
export function useVerdict(steps: readonly string[]): string[] {
  const check = useQuery({ ...verdictOn(steps), enabled: steps.length > 0 });
  return check.data?.valid === false ? check.data.errors : [];
}

interface Props {
  workflow: OwnWorkflow;
  /** The name of the one that is edited; null: it is new. */
  editing: string | null;
  onClose: () => void;
  onKept: (workflow: OwnWorkflow) => void;
}

export function WorkflowEditor({ workflow, editing, onClose, onKept }: Props) {
  const builtin = useInfo().data?.steps ?? [...STEP_ORDER];
  const commands = useCommands().data ?? [];
  const [own, setOwn] = useState(workflow);
  const [problem, setProblem] = useState<string | null>(null);
  const errors = useVerdict(own.steps);
  const client = useQueryClient();
  const [saving, setSaving] = useState(false);
  const offered = [...builtin, ...commands.map((c) => c.name).filter((name) => !builtin.includes(name))];
  const change = (next: Partial<OwnWorkflow>) => {
    setProblem(null);
    setOwn({ ...own, ...next });
  };
  const described = new Map(commands.map((c) => [c.name, c.description]));

  /** The service may not have judged the newest sequence yet: nothing is kept before. */
  async function save(): Promise<void> {
    let found = problemOf(own, editing);
    if (!found) {
      setSaving(true);
      const verdict = await client.fetchQuery(verdictOn(own.steps)).catch((error: Error) => error);
      setSaving(false);
      found = verdict instanceof Error ? verdict.message : (verdict.errors[0] ?? null);
    }
    setProblem(found);
    if (found) return;
    keepWorkflow(own, editing);
    onKept({ ...own, name: own.name.trim() });
  }

  function submit(event: FormEvent): void {
    event.preventDefault();
    // the dialog stands in the page's form, but only in React's tree
    event.stopPropagation();
    void save();
  }

  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={editing === null ? 'New workflow' : `Edit ${editing}`}
      description="It is kept in this browser. Steps are the built-in ones and your command files."
    >
      <form onSubmit={submit} noValidate className="space-y-4">
        <Field label="Workflow name">
          <input
            className="input"
            value={own.name}
            maxLength={NAME_MAX}
            onChange={(event) => change({ name: event.target.value })}
          />
        </Field>
        <div>
          <p className="mb-1 text-sm font-medium" id="own-steps">
            Steps, in this order
          </p>
          <ol aria-labelledby="own-steps" className="card divide-y divide-line">
            {own.steps.length === 0 && <li className="px-3 py-2 text-sm text-soft">None yet.</li>}
            {own.steps.map((step, at) => (
              <li key={`${step} ${at}`} className="flex items-center gap-2 px-3 py-1.5">
                <span className="w-5 text-right text-sm text-soft tabular-nums">{at + 1}.</span>
                <span className="min-w-0 grow truncate" title={STEP_HELP[step] ?? described.get(step) ?? ''}>
                  {stepLabel(step)}
                </span>
                <IconButton
                  label={`Move ${stepLabel(step)} up`}
                  disabled={at === 0}
                  onClick={() => change({ steps: move(own.steps, at, -1) })}
                >
                  <ArrowUp aria-hidden size={15} />
                </IconButton>
                <IconButton
                  label={`Move ${stepLabel(step)} down`}
                  disabled={at === own.steps.length - 1}
                  onClick={() => change({ steps: move(own.steps, at, 1) })}
                >
                  <ArrowDown aria-hidden size={15} />
                </IconButton>
                <IconButton
                  label={`Leave ${stepLabel(step)} out`}
                  onClick={() => change({ steps: own.steps.filter((_, i) => i !== at) })}
                >
                  <X aria-hidden size={15} />
                </IconButton>
              </li>
            ))}
          </ol>
        </div>
        <Field label="Add a step">
          <select
            className="input"
            value=""
            onChange={(event) => change({ steps: [...own.steps, event.target.value] })}
          >
            <option value="">Choose…</option>
            {offered
              .filter((step) => !own.steps.includes(step))
              .map((step) => (
                <option key={step} value={step}>
                  {stepLabel(step)}
                  {step in STEP_HELP ? '' : ' (command file)'}
                </option>
              ))}
          </select>
        </Field>
        <Checkpoints steps={own.steps} gates={own.gates} onChange={(gates) => change({ gates })} />
        <div role="alert" className="text-sm font-medium text-failed empty:hidden">
          {problem ?? errors.join(' ')}
        </div>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={saving}>
            Save workflow
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
