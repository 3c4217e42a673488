//! Task lists with queries in the filter language.

use features::tasks::queries::filter::Asker;
use features::tasks::queries::keys::KEYS;
use kernel::filter::Query;

use super::*;

/// Runs a query as Mira, in Berlin: titles in order, and the errors.
fn ask(desk: &Desk, text: &str) -> (Vec<String>, Vec<String>) {
    let today = list::Today { now: desk.clock.now(), zone: queries::due::zone("Europe/Berlin") };
    let found = desk.store.read(|snap| {
        let people = People::read(snap)?;
        let me = Assignee::Person(mira_id());
        let asker = Asker { read: snap, people: &people, me, today: &today };
        let asked = asker.understand(&Query::parse(text))?;
        let wrong = asked.checked.iter().map(|(_, wrong)| wrong.clone()).filter(|w| !w.is_empty());
        let wrong: Vec<String> = wrong.collect();
        let filter = list::Filter::of(asked.terms);
        let tasks = list::select(snap, &filter, list::Sort::Title, &today)?;
        let total = list::total(snap, &filter, &today)?;
        assert_eq!(total, tasks.len(), "{text}");
        let both = [filter, list::Filter::default()];
        assert_eq!(list::totals(snap, &both, &today)?[0], total, "{text}");
        Ok::<_, TaskError>((tasks.into_iter().map(|task| task.title).collect(), wrong))
    });
    found.unwrap()
}

fn desk() -> Desk {
    let desk = Desk::new();
    let day = |text: &str| Some(text.parse().unwrap());
    let make = |title: &str, priority, assignee, due_at| {
        desk.task(NewTask { priority, assignee, due_at, ..NewTask::titled(title) })
    };
    let adas = Some(Assignee::Agent(ada_id()));
    let mine = Some(Assignee::Person(mira_id()));
    make("a late", Priority::Low, mine, day("2026-11-18T10:00:00Z"));
    let done = make("b done", Priority::High, adas, day("2026-11-19T10:00:00Z"));
    make("c today", Priority::Urgent, adas, day("2026-11-20T22:30:00Z"));
    let parent = make("d whole", Priority::Medium, None, None);
    let part = NewTask { parent: Some(parent.id), ..NewTask::titled("e part of it") };
    let part = desk.task(part);
    let away = make("f away", Priority::Medium, None, day("2026-11-27T10:00:00Z"));
    let blocked = make("g stuck", Priority::Medium, mine, day("2026-12-24T10:00:00Z"));
    desk.by(mira(), move |tx| rules::set_status(tx, done.id, TaskStatus::Done)).unwrap();
    desk.by(mira(), move |tx| rules::set_status(tx, blocked.id, TaskStatus::Blocked)).unwrap();
    desk.by(mira(), move |tx| rules::archive(tx, away.id)).unwrap();
    desk.deliver(part.id, "Result");
    desk
}

#[test]
fn terms_find_what_they_say() {
    let desk = desk();
    let found = |text: &str| {
        let (titles, wrong) = ask(&desk, text);
        assert!(wrong.is_empty(), "{text}: {wrong:?}");
        titles.iter().map(|title| &title[..1]).collect::<String>()
    };
    for (text, wanted) in [
        ("", "abcdeg"),
        ("is:open", "acdeg"),
        ("is:closed", "b"),
        ("-is:open", "b"),
        ("is:archived", "f"),
        ("is:archived,open", "acdefg"),
        ("is:mine", "ag"),
        ("is:overdue", "a"),
        ("is:blocked", "g"),
        ("is:in-review", "e"),
        ("is:open -is:in-review", "acdg"),
        ("status:done,BLOCKED", "bg"),
        ("status:in_review", "e"),
        ("status:todo", "acd"),
        ("-status:todo", "beg"),
        ("status:IN_REVIEW,done", "be"),
        ("-status:in_review,blocked", "abcd"),
        ("status:todo,in_review", "acde"),
        ("-status:done priority:urgent,high", "c"),
        ("assignee:me", "ag"),
        ("assignee:ada", "bc"),
        ("assignee:@ada,none", "bcde"),
        ("-assignee:any", "de"),
        ("creator:me", "abcdeg"),
        ("watcher:me -assignee:ada", "adeg"),
        ("agent-state:ready is:open", "c"),
        ("agent-state:working", ""),
        ("due:today", "c"),
        ("due:<today", "ab"),
        ("due:<=today is:open", "ac"),
        ("due:2026-11-18..2026-11-19", "ab"),
        ("due:>1w", "g"),
        ("due:none", "de"),
        ("due:any -due:<2026-12-01", "g"),
        ("done:today", "b"),
        ("created:today updated:>-1d", "abcdeg"),
        ("start:any", ""),
        ("parent:MC-4", "e"),
        ("parent:none", "abcdg"),
        ("has:subtasks", "d"),
        ("has:deliverable", "e"),
        ("has:deliverable,subtasks", "de"),
        ("has:comment", ""),
        ("waiting:me", "e"),
        ("waiting:tom", ""),
        ("stream:none label:none series:none", "abcdeg"),
        ("stream:any", ""),
        ("blocked-by:any", ""),
        ("blocks:none -is:closed", "acdeg"),
        ("cost:>0", ""),
        ("cost:0", "abcdeg"),
        ("id:2..3", "bc"),
        ("id:mc-5", "e"),
        ("late", "a"),
        ("\"part of\"", "e"),
        ("-part -late", "bcdg"),
        ("MC-7", "g"),
    ] {
        assert_eq!(found(text), wanted, "{text}");
    }
}

#[test]
fn what_is_not_known_is_told_and_the_rest_filters() {
    let desk = desk();
    for (text, wanted, says) in [
        ("statsu:done is:open", "acdeg", "did you mean status?"),
        ("assignee:adda,me", "ag", "did you mean ada?"),
        ("assignee:adda is:closed", "b", "\"adda\" isn’t a known assignee"),
        ("due:soon is:closed", "b", "\"soon\" isn’t a date for due"),
        ("priority:hgih", "abcdeg", "did you mean high?"),
        ("template:launch id:1", "a", "\"launch\" isn’t a known template; there are none yet."),
        ("collection:x id:1", "a", "Collections aren’t available yet"),
        ("status: id:1", "a", "Enter a value for status:"),
        ("cost:much id:1", "a", "\"much\" isn’t a number for cost"),
        ("parent:MC-99 id:1", "a", "There is no task \"MC-99\""),
        ("label:x id:1", "a", "\"x\" isn’t a known label; there are none yet."),
        ("waiting:nobody id:1", "a", "\"nobody\" isn’t a known waiting"),
    ] {
        let (titles, wrong) = ask(&desk, text);
        assert_eq!(titles.iter().map(|title| &title[..1]).collect::<String>(), wanted, "{text}");
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
        assert!(wrong[0].contains(says), "{text}: {wrong:?}");
    }
    let many = "id:1 ".repeat(60);
    assert_eq!(ask(&desk, &many).1.len(), 20, "more terms than a list is asked at once");
}

#[test]
fn every_key_can_be_asked_without_an_error() {
    let desk = desk();
    for key in KEYS {
        for value in ["none", "any", "me", "today", "5", "x"] {
            ask(&desk, &format!("{}:{value} -{}:{value}", key.name, key.name));
        }
    }
}
