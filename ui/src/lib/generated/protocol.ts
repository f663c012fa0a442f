// Generated from server/protocol by `make generate`. Do not edit.
/* eslint-disable */

/** Version of the room socket's protocol. */
export const ROOM_PROTOCOL = 1;
/** Longest danmaku, in characters. */
export const DANMAKU_MAX = 100;
/** Longest message to the room socket, in bytes. */
export const CLIENT_MESSAGE_MAX = 4096;
/** Longest client_ref, in bytes. */
export const CLIENT_REF_MAX = 64;
/** Longest account name, in characters. */
export const NAME_MAX = 24;
/** Shortest password, in characters. */
export const PASSWORD_MIN = 8;
/** Longest password, in bytes. */
export const PASSWORD_MAX = 256;
/** Longest room title, in characters. */
export const TITLE_MAX = 80;
/** Longest category, in characters. */
export const CATEGORY_MAX = 24;
/** Most tags of a room. */
export const TAGS_MAX = 8;
/** Longest tag, in characters. */
export const TAG_MAX = 16;
/** How far ahead something may be announced, in days. */
export const ANNOUNCED_DAYS_MAX = 90;
/** Largest file of a placeholder, in bytes. */
export const PLACEHOLDER_BYTES_MAX = 209715200;
/** Most placeholders on a shelf. */
export const PLACEHOLDERS_MAX = 64;
/** Longest name of a placeholder, in characters. */
export const PLACEHOLDER_NAME_MAX = 40;
/** Most keywords of a placeholder. */
export const KEYWORDS_MAX = 12;
/** Longest keyword, in characters. */
export const KEYWORD_MAX = 24;
/** Longest words on a placeholder, in characters. */
export const PLACEHOLDER_TEXT_MAX = 120;
/** Most further addresses of a room. */
export const RELAYS_MAX = 8;
/** Longest name of one, in characters. */
export const RELAY_NAME_MAX = 40;
/** Most interactions that a room offers. */
export const INTERACTIONS_MAX = 12;
/** Longest interaction in the streamer's own words, in characters. */
export const INTERACTION_MAX = 40;
/** Longest time that a ballot stays open, in seconds. */
export const BALLOT_SECONDS_MAX = 3600;

/**
 * `DELETE /me`: the account is deleted for good.
 */
export type AccountDeletion = {
/**
 * The account's password.
 */
password: string, };

/**
 * `GET /me/export`. Passwords, session tokens and stream keys are left out: they are secrets, not data.
 */
export type AccountExport = {
/**
 * Version of this form.
 */
format: number,
/**
 * When it was made.
 */
made_at: WallTime,
/**
 * The account.
 */
account: AccountView,
/**
 * Its uploads are shown without a moderator's word.
 */
trusted: boolean,
/**
 * Where it is logged in.
 */
sessions: Array<ExportedSession>,
/**
 * Its rooms, the oldest first.
 */
rooms: Array<ExportedRoom>,
/**
 * The rooms that it follows, the oldest follow first.
 */
follows: Array<ExportedFollow>,
/**
 * What it wrote, in whatever room, the newest first.
 */
danmaku: Array<ExportedDanmaku>,
/**
 * What it voted for, the newest first.
 */
votes: Array<ExportedVote>,
/**
 * False: there are more danmaku or votes than are taken along.
 */
complete: boolean, };

/**
 * An account: a UUID.
 */
export type AccountId = string;

/**
 * `PATCH /accounts/ID`, by the operator.
 */
export type AccountPatch = {
/**
 * What the account may do from now on.
 */
role: Role, };

/**
 * An account as its owner sees it.
 */
export type AccountView = {
/**
 * Its id.
 */
id: AccountId,
/**
 * The name shown to others.
 */
name: string,
/**
 * What it may do.
 */
role: Role,
/**
 * When it was made.
 */
created_at: WallTime, };

/**
 * What a room announces, in the hall.
 */
export type AnnouncedProgramme = {
/**
 * The room.
 */
room: RoomView,
/**
 * What it announces.
 */
announced: Announcement, };

/**
 * A programme that a room's owner announces for later. `PUT /rooms/ID/announcement`.
 */
export type Announcement = {
/**
 * When it begins: ahead, by [`ANNOUNCED_DAYS_MAX`] days at most.
 */
at: WallTime,
/**
 * What it is: 1 to [`TITLE_MAX`](crate::api::TITLE_MAX) characters.
 */
title: string, };

/**
 * `GET /rooms/ID/announcement`.
 */
export type AnnouncementState = {
/**
 * What is announced; none: nothing, or it is over.
 */
announced: Announcement | null, };

/**
 * An error as it travels: `{code, message}`.
 */
export type ApiError = {
/**
 * For programs.
 */
code: ErrorCode,
/**
 * For a person, in English; the interface has its own words for each code and each problem.
 */
message: string,
/**
 * What exactly stands in the way, where the code alone does not say it.
 */
problem?: Problem, };

/**
 * A call under `/api/v1`, made by the process: the session's token never reaches the page.
 */
export type ApiRequest = {
/**
 * GET, POST, PATCH or DELETE.
 */
method: string,
/**
 * Without `/api/v1`, beginning with `/`.
 */
path: string,
/**
 * JSON, where the call takes some.
 */
body: unknown, };

/**
 * The answer to an [`ApiRequest`] that reached the server, errors of the server included.
 */
export type ApiResponse = {
/**
 * The HTTP status.
 */
status: number,
/**
 * JSON, or null where there is none.
 */
body: unknown, };

/**
 * Which server the app uses, and who said so.
 */
export type AppHome = { "kind": "unasked" } | { "kind": "host" } | { "kind": "join",
/**
 * As `https://HOST`.
 */
server: string, } | { "kind": "named" };

/**
 * The app, as it starts: the answer of `app_info`.
 */
export type AppInfo = {
/**
 * The server that is used, as `http://HOST:PORT`.
 */
server_url: string,
/**
 * The language of the system as a BCP 47 tag, as `zh-CN`.
 */
locale: string,
/**
 * Who is logged in.
 */
account: AccountView | null,
/**
 * Why the system's keychain did not give the log-in of last time; none: it did, has none, or somebody logged in since.
 */
withheld: Withheld | null,
/**
 * The app hosts the server itself.
 */
hosting: boolean,
/**
 * The app's version.
 */
version: string,
/**
 * The broadcast goes on that ran when the app was last ended by a crash.
 */
resumed: boolean,
/**
 * Which server that is, as the person chose.
 */
home: AppHome,
/**
 * Keys are to be heard while another program is in front.
 */
hotkeys: boolean, };

/**
 * What was done.
 */
export type AuditAction = { "action": "became_operator" } | { "action": "account_made" } | { "action": "role_changed",
/**
 * What it might do before.
 */
from: Role,
/**
 * What it may do from then on.
 */
to: Role, } | { "action": "trust_changed",
/**
 * They are.
 */
trusted: boolean, } | { "action": "recovery_made" } | { "action": "placeholder_allowed",
/**
 * Its name.
 */
name: string, } | { "action": "placeholder_refused",
/**
 * Its name.
 */
name: string,
/**
 * The moderator's words; may be empty.
 */
reason: string, } | { "action": "backed_up" } | { "action": "restored",
/**
 * When the backup was made.
 */
made_at: WallTime, } | { "action": "room_called",
/**
 * Method and path, as the description of the calls has them: `POST /rooms/{room}/end`.
 */
call: string, };

/**
 * An entry of the log.
 */
export type AuditEntry = {
/**
 * Entries are numbered from 1, without holes.
 */
number: number,
/**
 * When.
 */
at: WallTime,
/**
 * Who, by their name now; none: somebody at the server's own terminal.
 */
by: Person | null,
/**
 * What.
 */
action: AuditAction,
/**
 * To whom, or whose the thing was.
 */
account: Person | null,
/**
 * In which room.
 */
room: RoomId | null, };

