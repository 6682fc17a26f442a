import { gzipSync } from 'node:zlib';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** A .gz beside each file, for a server that hands files out as they are. */
function compressed(): Plugin {
  let out = '';
  const walk = (dir: string) => {
    for (const name of readdirSync(dir)) {
      const path = join(dir, name);
      if (statSync(path).isDirectory()) walk(path);
      else if (!name.endsWith('.gz')) writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    }
  };
  return {
    name: 'awo-compressed',
    apply: 'build',
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      walk(out);
    },
  };
}

export default defineConfig({
  base: '/ui/',
  plugins: [react(), tailwindcss(), compressed()],
  resolve: {
    alias: {
      // its way to stop scrolling is a <style> element, which the page's content security policy forbids
      'react-remove-scroll': fileURLToPath(new URL('src/lib/remove-scroll.tsx', import.meta.url)),
    },
  },
  build: {
    outDir: process.env.AWO_UI_OUT ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': process.env.AWO_GATEWAY ?? 'http://127.0.0.1:8053' } },
  test: { environment: 'jsdom', setupFiles: ['src/test-setup.ts'], css: false, testTimeout: 30_000 },
});
