//! Power failure at any step of an upgrade: the old store, or the new one with a copy of the old as of the upgrade.

use std::io;
use std::time::{Duration, SystemTime};

use kernel::Timestamp;
use kernel::time::ManualClock;
use parking_lot::Mutex;
use store::Step;

use super::*;

/// Time of the upgrade: a year after the fixture's files were written.
const NOW: &str = "2027-11-20T12:00:00Z";

/// Performs and records a number of steps, then simulates a power failure.
struct Plug {
    left: usize,
    steps: Mutex<Vec<String>>,
}

impl Faults for Plug {
    fn step(&self, step: Step<'_>) -> io::Result<()> {
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = match step {
            Step::Settle(folder) => format!("settle {}", name(folder)),
            Step::Sync(file) => format!("sync {}", name(file)),
            Step::Names(folder) => format!("names {}", name(folder)),
            Step::Link(from, to) => format!("link {} {}", name(from), name(to)),
            Step::Rename(from, to) => format!("rename {} {}", name(from), name(to)),
        };
        let mut steps = self.steps.lock();
        if self.left <= steps.len() {
            return Err(io::Error::other("the power is gone"));
        }
        steps.push(words);
        Ok(())
    }
}

#[test]
fn the_power_may_go_at_any_step_of_an_upgrade() {
    let now: Timestamp = NOW.parse().expect("a moment");
    let quiet = |_: Progress| {};
    for left in 0.. {
        let (_folder, data) = first();
        let [_, file] = stores(&data);
        let old = SystemTime::from(now) - Duration::from_secs(365 * 86_400);
        let opened = std::fs::File::options().write(true).open(&file).expect("the store");
        opened.set_modified(old).expect("a time");
        let plug = Arc::new(Plug { left, steps: Mutex::default() });
        let faults = Arc::clone(&plug) as Arc<dyn Faults>;
        let with = Options { faults, clock: Arc::new(ManualClock::at(now)), ..options(&file) };
        let done = migrate::upgrade(with, 1, &migrations::LIST, &quiet);

        let kept = migrate::kept(&file).expect("a folder");
        let format = migrate::format_of(&file).expect("a store is there at any moment");
        if format == FORMAT {
            let [kept] = &kept[..] else { panic!("{left} steps: {kept:?}") };
            // Before it is opened, which updates its time.
            assert!(!kept.expire(now).expect("a look"), "{left} steps: it counts from the upgrade");
            assert_eq!(migrate::format_of(&kept.path).expect("the old store"), 1);
        } else {
            assert_eq!(format, 1, "{left} steps");
            done.as_ref().expect_err("it was cut off");
            migrate::upgrade(options(&file), 1, &migrations::LIST, &quiet).expect("the next start");
        }
        check::all_fits(&Store::open(options(&file)).expect("it opens"));
        if done.is_err() {
            continue;
        }
        let all = plug.steps.lock();
        // Everything that gets a new name is on disk first, and so is the time of the kept store.
        let steps = [
            "sync hq.redb.upgrade",
            "link hq.redb hq.redb.before-1",
            "names marlow-cargo",
            "sync hq.redb.before-1",
            "rename hq.redb.upgrade hq.redb",
            "names marlow-cargo",
        ];
        assert_eq!(*all, steps);
        assert_eq!(left, all.len(), "each step was the last one once");
        return;
    }
}
