//! Frames in a graphics card's memory.

use ffmpeg_next::{ffi, format::Pixel, frame};

use crate::error::{check, text};
use crate::{AvError, Picture};

struct Buffer(*mut ffi::AVBufferRef);
// SAFETY: reference counts of AVBuffer are atomic, and the device and frames contexts behind them
// are documented as safe to use from any thread.
unsafe impl Send for Buffer {}
impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: we own one reference, or the pointer is null, which is allowed.
        unsafe { ffi::av_buffer_unref(&mut self.0) };
    }
}

/// A pool of frames on a device, and the way into them.
pub(super) struct Upload {
    frames: Buffer,
    _device: Buffer,
    name: &'static str,
}

impl Upload {
    /// Opens the first VA-API device and makes a pool of NV12 frames on it.
    pub(super) fn vaapi(width: u32, height: u32) -> Result<Self, AvError> {
        let name = "h264_vaapi";
        let fail = |reason: String| AvError::Encoder { name: name.into(), reason: reason.into() };
        let mut device = Buffer(std::ptr::null_mut());
        // SAFETY: writes one reference into `device` or leaves it null; null name and options mean
        // the default device.
        check(unsafe {
            ffi::av_hwdevice_ctx_create(
                &mut device.0,
                ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI,
                std::ptr::null(),
                std::ptr::null_mut(),
                0,
            )
        })
        .map_err(|e| fail(text(e)))?;
        // SAFETY: the device reference is valid; null comes back when memory is short.
        let frames = Buffer(unsafe { ffi::av_hwframe_ctx_alloc(device.0) });
        if frames.0.is_null() {
            return Err(fail("no memory".into()));
        }
        // SAFETY: av_hwframe_ctx_alloc gives a buffer that holds an AVHWFramesContext; its fields
        // may be set until av_hwframe_ctx_init.
        check(unsafe {
            let context = (*frames.0).data.cast::<ffi::AVHWFramesContext>();
            (*context).format = Pixel::VAAPI.into();
            (*context).sw_format = Pixel::NV12.into();
            (*context).width = i32::try_from(width).unwrap_or(0);
            (*context).height = i32::try_from(height).unwrap_or(0);
            (*context).initial_pool_size = 8;
            ffi::av_hwframe_ctx_init(frames.0)
        })
        .map_err(|e| fail(format!("the device has no frames of this size ({})", text(e))))?;
        Ok(Self { frames, _device: device, name })
    }

    /// A new reference to the pool, for an encoder's context to own.
    pub(super) fn frames_reference(&self) -> *mut ffi::AVBufferRef {
        // SAFETY: the buffer is valid for as long as `self` lives.
        unsafe { ffi::av_buffer_ref(self.frames.0) }
    }

    /// Copies a picture onto the device.
    pub(super) fn upload(&self, picture: &Picture) -> Result<frame::Video, AvError> {
        let mut out = frame::Video::empty();
        // SAFETY: `out` is a blank frame of ours, the pool is valid, and the source frame lives as
        // long as `picture`; both calls report what they refuse.
        let done = unsafe {
            check(ffi::av_hwframe_get_buffer(self.frames.0, out.as_mut_ptr(), 0))
                .and_then(|_| check(ffi::av_hwframe_transfer_data(out.as_mut_ptr(), picture.frame().as_ptr(), 0)))
        };
        done.map_err(|e| AvError::Encoder { name: self.name.into(), reason: text(e).into() })?;
        Ok(out)
    }
}
