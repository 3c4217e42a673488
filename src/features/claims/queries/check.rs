//! Checks claims against finished calls. Pure: the same calls, claims and files give the same verdicts.
//!
//! A call matches a claim if it is of the claim's kind and the text of the claim names what the call did. The best match
//! decides; among equally good ones the latest does, so a failure that was fixed later is no contradiction. A claim
//! with a step is checked against that call only.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::class::{self, Class};
use super::sends::Sending;
use super::shell::Line;
use super::text::{self, Named};
use crate::claims::model::{CallRef, CheckedClaim, Claim};
use crate::runs::model::CallStatus;
use kernel::text::ellipsis;
use kernel::{AgentId, ClaimKind, ClaimState};

/// Why a queued message proves nothing yet.
pub(in crate::claims) const QUEUED: &str = "It is still queued.";
/// Maximum number of claims of one submission.
pub const MAX_CLAIMS: usize = 20;
/// Maximum length of a claim, in characters.
pub const MAX_TEXT: usize = 500;
/// Maximum number of paths of a text that are looked up.
const MAX_PATHS: usize = 1_000;
/// Maximum number of untouched paths and links listed.
const MAX_UNTOUCHED: usize = 20;
/// A quoted command, an address or a key counts as much as this many words.
const EXACT: usize = 100;

/// Content of a file when the call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// SHA-256.
    Hash([u8; 32]),
    Deleted,
    /// A program changed the file.
    Unknown,
}

/// A file as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    Missing,
    /// SHA-256.
    Hash([u8; 32]),
    /// Too large to compare, or unreadable.
    Unread,
}

/// A file that a call wrote or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Path in the folder of the run's agent.
    pub path: String,
    pub content: Content,
    pub is_written: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Number of its run.
    pub run: u32,
    /// Agent of its run, which has the files.
    pub agent: AgentId,
    /// Whether the run itself made it, not a sub-agent.
    pub is_own: bool,
    pub step: u32,
    /// Its address on the page of its run.
    pub key: String,
    pub tool: String,
    pub arguments: Map<String, Value>,
    pub status: CallStatus,
    /// The beginning of the result.
    pub result: String,
    /// Exit code of its program; `None` without one, or while it runs.
    pub exit: Option<i32>,
    pub files: Vec<Touched>,
    /// State of the messages that it queued.
    pub sending: Option<Sending>,
}

impl Call {
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.arguments.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn reference(&self) -> CallRef {
        CallRef {
            run: self.run,
            step: self.step,
            key: self.key.clone(),
            tool: self.tool.clone(),
            exit_code: self.exit,
        }
    }
}

/// The current content of a file in the folder of an agent.
pub type Now<'a> = &'a dyn Fn(AgentId, &str) -> Current;

/// A verdict before it is attached to its claim.
struct Found<'c> {
    state: ClaimState,
    reason: String,
    call: Option<&'c Call>,
}

impl<'c> Found<'c> {
    fn none(reason: impl Into<String>) -> Self {
        Self { state: ClaimState::Unsupported, reason: reason.into(), call: None }
    }

    fn at(call: &'c Call, state: ClaimState, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into(), call: Some(call) }
    }
}

/// Checks claims against calls, which are in the order in which they ended.
#[must_use]
pub fn check(calls: &[Call], claims: &[Claim], now: Now<'_>) -> Vec<CheckedClaim> {
    let index = Index::new(calls, claims);
    claims.iter().take(MAX_CLAIMS).map(|claim| index.checked(claim, now)).collect()
}

/// Paths and links of a text that no call touched.
#[must_use]
pub fn untouched(calls: &[Call], delivered: &str) -> Vec<String> {
    let paths = text::paths(delivered).into_iter().take(MAX_PATHS);
    let is_untouched = |path: &String| !calls.iter().any(|call| class::touches_path(call, path));
    let mut missing: Vec<String> = paths.filter(is_untouched).take(MAX_UNTOUCHED).collect();
    let links = text::links(delivered);
    if !links.is_empty() {
        let known: BTreeSet<String> = calls.iter().flat_map(class::links_of).collect();
        let links = links.into_iter();
        missing.extend(links.filter(|link| !known.contains(&text::plain_link(link))));
    }
    missing.truncate(MAX_UNTOUCHED);
    missing.iter().map(|one| ellipsis(one, MAX_TEXT)).collect()
}

/// The calls with what claims are compared with.
struct Index<'c> {
    calls: Vec<(&'c Call, Class)>,
}

impl<'c> Index<'c> {
    /// Skipped calls were never made. Only the kinds that the claims have are prepared.
    fn new(calls: &'c [Call], claims: &[Claim]) -> Self {
        let kinds: Vec<ClaimKind> = claims.iter().map(|claim| claim.kind).collect();
        let made = calls.iter().filter(|call| call.status != CallStatus::Skipped);
        Self { calls: made.map(|call| (call, Class::new(call, &kinds))).collect() }
    }

