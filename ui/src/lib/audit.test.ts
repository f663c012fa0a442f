import { describe, expect, it } from "vitest";
import { auditSentence } from "./audit";
import generated from "./generated/protocol?raw";
import type { AuditAction, AuditEntry } from "./generated/protocol";
import { en } from "./i18n/en";
import { fill } from "./i18n/format";
import { type Key, zh } from "./i18n/zh";

type Values = Readonly<Record<string, string | number>>;
const english = (key: Key, values?: Values): string => fill(en[key], values);
const chinese = (key: Key, values?: Values): string => fill(zh[key], values);

const when = (at: number): string => `day ${String(at)}`;

const anna = { id: "018f0000-0000-7000-8000-000000000001", name: "Anna" };
function entry(action: AuditAction, rest: Partial<AuditEntry> = {}): AuditEntry {
  const by = { id: "018f0000-0000-7000-8000-000000000002", name: "Olga" };
  return { number: 1, at: 0, by, action, account: anna, room: null, ...rest };
}

describe("the audit log", () => {
  it("has a sentence without open places for every action, in both languages", () => {
    const actions: AuditAction[] = [
      { action: "became_operator" },
      { action: "account_made" },
      { action: "role_changed", from: "viewer", to: "moderator" },
      { action: "trust_changed", trusted: true },
      { action: "trust_changed", trusted: false },
      { action: "recovery_made" },
      { action: "backed_up" },
      { action: "restored", made_at: 7 },
      { action: "placeholder_allowed", name: "Rain" },
      { action: "placeholder_refused", name: "Rain", reason: "" },
      { action: "placeholder_refused", name: "Rain", reason: "An advertisement." },
      { action: "room_called", call: "POST /rooms/{room}/end" },
    ];
    const declared = [...generated.matchAll(/\{ "action": "(\w+)"/g)].map((m) => m[1]);
    expect(new Set(actions.map((a) => a.action))).toEqual(new Set(declared));
    for (const action of actions) {
      for (const say of [english, chinese]) {
        const sentence = auditSentence(say, when, entry(action));
        expect(sentence, action.action).toContain("Olga");
        expect(sentence).not.toMatch(/\{\w+\}/);
      }
      expect(auditSentence(chinese, when, entry(action))).toMatch(/\p{Script=Han}/u);
    }
  });

  it("says of when the backup was that was restored", () => {
    expect(auditSentence(english, when, entry({ action: "restored", made_at: 7 }, { by: null }))).toBe(
      "Somebody at the server's terminal replaced all data of this server by the backup of day 7.",
    );
  });

  it("says who it was where there is no name", () => {
    expect(auditSentence(english, when, entry({ action: "recovery_made" }, { by: null }))).toBe(
      "Somebody at the server's terminal made a recovery code for Anna.",
    );
    const gone = { ...anna, name: "" };
    expect(auditSentence(english, when, entry({ action: "account_made" }, { account: gone }))).toBe(
      "Olga made an account for a deleted account.",
    );
  });

  it("shows a call that it has no words for as it is", () => {
    const sentence = auditSentence(
      english,
      when,
      entry({ action: "room_called", call: "POST /rooms/{room}/new" }),
    );
    expect(sentence).toBe("Olga in a room of Anna: POST /rooms/{room}/new.");
  });
});
