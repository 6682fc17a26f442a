// Between which steps a person is asked.
import { Hand } from 'lucide-react';
import { Fragment } from 'react';
import { usableGates } from '../lib/own-workflows';
import { stepLabel } from '../lib/steps';

interface Props {
  steps: readonly string[];
  gates: readonly string[];
  onChange: (gates: string[]) => void;
}

export function Checkpoints({ steps, gates, onChange }: Props) {
  const on = usableGates(gates, steps);
  if (steps.length < 2) return null;
  const toggle = (step: string) =>
    onChange(on.includes(step) ? on.filter((s) => s !== step) : usableGates([...on, step], steps));
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">Checkpoints</legend>
      <p className="mb-2 text-sm text-soft">
        {on.length === 0
          ? 'It runs through. Choose a hand to be asked before it goes on.'
          : `It waits for your approval after ${on.map(stepLabel).join(', ')}.`}
      </p>
      <div className="flex flex-wrap items-center gap-y-2">
        {steps.map((step, at) => (
          <Fragment key={`${step} ${at}`}>
            <span className="rounded-lg bg-raised px-2.5 py-1 text-sm">{stepLabel(step)}</span>
            {at < steps.length - 1 && (
              <button
                type="button"
                aria-pressed={on.includes(step)}
                aria-label={`Checkpoint after ${stepLabel(step)}`}
                title={`Checkpoint after ${stepLabel(step)}`}
                onClick={() => toggle(step)}
                className={`mx-1 inline-flex size-8 items-center justify-center rounded-full border ${
                  on.includes(step)
                    ? 'border-waiting text-waiting'
                    : 'border-dashed border-line text-soft hover:border-waiting hover:text-waiting'
                }`}
              >
                <Hand aria-hidden size={16} />
              </button>
            )}
          </Fragment>
        ))}
      </div>
    </fieldset>
  );
}
