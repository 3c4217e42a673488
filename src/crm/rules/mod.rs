//! All writes to contacts, organizations, collections, their fields, interactions and suggestions.

mod block;
mod cells;
mod collections;
pub(crate) mod dates;
mod fates;
mod fields;
mod imports;
mod keys;
mod kinds;
pub(crate) mod literal;
mod meets;
pub(crate) mod person;
mod rows;
mod several;
mod stored;
mod suggestions;
mod tags;
mod talks;
mod turns;
mod words;

pub use block::{Block, Pasted, RefusedCell, paste};
pub use collections::{CollectionPatch, change_collection, make_collection, remove_collection};
pub use fates::{CellSeen, Fate, Met, RowSeen};
pub(crate) use fields::rows_of;
pub use fields::{
    FieldPatch, PRESETS, Preset, change_field, lay_down, make_field, remove_field, set_choices,
    start_with,
};
pub use imports::{
    Begun, Came, FileRead, ImportContext, ImportPatch, NewImport, Numbered, Stays, begin_import,
    bring, cancel_import, change_import, fail_import, import_of, import_rows, in_order,
    make_import,
};
pub use keys::Keys;
pub use kinds::{
    Became, Caster, begin_conversion, conversion_back, conversion_of, convert_rows, convertible,
    fail_conversion, shaped, turn_conversion, written,
};
pub use rows::{Changed, Sent, add, change, check_rev, create, remove, set_archived, upsert};
pub(crate) use stored::{delete as delete_row, put as put_row};
pub use suggestions::{Decided, Undecided, call_right, decide, decide_all, put_back, suggest};
pub(crate) use tags::replace_label;
pub use tags::{tags_wait, take_over_tags};
pub use talks::{TalkPatch, change_talk, follow_up, log, remove_talk};
pub use turns::{taken_back, turn_import};
pub use words::{becomes, is_chosen, unknown};
