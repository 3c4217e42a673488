//! Questions of runs to people, and calls that wait for a person's yes, as the card in which they are answered: the
//! same on every page.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::browsers::queries as browsers;
use crate::runs::model::{Park, Run};
use crate::tasks::model::Task;
use crate::trust::model::{Approval, BROWSER};
use crate::trust::queries as trust;
use crate::workspace::model::Settings;
use app::Ws;
use kernel::{AccountId, Can, Risk, RunState, Timestamp, WaitFor};
use store::{Read, ReadExt, StoreError};
use web::parts::Face;
use web::session::Access;
use web::time::RelTime;

use super::{live, live_on_task, park, talk};

/// Who looks at a question, where and when.
pub struct Reader<'a> {
    /// The workspace.
    pub ws: &'a Ws,
    pub now: Timestamp,
    /// In which zone times are told.
    pub zone: &'a TimeZone,
    /// What this person may do.
    pub access: Access,
    pub me: AccountId,
}

/// A call that waits for a person's yes.
#[derive(Clone, Debug)]
pub struct PendingApproval {
    /// The id of the approval.
    pub id: String,
    /// The name of the tool.
    pub tool: String,
    /// What it would do, to the letter.
    pub shown: String,
    /// Whether that is a command line.
    pub is_command: bool,
    /// Whether it would change the files that say who the agent is; `shown` has the lines before and after.
    pub is_rewriting: bool,
    /// Whether it would act in a page of its agent's browser.
    pub is_browsing: bool,
    /// That page as it was, with the part that is meant.
    pub picture: Option<Marked>,
    /// The folder in which a program would run.
    pub folder: String,
    /// The names of variables that it would get.
    pub variables: Vec<String>,
    /// The files that it names: a change of one before the yes asks anew.
    pub files: Vec<String>,
    /// Why it is asked.
    pub why: String,
    /// How much harm it may do: the tone and the words.
    pub risk: (&'static str, &'static str),
    /// For what else a yes can count.
    pub offers: Vec<String>,
    /// Whether this person may keep a permission.
    pub may_keep: bool,
}

/// A picture of a page with a part of it marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub href: String,
    /// Left, top, width and height of the part, in parts of ten thousand.
    pub mark: Option<(u16, u16, u16, u16)>,
}

/// A question with all that its card shows: `runs/_question.html`.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The name of the run, which tells its card from others.
    pub run: String,
    /// The run's page.
    pub href: String,
    pub face: Face,
    /// The task: its name and page.
    pub task: Option<(String, String)>,
    /// The question; of a call what it would do, in a line.
    pub question: String,
    /// The call, when it is one that waits for a yes; of several the first.
    pub asked: Option<PendingApproval>,
    /// All of them, when several calls of one message wait.
    pub batch: Vec<PendingApproval>,
    /// Where a person acts in the browser, when that is asked for; handing it back answers.
    pub browser: String,
    /// Answers to choose from; others are fine too.
    pub options: Vec<String>,
    /// Where the answer is posted; empty for who may not.
    pub action: String,
    pub since: RelTime,
    /// Until when at most.
    pub until: Option<RelTime>,
}

/// What a run waits for a person to say.
enum Waits {
    Answer(Park),
    Yes(Vec<Approval>),
}

fn waits(tx: &dyn Read, run: &Run) -> Result<Option<Waits>, StoreError> {
    let waits_for = run.waiting.as_ref().map(|wait| wait.waits_for);
    Ok(match (run.state, waits_for) {
        (RunState::Waiting, Some(WaitFor::Question | WaitFor::Browser)) => {
            park::question_of(tx, run)?.map(Waits::Answer)
        }
        (RunState::Waiting, Some(WaitFor::Approval)) => {
            Some(trust::all_waiting_of(tx, run.id)?).filter(|all| !all.is_empty()).map(Waits::Yes)
        }
        _ => None,
    })
}