    fn checked(&self, claim: &Claim, now: Now<'_>) -> CheckedClaim {
        let found = match (claim.step, claim.kind) {
            (Some(step), _) => self.at_step(claim, step, now),
            (None, ClaimKind::File) => self.file(claim, now),
            (None, _) => self.best(claim),
        };
        CheckedClaim {
            text: ellipsis(claim.text.trim(), MAX_TEXT),
            kind: claim.kind,
            state: found.state,
            reason: found.reason,
            call: found.call.map(Call::reference),
        }
    }

    /// The verdict from one call of the run itself.
    fn at_step(&self, claim: &Claim, step: u32, now: Now<'_>) -> Found<'c> {
        let is_meant = |(call, _): &&(&Call, Class)| call.is_own && call.step == step;
        let Some((call, class)) = self.calls.iter().find(is_meant) else {
            return Found::none(format!("This run made no call {step}."));
        };
        let call: &'c Call = call;
        if !class.fits(claim.kind) {
            return Found::at(call, ClaimState::Unsupported, "This call shows something else.");
        }
        if claim.kind != ClaimKind::File {
            let names = Named::new(&claim.text);
            return match class.score(&names, claim.kind, true) {
                Some(_) => outcome(call, class, (claim.kind, &names)),
                None => Found::at(call, ClaimState::Unsupported, "The claim names something else."),
            };
        }
        let named = |file: &&Touched| text::names(&claim.text, &file.path);
        let mut files: Vec<&Touched> = call.files.iter().filter(named).collect();
        if files.is_empty() {
            if let Some(other) = text::paths(&claim.text).first() {
                let reason = format!("This call did not touch {}.", ellipsis(other, 120));
                return Found::at(call, ClaimState::Unsupported, reason);
            }
            files = call.files.iter().collect();
        }
        let all = files.into_iter().map(|file| of_file(call, file, (&claim.text, now)));
        worst(all).unwrap_or_else(|| failed(call))
    }

    /// The verdict on all files that a claim names.
    fn file(&self, claim: &Claim, now: Now<'_>) -> Found<'c> {
        let mut named: Vec<Vec<(&'c Call, &'c Touched)>> = Vec::new();
        let written = text::paths(&claim.text);
        for path in &written {
            named.push(self.touching(|file| text::is_same_path(path, &file.path)));
        }
        // Paths without a known ending are found by what the calls touched.
        let is_known = |path: &str| written.iter().any(|one| text::is_same_path(one, path));
        let more =
            self.touching(|file| !is_known(&file.path) && text::names(&claim.text, &file.path));
        let paths: BTreeSet<&str> = more.iter().map(|(_, file)| file.path.as_str()).collect();
        for path in paths {
            named.push(more.iter().copied().filter(|(_, file)| file.path == path).collect());
        }
        let verdicts = named.into_iter().enumerate().map(|(at, touching)| {
            // A later reading does not undo what a write did or failed to do.
            let write = touching.iter().rev().find(|(_, file)| file.is_written);
            match write.or(touching.last()) {
                Some((call, file)) => of_file(call, file, (&claim.text, now)),
                None => {
                    let path = written.get(at).map_or("it", String::as_str);
                    Found::none(format!("No call touched {}.", ellipsis(path, 120)))
                }
            }
        });
        worst(verdicts).unwrap_or_else(|| Found::none("It names no file that a call touched."))
    }

    fn touching(&self, is_meant: impl Fn(&Touched) -> bool) -> Vec<(&'c Call, &'c Touched)> {
        let all = self.calls.iter();
        let all = all.flat_map(|(call, _)| call.files.iter().map(move |file| (*call, file)));
        all.filter(|(_, file)| is_meant(file)).collect()
    }

    /// The verdict of the call that fits best, the latest of several.
    fn best(&self, claim: &Claim) -> Found<'c> {
        let names = Named::new(&claim.text);
        let fitting = self.calls.iter().filter(|(_, class)| class.fits(claim.kind));
        let mut best: Option<(usize, &'c Call, &Class)> = None;
        for (call, class) in fitting {
            let Some(score) = class.score(&names, claim.kind, false) else { continue };
            if best.as_ref().is_none_or(|(most, ..)| *most <= score) {
                best = Some((score, *call, class));
            }
        }
        match best {
            Some((_, call, class)) => outcome(call, class, (claim.kind, &names)),
            None => Found::none(""),
        }
    }
}

/// The least favourable verdict, the first of several.
fn worst<'c>(all: impl Iterator<Item = Found<'c>>) -> Option<Found<'c>> {
    let rank = |state: ClaimState| match state {
        ClaimState::Supported => 0,
        ClaimState::Unsupported => 1,
        ClaimState::Contradicted => 2,
    };
    all.reduce(|worst, one| if rank(worst.state) < rank(one.state) { one } else { worst })
}

