//! Outgoing messages after a restore: none twice, and none before a person resumes work.

use std::path::Path;
use std::sync::atomic::Ordering;

use app::Ws;
use backup::{Meter, Repository};
use features::connections::model::Wire;
use features::notifications::model::Recipient;
use features::notifications::model::sending::Delivery;
use features::routines::model::{Clock, Firing};
use features::runs::model::HaltOf;
use features::runs::rules::halt;
use server::restore::{Mode, RestoreRequest, Which, restore};
use store::consumer::standing;

use super::out::{MailStandIn, until, wants};
use super::*;
use crate::backup::{back_up, repository};
use support::hq::Setup;
use support::model::Turn;
use support::office::Office;
use support::work::{all, owner};

const MINUTE: Duration = Duration::from_secs(60);

/// Restores a backup over the existing folder.
fn bring_back(repo: &Repository, backup: Which, data: &Path) {
    let wish = RestoreRequest {
        data: data.to_owned(),
        backup,
        workspace: None,
        mode: Mode::Restore,
        key_file: data.join("master.key"),
    };
    let restored = tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default()));
    restored.expect("restored");
}

/// Waits until every consumer has processed or skipped all entries.
pub(super) async fn all_taken(ws: &Ws) {
    let behind = || {
        let all = ws.app.consumers.all().iter();
        let standings = all.map(|consumer| standing(&ws.store, &**consumer).expect("a read"));
        standings.filter(|one| 0 < one.behind || one.rebuilding.is_some()).count()
    };
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while 0 < behind() {
            tick.tick().await;
        }
    });
    waited.await.expect("consumers take all in time");
}

/// Waits until this many notifications are snoozed.
async fn until_snoozed(hq: &TestHq, count: usize) {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            feed.borrow_and_update();
            let rows = all::<Recipient>(hq);
            if rows.iter().filter(|row| row.snoozed_until.is_some()).count() == count {
                return;
            }
            feed.changed().await.expect("the store is open");
        }
    });
    waited.await.expect("they come back in time");
}

async fn letters_please(tom: &Person) {
    wants(tom, json!({ "app": true, "push": false, "mail": true, "digest": false })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_to_a_moment_sends_no_letter_twice_and_counts_no_event_twice() {
    let mut office = Office::with(Setup::default().real_time(), Wire::OpenaiChat, "mock").await;
    office.agent("Ada").await;
    office.model.usually(Turn::call("work_done", json!({ "summary": "Thanked." })));
    let tom = office.hq.another("Tom", Some(Role::Member)).await;
    let mut mail = MailStandIn::start().await;
    mail.introduce(&office.hq).await;
    letters_please(&tom).await;
    let api = office.hq.api().await;
    let routine = json!({
        "agent": "ada",
        "name": "After work",
        "instruction": "Say thanks.",
        "event": { "when": "task.status", "all": [{ "field": "new", "value": "done" }] },
    });
    let made = api.post("/api/v1/routines", &routine).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    task(&api, json!({ "title": "Prices" })).await;
    let moved = api.json("PATCH", "/api/v1/tasks/MC-1", &json!({ "status": "done" })).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.text);
    task(&api, json!({ "title": "Offers" })).await;
    comment(&api, "MC-2", "@tom look").await;
    mail.next().await;
    all_taken(&office.ws()).await;
    office.hq.settle().await;
    all_taken(&office.ws()).await;
    until(&office.hq, <[Delivery]>::is_empty).await;
    while mail.letters.try_recv().is_ok() {}
    let counted = |office: &Office| {
        let clocks: Vec<u32> = all::<Clock>(&office.hq).iter().map(|clock| clock.in_hour).collect();
        (clocks, all::<Firing>(&office.hq).len())
    };
    let before = counted(&office);
    assert_eq!(before, (vec![1], 1));

    office.hq.advance(MINUTE).await;
    let moment = office.hq.now();
    office.hq.advance(MINUTE).await;
    task(&api, json!({ "title": "Later" })).await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&office.hq, &repo);
    office.hq.stop().await;
    bring_back(&repo, Which::At(moment), &office.hq.data());
    office.hq.start_again().await;
    all_taken(&office.ws()).await;
    assert_eq!(all::<Delivery>(&office.hq), Vec::<Delivery>::new(), "what was sent stays so");
    assert_eq!(counted(&office), before);

    // Later notifications are sent as usual.
    assert!(office.act(|tx| halt::lift(tx, HaltOf::Workspace)).await);
    office.hq.advance(60 * MINUTE).await;
    let api = api.back_at(&office.hq);
    comment(&api, "MC-2", "@tom and this").await;
    let letter = mail.next().await;
    assert!(letter.contains("To: tom@marlow.example"), "{letter}");
    until(&office.hq, <[Delivery]>::is_empty).await;
    all_taken(&office.ws()).await;
    assert!(mail.letters.try_recv().is_err(), "each letter once");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_to_be_sent_waits_after_a_restore_until_work_goes_on() {
    let mut hq = Setup::default().real_time().start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let mut mail = MailStandIn::start().await;
    mail.introduce(&hq).await;
    letters_please(&tom).await;
    for title in ["One", "Two", "Three"] {
        task(&mira, json!({ "title": title })).await;
    }
    for key in ["MC-1", "MC-2"] {
        comment(&mira, key, "@tom look").await;
        mail.next().await;
    }
    // Two snoozes that end show that the timer has run.
    let items = tom.get(API).await.json()["items"].clone();
    for (n, minutes) in [(0_usize, 10), (1, 20)] {
        let id = items[n]["id"].as_str().expect("an id").to_owned();
        let back = hq.now() + minutes * MINUTE;
        let body = json!({ "snoozed_until": back.to_string() });
        let put_off = tom.json("PATCH", &format!("{API}/{id}"), &body).await;
        assert_eq!(put_off.status, StatusCode::OK, "{}", put_off.text);
    }
    mail.busy.store(1, Ordering::SeqCst);
    comment(&mira, "MC-3", "@tom look").await;
    until(&hq, |all| all.len() == 1 && all[0].last_error.is_some()).await;
    let open = all::<Delivery>(&hq);

    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    hq.stop().await;
    bring_back(&repo, Which::Newest, &hq.data());
    hq.start_again().await;
    for left in [1, 0] {
        hq.advance(15 * MINUTE).await;
        until_snoozed(&hq, left).await;
    }
    // The second pass began after the whole first one.
    assert_eq!(all::<Delivery>(&hq), open, "not tried while all work is paused");
    assert!(mail.letters.try_recv().is_err());

    let lifted = hq.ws().write(&owner(&hq), |tx| halt::lift(tx, HaltOf::Workspace)).await;
    assert!(lifted.expect("the owner may"));
    let letter = mail.next().await;
    assert!(letter.contains("To: tom@marlow.example"), "{letter}");
    until(&hq, <[Delivery]>::is_empty).await;
    all_taken(&hq.ws()).await;
    assert!(mail.letters.try_recv().is_err(), "once");
    hq.finish().await;
}
