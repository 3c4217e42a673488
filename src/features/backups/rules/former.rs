//! Retention of run rows.

use std::collections::BTreeMap;

use crate::backups::model::{BackupRun, Deed};
use kernel::JobId;

/// Run rows kept per kind of job.
const KEPT_RUNS: usize = 400;

/// Of these runs, newest first, the ids to delete when one more run of a kind is added. Frequent backups do not push
/// out drills. The run from which the next drill is scheduled stays: the last scheduled drill or, before the first
/// drill, the first backup at each target.
pub(super) fn superfluous(all: &[BackupRun], deed: Deed) -> Vec<JobId> {
    let stay: Vec<JobId> = match all.iter().find(|run| run.is_due_drill()) {
        Some(drill) => vec![drill.id],
        None => {
            let made = all.iter().filter(|run| run.is_made());
            // The oldest run of a target comes last and wins.
            let first: BTreeMap<&str, JobId> =
                made.map(|run| (run.place.as_str(), run.id)).collect();
            first.into_values().collect()
        }
    };
    let mut kept: BTreeMap<&str, usize> = BTreeMap::from([(deed.noun(), 1)]);
    let goes = |run: &&BackupRun| {
        let n = kept.entry(run.deed.noun()).or_default();
        *n += 1;
        KEPT_RUNS < *n && !stay.contains(&run.id)
    };
    all.iter().filter(goes).map(|run| run.id).collect()
}

#[cfg(test)]
mod tests {
    use crate::backups::model::{Outcome, Trigger};
    use kernel::TypedId;
    use kernel::time::from_ms;
    use store::Record;

    use super::*;

    fn run(n: u16, deed: Deed, trigger: Trigger) -> BackupRun {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let id = JobId::from_bytes(id);
        let started_at = from_ms(i64::from(n) * 1_000);
        let outcome = Outcome::Done;
        BackupRun { id, deed, trigger, started_at, outcome, place: "a".into(), ..Record::sample() }
    }

    #[test]
    fn frequent_backups_push_out_neither_drills_nor_what_the_first_one_counts_from() {
        let backups = |from: u16, to: u16| {
            (from..to).rev().map(|n| run(n, Deed::Backup, Trigger::Command)).collect::<Vec<_>>()
        };
        let first = backups(1, 1_001);
        let gone = superfluous(&first, Deed::Backup);
        assert_eq!(gone.len(), 1_000 - KEPT_RUNS, "all but those that are kept, and the first");
        assert!(!gone.contains(&first[999].id), "the first drill counts from the first backup");
        assert!(
            !gone.contains(&first[KEPT_RUNS - 2].id) && gone.contains(&first[KEPT_RUNS - 1].id)
        );

        let drill = run(1, Deed::Drill, Trigger::Schedule);
        let mut all = backups(2, 1_002);
        all.push(drill.clone());
        all.extend(backups(0, 1));
        let gone = superfluous(&all, Deed::Backup);
        assert!(!gone.contains(&drill.id) && gone.contains(&all[1_001].id), "there is a drill now");
        let mut drills: Vec<_> =
            (2..1_002).rev().map(|n| run(n, Deed::Drill, Trigger::Command)).collect();
        drills.push(drill.clone());
        let gone = superfluous(&drills, Deed::Drill);
        assert!(!gone.contains(&drill.id) && gone.len() == 1_001 - KEPT_RUNS, "{}", gone.len());
    }
}
