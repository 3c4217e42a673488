//! Actions of the pages: create, change a cell, bulk changes, archive, record an interaction, decide on a suggestion.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use app::{App, Ws};
use entity::{Column, Kind, Names as _};
use features::tasks::queries::due;
use features::tasks::queries::view_context::ViewContext;
use kernel::cadence::{instant, midnight};
use kernel::day::{self, Toward};
use kernel::display;
use kernel::{FieldError, Problem as _, ProblemKind, Timestamp, TypedId as _};
use store::{ReadExt as _, WriteTx};
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Form, Path, Path2};
use web::flash;
use web::hx::{Ask, Hx};
use web::idempotency::FormOnce;
use web::parts::Tone;
use web::path_words;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::list_url;
use super::show::{new_form, refused};
use crate::columns;
use crate::error::CrmError;
use crate::model::{
    CollectionId, ContactId, OrganizationId, RowKind, Suggestion, SuggestionId, Talk, TalkId,
};
use crate::names::{Known, person};
use crate::path_kind::PathKind;
use crate::queries;
use crate::rules::{self, Sent, TalkPatch};
use crate::typed::{FormValues, given, text};

/// The field of the last contact, whose days are in the past.
const LAST_CONTACT: &str = "last_contact_date";

/// The submitted fields of a row, without the fields that HQ's forms add.
fn values(form: &FormValues) -> FormValues {
    let own = |key: &str| key == "once" || key == "was" || key == "back" || key.starts_with("was:");
    form.iter()
        .filter(|(key, _)| !own(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Creates a contact or an organization.
pub(super) async fn create(
    PathKind(kind): PathKind,
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<FormValues>,
) -> Result<Response, PageError> {
    make(kind, (app, ws, who), (hx, shell), None, (form, once)).await
}

/// Creates a row of a kind.
pub(super) async fn make(
    kind: &'static RowKind,
    (app, ws, who): (App, Ws, Person),
    (hx, shell): (Hx, Shell),
    collection: Option<CollectionId>,
    (form, once): (FormValues, web::idempotency::Once),
) -> Result<Response, PageError> {
    let mut filled = values(&form);
    filled.retain(|_, value| value.as_str() != Some(""));
    let columns = ws.read(|snap| columns::of(snap, kind.home(collection)))?;
    let zone = due::zone(&who.zone);
    let made = match with_typed(&mut filled, &columns, (today(&ws, &who), &zone)) {
        Ok(()) => {
            let sent = Sent::of(filled);
            ws.write(
                &who,
                once.run(move |tx: &mut WriteTx<'_>| {
                    rules::create(kind, tx, collection, &sent).map(|row| row.id)
                }),
            )
            .await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(id) => {
            let at = ws.url(&format!("{}/{id}", kind.path));
            let words = format!("Created {}", text(&form, "name"));
            Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => ws.read(|snap| {
            let scene = ViewContext::new(&ws, &who, snap)?;
            new_form(kind, &scene, snap, shell, (collection, &form, &error.fields()))
        }),
        Err(error) => Err(error.into()),
    }
}

/// Changes cells. Refuses a cell that somebody else has changed since it was read, and shows its current value.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    (PathKind(kind), Path(name)): (PathKind, Path<String>),
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let (id, columns) = ws.read(|snap| {
        let row = queries::resolve(kind, snap, &name)?;
        Ok::<_, CrmError>((row.id, columns::of(snap, row.home())?))
    })?;
    let me = person(who.account);
    let mut sent = form.clone();
    let saved = match with_typed(&mut sent, &columns, (today(&ws, &who), &due::zone(&who.zone))) {
        Ok(()) => {
            ws.write(&who, move |tx| {
                unchanged(kind, tx, id, &sent, me)?;
                rules::change(kind, tx, id, &Sent::of(values(&sent)))
            })
            .await
        }
        Err(error) => Err(error),
    };
    let error = match saved {
        Ok(changed) => {
            if hx.is_partial() {
                return Ok((Ask::new().changed(kind.table.name, id), "").into_response());
            }
            let at = ws.url(&changed.row.path());
            return Ok(flash::say(&app, Flash::ok("Saved"), hx.go_to(&at)));
        }
        Err(error) => error,
    };
    if !matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Conflict) {
        return Err(error.into());
    }
    let message = web::form::sentence(&error.to_string());
    if hx.is_partial() {
        let status = match error.kind() {
            ProblemKind::Conflict => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        return Ok((status, Ask::new().toast(Tone::Danger, &message), "").into_response());
    }
    ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        refused(kind, &scene, snap, shell, (id, &message, form))
    })
}

/// Checks that each cell still has the value that the form was filled with.
fn unchanged(
    kind: &'static RowKind,
    tx: &WriteTx<'_>,
    id: Uuid,
    form: &FormValues,
    me: kernel::Assignee,
) -> Result<(), CrmError> {
    let row = queries::get_rev(kind, tx, id)?.0;
    let known = Known::new(tx, me)?;
    for column in columns::of(tx, row.home())? {
        let Some(was) = form.get(&format!("was:{}", column.key)).and_then(Value::as_str) else {
            continue;
        };
        let now =
            row.value(&column.key).map_or_else(String::new, |value| column.written(value, &known));
        let same = |one: &str| kernel::text::one_line(one) == kernel::text::one_line(&now);
        if !same(was) && !same(text(form, &column.key)) {
            let by = row.cells.get(&column.key).map_or_else(String::new, |cell| {
                known.name_of(features::tasks::queries::people::assignee_of(cell.origin.by))
            });
            return Err(CrmError::Refused(format!(
                "{by} changed {} to \"{}\" while you were editing. Yours wasn't saved",
                column.label,
                kernel::text::ellipsis(&now, 80)
            )));
        }
    }
    Ok(())
}

path_words! {
    /// What is done with one press to a record.
    pub(super) Verb {
        Archive = "archive",
        Restore = "restore",
        Remove = "remove",
        Right = "right",
        Back = "back",
        Move = "move",
    }
}

/// Archives, restores or deletes a record, confirms or reverts a value, or moves a card to another column of the board.
pub(super) async fn act(
    PathKind(kind): PathKind,
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, verb): Path2<String, Verb>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let (id, list, cells) = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let row = queries::resolve(kind, snap, &name)?;
        let field = text(&form, "field");
        let cells = match verb {
            Verb::Back => {
                let before = queries::cell_before(snap, ws.store.schema(), (&row, field))?;
                (row.cells.get(field).cloned(), before)
            }
            _ => (None, None),
        };
        Ok::<_, CrmError>((row.id, list_url(kind, &scene, row.collection), cells))
    })?;
    let row = ws
        .write(&who, move |tx| match verb {
            Verb::Archive => rules::set_archived(kind, tx, id, true),
            Verb::Restore => rules::set_archived(kind, tx, id, false),
            Verb::Remove => rules::remove(kind, tx, id),
            Verb::Right => rules::call_right(kind, tx, id, text(&form, "field")),
            Verb::Back => {
                let (now, before) = (cells.0.as_ref(), cells.1.clone());
                rules::put_back(kind, tx, (id, text(&form, "field")), (now, before))
            }
            Verb::Move => {
                rules::change(kind, tx, id, &Sent::of(values(&form))).map(|changed| changed.row)
            }
        })
        .await?;
    let at = match verb {
        Verb::Remove => list,
        _ => ws.url(&format!("{}/{id}", kind.path)),
    };
    if matches!(verb, Verb::Right | Verb::Back | Verb::Move) && hx.is_partial() {
        return Ok((Ask::new().changed(kind.table.name, id), "").into_response());
    }
    let words = match verb {
        Verb::Archive => format!("Archived {}", row.name()),
        Verb::Restore => format!("Restored {}", row.name()),
        Verb::Remove => format!("Deleted {}", row.name()),
        Verb::Right | Verb::Back | Verb::Move => "Saved".to_owned(),
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}

