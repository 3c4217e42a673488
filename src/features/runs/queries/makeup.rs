//! Composition of a run's context: the parts of its last request with estimated tokens. Providers report only the
//! total, so it is divided by length.

use std::collections::BTreeMap;

use crate::runs::model::{Attachment, EventKind, PromptPart, Run, Session, SessionEvent};
use crate::runs::rules::retry::context_at;
use providers::catalog;
use providers::model::Part;
use store::{Read, ReadExt, StoreError};

/// Maximum number of events that make up a conversation.
const MAX_EVENTS: u32 = 2_000;
/// Estimated tokens of a picture or of a document page.
const PICTURE: u64 = 1_600;
/// Estimated bytes of a document page.
const PAGE: u64 = 64 * 1024;
/// Number of the newest pictures that are sent again.
const PICTURES: usize = 8;
/// Maximum size read of a text file, in bytes.
const MAX_FILE: u64 = 60_000;
/// Threshold and remaining size of a trimmed old result, then the size of a cleared one, in bytes.
const TRIMMED: (u64, u64) = (4_000, 3_100);
const CLEARED: u64 = 60;

/// Name of the prompt part with an API client's instructions.
pub const PROGRAM: &str = "Program instructions";

/// Name of the prompt part that lists the agent's skills.
pub const SKILLS: &str = "Skills";

/// Category of a part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// HQ's own instructions.
    Rules,
    /// Files of the agent.
    Files,
    /// The agent's notes.
    Memory,
    /// Tool definitions.
    Tools,
    /// Summary of earlier messages.
    Summary,
    /// Messages of people and programs.
    Messages,
    /// Run cards and notices.
    Notices,
    /// Text of the model.
    Answers,
    /// Thinking of the model.
    Thinking,
    /// Tool calls.
    Calls,
    /// Tool results.
    Results,
    /// Pictures and files.
    Attached,
}

impl Group {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Rules => "HQ rules",
            Self::Files => "The agent’s files",
            Self::Memory => "The agent’s memory",
            Self::Tools => "Tools",
            Self::Summary => "Summary of earlier messages",
            Self::Messages => "Messages",
            Self::Notices => "Run card and notices",
            Self::Answers => "Answers",
            Self::Thinking => "Thinking",
            Self::Calls => "Tool calls",
            Self::Results => "Tool results",
            Self::Attached => "Images and files",
        }
    }

    /// Stable identifier.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Files => "files",
            Self::Memory => "memory",
            Self::Tools => "tools",
            Self::Summary => "summary",
            Self::Messages => "messages",
            Self::Notices => "notices",
            Self::Answers => "answers",
            Self::Thinking => "thinking",
            Self::Calls => "calls",
            Self::Results => "results",
            Self::Attached => "attached",
        }
    }

    fn of(part: &str) -> Self {
        match part {
            "Tools" => Self::Tools,
            PROGRAM => Self::Messages,
            "MEMORY.md" => Self::Memory,
            SKILLS => Self::Files,
            name if name.starts_with("memory/") => Self::Memory,
            name if name.ends_with(".md") => Self::Files,
            _ => Self::Rules,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub group: Group,
    pub name: String,
    /// Estimated tokens.
    pub tokens: u64,
    /// Whether the part is the same from call to call, so that a provider may cache it.
    pub stable: bool,
}

/// Composition of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Makeup {
    pub model: String,
    /// Context window in tokens, if known.
    pub window: Option<u64>,
    /// Tokens of the request.
    pub tokens: u64,
    /// Whether the provider counted the tokens; otherwise they are estimated.
    pub counted: bool,
    /// In the order in which they are sent.
    pub shares: Vec<Share>,
}

impl Makeup {
    /// Token totals by group.
    #[must_use]
    pub fn groups(&self) -> Vec<(Group, u64)> {
        let mut groups = BTreeMap::new();
        for share in &self.shares {
            *groups.entry(share.group).or_insert(0) += share.tokens;
        }
        groups.into_iter().collect()
    }
}

