// The repositories that orders can be made for by name.
import { BadgeCheck, Copy, Pencil, Plus, ShieldCheck, Trash2, TriangleAlert } from 'lucide-react';
import { useState } from 'react';
import { UNCHECKED, useVerifyRepository } from '../api/actions';
import { useRepositories } from '../api/queries';
import type { Repository } from '../api/types';
import { Button, ButtonLink, IconButton } from '../components/button';
import { Empty, Loading, Problem } from '../components/state';
import { copy } from '../lib/copy';
import { ago, repositoryLabel } from '../lib/format';
import { useKeys } from '../lib/keys';
import { useNow } from '../lib/now';
import { stepLabel } from '../lib/steps';
import { usePageTitle } from '../lib/title';
import { searchRepositories, useRepositoryCounts } from '../orders/repository-panel';
import {
  AddRepositoryDialog,
  DeleteRepositoryDialog,
  EditRepositoryDialog,
  SANDBOX_LABEL,
} from '../repositories/repository-dialogs';

type Open = { kind: 'add' } | { kind: 'edit' | 'delete'; repository: Repository } | null;

export function RepositoriesPage() {
  const repositories = useRepositories();
  const counts = useRepositoryCounts(repositories.data ?? []);
  const verify = useVerifyRepository();
  const now = useNow(false);
  const [open, setOpen] = useState<Open>(null);
  const [text, setText] = useState('');
  useKeys('Repositories', [{ keys: 'n', label: 'Add a repository', run: () => setOpen({ kind: 'add' }) }]);
  usePageTitle('Repositories');

  const found = searchRepositories(repositories.data ?? [], text);
  return (
    <div className="space-y-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1 className="text-xl font-semibold">Repositories</h1>
        <Button look="primary" onClick={() => setOpen({ kind: 'add' })}>
          <Plus aria-hidden size={18} /> Add repository
        </Button>
      </div>
      {repositories.isPending && <Loading what="repositories" />}
      {repositories.isError && (
        <Problem
          title="Failed to load repositories"
          error={repositories.error}
          onRetry={() => void repositories.refetch()}
        />
      )}
      {repositories.data?.length === 0 && (
        <div className="card">
          <Empty
            title="No repositories configured"
            text="A repository that is added here is chosen with one click in a new order, with its own sandbox and steps."
          />
        </div>
      )}
      {repositories.data && repositories.data.length > 0 && (
        <>
          <input
            type="search"
            aria-label="Search repositories"
            placeholder="Search repositories..."
            className="input max-w-md"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          {found.length === 0 && <p className="card p-4 text-soft">No repositories match your search</p>}
          <ul className="grid grid-cols-[minmax(0,1fr)] gap-3 lg:grid-cols-[repeat(2,minmax(0,1fr))]">
            {found.map((r) => {
              const name = repositoryLabel(r);
              const c = counts.get(r.repository_url) ?? { total: 0, active: 0, done: 0 };
              if (r.id === UNCHECKED) {
                return (
                  <li key={r.id} data-repository={r.id} className="card p-4">
                    <h2 className="truncate font-semibold">{name}</h2>
                    <p className="pulse text-sm text-soft">Checking…</p>
                  </li>
                );
              }
              return (
                <li key={r.id} data-repository={r.id} className="card space-y-2 p-4">
                  <div className="flex items-start justify-between gap-2">
                    <div className="min-w-0">
                      <h2 className="truncate font-semibold">{name}</h2>
                      <p className="font-mono text-xs break-all text-soft">{r.repository_url}</p>
                    </div>
                    <span className="flex shrink-0">
                      <IconButton
                        label={`Edit ${name}`}
                        onClick={() => setOpen({ kind: 'edit', repository: r })}
                      >
                        <Pencil aria-hidden size={16} />
                      </IconButton>
                      <IconButton
                        label={`Copy URL of ${name}`}
                        onClick={() => void copy(r.repository_url, 'URL')}
                      >
                        <Copy aria-hidden size={16} />
                      </IconButton>
                      <IconButton
                        label={`Delete ${name}`}
                        onClick={() => setOpen({ kind: 'delete', repository: r })}
                      >
                        <Trash2 aria-hidden size={16} />
                      </IconButton>
                    </span>
                  </div>
                  <p className="flex flex-wrap items-center gap-x-3 text-sm">
                    {r.is_verified ? (
                      <span className="inline-flex items-center gap-1 text-completed">
                        <BadgeCheck aria-hidden size={15} /> Verified{' '}
                        {r.last_verified_at && ago(r.last_verified_at, now)}
                      </span>
                    ) : (
                      <span className="inline-flex items-center gap-1 text-waiting">
                        <TriangleAlert aria-hidden size={15} /> Not verified
                      </span>
                    )}
                    <span className="text-soft">
                      Total {c.total} · Active {c.active} · Done {c.done}
                    </span>
                  </p>
                  <p className="text-sm text-soft">
                    {SANDBOX_LABEL[r.default_sandbox_type]} · {r.default_commands.map(stepLabel).join(' → ')}
                  </p>
                  <div className="flex flex-wrap gap-2">
                    <Button
                      small
                      busy={verify.isPending && verify.variables === r.id}
                      onClick={() => verify.mutate(r.id)}
                    >
                      <ShieldCheck aria-hidden size={15} /> Verify
                    </Button>
                    <ButtonLink small to={`/agent-work-orders?repo=${r.id}`}>
                      Orders
                    </ButtonLink>
                    <ButtonLink small to={`/agent-work-orders/new?repo=${r.id}`}>
                      New order
                    </ButtonLink>
                  </div>
                </li>
              );
            })}
          </ul>
        </>
      )}
      {open?.kind === 'add' && <AddRepositoryDialog onClose={() => setOpen(null)} />}
      {open?.kind === 'edit' && (
        <EditRepositoryDialog repository={open.repository} onClose={() => setOpen(null)} />
      )}
      {open?.kind === 'delete' && (
        <DeleteRepositoryDialog repository={open.repository} onClose={() => setOpen(null)} />
      )}
    </div>
  );
}
