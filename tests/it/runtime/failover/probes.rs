//! A connection in cooldown is probed before the cooldown ends.

use std::time::Duration;

use features::connections::model::Cooldown;
use store::{Range, ReadExt as _};

use super::{fall_back, named, resting, second};
use support::model::{Tokens, Turn};
use support::office::Office;

/// Waits until the recorded cooldowns meet the condition.
async fn rested(office: &Office, what: &str, is: impl Fn(&[Cooldown]) -> bool) {
    office
        .until(what, |snap| {
            let all: Vec<Cooldown> = snap.list(&Range::all())?;
            Ok(is(&all).then_some(()))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_well_again_is_back_before_its_rest_ends() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.model.push(Turn::error(402, "billing_error", "Pay first"));
    other.push(Turn::text("In its place."));
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(office.ended(run).await.summary, "In its place.");
    assert_eq!(resting(&office), [(0, None, "billing", 1)]);

    let asked = office.model.requests().len();
    office.model.push(Turn::text("ready")).push(Turn::text("Back."));
    office.hq.advance(Duration::from_secs(3_300)).await;
    rested(&office, "the end of the rest", <[Cooldown]>::is_empty).await;
    assert_eq!(office.model.requests().len(), asked + 1);
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.summary, "Back.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_still_not_paid_rests_for_longer_and_no_run_finds_it_out() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.model.usually(Turn::error(402, "billing_error", "Pay first"));
    other.usually(Turn::text("In its place."));
    office.ended(office.say(&ada, "Hello?").await).await;
    assert_eq!(resting(&office), [(0, None, "billing", 1)]);
    office.hq.advance(Duration::from_secs(3_300)).await;
    rested(&office, "a longer rest", |all| all.iter().any(|rest| rest.failures == 2)).await;
    let rest = office.all::<Cooldown>().pop().expect("a rest");
    assert_eq!(rest.until.duration_since(office.hq.now()).as_secs(), 7_200);
    let asked = office.model.requests().len();
    office.ended(office.say(&ada, "And now?").await).await;
    assert_eq!(office.model.requests().len(), asked, "no run has to find out");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_tried_out_while_the_budget_is_used_up() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 20_000 };
    office.model.push(Turn::text("That was dear.").usage(spent));
    office.ended(office.say(&ada, "Begin").await).await;
    office.model.push(Turn::error(402, "billing_error", "Pay first"));
    other.push(Turn::text("In its place."));
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(office.ended(run).await.summary, "In its place.");

    office.limits(Some(1), 0).await;
    let asked = office.model.requests().len();
    office.hq.advance(Duration::from_secs(3_300)).await;
    office.hq.settle().await;
    assert_eq!(office.model.requests().len(), asked, "a try costs money, too");
    office.model.push(Turn::text("ready"));
    office.limits(None, 0).await;
    rested(&office, "the end of the rest", <[Cooldown]>::is_empty).await;
    assert_eq!(office.model.requests().len(), asked + 1);
    office.hq.finish().await;
}