/// Composition of the context at the run's last model call; `None` before the first call.
pub fn of_run(tx: &dyn Read, run: &Run) -> Result<Option<Makeup>, StoreError> {
    let Some(session) = tx.get::<Session>(run.session)? else { return Ok(None) };
    let events = super::steps::events_of(tx, run)?;
    let sent = events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Prompted { parts } => Some(parts.as_slice()),
        _ => None,
    });
    let answer = events.iter().rev().find_map(|event| match event.kind {
        EventKind::Assistant { input_tokens, .. } if 0 < input_tokens => {
            Some((event.n, Some(input_tokens)))
        }
        _ => None,
    });
    let Some(end) = events.last().map(|event| event.n + 1) else { return Ok(None) };
    let (upto, counted) = answer.unwrap_or((end, None));
    let model = events.iter().rev().find_map(|event| match &event.kind {
        EventKind::CallStarted { model, .. } if event.n < upto => Some(model.clone()),
        _ => None,
    });
    let Some(model) = model else { return Ok(None) };
    let mut weighed: Vec<Weighed> = sent.unwrap_or_default().iter().map(Weighed::of).collect();
    weighed.extend(conversation(tx, &session, upto)?);
    let sum: u64 = weighed.iter().map(|one| one.weight).sum();
    let tokens = counted.unwrap_or(sum);
    let share = |one: Weighed| Share {
        tokens: share_of(tokens, one.weight, sum),
        group: one.group,
        name: one.name,
        stable: one.stable,
    };
    Ok(Some(Makeup {
        window: catalog::find(&model).map(|known| u64::from(known.window)),
        model,
        tokens,
        counted: counted.is_some(),
        shares: weighed.into_iter().map(share).collect(),
    }))
}

/// Estimated composition of the run's prompt before the first message; empty before the first call.
pub fn known(tx: &dyn Read, run: &Run) -> Result<Vec<Share>, StoreError> {
    let events = super::steps::events_of(tx, run)?;
    let parts = events.into_iter().find_map(|event| match event.kind {
        EventKind::Prompted { parts } => Some(parts),
        _ => None,
    });
    Ok(shares(&parts.unwrap_or_default()))
}

/// Estimated tokens of each prompt part.
#[must_use]
pub fn shares(parts: &[PromptPart]) -> Vec<Share> {
    let share = |part: &PromptPart| {
        let Weighed { group, name, weight, stable } = Weighed::of(part);
        Share { group, name, tokens: weight, stable }
    };
    parts.iter().map(share).collect()
}

