//! A reader of the feed that continues at its cursor across all kills: each entry arrives once, in order, without gaps.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::api::{Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;

#[derive(Default)]
pub struct Follower {
    cursor: Option<String>,
    last: u64,
    tally: Tally,
}

impl Follower {
    /// A short long poll, so that it does not keep the machine busy.
    fn ask(&self, wait: u64) -> Ask {
        let after = self.cursor.as_deref().unwrap_or("start");
        Ask::get(format!("/api/v1/changes?after={after}&limit=500&wait={wait}"))
    }

    fn read(&mut self, answer: &Answer) -> usize {
        let items = answer.json["items"].as_array().expect("a list of entries");
        for item in items {
            let seq = item["seq"].as_u64().expect("a number");
            assert_eq!(seq, self.last + 1, "the entry behind {}", self.last);
            self.last = seq;
        }
        self.cursor = Some(answer.word("next"));
        items.len()
    }
}

impl Desk for Follower {
    fn name(&self) -> &'static str {
        "follower"
    }
    fn kinds(&self) -> &'static [&'static str] {
        &["pages of the feed"]
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }
    fn next(&mut self, _dice: &mut Dice, _name: &str) -> Ask {
        self.ask(1)
    }
    fn done(&mut self, answer: &Answer) {
        self.read(answer);
        self.tally.count("pages of the feed");
    }

    fn check<'a>(&'a self, _api: &'a Api<'_>, _latest: usize) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }

    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        async move {
            let answer = api.ask(&self.ask(0)).await;
            let mut more = self.read(&answer);
            while more > 0 {
                let answer = api.ask(&self.ask(0)).await;
                more = self.read(&answer);
            }
            assert!(0 < self.last, "there is a feed");
        }
        .boxed()
    }
}
