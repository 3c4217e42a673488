//! Task lists: filters, order, pages.

use features::tasks::queries::grouping::{self, Bucket, GroupBy};

use super::*;

#[test]
fn a_list_is_filtered_ordered_and_cut_into_pages() {
    let desk = Desk::new();
    let day = |text: &str| Some(text.parse().unwrap());
    let make = |title: &str, priority, due_at| {
        desk.task(NewTask { priority, due_at, ..NewTask::titled(title) })
    };
    make("Late offer", Priority::Low, day("2026-11-18T10:00:00Z"));
    make("Urgent call", Priority::Urgent, None);
    make("Soon", Priority::High, day("2026-11-22T10:00:00Z"));
    make("Offer for Brandt", Priority::High, day("2026-11-20T20:00:00Z"));
    let ours = desk.task(for_ada("Ada's own"));
    let today = list::Today { now: desk.clock.now(), zone: queries::due::zone("Europe/Berlin") };
    let titles = |filter: &list::Filter, sort| {
        let found = desk.store.read(|snap| list::select(snap, filter, sort, &today)).unwrap();
        found.into_iter().map(|task| task.title).collect::<Vec<_>>()
    };
    let all = list::Filter::default();
    let by_priority = ["Urgent call", "Offer for Brandt", "Soon", "Ada's own", "Late offer"];
    assert_eq!(titles(&all, list::Sort::Priority), by_priority);
    assert_eq!(titles(&all, list::Sort::Due)[0], "Late offer");
    let with = |q: &str| list::Filter { q: q.to_owned(), ..list::Filter::default() };
    assert_eq!(titles(&with("OFFER"), list::Sort::Title), ["Late offer", "Offer for Brandt"]);
    assert_eq!(titles(&with("mc-3"), list::Sort::Title), ["Soon"]);
    let due = |due| list::Filter { due: Some(due), ..list::Filter::default() };
    assert_eq!(titles(&due(list::DueIn::Overdue), list::Sort::Due), ["Late offer"]);
    assert_eq!(
        titles(&due(list::DueIn::Today), list::Sort::Due),
        ["Late offer", "Offer for Brandt"]
    );
    let whose = |assignee| list::Filter { assignee, ..list::Filter::default() };
    let adas = list::Whose::One(Assignee::Agent(ada_id()));
    assert_eq!(titles(&whose(adas), list::Sort::Priority), ["Ada's own"]);
    assert_eq!(titles(&whose(list::Whose::Nobody), list::Sort::Priority).len(), 4);

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let cut = list::Cut { after, limit: 2 };
        let page = desk
            .store
            .read(|snap| list::page(snap, &all, list::Sort::Priority, &today, &cut))
            .unwrap();
        seen.extend(page.items.into_iter().map(|task| task.title));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, by_priority);
    let open = desk.store.read(|snap| list::open_count(snap)).unwrap();
    assert_eq!(open, 5);
    desk.by(mira(), move |tx| rules::archive(tx, ours.id)).unwrap();
    assert_eq!(desk.store.read(|snap| list::open_count(snap)).unwrap(), 4);
    let archived = list::Filter { archived: true, ..list::Filter::default() };
    assert_eq!(titles(&archived, list::Sort::Priority), ["Ada's own"]);
}

#[test]
fn a_list_from_the_columns_is_the_one_that_a_scan_finds() {
    let desk = Desk::new();
    let today = list::Today { now: desk.clock.now(), zone: queries::due::zone("Europe/Berlin") };
    let words = ["Offer", "offer for Brandt", "Ärger", "Zebra", "call", "Call back"];
    let pick = |n: usize, m: usize| (n * 7919 + n / 3) % m;
    for n in 0..120 {
        let due = (pick(n, 4) > 0)
            .then(|| desk.clock.now() + SignedDuration::from_hours(24 * (pick(n, 21) as i64 - 10)));
        let task = desk.task(NewTask {
            priority: Priority::ALL[pick(n, Priority::ALL.len())],
            assignee: [None, Some(Assignee::Agent(ada_id())), Some(Assignee::Person(mira_id()))]
                [pick(n + 1, 3)],
            due_at: due,
            description: if pick(n, 5) == 0 { "about an OFFER".to_owned() } else { String::new() },
            ..NewTask::titled(words[pick(n, words.len())])
        });
        if n % 11 == 0 {
            desk.by(mira(), move |tx| rules::archive(tx, task.id)).unwrap();
        }
        if n % 30 == 29 {
            compare_lists(&desk, &today);
        }
    }
}

/// Compares each list from a snapshot, which has columns, with that from a write transaction, which scans.
fn compare_lists(desk: &Desk, today: &list::Today) {
    let mut filters = vec![list::Filter::default()];
    let with = |change: &dyn Fn(&mut list::Filter)| {
        let mut filter = list::Filter::default();
        change(&mut filter);
        filter
    };
    filters.push(with(&|f| f.archived = true));
    filters.push(with(&|f| f.status = list::OPEN.to_vec()));
    filters.push(with(&|f| f.priority = vec![Priority::High, Priority::Urgent]));
    filters.push(with(&|f| f.assignee = list::Whose::Nobody));
    filters.push(with(&|f| f.assignee = list::Whose::One(Assignee::Agent(ada_id()))));
    filters.push(with(&|f| f.q = "offer".to_owned()));
    filters.push(with(&|f| f.q = "MC-17".to_owned()));
    filters.extend(list::DueIn::ALL.iter().map(|(due, ..)| with(&|f| f.due = Some(*due))));
    let totals = desk.store.read(|snap| list::totals(snap, &filters, today)).unwrap();
    for (filter, total) in filters.iter().zip(totals) {
        assert_eq!(desk.store.read(|snap| list::total(snap, filter, today)).unwrap(), total);
        for (sort, ..) in list::Sort::ALL {
            let cut = |after| list::Cut { after, limit: 7 };
            let kept = |after: Option<String>| {
                let page =
                    desk.store.read(|snap| list::page(snap, filter, *sort, today, &cut(after)));
                page.unwrap()
            };
            let (asked, zone) = ((filter.clone(), *sort), today.clone());
            let scanned =
                desk.by(mira(), move |tx| list::select(tx, &asked.0, asked.1, &zone)).unwrap();
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = kept(after);
                assert!(page.items.len() <= 7);
                seen.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, scanned, "{filter:?} by {sort:?}");
            let by = (GroupBy::Status, GroupBy::None);
            let cells =
                desk.store.read(|snap| grouping::cells(snap, filter, by, *sort, today, 3)).unwrap();
            assert_eq!(cells.iter().map(|cell| cell.total).sum::<usize>(), scanned.len());
            for cell in cells {
                let of_status =
                    scanned.iter().filter(|task| cell.column == Bucket::Status(task.status));
                assert_eq!(cell.total, of_status.clone().count());
                assert!(cell.page.items.iter().eq(of_status.take(3)), "{filter:?} by {sort:?}");
            }
        }
    }
}