/**
 * `GET /audit`: entries, newest first.
 */
export type AuditPage = {
/**
 * At most 100.
 */
entries: Array<AuditEntry>,
/**
 * There are older ones: ask with `before` and the last number.
 */
more: boolean, };

/**
 * The streamer is away.
 */
export type Away = {
/**
 * Since when.
 */
since: WallTime,
/**
 * Which stay away this is.
 */
leave_id: LeaveId,
/**
 * The sound goes on.
 */
keep_sound: boolean,
/**
 * When the streamer means to be back: shown to viewers, and nothing follows from it.
 */
back_at: WallTime | null, };

/**
 * `POST /rooms/ID/away`: which placeholder is shown; the present time away, or the next.
 */
export type AwayRequest = {
/**
 * One of the shelf's or the system's; none: by rule.
 */
placeholder_id?: string, };

/**
 * How far leaving, or coming back, has come.
 */
export type AwayStep = { "step": "closing" } | { "step": "closed" } | { "step": "opening" } | { "step": "self_view",
/**
 * When the audience will.
 */
until: WallTime, };

/**
 * `PUT /rooms/ID/back_at`: when the streamer, who is away, means to be back.
 */
export type BackAtRequest = {
/**
 * At most a day ahead; none: no time is told any more.
 */
back_at: WallTime | null, };

/**
 * `POST /rooms/ID/back`: the streamer is back.
 */
export type BackRequest = {
/**
 * Only from this stay away; from any if it is absent.
 */
leave_id?: LeaveId, };

/**
 * One ballot, and what the streamer owes by it: a UUID.
 */
export type BallotId = string;

/**
 * One thing that can be voted for, and how it stands.
 */
export type BallotOption = {
/**
 * What.
 */
interaction: Interaction,
/**
 * Votes for it.
 */
votes: number, };

/**
 * What came out of a ballot.
 */
export type BallotResult = {
/**
 * Of which.
 */
id: BallotId,
/**
 * The options with their votes.
 */
options: Array<BallotOption>,
/**
 * The option that won; none if nobody voted.
 */
winner: number | null,
/**
 * Others had as many votes; the winner reached that number first.
 */
tie: boolean, };

/**
 * What a room's viewers can vote for, and when: `GET /rooms/ID/interactions`.
 */
export type BallotSettings = {
/**
 * A ballot opens whenever the streamer leaves.
 */
enabled: boolean,
/**
 * It closes after so many seconds, to [`BALLOT_SECONDS_MAX`]; 0: when the streamer is back.
 */
seconds: number,
/**
 * What is offered, at most [`INTERACTIONS_MAX`].
 */
interactions: Array<Interaction>, };

/**
 * `PATCH /rooms/ID/interactions`: what is absent stays.
 */
export type BallotSettingsPatch = {
/**
 * See [`BallotSettings::enabled`].
 */
enabled?: boolean,
/**
 * See [`BallotSettings::seconds`].
 */
seconds?: number,
/**
 * The whole list, as it is from now on.
 */
interactions?: Array<Interaction>, };

/**
 * `GET /rooms/ID/ballot`: what is voted on, and what is owed.
 */
export type BallotState = {
/**
 * The ballot that is open.
 */
ballot: BallotView | null,
/**
 * What is owed and not done yet, oldest first.
 */
owed: Array<Owed>, };

/**
 * A ballot that is open.
 */
export type BallotView = {
/**
 * Its id.
 */
id: BallotId,
/**
 * When it was opened.
 */
opened_at: WallTime,
/**
 * When it closes, unless the streamer is back before; none: when the streamer is back.
 */
closes_at: WallTime | null,
/**
 * What can be voted for. An option is named by its place here, from 0.
 */
options: Array<BallotOption>, };

/**
 * Where the broadcast stands.
 */
export type Broadcast = { "phase": "idle" } | { "phase": "starting" } | { "phase": "live",
/**
 * Since when.
 */
since: WallTime, } | { "phase": "reconnecting",
/**
 * Since when the stream runs.
 */
since: WallTime,
/**
 * Since when the connection is gone.
 */
lost_at: WallTime,
/**
 * How often it was tried.
 */
attempt: number,
/**
 * What the last attempt ran into.
 */
error: ApiError, } | { "phase": "ending" } | { "phase": "failed",
/**
 * Why.
 */
error: ApiError, };

/**
 * Figures of a running broadcast, over the last second.
 */
export type BroadcastStats = {
/**
 * Kilobits a second sent.
 */
bitrate_kbps: number,
/**
 * Frames a second sent.
 */
fps: number,
/**
 * Frames not sent since the start.
 */
dropped_frames: number,
/**
 * Frames sent since the start.
 */
sent_frames: number,
/**
 * Age of the oldest frame waiting to be sent, in milliseconds.
 */
queue_ms: number,
/**
 * The line to the server.
 */
uplink: Uplink, };

/**
 * Interactions that every room has; the interface has their words.
 */
export type BuiltInInteraction = "sing" | "joke" | "red_packet" | "dance" | "fact";

/**
 * A placeholder that the system brings.
 */
export type BuiltInView = {
/**
 * Its id, the same in every room.
 */
id: string,
/**
 * The words on it in Chinese.
 */
zh: string,
/**
 * The words on it in English.
 */
en: string, };

/**
 * How the placeholder was chosen.
 */
export type ChoiceReason = "picked" | "only" | "matched" | "none_fits" | "empty" | "not_shown";

/**
 * Which placeholder is shown, or would be, and why.
 */
export type ChoiceView = {
/**
 * Which.
 */
id: string,
/**
 * How it came to be chosen.
 */
reason: ChoiceReason,
/**
 * The words that speak for it.
 */
words: Array<string>,
/**
 * From which score on one fits.
 */
threshold: number,
/**
 * All, the best first.
 */
ranking: Array<RankedView>,
/**
 * Why the one that was picked is not shown.
 */
why_not: string | null, };

/**
 * From a person's client to the room.
 */
export type ClientMessage = { "type": "hello",
/**
 * [`ROOM_PROTOCOL`].
 */
version: number,
/**
 * The session's token; absent for somebody who only watches.
 */
token?: string,
/**
 * The last event that the client has, if it was here before.
 */
after?: EventId,
/**
 * False for somebody who runs the room and does not watch it, as the studio: they are not counted.
 */
watching?: boolean,
/**
 * An overlay's key, in place of a session's token: who has it may read along in this room, and nothing else.
 */
overlay?: string, } | { "type": "danmaku",
/**
 * The author's own name for it, 1 to [`CLIENT_REF_MAX`] bytes.
 */
client_ref: string,
/**
 * The text.
 */
text: string,
/**
 * How it moves.
 */
mode?: DanmakuMode,
/**
 * `#rrggbb`; white if absent.
 */
color?: string, } | { "type": "vote",
/**
 * The voter's own name for the message, 1 to [`CLIENT_REF_MAX`] bytes.
 */
client_ref: string,
/**
 * In which ballot.
 */
ballot: BallotId,
/**
 * For which of its options, counted from 0.
 */
option: number, };

/**
 * `POST /accounts` and `POST /sessions`.
 */
export type Credentials = {
/**
 * The account's name, 1 to [`NAME_MAX`] characters.
 */
name: string,
/**
 * The password, [`PASSWORD_MIN`] characters to [`PASSWORD_MAX`] bytes.
 */
password: string, };

/**
 * A comment that flies over the picture. Its text is text, never markup.
 */
export type Danmaku = {
/**
 * Who wrote it.
 */
author: Person,
/**
 * 1 to [`DANMAKU_MAX`] characters, no control characters.
 */
text: string,
/**
 * How it moves.
 */
mode: DanmakuMode,
/**
 * Its colour, `#rrggbb`.
 */
color: string,
/**
 * The author's own name for it, unique for that author: how a client knows its own.
 */
client_ref: string, };

/**
 * How a danmaku moves.
 */
