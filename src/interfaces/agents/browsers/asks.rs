//! Requests of runs to people in an agent's browser, and changes since the page was loaded; a region of the browser
//! page.

use askama::Template;
use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::browsers::model::{AGENT_BROWSERS, BROWSER_POLICIES, BROWSER_SHOTS, BrowserPolicy};
use features::browsers::queries as browsers;
use features::runs::model::{PARKS, RUNS, Run};
use features::runs::queries::questions::{self, Card, Reader};
use features::runs::queries::{park, talk};
use store::{Read, ReadExt, StoreError};
use web::live::Live;
use web::session::Person;

/// Id of the region.
pub(super) const REGION: &str = "browser-asks";

/// State of switch, browser and policy: the version of a page, as encoded in the region's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    is_on: bool,
    is_running: bool,
    rules: u64,
}

impl Made {
    fn of(tx: &dyn Read, ws: &Ws, agent: &Agent) -> Result<Self, StoreError> {
        let browser = ws.app.browsers.get(ws.browser_of(agent.id));
        Ok(Self {
            is_on: browsers::is_switched_on(tx, agent.id)?,
            is_running: browser.is_some_and(|browser| browser.is_running()),
            rules: tx.get_rev::<BrowserPolicy>(agent.id)?.map_or(0, |(_, rev)| rev),
        })
    }

    fn word(&self) -> String {
        format!("{}-{}-{}", u8::from(self.is_on), u8::from(self.is_running), self.rules)
    }

    /// Notice of what changed since the version `shown`; may be empty.
    fn news(&self, shown: &str) -> &'static str {
        let mut parts = shown.split('-');
        let (on, running, rules) = (parts.next(), parts.next(), parts.next());
        if on != Some(if self.is_on { "1" } else { "0" }) {
            return if self.is_on {
                "The browser was turned on."
            } else {
                "The browser was turned off."
            };
        }
        if running != Some(if self.is_running { "1" } else { "0" }) {
            return if self.is_running {
                "The browser is running."
            } else {
                "The browser has stopped."
            };
        }
        if rules != Some(self.rules.to_string().as_str()) {
            return "The browser rules were changed.";
        }
        ""
    }
}

/// Keeps only the valid characters of a version.
fn plain(shown: &str) -> String {
    shown.chars().filter(|c| c.is_ascii_digit() || *c == '-').take(40).collect()
}

/// The region.
#[derive(Template)]
#[template(path = "agents/_browser_asks.html")]
pub(super) struct Asks {
    region: &'static str,
    live: Live,
    /// Notice of changes since the page was loaded; may be empty.
    news: &'static str,
    /// Address of the current page.
    href: String,
    questions: Vec<Card>,
}

/// Reads what this person may see. `shown` is the version of the loaded page; empty for a new page.
pub(super) fn read(
    tx: &dyn Read,
    ws: &Ws,
    who: &Person,
    agent: &Agent,
    shown: &str,
) -> Result<Asks, StoreError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    let reader = Reader { ws, now, zone: &zone, access: who.access, me: who.account };
    let sees = |run: &Run| match run.agent == agent.id && park::is_at_browser(run) {
        true => talk::may_see_run(tx, run, who.account, who.role),
        false => Ok(false),
    };
    let mut questions = questions::all(tx, &reader, &sees)?;
    // They would link to this page.
    questions.iter_mut().for_each(|card| card.browser.clear());
    let page = ws.url(&format!("agents/{}/browser", agent.slug));
    let made = Made::of(tx, ws, agent)?;
    let (shown, news) = match shown {
        "" => (made.word(), ""),
        shown => (plain(shown), made.news(shown)),
    };
    let tables = [&PARKS, &RUNS, &AGENT_BROWSERS, &BROWSER_POLICIES, &BROWSER_SHOTS];
    let live = Live::new(format!("{page}?shown={shown}"));
    let live = live.tables(&tables.map(|table| table.name));
    Ok(Asks { region: REGION, live, news, href: page, questions })
}

#[cfg(test)]
mod tests {
    use super::{Made, plain};

    #[test]
    fn a_page_hears_what_is_no_longer_as_it_shows_it() {
        let made = Made { is_on: true, is_running: false, rules: 7 };
        assert_eq!(made.news(&made.word()), "");
        let now = Made { is_running: true, ..made.clone() };
        assert_eq!(now.news(&made.word()), "The browser is running.");
        let now = Made { is_on: false, ..made.clone() };
        assert_eq!(now.news(&made.word()), "The browser was turned off.");
        let now = Made { rules: 9, ..made.clone() };
        assert_eq!(now.news(&made.word()), "The browser rules were changed.");
        assert_eq!(plain("1-0-7&shown=\"x"), "1-0-7");
    }
}
