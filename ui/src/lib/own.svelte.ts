/** This app's own studio, one for all screens: whether one is away is said on each of them. */
import { backend } from "./backend";
import { StudioModel } from "./studio.svelte";

export const own = backend.studio ? new StudioModel(backend.studio) : undefined;
