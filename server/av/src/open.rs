//! Opening what can be read: files and devices, within limits of time and of probing.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ffmpeg_next::format::context;
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, ffi};

use crate::AvError;
use crate::error::text;

/// Longest time that opening a file may take.
pub const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// Longest time that reading the next packet of a file may take.
pub const READ_LIMIT: Duration = Duration::from_secs(10);

/// Ends a blocking call of FFmpeg from outside: when its time is over, or when it is cancelled.
#[derive(Debug)]
pub struct Watch {
    start: Instant,
    /// Milliseconds since `start` at which it is over; the largest value: never.
    deadline: AtomicU64,
    cancelled: AtomicBool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { start: Instant::now(), deadline: AtomicU64::new(u64::MAX), cancelled: AtomicBool::new(false) }
    }
}

impl Watch {
    /// Lets the calls from now on take this long, all together.
    pub fn allow(&self, limit: Duration) {
        let at = self.start.elapsed().saturating_add(limit);
        self.deadline.store(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Ends what runs and what comes.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Somebody cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.is_cancelled() || self.start.elapsed().as_millis() >= u128::from(self.deadline.load(Ordering::Relaxed))
    }
}

/// Opens a media file and looks at its first 5 MB and 5 seconds.
///
/// Only local files are opened, whatever the file refers to: a play list cannot make this program
/// fetch from a network.
///
/// # Errors
/// [`AvError::NotFound`], [`AvError::Denied`], [`AvError::Folder`], [`AvError::NotMedia`], [`AvError::TimedOut`].
pub fn file(path: &Path, watch: &Arc<Watch>) -> Result<context::Input, AvError> {
    let shown = path.display().to_string();
    let denied = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => AvError::NotFound { path: shown.clone() },
        std::io::ErrorKind::PermissionDenied => AvError::Denied { path: shown.clone() },
        _ => AvError::NotMedia { path: shown.clone(), reason: e.to_string() },
    };
    let about = std::fs::metadata(path).map_err(denied)?;
    if about.is_dir() {
        return Err(AvError::Folder { path: shown });
    }
    if about.is_file() && about.len() == 0 {
        return Err(AvError::NotMedia { path: shown, reason: "it is empty".into() });
    }
    std::fs::File::open(path).map_err(denied)?;
    let Some(name) = path.to_str() else {
        return Err(AvError::NotMedia { path: shown, reason: "its name is not valid Unicode".into() });
    };
    let options: Dictionary =
        [("protocol_whitelist", "file"), ("probesize", "5000000"), ("analyzeduration", "5000000")].iter().collect();
    watch.allow(OPEN_LIMIT);
    // With the scheme written out, a name such as `concat:x` is a name and nothing else.
    let opened = raw(&format!("file:{name}"), None, options, watch);
    let input = opened.map_err(|e| match e {
        ffmpeg_next::Error::Exit => AvError::TimedOut { path: shown.clone(), limit: OPEN_LIMIT },
        e => AvError::NotMedia { path: shown.clone(), reason: text(e) },
    })?;
    // FFmpeg plays any text file as the screen of a terminal.
    if input.format().name() == "tty" {
        return Err(AvError::NotMedia { path: shown, reason: "it is text".into() });
    }
    Ok(input)
}

/// Opens a device through libavdevice: `format` as `x11grab`, `url` as that format names devices.
/// `label` is what a person calls it.
///
/// # Errors
/// [`AvError::MissingInput`] if FFmpeg has no such format; [`AvError::Gone`], [`AvError::Busy`],
/// [`AvError::Denied`], [`AvError::TimedOut`], [`AvError::Device`].
pub fn device(
    format: &str,
    url: &str,
    label: &str,
    options: &[(&str, &str)],
    limit: Duration,
    watch: &Arc<Watch>,
) -> Result<context::Input, AvError> {
    crate::init();
    let missing = || AvError::MissingInput { name: format.to_owned() };
    let name = CString::new(format).map_err(|_| missing())?;
    // SAFETY: a null-terminated name in; a pointer to a static description or null out.
    let found = unsafe { ffi::av_find_input_format(name.as_ptr()) };
    if found.is_null() {
        return Err(missing());
    }
    watch.allow(limit);
    let opened = raw(url, Some(found), options.iter().collect(), watch);
    opened.map_err(|e| refused(e, label, limit))
}

