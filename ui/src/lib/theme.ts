// Dark, light, or as the system says.
import { remember, remembered, type Remembered } from './storage';

export function applyTheme(): void {
  const { theme } = remembered();
  const dark = theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
}

export function watchTheme(): void {
  applyTheme();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', applyTheme);
}

export function setTheme(theme: Remembered['theme']): void {
  remember({ theme });
  applyTheme();
}
