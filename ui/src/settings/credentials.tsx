// Stored credentials: set, tried and removed here, but never shown.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Trash2 } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import { api } from '../api/client';
import { useCredentials, readAgain } from '../api/queries';
import { CREDENTIAL_KIND, type Credential, type CredentialKind } from '../api/types';
import { Button } from '../components/button';
import { Confirm } from '../components/dialog';
import { Field } from '../components/field';
import { Empty, Loading, Problem } from '../components/state';
import { timestamp } from '../lib/format';
import { toast } from '../lib/toasts';
import { TestButton } from './test-button';

const KIND: Record<CredentialKind, { label: string; help: string; name: string; placeholder: string }> = {
  github_token: {
    label: 'GitHub token',
    help: 'For git over https and the GitHub API. It needs to read and write contents and pull requests.',
    name: 'github',
    placeholder: 'ghp_…',
  },
  git_password: {
    label: 'Git user and password',
    help: 'As user:password.',
    name: '',
    placeholder: 'user:password',
  },
  ssh_key: {
    label: 'SSH key',
    help: 'A private key (ed25519 or ecdsa) without a passphrase.',
    name: '',
    placeholder: '-----BEGIN OPENSSH PRIVATE KEY-----',
  },
  agent_key: {
    label: 'Agent key',
    help: 'The value of an environment variable of an agent; the name is the variable’s.',
    name: 'ANTHROPIC_API_KEY',
    placeholder: '',
  },
  webhook_secret: {
    label: 'Webhook secret',
    help: 'What GitHub signs its webhooks with. Their orders are yours.',
    name: 'webhooks',
    placeholder: '',
  },
};

function CredentialForm() {
  const client = useQueryClient();
  const [kind, setKind] = useState<CredentialKind>('github_token');
  const [name, setName] = useState(KIND.github_token.name);
  const [host, setHost] = useState('');
  const [value, setValue] = useState('');
  const save = useMutation({
    mutationFn: () => api.setCredential({ kind, name: name.trim(), host: host.trim() || undefined, value }),
    onSuccess: (stored) => {
      setValue('');
      readAgain(client, { queryKey: ['credentials'] });
      toast.success(`${stored.name} is stored`, stored.masked);
    },
  });

  function submit(event: FormEvent): void {
    event.preventDefault();
    save.mutate();
  }

  return (
    <form onSubmit={submit} className="card grid gap-4 p-4 sm:grid-cols-2" aria-label="Store a credential">
      <Field label="Kind" help={KIND[kind].help}>
        <select
          className="input"
          value={kind}
          onChange={(event) => {
            const next = event.target.value as CredentialKind;
            setKind(next);
            setName(KIND[next].name);
          }}
        >
          {CREDENTIAL_KIND.map((k) => (
            <option key={k} value={k}>
              {KIND[k].label}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Name" help="Letters, digits, dot, underscore and hyphen.">
        <input className="input" value={name} required onChange={(event) => setName(event.target.value)} />
      </Field>
      <Field label="Host" help="Empty: github.com for a GitHub token.">
        <input className="input" value={host} onChange={(event) => setHost(event.target.value)} />
      </Field>
      <Field label="Secret" error={save.error?.message} help="It is encrypted, and shown to nobody again.">
        {kind === 'ssh_key' ? (
          <textarea
            className="input font-mono text-xs"
            rows={4}
            required
            value={value}
            placeholder={KIND[kind].placeholder}
            onChange={(event) => setValue(event.target.value)}
          />
        ) : (
          <input
            type="password"
            className="input"
            required
            autoComplete="off"
            value={value}
            placeholder={KIND[kind].placeholder}
            onChange={(event) => setValue(event.target.value)}
          />
        )}
      </Field>
      <div>
        <Button type="submit" look="primary" busy={save.isPending}>
          Store
        </Button>
      </div>
    </form>
  );
}

export function Credentials() {
  const client = useQueryClient();
  const credentials = useCredentials();
  const [asked, setAsked] = useState<Credential | null>(null);
  const remove = useMutation({
    mutationFn: api.deleteCredential,
    onSuccess: (_, name) => toast.success(`${name} is removed`),
    onError: (error, name) => toast.error(`Could not remove ${name}`, error.message),
    onSettled: () => readAgain(client, { queryKey: ['credentials'] }),
  });
  return (
    <div className="space-y-4">
      <CredentialForm />
      {credentials.isPending && <Loading what="credentials" />}
      {credentials.isError && <Problem title="Failed to load credentials" error={credentials.error} />}
      {credentials.data?.length === 0 && (
        <div className="card">
          <Empty
            title="No credentials stored"
            text="Without one only public repositories can be read, and nothing can be pushed."
          />
        </div>
      )}
      <ul className="space-y-2">
        {credentials.data?.map((c) => (
          <li key={`${c.owner} ${c.name}`} className="card space-y-2 p-4" data-credential={c.name}>
            <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
              <span className="font-medium">{c.name}</span>
              <span className="text-sm text-soft">
                {KIND[c.kind].label}
                {c.host && ` · ${c.host}`} · {c.owner === '*' ? 'shared with all' : c.owner} ·{' '}
                {timestamp(c.updated_at)}
              </span>
              <code className="text-sm">{c.masked}</code>
              <span className="grow" />
              <Button small look="danger" onClick={() => setAsked(c)} aria-label={`Remove ${c.name}`}>
                <Trash2 aria-hidden size={15} /> Remove
              </Button>
            </div>
            <TestButton label={`Test ${c.name}`} test={() => api.testCredential(c.name)} />
          </li>
        ))}
      </ul>
      <Confirm
        open={asked !== null}
        onOpenChange={() => setAsked(null)}
        title={`Remove ${asked?.name ?? ''}?`}
        text="Orders that need it will fail until it is stored again."
        action="Remove"
        onConfirm={() => asked && remove.mutate(asked.name)}
      />
    </div>
  );
}
