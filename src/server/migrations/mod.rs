//! Migrations from the first store format to the current one, in order. The same steps upgrade the system store and
//! the workspaces' stores. A released step is never changed.

mod m0002_blob_references;
mod m0003_all_indexes;
mod m0004_tasks_of_routines;
mod m0005_exports_on_record;
mod m0006_words_at_rest;
mod m0007_nouns_with_cards;
mod m0008_names_in_any_writing;

use store::FORMAT;
use store::migrate::Migration;

/// All steps; the first leads to format 2.
pub const LIST: [Migration; (FORMAT - 1) as usize] = [
    m0002_blob_references::STEP,
    m0003_all_indexes::STEP,
    m0004_tasks_of_routines::STEP,
    m0005_exports_on_record::STEP,
    m0006_words_at_rest::STEP,
    m0007_nouns_with_cards::STEP,
    m0008_names_in_any_writing::STEP,
];

#[cfg(test)]
mod tests {
    use super::LIST;

    #[test]
    fn each_step_leads_one_format_on_and_says_what_it_does() {
        for (to, step) in (2..).zip(LIST) {
            assert_eq!(step.to, to);
            assert!(step.name.starts_with(&format!("m{to:04}_")), "{}", step.name);
            assert!(!(step.describe)().is_empty());
        }
    }
}
