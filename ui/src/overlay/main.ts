/** The page that a program like OBS lays over its picture: a page of its own, so that nothing but it is ever painted. */
import { mount } from "svelte";
import "./overlay.css";
import Overlay from "./Overlay.svelte";

const target = document.getElementById("overlay");
if (!target) throw new Error("overlay.html has no #overlay");
mount(Overlay, { target });
