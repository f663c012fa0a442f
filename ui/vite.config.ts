import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

// `MUJIAN_SERVER` points `npm run dev` at a running server, as http://127.0.0.1:8080.
const server = process.env["MUJIAN_SERVER"] ?? "http://127.0.0.1:8080";

/** As the server does it: the overlay is a page of its own, at /overlay/ROOM. */
const overlay: Plugin = {
  name: "overlay",
  configureServer({ middlewares }) {
    middlewares.use((request, _response, next) => {
      if (request.url?.startsWith("/overlay/")) request.url = "/overlay.html";
      next();
    });
  },
};

export default defineConfig({
  plugins: [svelte(), overlay],
  build: {
    target: ["es2022", "safari16"],
    // The content-security policy allows no inline styles, scripts or data: scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: ["index.html", "overlay.html"] },
  },
  server: {
    strictPort: true,
    proxy: {
      "/api": { target: server, ws: true, changeOrigin: true },
      "/live": { target: server, ws: true, changeOrigin: true },
    },
  },
});
