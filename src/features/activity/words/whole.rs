//! Sentences for events of the whole workspace and of model spending.

use jiff::tz::TimeZone;
use kernel::display;
use kernel::text::ellipsis;

use super::{MAX_TITLE, Words, people};

pub(super) fn restored(taken_at: i64) -> Words {
    let at = kernel::time::from_ms(taken_at).to_zoned(TimeZone::UTC);
    let at = format!("{}, {} UTC", display::long_day(at.date()), display::time(at.time()));
    Words {
        verb: "restored the".to_owned(),
        thing: "workspace".to_owned(),
        path: "settings/backups".to_owned(),
        rest: format!("from the backup of {at}"),
        icon: "repeat",
        ..Words::default()
    }
}

pub(super) fn exported() -> Words {
    let path = "settings/export".to_owned();
    Words { path, icon: "download", ..people("exported the", "workspace", "as one file") }
}

pub(super) fn price(verb: &str, model: &str) -> Words {
    Words {
        verb: verb.to_owned(),
        thing: ellipsis(model, MAX_TITLE),
        path: "settings/usage/prices".to_owned(),
        icon: "edit",
        ..Words::default()
    }
}
