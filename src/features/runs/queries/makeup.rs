//! What fills the context of a conversation: the parts of the last request of a run, and about how many
//! tokens each took. The provider tells their sum alone; it is shared out by their length.

use std::collections::BTreeMap;

use crate::runs::model::{Attachment, EventKind, PromptPart, Run, Session, SessionEvent};
use crate::runs::rules::retry::context_at;
use providers::catalog;
use providers::model::Part;
use store::{Read, ReadExt, StoreError};

/// How many of the last events make a conversation.
const MAX_EVENTS: u32 = 2_000;
/// About so many tokens are a picture, or a page of a document.
const PICTURE: u64 = 1_600;
/// About so many bytes are a page of a document.
const PAGE: u64 = 64 * 1024;
/// So many of the newest pictures are shown again.
const PICTURES: usize = 8;
/// The most that is read of a text file.
const MAX_FILE: u64 = 60_000;
/// What is left of an old result that was shortened, and of one that was cleared, in bytes.
const TRIMMED: (u64, u64) = (4_000, 3_100);
const CLEARED: u64 = 60;

/// The part of a prompt that a program wrote.
pub const PROGRAM: &str = "Instructions of the program";

/// The part of a prompt that names the agent's skills.
pub const SKILLS: &str = "Skills";

/// What something in a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Words of HQ at the beginning.
    Rules,
    /// Files of the agent.
    Files,
    /// What the agent noted.
    Memory,
    /// The tools on offer.
    Tools,
    /// The summary of what came before.
    Summary,
    /// What people and programs said.
    Messages,
    /// Run cards and notices.
    Notices,
    /// What the model answered.
    Answers,
    /// What it thought.
    Thinking,
    /// Its calls of tools.
    Calls,
    /// What tools answered.
    Results,
    /// Pictures and files.
    Attached,
}

impl Group {
    /// What people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Rules => "Rules of HQ",
            Self::Files => "The agent’s files",
            Self::Memory => "The agent’s memory",
            Self::Tools => "Tools",
            Self::Summary => "Summary of what came before",
            Self::Messages => "Messages",
            Self::Notices => "Run card and notices",
            Self::Answers => "Answers",
            Self::Thinking => "Thinking",
            Self::Calls => "Calls of tools",
            Self::Results => "Results of tools",
            Self::Attached => "Pictures and files",
        }
    }

    /// A stable word.
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

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub group: Group,
    pub name: String,
    /// About how many tokens it took.
    pub tokens: u64,
    /// Whether it stays the same from call to call, so that a provider may keep it.
    pub stable: bool,
}

/// What fills a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Makeup {
    /// The model that was asked.
    pub model: String,
    /// How many tokens fit it, if that is known.
    pub window: Option<u64>,
    /// How many the request had.
    pub tokens: u64,
    /// Whether the provider counted them; else they are estimated.
    pub counted: bool,
    /// The parts, in the order in which they are sent.
    pub shares: Vec<Share>,
}

impl Makeup {
    /// The same by what the parts are.
    #[must_use]
    pub fn groups(&self) -> Vec<(Group, u64)> {
        let mut groups = BTreeMap::new();
        for share in &self.shares {
            *groups.entry(share.group).or_insert(0) += share.tokens;
        }
        groups.into_iter().collect()
    }
}

/// What filled the context of a run when it asked last; nothing for one that has not asked yet.
pub fn of_run(tx: &dyn Read, run: &Run) -> Result<Option<Makeup>, StoreError> {
    let Some(session) = tx.get::<Session>(run.session)? else { return Ok(None) };
    let events = super::steps::events_of(tx, run)?;
    let told = events.iter().rev().find_map(|event| match &event.kind {
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
    let mut weighed: Vec<Weighed> = told.unwrap_or_default().iter().map(Weighed::of).collect();
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

/// What the prompt of a run held before anything was said in it, about; nothing of a run that has not asked yet.
pub fn known(tx: &dyn Read, run: &Run) -> Result<Vec<Share>, StoreError> {
    let events = super::steps::events_of(tx, run)?;
    let parts = events.into_iter().find_map(|event| match event.kind {
        EventKind::Prompted { parts } => Some(parts),
        _ => None,
    });
    Ok(shares(&parts.unwrap_or_default()))
}

/// What the parts of a prompt are, and about how many tokens each takes.
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

/// Something with about so many tokens.
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

/// The conversation as it was shown before an event, by what was said in it.
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
        // They are a part of the prompt.
        if throw_away && event.instructions().is_some() {
            continue;
        }
        let shown = |bytes: u64| match bytes {
            _ if event.n < context.cleared => bytes.min(CLEARED),
            _ if event.n < context.trimmed && TRIMMED.0 < bytes => TRIMMED.1,
            whole => whole,
        };
        weigh(&event, &shown, &mut sums, &mut pictures);
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

fn weigh(
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
            let said = input.is_some() && by.account().is_some();
            add(if said { Group::Messages } else { Group::Notices }, text.head().len());
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

/// The tokens of a file that is looked at, or those of one that is read as words.
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
