//! Disk limits of running programs, so that none of them fills the disk.
//!
//! The kernel limits single files but not their sum. A thread watches the free space. When it has dropped noticeably,
//! the writable folders of programs are counted. A program is ended if they exceed the limit in two consecutive counts
//! and hold more than at the first count, so that a program may clean up. Results carry over from one program to the
//! next, so that many small ones count like a large one. Space hidden from counting (deleted open files, locked
//! folders) is limited when the disk is nearly full.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::job::{Job, Shared, StopReason};

/// Free space below which the disk counts as nearly full, in bytes.
const NEARLY_FULL: u64 = 512 << 20;
/// Drop of free space that triggers a count, in bytes.
const STEP: u64 = 64 << 20;
/// Drop of free inodes that triggers a count.
const NAMES: u64 = 10_000;
/// Divisor of the trigger thresholds while a limit is exceeded.
const CLOSER: u64 = 16;
/// Maximum folder depth. Walking deeper trees would need as many open files.
const DEEPEST: usize = 256;

/// Disk limit of a program's folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes allocated on the disk.
    pub bytes: u64,
    /// Number of files and folders.
    pub files: u64,
}

impl Default for Room {
    /// The limit of an agent: 10 GB in 500,000 files.
    fn default() -> Self {
        Self { bytes: 10 << 30, files: 500_000 }
    }
}

/// The content of folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    bytes: u64,
    files: u64,
    is_too_deep: bool,
}

impl Held {
    /// Counts the content of folders, up to about twice the limit.
    fn by(folders: &[PathBuf], most: Room) -> Self {
        let far = Room { bytes: most.bytes.saturating_mul(2), files: most.files.saturating_mul(2) };
        let mut held = Self::default();
        let mut left: Vec<(PathBuf, usize)> =
            folders.iter().map(|folder| (folder.clone(), 0)).collect();
        while let Some((folder, depth)) = left.pop() {
            // ok: what is gone or locked cannot be counted.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                held.files += 1;
                // Symlinks are not followed.
                let Ok(meta) = entry.metadata() else { continue };
                // A file with several hard links counts once in total.
                held.bytes += meta.blocks().saturating_mul(512) / meta.nlink().max(1);
                match meta.is_dir() {
                    true if DEEPEST <= depth => held.is_too_deep = true,
                    true => left.push((entry.path(), depth + 1)),
                    false => {}
                }
                if far.bytes < held.bytes || far.files < held.files {
                    return held;
                }
            }
        }
        held
    }

    fn is_over(&self, most: Room) -> bool {
        most.bytes < self.bytes || most.files < self.files || self.is_too_deep
    }
}

/// Free space of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    bytes: u64,
    names: u64,
}

impl Disk {
    fn of(folders: &[PathBuf]) -> Option<Self> {
        // All of them are in the data folder.
        let stat = rustix::fs::statvfs(folders.first()?).ok()?;
        Some(Self { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), names: stat.f_favail })
    }
}

/// Results of ended programs, by their first folder.
#[derive(Default)]
pub(super) struct Past(Mutex<HashMap<PathBuf, (Disk, bool)>>);

/// Disk state of a program.
pub(super) struct Looks {
    room: Room,
    folders: Vec<PathBuf>,
    begun: Disk,
    last: Disk,
    /// Whether the last count exceeded the limit.
    was_over: bool,
    /// Content of the folders at the first count, or at the last one within the limit.
    base: Option<Held>,
}

impl Looks {
    /// Initial state, before a program is started. `None` if the free space cannot be determined.
    pub(super) fn begin(room: Option<Room>, folders: Vec<PathBuf>, past: &Past) -> Option<Self> {
        let (room, disk) = (room?, Disk::of(&folders)?);
        let whose = folders.first()?.clone();
        let (last, was_over) = *past.0.lock().entry(whose).or_insert((disk, false));
        let last = match was_over {
            true => disk,
            false => Disk { bytes: last.bytes.max(disk.bytes), names: last.names.max(disk.names) },
        };
        Some(Self { room, folders, begun: disk, last, was_over, base: None })
    }

    /// Returns `true` if the limit is exceeded, given the current free space.
    fn is_over(&mut self, now: Disk, count: impl FnOnce(&Self) -> Held) -> bool {
        if now.bytes < NEARLY_FULL && STEP < self.begun.bytes.saturating_sub(now.bytes) {
            return true;
        }
        let closer = if self.was_over { CLOSER } else { 1 };
        let bytes = ((self.room.bytes / 8).min(STEP) / closer).max(1);
        let names = ((self.room.files / 8).min(NAMES) / closer).max(1);
        let less = bytes <= self.last.bytes.saturating_sub(now.bytes)
            || names <= self.last.names.saturating_sub(now.names);
        if !(less || (self.was_over && self.base.is_none())) {
            self.last.bytes = self.last.bytes.max(now.bytes);
            self.last.names = self.last.names.max(now.names);
            return false;
        }
        self.last = now;
        let held = count(self);
        let is_over = held.is_over(self.room);
        let more = |base: Held| base.bytes < held.bytes || base.files < held.files;
        let grows = self.base.is_some_and(more);
        if !is_over || self.base.is_none() {
            self.base = Some(held);
        }
        std::mem::replace(&mut self.was_over, is_over) && is_over && grows
    }
}

