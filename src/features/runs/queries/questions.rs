//! Questions of runs to people, as the card in which they are answered: the same on every page.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::runs::model::Run;
use crate::tasks::model::Task;
use crate::workspace::model::Settings;
use app::Ws;
use kernel::{AccountId, Timestamp};
use store::{ReadExt, StoreError};
use web::parts::Face;
use web::time::RelTime;

use super::{live, live_on_task, park, talk};

/// Who looks at a question, where and when.
pub struct Reader<'a> {
    /// The workspace.
    pub ws: &'a Ws,
    /// Now.
    pub now: Timestamp,
    /// In which zone times are told.
    pub zone: &'a TimeZone,
    /// Whether this person may answer.
    pub may: bool,
    /// Who.
    pub me: AccountId,
}

/// A question with all that its card shows: `runs/_question.html`.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The name of the run, which tells its card from others.
    pub run: String,
    /// The run's page.
    pub href: String,
    /// Whose.
    pub face: Face,
    /// The task: its name and page.
    pub task: Option<(String, String)>,
    /// The question.
    pub question: String,
    /// Answers to choose from; others are fine too.
    pub options: Vec<String>,
    /// Where the answer is posted; empty for who may not.
    pub action: String,
    /// Since when.
    pub since: RelTime,
    /// Until when at most.
    pub until: Option<RelTime>,
}

/// The card of a run that asks; nothing for one that does not.
///
/// # Errors
/// When the disk fails.
pub fn card(tx: &impl ReadExt, reader: &Reader<'_>, run: &Run) -> Result<Option<Card>, StoreError> {
    let Some(park) = park::question_of(tx, run)? else { return Ok(None) };
    let agent = tx.get::<Agent>(run.agent)?;
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let key = tx.get::<Settings>(())?.map_or_else(|| "HQ".to_owned(), |settings| settings.task_key);
    let href = reader.ws.url(&format!("runs/{}", run.name()));
    let time = |at: Timestamp| RelTime::new(at, reader.now, reader.zone);
    let may = reader.may && talk::may_speak(tx, run, reader.me)?;
    Ok(Some(Card {
        run: run.name(),
        action: if may { format!("{href}/answer") } else { String::new() },
        href,
        face: agent.map_or_else(Face::nobody, |a| Face::agent(&a.name, &a.emoji, &a.slug)),
        task: task.map(|task| {
            let name = format!("{key}-{}", task.number);
            let href = reader.ws.url(&format!("tasks/{name}"));
            (name, href)
        }),
        question: park.question,
        options: park.options,
        since: time(park.at),
        until: park.until.map(time),
    }))
}

/// The questions of all runs that work on a task, the oldest first.
///
/// # Errors
/// When the disk fails.
pub fn of_task(
    tx: &impl ReadExt,
    reader: &Reader<'_>,
    task: &Task,
) -> Result<Vec<Card>, StoreError> {
    let mut runs = live_on_task(tx, task.id)?;
    runs.reverse();
    runs.iter().filter_map(|run| card(tx, reader, run).transpose()).collect()
}

/// All questions of runs that somebody may see, the oldest first.
///
/// # Errors
/// When the disk fails.
pub fn all(
    tx: &impl ReadExt,
    reader: &Reader<'_>,
    sees: &dyn Fn(&Run) -> Result<bool, StoreError>,
) -> Result<Vec<Card>, StoreError> {
    let mut cards = Vec::new();
    let mut runs = live(tx)?;
    runs.sort_by_key(|run| run.waiting.as_ref().map(|waiting| waiting.since));
    for run in runs {
        if let Some(card) = card(tx, reader, &run)?
            && sees(&run)?
        {
            cards.push(card);
        }
    }
    Ok(cards)
}
