//! `batch`: several browser actions in one call. Each is checked like a call of its own, with the page as it is right
//! before the action. A batch ends early at a failure, at an action that needs approval, when a person wants control,
//! and when another page has loaded, because the agent's knowledge of the old page no longer applies.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use browser::hang;
use features::agents::queries::reach;
use features::runs::queries::egress::{self as known_hosts, Known};
use features::trust::authorize::{self, Facts, OutgoingRequest, Reach};
use features::trust::model::BROWSER;
use features::trust::queries as trust;
use kernel::AccessDecision;
use serde_json::{Value, json};
use tool::{Effect, Registry, ToolError};

use crate::egress::{self, Sender, Sent};
use crate::tools::folder;

use super::answer::{Told, Trouble, count, missing};
use super::args::{Action, Args};
use super::plan::Act;
use super::{Browse, BrowserAction, address_of, no_secrets};

/// Most actions in one call.
const MOST: usize = 20;

/// A registry with the browser tool alone; it knows names and types of an action's arguments.
static CALLS: LazyLock<Registry> = LazyLock::new(|| Registry::new().act(Browse));

/// Parses the actions of a batch like calls of their own.
fn acts_of(args: &Args) -> Result<Vec<Args>, ToolError> {
    let given = args.acts.as_deref().unwrap_or_default();
    if given.is_empty() || MOST < given.len() {
        return Err(missing("acts", "give 1 to 20 actions"));
    }
    let mut acts = Vec::with_capacity(given.len());
    for (at, one) in given.iter().enumerate() {
        let wrong = |why: &str| missing(&format!("acts[{at}]"), why);
        let raw = Value::Object(one.clone()).to_string();
        let entry = CALLS.get(BROWSER).ok_or_else(|| wrong("it isn't an action"))?;
        let canonical = entry.canonical(&raw).map_err(|error| wrong(&words_of(error)))?;
        let act: Args =
            serde_json::from_str(&canonical).map_err(|error| wrong(&error.to_string()))?;
        if !act.action.fits_batch() {
            return Err(wrong(
                "reading, closing, running a script and nested batches need a call of their own",
            ));
        }
        acts.push(Args { tab: act.tab.or(args.tab), ..act });
    }
    Ok(acts)
}

fn words_of(error: ToolError) -> String {
    let (ToolError::Refused { message, .. } | ToolError::Failed { message, .. }) = error;
    message
}

