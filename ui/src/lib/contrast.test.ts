import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

/** The tokens of each theme, as app.css has them. */
function themes(): Record<"dark" | "light", Map<string, string>> {
  const css = readFileSync(new URL("../app.css", import.meta.url), "utf8");
  const block = (from: string): Map<string, string> => {
    const body = css.slice(css.indexOf(from)).split("}")[0] ?? "";
    return new Map(
      [...body.matchAll(/--([\w-]+):\s*([^;]+);/g)].map((m) => [m[1] ?? "", (m[2] ?? "").trim()]),
    );
  };
  const dark = block(":root {");
  return { dark, light: new Map([...dark, ...block(':root[data-theme="light"] {')]) };
}

function color(tokens: Map<string, string>, name: string): [number, number, number] {
  const value = tokens.get(name) ?? "";
  const other = /^var\(--([\w-]+)\)$/.exec(value)?.[1];
  if (other !== undefined) return color(tokens, other);
  const hex = /^#([0-9a-f]{6})$/i.exec(value)?.[1];
  if (hex === undefined) throw new Error(`${name} is no colour: ${value}`);
  const at = (i: number): number => parseInt(hex.slice(i, i + 2), 16) / 255;
  return [at(0), at(2), at(4)];
}

/** WCAG 2.2, "relative luminance" and "contrast ratio". */
function contrast(tokens: Map<string, string>, a: string, b: string): number {
  const luminance = (name: string): number => {
    const [r, g, bl] = color(tokens, name).map((c) =>
      c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
    ) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  };
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

describe.each(Object.entries(themes()))("the %s theme", (_, tokens) => {
  it.each(["strong", "plain", "quiet", "cinnabar", "gold", "jade"])(
    "has %s words that can be read (AA)",
    (words) => {
      for (const ground of ["ground", "ground-1", "ground-2"]) {
        expect(contrast(tokens, words, ground), `${words} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
    },
  );
  it("has buttons, badges and fields that can be read and seen (AA)", () => {
    expect(contrast(tokens, "on-cinnabar", "cinnabar-fill")).toBeGreaterThanOrEqual(4.5);
    expect(contrast(tokens, "on-cinnabar", "cinnabar-fill-high")).toBeGreaterThanOrEqual(4.5);
    expect(contrast(tokens, "on-gold", "gold-bright")).toBeGreaterThanOrEqual(4.5);
    expect(contrast(tokens, "strong", "ground-3")).toBeGreaterThanOrEqual(4.5);
    expect(contrast(tokens, "plain", "ground-3")).toBeGreaterThanOrEqual(4.5);
    expect(contrast(tokens, "field-line", "ground-2"), "edge of a field").toBeGreaterThanOrEqual(3);
    expect(contrast(tokens, "field-line", "ground")).toBeGreaterThanOrEqual(3);
    expect(contrast(tokens, "gold", "ground"), "focus").toBeGreaterThanOrEqual(3);
  });
  it("says the same whether the system or the person chose it", () => {
    const css = readFileSync(new URL("../app.css", import.meta.url), "utf8");
    const bodies = [':root:not([data-theme="dark"]) {', ':root[data-theme="light"] {'].map((s) =>
      (css.slice(css.indexOf(s) + s.length).split("}")[0] ?? "").replace(/\s+/g, " ").trim(),
    );
    expect(bodies[0]).toBe(bodies[1]);
  });
});
