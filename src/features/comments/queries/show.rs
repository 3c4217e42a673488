//! Comments on the page of a task or a record: talks with their answers and reactions, and the box for the next one.

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

/// How much of a comment is quoted, in bytes.
const QUOTED: usize = 2_000;
/// How many names stand beside a reaction.
const NAMED: usize = 8;

/// Where people write a comment.
#[derive(Clone, Debug, Default)]
pub struct Composer {
    /// Where it is sent; empty when nothing can be written.
    pub action: String,
    /// How the line about whom it reaches renews itself.
    pub live: Live,
    /// What will happen.
    pub reach: String,
    /// The agent that would hear of it.
    pub agent: Option<String>,
    /// What was typed.
    pub body: String,
    /// Whether it is for people only.
    pub note_only: bool,
    /// What is wrong with it, or empty.
    pub error: String,
    /// What a second press of the button is known by.
    pub key: i64,
    /// Where the names after @ and # are found.
    pub names: String,
    /// The comment that it answers: its id and whose it is.
    pub answers: Option<(String, String)>,
    /// What its acts begin with, which leads to the page.
    pub page: String,
    /// Whether it has the focus at once.
    pub focus: bool,
}

/// What the box begins with.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    /// What was typed already.
    pub body: String,
    /// The comment that is quoted.
    pub quote: Option<CommentId>,
    /// The comment that is answered.
    pub reply: Option<CommentId>,
}

impl Begun {
    /// From the words of an address; what is no id means nothing.
    #[must_use]
    pub fn of(body: String, quote: &str, reply: &str) -> Self {
        // ok: an address that names nothing is the page without it.
        Self { body, quote: quote.parse().ok(), reply: reply.parse().ok() }
    }
}

/// The composer of a page.
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

/// What was typed, then the words of somebody as a quote, then room for more.
fn quote(typed: &str, name: &str, body: &str) -> String {
    let mut text = match typed.trim_end() {
        "" => String::new(),
        typed => format!("{typed}\n\n"),
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

/// A reaction to a comment, with those who chose it.
#[derive(Clone, Debug)]
pub struct ReactionView {
    /// How it is drawn.
    pub emoji: &'static str,
    /// What it is, how often, and whose, in words.
    pub label: String,
    /// How often.
    pub count: usize,
    /// Whether this person is among them.
    pub mine: bool,
    /// What pressing it sends: the word with a sign.
    pub press: String,
}

/// A comment on a page.
#[derive(Clone, Debug)]
pub struct CommentView {
    /// The id of its element.
    pub key: String,
    pub id: String,
    pub face: Face,
    pub at: RelTime,
    /// The words.
    pub body: SafeHtml,
    /// The words in short, without marks.
    pub short: String,
    /// Where it stands what it said before; empty when it was never changed.
    pub edited: String,
    /// Whether the task's agent was left alone.
    pub note_only: bool,
    /// Where its author changes it; empty for others.
    pub edit: String,
    /// Where it is removed; empty for who may not.
    pub remove: String,
    /// What acts on the page's comments begin with; empty for who may not write.
    pub page: String,
    /// Where a reaction is sent; empty for who may not.
    pub react: String,
    pub reactions: Vec<ReactionView>,
    /// Whether it answers another.
    pub is_answer: bool,
    /// Where its talk is settled or opened again; empty for who may not, and for answers.
    pub settle: String,
    /// Who settled its talk, and when.
    pub settled: Option<(String, RelTime)>,
    pub answers: Vec<CommentView>,
    /// How many that are, in words, or empty.
    pub answered: String,
}

/// A comment on a page, without what answers it.
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

/// The talks on something, each with the moment at which it begins; an answer stands with what it answers.
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
