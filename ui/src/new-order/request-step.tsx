// Third: what is to be done.
import { useInfo } from '../api/queries';
import { Field } from '../components/field';
import type { Draft, Problems } from './draft';

interface Props {
  draft: Draft;
  problems: Problems;
  onChange: (change: Partial<Draft>) => void;
}

export function RequestStep({ draft, problems, onChange }: Props) {
  const agents = useInfo().data?.agents ?? [];
  return (
    <div className="space-y-4">
      <Field
        label="Work Request"
        error={problems.request}
        help="Say what should be different afterwards, and how one can tell. With an issue it may be left empty."
      >
        <textarea
          rows={7}
          className="input"
          maxLength={65_536}
          value={draft.request}
          placeholder="Add a health check route that answers 200 when the database can be reached."
          onChange={(event) => onChange({ request: event.target.value })}
        />
      </Field>
      <Field
        label="GitHub Issue Number"
        error={problems.issue}
        help="Optional. Its title and text go to the planner; the pull request is linked there."
      >
        <input
          className="input max-w-40"
          inputMode="numeric"
          value={draft.issue}
          onChange={(event) => onChange({ issue: event.target.value.trim().replace(/^#/, '') })}
        />
      </Field>
      <details className="card p-3" open={problems.priority !== undefined}>
        <summary className="font-medium">Agent, branch and priority</summary>
        <div className="mt-3 grid gap-4 sm:grid-cols-2">
          <Field label="Agent">
            <select
              className="input"
              value={draft.agent}
              onChange={(event) => onChange({ agent: event.target.value })}
            >
              <option value="">The default</option>
              {agents.map((agent) => (
                <option key={agent.name} value={agent.name}>
                  {agent.name}
                  {agent.available ? '' : ' (its program was not found)'}
                </option>
              ))}
            </select>
          </Field>
          <Field label="Model" help="Empty: the agent’s own choice.">
            <input
              className="input"
              value={draft.model}
              onChange={(event) => onChange({ model: event.target.value })}
            />
          </Field>
          <Field label="Base branch" help="Empty: the repository’s default branch.">
            <input
              className="input"
              value={draft.baseBranch}
              onChange={(event) => onChange({ baseBranch: event.target.value })}
            />
          </Field>
          <Field label="Priority" error={problems.priority} help="-100 to 100; higher runs first.">
            <input
              className="input"
              inputMode="numeric"
              value={draft.priority}
              onChange={(event) => onChange({ priority: event.target.value.trim() })}
            />
          </Field>
        </div>
      </details>
    </div>
  );
}
