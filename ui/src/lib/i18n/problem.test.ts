import { describe, expect, it } from "vitest";
import generated from "../generated/protocol?raw";
import type { EncoderFault, Problem, Uplink } from "../generated/protocol";
import { en } from "./en";
import { places } from "./format";
import { encoderIn, errorIn, faultIn, problemIn, programIn, uplinkIn, type Words } from "./problem";
import { systemWords } from "./system";
import { type Key, zh } from "./zh";

const CHINESE: Words = { language: "zh-CN", catalogue: zh };
const ENGLISH: Words = { language: "en", catalogue: en };

/** The declaration of a type, as the server's own code wrote it, without its docs. */
function declared(type: string): string {
  const found = new RegExp(`^export type ${type} = ([^;]*?;)$`, "ms").exec(
    generated.replace(/\/\*\*.*?\*\//gs, ""),
  );
  return found?.[1] ?? "";
}
/** The names of an enum without values. */
function names(type: string): string[] {
  return [...declared(type).matchAll(/"(\w+)"/g)].map((m) => m[1] ?? "");
}
/** Each kind of an enum with values, and the names of these. */
function kinds(type: string, tag: string): [string, string[]][] {
  return [...declared(type).matchAll(new RegExp(`\\{ "${tag}": "(\\w+)"([^}]*)\\}`, "g"))].map((m) => [
    m[1] ?? "",
    [...(m[2] ?? "").matchAll(/(\w+): /g)].map((f) => f[1] ?? "").sort(),
  ]);
}

describe("every code has a sentence in both languages", () => {
  const all: [prefix: string, type: string, least: number][] = [
    ["error_", "ErrorCode", 15],
    ["notice_", "NoticeCode", 12],
    ["refusal_", "RefusalCode", 10],
    ["uplink_", "UplinkWhy", 4],
    ["part_", "Part", 3],
    ["field_", "Field", 8],
    ["replay_problem_", "RecordingProblem", 3],
    ["choice_", "ChoiceReason", 5],
    ["role_", "Role", 4],
  ];
  it.each(all)("%s: %s", (prefix, type, least) => {
    const found = names(type);
    expect(found.length).toBeGreaterThanOrEqual(least);
    for (const name of found) {
      const key = prefix + name;
      expect(Object.keys(zh), key).toContain(key);
      expect(Object.keys(en), key).toContain(key);
    }
  });

  const told: [prefix: string, type: string, tag: string, least: number][] = [
    ["problem_", "Problem", "kind", 80],
    ["fault_", "EncoderFault", "fault", 12],
  ];
  it.each(told)("%s: %s, with all that there is to say and nothing else", (prefix, type, tag, least) => {
    const found = kinds(type, tag);
    expect(found.length).toBeGreaterThanOrEqual(least);
    for (const [kind, fields] of found) {
      const key = prefix + kind;
      expect(Object.keys(zh), key).toContain(key);
      for (const catalogue of [zh, en])
        expect([...new Set(places(catalogue[key as Key]))], key).toEqual(fields);
    }
  });
});

describe("what went wrong", () => {
  const nvenc: EncoderFault = { fault: "no_hardware", reason: "Operation not permitted" };

  it("is said without the words of the command line", () => {
    const wrong = { code: "conflict", message: "The room is closing. Try again in a moment." } as const;
    expect(errorIn(CHINESE, wrong)).toBe(zh.error_conflict);
    expect(errorIn(ENGLISH, wrong)).toBe(en.error_conflict);
    expect(errorIn(CHINESE, { ...wrong, problem: { kind: "room_closing" } })).toBe(zh.problem_room_closing);
  });

  it("is said whole in Chinese, the system's own words included", () => {
    const said: [Problem, string][] = [
      [
        { kind: "encoder_failed", name: "h264_vaapi", why: nvenc },
        "编码器 VA-API 显卡 在这台电脑上用不了。这台电脑没有这种硬件，或缺少它的驱动（系统不允许）。",
      ],
      [
        { kind: "device_busy", part: "microphone", device: "default" },
        "麦克风“系统默认”正被另一个程序使用。请关闭那个程序，再试一次。",
      ],
      [{ kind: "text_too_long", field: "title", max: 80 }, "标题超过了 80 个字，请缩短。"],
      [{ kind: "too_many", field: "tag", max: 5 }, "标签超过了 5 个，请去掉一些。"],
      [{ kind: "upload_refused", code: "damaged" }, zh.refusal_damaged],
      [
        { kind: "folder_not_writable", path: "/数据", reason: "Permission denied (os error 13)" },
        "数据文件夹 /数据 写不了（没有权限）。请修好它的权限，或用 --data 换一个文件夹启动幕间。",
      ],
    ];
    for (const [problem, sentence] of said) expect(problemIn(CHINESE, problem)).toBe(sentence);
  });

  it("is said whole in English", () => {
    expect(problemIn(ENGLISH, { kind: "encoder_failed", name: "h264_nvenc", why: nvenc })).toBe(
      "The encoder NVIDIA NVENC does not work on this computer. This computer has no such hardware, or its driver is missing (Operation not permitted).",
    );
    expect(problemIn(ENGLISH, { kind: "too_many", field: "keyword", max: 20 })).toBe(
      "There are more than 20 keywords. Remove some.",
    );
    expect(problemIn(ENGLISH, { kind: "text_empty", field: "placeholder_name" })).toContain(
      "placeholder's name",
    );
  });

  it("calls encoders by a name that a person knows, and those that are new by FFmpeg's", () => {
    expect([encoderIn(CHINESE, "h264_vaapi"), encoderIn(ENGLISH, "h264_vaapi")]).toEqual([
      "VA-API 显卡",
      "VA-API graphics",
    ]);
    expect(encoderIn(CHINESE, "h264_new")).toBe("h264_new");
    expect(faultIn(CHINESE, { fault: "hung", seconds: 5 })).toBe("它 5 秒没有回应，已被停掉。");
  });

  it("calls programs by their names, and those without one in the person's language", () => {
    expect(
      ["ffmpeg", "an RTMP program", "OBS or a similar program"].map((p) => programIn(CHINESE, p)),
    ).toEqual(["ffmpeg", "一个程序", "OBS 或类似的程序"]);
  });

  it("says what is wrong with the line, with its figures, and nothing of a good one", () => {
    const line: Uplink = { level: "weak", why: "narrow", video_kbps: 340, carries_kbps: 612, behind_ms: 480 };
    expect(uplinkIn(ENGLISH, line)).toContain("about 612 kbit/s");
    // It is read aloud whenever it changes: a figure of every second is not in it.
    expect(uplinkIn(CHINESE, { ...line, why: "late" })).toBe(zh.uplink_late);
    expect(uplinkIn(CHINESE, { ...line, carries_kbps: null })).toBe(zh.uplink_narrow);
    expect(uplinkIn(ENGLISH, { ...line, level: "good", why: null })).toBeUndefined();
  });

  it("keeps the system's words that it does not know", () => {
    expect(systemWords("zh-CN", "Brand new trouble (os error 999).")).toBe("Brand new trouble");
    expect(systemWords("zh-CN", "No space left on device (os error 28)")).toBe("磁盘满了");
    expect(
      systemWords("zh-CN", "The requested audio device is not available. It may have been disconnected."),
    ).toBe("没有接着声音设备");
    expect(systemWords("en", "Permission denied (os error 13)")).toBe("Permission denied");
  });
});
