//! Load of the machine that HQ runs on, from `/proc` and `statvfs`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::OnceLock;
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::model::Load;

/// The running executable, even if its file was replaced meanwhile.
pub const PROGRAM: &str = "/proc/self/exe";
/// Target architecture, in the words of `uname -m`.
pub const BUILT_FOR: &str = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// SHA-256 (hex) and length in bytes of the running executable. Reads the whole file on the first call.
pub fn program() -> io::Result<(String, u64)> {
    static KNOWN: OnceLock<(String, u64)> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let (mut file, mut hash, mut bytes) = (File::open(PROGRAM)?, Sha256::new(), 0);
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            n => {
                hash.update(&piece[..n]);
                bytes += u64::try_from(n).unwrap_or(0);
            }
        }
    }
    Ok(KNOWN.get_or_init(|| (hex::encode(hash.finalize()), bytes)).clone())
}

/// Load of this machine, with the disk that holds `data`. Reads three small files.
#[must_use]
pub fn load(data: &Path) -> Load {
    // ok: values that the kernel does not report are not shown.
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (memory_used, memory_total) = memory(&read("/proc/meminfo"));
    let (disk_used, disk_total) = disk(data);
    Load {
        processor_percent: processor(&read("/proc/loadavg"), processors),
        processors: u16::try_from(processors).unwrap_or(u16::MAX),
        memory_used,
        memory_total,
        disk_used,
        disk_total,
        runs: 0,
    }
}

/// Processor use in percent: load average of the last minute over the number of processors.
fn processor(loadavg: &str, processors: usize) -> u8 {
    let word = loadavg.split_whitespace().next().unwrap_or_default();
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    // "0.20": hundredths of a processor.
    let number = |text: &str| text.parse::<usize>().unwrap_or(0);
    let hundredths = number(whole).saturating_mul(100).saturating_add(number(part));
    u8::try_from((hundredths / processors.max(1)).min(100)).unwrap_or(100)
}

/// Used and total memory, in bytes.
fn memory(meminfo: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0).saturating_mul(1024)
    };
    let total = field("MemTotal:");
    (total.saturating_sub(field("MemAvailable:")), total)
}

/// Used and total space of a folder's disk, in bytes.
fn disk(folder: &Path) -> (u64, u64) {
    let Ok(stat) = rustix::fs::statvfs(folder) else { return (0, 0) };
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let total = bytes(stat.f_blocks);
    (total.saturating_sub(bytes(stat.f_bavail)), total)
}

#[cfg(test)]
mod tests {
    use super::{load, memory, processor};

    #[test]
    fn what_the_kernel_tells_is_read() {
        assert_eq!(processor("0.20 0.18 0.12 1/80 11206\n", 1), 20);
        assert_eq!(processor("3.00 2.00 1.00 1/80 11206\n", 4), 75);
        assert_eq!(processor("9.00 2.00 1.00 1/80 11206\n", 4), 100);
        assert_eq!(processor("", 4), 0);
        let text = "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable: 6000 kB\n";
        assert_eq!(memory(text), (2_000 * 1024, 8_000 * 1024));
        let here = load(&std::env::temp_dir());
        assert!(0 < here.disk_total && 0 < here.processors, "{here:?}");
    }
}
