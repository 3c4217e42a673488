//! Texts about files on another host.

use app::downstream::{Look, Stays};
use jiff::tz::TimeZone;
use kernel::Timestamp;
use kernel::text::{ellipsis, listed};

use crate::agents::queries::elsewhere::Elsewhere;
use crate::inbox::queries::why::clock;

/// Maximum number of files named in a sentence.
const SAID: usize = 5;

/// Text about files that exist on a host only: which and why. `is_now` selects the tense.
pub(super) fn left_out(look: &Look, label: &str, is_now: bool) -> String {
    let (one, several) = if is_now { ("stays", "stay") } else { ("stayed", "stayed") };
    let what = match look.left_out {
        0 => return String::new(),
        1 => format!("One file {one} on {label} and isn’t copied here"),
        many => format!("{many} files {several} on {label} and aren’t copied here"),
    };
    let named = look.stays.iter().take(SAID);
    let mut named: Vec<String> =
        named.map(|Stays { path, why }| format!("{path} ({why})")).collect();
    match look.left_out.saturating_sub(named.len()) {
        _ if named.is_empty() => return format!("{what}."),
        0 => {}
        1 => named.push("one more".to_owned()),
        more => named.push(format!("{more} more")),
    }
    format!("{what}: {}.", listed(&named))
}

/// Shortens path and reason.
pub(super) fn short(Stays { path, why }: Stays) -> Stays {
    Stays { path: ellipsis(&path, 200), why: ellipsis(&why, 120) }
}

/// Text about an outdated copy of files.
pub(super) fn old(
    place: &Elsewhere,
    why: Option<&str>,
    as_of: Option<Timestamp>,
    (now, zone): (Timestamp, &TimeZone),
) -> String {
    let label = &place.label;
    let what = match (why, place.heard_at) {
        (Some(why), _) => format!("{label} can’t show its files right now: {why}."),
        (None, Some(at)) => format!("{label} has been offline since {}.", clock(at, now, zone)),
        (None, None) => format!("{label} has never connected."),
    };
    let shown = match as_of {
        Some(at) => {
            let at = clock(at, now, zone);
            format!("These files are from {at}, the last update.")
        }
        None => "No files received yet.".to_owned(),
    };
    format!("{what} {shown} You can change them when it’s back.")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Elsewhere, Look, Stays, TimeZone, Timestamp, old};
    use git::CommitId;
    use kernel::time::from_ms;
    use kernel::{GatewayId, TypedId as _};

    const NOON: i64 = 1_700_049_600_000;

    fn place(heard_at: Option<Timestamp>) -> Elsewhere {
        Elsewhere {
            gateway: GatewayId::from_bytes([95; 16]),
            label: "GPU box".to_owned(),
            is_paused: false,
            is_revoked: false,
            is_linked: false,
            heard_at,
        }
    }

    #[test]
    fn old_files_say_how_old_they_are_and_why() {
        let (now, utc) = (from_ms(NOON), TimeZone::UTC);
        let ago = |minutes: i64| from_ms(NOON - minutes * 60_000);
        let silent = place(Some(ago(13)));
        assert_eq!(
            old(&silent, None, Some(ago(17)), (now, &utc)),
            "GPU box has been offline since 11:47. These files are from 11:43, the last \
             update. You can change them when it’s back."
        );
        let never = old(&place(None), None, None, (now, &utc));
        assert!(
            never.starts_with("GPU box has never connected. No files received yet."),
            "{never}"
        );
        let mute = old(&silent, Some("it is busy"), Some(ago(17)), (now, &utc));
        assert!(mute.starts_with("GPU box can’t show its files right now: it is busy."), "{mute}");
    }

    #[test]
    fn files_that_stay_there_are_named_with_why() {
        let message = |left_out, named: usize| {
            let id = CommitId::from_bytes([7; 20]);
            let (path, why) = ("a.md".to_owned(), "it is larger than 25 MiB".to_owned());
            let stays = vec![Stays { path, why }; named];
            let at = Instant::now();
            let look = Look { at, head: id, now: id, is_laid: true, left_out, stays };
            super::left_out(&look, "GPU box", true)
        };
        assert_eq!(message(0, 0), "");
        assert_eq!(
            message(1, 1),
            "One file stays on GPU box and isn’t copied here: a.md (it is larger than 25 MiB)."
        );
        let two = message(2, 1);
        assert!(two.starts_with("2 files stay on GPU box and aren’t copied here: a.md "), "{two}");
        assert!(two.ends_with(" and one more."), "{two}");
        assert!(message(30, 20).ends_with(" and 25 more."), "{}", message(30, 20));
        // An older host reports only the number of files.
        assert_eq!(message(2, 0), "2 files stay on GPU box and aren’t copied here.");
    }
}
