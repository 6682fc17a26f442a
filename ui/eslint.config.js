import js from '@eslint/js';
import hooks from 'eslint-plugin-react-hooks';
import ts from 'typescript-eslint';

export default ts.config(
  { ignores: ['dist', 'node_modules'] },
  js.configs.recommended,
  {
    files: ['**/*.{ts,tsx}'],
    extends: [ts.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { 'react-hooks': hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      '@typescript-eslint/consistent-type-imports': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
  {
    // the tests in the browser: what they hand to page.evaluate runs in there
    files: ['tests/**/*.mjs'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          ...[
            'document',
            'fetch',
            'getComputedStyle',
            'globalThis',
            'localStorage',
            'navigator',
            'performance',
          ],
          ...['clearTimeout', 'Event', 'requestAnimationFrame', 'setTimeout', 'window'],
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
);