/// Today in this person's time zone.
pub(super) fn today(ws: &Ws, who: &Person) -> Date {
    due::day(ws.app.clock.now(), &due::zone(&who.zone))
}

/// The day in a field of a form; `None` if empty.
pub(super) fn day(
    form: &FormValues,
    field: &'static str,
    today: Date,
    toward: Toward,
) -> Result<Option<Date>, CrmError> {
    let day = day::in_field(field, text(form, field), today, toward);
    day.map_err(|wrong| CrmError::Invalid(vec![wrong]))
}

/// Converts typed days, times and numbers in these fields to their API form.
fn with_typed(
    filled: &mut FormValues,
    columns: &[Column],
    (today, zone): (Date, &TimeZone),
) -> Result<(), CrmError> {
    let mut wrong = Vec::new();
    for column in columns {
        let Some(Value::String(text)) = filled.get_mut(&column.key) else { continue };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            continue;
        }
        let toward = if column.key == LAST_CONTACT { Toward::Back } else { Toward::Ahead };
        let timed = || day::read_timed(trimmed, today, toward);
        let (sent, wanted) = match column.kind {
            Kind::Date => {
                let day = day::read(trimmed, today, toward).or_else(|| timed().map(|at| at.date()));
                (day.map(|day| day.to_string()), day::WANTED)
            }
            Kind::Datetime => {
                let on_the_clock = || instant(zone, timed()?);
                let begin = || midnight(zone, day::read(trimmed, today, toward)?);
                let at = trimmed.parse::<Timestamp>().ok().or_else(on_the_clock);
                (at.or_else(begin).map(|at| at.to_string()), day::WANTED_TIMED)
            }
            // The rule says what is no number.
            Kind::Number => (Some(display::plain_number(trimmed)), ""),
            _ => continue,
        };
        match sent {
            Some(sent) => *text = sent,
            None => {
                wrong.push(FieldError::new(&column.key, format!("{}: {wanted}", column.label)));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(CrmError::Invalid(wrong)) }
}

/// Records an interaction.
pub(super) async fn log(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    (PathKind(kind), Path(name)): (PathKind, Path<String>),
    FormOnce(form, once): FormOnce<FormValues>,
) -> Result<Response, PageError> {
    let row = ws.read(|snap| queries::resolve(kind, snap, &name))?;
    let id = row.id;
    let with = match kind.is_contacts() {
        true => (Some(ContactId::from_uuid(id)), None),
        false => (None, Some(OrganizationId::from_uuid(id))),
    };
    let patch = patch_of(&form, &who, today(&ws, &who));
    let logged = match patch {
        Ok(patch) => {
            ws.write(
                &who,
                once.run(move |tx: &mut WriteTx<'_>| {
                    rules::log(tx, with, patch).map(|talk| talk.id)
                }),
            )
            .await
        }
        Err(error) => Err(error),
    };
    match logged {
        Ok(_) => Ok(flash::say(
            &app,
            Flash::ok("Logged"),
            hx.go_to(&ws.url(&format!("{}/{id}", kind.path))),
        )),
        Err(error) if error.kind() == ProblemKind::Invalid => ws.read(|snap| {
            let scene = ViewContext::new(&ws, &who, snap)?;
            let message = web::form::sentence(&error.to_string());
            refused(kind, &scene, snap, shell, (id, &message, form))
        }),
        Err(error) => Err(error.into()),
    }
}