impl BrowserAction<'_> {
    /// Performs the actions in order. Returns what each did and what all changed.
    pub(super) async fn batch(&self) -> Result<Told, Trouble> {
        let acts = acts_of(&self.args)?;
        for act in &acts {
            no_secrets(self.cx, act)?;
        }
        let all = acts.len();
        let mut lines = String::new();
        let (mut came, mut end) = (None, None);
        for (number, args) in (1..).zip(acts) {
            if self.stage.is_wanted() {
                end = Some((number, "a person wants to take control".to_owned(), String::new()));
                break;
            }
            let before = self.pages();
            let (what, brings) = (what(&args), args.action.brings_a_page());
            match self.part_of_batch(args).await {
                Ok(result) => {
                    let ours = if result.ours.is_empty() { "done" } else { result.ours.as_str() };
                    lines.push_str(&format!("\n{number}. {what}: {ours}"));
                    came = (brings && !result.words.is_empty()).then_some(result);
                }
                // If nothing was done, the error is that of a single call.
                Err(trouble) if number == 1 => return Err(trouble),
                Err(trouble) => {
                    let (why, words) = self.describe_trouble(&trouble);
                    end = Some((number, why, words));
                    break;
                }
            }
            if number < all && self.has_moved(&before) {
                end = Some((number + 1, "the page has changed".to_owned(), String::new()));
                break;
            }
        }
        let (head, words) = match end {
            None => (format!("{all} actions done"), String::new()),
            Some((at, why, words)) => (
                format!(
                    "{} of {all} actions done, stopped before action {at}: \
                    {why}",
                    at - 1
                ),
                words,
            ),
        };
        let mut result = self.at_the_end(came).await;
        result.ours = format!("{head}{lines}\n{}", result.ours);
        result.ours.truncate(result.ours.trim_end().len());
        if !words.is_empty() {
            result
                .ours
                .push_str("\nafter the empty line at the end, what the failed action found:");
            let behind = if result.words.is_empty() { words } else { format!("\n\n{words}") };
            result.words.push_str(&behind);
            if let Some(whole) = &mut result.whole {
                whole.push_str(&behind);
            }
        }
        Ok(result)
    }

    /// Why an action failed; without text of the page while a credential is typed.
    fn describe_trouble(&self, trouble: &Trouble) -> (String, String) {
        let (ours, words) = trouble.describe();
        (ours, if self.stage.is_dark() { String::new() } else { words })
    }

    async fn part_of_batch(&self, args: Args) -> Result<Told, Trouble> {
        let url = address_of(self.cx, &args)?;
        let of = (self.browser.clone(), Arc::clone(&self.stage), self.key);
        let known = Arc::clone(&self.known);
        let action = BrowserAction {
            is_in_batch: true,
            known,
            ..BrowserAction::new(self.cx, of, args, url)
        };
        action.light().await?;
        action.one().await
    }

    /// The page after the last action, or what has changed.
    async fn at_the_end(&self, came: Option<Told>) -> Told {
        // A person in control will change more.
        if self.stage.is_wanted() {
            return Told::default();
        }
        if let Some(came) = came {
            return Told { ours: "the page now:".to_owned(), ..came };
        }
        let Some(page) = self.browser.open_page(self.acted_in()) else {
            let tabs = self.browser.open_tabs();
            return Told { ours: count(&tabs), words: self.listed(tabs), ..Told::default() };
        };
        match hang::in_time(hang::ACT_WITHIN, self.after(&page)).await {
            Ok(result) => result,
            Err(trouble) => {
                let (ours, words) = self.describe_trouble(&trouble);
                Told {
                    ours: format!("couldn't read what changed: {ours}"),
                    words,
                    ..Told::default()
                }
            }
        }
    }

    /// The tab of the last action.
    fn acted_in(&self) -> u32 {
        let last = self.cx.ws.app.browsers.last(self.key);
        last.map(|last| last.tab).unwrap_or_default()
    }

    /// The documents of the open tabs.
    fn pages(&self) -> BTreeMap<u32, Option<String>> {
        let document = |number| {
            let page = self.browser.open_page(number)?;
            page.document().ok().flatten() // ok: a closed tab has no document
        };
        let tabs = self.browser.open_tabs();
        tabs.into_iter().map(|tab| (tab.number, document(tab.number))).collect()
    }

    /// Returns `true` if a tab was opened or closed, or the tab of the action shows another document.
    fn has_moved(&self, before: &BTreeMap<u32, Option<String>>) -> bool {
        let (now, tab) = (self.pages(), self.acted_in());
        !now.keys().eq(before.keys()) || now.get(&tab) != before.get(&tab)
    }

    /// Performs an action of a batch if it needs no approval.
    pub(super) async fn act_if_free(&self) -> Result<Told, Trouble> {
        if self.args.action.acts() {
            let known = self.known().await?;
            let act = self.looked_at().await?;
            self.authorize(Some(&act), known.as_deref())?;
            self.take(act);
        } else {
            self.authorize(None, None)?;
        }
        self.act().await
    }

    /// The hosts and links known to a tainted conversation, read once: its events do not change during the batch.
    async fn known(&self) -> Result<Option<Arc<Known>>, ToolError> {
        let read = || {
            let cx = self.cx.clone();
            folder::blocking(move || {
                let known = cx.ws.read(|snap| {
                    let agents = reach::agents_of(snap, cx.agent, cx.run)?;
                    if trust::heeded(snap, &agents, cx.session)?.is_none() {
                        return Ok(None);
                    }
                    known_hosts::known(snap, cx.session, cx.run).map(|known| Some(Arc::new(known)))
                })?;
                Ok(known)
            })
        };
        self.known.get_or_try_init(read).await.cloned()
    }

    /// Refuses an action that would be denied or need an approval as a single call.
    fn authorize(&self, act: Option<&Act>, known: Option<&Known>) -> Result<(), ToolError> {
        let cx = self.cx;
        let request = self.url.as_ref().and_then(|url| OutgoingRequest::of(&json!({ "url": url })));
        let verdict = cx.ws.read(|snap| {
            let agents = reach::agents_of(snap, cx.agent, cx.run)?;
            let read = trust::heeded(snap, &agents, cx.session)?;
            // Addresses to open were checked with the whole call.
            let leaks = match (act, &read) {
                (Some(act), Some(_)) => {
                    let sender = Sender { session: cx.session, run: cx.run, agents: &agents };
                    egress::leaks_by(snap, sender, &Sent::default().at(Some(act.host())), known)?
                }
                _ => None,
            };
            // Without a digest: an approval of one exact call does not cover actions of a batch.
            let facts = Facts {
                request: request.as_ref(),
                outside: read.as_deref(),
                leaks: leaks.as_deref(),
                ..Facts::of(BROWSER, Effect::External, Reach::Inside, cx.ws.app.clock.now())
            };
            match act {
                Some(act) => act.verdict(snap, &agents, cx.run, &facts),
                None => authorize::authorize(snap, &agents, Some(cx.run), &facts),
            }
        })?;
        let why = verdict.why;
        match verdict.decision {
            AccessDecision::Allow => Ok(()),
            AccessDecision::Deny => Err(ToolError::refused("denied", why)),
            AccessDecision::Ask => {
                let text = format!("this needs approval: make it a call of its own. {why}");
                Err(ToolError::refused("ask_first", text))
            }
        }
    }
}

