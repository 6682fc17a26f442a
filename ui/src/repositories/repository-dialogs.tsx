// Adding, changing and removing a repository.
import { useState, type FormEvent } from 'react';
import { useAddRepository, useDeleteRepository, useUpdateRepository } from '../api/actions';
import { useInfo } from '../api/queries';
import type { Repository, SandboxType } from '../api/types';
import { Button } from '../components/button';
import { Confirm, Dialog } from '../components/dialog';
import { Field } from '../components/field';
import { repositoryLabel, timestamp } from '../lib/format';
import { DEFAULT_STEPS } from '../lib/steps';
import { StepPicker } from './step-picker';

export function SandboxSelect({
  value,
  onChange,
}: {
  value: SandboxType;
  onChange: (v: SandboxType) => void;
}) {
  const types = useInfo().data?.sandbox_types.filter((type) => type.available);
  return (
    <Field label="Default sandbox">
      <select
        className="input"
        value={value}
        onChange={(event) => onChange(event.target.value as SandboxType)}
      >
        {(types?.map((type) => type.name) ?? [value]).map((name) => (
          <option key={name} value={name}>
            {SANDBOX_LABEL[name]}
          </option>
        ))}
      </select>
    </Field>
  );
}

export const SANDBOX_LABEL: Record<SandboxType, string> = {
  git_worktree: 'Git worktree (recommended)',
  git_branch: 'Git branch',
  e2b: 'E2B sandbox',
  dagger: 'Dagger container',
};

export function AddRepositoryDialog({ onClose }: { onClose: () => void }) {
  const add = useAddRepository();
  const [url, setUrl] = useState('');
  const [sandbox, setSandbox] = useState<SandboxType>('git_worktree');
  const [steps, setSteps] = useState(DEFAULT_STEPS);
  const [problem, setProblem] = useState('');

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (url.trim() === '') {
      setProblem('Repository URL is required');
      return;
    }
    setProblem('');
    add.mutate(
      { repository_url: url.trim(), verify: true, default_sandbox_type: sandbox, default_commands: steps },
      { onSuccess: onClose, onError: (error) => setProblem(error.message) },
    );
  }

  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Add repository"
      description="It is checked for access when you add it."
    >
      <form onSubmit={submit} noValidate className="space-y-4">
        <Field
          label="Repository URL"
          error={problem}
          help="https, ssh, git@host:owner/name, a local path, or owner/name for GitHub. Name, owner and default branch are read from it."
        >
          <input
            className="input"
            value={url}
            onChange={(event) => setUrl(event.target.value)}
            placeholder="https://github.com/owner/repository"
            autoComplete="off"
            spellCheck={false}
          />
        </Field>
        <SandboxSelect value={sandbox} onChange={setSandbox} />
        <StepPicker selected={steps} onChange={setSteps} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={add.isPending}>
            {add.isPending ? 'Checking…' : 'Add and verify'}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function EditRepositoryDialog({
  repository,
  onClose,
}: {
  repository: Repository;
  onClose: () => void;
}) {
  const update = useUpdateRepository();
  const [sandbox, setSandbox] = useState(repository.default_sandbox_type);
  const [steps, setSteps] = useState(repository.default_commands);

  function submit(event: FormEvent): void {
    event.preventDefault();
    update.mutate({ id: repository.id, default_sandbox_type: sandbox, default_commands: steps });
    onClose();
  }

  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={`Edit ${repositoryLabel(repository)}`}
      description="What new orders of this repository begin with."
    >
      <form onSubmit={submit} className="space-y-4">
        <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-sm">
          <dt className="text-soft">URL</dt>
          <dd className="font-mono break-all">{repository.repository_url}</dd>
          <dt className="text-soft">Owner</dt>
          <dd>{repository.owner ?? '–'}</dd>
          <dt className="text-soft">Default branch</dt>
          <dd>{repository.default_branch ?? '–'}</dd>
          <dt className="text-soft">Last verified</dt>
          <dd>{timestamp(repository.last_verified_at)}</dd>
        </dl>
        <SandboxSelect value={sandbox} onChange={setSandbox} />
        <StepPicker selected={steps} onChange={setSteps} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={steps.length === 0}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function DeleteRepositoryDialog({
  repository,
  onClose,
}: {
  repository: Repository;
  onClose: () => void;
}) {
  const remove = useDeleteRepository();
  return (
    <Confirm
      open
      onOpenChange={onClose}
      title="Are you sure you want to delete this repository configuration?"
      text={`${repository.repository_url}. Its orders and the repository itself stay.`}
      action="Delete"
      onConfirm={() => remove.mutate(repository.id)}
    />
  );
}
