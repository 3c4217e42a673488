//! Notifications: recipients, dismissal, and delivery to people who are away.

mod alone; // tasks without an assignee, in the daily letter
mod imported; // what an imported workspace sends
mod invitations; // invitations by email
mod out; // letters and push messages, with test servers
mod restored; // what is sent after a restore
mod settled; // notifications that need no action any more

use std::time::Duration;

use features::notifications::queries;
use features::workspace::queries as workspace;
use kernel::{AccountId, Role};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::StoreError;

use support::hq::{Person, TestHq};
use support::work;

const LIST: &str = "/w/marlow-cargo/notifications";
const API: &str = "/api/v1/notifications";

/// Account of the member with this handle.
fn account(hq: &TestHq, handle: &str) -> AccountId {
    let all = hq.ws().read(|snap| workspace::members(snap)).expect("members");
    all.into_iter().find(|member| member.handle == handle).expect("a member").account
}

async fn task(person: &Person, body: Value) {
    let made = person.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
}

async fn comment(person: &Person, task: &str, body: &str) -> String {
    let path = format!("/api/v1/tasks/{task}/comments");
    let made = person.post(&path, &json!({ "body": body })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

async fn titles(person: &Person) -> Vec<String> {
    let items = person.get(API).await.json()["items"].clone();
    let items = items.as_array().expect("a list").clone();
    items.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

async fn unread(person: &Person) -> u64 {
    person.get(API).await.json()["unread"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mention_reaches_its_person_once_and_never_its_author() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    task(&mira, json!({ "title": "Prices" })).await;
    comment(&mira, "MC-1", "@tom please look, mail@tom.example and `@tom` are nobody").await;
    assert_eq!(titles(&tom).await, ["Mira Lindqvist mentioned you on MC-1 “Prices”"]);
    assert_eq!(titles(&mira).await, [""; 0], "who did it is not told");
    // A mentioned member follows the task from then on; comments within minutes form one row.
    comment(&mira, "MC-1", "First").await;
    comment(&mira, "MC-1", "Second").await;
    let all = tom.get(API).await.json();
    assert_eq!(all["items"][0]["title"], "Mira Lindqvist commented on MC-1 “Prices”");
    assert_eq!(all["items"][0]["count"], 2);
    assert_eq!(all["items"][0]["body"], "Second");
    assert_eq!(all["items"][0]["reason"], "mentioned");
    assert_eq!(all["items"].as_array().expect("a list").len(), 2);
    hq.advance(Duration::from_secs(11 * 60)).await;
    comment(&mira, "MC-1", "Third").await;
    assert_eq!(tom.get(API).await.json()["items"].as_array().expect("a list").len(), 3);
    // Tom's reply notifies Mira, who created the task.
    comment(&tom, "MC-1", "On it").await;
    let own = mira.get(API).await.json();
    assert_eq!(own["items"][0]["reason"], "creator");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_adds_a_mention_tells_only_the_one_who_is_new() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let vera = hq.another("Vera", Some(Role::Viewer)).await;
    task(&mira, json!({ "title": "Prices" })).await;
    let id = comment(&mira, "MC-1", "@tom look").await;
    let path = format!("/api/v1/comments/{id}");
    let body = json!({ "body": "@tom and @vera look" });
    let edited = mira.json("PATCH", &path, &body).await;
    assert_eq!(edited.status, StatusCode::OK, "{}", edited.text);
    assert_eq!(titles(&tom).await.len(), 1, "he heard already");
    assert_eq!(titles(&vera).await, ["Mira Lindqvist mentioned you on MC-1 “Prices”"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_task_hears_of_it_and_who_stops_following_only_of_mentions() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    task(&mira, json!({ "title": "Prices", "assignee": "tom" })).await;
    assert_eq!(titles(&tom).await, ["Mira Lindqvist assigned you MC-1 “Prices”"]);
    let who = mira.get("/api/v1/tasks/MC-1/watchers").await.json();
    let reasons: Vec<_> =
        who["items"].as_array().expect("a list").iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(reasons, [json!("assignee"), json!("creator")]);
    // The page has the button, with the reason why it is pressed.
    let page = tom.get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(page.attr("#watch button", "aria-pressed"), "true");
    assert!(page.attr("#watch button", "title").contains("Assigned to you"), "{}", page.text);
    let off = tom.clone().htmx("watch").form("/w/marlow-cargo/tasks/MC-1/unfollow", &[]).await;
    assert_eq!(off.attr("#watch button", "aria-pressed"), "false", "{}", off.text);
    comment(&mira, "MC-1", "Nobody but me").await;
    assert_eq!(titles(&tom).await.len(), 1);
    comment(&mira, "MC-1", "But @tom!").await;
    assert_eq!(titles(&tom).await.len(), 2);
    let on = tom.call("PUT", "/api/v1/tasks/MC-1/watch").await;
    assert_eq!(on.json(), json!({ "watching": true, "reason": "assignee" }), "{}", on.text);
    let done = mira.json("PATCH", "/api/v1/tasks/MC-1", &json!({ "status": "done" })).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(titles(&tom).await[0], "Mira Lindqvist completed MC-1 “Prices”");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_task_hears_that_an_agent_got_it_and_nobody_of_one_made_for_an_agent() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    work::agent(&hq, "Ada").await;
    // News about Ada's runs is of another kind.
    let given = async |who: &Person| -> Vec<String> {
        titles(who).await.into_iter().filter(|title| title.contains(" assigned ")).collect()
    };
    task(&mira, json!({ "title": "Prices" })).await;
    assert_eq!(tom.call("PUT", "/api/v1/tasks/MC-1/watch").await.status, StatusCode::OK);
    // One hour apart each, so that they are not merged into one row.
    let give = async |who: &Person, to: &str| {
        hq.advance(Duration::from_secs(3_600)).await;
        let given = who.json("PATCH", "/api/v1/tasks/MC-1", &json!({ "assignee": to })).await;
        assert_eq!(given.status, StatusCode::OK, "{}", given.text);
    };
    give(&mira, "ada").await;
    let told = "Mira Lindqvist assigned MC-1 “Prices” to Ada";
    assert_eq!(given(&tom).await, [told]);
    assert_eq!(given(&mira).await, [""; 0], "who did it is not told");
    give(&mira, "tom").await;
    assert_eq!(given(&tom).await, ["Mira Lindqvist assigned you MC-1 “Prices”", told]);
    // Mira created the task and is the person that Ada reports to.
    give(&tom, "ada").await;
    assert_eq!(given(&mira).await, ["Tom assigned MC-1 “Prices” to Ada"]);
    // A member who stopped following is not notified; creating a task for an agent notifies nobody.
    let off = tom.call("DELETE", "/api/v1/tasks/MC-1/watch").await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.text);
    give(&mira, "mira").await;
    give(&mira, "ada").await;
    task(&tom, json!({ "title": "Florists", "assignee": "ada" })).await;
    assert_eq!((given(&tom).await.len(), given(&mira).await.len()), (2, 1));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_is_read_put_off_put_away_and_taken_back() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let empty = tom.get(LIST).await;
    assert!(empty.text.contains("all caught up"), "{}", empty.text);
    for title in ["One", "Two", "Three"] {
        task(&mira, json!({ "title": title, "assignee": "tom" })).await;
    }
    let page = tom.get(LIST).await;
    assert_eq!(page.texts(".news li h3 b").len(), 3);
    assert_eq!(page.attr("#bell", "data-unread"), "3");
    assert_eq!(tom.get(&format!("{LIST}/latest")).await.texts(".news-line b").len(), 3);
    let first = tom.get(API).await.json()["items"][0]["id"].as_str().expect("an id").to_owned();
    let act = async |verb: &str, fields: &[(&str, &str)]| {
        let done = tom.form(&format!("{LIST}/{first}/{verb}"), fields).await;
        assert!(done.status.is_redirection(), "{verb}: {}", done.text);
    };
    act("read", &[]).await;
    assert_eq!(unread(&tom).await, 2);
    act("unread", &[]).await;
    assert_eq!(unread(&tom).await, 3);
    act("dismiss", &[]).await;
    assert_eq!((titles(&tom).await.len(), unread(&tom).await), (2, 2));
    act("restore", &[]).await;
    assert_eq!(titles(&tom).await.len(), 3);
    act("snooze", &[("until", "hour")]).await;
    assert_eq!(titles(&tom).await.len(), 2);
    let later = tom.get(&format!("{LIST}?show=later")).await;
    assert_eq!(later.texts(".news li h3 b").len(), 1);
    hq.advance(Duration::from_secs(3_700)).await;
    assert_eq!(
        titles(&tom).await[0],
        "Mira Lindqvist assigned you MC-3 “Three”",
        "it comes back on top"
    );
    // Another member's notifications cannot be changed.
    let foreign = mira.form(&format!("{LIST}/{first}/read"), &[]).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let bad = tom.form(&format!("{LIST}/{first}/snooze"), &[("until", "never")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    let all = tom.form(&format!("{LIST}/read-all"), &[]).await;
    assert!(all.status.is_redirection(), "{}", all.text);
    assert_eq!(unread(&tom).await, 0);

    // "Mark all as read" can be undone; rows read before stay read.
    for task in ["MC-1", "MC-2"] {
        comment(&mira, task, "**Look** at `this`").await;
    }
    hq.advance(Duration::from_secs(1)).await;
    assert_eq!(unread(&tom).await, 2);
    let part = tom.clone().htmx("notifications");
    let all = part.form(&format!("{LIST}/read-all"), &[]).await;
    let told: Value = serde_json::from_str(all.header("hx-trigger").expect("a toast")).unwrap();
    assert_eq!(told["hq:toast"]["text"], "2 notifications marked as read.");
    assert_eq!(unread(&tom).await, 0);
    let undo = told["hq:toast"]["undo"].as_str().expect("the way back");
    assert_eq!(part.form(undo, &[]).await.status, StatusCode::OK);
    assert_eq!(unread(&tom).await, 2);
    let bad = part.form(&format!("{LIST}/unread-again?from=1&to=x"), &[]).await;
    assert!(bad.status.is_client_error(), "{}", bad.text);
    // The list shows no Markdown syntax.
    assert!(tom.get(LIST).await.text.contains("Look at this"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_does_not_want_does_not_reach_them() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let settings = "/w/marlow-cargo/settings/notifications";
    let page = tom.get(settings).await;
    assert_eq!(page.texts(".ways tbody tr").len(), 6, "{}", page.text);
    let saved = tom.form(settings, &[("comments.app", "on"), ("kind.mention", "off")]).await;
    assert!(saved.status.is_redirection(), "{}", saved.text);
    let kept = tom.get("/api/v1/notification-choices").await.json();
    assert_eq!(kept["groups"]["tasks"]["app"], false);
    assert_eq!(kept["kinds"]["mention"]["app"], false);
    task(&mira, json!({ "title": "Prices", "assignee": "tom" })).await;
    comment(&mira, "MC-1", "@tom look").await;
    assert_eq!(titles(&tom).await, [""; 0]);
    comment(&mira, "MC-1", "A word").await;
    assert_eq!(titles(&tom).await.len(), 1);
    let wrong =
        tom.json("PUT", "/api/v1/notification-choices", &json!({ "digest_hour": 24 })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_soon_is_told_once_and_old_notifications_go() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let body = json!({ "title": "Prices", "assignee": "tom", "due_at": "2026-11-21T20:00:00Z" });
    task(&mira, body).await;
    let sweep = async || server::timers::sweep(&hq.running().app).await;
    sweep().await;
    assert_eq!(titles(&tom).await.len(), 1, "it is more than a day away");
    hq.advance_unnoticed(Duration::from_secs(10 * 3_600));
    sweep().await;
    sweep().await;
    assert_eq!(titles(&tom).await[0], "MC-1 “Prices” is due soon");
    assert_eq!(titles(&tom).await.len(), 2);
    hq.advance_unnoticed(Duration::from_secs(91 * 86_400));
    sweep().await;
    let (who, now) = (account(&hq, "tom"), hq.now());
    let left = hq.ws().read(|snap| {
        let all = queries::Wanted::default();
        Ok::<_, StoreError>(queries::list(snap, (who, now), all, (None, 10))?.0)
    });
    assert_eq!(left.expect("rows").len(), 0);
    hq.finish().await;
}