export type DanmakuMode = "scroll" | "top" | "bottom";

/**
 * A device that can be chosen.
 */
export type Device = {
/**
 * What names it to the system.
 */
id: string,
/**
 * What names it to a person.
 */
name: string,
/**
 * The system's default one.
 */
is_default: boolean, };

/**
 * What there is to capture from.
 */
export type Devices = {
/**
 * Cameras.
 */
cameras: Array<Device>,
/**
 * Screens.
 */
screens: Array<Device>,
/**
 * Windows that are open now, by their titles; not the app's own.
 */
windows: Array<Device>,
/**
 * Microphones.
 */
microphones: Array<Device>,
/**
 * Outputs whose sound can be taken.
 */
outputs: Array<Device>,
/**
 * Why a list is empty, where that is known.
 */
notes: Array<Note>, };

/**
 * Why an encoder does not work, without its name.
 */
export type EncoderFault = { "fault": "missing" } | { "fault": "no_hardware",
/**
 * The driver's words.
 */
reason: string, } | { "fault": "refused",
/**
 * Its words.
 */
reason: string, } | { "fault": "lost",
/**
 * That went in.
 */
sent: number,
/**
 * That came out.
 */
came: number, } | { "fault": "wrong" } | { "fault": "no_key_frame" } | { "fault": "unstreamable" } | { "fault": "untested",
/**
 * The system's words.
 */
reason: string, } | { "fault": "hung",
/**
 * How long it was waited for.
 */
seconds: number, } | { "fault": "crashed",
/**
 * The system's words.
 */
how: string, } | { "fault": "ruined",
/**
 * Its words.
 */
reason: string, } | { "fault": "unlisted" };

/**
 * How one candidate encoder fared.
 */
export type EncoderReport = {
/**
 * FFmpeg's name of it, as `h264_nvenc`.
 */
name: string,
/**
 * What a person calls it, as "NVIDIA NVENC".
 */
label: string,
/**
 * Runs on special hardware.
 */
hardware: boolean,
/**
 * It opened, encoded a few frames, and they decoded to what went in.
 */
works: boolean,
/**
 * Why not, in a sentence; empty if it works.
 */
reason: string,
/**
 * The same, for the interface.
 */
fault?: EncoderFault, };

/**
 * A stream that ended lately, in the hall.
 */
export type EndedProgramme = {
/**
 * The room.
 */
room: RoomView,
/**
 * When the stream began.
 */
started_at: WallTime,
/**
 * When it ended.
 */
ended_at: WallTime,
/**
 * Its replay, if there is one that can be watched.
 */
replay: EndedReplay | null, };

/**
 * The replay of a stream that ended lately.
 */
export type EndedReplay = {
/**
 * Its id.
 */
id: StreamId,
/**
 * As the room was called when the stream began.
 */
title: string,
/**
 * How long it is, in milliseconds.
 */
played_ms: number, };

/**
 * What went wrong, for programs. A code exists only where somebody acts on it.
 */
export type ErrorCode = "invalid_request" | "unauthenticated" | "wrong_credentials" | "forbidden" | "not_found" | "name_taken" | "conflict" | "rate_limited" | "registration_closed" | "wrong_setup_code" | "off_air" | "too_large" | "wrong_stream_key" | "already_publishing" | "unsupported_media" | "device" | "unreachable" | "storage" | "internal";

/**
 * Where a durable event stands in its room's sequence: first by epoch, then by number.
 */
export type EventId = {
/**
 * Which owner of the room numbered it; 1 on a single server.
 */
epoch: number,
/**
 * From 1, without holes.
 */
number: number, };

/**
 * A danmaku.
 */
export type ExportedDanmaku = {
/**
 * In which room.
 */
room: RoomId,
/**
 * When.
 */
at: WallTime,
/**
 * Its words.
 */
text: string,
/**
 * How it moves.
 */
mode: DanmakuMode,
/**
 * Its colour.
 */
color: string, };

/**
 * A room that the account follows.
 */
export type ExportedFollow = {
/**
 * The room's id.
 */
room: RoomId,
/**
 * The room's title.
 */
title: string,
/**
 * Since when.
 */
since: WallTime, };

/**
 * A recording.
 */
export type ExportedRecording = {
/**
 * Its stream's id.
 */
id: StreamId,
/**
 * As the room was called then.
 */
title: string,
/**
 * When it began.
 */
started_at: WallTime,
/**
 * How long it is, in milliseconds.
 */
whole_ms: number,
/**
 * Its bytes on the server's disk.
 */
bytes: number, };

/**
 * A further address to which a room is restreamed.
 */
export type ExportedRelay = {
/**
 * What its owner calls it.
 */
name: string,
/**
 * The address, without the key.
 */
url: string,
/**
 * Whether it is switched on.
 */
on: boolean, };

/**
 * A room.
 */
export type ExportedRoom = {
/**
 * Its id.
 */
id: RoomId,
/**
 * Its title.
 */
title: string,
/**
 * Its category.
 */
category: string,
/**
 * Its tags.
 */
tags: Array<string>,
/**
 * When it was made.
 */
created_at: WallTime,
/**
 * What viewers can vote for.
 */
ballot: BallotSettings,
/**
 * What it announced last.
 */
announced: Announcement | null,
/**
 * Its streams, the oldest first.
 */
streams: Array<ExportedStream>,
/**
 * What is kept of them, the oldest first. The files are downloaded from the room's page.
 */
recordings: Array<ExportedRecording>,
/**
 * Its shelf. The files are downloaded from there.
 */
placeholders: Array<PlaceholderView>,
/**
 * Where it is restreamed to.
 */
relays: Array<ExportedRelay>, };

/**
 * A session.
 */
export type ExportedSession = {
/**
 * When it began.
 */
created_at: WallTime,
/**
 * When it ends, unless it is used before.
 */
expires_at: WallTime, };

/**
 * A stream.
 */
export type ExportedStream = {
/**
 * Its id.
 */
id: StreamId,
/**
 * When it began.
 */
started_at: WallTime,
/**
 * When it ended, if it has.
 */
ended_at: WallTime | null, };

/**
 * A vote.
 */
export type ExportedVote = {
/**
 * In which ballot.
 */
ballot: BallotId,
/**
 * Of which room.
 */
room: RoomId,
/**
 * When the ballot was opened.
 */
opened_at: WallTime,
/**
 * For what.
 */
choice: Interaction, };

/**
 * A text that a person writes.
 */
export type Field = "name" | "title" | "category" | "tag" | "comment" | "placeholder_name" | "keyword" | "words" | "interaction" | "reason" | "relay_name";

/**
 * `GET /rooms/ID/followers`, for the room's owner.
 */
export type Followers = {
/**
 * How many accounts follow the room.
 */
followers: number, };

/**
 * `GET /hall`.
 */
export type HallView = {
/**
 * What is announced, the next first.
 */
announced: Array<AnnouncedProgramme>,
/**
 * What ended lately, the last first; one for each room.
 */
ended: Array<EndedProgramme>, };

/**
 * A small picture over the large one.
 */
export type Inset = {
/**
 * What it shows: anything but a file.
 */
source: VideoSource,
/**
 * Its width as a share of the large picture's, from 0.1 to 0.5.
 */
width: number,
/**
 * How far to the right it lies, of the way that it has, from 0 to 1.
 */
x: number,
/**
 * How far down it lies, of the way that it has, from 0 to 1.
 */
y: number, };

/**
 * What a streamer can owe.
 */
export type Interaction = { "kind": "built_in",
/**
 * Which.
 */
key: BuiltInInteraction, } | { "kind": "own",
/**
 * 1 to [`INTERACTION_MAX`] characters.
 */
text: string, };

/**
 * One stay away, chosen by who leaves: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. Told twice, on
 * two ways, it is known for the same by this.
 */
export type LeaveId = string;

/**
 * `POST /rooms/ID/leave`: the streamer leaves for a while.
 */
