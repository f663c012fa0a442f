/** What went wrong, in a person's words: one sentence for each code, each problem and each fault of an encoder. The
 *  compiler sees that none is missing; a test sees that each says all that there is to say. */
import type { EncoderFault, ErrorCode, NoticeCode, Problem, Uplink } from "../generated/protocol";
import { fill } from "./format";
import type { Language } from "./language";
import { systemWords } from "./system";
import type { Catalogue, Key } from "./zh";

/** An error as it came; its message is English and for the command line, so it is not looked at. */
export interface Wrong {
  readonly code: ErrorCode;
  readonly problem?: Problem | undefined;
}

/** A language with its words. */
export interface Words {
  readonly language: Language;
  readonly catalogue: Catalogue;
}

type Values = Record<string, string | number>;

export function errorIn(words: Words, { code, problem }: Wrong): string {
  const key: Key = `error_${code}`;
  return problem ? problemIn(words, problem) : words.catalogue[key];
}

export function problemIn(words: Words, problem: Problem): string {
  const { catalogue } = words;
  const key: Key = `problem_${problem.kind}`;
  const values = said(words, problem);
  if ("part" in problem) values["part"] = catalogue[`part_${problem.part}`];
  if ("device" in problem && problem.device === "default") values["device"] = catalogue.mic_default;
  if (problem.kind === "too_many") {
    const { field } = problem;
    const plural: Key =
      field === "tag" || field === "keyword" || field === "interaction" ? `fields_${field}` : "fields_other";
    values["field"] = catalogue[plural];
  } else if ("field" in problem) values["field"] = catalogue[`field_${problem.field}`];
  if ("why" in problem) values["why"] = faultIn(words, problem.why);
  if (problem.kind === "encoder_failed" || problem.kind === "encoder_missing")
    values["name"] = encoderIn(words, problem.name);
  if (problem.kind === "upload_refused") values["code"] = catalogue[`refusal_${problem.code}`];
  return fill(catalogue[key], values);
}

/** Why an encoder does not work, without its name. */
export function faultIn(words: Words, fault: EncoderFault): string {
  const key: Key = `fault_${fault.fault}`;
  return fill(words.catalogue[key], said(words, fault));
}

/** What a person calls an encoder; one that is not known goes by FFmpeg's name. */
export function encoderIn(words: Words, name: string): string {
  const key = `encoder_name_${name}`;
  return key in words.catalogue ? words.catalogue[key as Key] : name;
}

/** What a program that publishes is called; two of the server's names for one are no names. */
export function programIn({ catalogue }: Words, program: string): string {
  if (program === "an RTMP program") return catalogue.program_unknown;
  if (program === "OBS or a similar program") return catalogue.program_obs;
  return program;
}

/** What is wrong with the streamer's line, and what to do; undefined where nothing is. */
export function uplinkIn({ catalogue }: Words, { why, carries_kbps }: Uplink): string | undefined {
  if (why === null) return undefined;
  if (why === "narrow" && carries_kbps !== null) return fill(catalogue.uplink_narrow_at, { n: carries_kbps });
  const key: Key = `uplink_${why}`;
  return catalogue[key];
}

export function noticeIn(words: Words, code: NoticeCode): string {
  const key: Key = `notice_${code}`;
  return words.catalogue[key];
}

/** What is told of a problem, as words that can stand in a sentence. */
function said({ language }: Words, told: object): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries(told)) {
    if (typeof value === "number") values[name] = value;
    else if (typeof value === "string")
      values[name] = name === "reason" ? systemWords(language, value) : value;
  }
  return values;
}
