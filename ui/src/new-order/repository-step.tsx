// First: which repository, and whether it can be reached.
import { useMutation } from '@tanstack/react-query';
import { BadgeCheck, TriangleAlert } from 'lucide-react';
import { api } from '../api/client';
import { useRepositories } from '../api/queries';
import type { Repository } from '../api/types';
import { Button } from '../components/button';
import { Field } from '../components/field';
import { repositoryLabel, repositoryName } from '../lib/format';

interface Props {
  url: string;
  problem: string | undefined;
  onUrl: (url: string) => void;
  onRepository: (repository: Repository) => void;
}

export function RepositoryStep({ url, problem, onUrl, onRepository }: Props) {
  const repositories = useRepositories().data ?? [];
  const verify = useMutation({
    mutationFn: api.verifyAddress,
    onSuccess: (answer) => {
      if (answer.is_accessible) onUrl(answer.repository_url);
    },
  });
  const known = repositories.find((r) => r.repository_url === url);
  const answer = verify.data;
  return (
    <div className="space-y-4">
      {repositories.length > 0 && (
        <Field label="Repository">
          <select
            className="input"
            value={known?.id ?? ''}
            onChange={(event) => {
              const chosen = repositories.find((r) => r.id === event.target.value);
              verify.reset();
              if (chosen) onRepository(chosen);
              else onUrl('');
            }}
          >
            <option value="">Another repository…</option>
            {repositories.map((r) => (
              <option key={r.id} value={r.id}>
                {repositoryLabel(r)}
              </option>
            ))}
          </select>
        </Field>
      )}
      <Field
        label="Repository URL"
        error={problem}
        help="https, ssh, git@host:owner/name, a local path, or owner/name for GitHub."
      >
        <input
          className="input"
          value={url}
          placeholder="https://github.com/owner/repository"
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => {
            verify.reset();
            onUrl(event.target.value);
          }}
        />
      </Field>
      <Button disabled={url.trim() === ''} busy={verify.isPending} onClick={() => verify.mutate(url.trim())}>
        Connect &amp; Verify Repository
      </Button>
      <div role="status">
        {answer?.is_accessible && (
          <dl className="card grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 p-3 text-sm">
            <dt className="col-span-2 inline-flex items-center gap-1.5 font-medium text-completed">
              <BadgeCheck aria-hidden size={16} /> The repository can be reached
            </dt>
            <dt className="text-soft">Name</dt>
            <dd>{answer.repository_name ?? repositoryName(answer.repository_url)}</dd>
            <dt className="text-soft">Owner</dt>
            <dd>{answer.repository_owner ?? '–'}</dd>
            <dt className="text-soft">Default branch</dt>
            <dd>{answer.default_branch ?? '–'}</dd>
          </dl>
        )}
        {(answer?.is_accessible === false || verify.isError) && (
          <p className="card flex gap-2 border-l-4 border-l-waiting p-3 text-sm">
            <TriangleAlert aria-hidden size={18} className="shrink-0 text-waiting" />
            <span className="min-w-0 break-words">
              <strong className="block">Repository is not accessible</strong>
              {answer?.error_message ?? verify.error?.message}
            </span>
          </p>
        )}
      </div>
    </div>
  );
}
