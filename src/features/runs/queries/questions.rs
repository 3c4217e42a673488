//! Cards for questions of runs and for calls that wait for approval. All pages show the same card.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::browsers::queries as browsers;
use crate::runs::model::{Elicitation, Park, Run};
use crate::tasks::model::Task;
use crate::trust::model::{Approval, BROWSER};
use crate::trust::queries as trust;
use crate::workspace::model::Settings;
use app::Ws;
use kernel::{AccountId, Can, Risk, RunState, Timestamp, WaitFor, text};
use store::{Read, ReadExt, StoreError};
use tool::diff;
use web::parts::Face;
use web::session::Access;
use web::time::RelTime;

use super::elicit::{self, FieldKind, FormField};
use super::{live, live_on_task, park, talk};

/// The reader of a question and the display context.
pub struct Reader<'a> {
    pub ws: &'a Ws,
    pub now: Timestamp,
    /// Time zone of displayed times.
    pub zone: &'a TimeZone,
    pub access: Access,
    pub me: AccountId,
}

/// A call that waits for approval.
#[derive(Clone, Debug)]
pub struct PendingApproval {
    /// Id of the approval.
    pub id: String,
    /// Tool name.
    pub tool: String,
    /// The exact planned effect.
    pub shown: String,
    /// Whether `shown` is a command line.
    pub is_command: bool,
    /// Whether the call would change the files that define the agent; `shown` then has the lines before and after.
    pub is_rewriting: bool,
    /// The lines of `shown` if the call is rewriting.
    pub diff: Vec<diff::Line>,
    /// Whether the call would act in the agent's browser.
    pub is_browsing: bool,
    /// Screenshot of the page with the target marked.
    pub picture: Option<Marked>,
    /// Working folder of the program.
    pub folder: String,
    /// Names of the environment variables that the program would get.
    pub variables: Vec<String>,
    /// Files named by the call. A change of one before the approval asks again.
    pub files: Vec<String>,
    /// Why approval is needed.
    pub why: String,
    /// Risk as (tone, label).
    pub risk: (&'static str, &'static str),
    /// Wider grants offered with the approval.
    pub offers: Vec<String>,
    /// Whether the reader may save a permission.
    pub may_keep: bool,
}

/// A screenshot with a marked part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub href: String,
    /// Left, top, width and height of the part, in ten-thousandths.
    pub mark: Option<(u16, u16, u16, u16)>,
}

/// Data for `runs/_question.html`.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// Run name, which identifies the card.
    pub run: String,
    /// Path of the run's page.
    pub href: String,
    pub face: Face,
    /// Name and path of the task.
    pub task: Option<(String, String)>,
    /// The question, or the planned effect of a call in one line.
    pub question: String,
    /// The pending call; the first one of several.
    pub pending: Option<PendingApproval>,
    /// All pending calls, if several calls of one message wait.
    pub batch: Vec<PendingApproval>,
    /// Path of the browser page, if the run asks for manual control; handing the browser back is the answer.
    pub browser: String,
    /// Suggested answers; other answers are accepted too.
    pub options: Vec<String>,
    /// The MCP server that asks during a call; empty if the agent asks itself.
    pub server: String,
    /// Host and address that the server wants to be visited.
    pub visit: Option<(String, String)>,
    /// The server's form; empty for an answer in one text.
    pub fields: Vec<CardField>,
    /// Path to which the answer is posted; empty if the reader may not answer.
    pub action: String,
    pub since: RelTime,
    /// Deadline of the wait.
    pub until: Option<RelTime>,
}

/// A field of an MCP server's form.
#[derive(Clone, Debug, Default)]
pub struct CardField {
    pub name: String,
    pub label: String,
    pub about: String,
    /// Type of the input.
    pub input: &'static str,
    /// Value and label; empty for an input.
    pub choices: Vec<(String, String)>,
    pub is_required: bool,
    pub usual: String,
}

impl From<FormField> for CardField {
    fn from(field: FormField) -> Self {
        let FormField { name, label, mut about, kind, is_required, mut usual } = field;
        let choices = match &kind {
            FieldKind::YesNo => {
                ["yes", "no"].map(|word| (word.to_owned(), text::capitalized(word))).into()
            }
            FieldKind::One(all) => all.clone(),
            _ => Vec::new(),
        };
        if !choices.is_empty() && choices.iter().all(|(value, _)| *value != usual) {
            usual.clear();
        }
        let input = match &kind {
            FieldKind::Number { .. } => "number",
            FieldKind::Text { format, .. } if format == "email" => "email",
            FieldKind::Text { format, .. } if format == "date" => "date",
            _ => "text",
        };
        if let FieldKind::Many(all) = &kind {
            about = format!("{about} Any of {} (comma-separated)", elicit::labels(all));
        }
        Self { name, label, about: about.trim().to_owned(), input, choices, is_required, usual }
    }
}

