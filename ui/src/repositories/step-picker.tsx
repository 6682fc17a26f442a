// Chooses steps; each says what it does and what it needs.
import { useInfo } from '../api/queries';
import { missingFor, sortSteps, STEP_HELP, STEP_ORDER, stepLabel, toggleStep } from '../lib/steps';

interface Props {
  selected: readonly string[];
  onChange: (steps: string[]) => void;
}

export function StepPicker({ selected, onChange }: Props) {
  const steps = sortSteps(useInfo().data?.steps ?? STEP_ORDER);
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">Steps</legend>
      <ul className="card divide-y divide-line">
        {steps.map((step) => {
          const missing = missingFor(step, selected);
          const help = `step-${step}-help`;
          return (
            <li key={step}>
              <label
                className={`flex gap-3 px-3 py-2 ${missing ? 'text-soft' : 'cursor-pointer hover:bg-raised/60'}`}
              >
                <input
                  type="checkbox"
                  checked={selected.includes(step)}
                  disabled={missing !== null}
                  onChange={() => onChange(toggleStep(step, selected))}
                  aria-describedby={help}
                  aria-label={stepLabel(step)}
                  className="mt-1 size-4 accent-(--accent)"
                />
                <span className="min-w-0">
                  <span className="font-medium">{stepLabel(step)}</span>{' '}
                  <span className="font-mono text-xs text-soft">{step}</span>
                  <span id={help} className="block text-sm text-soft">
                    {missing ?? STEP_HELP[step] ?? 'A command file of this name is run.'}
                  </span>
                </span>
              </label>
            </li>
          );
        })}
      </ul>
    </fieldset>
  );
}
