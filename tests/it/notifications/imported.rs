//! Outgoing messages of an imported workspace: none until a person resumes work.

use std::sync::atomic::Ordering;

use app::Ws;
use features::comments::rules::{self as comments, Reach};
use features::notifications::model::Recipient;
use features::notifications::model::sending::Delivery;
use features::routines::model::{Clock, Firing};
use features::runs::model::{Halt, HaltCause, HaltOf};
use features::runs::rules::halt;
use features::tasks::model::Task;
use store::{Range, ReadExt as _, Record, WriteTx};

use super::out::{MailStandIn, until, wants};
use super::restored::all_taken;
use super::*;
use support::office::Office;
use support::work::owner;

const MINUTE: Duration = Duration::from_secs(60);

fn all<R: Record>(ws: &Ws) -> Vec<R> {
    ws.read(|snap| snap.list::<R>(&Range::all())).expect("a readable store")
}

/// Waits until a workspace meets the condition.
async fn until_in(ws: &Ws, is_so: impl Fn(&Ws) -> bool) {
    let mut feed = ws.store.watch();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            feed.borrow_and_update();
            if is_so(ws) {
                return;
            }
            feed.changed().await.expect("the store is open");
        }
    });
    waited.await.expect("it happens in time");
}

/// An exported workspace with two unread notifications (one still to be sent), a routine that is due in half an hour,
/// and a routine triggered by an event that has already happened.
async fn exported(mail: &mut MailStandIn) -> Vec<u8> {
    let office = Office::open().await;
    office.agent("Ada").await;
    let tom = office.hq.another("Tom", Some(Role::Member)).await;
    mail.introduce(&office.hq).await;
    wants(&tom, json!({ "app": true, "push": false, "mail": true, "digest": false })).await;
    let api = office.hq.api().await;
    let label = api.post("/api/v1/labels", &json!({ "name": "urgent" })).await;
    assert_eq!(label.status, StatusCode::CREATED, "{}", label.text);
    office.hq.advance(MINUTE).await;
    for (name, how, when) in [
        ("Look", "schedule", json!({ "cadence_type": "every_n_minutes", "interval_n": 30 })),
        ("New label", "event", json!({ "when": "label.created" })),
    ] {
        let routine = json!({ "agent": "ada", "name": name, "instruction": "Look.", how: when });
        let made = api.post("/api/v1/routines", &routine).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    task(&api, json!({ "title": "Prices" })).await;
    task(&api, json!({ "title": "Offers" })).await;
    comment(&api, "MC-1", "@tom look").await;
    mail.next().await;
    until(&office.hq, <[Delivery]>::is_empty).await;
    mail.busy.store(1, Ordering::SeqCst);
    comment(&api, "MC-2", "@tom look").await;
    until(&office.hq, |all| all.len() == 1 && all[0].last_error.is_some()).await;
    assert!(all::<Firing>(&office.ws()).is_empty());
    let bytes = api.download("/api/v1/export").await;
    office.hq.finish().await;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_workspace_sends_and_fires_nothing_until_somebody_resumes_it() {
    let mut mail = MailStandIn::start().await;
    let bytes = exported(&mut mail).await;
    let there = TestHq::start().await;
    // The deferred letter and the routine are due by now.
    there.advance(45 * MINUTE).await;
    let (status, text) = there.api().await.post_bytes("/api/v1/import?slug=second", bytes).await;
    assert_eq!(status, 201, "{text}");
    let made: Value = serde_json::from_str(&text).expect("JSON");
    for (field, words) in
        [("notes", "is paused until someone resumes it"), ("left_out", "outgoing messages (1)")]
    {
        assert!(made[field].to_string().contains(words), "{field}: {text}");
    }
    let ws = there.running().app.workspace("second").expect("it is open");
    let unread = all::<Recipient>(&ws).into_iter().filter(|row| row.read_at.is_none());
    assert!(2 <= unread.count(), "they came along");
    let rests = || {
        assert_eq!(all::<Delivery>(&ws), Vec::<Delivery>::new());
        assert!(all::<Firing>(&ws).is_empty(), "neither by the time nor by what came in");
        assert!(all::<Clock>(&ws).iter().all(|clock| clock.due().is_none()));
    };
    all_taken(&ws).await;
    rests();
    there.advance(60 * MINUTE).await;
    all_taken(&ws).await;
    rests();
    assert!(mail.letters.try_recv().is_err(), "who was told is not told again");
    let causes: Vec<_> = all::<Halt>(&ws).iter().map(Halt::cause).collect();
    assert_eq!(causes, [HaltCause::Copy]);
    let page = there.owner().get("/w/second/pause").await;
    assert!(page.text.contains("was restored, copied or imported"), "{}", page.text);

    // After the resume it continues, with new events only.
    let by = owner(&there);
    let lifted = ws.write(&by, |tx| halt::lift(tx, HaltOf::Workspace)).await;
    assert!(lifted.expect("the owner may"));
    let next: Vec<_> = all::<Clock>(&ws).iter().filter_map(|clock| clock.next_at).collect();
    assert!(next.len() == 1 && there.now() < next[0], "{next:?}");
    let offers = all::<Task>(&ws).into_iter().find(|task| task.title == "Offers");
    let offers = offers.expect("it came along").id;
    let say = move |tx: &mut WriteTx<'_>| comments::add(tx, offers, "@tom and this", Reach::Usual);
    ws.write(&by, say).await.expect("a comment");
    let letter = mail.next().await;
    assert!(letter.contains("To: tom@marlow.example"), "{letter}");
    there.advance(31 * MINUTE).await;
    until_in(&ws, |ws| all::<Firing>(ws).len() == 1).await;
    all_taken(&ws).await;
    assert_eq!(all::<Firing>(&ws).len(), 1, "what passed meanwhile is not made up for");
    assert!(mail.letters.try_recv().is_err(), "one letter");
    there.finish().await;
}
