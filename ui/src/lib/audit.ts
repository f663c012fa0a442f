/** The audit log in a person's words. */
import type { AuditEntry, Person } from "./generated/protocol";
import type { Key } from "./i18n/zh";

/** What the operator may do in another's room, by the server's own name for the call. */
const CALLS: Readonly<Record<string, Key>> = {
  "GET /rooms/{room}/owner": "audit_call_key_seen",
  "PATCH /rooms/{room}": "audit_call_changed",
  "POST /rooms/{room}/stream_key": "audit_call_key_renewed",
  "POST /rooms/{room}/end": "audit_call_ended",
  "PUT /rooms/{room}/announcement": "audit_call_announcement",
  "DELETE /rooms/{room}/announcement": "audit_call_announcement",
  "POST /rooms/{room}/overlay": "audit_call_overlay",
  "DELETE /rooms/{room}/overlay": "audit_call_overlay",
  "POST /rooms/{room}/publishers/{publisher}/admit": "audit_call_admitted",
  "DELETE /replays/{replay}": "audit_call_replay_deleted",
  "POST /rooms/{room}/placeholders": "audit_call_shelf",
  "PATCH /rooms/{room}/placeholders/{placeholder}": "audit_call_shelf",
  "DELETE /rooms/{room}/placeholders/{placeholder}": "audit_call_shelf",
  "PUT /rooms/{room}/placeholders/{placeholder}/sound": "audit_call_shelf",
  "POST /rooms/{room}/away": "audit_call_shelf",
};

/** As the messages of the interface are asked for. */
type Say = (key: Key, values?: Readonly<Record<string, string | number>>) => string;

function named(say: Say, person: Person | null, nobody: Key): string {
  if (person === null) return say(nobody);
  // Of an account that is gone there is no name.
  return person.name === "" ? say("audit_gone") : person.name;
}

/** One sentence for one entry, without its time. `when`: a time in a person's words. */
export function auditSentence(say: Say, when: (at: number) => string, entry: AuditEntry): string {
  const { action } = entry;
  const by = named(say, entry.by, "audit_terminal");
  const account = named(say, entry.account, "audit_gone");
  switch (action.action) {
    case "role_changed":
      return say("audit_role_changed", {
        by,
        account,
        from: say(`role_${action.from}`),
        to: say(`role_${action.to}`),
      });
    case "restored":
      return say("audit_restored", { by, date: when(action.made_at) });
    case "trust_changed":
      return say(action.trusted ? "audit_trusted" : "audit_not_trusted", { by, account });
    case "placeholder_allowed":
      return say("audit_placeholder_allowed", { by, account, name: action.name });
    case "placeholder_refused":
      return action.reason === ""
        ? say("audit_placeholder_refused", { by, account, name: action.name })
        : say("audit_placeholder_refused_for", { by, account, name: action.name, reason: action.reason });
    case "room_called": {
      const key = CALLS[action.call];
      const what = key === undefined ? action.call : say(key);
      return say("audit_room_called", { by, account, what });
    }
    case "became_operator":
      return say("audit_became_operator", { by });
    case "account_made":
      return say("audit_account_made", { by, account });
    case "backed_up":
      return say("audit_backed_up", { by });
    case "recovery_made":
      return say("audit_recovery_made", { by, account });
  }
}