export type LeaveRequest = {
/**
 * Names this stay away, where it is told on another way too; the server makes one if it is absent.
 */
leave_id?: LeaveId,
/**
 * The sound goes on; it does not if this is absent.
 */
keep_sound?: boolean,
/**
 * What viewers see meanwhile: one of the shelf's or the system's. By rule if it is absent.
 */
placeholder_id?: string,
/**
 * When the streamer means to be back. Viewers are told; nothing follows from it.
 */
back_at?: WallTime, };

/**
 * What the line to the server carries.
 */
export type LineSpeed = {
/**
 * Bits a second that came through.
 */
bits_per_second: number,
/**
 * The largest preset that it carries with something to spare; none: not even the smallest at its full bitrate.
 */
preset: Preset | null, };

/**
 * Where the connection to a room stands.
 */
export type LinkState = "connecting" | "joined" | "lost";

/**
 * A recording on this computer.
 */
export type LocalRecording = {
/**
 * Its file.
 */
path: string,
/**
 * How large that is.
 */
bytes: number,
/**
 * How long it is, in seconds.
 */
seconds: number,
/**
 * It goes on.
 */
running: boolean, };

/**
 * Where the programme's connection stands.
 */
export type MediaState = { "state": "connected" } | { "state": "lost",
/**
 * A sentence for a person.
 */
reason: string, } | { "state": "ended" };

/**
 * How the shelf on the streamer's computer and the server's agree about a placeholder.
 */
export type Mirror = { "state": "mirrored" } | { "state": "waiting",
/**
 * What it waits for, where that is known.
 */
error?: ApiError, } | { "state": "refused",
/**
 * Why.
 */
error: ApiError, } | { "state": "only_server" };

/**
 * `PATCH /me`: what others call the account from now on, and what it logs in with.
 */
export type NamePatch = {
/**
 * 1 to [`NAME_MAX`] characters.
 */
name: string, };

/**
 * `POST /rooms/ID/relays`: another address.
 */
export type NewRelay = {
/**
 * What its owner calls it: 1 to 40 characters.
 */
name: string,
/**
 * `rtmp://` or `rtmps://`, host and application, as the platform tells them.
 */
url: string,
/**
 * The stream key that the platform gave: 1 to 500 visible ASCII characters. It is not told again.
 */
key: string,
/**
 * Whether it is published to while the room is on air.
 */
on?: boolean, };

/**
 * `POST /rooms`.
 */
export type NewRoom = {
/**
 * 1 to [`TITLE_MAX`] characters.
 */
title: string,
/**
 * At most [`CATEGORY_MAX`] characters.
 */
category: string,
/**
 * At most [`TAGS_MAX`], each at most [`TAG_MAX`] characters.
 */
tags: Array<string>, };

/**
 * Why a list is empty.
 */
export type Note = {
/**
 * A sentence in English.
 */
message: string,
/**
 * The same, for the interface.
 */
problem: Problem, };

/**
 * A remark for the streamer that stays until it no longer holds.
 */
export type Notice = {
/**
 * Names the remark.
 */
code: NoticeCode,
/**
 * A sentence in English; the interface has its own words for codes and problems.
 */
message: string,
/**
 * What exactly stands in the way, where there is such a thing.
 */
problem?: Problem, };

/**
 * Names a remark for the streamer. The interface has a sentence for each in each of its languages.
 */
export type NoticeCode = "microphone_silent" | "microphone_lost" | "output_lost" | "camera_lost" | "screen_lost" | "window_lost" | "file_failed" | "file_ended" | "source_failed" | "inset_lost" | "inset_failed" | "encoder_fallback" | "resumed" | "resumed_away" | "not_resumed" | "left_locked" | "left_asleep" | "camera_not_closing" | "back_failed" | "recording_failed" | "quality_refused" | "sent_openly";

/**
 * `POST /rooms/ID/overlay`: a new key for the overlay's address. Shown once.
 */
export type OverlayKey = {
/**
 * For the address, after its `#`.
 */
key: string,
/**
 * When it was made.
 */
made_at: WallTime, };

/**
 * `GET /rooms/ID/overlay`: the page that a program like OBS lays over the picture.
 */
export type OverlayState = {
/**
 * When its key was made; none: it is switched off.
 */
made_at: WallTime | null, };

/**
 * What the streamer owes.
 */
export type Owed = {
/**
 * The ballot that it comes from; names it for `POST /rooms/ID/owed/OWED/done`.
 */
id: BallotId,
/**
 * What.
 */
interaction: Interaction,
/**
 * Votes for it.
 */
votes: number,
/**
 * Others had as many; this reached the number first.
 */
tie: boolean,
/**
 * Since when it is owed.
 */
since: WallTime, };

/**
 * A room as its owner sees it when it is made: 201.
 */
export type OwnedRoom = {
/**
 * The secret that lets a program publish.
 */
stream_key: string,
/**
 * Where to publish to, without the key: `rtmp://HOST/live/ROOM`, or `rtmps://` where the question came by HTTPS and
 * the server takes RTMPS itself.
 */
rtmp_url: string,
/**
 * Its id, as in its address.
 */
id: RoomId,
/**
 * Its title.
 */
title: string,
/**
 * Its category; may be empty.
 */
category: string,
/**
 * Its tags.
 */
tags: Array<string>,
/**
 * Whose it is.
 */
owner: Person,
/**
 * What viewers are shown.
 */
stage: Stage,
/**
 * Since when the stage is what it is.
 */
stage_since: WallTime,
/**
 * Since when the present stream runs.
 */
live_since: WallTime | null,
/**
 * The streamer's stay away, whatever is shown: from leaving until back or the end.
 */
away: Away | null,
/**
 * People watching now.
 */
viewers: number, };

/**
 * What a recording's owner knows of it.
 */
export type OwnerOfReplay = {
/**
 * Bytes on the server's disk.
 */
bytes: number,
/**
 * Why it is not complete.
 */
problem: RecordingProblem | null, };

/**
 * A kind of device.
 */
export type Part = "camera" | "screen" | "window" | "microphone" | "output";

/**
 * `PUT /me/password`.
 */
export type PasswordChange = {
/**
 * The password up to now.
 */
old: string,
/**
 * The password from now on, [`PASSWORD_MIN`] characters to [`PASSWORD_MAX`] bytes.
 */
new: string, };

/**
 * An account as others see it.
 */
export type Person = {
/**
 * Its id.
 */
id: AccountId,
/**
 * The name shown to others.
 */
name: string, };

/**
 * What a placeholder shows.
 */
export type PlaceholderKind = "text" | "picture" | "animation" | "audio" | "video";

/**
 * `PATCH /rooms/ID/placeholders/PLACEHOLDER`: what is absent stays.
 */
export type PlaceholderPatch = {
/**
 * The new name.
 */
name?: string,
/**
 * The new keywords.
 */
keywords?: Array<string>,
/**
 * The new words on it: it is made and judged again, and shown as it was until then.
 */
text?: string,
/**
 * Its new place, from 0.
 */
position?: number, };

/**
 * Whether a placeholder can be shown.
 */
export type PlaceholderState = { "state": "checking" } | { "state": "waiting" } | { "state": "ready" } | { "state": "refused",
/**
 * Why, for programs.
 */
code: RefusalCode,
/**
 * Why, for a person.
 */
message: string,
/**
 * The moderator's own words, if there are any.
 */
words?: string, };

/**
 * A placeholder on a room's shelf.
 */
