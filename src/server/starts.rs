//! Counts starts that ended in a crash. A process that crashes repeatedly soon after its start would resume the same
//! work and spend the same money each time, so work is paused until a person has checked.

use std::fs;
use std::io;
use std::path::Path;

use app::App;
use kernel::{HaltHow, Timestamp};

use super::place;

/// File with one start time per line, in milliseconds. Deleted after a clean shutdown.
const FILE: &str = "starts";
/// Older starts do not count.
const WITHIN_MS: i64 = 5 * 60 * 1_000;
/// Maximum number of recorded starts.
const MOST: usize = 20;

/// Records a start. Returns the number of recent starts without a clean shutdown.
fn note(data: &Path, now: Timestamp) -> io::Result<u32> {
    let path = data.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let now = now.as_millisecond();
    let is_recent = |at: &i64| (0..=WITHIN_MS).contains(&now.saturating_sub(*at));
    let recent = text.lines().filter_map(|line| line.trim().parse().ok()).filter(is_recent);
    let mut starts: Vec<i64> = recent.collect();
    let count = u32::try_from(starts.len()).unwrap_or(u32::MAX);
    starts.push(now);
    let kept = starts.iter().rev().take(MOST).rev();
    let lines: Vec<String> = kept.map(ToString::to_string).collect();
    fs::write(&path, lines.join("\n"))?;
    Ok(count)
}

/// Forgets the recorded starts after a clean shutdown.
pub(super) fn ended_well(data: &Path) {
    match fs::remove_file(data.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "it could not be noted that HQ has ended well");
        }
        _ => {}
    }
}

/// Records a start of work, and pauses all work after too many crashes. A start that fails earlier does not count.
pub(super) async fn heed(app: &App) {
    let (data, now) = (app.config.data.clone(), app.clock.now());
    let noted = tokio::task::spawn_blocking(move || note(&data, now)).await;
    let crashes = match noted {
        Ok(Ok(crashes)) => crashes,
        Ok(Err(error)) => {
            tracing::warn!(%error, "it could not be noted that HQ begins");
            return;
        }
        Err(error) => {
            tracing::error!(%error, "the look at former starts was cut off");
            return;
        }
    };
    let most = app.config.pause_after_crashes;
    if most == 0 || crashes < most {
        return;
    }
    tracing::error!(
        "HQ stopped unexpectedly {crashes} times within minutes: all work is paused until \
         someone resumes it"
    );
    place::halt_all(app, HaltHow::AfterStep).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;

    #[test]
    fn only_starts_that_ended_badly_a_short_while_ago_count() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let start =
            |seconds: i64| note(data, from_ms(1_700_000_000_000 + seconds * 1_000)).unwrap();
        assert_eq!((start(0), start(60), start(120)), (0, 1, 2));
        assert_eq!(start(310), 2, "the first one is too long ago");
        assert_eq!(start(-600), 0, "a clock that was set back");
        ended_well(data);
        ended_well(data);
        assert_eq!(start(130), 0);
        fs::write(data.join(FILE), "what is this\n9999999999999999999999\n").unwrap();
        assert_eq!(start(140), 0, "a file that cannot be read");
    }
}