/// A short description of an action.
fn what(args: &Args) -> String {
    let about = match args.action {
        Action::Open | Action::Navigate => args.url.as_deref(),
        Action::Press => args.key.as_deref(),
        _ => None,
    };
    let about = about.or(args.part.as_deref()).unwrap_or_default();
    format!("{} {about}", args.action.verb()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(acts: Value) -> Result<Vec<Args>, ToolError> {
        let args: Args = serde_json::from_value(json!({ "action": "batch", "acts": acts }))
            .expect("arguments of a batch");
        acts_of(&args)
    }

    #[test]
    fn its_acts_are_read_as_calls_by_themselves_are() {
        let acts = batch(json!([
            { "action": "fill", "element": "e3", "text": 7 },
            { "action": "press", "key": "Enter" },
        ]))
        .expect("two acts");
        assert_eq!((acts[0].part.as_deref(), acts[0].text.as_deref()), (Some("e3"), Some("7")));
        assert_eq!((what(&acts[0]), what(&acts[1])), ("fill e3".into(), "press Enter".into()));
    }

    #[test]
    fn what_is_no_act_or_too_many_is_refused_before_any_is_done() {
        let click = json!({ "action": "click", "ref": "e1" });
        for (acts, why) in [
            (json!([]), "1 to 20"),
            (json!(vec![click.clone(); 21]), "1 to 20"),
            (json!([click, { "action": "snapshot" }]), "acts[1]"),
            (json!([{ "action": "batch", "acts": [] }]), "acts[0]"),
            (json!([{ "action": "click", "reff": "e1" }]), "Did you mean \"ref\"?"),
            (json!([{ "action": "evaluate", "text": "1" }]), "running a script"),
        ] {
            let Err(error) = batch(acts) else { panic!("{why}") };
            let text = words_of(error);
            assert!(text.contains(why), "{why}: {text}");
        }
    }
}
