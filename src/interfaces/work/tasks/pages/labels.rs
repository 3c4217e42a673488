//! Settings, labels: all of them with how many tasks and other records have each, and the form that makes or changes one.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::cards;
use features::history::queries::meanwhile;
use features::tasks::model::label::Label;
use features::tasks::model::label::LabelId;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::labels::Uses;
use features::tasks::queries::{labels, marks};
use features::tasks::rules::labels::{self as rules, LabelPatch, NewLabel};
use kernel::{Can, Colour, FieldError, Hue, Problem as _, ProblemKind};
use store::Read;
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::form::EditConflict;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, format, html, ink};

const HERE: &str = "settings/labels";
/// The choice of a colour that is none of the twelve.
const OWN: &str = "own";

struct Row {
    name: String,
    colour: String,
    description: String,
    /// What has it: in words, and the list of it; empty when there is no one list.
    uses: Vec<(String, String)>,
    /// Where its form is.
    edit: String,
    /// Where it is deleted.
    delete: String,
}

/// What the form sends, as it was typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Typed {
    /// The revision that was read; none for a new one.
    rev: String,
    name: String,
    /// One of the twelve, `OWN`, or empty.
    colour: String,
    /// The colour that `OWN` means.
    own: String,
    description: String,
}

impl Typed {
    fn of(label: &Label, rev: u64) -> Self {
        let (colour, own) = match label.colour {
            Colour::Named(hue) => (hue.word().to_owned(), String::new()),
            own @ Colour::Own(_) => (OWN.to_owned(), own.to_string()),
        };
        let (name, description) = (label.name.clone(), label.description.clone());
        Self { rev: rev.to_string(), name, colour, own, description }
    }

    /// The colour that was chosen; none where the name decides, or the one of before.
    fn chosen(&self) -> Result<Option<Colour>, TaskError> {
        match self.colour.as_str() {
            "" => Ok(None),
            OWN => self.own.parse().map(Some),
            named => named.parse().map(Some),
        }
        .map_err(|_| TaskError::field("own", "Enter a colour such as #1f7a5c."))
    }
}

/// What stands behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The label whose form is shown.
    edit: String,
}

#[derive(Template)]
#[template(path = "tasks/labels.html")]
struct LabelsPage {
    shell: Shell,
    here: &'static str,
    live: Live,
    rows: Vec<Row>,
    may_write: bool,
    /// Where the form is sent.
    action: String,
    /// The name of the label that it changes; empty for a new one.
    changes: String,
    typed: Typed,
    wrong: Vec<FieldError>,
    summary: String,
    since: EditConflict,
    colours: Vec<Choice>,
    /// Where the history of the label is that is changed; empty for a new one.
    history: String,
    /// Where the label that is changed is made one with another; empty for a new one.
    merge: String,
    /// The other labels.
    targets: Vec<Choice>,
}

web::region!(LabelsPage, as_rows, LabelsRows, "tasks/labels-rows.html");

impl LabelsPage {
    /// Whether the form stands open: nothing is there yet, somebody asked for it, or something is wrong.
    fn form_open(&self) -> bool {
        let asked = !self.changes.is_empty() || !self.wrong.is_empty();
        asked || self.rows.is_empty() || !self.summary.is_empty() || self.since.is_told()
    }

    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|wrong| wrong.field == field).map_or("", |w| w.message.as_str())
    }
}

/// Shows all labels.
pub async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        // ok: a label that is gone leaves the form for a new one.
        let edited = labels::resolve(snap, &asked.edit).ok();
        let edited = edited.map(|label| labels::get_rev(snap, label.id)).transpose()?;
        let typed =
            edited.as_ref().map_or_else(Typed::default, |(label, rev)| Typed::of(label, *rev));
        view(&ws, &who, snap, shell, (edited.map(|(label, _)| label.id), typed))
    })?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn view(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    shell: Shell,
    (edited, typed): (Option<LabelId>, Typed),
) -> Result<LabelsPage, TaskError> {
    let (counts, others) = (marks::label_counts(read)?, Uses::read(read)?);
    let topics = cards::all().filter(|noun| noun.labelled.is_some()).map(|noun| noun.topic);
    let mut changes = String::new();
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    for label in labels::all(read)? {
        let n = counts.get(&label.id).copied().unwrap_or(0);
        if edited == Some(label.id) {
            changes.clone_from(&label.name);
        }
        let query = format!("label:\"{}\"", label.name.replace('"', ""));
        let tasks = ws.url(&format!("tasks?q={}", format::query_value(&query)));
        let mut uses = vec![(format::count(n as u64, "task", "tasks"), tasks)];
        uses.extend(others.of(&label).into_iter().map(|one| {
            let words = format::count(one.count as u64, one.noun.one, one.noun.many);
            (words, if one.path.is_empty() { one.path } else { ws.url(&one.path) })
        }));
        if edited != Some(label.id) {
            targets.push(Choice::new(label.id.to_string(), &label.name, false));
        }
        rows.push(Row {
            colour: ink::drawn(label.colour),
            uses,
            edit: ws.url(&format!("{HERE}?edit={}#form", label.id)),
            delete: ws.url(&format!("{HERE}/{}/delete", label.id)),
            description: label.description,
            name: label.name,
        });
    }
    Ok(LabelsPage {
        shell,
        here: "labels",
        live: topics
            .fold(Live::new(ws.url(HERE)).table("labels").table("task_labels"), Live::table),
        rows,
        may_write: who.access.may(Can::Write),
        action: match edited {
            Some(id) => ws.url(&format!("{HERE}/{id}")),
            None => ws.url(HERE),
        },
        changes,
        colours: colours(&typed.colour),
        typed,
        wrong: Vec::new(),
        summary: String::new(),
        since: EditConflict::default(),
        merge: edited.map(|id| ws.url(&format!("{HERE}/{id}/merge"))).unwrap_or_default(),
        targets,
        history: edited.map(|id| ws.url(&format!("history/labels/{id}"))).unwrap_or_default(),
    })
}

