// Second: where the agent works, and through which steps.
import { useQuery } from '@tanstack/react-query';
import { api } from '../api/client';
import { useInfo, useWorkflows } from '../api/queries';
import type { SandboxType } from '../api/types';
import { Choice } from '../components/field';
import { stepLabel } from '../lib/steps';
import { SANDBOX_LABEL } from '../repositories/repository-dialogs';
import { StepPicker } from '../repositories/step-picker';

const SANDBOX_TEXT: Record<SandboxType, string> = {
  git_worktree: 'Isolated and parallel-safe; shares the objects of the repository’s cache.',
  git_branch: 'A complete clone of its own.',
  e2b: 'Cloud-based, full isolation.',
  dagger: 'Container-based, reproducible.',
};

interface Props {
  sandbox: SandboxType;
  workflow: string;
  steps: string[];
  problem: string | undefined;
  onSandbox: (sandbox: SandboxType) => void;
  onWorkflow: (workflow: string) => void;
  onSteps: (steps: string[]) => void;
}

/** What the service itself says about the selection. */
function useVerdict(steps: string[]): string[] {
  const check = useQuery({
    queryKey: ['validate', steps],
    queryFn: ({ signal }) => api.validateWorkflow(steps, signal),
    enabled: steps.length > 0,
    staleTime: 60_000,
  });
  return check.data?.valid === false ? check.data.errors : [];
}

export function WorkflowStep({ sandbox, workflow, steps, problem, onSandbox, onWorkflow, onSteps }: Props) {
  const types = useInfo().data?.sandbox_types ?? [];
  const workflows = useWorkflows().data ?? [];
  const errors = useVerdict(workflow === '' ? steps : []);
  return (
    <div className="space-y-5">
      <fieldset>
        <legend className="mb-1 text-sm font-medium">Sandbox</legend>
        <div className="grid gap-2 sm:grid-cols-2">
          {types.map((type) => (
            <Choice
              key={type.name}
              name="sandbox"
              value={type.name}
              checked={sandbox === type.name}
              disabled={!type.available}
              title={`${SANDBOX_LABEL[type.name]}${type.available ? '' : ' (Coming Soon)'}`}
              text={type.available ? SANDBOX_TEXT[type.name] : (type.reason ?? SANDBOX_TEXT[type.name])}
              onChoose={() => onSandbox(type.name)}
            />
          ))}
        </div>
      </fieldset>
      <fieldset>
        <legend className="mb-1 text-sm font-medium">Workflow</legend>
        <div className="grid gap-2 sm:grid-cols-2">
          <Choice
            name="workflow"
            value=""
            checked={workflow === ''}
            title="Chosen steps"
            text="Pick them below."
            onChoose={() => onWorkflow('')}
          />
          {workflows.map((w) => (
            <Choice
              key={w.name}
              name="workflow"
              value={w.name}
              checked={workflow === w.name}
              title={<span className="font-mono text-sm">{w.name}</span>}
              text={w.description ?? w.steps.map(stepLabel).join(' → ')}
              onChoose={() => onWorkflow(w.name)}
            />
          ))}
        </div>
      </fieldset>
      {workflow === '' && <StepPicker selected={steps} onChange={onSteps} />}
      <div role="alert" className="text-sm font-medium text-failed empty:hidden">
        {problem ?? errors.join(' ')}
      </div>
    </div>
  );
}
