import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `MUJIAN_SERVER` points `npm run dev` at a running server, as http://127.0.0.1:8080.
const server = process.env["MUJIAN_SERVER"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: ["es2022", "safari16"],
    // The content-security policy allows no inline styles, scripts or data: scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    strictPort: true,
    proxy: {
      "/api": { target: server, ws: true, changeOrigin: true },
      "/live": { target: server, ws: true, changeOrigin: true },
    },
  },
});