/// The card of a run that asks; nothing for one that does not.
pub fn card(tx: &dyn Read, reader: &Reader<'_>, run: &Run) -> Result<Option<Card>, StoreError> {
    let Some(waits) = waits(tx, run)? else { return Ok(None) };
    let face = match tx.get::<Agent>(run.agent)? {
        Some(agent) => Face::agent(&agents::called(tx, &agent)?, &agent.emoji, &agent.slug),
        None => Face::nobody(),
    };
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let key = tx.get::<Settings>(())?.map_or_else(|| "HQ".to_owned(), |settings| settings.task_key);
    let href = reader.ws.url(&format!("runs/{}", run.name()));
    let time = |at: Timestamp| RelTime::new(at, reader.now, reader.zone);
    let card = Card {
        run: run.name(),
        href: href.clone(),
        face,
        task: task.map(|task| {
            let name = format!("{key}-{}", task.number);
            let href = reader.ws.url(&format!("tasks/{name}"));
            (name, href)
        }),
        ..Card::default()
    };
    Ok(Some(match waits {
        Waits::Answer(park) => {
            let may = reader.access.may(Can::Chat) && talk::may_speak(tx, run, reader.me)?;
            Card {
                action: if may { format!("{href}/answer") } else { String::new() },
                browser: park::browser_of(tx, run)?
                    .map(|path| reader.ws.url(&path))
                    .unwrap_or_default(),
                question: park.question,
                options: park.options,
                since: time(park.at),
                until: park.until.map(time),
                ..card
            }
        }
        Waits::Yes(all) => {
            let (may, keeps) = (reader.access.may(Can::Approve), reader.access.may(Can::Admin));
            let first = &all[0];
            let action = reader.ws.url(&match all.len() {
                1 => format!("approvals/{}", first.id),
                _ => "approvals".to_owned(),
            });
            let (since, until) = (time(first.asked_at), first.until.map(time));
            let question = laid_open(&first.plan.line(&first.tool));
            let mut batch = Vec::with_capacity(all.len());
            for one in all {
                let picture = pictured(tx, &one, &href)?;
                batch.push(PendingApproval { picture, ..asked(one, keeps) });
            }
            let asked = batch.first().cloned();
            if batch.len() == 1 {
                batch.clear();
            }
            let action = if may { action } else { String::new() };
            Card { action, since, until, question, asked, batch, ..card }
        }
    }))
}

/// The page that an act is asked for, where there is a picture of it.
fn pictured(tx: &dyn Read, approval: &Approval, href: &str) -> Result<Option<Marked>, StoreError> {
    if approval.tool != BROWSER {
        return Ok(None);
    }
    let shot = browsers::asked(tx, approval.run, &approval.call_id)?;
    Ok(shot.and_then(|shot| {
        let mark = shot.asked?.mark.map(|[left, top, width, height]| (left, top, width, height));
        Some(Marked { href: format!("{href}/calls/{}/asked", shot.step), mark })
    }))
}

/// A text with signs that are not seen, or that turn others round, as their numbers: what is allowed is what is read.
#[must_use]
pub fn laid_open(text: &str) -> String {
    let hides = |sign: char| {
        let turns = matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
        turns || matches!(sign, '\u{ad}' | '\u{feff}') || sign.is_control() && sign != '\n'
    };
    let mut open = String::with_capacity(text.len());
    for sign in text.chars() {
        match hides(sign) {
            true => open.extend(sign.escape_unicode()),
            false => open.push(sign),
        }
    }
    open
}

/// A call as its card shows it.
#[must_use]
pub fn asked(approval: Approval, may_keep: bool) -> PendingApproval {
    let Approval { id, tool, plan, risk, why, offers, .. } = approval;
    PendingApproval {
        id: id.to_string(),
        is_command: tool == "exec",
        is_rewriting: plan.is_rewriting(&tool),
        is_browsing: tool == BROWSER,
        picture: None,
        tool,
        shown: laid_open(&plan.shown),
        files: plan.bound_to(),
        folder: plan.folder,
        variables: plan.variables,
        why,
        risk: match risk {
            Risk::Low => ("ok", risk.label()),
            Risk::Medium => ("warn", risk.label()),
            Risk::High => ("danger", risk.label()),
        },
        offers: offers.into_iter().map(|offer| offer.label).collect(),
        may_keep,
    }
}

/// The questions of all runs that work on a task, the oldest first.
pub fn of_task(tx: &dyn Read, reader: &Reader<'_>, task: &Task) -> Result<Vec<Card>, StoreError> {
    let mut runs = live_on_task(tx, task.id)?;
    runs.reverse();
    runs.iter().filter_map(|run| card(tx, reader, run).transpose()).collect()
}

/// All questions of runs that somebody may see, the oldest first.
pub fn all(
    tx: &dyn Read,
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

/// How many runs wait for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// For an answer, in words or in a browser.
    pub questions: u64,
    /// For a yes to one or several calls.
    pub approvals: u64,
}

/// How many runs wait for a person, of those that somebody may see.
pub fn waiting(
    tx: &dyn Read,
    sees: &dyn Fn(&Run) -> Result<bool, StoreError>,
) -> Result<Waiting, StoreError> {
    let mut found = Waiting::default();
    for run in live(tx)?.iter().filter(|run| run.state == RunState::Waiting) {
        let count = match run.waiting.as_ref().map(|waiting| waiting.waits_for) {
            Some(WaitFor::Question | WaitFor::Browser) => &mut found.questions,
            Some(WaitFor::Approval) => &mut found.approvals,
            _ => continue,
        };
        if sees(run)? {
            *count += 1;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::laid_open;

    #[test]
    fn nothing_of_a_command_is_hidden() {
        assert_eq!(laid_open("echo a\necho 😀"), "echo a\necho 😀");
        assert_eq!(laid_open("rm \u{202e}x\r\u{200b}"), "rm \\u{202e}x\\u{d}\\u{200b}");
    }
}