fn share_of(tokens: u64, weight: u64, sum: u64) -> u64 {
    let share = u128::from(tokens) * u128::from(weight) / u128::from(sum.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// A part with its estimated tokens.
struct Weighed {
    group: Group,
    name: String,
    weight: u64,
    stable: bool,
}

impl Weighed {
    fn of(part: &PromptPart) -> Self {
        Self {
            group: Group::of(&part.name),
            name: part.name.clone(),
            weight: tokens_of(u64::from(part.bytes)),
            stable: part.stable,
        }
    }
}

fn tokens_of(bytes: u64) -> u64 {
    bytes * 3 / 10
}

/// The conversation as sent before event `upto`, by group.
fn conversation(tx: &dyn Read, session: &Session, upto: u32) -> Result<Vec<Weighed>, StoreError> {
    let context = context_at(tx, session, upto)?;
    let mut sums: BTreeMap<Group, u64> = BTreeMap::new();
    if let Some(n) = context.summary
        && let Some(event) = super::events(tx, session.id, n, n + 1)?.pop()
        && let EventKind::Compacted { summary, .. } = event.kind
    {
        sums.insert(Group::Summary, tokens_of(summary.len() as u64));
    }
    let from = context.first_kept.max(upto.saturating_sub(MAX_EVENTS));
    let mut pictures = Vec::new();
    let throw_away = super::talk::is_throw_away(&session.key);
    for event in super::events(tx, session.id, from, upto)? {
        // These are part of the prompt.
        if throw_away && event.instructions().is_some() {
            continue;
        }
        let shown = |bytes: u64| match bytes {
            _ if event.n < context.cleared => bytes.min(CLEARED),
            _ if event.n < context.trimmed && TRIMMED.0 < bytes => TRIMMED.1,
            whole => whole,
        };
        add_tokens(&event, &shown, &mut sums, &mut pictures);
    }
    let seen: u64 = pictures.iter().rev().take(PICTURES).sum();
    if 0 < seen {
        *sums.entry(Group::Attached).or_insert(0) += seen;
    }
    let weighed = sums.into_iter().map(|(group, weight)| Weighed {
        group,
        name: group.label().to_owned(),
        weight,
        stable: false,
    });
    Ok(weighed.collect())
}

fn add_tokens(
    event: &SessionEvent,
    shown: &impl Fn(u64) -> u64,
    sums: &mut BTreeMap<Group, u64>,
    pictures: &mut Vec<u64>,
) {
    let mut add = |group: Group, bytes: usize| {
        *sums.entry(group).or_insert(0) += tokens_of(bytes as u64);
    };
    match &event.kind {
        EventKind::Input { text, input, by, .. } => {
            let is_message = input.is_some() && by.account().is_some();
            add(if is_message { Group::Messages } else { Group::Notices }, text.head().len());
        }
        EventKind::Notice { text } => add(Group::Notices, text.len()),
        EventKind::Assistant { parts, .. } => {
            let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
            for part in &parts {
                match part {
                    Part::Text { text } => add(Group::Answers, text.len()),
                    Part::Thinking { text, signature } => {
                        let signed = signature.as_ref().map_or(0, String::len);
                        add(Group::Thinking, text.len() + signed);
                    }
                    Part::RedactedThinking { data } | Part::Opaque { data, .. } => {
                        add(Group::Thinking, data.len());
                    }
                    Part::ToolCall { id, name, arguments } => {
                        add(Group::Calls, id.len() + name.len() + arguments.len());
                    }
                    Part::ToolResult { .. } | Part::Image { .. } | Part::File { .. } => {}
                }
            }
        }
        EventKind::ToolFinished { result, .. } => {
            let bytes = shown(result.head().len() as u64);
            *sums.entry(Group::Results).or_insert(0) += tokens_of(bytes);
        }
        EventKind::Picture { .. } => pictures.push(PICTURE),
        EventKind::Attached { files, .. } => {
            for file in files {
                match seen(file) {
                    Ok(picture) => pictures.push(picture),
                    Err(words) => *sums.entry(Group::Attached).or_insert(0) += words,
                }
            }
        }
        _ => {}
    }
}

/// `Ok`: tokens of a file sent as a picture or document. `Err`: tokens of a file sent as text.
fn seen(file: &Attachment) -> Result<u64, u64> {
    if file.is_picture() {
        Ok(PICTURE)
    } else if file.is_document() {
        Ok((1 + file.len / PAGE) * PICTURE)
    } else if file.is_text() {
        Err(tokens_of(file.len.min(MAX_FILE)))
    } else {
        Err(tokens_of(file.name.len() as u64 + 64))
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, Makeup, Share, share_of};

    #[test]
    fn what_was_counted_is_shared_out_by_length() {
        assert_eq!(share_of(1_000, 30, 120), 250);
        assert_eq!(share_of(1_000, 0, 0), 0);
        assert_eq!(share_of(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn parts_are_summed_up_by_what_they_are() {
        let share = |group, tokens| Share { group, name: String::new(), tokens, stable: true };
        let shares = vec![share(Group::Files, 10), share(Group::Tools, 5), share(Group::Files, 20)];
        let makeup =
            Makeup { model: "mock".to_owned(), window: None, tokens: 35, counted: true, shares };
        assert_eq!(makeup.groups(), [(Group::Files, 30), (Group::Tools, 5)]);
        assert_eq!(Group::of("memory/2026-11-20.md"), Group::Memory);
        assert_eq!((Group::of("SOUL.md"), Group::of("Today")), (Group::Files, Group::Rules));
    }
}
