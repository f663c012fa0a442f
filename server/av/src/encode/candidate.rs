//! The encoders of H.264 that are worth a try, in the order that suits the system.

/// An encoder that may or may not work on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// FFmpeg's name.
    pub name: &'static str,
    /// What a person calls it.
    pub label: &'static str,
    /// Runs on special hardware.
    pub hardware: bool,
}

const NVENC: Candidate = Candidate { name: "h264_nvenc", label: "NVIDIA NVENC", hardware: true };
const QSV: Candidate = Candidate { name: "h264_qsv", label: "Intel Quick Sync", hardware: true };
const AMF: Candidate = Candidate { name: "h264_amf", label: "AMD AMF", hardware: true };
const VAAPI: Candidate = Candidate { name: "h264_vaapi", label: "VA-API graphics", hardware: true };
const VIDEOTOOLBOX: Candidate = Candidate { name: "h264_videotoolbox", label: "Apple VideoToolbox", hardware: true };
const MF: Candidate = Candidate { name: "h264_mf", label: "Windows Media Foundation", hardware: true };
const V4L2M2M: Candidate = Candidate { name: "h264_v4l2m2m", label: "Video4Linux encoder", hardware: true };
/// The software encoder that is nearly always there.
pub const X264: Candidate = Candidate { name: "libx264", label: "x264 (processor)", hardware: false };
const OPENH264: Candidate = Candidate { name: "libopenh264", label: "OpenH264 (processor)", hardware: false };

/// A maker of graphics hardware, by its PCI number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpu {
    /// 0x10de.
    Nvidia,
    /// 0x8086.
    Intel,
    /// 0x1002.
    Amd,
}

/// The makers of the graphics hardware in this machine, as far as the system tells (Linux, sysfs).
#[must_use]
pub fn gpus() -> Vec<Gpu> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir("/sys/class/drm") else { return found };
    for entry in entries.flatten().take(64) {
        let gpu = match std::fs::read_to_string(entry.path().join("device/vendor")).unwrap_or_default().trim() {
            "0x10de" => Gpu::Nvidia,
            "0x8086" => Gpu::Intel,
            "0x1002" => Gpu::Amd,
            _ => continue,
        };
        if !found.contains(&gpu) {
            found.push(gpu);
        }
    }
    found
}

/// The table for a system (`std::env::consts::OS`) with this hardware, the best first, software last.
#[must_use]
pub fn table(os: &str, arch: &str, gpus: &[Gpu]) -> Vec<Candidate> {
    let mut list = match os {
        "macos" => vec![VIDEOTOOLBOX],
        "windows" => vec![NVENC, QSV, AMF, MF],
        // On boards with ARM the codec block of the chip is what there is.
        _ if arch != "x86_64" => vec![V4L2M2M, NVENC, VAAPI],
        _ => {
            // A discrete card before an integrated one; on AMD, VA-API is the native way.
            let mut list = vec![NVENC];
            if gpus.contains(&Gpu::Amd) && !gpus.contains(&Gpu::Intel) {
                list.extend([VAAPI, AMF, QSV]);
            } else {
                list.extend([QSV, VAAPI, AMF]);
            }
            if !gpus.is_empty() && !gpus.contains(&Gpu::Nvidia) {
                list.rotate_left(1);
            }
            list.push(V4L2M2M);
            list
        }
    };
    list.extend([X264, OPENH264]);
    list
}

/// The table for this machine.
#[must_use]
pub fn for_this_machine() -> Vec<Candidate> {
    table(std::env::consts::OS, std::env::consts::ARCH, &gpus())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_last_and_the_cards_maker_is_first() {
        for os in ["linux", "windows", "macos"] {
            let t = table(os, "x86_64", &[]);
            let first_software = t.iter().position(|c| !c.hardware).unwrap();
            assert!(t[first_software..].iter().all(|c| !c.hardware), "{os}");
            assert_eq!(t[first_software], X264);
        }
        assert_eq!(table("linux", "x86_64", &[Gpu::Nvidia, Gpu::Intel])[0], NVENC);
        assert_eq!(table("linux", "x86_64", &[Gpu::Intel])[0], QSV);
        assert_eq!(table("linux", "x86_64", &[Gpu::Amd])[0], VAAPI);
        assert_eq!(table("linux", "aarch64", &[])[0], V4L2M2M);
    }
}