export type PlaceholderView = {
/**
 * Its id.
 */
id: string,
/**
 * Its name.
 */
name: string,
/**
 * What it is about.
 */
keywords: Array<string>,
/**
 * The words on it; may be empty.
 */
text: string,
/**
 * What it shows.
 */
kind: PlaceholderKind,
/**
 * Whether it has sound.
 */
sound: boolean,
/**
 * Bytes of its files.
 */
bytes: number,
/**
 * What it is made of, `FILE+SOUND~WORDS`: SHA-256 of its file and of its added sound, in hexadecimal, and a
 * sign of its words once they were changed. How a client knows its own, and what a verdict is about.
 */
digest: string,
/**
 * How long it is, once that is known.
 */
duration_ms: number | null,
/**
 * Whether it can be shown.
 */
state: PlaceholderState,
/**
 * Its words were changed: until the new ones can be shown, viewers see it as it was before.
 */
stands: boolean,
/**
 * When it was put there.
 */
created_at: WallTime,
/**
 * When its name, keywords, words or sound last changed.
 */
changed_at: WallTime,
/**
 * The uploading program's own name for it.
 */
key?: string,
/**
 * How the shelf on the streamer's computer and the server's agree about it; only the app says this.
 */
mirror?: Mirror, };

/**
 * Size and rate of the stream.
 */
export type Preset = "540p30" | "720p30" | "1080p30" | "1080p60";

/**
 * See the top of the file.
 */
export type Problem = { "kind": "device_busy",
/**
 * What kind.
 */
part: Part,
/**
 * As it was chosen.
 */
device: string, } | { "kind": "device_gone",
/**
 * What kind.
 */
part: Part,
/**
 * As it was chosen.
 */
device: string, } | { "kind": "device_denied",
/**
 * What kind.
 */
part: Part,
/**
 * As it was chosen.
 */
device: string, } | { "kind": "device_silent",
/**
 * What kind.
 */
part: Part,
/**
 * As it was chosen.
 */
device: string,
/**
 * How long it was waited for.
 */
seconds: number, } | { "kind": "device_failed",
/**
 * What kind.
 */
part: Part,
/**
 * As it was chosen.
 */
device: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "device_stopped",
/**
 * What kind.
 */
part: Part,
/**
 * As it was chosen.
 */
device: string, } | { "kind": "camera_none" } | { "kind": "cameras_unlisted" } | { "kind": "microphone_unset" } | { "kind": "microphone_none",
/**
 * The system's words.
 */
reason: string, } | { "kind": "output_unset" } | { "kind": "output_none",
/**
 * The system's words.
 */
reason: string, } | { "kind": "screen_on_wayland" } | { "kind": "screen_none" } | { "kind": "part_unsupported",
/**
 * What kind.
 */
part: Part, } | { "kind": "file_unset" } | { "kind": "file_missing",
/**
 * Which.
 */
path: string, } | { "kind": "file_denied",
/**
 * Which.
 */
path: string, } | { "kind": "file_folder",
/**
 * Which.
 */
path: string, } | { "kind": "file_unknown",
/**
 * Which.
 */
path: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "file_empty",
/**
 * Which.
 */
path: string, } | { "kind": "file_damaged",
/**
 * Which.
 */
path: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "file_slow",
/**
 * Which.
 */
path: string,
/**
 * How long it was waited for.
 */
seconds: number, } | { "kind": "encoder_failed",
/**
 * What it is called.
 */
name: string,
/**
 * Why.
 */
why: EncoderFault, } | { "kind": "encoder_none" } | { "kind": "encoder_missing",
/**
 * FFmpeg's name of it.
 */
name: string, } | { "kind": "input_missing",
/**
 * FFmpeg's name of it.
 */
name: string, } | { "kind": "port_in_use",
/**
 * Which.
 */
address: string, } | { "kind": "port_refused",
/**
 * Which.
 */
address: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "folder_not_writable",
/**
 * Which.
 */
path: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "folder_in_use",
/**
 * Which.
 */
path: string, } | { "kind": "folder_unknown" } | { "kind": "already_open" } | { "kind": "disk_full",
/**
 * Which.
 */
path: string, } | { "kind": "recording_refused",
/**
 * The folder.
 */
path: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "recording_slow",
/**
 * The folder.
 */
path: string, } | { "kind": "server_disk_full" } | { "kind": "shelf_file_gone",
/**
 * Where it was.
 */
path: string, } | { "kind": "not_mirrored" } | { "kind": "newer_data",
/**
 * Which.
 */
path: string,
/**
 * The file's format.
 */
found: number,
/**
 * The newest that this program knows.
 */
known: number, } | { "kind": "foreign_data",
/**
 * Which.
 */
path: string, } | { "kind": "data_failed",
/**
 * Which.
 */
path: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "host_failed",
/**
 * Where it tells more.
 */
log: string, } | { "kind": "key_taken",
/**
 * As `Ctrl+Shift+F9`.
 */
key: string, } | { "kind": "no_global_keys" } | { "kind": "server_named" } | { "kind": "no_server_address" } | { "kind": "no_mujian",
/**
 * As `https://HOST:PORT`.
 */
address: string, } | { "kind": "server_unreachable",
/**
 * Which.
 */
address: string, } | { "kind": "connection_lost" } | { "kind": "key_renewed" } | { "kind": "video_codec",
/**
 * Its name.
 */
codec: string, } | { "kind": "sound_codec",
/**
 * Its name.
 */
codec: string, } | { "kind": "video_tracks" } | { "kind": "sound_tracks" } | { "kind": "video_form" } | { "kind": "picture_too_large",
/**
 * In pixels.
 */
width: number,
/**
 * In pixels.
 */
height: number,
/**
 * The largest side, in pixels.
 */
max: number, } | { "kind": "video_damaged" } | { "kind": "sound_damaged" } | { "kind": "sound_form" } | { "kind": "sound_rate",
/**
 * A second.
 */
rate: number, } | { "kind": "sound_channels" } | { "kind": "text_empty",
/**
 * Which.
 */
field: Field, } | { "kind": "text_too_long",
/**
 * Which.
 */
field: Field,
/**
 * The most, in characters.
 */
max: number, } | { "kind": "text_forbidden",
/**
 * Which.
 */
field: Field, } | { "kind": "too_many",
/**
 * Of which.
 */
field: Field,
/**
 * The most.
 */
max: number, } | { "kind": "password_short",
/**
 * The least, in characters.
 */
min: number, } | { "kind": "password_long" } | { "kind": "password_wrong" } | { "kind": "recovery_wrong" } | { "kind": "password_none" } | { "kind": "last_operator" } | { "kind": "too_often",
/**
 * How long to wait.
 */
seconds: number, } | { "kind": "crowded" } | { "kind": "streamers_only" } | { "kind": "not_yours" } | { "kind": "rooms_full",
/**
 * The most.
 */
max: number, } | { "kind": "follows_full",
/**
 * The most.
 */
max: number, } | { "kind": "follows_own" } | { "kind": "room_full" } | { "kind": "room_closing" } | { "kind": "not_away" } | { "kind": "back_at_past" } | { "kind": "announced_when",
/**
 * The most, in days.
 */
days: number, } | { "kind": "leave_over" } | { "kind": "leave_not_kept" } | { "kind": "ballot_closed" } | { "kind": "replay_unfinished" } | { "kind": "replay_unreadable" } | { "kind": "shelf_full",
/**
 * The most placeholders.
 */
max: number, } | { "kind": "outdated" } | { "kind": "upload_too_large",
/**
 * The most, in MB.
 */
mb: number, } | { "kind": "upload_broken" } | { "kind": "upload_empty" } | { "kind": "upload_silent" } | { "kind": "upload_refused",
/**
 * Why.
 */
code: RefusalCode, } | { "kind": "server_stopping" } | { "kind": "server_data_failed" } | { "kind": "server_slow" } | { "kind": "no_mujian_server" } | { "kind": "version_differs" } | { "kind": "stream_ended" } | { "kind": "on_air" } | { "kind": "not_on_air" } | { "kind": "own_server" } | { "kind": "not_hosting" } | { "kind": "host_restarting" } | { "kind": "dialog_open" } | { "kind": "settings_damaged",
/**
 * What is wrong with them, in English.
 */
reason: string, } | { "kind": "relay_address" } | { "kind": "relay_key" } | { "kind": "relay_key_again" } | { "kind": "relays_full",
/**
 * The most.
 */
max: number, } | { "kind": "relay_unresolved",
/**
 * The name.
 */
host: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "relay_unreachable",
/**
 * Host and port.
 */
address: string,
/**
 * The system's words.
 */
reason: string, } | { "kind": "server_untrusted",
/**
 * The name.
 */
host: string,
/**
 * What is wrong, in English.
 */
reason: string, } | { "kind": "relay_untrusted",
/**
 * The name.
 */
host: string,
/**
 * What is wrong, in English.
 */
reason: string, } | { "kind": "relay_private",
/**
 * The name.
 */
host: string, } | { "kind": "relay_leads_back" } | { "kind": "relay_key_refused",
/**
 * Its words.
 */
reason: string, } | { "kind": "relay_busy",
/**
 * The platform's words.
 */
reason: string, } | { "kind": "relay_refused",
/**
 * Its words.
 */
reason: string, } | { "kind": "relay_ended",
/**
 * Its words.
 */
reason: string, } | { "kind": "relay_away",
/**
 * Its words.
 */
reason: string, } | { "kind": "relay_lost",
/**
 * How.
 */
reason: string, } | { "kind": "relay_stalled",
/**
 * For how long, in seconds.
 */
seconds: number, } | { "kind": "relay_not_rtmp",
/**
 * What is wrong, in English.
 */
reason: string, } | { "kind": "program_damaged" };

