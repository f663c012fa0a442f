/** What a new password must be, said before the server has to. */
import { PASSWORD_MAX, PASSWORD_MIN } from "./generated/protocol";
import { characters } from "./i18n/format";

export type PasswordFault = "short" | "long" | "differs";

/** `again`: typed a second time, where that is asked for. */
export function passwordFault(password: string, again = password): PasswordFault | undefined {
  if (characters(password) < PASSWORD_MIN) return "short";
  if (new TextEncoder().encode(password).length > PASSWORD_MAX) return "long";
  return again === password ? undefined : "differs";
}
