//! Starts of the program that did not end well. One that is ended again and again soon after its start would take
//! up the same work, and spend the same money, each time: it begins nothing then until a person has looked.

use std::fs;
use std::io;
use std::path::Path;

use app::App;
use kernel::{HaltHow, Timestamp};

use super::place;

/// One line a start, in milliseconds; gone when the program ends well.
const FILE: &str = "starts";
/// Starts that lie further back do not count.
const WITHIN_MS: i64 = 5 * 60 * 1_000;
/// How many are kept.
const MOST: usize = 20;

/// Notes that the program begins. Answers how often it began shortly before and did not end well.
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

/// The program has ended well: what came before says nothing any more.
pub(super) fn ended_well(data: &Path) {
    match fs::remove_file(data.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "it could not be noted that HQ has ended well");
        }
        _ => {}
    }
}

/// Notes that the program begins its work, and lets all of it stand still when it has done so too often in
/// vain. A start that fails before is no crash.
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
        "HQ has ended {crashes} times within minutes and was not meant to: all work is paused until \
         somebody resumes it"
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