/// What a device's error means for a person.
fn refused(error: ffmpeg_next::Error, label: &str, limit: Duration) -> AvError {
    let device = label.to_owned();
    match error {
        ffmpeg_next::Error::Exit => AvError::TimedOut { path: device, limit },
        ffmpeg_next::Error::Other { errno: libc::ENOENT | libc::ENODEV | libc::ENXIO } => AvError::Gone { device },
        ffmpeg_next::Error::Other { errno: libc::EBUSY } => AvError::Busy { device },
        ffmpeg_next::Error::Other { errno: libc::EACCES | libc::EPERM } => AvError::Denied { path: device },
        other => AvError::Device { device, reason: text(other) },
    }
}

fn raw(
    url: &str,
    format: Option<*const ffi::AVInputFormat>,
    options: Dictionary<'_>,
    watch: &Arc<Watch>,
) -> Result<context::Input, ffmpeg_next::Error> {
    crate::init();
    let url = CString::new(url).map_err(|_| ffmpeg_next::Error::InvalidData)?;
    let theirs = Arc::clone(watch);
    let callback = interrupt::new(Box::new(move || theirs.is_over()));
    // SAFETY: the context is fresh; avformat_open_input frees it and nulls the pointer on failure,
    // and takes the option list by reference, which is freed after the call by `Dictionary::own`.
    // The interrupt closure outlives the context: the wrapper drops its guard after closing.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(ffmpeg_next::Error::Other { errno: libc::ENOMEM });
        }
        (*context).interrupt_callback = callback.interrupt;
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(
            &mut context,
            url.as_ptr(),
            format.unwrap_or(std::ptr::null()).cast_mut().cast_const(),
            &mut options,
        );
        drop(Dictionary::own(options));
        crate::error::check(opened)?;
        // A device says at once what it gives; looking at its first pictures would only make them late.
        let looks = format.is_none() || !is_described(context);
        let found = if looks { ffi::avformat_find_stream_info(context, std::ptr::null_mut()) } else { 0 };
        if let Err(e) = crate::error::check(found) {
            ffi::avformat_close_input(&mut context);
            return Err(e);
        }
        let input = context::Input::wrap_with_interrupt(context, callback.guard);
        if watch.is_over() {
            return Err(ffmpeg_next::Error::Exit);
        }
        Ok(input)
    }
}

/// Whether the first stream has its codec and, for pictures, its size.
///
/// # Safety
/// `context` is an open context.
unsafe fn is_described(context: *const ffi::AVFormatContext) -> bool {
    // SAFETY: an open context has nb_streams valid pointers, each with its parameters.
    unsafe {
        if (*context).nb_streams == 0 {
            return false;
        }
        let parameters = (**(*context).streams).codecpar;
        (*parameters).codec_id != ffi::AVCodecID::AV_CODEC_ID_NONE
            && (*parameters).width > 0
            && (*parameters).format >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_gone_busy_denied_or_silent_is_told_apart() {
        let limit = Duration::from_secs(5);
        let said = |error| refused(error, "the camera /dev/video0", limit).to_string();
        let errno = |errno| said(ffmpeg_next::Error::Other { errno });
        let gone = "the camera /dev/video0 is not there. Plug it in, or choose another.";
        assert_eq!([libc::ENOENT, libc::ENODEV, libc::ENXIO].map(errno), [gone; 3]);
        assert_eq!(
            errno(libc::EBUSY),
            "the camera /dev/video0 is in use by another program. Close that program, then try again."
        );
        let denied =
            "the camera /dev/video0 may not be read by this program. Change its permissions, or choose another.";
        assert_eq!([libc::EACCES, libc::EPERM].map(errno), [denied; 2]);
        assert_eq!(
            said(ffmpeg_next::Error::Exit),
            "the camera /dev/video0 gave no data for 5 s. Check that it is still connected, then try again."
        );
        assert_eq!(
            errno(libc::EIO),
            "the camera /dev/video0 could not be opened (Input/output error). Choose another, or start the computer \
             again if it should work."
        );
    }
}
