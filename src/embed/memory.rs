//! Batch sizes of embedding, by available memory.

/// Largest batch, in passages.
const BATCH: usize = 16;
/// Available bytes below which batches are halved, have one text, or are suspended.
const HALF: u64 = 1024 * MIB;
const ONE: u64 = 512 * MIB;
const NONE: u64 = 256 * MIB;
const MIB: u64 = 1024 * 1024;

/// Number of texts that may be embedded at once; 0 if memory is too low.
#[must_use]
pub fn batch() -> usize {
    batch_for(available())
}

fn batch_for(available: Option<u64>) -> usize {
    match available {
        Some(bytes) if bytes < NONE => 0,
        Some(bytes) if bytes < ONE => 1,
        Some(bytes) if bytes < HALF => BATCH / 2,
        _ => BATCH,
    }
}

/// Bytes of available memory, by the system and by the container's limit; `None` if unknown.
fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let free = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        Some(number(line.trim_end_matches("kB"))? * 1024)
    });
    let within = read("/sys/fs/cgroup/memory.max").and_then(|most| {
        let used = read("/sys/fs/cgroup/memory.current")?;
        Some(number(&most)?.saturating_sub(number(&used)?))
    });
    [free, within].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::{BATCH, HALF, MIB, batch_for};

    #[test]
    fn little_memory_makes_batches_small() {
        assert_eq!(batch_for(None), BATCH);
        assert_eq!(batch_for(Some(HALF)), BATCH);
        assert_eq!(batch_for(Some(700 * MIB)), BATCH / 2);
        assert_eq!(batch_for(Some(300 * MIB)), 1);
        assert_eq!(batch_for(Some(100 * MIB)), 0);
    }
}
