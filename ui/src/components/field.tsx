// A labelled input with its help and its error, wired together for those who do not see them.
import { useId, type ReactElement, type ReactNode, cloneElement } from 'react';

interface FieldProps {
  label: string;
  help?: ReactNode;
  error?: string | null;
  children: ReactElement<{ id?: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean }>;
}

export function Field({ label, help, error, children }: FieldProps) {
  const id = useId();
  const described = [help ? `${id}-help` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ');
  return (
    <div className="space-y-1">
      <label htmlFor={id} className="block text-sm font-medium">
        {label}
      </label>
      {cloneElement(children, {
        id,
        'aria-describedby': described || undefined,
        'aria-invalid': error ? true : undefined,
      })}
      {help && (
        <p id={`${id}-help`} className="text-sm text-soft">
          {help}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} role="alert" className="text-sm font-medium text-failed">
          {error}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  checked: boolean;
  disabled?: boolean;
  title: ReactNode;
  text: ReactNode;
  onChoose: () => void;
}

/** One of several, as a card. */
export function Choice({ name, value, checked, disabled = false, title, text, onChoose }: ChoiceProps) {
  return (
    <label
      className={`card flex gap-3 p-3 ${checked ? 'border-accent bg-accent-soft' : ''} ${disabled ? 'opacity-75' : 'cursor-pointer hover:border-accent'}`}
    >
      <input
        type="radio"
        name={name}
        value={value}
        checked={checked}
        disabled={disabled}
        onChange={onChoose}
        className="mt-1 accent-(--accent)"
      />
      <span>
        <span className="block font-medium">{title}</span>
        <span className="block text-sm text-soft">{text}</span>
      </span>
    </label>
  );
}