/// What can be chosen: for a new label also that its name decides.
fn colours(chosen: &str) -> Vec<Choice> {
    let mut all = Vec::with_capacity(Hue::ALL.len() + 2);
    if chosen.is_empty() {
        all.push(Choice::new("", "By its name", true));
    }
    let named = Hue::ALL.iter();
    all.extend(named.map(|hue| Choice::new(hue.word(), hue.label(), chosen == hue.word())));
    all.push(Choice::new(OWN, "Another", chosen == OWN));
    all
}

/// Makes a label.
pub async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(typed, once): FormOnce<Typed>,
) -> Result<Response, PageError> {
    let (name, description) = (typed.name.clone(), typed.description.clone());
    let made = match typed.chosen() {
        Ok(colour) => {
            let new = NewLabel { name, colour, description };
            ws.write(&who, once.run(move |tx| rules::create(tx, new))).await
        }
        Err(wrong) => Err(wrong),
    };
    let words = format!("Created {}", typed.name.trim());
    answer(&app, (&ws, &who), (&hx, shell), (None, typed), made.map(|_| words))
}

/// Saves a label.
pub async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<LabelId>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let (name, description) = (Some(typed.name.clone()), Some(typed.description.clone()));
    let rev = typed.rev.parse().ok();
    let saved = match typed.chosen() {
        Ok(colour) => {
            let patch = LabelPatch { name, colour, description };
            ws.write(&who, move |tx| {
                rules::expect_rev(tx, id, rev)?;
                rules::update(tx, id, patch)
            })
            .await
        }
        Err(wrong) => Err(wrong),
    };
    let saved = saved.map(|label| format!("Saved {}", label.name));
    answer(&app, (&ws, &who), (&hx, shell), (Some(id), typed), saved)
}

/// Deletes a label.
pub async fn delete(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<LabelId>,
) -> Result<Response, PageError> {
    let gone = ws.write(&who, move |tx| rules::delete(tx, id)).await?;
    let words = format!("Deleted {}", gone.name);
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(HERE))))
}

/// What the form of a merge sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Merged {
    /// The label that stays, by its id or name.
    into: String,
}

/// Makes a label one with another.
pub async fn merge(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<LabelId>,
    Form(typed): Form<Merged>,
) -> Result<Response, PageError> {
    let stays = ws
        .write(&who, move |tx| {
            let into = labels::resolve(tx, &typed.into)?.id;
            rules::merge(tx, id, into)
        })
        .await?;
    let words = format!("Merged into {}", stays.name);
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(HERE))))
}

/// Back to the list; a refused form comes back with what was typed.
fn answer(
    app: &App,
    (ws, who): (&Ws, &Person),
    (hx, shell): (&Hx, Shell),
    (edited, mut typed): (Option<LabelId>, Typed),
    done: Result<String, TaskError>,
) -> Result<Response, PageError> {
    match done {
        Ok(words) => Ok(flash::say(app, Flash::ok(words), hx.go_to(&ws.url(HERE)))),
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Stale) => {
            let mut page = ws.read(|snap| {
                let since = match edited {
                    Some(id) => {
                        let form = (id, typed.rev.as_str());
                        meanwhile::after::<Label>(ws, who, snap, form, &error)?
                    }
                    None => EditConflict::default(),
                };
                since.renew(&mut typed.rev);
                let page = view(ws, who, snap, shell, (edited, typed))?;
                Ok::<_, TaskError>(LabelsPage { since, ..page })
            })?;
            page.wrong = error.fields();
            if page.wrong.is_empty() && !page.since.is_told() {
                page.summary = error.to_string();
            }
            html::document(page.since.status(), &page)
        }
        Err(error) => Err(error.into()),
    }
}
