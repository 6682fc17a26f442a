// Access tokens for programs that use the HTTP interface.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Copy, Trash2 } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import { api } from '../api/client';
import { useTokens, readAgain } from '../api/queries';
import type { Token } from '../api/types';
import { Button } from '../components/button';
import { Confirm } from '../components/dialog';
import { Field } from '../components/field';
import { Empty, Loading, Problem } from '../components/state';
import { copy } from '../lib/copy';
import { ago, timestamp } from '../lib/format';
import { useNow } from '../lib/now';
import { toast } from '../lib/toasts';

const DAY = 86_400;
const SCOPES = ['read', 'write', 'admin'];

function TokenForm({ onMade }: { onMade: (token: Token) => void }) {
  const client = useQueryClient();
  const [name, setName] = useState('');
  const [scope, setScope] = useState('write');
  const [days, setDays] = useState('90');
  const make = useMutation({
    mutationFn: () =>
      api.createToken({
        name: name.trim(),
        // each includes those before it
        scopes: SCOPES.slice(0, SCOPES.indexOf(scope) + 1),
        expires_seconds: days === '' ? undefined : Number(days) * DAY,
      }),
    onSuccess: (token) => {
      setName('');
      onMade(token);
      readAgain(client, { queryKey: ['tokens'] });
    },
  });

  function submit(event: FormEvent): void {
    event.preventDefault();
    make.mutate();
  }

  return (
    <form onSubmit={submit} className="card grid gap-4 p-4 sm:grid-cols-3" aria-label="Make an access token">
      <Field label="Name" help="What it is for." error={make.error?.message}>
        <input
          className="input"
          required
          value={name}
          maxLength={128}
          onChange={(e) => setName(e.target.value)}
        />
      </Field>
      <Field label="May">
        <select className="input" value={scope} onChange={(event) => setScope(event.target.value)}>
          <option value="read">read</option>
          <option value="write">read and write</option>
          <option value="admin">read, write and administer</option>
        </select>
      </Field>
      <Field label="Ends after">
        <select className="input" value={days} onChange={(event) => setDays(event.target.value)}>
          <option value="7">7 days</option>
          <option value="30">30 days</option>
          <option value="90">90 days</option>
          <option value="365">a year</option>
          <option value="">never</option>
        </select>
      </Field>
      <div>
        <Button type="submit" look="primary" busy={make.isPending}>
          Make token
        </Button>
      </div>
    </form>
  );
}

export function Tokens() {
  const client = useQueryClient();
  const tokens = useTokens();
  const now = useNow(false);
  const [made, setMade] = useState<Token | null>(null);
  const [asked, setAsked] = useState<Token | null>(null);
  const revoke = useMutation({
    mutationFn: api.revokeToken,
    onSuccess: () => toast.success('The token is revoked'),
    onError: (error) => toast.error('Could not revoke the token', error.message),
    onSettled: () => readAgain(client, { queryKey: ['tokens'] }),
  });
  return (
    <div className="space-y-4">
      <TokenForm onMade={setMade} />
      {made?.token && (
        <div role="status" className="card space-y-2 border-l-4 border-l-completed p-4">
          <p className="font-medium">Copy it now: it is not shown again.</p>
          <p className="flex items-center gap-2">
            <code className="min-w-0 rounded bg-raised p-2 break-all">{made.token}</code>
            <Button small onClick={() => void copy(made.token ?? '', 'Token')}>
              <Copy aria-hidden size={15} /> Copy
            </Button>
          </p>
        </div>
      )}
      {tokens.isPending && <Loading what="tokens" />}
      {tokens.isError && <Problem title="Failed to load tokens" error={tokens.error} />}
      {tokens.data?.length === 0 && (
        <div className="card">
          <Empty title="No access tokens" text="Programs that use the HTTP interface need one." />
        </div>
      )}
      <ul className="space-y-2">
        {tokens.data?.map((token) => (
          <li key={token.id} className="card flex flex-wrap items-center gap-x-4 gap-y-1 p-4">
            <span className="font-medium">{token.name}</span>
            <span className="text-sm text-soft">
              {token.scopes.join(', ')} · made {timestamp(token.created_at)} ·{' '}
              {token.expires_at ? `ends ${timestamp(token.expires_at)}` : 'never ends'} ·{' '}
              {token.last_used_at ? `used ${ago(token.last_used_at, now)}` : 'never used'}
            </span>
            <span className="grow" />
            <Button small look="danger" onClick={() => setAsked(token)} aria-label={`Revoke ${token.name}`}>
              <Trash2 aria-hidden size={15} /> Revoke
            </Button>
          </li>
        ))}
      </ul>
      <Confirm
        open={asked !== null}
        onOpenChange={() => setAsked(null)}
        title={`Revoke ${asked?.name ?? ''}?`}
        text="Whoever uses it is refused from now on."
        action="Revoke"
        onConfirm={() => asked && revoke.mutate(asked.id)}
      />
    </div>
  );
}
