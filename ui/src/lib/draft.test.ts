import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { Draft, type Revised } from "./draft";

interface Words {
  readonly title: string;
  readonly muted: boolean;
}
type State = Revised<Words> & { readonly notice: string };

const at = (revision: number, title: string, notice = ""): State => ({
  revision,
  settings: { title, muted: false },
  notice,
});

describe("a draft", () => {
  let draft: Draft<Words, State>;
  beforeEach(() => {
    draft = new Draft();
    draft.take(at(1, "old"));
  });

  it("keeps the newest, whichever way it came", () => {
    draft.edit({ title: "new" });
    expect(draft.save()?.title).toBe("new");
    expect(draft.take(at(7, "new", "no such file"))).toBe(true);
    // The answer was given before, and was longer on its way.
    expect(draft.take(at(6, "new"))).toBe(false);
    draft.saved();
    expect(draft.state?.notice).toBe("no such file");
    expect(draft.settings?.title).toBe("new");
  });

  it("does not take back what is on its way to be saved", () => {
    draft.edit({ title: "new" });
    draft.save();
    draft.take(at(2, "old"));
    expect(draft.settings?.title).toBe("new");
    draft.take(at(3, "new"));
    draft.saved();
    expect(draft.settings?.title).toBe("new");
  });

  it("keeps what is typed while something else is being saved", () => {
    draft.edit({ title: "n" });
    draft.save();
    draft.edit({ title: "new" });
    draft.take(at(2, "n"));
    draft.saved();
    expect(draft.settings?.title).toBe("new");
    expect(draft.save()?.title).toBe("new");
  });

  it("does not show as set what was refused", () => {
    draft.edit({ title: "" });
    draft.save();
    draft.saved();
    expect(draft.settings?.title).toBe("old");
    expect(draft.save()).toBeUndefined();
  });

  it("shows in the end what the app has, in any order of arrival", () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([2, 3, 4, 5, 6, 7], { minLength: 6 }),
        fc.nat({ max: 6 }),
        (order, answered) => {
          const any = new Draft<Words, State>();
          any.take(at(1, "1"));
          any.edit({ title: "mine" });
          any.save();
          for (const [i, revision] of order.entries()) {
            if (i === answered) any.saved();
            any.take(at(revision, String(revision)));
          }
          any.saved();
          return any.settings?.title === "7" && any.state?.revision === 7;
        },
      ),
    );
  });
});
