/** Picks the backend: the app's inside Tauri, the browser's otherwise. */
import { AppBackend } from "./app";
import type { Backend } from "./types";
import { WebBackend } from "./web";

function choose(): Backend {
  return "__TAURI_INTERNALS__" in window ? new AppBackend() : new WebBackend();
}

export const backend: Backend = choose();