/// The verdict from the end of a call.
fn outcome<'c>(call: &'c Call, class: &Class, (kind, names): (ClaimKind, &Named)) -> Found<'c> {
    if call.status != CallStatus::Ok {
        return failed(call);
    }
    match kind {
        ClaimKind::Command => command(call, class, names),
        ClaimKind::Sent | ClaimKind::Source if class.http.is_some() => match class.http {
            Some(200..=299) => Found::at(call, ClaimState::Supported, ""),
            Some(status) => {
                let reason = format!("The server answered with status {status}.");
                Found::at(call, ClaimState::Contradicted, reason)
            }
            None => failed(call),
        },
        ClaimKind::Sent if call.sending.is_some() => {
            let (state, reason) = sent_as(call);
            Found::at(call, state, reason)
        }
        ClaimKind::Sent if call.result.starts_with("Not sent") => {
            Found::at(call, ClaimState::Contradicted, "The message was not sent.")
        }
        // What is queued may still be refused.
        ClaimKind::Sent if call.result.starts_with("Queued") => {
            Found::at(call, ClaimState::Unsupported, QUEUED)
        }
        _ => Found::at(call, ClaimState::Supported, ""),
    }
}

/// State and reason of a claim that a call sent a message.
pub(in crate::claims) fn sent_as(call: &Call) -> (ClaimState, String) {
    match &call.sending {
        Some(Sending::Accepted) => (ClaimState::Supported, String::new()),
        Some(Sending::Unclear) => {
            (ClaimState::Unsupported, "It may or may not have arrived.".to_owned())
        }
        Some(Sending::Lost(why)) => (ClaimState::Contradicted, ellipsis(why, MAX_TEXT)),
        Some(Sending::Queued) | None => (ClaimState::Unsupported, QUEUED.to_owned()),
    }
}

fn failed(call: &Call) -> Found<'_> {
    match call.status {
        CallStatus::Unknown => Found::at(
            call,
            ClaimState::Unsupported,
            "The call was interrupted, and its effect is unknown.",
        ),
        CallStatus::Timeout => {
            Found::at(call, ClaimState::Contradicted, "The call reached its time limit.")
        }
        CallStatus::Stopped => Found::at(call, ClaimState::Contradicted, "The call was stopped."),
        CallStatus::Error if call.exit.is_some() => {
            Found::at(call, ClaimState::Contradicted, "The command failed.")
        }
        _ => Found::at(call, ClaimState::Contradicted, "The call failed."),
    }
}

/// The verdict from an exit code. It counts only for the commands whose success it proves.
fn command<'c>(call: &'c Call, class: &Class, names: &Named) -> Found<'c> {
    match call.exit {
        None => Found::at(call, ClaimState::Unsupported, "The command has not ended."),
        Some(0) if class.line.is_proven_for(names) => Found::at(call, ClaimState::Supported, ""),
        Some(0) => Found::at(
            call,
            ClaimState::Unsupported,
            "The exit code belongs to another command of the line.",
        ),
        Some(_) => Found::at(call, ClaimState::Contradicted, "The command failed."),
    }
}

/// The verdict on one file of a call, for a claim with this text.
fn of_file<'c>(call: &'c Call, file: &Touched, (claim, now): (&str, Now<'_>)) -> Found<'c> {
    if call.status != CallStatus::Ok {
        return failed(call);
    }
    let path = ellipsis(&file.path, 120);
    let found = |state: ClaimState, what: &str| Found::at(call, state, format!("{path} {what}"));
    if !file.is_written && text::says_written(claim, &file.path) {
        return found(ClaimState::Unsupported, "was only read.");
    }
    let contradicted = |what: &str| found(ClaimState::Contradicted, what);
    match (file.content, now(call.agent, &file.path)) {
        (_, Current::Unread) => found(ClaimState::Unsupported, "can't be compared."),
        (Content::Hash(then), Current::Hash(now)) if then != now => contradicted("changed since."),
        (Content::Deleted, Current::Hash(_)) => contradicted("was created again."),
        (Content::Hash(_) | Content::Unknown, Current::Missing) => {
            contradicted("is no longer there.")
        }
        (Content::Hash(_) | Content::Unknown, Current::Hash(_))
        | (Content::Deleted, Current::Missing) => Found::at(call, ClaimState::Supported, ""),
    }
}

/// How well a claim and a call agree, from what both name.
#[must_use]
pub(super) fn weight(exact: usize, words: usize) -> usize {
    EXACT * exact + words
}

impl Line {
    /// Whether an exit code of 0 proves what a claim names. A claim that names nothing is about the whole line.
    fn is_proven_for(&self, claim: &Named) -> bool {
        let has = |commands: &str, one: &str| {
            text::has(&text::squeezed(commands).to_lowercase(), &one.to_lowercase())
        };
        if claim.exact.iter().any(|one| has(&self.unproven, one)) {
            return false;
        }
        if claim.exact.iter().any(|one| has(&self.proven, one)) {
            return true;
        }
        let shared = |commands: &str| text::words(commands).intersection(&claim.words).count();
        let is_whole = claim.words.is_empty() && claim.exact.is_empty();
        match (shared(&self.proven), shared(&self.unproven)) {
            (0, 0) => is_whole && !self.proven.is_empty() && self.unproven.is_empty(),
            (proven, unproven) => unproven <= proven && 0 < proven,
        }
    }
}

#[cfg(test)]
mod tests;