/**
 * How well a placeholder fits.
 */
export type RankedView = {
/**
 * Which.
 */
id: string,
/**
 * How well it fits, 0 to 1.
 */
score: number,
/**
 * The words that speak for it, the strongest first.
 */
words: Array<string>, };

/**
 * Why a recording is not complete.
 */
export type RecordingProblem = "disk_full" | "disk_failed" | "too_slow";

/**
 * The answer to `POST /accounts/ID/recovery`, by the operator: 201.
 */
export type RecoveryCode = {
/**
 * Sets a new password once. Shown once; the server keeps only its hash.
 */
code: string,
/**
 * When it ends.
 */
expires_at: WallTime, };

/**
 * `POST /recovery`: a new password for who lost theirs and has a code of the operator's.
 */
export type RecoveryRequest = {
/**
 * The account's name.
 */
name: string,
/**
 * The code. Hyphens, blanks and case make no difference.
 */
code: string,
/**
 * The password from now on, [`PASSWORD_MIN`] characters to [`PASSWORD_MAX`] bytes.
 */
password: string, };

/**
 * Why a placeholder is not shown.
 */
export type RefusalCode = "unknown" | "lies" | "too_many_pixels" | "too_many_pictures" | "too_long" | "damaged" | "unsafe" | "no_font" | "too_costly" | "words" | "moderator" | "no_workshop";

/**
 * A program with the right key that was sent away, because what it sends is not taken.
 */
export type RefusedPublisher = {
/**
 * What the program calls itself, as it said.
 */
program: string,
/**
 * Its network address, without the port.
 */
address: string,
/**
 * When it was sent away.
 */
at: WallTime,
/**
 * Why: a sentence in English that says what is taken.
 */
reason: string,
/**
 * The same, for the interface.
 */
problem: Problem, };

/**
 * One further address to which a room is restreamed: a UUID.
 */
export type RelayId = string;

/**
 * `PATCH /rooms/ID/relays/RELAY`: what is left out stays.
 */
export type RelayPatch = {
/**
 * Another name.
 */
name?: string,
/**
 * Another address. The key must come with it: a key is sent only where it was given for.
 */
url?: string,
/**
 * Another stream key.
 */
key?: string,
/**
 * On or off. On, where it was on: try again now.
 */
on?: boolean, };

/**
 * How a further address stands.
 */
export type RelayState = { "state": "off" } | { "state": "idle" } | { "state": "connecting" } | { "state": "live" } | { "state": "waiting",
/**
 * Why.
 */
error: ApiError,
/**
 * When.
 */
until: WallTime, } | { "state": "refused",
/**
 * Why.
 */
error: ApiError, };

/**
 * A further address, as its room's owner sees it.
 */
export type RelayView = {
/**
 * Its id.
 */
id: RelayId,
/**
 * What its owner calls it.
 */
name: string,
/**
 * The address, without the key.
 */
url: string,
/**
 * The key's last characters, to know it by; empty where the key is short.
 */
key_end: string,
/**
 * Whether it is published to while the room is on air.
 */
on: boolean,
/**
 * How it stands.
 */
state: RelayState,
/**
 * Since when.
 */
since: WallTime, };

/**
 * A placeholder that was deleted.
 */
export type RemovedView = {
/**
 * Its id.
 */
id: string,
/**
 * The uploading program's own name for it.
 */
key?: string,
/**
 * When.
 */
at: WallTime, };

/**
 * A recording: `GET /replays/ID`.
 */
export type Replay = {
/**
 * When the streamer left and came back.
 */
moments: Array<ReplayMoment>,
/**
 * The cut map: what of the whole is played in the replay.
 */
spans: Array<ReplaySpan>,
/**
 * The replay.
 */
replay: ReplayVersion,
/**
 * The whole, for its owner.
 */
full: ReplayVersion | null,
/**
 * The stream's id.
 */
id: StreamId,
/**
 * The room.
 */
room: RoomId,
/**
 * As the room was called then.
 */
title: string,
/**
 * When the stream began.
 */
started_at: WallTime,
/**
 * When it ended; none while it is being recorded, which only its owner sees.
 */
ended_at: WallTime | null,
/**
 * How long the replay is.
 */
played_ms: number,
/**
 * How long the stream was.
 */
whole_ms: number,
/**
 * How much of it the streamer was away.
 */
away_ms: number,
/**
 * What the owner knows besides.
 */
owner: OwnerOfReplay | null, };

/**
 * A danmaku where it is played.
 */
export type ReplayDanmaku = {
/**
 * When.
 */
played_ms: number,
/**
 * What was written.
 */
danmaku: Danmaku, };

/**
 * Some danmaku of a recording, in order.
 */
export type ReplayDanmakuPage = {
/**
 * Those that are played.
 */
danmaku: Array<ReplayDanmaku>,
/**
 * For `?from=`, if there are more.
 */
next: number | null, };

/**
 * A file to download.
 */
export type ReplayDownload = {
/**
 * Its address, on the server.
 */
url: string,
/**
 * Width of its pictures.
 */
width: number,
/**
 * Height of its pictures.
 */
height: number,
/**
 * How long it is.
 */
length_ms: number, };

/**
 * The streamer left, or came back.
 */
export type ReplayMoment = {
/**
 * Which of the two.
 */
kind: ReplayMomentKind,
/**
 * When, in the whole recording.
 */
whole_ms: number,
/**
 * When, by the clock.
 */
at: WallTime, };

/**
 * What happened at a moment.
 */
export type ReplayMomentKind = "left" | "back";

/**
 * A stretch of the whole recording that is played as one.
 */
export type ReplaySpan = {
/**
 * Where it begins in the whole.
 */
from_ms: number,
/**
 * Where it ends there.
 */
to_ms: number,
/**
 * Where it begins in what is played.
 */
played_ms: number, };

/**
 * A version of a recording that can be watched.
 */
export type ReplayVersion = {
/**
 * The address of its HLS playlist, on the server.
 */
playlist: string,
/**
 * How long the playlist is.
 */
length_ms: number,
/**
 * What the player must play of the playlist, and where; none: all of it.
 */
spans: Array<ReplaySpan> | null,
/**
 * Files to download.
 */
downloads: Array<ReplayDownload>, };

/**
 * A recording in a list.
 */
