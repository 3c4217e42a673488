//! Settings, Tasks: whom agents may assign work to, and when an idle task counts as missed.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::tasks::model::overdue::TaskRules;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::overdue as rules;
use kernel::{Can, Delegation};
use store::{ReadExt as _, WriteTx};
use web::error::PageError;
use web::extract::Form;
use web::form::{Wrong, check_rev};
use web::hx::Hx;
use web::live::Live;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

const HERE: &str = "settings/tasks";

/// The form as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskPreferencesForm {
    delegation: String,
    missed_after_days: String,
    /// Revision of the rules that the form shows.
    rev: String,
}

impl TaskPreferencesForm {
    fn of(rules: &TaskRules, rev: u64) -> Self {
        Self {
            rev: rev.to_string(),
            delegation: rules.delegation.word().to_owned(),
            missed_after_days: rules.missed_after_days.to_string(),
        }
    }

    /// Parses the form; returns all errors at once.
    fn read(&self) -> Result<TaskRules, Wrong> {
        let mut wrong = Wrong::none();
        let days = self.missed_after_days.trim().parse::<u16>();
        let days = wrong.note(days.map_err(|_| TaskError::field("missed_after_days", DAYS)));
        let word = self.delegation.parse::<Delegation>();
        let delegation = wrong.note(word.map_err(|_| TaskError::field("delegation", WHOM)));
        match (days, delegation) {
            (Some(missed_after_days), Some(delegation)) => {
                Ok(TaskRules { missed_after_days, delegation })
            }
            _ => Err(wrong),
        }
    }
}

const DAYS: &str = "Enter a whole number of days from 0 to 365.";
const WHOM: &str = "Choose one of the options.";

#[derive(Template)]
#[template(path = "tasks/habits.html")]
struct HabitsPage {
    shell: Shell,
    here: &'static str,
    live: Live,
    typed: TaskPreferencesForm,
    wrong: Wrong,
    delegations: Vec<Choice>,
    /// The delegation rule, for a read-only person.
    now: &'static str,
    may_admin: bool,
    /// Whether the rules were ever saved, so that they have a history.
    saved: bool,
}

web::region!(HabitsPage, as_rules, HabitsRules, "tasks/habits-rules.html");

fn page(
    (ws, who): (&Ws, &Person),
    shell: Shell,
    filled: Option<(TaskPreferencesForm, Wrong)>,
) -> Result<HabitsPage, TaskError> {
    let kept = ws.read(|snap| snap.get_rev::<TaskRules>(()))?;
    let saved = kept.is_some();
    let (rules, rev) = kept.unwrap_or_default();
    let now = TaskPreferencesForm::of(&rules, rev);
    let (form, wrong) = match filled {
        Some((form, wrong)) if wrong.is_stale() => {
            (TaskPreferencesForm { rev: now.rev, ..form }, wrong)
        }
        Some(filled) => filled,
        None => (now, Wrong::none()),
    };
    let choice = |one: &Delegation| {
        let hint = match one {
            Delegation::Reports => "They reach everyone else through their manager.",
            Delegation::Line => "And everyone below them.",
            Delegation::Open => "Regardless of reporting lines.",
        };
        Choice::new(one.word(), one.label(), one.word() == form.delegation).hint(hint)
    };
    // The default first.
    let order = [Delegation::Reports, Delegation::Line, Delegation::Open];
    Ok(HabitsPage {
        shell,
        here: "tasks",
        live: Live::new(ws.url(HERE)).table("task_rules"),
        delegations: order.iter().map(choice).collect(),
        typed: form,
        wrong,
        now: rules.delegation.label(),
        may_admin: who.access.may(Can::Admin),
        saved,
    })
}

/// `GET /settings/tasks`
pub async fn show(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let page = page((&ws, &who), shell, None)?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rules()),
        false => html::page(&page),
    }
}

/// Saves the rules.
pub async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<TaskPreferencesForm>,
) -> Result<Response, PageError> {
    let wrong = match form.read() {
        Ok(new) => {
            let rev = form.rev.clone();
            let set = move |tx: &mut WriteTx<'_>| -> Result<_, TaskError> {
                check_rev::<TaskRules>(tx, (), &rev)?;
                rules::set_rules(tx, new)
            };
            match ws.write(&who, set).await {
                Ok(_) => {
                    return Ok(flash::say(&app, Flash::ok("Saved."), hx.go_to(&ws.url(HERE))));
                }
                Err(error) => Wrong::of(&error)?,
            }
        }
        Err(wrong) => wrong,
    };
    let status = wrong.status();
    let page = page((&ws, &who), shell, Some((form, wrong)))?;
    html::document(status, &page)
}
