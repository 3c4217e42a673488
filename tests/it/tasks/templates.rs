//! Tasks from templates: dependencies, assignees, labels.

use std::collections::HashMap;

use features::tasks::model::template::TemplateItem;
use features::tasks::queries::{labels, relations};
use features::tasks::rules::templates::{self, NewTemplate, Spawn};

use super::*;

fn item(key: &str, role: &str, blocked_by: &[&str]) -> TemplateItem {
    TemplateItem {
        key: key.to_owned(),
        title: format!("Do the {key}"),
        description: String::new(),
        priority: Priority::Medium,
        role: role.to_owned(),
        labels: vec!["Launch".to_owned(), "launch".to_owned()],
        blocked_by: blocked_by.iter().map(|key| (*key).to_owned()).collect(),
    }
}

#[test]
fn tasks_of_a_template_wait_for_each_other_and_have_their_people() {
    let desk = Desk::new();
    let items = vec![
        item("brief", "", &[]),
        item("post", "ada", &["brief"]),
        item("mail", "sender", &["brief", "post"]),
        item("party", "host", &[]),
    ];
    let new = NewTemplate { name: "Launch".to_owned(), description: String::new(), items };
    let template = desk.by(mira(), move |tx| templates::create(tx, new)).unwrap();
    let roles = HashMap::from([("sender".to_owned(), Some(Assignee::Agent(otto_id())))]);
    let how = Spawn { roles, ..Spawn::default() };
    let id = template.id;
    let spawned = desk.by(mira(), move |tx| templates::spawn(tx, id, &how)).unwrap();
    let [brief, post, mail, party]: [TaskId; 4] = spawned.tasks.try_into().unwrap();
    assert_eq!(spawned.warnings.len(), 1, "nobody is called host: {:?}", spawned.warnings);
    assert_eq!(desk.get(party).assignee, None);
    assert_eq!(desk.get(post).assignee, Some(Assignee::Agent(ada_id())));
    assert_eq!(desk.get(mail).assignee, Some(Assignee::Agent(otto_id())));
    let waits = |task| {
        let blockers = desk.store.read(|snap| relations::open_blockers(snap, task)).unwrap();
        blockers.into_iter().map(|blocker| blocker.id).collect::<Vec<_>>()
    };
    assert_eq!((waits(brief), waits(post)), (vec![], vec![brief]));
    assert_eq!(waits(mail).len(), 2);
    let named = desk.store.read(|snap| labels::of(snap, mail)).unwrap();
    assert_eq!(named.len(), 1, "in whatever case it is written");
    // No task begins before its blockers are done.
    assert!(desk.items().iter().all(|item| item.waits_for_blockers()), "{:#?}", desk.items());
    // All or nothing.
    let nowhere = Spawn { parent: Some(id_of_nothing()), ..Spawn::default() };
    desk.by(mira(), move |tx| templates::spawn(tx, id, &nowhere)).unwrap_err();
    let all = desk.store.read(|snap| snap.list::<Task>(&Range::all())).unwrap();
    assert_eq!(all.len(), 4);
}

fn id_of_nothing() -> TaskId {
    id(99)
}
