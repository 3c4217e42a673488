//! Actions on series, templates, their rules, and links of tasks.

use features::links::model::{Link, Target};
use features::links::rules as all_links;
use features::tasks::model::Task;
use features::tasks::model::overdue::TaskRules;
use features::tasks::model::series::{DueAfter, Series};
use features::tasks::model::template::{Template, TemplateItem};
use features::tasks::rules::overdue::set_rules;
use features::tasks::rules::series::{self as all_series, NewSeries, SeriesPatch};
use features::tasks::rules::templates::{self, NewTemplate};
use kernel::{CadenceKind, MissedPolicy, Priority, ScheduleFields};
use store::WriteTx;

use super::desk::{Acted, Pick, by_rule, one};

/// Recurring tasks.
pub fn series(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if b % 5 == 0 {
        let fields =
            ScheduleFields { cadence_type: Some(CadenceKind::Daily), ..ScheduleFields::default() };
        let schedule = fields.read("Europe/Berlin", tx.now()).expect("each day is a schedule");
        let new = NewSeries {
            title: format!("Each day {c}"),
            description: String::new(),
            priority: Priority::Medium,
            assignee: None,
            stream: None,
            model: None,
            thinking: None,
            labels: Vec::new(),
            schedule,
            missed: MissedPolicy::AutoSkip,
            ends_on: None,
            ends_after: None,
            due: Some(DueAfter::default()),
        };
        return by_rule(all_series::create(tx, new));
    }
    let id = one::<Series>(tx, a)?.id;
    match b % 5 {
        1 => by_rule(all_series::pause(tx, id)),
        2 => by_rule(all_series::resume(tx, id)),
        3 => by_rule(all_series::spawn_now(tx, id)),
        _ => {
            let title = Some(format!("Renamed {c}"));
            by_rule(all_series::update(tx, id, SeriesPatch { title, ..SeriesPatch::default() }))
        }
    }
}

/// Templates.
pub fn template(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let item = TemplateItem {
        key: "first".to_owned(),
        title: format!("Task {c}"),
        description: String::new(),
        priority: Priority::Medium,
        role: String::new(),
        labels: Vec::new(),
        blocked_by: Vec::new(),
    };
    let description = String::new();
    let new = NewTemplate { name: format!("Template {c}"), description, items: vec![item] };
    match b % 4 {
        0 | 1 => by_rule(templates::create(tx, new)),
        2 => {
            let id = one::<Template>(tx, a)?.id;
            by_rule(templates::update(tx, id, new))
        }
        _ => {
            let id = one::<Template>(tx, a)?.id;
            by_rule(templates::delete(tx, id))
        }
    }
}

pub fn task_rules(tx: &mut WriteTx<'_>, [a, ..]: Pick) -> Acted {
    by_rule(set_rules(
        tx,
        TaskRules { missed_after_days: u16::from(a) % 30, ..TaskRules::default() },
    ))
}

/// Links, and their removal.
pub fn links(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if b % 3 == 0
        && let Ok(link) = one::<Link>(tx, a)
    {
        return by_rule(all_links::remove(tx, link.id));
    }
    let task = one::<Task>(tx, a)?.id;
    let target = match c % 2 {
        0 => Target::Url(format!("https://example.com/{}", c % 5)),
        _ => Target::Task(one::<Task>(tx, c / 2)?.id),
    };
    by_rule(all_links::add(tx, task, target, ["", "One", "Two"][usize::from(b) % 3]))
}
