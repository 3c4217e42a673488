//! Unassigned tasks in the daily mail.

use features::agents::rules as agents;
use features::inbox::rules as inbox;
use features::notifications::model::sending::{Delivery, Out};

use super::out::{MailStandIn, until};
use super::*;
use support::office::Office;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_letter_of_the_day_names_the_tasks_that_nobody_is_on() {
    let office = Office::open().await;
    let mut mail = MailStandIn::start().await;
    mail.introduce(&office.hq).await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    // A task whose inbox item is gone.
    let leave = async |title: &str| {
        let task = office.task(title, &ada).await;
        for item in office.items(id) {
            if item.task == Some(task.id) {
                office.act(move |tx| inbox::cancel(tx, item.id, "in a test")).await;
            }
        }
        format!("/api/v1/tasks/MC-{}", task.number)
    };
    // Days pass, so a browser session would expire.
    let api = office.hq.api().await;
    let care = async |path: &str, change: serde_json::Value| {
        let done = api.json("PATCH", path, &change).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    };
    let looks =
        |all: &[Delivery]| all.len() == 1 && all[0].out == Out::Digest && all[0].rows.is_empty();

    let first = leave("Wake me").await;
    until(&office.hq, looks).await;
    office.hq.advance(DAY).await;
    let letter = mail.next().await;
    assert!(letter.contains("Subject: Stalled: MC-1 Wake me"), "{letter}");
    until(&office.hq, <[Delivery]>::is_empty).await;
    office.hq.advance(DAY).await;
    assert!(mail.letters.try_recv().is_err(), "once, and not again each day");

    // A person handled it in time: no notification and no letter.
    care(&first, json!({ "status": "cancelled" })).await;
    let second = leave("Take me").await;
    until(&office.hq, looks).await;
    care(&second, json!({ "assignee": "me" })).await;
    office.hq.advance(DAY).await;
    until(&office.hq, <[Delivery]>::is_empty).await;
    if let Ok(letter) = mail.letters.try_recv() {
        panic!("there is nothing to tell: {letter}");
    }

    // A person who turned such letters off gets none.
    let ways = json!({ "app": true, "push": false, "mail": false, "digest": false });
    let body = json!({ "groups": [{ "group": "tasks", "ways": ways }], "digest_hour": 8 });
    let put = api.json("PUT", "/api/v1/notification-choices", &body).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    leave("Leave me").await;
    let left: Vec<Delivery> = office.all();
    assert_eq!(left, Vec::<Delivery>::new());
    office.hq.finish().await;
}