/// What a run waits for.
enum Waits {
    Answer(Box<Park>),
    Yes(Vec<Approval>),
}

fn waits(tx: &dyn Read, run: &Run) -> Result<Option<Waits>, StoreError> {
    let waits_for = run.waits_for();
    Ok(match (run.state, waits_for) {
        (RunState::Waiting, Some(what)) if what.is_question() => {
            park::question_of(tx, run)?.map(|park| Waits::Answer(Box::new(park)))
        }
        (RunState::Waiting, Some(WaitFor::Approval)) => {
            Some(trust::all_waiting_of(tx, run.id)?).filter(|all| !all.is_empty()).map(Waits::Yes)
        }
        _ => None,
    })
}

/// The card of a run that asks; `None` for any other run.
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
            let park = *park;
            let may = reader.access.may(Can::Chat) && talk::may_speak(tx, run, reader.me)?;
            Card {
                action: if may { format!("{href}/answer") } else { String::new() },
                browser: park::browser_of(tx, run)?
                    .map(|path| reader.ws.url(&path))
                    .unwrap_or_default(),
                question: park.question,
                options: park.options,
                server: park.asked.as_ref().map(|asked| asked.server.clone()).unwrap_or_default(),
                visit: park.asked.as_ref().and_then(|asked| {
                    let url = asked.url.clone()?;
                    Some((elicit::host(&url)?, url))
                }),
                fields: park.asked.as_ref().map(form).unwrap_or_default(),
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
                batch.push(PendingApproval { picture, ..pending_approval(one, keeps) });
            }
            let pending = batch.first().cloned();
            if batch.len() == 1 {
                batch.clear();
            }
            let action = if may { action } else { String::new() };
            Card { action, since, until, question, pending, batch, ..card }
        }
    }))
}

/// The fields of a form, unless its answers are buttons.
fn form(asked: &Elicitation) -> Vec<CardField> {
    match elicit::options(asked).len() {
        1 => elicit::form(asked).into_iter().map(CardField::from).collect(),
        _ => Vec::new(),
    }
}

/// The screenshot for a pending browser action, if there is one.
fn pictured(tx: &dyn Read, approval: &Approval, href: &str) -> Result<Option<Marked>, StoreError> {
    if approval.tool != BROWSER {
        return Ok(None);
    }
    let shot = browsers::find_approval_shot(tx, approval.run, &approval.call_id)?;
    Ok(shot.and_then(|shot| {
        let mark = shot.asked?.mark.map(|[left, top, width, height]| (left, top, width, height));
        Some(Marked { href: format!("{href}/calls/{}/asked", shot.step), mark })
    }))
}

/// Escapes invisible and direction-changing characters, and line ends other than line feeds, so that a person approves
/// what they read.
#[must_use]
pub fn laid_open(text: &str) -> String {
    let hides = |sign: char| {
        let turns = matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
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

/// The display form of a pending call.
#[must_use]
pub fn pending_approval(approval: Approval, may_keep: bool) -> PendingApproval {
    let Approval { id, tool, plan, risk, why, offers, .. } = approval;
    let (shown, is_rewriting) = (laid_open(&plan.shown), plan.is_rewriting(&tool));
    PendingApproval {
        id: id.to_string(),
        is_command: tool == "exec",
        is_rewriting,
        diff: if is_rewriting { diff::lines(&shown) } else { Vec::new() },
        is_browsing: tool == BROWSER,
        picture: None,
        tool,
        shown,
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

/// Cards of all runs on a task, oldest first.
pub fn of_task(tx: &dyn Read, reader: &Reader<'_>, task: &Task) -> Result<Vec<Card>, StoreError> {
    let mut runs = live_on_task(tx, task.id)?;
    runs.reverse();
    runs.iter().filter_map(|run| card(tx, reader, run).transpose()).collect()
}

/// Cards of all visible runs, longest wait first.
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

/// Number of runs that wait for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// For an answer, in text or in the browser.
    pub questions: u64,
    /// For the approval of one or several calls.
    pub approvals: u64,
}

/// Counts the visible runs that wait for a person.
pub fn waiting(
    tx: &dyn Read,
    sees: &dyn Fn(&Run) -> Result<bool, StoreError>,
) -> Result<Waiting, StoreError> {
    let mut found = Waiting::default();
    for run in live(tx)?.iter().filter(|run| run.state == RunState::Waiting) {
        let count = match run.waits_for() {
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
        let ends = "\r\u{b}\u{c}\u{85}\u{2028}\u{2029}";
        assert_eq!(laid_open(ends), "\\u{d}\\u{b}\\u{c}\\u{85}\\u{2028}\\u{2029}");
    }
}
