//! Recordings and what is played from them.
//!
//! Every stream is written as it was shown: whole CMAF segments, the same that HLS viewers get live, appended to one
//! file, and an index with a line for each ([`index`]). A line is written after the bytes that it tells of are on the disk
//! for good, so whatever kills the server or its computer leaves a recording that is whole up to its last segment. A segment shows one thing (a stage) in one
//! form (a configuration), so leaving out what was shown while the streamer was away is leaving out segments
//! ([`plan`]); times are put right as they are handed out, and nothing is encoded again.
//!
//! | file | what |
//! | --- | --- |
//! | [`recorder`] | writes, off the live path: when the disk is slow or full the recording suffers, never the stream |
//! | `files` | the two files, and the order in which they are written |
//! | [`index`] | the index file |
//! | [`plan`] | which segments are played, where, and where a moment of the stream is then: pure |
//! | [`reading`] | a recording that is opened for playing |
//! | [`movie`] | the file to download |
//! | [`serve`] | playlists, segments and files over HTTP |
//! | [`keeper`] | finds what a crash left, and deletes what is too old or too much |

mod files;
pub mod index;
pub mod keeper;
pub mod movie;
pub mod plan;
pub mod reading;
pub mod recorder;
pub mod serve;

pub use keeper::Keeper;
pub use recorder::{Record, Recorder, Recording};
