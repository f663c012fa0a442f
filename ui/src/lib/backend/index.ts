/** Picks the backend: the app's inside Tauri, the browser's otherwise. */
import { AppBackend } from "./app";
import type { Backend } from "./types";
import { WebBackend } from "./web";

async function choose(): Promise<Backend> {
  // Only in development: the studio without its app, for looking at its screens. Not in what is built.
  if (import.meta.env.DEV && new URLSearchParams(location.search).has("fake-studio")) {
    const { FakeBackend } = await import("./fake");
    return new FakeBackend();
  }
  return "__TAURI_INTERNALS__" in window ? new AppBackend() : new WebBackend();
}

export const backend: Backend = await choose();
