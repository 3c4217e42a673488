//! Comments for display: threads with replies and reactions, and the composer.

use jiff::Timestamp;

use super::super::model::Comment;
use super::{Power, Reaches, in_place, of, reach, reactions_to};
use crate::places::{Place, Spot};
use crate::tasks::queries as tasks;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::people::assignee_of;
use crate::tasks::queries::view_context::ViewContext;
use kernel::text::cut;
use kernel::{CommentId, ReactionKind};
use store::{Read, StoreError};
use web::format;
use web::html::SafeHtml;
use web::live::Live;
use web::md;
use web::parts::Face;
use web::time::RelTime;

/// Maximum length of a quote in bytes.
const QUOTED: usize = 2_000;
/// Maximum number of names per reaction.
const NAMED: usize = 8;

/// A comment composer.
#[derive(Clone, Debug, Default)]
pub struct Composer {
    /// Submit URL. Empty if the viewer may not comment.
    pub action: String,
    /// Live updates of the line about who is reached.
    pub live: Live,
    /// Who is reached, in words.
    pub reach: String,
    /// The agent that is informed without a mention.
    pub agent: Option<String>,
    pub body: String,
    /// `true` if it informs only mentioned agents.
    pub note_only: bool,
    /// Error message, or empty.
    pub error: String,
    /// Idempotency key of the submit button.
    pub key: i64,
    /// URL for completing `@` and `#`.
    pub names: String,
    /// The comment replied to: id and author.
    pub answers: Option<(String, String)>,
    /// Base URL of comment actions, which leads back to the page.
    pub page: String,
    /// Autofocus.
    pub focus: bool,
}

/// Initial content of a composer.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    pub body: String,
    /// Comment to quote.
    pub quote: Option<CommentId>,
    /// Comment to reply to.
    pub reply: Option<CommentId>,
}

impl Begun {
    /// From URL parameters. Invalid ids are ignored.
    #[must_use]
    pub fn of(body: String, quote: &str, reply: &str) -> Self {
        // ok: an address that names nothing is the page without it.
        Self { body, quote: quote.parse().ok(), reply: reply.parse().ok() }
    }
}

pub fn composer(
    scene: &ViewContext,
    read: &dyn Read,
    spot: &Spot,
    begun: Begun,
) -> Result<Composer, TaskError> {
    let (reaches, id) = match spot.place {
        Place::Task(id) => (reach(read, &tasks::get(read, id)?)?, id.to_string()),
        Place::Row(row) => (Reaches::nobody(), row.id.to_string()),
    };
    let base = scene.ws.url(&spot.base);
    let usable = scene.may_write && !spot.archived;
    let live = Live::new(format!("{base}/reach")).record(spot.topic, id);
    let find = |id: Option<CommentId>| -> Result<Option<Comment>, StoreError> {
        id.map_or(Ok(None), |id| in_place(read, spot.place, id))
    };
    let (quoted, answered) = (find(begun.quote)?, find(begun.reply)?);
    let focus = quoted.is_some() || answered.is_some();
    let body = match quoted {
        Some(comment) => {
            quote(&begun.body, &scene.people.actor(comment.author).name, &comment.body)
        }
        None => begun.body,
    };
    Ok(Composer {
        action: if usable { format!("{base}/comment") } else { String::new() },
        live: live.table("inbox").table("agents"),
        reach: reaches.text,
        agent: reaches.agent,
        key: scene.today.now.as_millisecond(),
        names: scene.ws.url("names"),
        answers: answered
            .map(|comment| (comment.id.to_string(), scene.people.actor(comment.author).name)),
        page: base,
        body,
        focus,
        ..Composer::default()
    })
}

