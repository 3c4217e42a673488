//! How far something is, on a terminal's standard error: never where a program reads.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use backup::Progress;
use web::format::size;

use super::Common;

/// How often a command looks how far something is.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// How often what cannot say how far it is says that it goes on.
const BEAT: Duration = Duration::from_secs(5);

/// What was said last, so that a line comes only when there is something new.
pub(super) struct Shown {
    is_wanted: bool,
    last: Option<(&'static str, u8)>,
}

impl Shown {
    pub(super) fn new(common: &Common) -> Self {
        Self { is_wanted: is_wanted(common), last: None }
    }

    /// Says it, when it is new.
    pub(super) fn say(&mut self, progress: Option<Progress>) {
        if let Some(line) = progress.filter(|_| self.is_wanted).and_then(|now| self.line(now)) {
            tell(&line);
        }
    }

    fn line(&mut self, now: Progress) -> Option<String> {
        let mark = (now.phase.label(), now.percent / 10);
        if now.total == 0 || self.last.replace(mark) == Some(mark) {
            return None;
        }
        let new = match now.new_bytes {
            0 => String::new(),
            bytes => format!(", {} new", size(bytes)),
        };
        Some(format!("{}: {} % of {}{new}", now.phase.label(), now.percent, size(now.total)))
    }
}

fn is_wanted(common: &Common) -> bool {
    !common.json && io::stderr().is_terminal()
}

/// Does something and says meanwhile how far it is.
pub(super) async fn watched<T>(
    common: &Common,
    how_far: impl Fn() -> Option<Progress>,
    work: impl Future<Output = T>,
) -> T {
    let mut shown = Shown::new(common);
    let watch = async {
        loop {
            tokio::time::sleep(LOOK).await;
            shown.say(how_far());
        }
    };
    tokio::select! {
        done = work => done,
        never = watch => never,
    }
}

/// The same for what can only say what there is so far, after so many seconds.
pub(super) async fn beaten<T>(
    common: &Common,
    so_far: impl Fn(u64) -> String,
    work: impl Future<Output = T>,
) -> T {
    let is_wanted = is_wanted(common);
    let watch = async {
        let mut seconds = 0;
        loop {
            tokio::time::sleep(BEAT).await;
            seconds += BEAT.as_secs();
            if is_wanted {
                tell(&so_far(seconds));
            }
        }
    };
    tokio::select! {
        done = work => done,
        never = watch => never,
    }
}

#[expect(clippy::print_stderr, reason = "how far a command is stands on standard error")]
fn tell(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::Shown;
    use backup::{Phase, Progress};

    #[test]
    fn a_line_comes_only_when_there_is_something_new() {
        let mut shown = Shown { is_wanted: true, last: None };
        let far = |phase, percent, new_bytes| Progress {
            phase,
            done: 0,
            total: 3 << 30,
            new_bytes,
            percent,
        };
        let mut line = |now| shown.line(now);
        assert_eq!(line(Progress { total: 0, ..far(Phase::Looking, 0, 0) }), None, "nothing known");
        let first = line(far(Phase::Verifying, 0, 0)).expect("the first");
        assert!(first.starts_with("Checking: 0 % of 3"), "{first}");
        assert_eq!(line(far(Phase::Verifying, 9, 0)), None);
        assert!(line(far(Phase::Verifying, 10, 0)).is_some());
        let other = line(far(Phase::Restoring, 10, 2048)).expect("another phase");
        assert!(other.starts_with("Writing files: 10 %") && other.ends_with(" new"), "{other}");
    }
}
