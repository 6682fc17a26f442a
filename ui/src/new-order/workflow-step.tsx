// Second: where the agent works, through which steps, and where it waits for somebody.
import { Pencil, Plus, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { useInfo, useWorkflows } from '../api/queries';
import type { SandboxType } from '../api/types';
import { Button, IconButton } from '../components/button';
import { Confirm } from '../components/dialog';
import { Choice } from '../components/field';
import { forgetWorkflow } from '../lib/own-workflows';
import { stepLabel } from '../lib/steps';
import { useRemembered, type OwnWorkflow } from '../lib/storage';
import { SANDBOX_LABEL } from '../repositories/repository-dialogs';
import { StepPicker } from '../repositories/step-picker';
import { Checkpoints } from './checkpoints';
import type { Draft } from './draft';
import { useVerdict, WorkflowEditor } from './workflow-editor';

const SANDBOX_TEXT: Record<SandboxType, string> = {
  git_worktree: 'Isolated and parallel-safe; shares the objects of the repository’s cache.',
  git_branch: 'A complete clone of its own.',
  e2b: 'Cloud-based, full isolation.',
  dagger: 'Container-based, reproducible.',
};

interface Props {
  draft: Draft;
  /** The steps that the order will have. */
  planned: readonly string[];
  problem: string | undefined;
  onChange: (change: Partial<Draft>) => void;
}

export function SandboxSelector({
  value,
  onChange,
}: {
  value: SandboxType;
  onChange: (v: SandboxType) => void;
}) {
  const types = useInfo().data?.sandbox_types ?? [];
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">Sandbox</legend>
      <div className="grid gap-2 sm:grid-cols-2">
        {types.map((type) => (
          <Choice
            key={type.name}
            name="sandbox"
            value={type.name}
            checked={value === type.name}
            disabled={!type.available}
            title={`${SANDBOX_LABEL[type.name]}${type.available ? '' : ' (Coming Soon)'}`}
            text={type.available ? SANDBOX_TEXT[type.name] : (type.reason ?? SANDBOX_TEXT[type.name])}
            onChoose={() => onChange(type.name)}
          />
        ))}
      </div>
    </fieldset>
  );
}

const summary = (steps: readonly string[]): string => steps.map(stepLabel).join(' → ');

export function WorkflowStep({ draft, planned, problem, onChange }: Props) {
  const named = useWorkflows().data ?? [];
  const { workflows: own } = useRemembered();
  const [edited, setEdited] = useState<{ workflow: OwnWorkflow; name: string | null } | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  const errors = useVerdict(draft.workflow === '' ? draft.steps : []);
  const chosen = draft.workflow === '' ? own.find((w) => w.name === draft.own) : undefined;
  const take = (w: OwnWorkflow) => onChange({ workflow: '', own: w.name, steps: w.steps, gates: w.gates });
  return (
    <div className="space-y-5">
      <SandboxSelector value={draft.sandbox} onChange={(sandbox) => onChange({ sandbox })} />
      <fieldset>
        <legend className="mb-1 text-sm font-medium">Workflow</legend>
        <div className="grid gap-2 sm:grid-cols-2">
          <Choice
            name="workflow"
            value=""
            checked={draft.workflow === '' && !chosen}
            title="Chosen steps"
            text="Pick them below."
            onChoose={() => onChange({ workflow: '', own: '' })}
          />
          {named.map((w) => (
            <Choice
              key={w.name}
              name="workflow"
              value={w.name}
              checked={draft.workflow === w.name}
              title={<span className="font-mono text-sm break-all">{w.name}</span>}
              text={w.description ?? summary(w.steps)}
              onChoose={() => onChange({ workflow: w.name })}
            />
          ))}
          {own.map((w) => (
            <div key={w.name} data-own-workflow={w.name} className="relative">
              <Choice
                name="workflow"
                value={`own ${w.name}`}
                checked={chosen?.name === w.name}
                title={<span className="block pr-16 break-words">{w.name}</span>}
                text={summary(w.steps)}
                onChoose={() => take(w)}
              />
              <span className="absolute top-2 right-2 flex">
                <IconButton
                  label={`Edit workflow ${w.name}`}
                  onClick={() => setEdited({ workflow: w, name: w.name })}
                >
                  <Pencil aria-hidden size={15} />
                </IconButton>
                <IconButton label={`Remove workflow ${w.name}`} onClick={() => setAsked(w.name)}>
                  <Trash2 aria-hidden size={15} />
                </IconButton>
              </span>
            </div>
          ))}
        </div>
        <Button
          small
          className="mt-2"
          onClick={() =>
            setEdited({ workflow: { name: '', steps: [...planned], gates: draft.gates }, name: null })
          }
        >
          <Plus aria-hidden size={15} /> Custom workflow
        </Button>
      </fieldset>
      {draft.workflow === '' && !chosen && (
        <StepPicker selected={draft.steps} onChange={(steps) => onChange({ steps })} />
      )}
      <Checkpoints steps={planned} gates={draft.gates} onChange={(gates) => onChange({ gates })} />
      <div role="alert" className="text-sm font-medium text-failed empty:hidden">
        {problem ?? errors.join(' ')}
      </div>
      {edited && (
        <WorkflowEditor
          workflow={edited.workflow}
          editing={edited.name}
          onClose={() => setEdited(null)}
          onKept={(w) => {
            take(w);
            setEdited(null);
          }}
        />
      )}
      <Confirm
        open={asked !== null}
        onOpenChange={() => setAsked(null)}
        title={`Remove the workflow ${asked ?? ''}?`}
        text="Orders that were made with it stay as they are."
        action="Remove"
        onConfirm={() => asked !== null && forgetWorkflow(asked)}
      />
    </div>
  );
}