export type ReplayView = {
/**
 * The stream's id.
 */
id: StreamId,
/**
 * The room.
 */
room: RoomId,
/**
 * As the room was called then.
 */
title: string,
/**
 * When the stream began.
 */
started_at: WallTime,
/**
 * When it ended; none while it is being recorded, which only its owner sees.
 */
ended_at: WallTime | null,
/**
 * How long the replay is.
 */
played_ms: number,
/**
 * How long the stream was.
 */
whole_ms: number,
/**
 * How much of it the streamer was away.
 */
away_ms: number,
/**
 * What the owner knows besides.
 */
owner: OwnerOfReplay | null, };

/**
 * A placeholder that waits for a moderator.
 */
export type ReviewItem = {
/**
 * In which room.
 */
room: RoomId,
/**
 * Whose.
 */
owner: Person,
/**
 * What.
 */
placeholder: PlaceholderView, };

/**
 * What an account may do. A viewer who makes a room is a streamer from then on.
 */
export type Role = "viewer" | "streamer" | "moderator" | "operator";

/**
 * From the room's connection to the window.
 */
export type RoomChannelMessage = { "type": "message",
/**
 * As it came.
 */
message: ServerMessage, } | { "type": "state",
/**
 * From now on.
 */
state: LinkState, };

/**
 * A durable event of a room.
 */
export type RoomEvent = {
/**
 * Its place in the sequence.
 */
id: EventId,
/**
 * When the server took it.
 */
at: WallTime,
/**
 * What happened.
 */
body: RoomEventBody, };

/**
 * What happened, durably.
 */
export type RoomEventBody = { "kind": "danmaku" } & Danmaku | { "kind": "stage_changed",
/**
 * Shown from now on.
 */
stage: Stage,
/**
 * The streamer's stay away, whatever is shown.
 */
away: Away | null, } | { "kind": "room_changed",
/**
 * The title now.
 */
title: string,
/**
 * The category now.
 */
category: string,
/**
 * The tags now.
 */
tags: Array<string>, } | { "kind": "stream_started",
/**
 * Its id.
 */
stream: StreamId, } | { "kind": "stream_ended",
/**
 * Its id.
 */
stream: StreamId, } | { "kind": "ballot_opened",
/**
 * On what.
 */
ballot: BallotView, } | { "kind": "ballot_closed",
/**
 * What came out.
 */
result: BallotResult, } | { "kind": "owed_added",
/**
 * What.
 */
owed: Owed, } | { "kind": "owed_done",
/**
 * Which.
 */
id: BallotId,
/**
 * When.
 */
at: WallTime, };

/**
 * A room: 4 to 32 of `a-z`, `0-9` and `-`, so that it reads well in an address.
 */
export type RoomId = string;

/**
 * `PATCH /rooms/ID`: what is absent stays.
 */
export type RoomPatch = {
/**
 * The new title.
 */
title?: string,
/**
 * The new category.
 */
category?: string,
/**
 * The new tags.
 */
tags?: Array<string>, };

/**
 * A room as everybody sees it.
 */
export type RoomView = {
/**
 * Its id, as in its address.
 */
id: RoomId,
/**
 * Its title.
 */
title: string,
/**
 * Its category; may be empty.
 */
category: string,
/**
 * Its tags.
 */
tags: Array<string>,
/**
 * Whose it is.
 */
owner: Person,
/**
 * What viewers are shown.
 */
stage: Stage,
/**
 * Since when the stage is what it is.
 */
stage_since: WallTime,
/**
 * Since when the present stream runs.
 */
live_since: WallTime | null,
/**
 * The streamer's stay away, whatever is shown: from leaving until back or the end.
 */
away: Away | null,
/**
 * People watching now.
 */
viewers: number, };

/**
 * A picture that was put together and kept under a name.
 */
export type Scene = {
/**
 * What the streamer calls it; no two are called the same.
 */
name: string,
/**
 * The large picture.
 */
source: VideoSource,
/**
 * The small one over it, if there is one.
 */
inset: Inset | null, };

/**
 * `GET /server`.
 */
export type ServerInfo = {
/**
 * The server's version.
 */
version: string,
/**
 * Whether anybody may make an account.
 */
registration_open: boolean,
/**
 * Whether no operator exists yet.
 */
setup_needed: boolean,
/**
 * The port that takes RTMP.
 */
rtmp_port: number,
/**
 * The port that takes RTMPS; none: it is not served. Who asks by HTTPS publishes there, also through a proxy that ends
 * HTTPS: the certificate is for the same name.
 */
rtmps_port: number | null, };

/**
 * From the room to a person's client.
 */
export type ServerMessage = { "type": "welcome",
/**
 * The room now.
 */
room: RoomView,
/**
 * Who the client is; none for somebody who is not logged in.
 */
you: AccountView | null,
/**
 * True: `events` is all that was missed. False: it is the last few, and whatever the
 * client kept from before stands beside a hole it must not hide.
 */
resumed: boolean,
/**
 * Durable events, oldest first.
 */
events: Array<RoomEvent>,
/**
 * The last event's id, for the next `hello`.
 */
last: EventId,
/**
 * The ballot that is open.
 */
ballot: BallotView | null,
/**
 * What the client's account voted for in it.
 */
your_vote: number | null,
/**
 * What the streamer owes and has not done yet, oldest first.
 */
owed: Array<Owed>,
/**
 * To the owner: programs that were refused because another publishes, oldest first.
 */
waiting: Array<WaitingPublisher>,
/**
 * To the owner: the program that was sent away last, unless something was taken since.
 */
refused: RefusedPublisher | null,
/**
 * To the owner: what [`ServerMessage::KeyFrames`] said last.
 */
key_frames_far: boolean,
/**
 * The server's clock.
 */
server_time: WallTime, } | { "type": "event",
/**
 * What.
 */
event: RoomEvent, } | { "type": "presence",
/**
 * People watching now.
 */
viewers: number, } | { "type": "accepted",
/**
 * Which.
 */
client_ref: string,
/**
 * The event it became.
 */
id: EventId, } | { "type": "voted",
/**
 * Which message.
 */
client_ref: string,
/**
 * In which ballot.
 */
ballot: BallotId,
/**
 * What the account votes for now.
 */
option: number, } | { "type": "tally",
/**
 * Which.
 */
ballot: BallotId,
/**
 * Votes for each option, in the ballot's order.
 */
votes: Array<number>, } | { "type": "refused",
/**
 * Which, where one was named.
 */
client_ref: string | null,
/**
 * Why.
 */
error: ApiError, } | { "type": "publisher_waiting",
/**
 * Which.
 */
publisher: WaitingPublisher, } | { "type": "publisher_refused",
/**
 * Which, and why.
 */
publisher: RefusedPublisher, } | { "type": "renamed",
/**
 * By the name that is new.
 */
person: Person, } | { "type": "key_frames",
/**
 * They are.
 */
far: boolean, } | { "type": "heartbeat",
/**
 * The server's clock.
 */
server_time: WallTime, };

/**
 * The answer to [`Credentials`]: 201.
 */
export type SessionView = {
/**
 * Who is logged in.
 */
account: AccountView,
/**
 * For `Authorization: Bearer TOKEN`. Shown once.
 */
token: string, };

/**
 * `POST /setup`: makes the account that calls an operator.
 */
export type SetupRequest = {
/**
 * The one-time code that the server printed when it first started.
 */
code: string, };

/**
 * Whether others can reach the hosted server, and where.
 */
export type Share = {
/**
 * The server listens beyond this computer.
 */
shared: boolean,
/**
 * Links to the room, best first.
 */
links: Array<string>,
/**
 * Where programs on other computers publish to, best first: `rtmp://HOST:PORT/live`.
 */
rtmp: Array<string>,
/**
 * The first link as a QR code: an SVG document; empty without a link.
 */
qr_svg: string, };

/**
 * A room's placeholders, for its owner.
 */