/// Checks the disk usage of a program and ends it if necessary. Blocking.
pub(super) fn check_usage(job: &Arc<Shared>, past: &Past) {
    let too_much = {
        let mut looks = job.looks.lock();
        let Some(looks) = looks.as_mut() else { return };
        let Some(now) = Disk::of(&looks.folders) else { return };
        let too_much = looks.is_over(now, |looks| Held::by(&looks.folders, looks.room));
        if let Some(whose) = looks.folders.first() {
            past.0.lock().insert(whose.clone(), (looks.last, looks.was_over));
        }
        too_much
    };
    if too_much && job.state.lock().reason.is_none() {
        let pid = job.mark.session;
        tracing::warn!(job.pid = pid, "session {pid} has too much on the disk and is ended");
        Job(Arc::clone(job)).stop(StopReason::TooMuchDisk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(room: Room, disk: Disk) -> Looks {
        Looks { room, folders: Vec::new(), begun: disk, last: disk, was_over: false, base: None }
    }

    fn holding(files: u64) -> impl FnOnce(&Looks) -> Held {
        move |_| Held { files, ..Held::default() }
    }

    fn never(_: &Looks) -> Held {
        panic!("nothing has become less")
    }

    #[test]
    fn too_much_is_too_much_at_two_looks_in_a_row() {
        let room = Room { bytes: 100 << 30, files: 1_000_000 };
        let disk = |mb: u64, names: u64| Disk { bytes: mb << 20, names };
        let mut known = looks(room, disk(10_000, 50_000));
        let over = |_: &Looks| Held { bytes: 200 << 30, ..Held::default() };
        let fine = |_: &Looks| Held::default();
        assert!(!known.is_over(disk(9_990, 49_000), never));
        assert!(!known.is_over(disk(9_900, 49_000), over), "once may be what was there before");
        assert!(!known.is_over(disk(11_000, 49_000), never), "it tidies up");
        assert!(!known.is_over(disk(10_900, 49_000), fine));
        assert!(!known.is_over(disk(10_900, 30_000), over), "names count, too");
        assert!(known.is_over(disk(10_800, 30_000), over));
        let mut known = looks(room, disk(600, 50_000));
        assert!(!known.is_over(disk(560, 50_000), never));
        assert!(known.is_over(disk(500, 50_000), fine), "the disk is nearly full");
        let mut known = looks(room, disk(500, 50_000));
        assert!(!known.is_over(disk(450, 50_000), never), "it was so before");
    }

    #[test]
    fn what_was_seen_is_remembered_from_one_program_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (past, folders) = (Past::default(), vec![dir.path().to_owned()]);
        let room = Some(Room { bytes: 1 << 30, files: 100 });
        let first = Looks::begin(room, folders.clone(), &past).unwrap();
        let more = Disk { bytes: first.last.bytes + (8 << 30), names: first.last.names };
        past.0.lock().insert(folders[0].clone(), (more, false));
        let next = Looks::begin(room, folders.clone(), &past).unwrap();
        assert!(!next.was_over && next.last.bytes == more.bytes && next.begun.bytes < more.bytes);
        // After an excess, the next program may be there to clean up, so it is counted first.
        past.0.lock().insert(folders[0].clone(), (more, true));
        let mut next = Looks::begin(room, folders.clone(), &past).unwrap();
        assert!(next.was_over && next.last.bytes < more.bytes);
        let disk = |mb: u64| Disk { bytes: mb << 20, names: 50_000 };
        (next.begun, next.last) = (disk(10_000), disk(10_000));
        assert!(!next.is_over(disk(10_000), holding(150)));
        assert!(!next.is_over(disk(9_900), holding(130)), "it tidies up");
        assert!(next.is_over(disk(9_800), holding(151)));
        assert!(Looks::begin(None, folders, &past).is_none());
    }

    #[test]
    fn what_folders_hold_is_counted_as_far_as_it_matters() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().to_owned()];
        let most = Room { bytes: 1 << 30, files: 100 };
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let held = Held::by(&folders, most);
        assert_eq!(held.files, 4);
        assert!((100_000..200_000).contains(&held.bytes), "{held:?}");
        assert!(!held.is_over(most));
        assert!(
            Held::by(&folders, Room { bytes: 50_000, files: 100 })
                .is_over(Room { bytes: 50_000, files: 100 })
        );
        for n in 0..300 {
            fs::write(dir.path().join(format!("{n}")), "").unwrap();
        }
        let held = Held::by(&folders, most);
        assert!(held.is_over(most) && held.files == 201, "{held:?}");
        let deep = tempfile::tempdir().unwrap();
        fs::create_dir_all(deep.path().join("d/".repeat(DEEPEST + 2))).unwrap();
        assert!(Held::by(&[deep.path().to_owned()], Room { files: 10_000, ..most }).is_too_deep);
    }
}