fn patch_of(form: &FormValues, who: &Person, today: Date) -> Result<TalkPatch, CrmError> {
    let occurred_at = match day(form, "occurred_on", today, Toward::Back)? {
        None => None,
        Some(day) => {
            let zone = due::zone(&who.zone);
            let noon = day
                .at(12, 0, 0, 0)
                .to_zoned(zone)
                .map_err(|_| CrmError::field("occurred_on", "This date doesn't exist."))?;
            Some(kernel::time::from_ms(noon.timestamp().as_millisecond()))
        }
    };
    Ok(TalkPatch {
        kind: text(form, "kind").parse().ok(),
        // ok: without a choice the direction is unknown.
        way: Some(text(form, "way").parse().ok()),
        subject: given(form, "subject"),
        body: given(form, "body"),
        occurred_at,
        next_action: given(form, "next_action"),
        next_on: Some(day(form, "next_on", today, Toward::Ahead)?),
        next_done: None,
    })
}

path_words! {
    /// What is done with one press to a talk.
    pub(super) TalkVerb {
        Done = "done",
        Snooze = "snooze",
        Remove = "remove",
    }
}

/// Completes or postpones a follow-up, or deletes an interaction.
pub(super) async fn talk(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<TalkId, TalkVerb>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let today = today(&ws, &who);
    let until = day(&form, "until", today, Toward::Ahead)?;
    let talk = ws
        .write(&who, move |tx| match verb {
            TalkVerb::Done => rules::change_talk(
                tx,
                id,
                TalkPatch { next_done: Some(true), ..TalkPatch::default() },
            ),
            TalkVerb::Snooze => {
                let later =
                    until.unwrap_or_else(|| today.saturating_add(jiff::Span::new().days(7)));
                rules::change_talk(
                    tx,
                    id,
                    TalkPatch { next_on: Some(Some(later)), ..TalkPatch::default() },
                )
            }
            TalkVerb::Remove => rules::remove_talk(tx, id),
        })
        .await?;
    let words = match verb {
        TalkVerb::Done => "Done".to_owned(),
        TalkVerb::Snooze => talk
            .next_on
            .map_or_else(String::new, |day| format!("Snoozed until {}", display::day_of_year(day))),
        TalkVerb::Remove => "Deleted".to_owned(),
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(&talk_place(&talk)))))
}

fn talk_place(talk: &Talk) -> String {
    match (talk.contact, talk.organization) {
        (Some(id), _) => format!("contacts/{id}"),
        (None, Some(id)) => format!("organizations/{id}"),
        (None, None) => "contacts".to_owned(),
    }
}

path_words! {
    /// Takes a suggestion over, or drops it.
    pub(super) Decision {
        Take = "take",
        Drop = "drop",
    }
}

/// Accepts or drops a suggestion.
pub(super) async fn decide(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, decision): Path2<SuggestionId, Decision>,
) -> Result<Response, PageError> {
    let take = decision == Decision::Take;
    let place = ws
        .write(&who, move |tx| {
            let one: Option<Suggestion> = tx.get(id)?;
            let kind = RowKind::of_table(one.map_or(0, |one| one.row.table));
            Ok::<_, CrmError>(rules::decide(kind, tx, id, take)?.path())
        })
        .await?;
    let words = if take { "Accepted" } else { "Dismissed" };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(&place))))
}
