//! `/api/v1/interactions`, and the interactions of a contact or an organization.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use kernel::{Can, Timestamp, TypedId as _, UnknownWord};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Patch, Path, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use super::MOST;
use crate::error::CrmError;
use crate::model::{ContactId, OrganizationId, RowKind, Talk, TalkId, Way};
use crate::names::{Known, person};
use crate::path_kind::PathKind;
use crate::queries;
use crate::rules::{self, TalkPatch};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post(
            "/interactions",
            log.needs(Can::Write).doc(|| {
                Doc::new("Log an interaction or note")
                    .body::<TalkBody>()
                    .returns::<TalkView>()
                    .status(201)
            }),
        )
        .patch(
            "/interactions/{id}",
            change_talk.needs(Can::Write).doc(|| {
                Doc::new("Change an interaction or complete its follow-up")
                    .body::<TalkBody>()
                    .returns::<TalkView>()
            }),
        )
        .delete(
            "/interactions/{id}",
            remove_talk.needs(Can::Write).doc(|| Doc::new("Delete an interaction")),
        )
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Talks {
    items: Vec<TalkView>,
}

/// A talk.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TalkView {
    id: String,
    contact: Option<String>,
    organization: Option<String>,
    kind: &'static str,
    direction: Option<Way>,
    subject: String,
    body: String,
    occurred_at: String,
    next_action: String,
    next_on: Option<String>,
    next_done: bool,
    by: String,
}

/// The JSON view of an interaction.
pub(crate) fn talk_view(known: &Known<'_>, talk: Talk) -> TalkView {
    TalkView {
        id: talk.id.to_string(),
        contact: talk.contact.map(|id| id.to_string()),
        organization: talk.organization.map(|id| id.to_string()),
        kind: talk.kind.word(),
        direction: talk.way,
        by: known.people.actor_handle(talk.by),
        subject: talk.subject,
        body: talk.body,
        occurred_at: talk.occurred_at.to_string(),
        next_action: talk.next_action,
        next_on: talk.next_on.map(|day| day.to_string()),
        next_done: talk.next_done_at.is_some(),
    }
}

pub(super) async fn talks(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<Talks>, ApiError> {
    let items = ws.read(|snap| {
        let id = queries::resolve(kind, snap, &name)?.id;
        let known = Known::new(snap, person(who.account))?;
        let all = match kind.is_contacts() {
            true => queries::talks_with(snap, crate::model::ContactId::from_uuid(id), MOST)?,
            false => queries::talks_of(snap, crate::model::OrganizationId::from_uuid(id), MOST)?,
        };
        Ok::<_, CrmError>(all.into_iter().map(|talk| talk_view(&known, talk)).collect())
    })?;
    Ok(Json(Talks { items }))
}

/// What a talk is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TalkBody {
    /// Of a new one: the contact's id, name or address of mail.
    pub contact: Option<String>,
    /// Of a new one: the organization's id or name, where no contact is known.
    pub organization: Option<String>,
    /// `email`, `call`, `meeting`, `linkedin_message`, `dm`, `intro`, `coffee`, `event`, `note`, `other`.
    pub kind: Option<String>,
    /// Null for neither.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Way>")]
    direction: Option<Option<Way>>,
    /// In one line.
    pub subject: Option<String>,
    /// Markdown.
    pub body: Option<String>,
    /// A moment; now when it is absent.
    pub occurred_at: Option<String>,
    /// What is to follow.
    pub next_action: Option<String>,
    /// The day by which it is to follow (2026-12-24); null for none.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    pub next_on: Option<Option<String>>,
    /// Whether that is done.
    pub next_done: Option<bool>,
}

impl TalkBody {
    /// The requested changes.
    pub fn patch(&self) -> Result<TalkPatch, CrmError> {
        let kind = match self.kind.as_deref() {
            Some(word) => Some(word.parse().map_err(|error: UnknownWord| {
                CrmError::field(
                    "kind",
                    format!("Unknown kind \"{word}\". Choose from {}.", error.known),
                )
            })?),
            None => None,
        };
        let occurred_at = match self.occurred_at.as_deref() {
            Some(text) => {
                let at: Timestamp = text.parse().map_err(|_| {
                    CrmError::field("occurred_at", "Enter the time as 2026-12-24T14:30Z.")
                })?;
                Some(kernel::time::from_ms(at.as_millisecond()))
            }
            None => None,
        };
        let next_on = match &self.next_on {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) if matches!(text.as_str(), "" | "none") => Some(None),
            Some(Some(text)) => Some(Some(
                text.parse()
                    .map_err(|_| CrmError::field("next_on", "Enter the date as 2026-12-24."))?,
            )),
        };
        Ok(TalkPatch {
            kind,
            way: self.direction,
            subject: self.subject.clone(),
            body: self.body.clone(),
            occurred_at,
            next_action: self.next_action.clone(),
            next_on,
            next_done: self.next_done,
        })
    }

    /// The contact and organization of the interaction.
    pub fn with(
        &self,
        read: &dyn Read,
    ) -> Result<(Option<ContactId>, Option<OrganizationId>), CrmError> {
        let contact = match self.contact.as_deref() {
            Some(name) => Some(queries::resolve(RowKind::CONTACTS, read, name)?.id),
            None => None,
        };
        let organization = match self.organization.as_deref() {
            Some(name) => Some(queries::resolve(RowKind::ORGANIZATIONS, read, name)?.id),
            None => None,
        };
        Ok((contact.map(ContactId::from_uuid), organization.map(OrganizationId::from_uuid)))
    }
}

pub(super) fn shown_talk(ws: &Ws, who: &Person, id: TalkId) -> Result<TalkView, CrmError> {
    ws.read(|snap| {
        let talk: Talk = snap.get(id)?.ok_or_else(|| CrmError::no("talk", &id.to_string()))?;
        Ok(talk_view(&Known::new(snap, person(who.account))?, talk))
    })
}

pub(super) async fn log(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<TalkBody>,
) -> Result<(StatusCode, Json<TalkView>), ApiError> {
    let patch = body.patch()?;
    let logged = once.run(move |tx: &mut WriteTx<'_>| {
        let with = body.with(tx)?;
        rules::log(tx, with, patch).map(|talk| talk.id)
    });
    let id = ws.write(&who, logged).await?;
    Ok((StatusCode::CREATED, Json(shown_talk(&ws, &who, id)?)))
}

pub(super) async fn change_talk(
    ws: Ws,
    who: Person,
    Path(id): Path<TalkId>,
    Patch(body): Patch<TalkBody>,
) -> Result<Json<TalkView>, ApiError> {
    let patch = body.patch()?;
    ws.write(&who, move |tx| rules::change_talk(tx, id, patch)).await?;
    Ok(Json(shown_talk(&ws, &who, id)?))
}

pub(super) async fn remove_talk(
    ws: Ws,
    who: Person,
    Path(id): Path<TalkId>,
) -> Result<StatusCode, ApiError> {
    ws.write(&who, move |tx| rules::remove_talk(tx, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