/// Text with a quote appended.
fn quote(draft: &str, name: &str, body: &str) -> String {
    let mut text = match draft.trim_end() {
        "" => String::new(),
        draft => format!("{draft}\n\n"),
    };
    let words = cut(body, QUOTED);
    let more = if words.len() < body.len() { " […]" } else { "" };
    text.push_str(&format!("> **{}:**\n", name.replace(['*', '`'], "")));
    for line in format!("{words}{more}").lines() {
        text.push_str("> ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// A reaction and its authors.
#[derive(Clone, Debug)]
pub struct ReactionView {
    pub emoji: &'static str,
    /// Kind, count and authors, in words.
    pub label: String,
    pub count: usize,
    /// `true` if the viewer reacted.
    pub mine: bool,
    /// Form value of the button: the word with a sign.
    pub press: String,
}

/// A comment for display.
#[derive(Clone, Debug)]
pub struct CommentView {
    /// Element id.
    pub key: String,
    pub id: String,
    pub face: Face,
    pub at: RelTime,
    pub body: SafeHtml,
    /// Plain excerpt.
    pub short: String,
    /// URL of former versions. Empty if never edited.
    pub edited: String,
    /// `true` if it informed only mentioned agents.
    pub note_only: bool,
    /// Edit URL. Empty for others than the author.
    pub edit: String,
    /// Delete URL, or empty without permission.
    pub remove: String,
    /// Base URL of comment actions, or empty without permission.
    pub page: String,
    /// Reaction URL, or empty without permission.
    pub react: String,
    pub reactions: Vec<ReactionView>,
    pub is_answer: bool,
    /// URL for resolving or reopening the thread. Empty without permission and for replies.
    pub settle: String,
    /// Who resolved the thread, and when.
    pub settled: Option<(String, RelTime)>,
    pub answers: Vec<CommentView>,
    /// Number of replies in words, or empty.
    pub answered: String,
}

/// A comment for display, without its replies.
pub fn view(
    scene: &ViewContext,
    read: &dyn Read,
    spot: &Spot,
    comment: Comment,
) -> Result<CommentView, StoreError> {
    let usable = scene.may_write && !spot.archived;
    let own = assignee_of(comment.author) == scene.myself() && scene.may_write;
    let removes =
        own || scene.may_write && Power::of(scene.access).check(&comment, scene.actor).is_ok();
    let page = scene.ws.url(&spot.base);
    let base = format!("{page}/comments/{}", comment.id);
    let when = |yes: bool, verb: &str| if yes { format!("{base}/{verb}") } else { String::new() };
    let (is_answer, by) = (comment.parent.is_some(), comment.settled_by);
    let settled = comment.settled_at.zip(by).filter(|_| !is_answer);
    Ok(CommentView {
        key: format!("c-{}", comment.id),
        id: comment.id.to_string(),
        face: scene.people.actor(comment.author),
        at: scene.time(comment.created_at),
        body: scene.md_of(read, &comment.body, comment.author.run()),
        short: md::excerpt(&comment.body, 80),
        edited: match comment.edited_at {
            Some(_) => scene.ws.url(&format!("history/comments/{}", comment.id)),
            None => String::new(),
        },
        note_only: comment.note_only,
        edit: when(own, "edit"),
        remove: when(removes, "delete"),
        react: when(usable, "react"),
        settle: when(usable && !is_answer, "settle"),
        settled: settled.map(|(at, by)| (scene.people.name(by), scene.time(at))),
        page: if usable { page } else { String::new() },
        reactions: reactions(scene, read, comment.id)?,
        is_answer,
        answers: Vec::new(),
        answered: String::new(),
    })
}

fn reactions(
    scene: &ViewContext,
    read: &dyn Read,
    comment: CommentId,
) -> Result<Vec<ReactionView>, StoreError> {
    let kinds = reactions_to(read, comment)?.into_iter();
    let one = |(kind, who): (ReactionKind, Vec<kernel::Assignee>)| {
        let mine = who.contains(&scene.myself());
        let mut names: Vec<String> =
            who.iter().take(NAMED).map(|one| scene.people.name(*one)).collect();
        if NAMED < who.len() {
            names.push(format!("{} more", who.len() - NAMED));
        }
        ReactionView {
            emoji: kind.emoji(),
            label: format!("{}: {}", kind.label(), names.join(", ")),
            count: who.len(),
            mine,
            press: format!("{}{}", if mine { "-" } else { "+" }, kind.word()),
        }
    };
    Ok(kinds.map(one).collect())
}

/// Threads on a subject, with the time of their first comment. Includes the replies.
pub fn talks(
    scene: &ViewContext,
    read: &dyn Read,
    spot: &Spot,
) -> Result<Vec<(Timestamp, CommentView)>, StoreError> {
    let mut talks: Vec<(CommentId, Timestamp, CommentView)> = Vec::new();
    let mut answers = Vec::new();
    for comment in of(read, spot.place)? {
        match comment.parent {
            Some(parent) => answers.push((parent, comment)),
            None => {
                let (id, at) = (comment.id, comment.created_at);
                talks.push((id, at, view(scene, read, spot, comment)?));
            }
        }
    }
    for (parent, comment) in answers {
        let at = comment.created_at;
        let id = comment.id;
        let shown = view(scene, read, spot, comment)?;
        match talks.iter_mut().find(|(first, ..)| *first == parent) {
            Some((.., talk)) => talk.answers.push(shown),
            None => talks.push((id, at, shown)),
        }
    }
    Ok(talks
        .into_iter()
        .map(|(_, at, mut talk)| {
            if !talk.answers.is_empty() {
                talk.answered = format::count(talk.answers.len() as u64, "reply", "replies");
            }
            (at, talk)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_quote_stands_below_what_was_typed_and_leaves_room() {
        assert_eq!(quote("", "Ada", "one\n\ntwo"), "> **Ada:**\n> one\n> \n> two\n\n");
        assert_eq!(quote("hm ", "A*da", "one"), "hm\n\n> **Ada:**\n> one\n\n");
    }
}