export type ShelfView = {
/**
 * The streamer's own, in order.
 */
placeholders: Array<PlaceholderView>,
/**
 * Those that the system brings.
 */
built_in: Array<BuiltInView>,
/**
 * The one picked for the next time, if one is.
 */
next: string | null,
/**
 * What is shown now, or would be if the streamer left now.
 */
choice: ChoiceView,
/**
 * When they were last put in another order.
 */
ordered_at: WallTime,
/**
 * Those that were deleted last, so that a copy of the shelf does not bring them back.
 */
removed: Array<RemovedView>, };

/**
 * The level of a way into the sound after gain and mute, before the noise gate; some 15 a second.
 */
export type SoundLevel = {
/**
 * Root mean square, in decibels below full scale (0 is full, -90 is silence).
 */
rms_db: number,
/**
 * Highest sample, the same way.
 */
peak_db: number,
/**
 * Something was too loud to be told apart: at the device itself, or by the gain.
 */
clips: boolean,
/**
 * The noise gate lets something through.
 */
open: boolean, };

/**
 * What viewers of a room are shown.
 */
export type Stage = "off" | "live" | "away" | "lost" | "covered";

/**
 * One stream of a room, from going live to the end: a UUID.
 */
export type StreamId = string;

/**
 * The streamer's stay away.
 */
export type StudioAway = {
/**
 * Which stay this is.
 */
leave_id: LeaveId,
/**
 * Since when.
 */
since: WallTime,
/**
 * The sound goes on.
 */
keep_sound: boolean,
/**
 * How far it has come.
 */
step: AwayStep,
/**
 * The server has answered that it holds.
 */
told: boolean, };

/**
 * What the studio tells its window.
 */
export type StudioEvent = { "type": "state" } & StudioState | { "type": "level" } & SoundLevel | { "type": "output_level" } & SoundLevel | { "type": "close_asked" };

/**
 * What the streamer chose.
 */
export type StudioSettings = {
/**
 * The picture.
 */
source: VideoSource,
/**
 * A small picture over it.
 */
inset: Inset | null,
/**
 * Pictures that are kept under names.
 */
scenes: Array<Scene>,
/**
 * The microphone's id; `default` follows the system; none: no microphone.
 */
microphone: string | null,
/**
 * Gain of the microphone in decibels, -40 to 20.
 */
gain_db: number,
/**
 * The microphone is not heard.
 */
muted: boolean,
/**
 * What is quieter than this is not heard either, in decibels below full scale after the gain, -70 to -20; none:
 * everything is heard.
 */
noise_gate_db: number | null,
/**
 * The output whose sound is heard as well, by its id; `default` follows the system; none: what the computer plays is not
 * heard.
 */
output: string | null,
/**
 * Gain of the computer's sound in decibels, -40 to 20.
 */
output_gain_db: number,
/**
 * The computer's sound is not heard.
 */
output_muted: boolean,
/**
 * Size and rate.
 */
preset: Preset,
/**
 * FFmpeg's name of the encoder; none: the first that works.
 */
encoder: string | null,
/**
 * Title of the room.
 */
title: string,
/**
 * Category of the room.
 */
category: string,
/**
 * Tags of the room.
 */
tags: Array<string>,
/**
 * The sound goes on while the streamer is away.
 */
keep_sound: boolean,
/**
 * Coming back, the streamer sees the picture for three seconds before the audience does.
 */
self_view: boolean,
/**
 * What is sent is recorded on this computer.
 */
record: boolean,
/**
 * The folder for that; none: the one for films.
 */
record_folder: string | null, };

/**
 * The studio, whole; sent whenever something in it changes, and once a second on air.
 */
export type StudioState = {
/**
 * Counts the changes since the app's start: of two states the one with the higher number is the newer one, in
 * whichever order they arrive (an answer and an event may overtake each other on their way to the page).
 */
revision: number,
/**
 * The room that is published to, once it is known.
 */
room: RoomId | null,
/**
 * What the streamer chose.
 */
settings: StudioSettings,
/**
 * Where the broadcast stands.
 */
broadcast: Broadcast,
/**
 * The streamer's stay away, if it is one.
 */
away: StudioAway | null,
/**
 * Its figures.
 */
stats: BroadcastStats,
/**
 * People watching, by the server's count.
 */
viewers: number,
/**
 * The encoder that runs.
 */
encoder: EncoderReport | null,
/**
 * The small picture's width by its height, while there is one.
 */
inset_shape: number | null,
/**
 * The recording on this computer: the one that goes on, or the last one of this broadcast.
 */
recording: LocalRecording | null,
/**
 * Remarks.
 */
notices: Array<Notice>,
/**
 * Sharing.
 */
share: Share, };

/**
 * The page's words for the icon in the desktop's tray, in the language that the page speaks.
 */
export type TrayWords = {
/**
 * Show the window.
 */
open: string,
/**
 * Leave for a while.
 */
leave: string,
/**
 * Come back.
 */
back: string,
/**
 * Not on air.
 */
idle: string,
/**
 * On air.
 */
live: string,
/**
 * On air, and away.
 */
away: string,
/**
 * End the program.
 */
quit: string, };

/**
 * `PUT /accounts/ID/trust`, by the operator.
 */
export type TrustRequest = {
/**
 * What the account uploads is shown without a moderator's word.
 */
trusted: boolean, };

/**
 * The line to the server, which is measured all the time.
 */
export type Uplink = {
/**
 * How it does.
 */
level: UplinkLevel,
/**
 * Why it is not good.
 */
why: UplinkWhy | null,
/**
 * Kilobits a second that the encoder may use for the picture.
 */
video_kbps: number,
/**
 * Kilobits a second that the line carried when it was too narrow last; none while the picture has all its bits.
 */
carries_kbps: number | null,
/**
 * How late what is sent comes to the server, beyond what the road needs, in milliseconds.
 */
behind_ms: number, };

/**
 * How the line to the server does.
 */
export type UplinkLevel = "good" | "weak" | "bad";

/**
 * Why the line is not good.
 */
export type UplinkWhy = "narrow" | "late" | "dropping" | "stalled";

/**
 * `POST /review/placeholders/PLACEHOLDER/verdict`.
 */
export type VerdictRequest = {
/**
 * Whether it may be shown.
 */
allow: boolean,
/**
 * The digest of what was looked at: what changed since then is not judged by this.
 */
digest: string,
/**
 * Why not, for the streamer.
 */
reason?: string, };

/**
 * Where the picture comes from.
 */
export type VideoSource = { "kind": "test_card" } | { "kind": "camera",
/**
 * As listed in [`Devices`].
 */
device: string, } | { "kind": "screen",
/**
 * As listed in [`Devices`].
 */
device: string, } | { "kind": "window",
/**
 * As listed in [`Devices`].
 */
device: string,
/**
 * Its title when it was chosen: it is known again by that when it was closed and opened.
 */
name: string, } | { "kind": "file",
/**
 * Where it lies.
 */
path: string,
/**
 * From the start again at its end.
 */
looped: boolean, };

/**
 * `POST /rooms/ID/ballot/vote`.
 */
export type VoteRequest = {
/**
 * In which ballot.
 */
ballot: BallotId,
/**
 * For which of its options, counted from 0.
 */
option: number, };

/**
 * A program that asks to publish while another does.
 */
export type WaitingPublisher = {
/**
 * For `POST /rooms/ID/publishers/PUBLISHER/admit`.
 */
id: string,
/**
 * What the program calls itself, as it said.
 */
program: string,
/**
 * Its network address, without the port.
 */
address: string,
/**
 * When it was refused.
 */
at: WallTime, };

/**
 * Milliseconds since 1970-01-01T00:00:00Z by the server's clock, the only one that counts.
 */
export type WallTime = number;

/**
 * `POST /rooms/ID/tokens`: a token to watch with, good for minutes and for one room.
 */
export type WatchToken = {
/**
 * For `?token=`.
 */
token: string,
/**
 * When it ends.
 */
expires_at: WallTime, };

/**
 * Why the system's keychain does not give what it was given.
 */
export type Withheld = "locked" | "missing" | "late" | "failed";
