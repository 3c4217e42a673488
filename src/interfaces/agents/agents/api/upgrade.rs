//! The API of agents' template upgrades.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::Agent;
use features::agents::upgrade::apply::{self, UpgradeRequest};
use features::agents::upgrade::compare::{Change, Choice};
use features::agents::upgrade::{self, Offer, Version, Word};
use git::CommitId;
use kernel::{Can, Problem as _};
use tool::diff;
use tool::merge::{Place, Side};
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use crate::agents::at::At;

/// Why no `Idempotency-Key` is needed: an applied upgrade is not offered again.
const AGAIN: &str = "doing it again changes nothing";

pub(super) fn routes() -> Routes {
    let one = "/agents/{agent}/upgrade";
    Routes::new()
        .get(
            "/agent-upgrades",
            list.needs(Can::Read)
                .doc(|| Doc::new("Agents with a newer template version").returns::<Offers>()),
        )
        .post(
            "/agent-upgrades",
            apply_clean.needs(Can::Agents).doc(|| {
                Doc::new("Apply all upgrades without conflicts").returns::<Applied>().no_key(AGAIN)
            }),
        )
        .get(
            one,
            show.needs(Can::Read).doc(|| {
                Doc::new("Preview an upgrade to its template or another one")
                    .query::<UpgradeParams>()
                    .returns::<OfferOut>()
            }),
        )
        .post(
            one,
            take.needs(Can::Agents).doc(|| {
                Doc::new("Apply it in one commit")
                    .body::<TakeBody>()
                    .returns::<TakenOut>()
                    .no_key(AGAIN)
            }),
        )
        .post(
            "/agents/{agent}/upgrade/dismiss",
            pass.needs(Can::Agents).doc(|| {
                Doc::new("Decline this version; the next one is offered again")
                    .returns::<OfferOut>()
                    .no_key(AGAIN)
            }),
        )
        .post(
            "/agents/{agent}/upgrade/undo",
            undo.needs(Can::Agents).doc(|| {
                Doc::new("Undo an upgrade; later changes are kept")
                    .body::<UndoBody>()
                    .returns::<BackOut>()
                    .no_key(AGAIN)
            }),
        )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "UpgradeAsked")]
struct UpgradeParams {
    /// Another template than the agent's own.
    template: Option<String>,
}

/// A version of a template.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TemplateVersion")]
struct VersionOut {
    template: String,
    commit: String,
    at: String,
}

impl From<&Version> for VersionOut {
    fn from(version: &Version) -> Self {
        let Version { template, commit, at } = version;
        Self { template: template.clone(), commit: commit.to_string(), at: at.to_string() }
    }
}

/// A file that the version has otherwise.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeFile")]
struct FileOut {
    path: String,
    /// `added`, `taken`, `removed`, `merged`, `clash`; `kept` and `gone` stay as they are.
    fate: &'static str,
    /// Where somebody chooses: what the agent has, and what the template has.
    places: Vec<PlaceOut>,
    /// What would change while all places stay; null when it is no text.
    diff: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradePlace")]
struct PlaceOut {
    mine: String,
    template: String,
}

impl From<&Place> for PlaceOut {
    fn from(place: &Place) -> Self {
        Self { mine: place.mine.clone(), template: place.theirs.clone() }
    }
}

impl From<&Change> for FileOut {
    fn from(change: &Change) -> Self {
        let (now, then) = change.texts();
        Self {
            path: change.path.clone(),
            fate: change.fate.word(),
            places: change.places.iter().map(PlaceOut::from).collect(),
            diff: change.is_text.then(|| diff::unified(&change.path, &now, &then)),
        }
    }
}

/// Something that the agent is said to be.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeWord")]
struct WordOut {
    /// `description`, `role`, `team`, `domains` or `capabilities`.
    field: &'static str,
    before: String,
    after: String,
}

impl From<&Word> for WordOut {
    fn from(word: &Word) -> Self {
        let Word { field, before, after } = word.clone();
        Self { field, before, after }
    }
}

/// What an agent could take over.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeOffer")]
struct OfferOut {
    agent: String,
    name: String,
    /// Whether there is anything to take over that nobody declined.
    offered: bool,
    /// Whether nobody has to choose.
    clean: bool,
    /// Whether somebody declined this version.
    dismissed: bool,
    /// The version that the agent has; null when that is not known.
    from: Option<VersionOut>,
    to: VersionOut,
    /// Give this back to take over exactly this.
    mark: String,
    files: Vec<FileOut>,
    words: Vec<WordOut>,
}

impl OfferOut {
    fn of(agent: &Agent, offer: &Offer) -> Self {
        Self {
            agent: agent.slug.clone(),
            name: agent.name.clone(),
            offered: offer.is_any() && !offer.is_passed,
            clean: offer.is_clean(),
            dismissed: offer.is_passed,
            from: offer.from.as_ref().map(VersionOut::from),
            to: VersionOut::from(&offer.to),
            mark: offer.mark.clone(),
            files: offer.changes.iter().map(FileOut::from).collect(),
            words: offer.words.iter().map(WordOut::from).collect(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeOffers")]
struct Offers {
    items: Vec<OfferOut>,
}

/// Which words stay in a file.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "UpgradeChoice")]
enum ChoiceIn {
    /// In all of it.
    All(SideIn),
    /// In each of its places.
    Each(Vec<SideIn>),
}

/// Whose words stay.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "UpgradeSide")]
enum SideIn {
    /// The agent's.
    Mine,
    /// The template's.
    Template,
}

impl From<SideIn> for Side {
    fn from(side: SideIn) -> Self {
        match side {
            SideIn::Mine => Self::Mine,
            SideIn::Template => Self::Theirs,
        }
    }
}

impl From<ChoiceIn> for Choice {
    fn from(choice: ChoiceIn) -> Self {
        match choice {
            ChoiceIn::All(side) => Self::All(side.into()),
            ChoiceIn::Each(sides) => Self::Each(sides.into_iter().map(Side::from).collect()),
        }
    }
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "UpgradeBody")]
struct TakeBody {
    /// Another template than the agent's own.
    template: Option<String>,
    /// The mark of the offer that was looked at; without it, whatever the offer is now.
    mark: Option<String>,
    /// By path: `mine` or `template`, or one of them for each place.
    choices: BTreeMap<String, ChoiceIn>,
    /// What stays in all places that no choice is about.
    rest: Option<SideIn>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeTaken")]
struct TakenOut {
    agent: String,
    /// The commit with all of it.
    commit: Option<String>,
    /// The files that changed.
    files: Vec<String>,
}

impl TakenOut {
    fn of(agent: &Agent, applied: apply::Applied) -> Self {
        let commit = applied.commit.map(|commit| commit.to_string());
        Self { agent: agent.slug.clone(), commit, files: applied.paths }
    }
}

/// What came of all of them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradesTaken")]
struct Applied {
    items: Vec<TakenOut>,
    /// Those that stay as they are, and why.
    refused: Vec<Refused>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeRefused")]
struct Refused {
    agent: String,
    code: &'static str,
    why: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UpgradeUndo")]
struct UndoBody {
    /// The commit of the upgrade.
    commit: String,
}

/// What went back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpgradeUndone")]
struct BackOut {
    /// Null when no file went back.
    commit: Option<String>,
    files: Vec<String>,
    /// Files that stay as they are, each with the reason.
    kept: BTreeMap<String, &'static str>,
}

async fn list(ws: Ws) -> Result<Json<Offers>, ApiError> {
    let all = upgrade::offers(&ws).await?;
    let items = all.iter().map(|(agent, offer)| OfferOut::of(agent, offer)).collect();
    Ok(Json(Offers { items }))
}

async fn apply_clean(ws: Ws, who: Person) -> Result<Json<Applied>, ApiError> {
    let mut done = Applied { items: Vec::new(), refused: Vec::new() };
    for each in apply::apply_clean(&ws, &who).await? {
        match each.came {
            Ok(applied) => done.items.push(TakenOut::of(&each.agent, applied)),
            Err(error) => done.refused.push(Refused {
                agent: each.agent.slug,
                code: error.code(),
                why: error.to_string(),
            }),
        }
    }
    Ok(Json(done))
}

async fn show(
    Query(params): Query<UpgradeParams>,
    At { ws, agent, .. }: At<ApiError>,
) -> Result<Json<OfferOut>, ApiError> {
    let offer = upgrade::offer(&ws, &agent, params.template.as_deref()).await?;
    Ok(Json(OfferOut::of(&agent, &offer)))
}

async fn take(at: At<ApiError>, Json(body): Json<TakeBody>) -> Result<Json<TakenOut>, ApiError> {
    let choices = body.choices.into_iter().map(|(path, choice)| (path, choice.into()));
    let wish = UpgradeRequest {
        template: body.template,
        mark: body.mark,
        choices: choices.collect(),
        rest: body.rest.map(Side::from),
    };
    let applied = apply::apply(at.hand(), wish).await?;
    Ok(Json(TakenOut::of(&at.agent, applied)))
}

async fn pass(at: At<ApiError>) -> Result<Json<OfferOut>, ApiError> {
    apply::pass(at.hand()).await?;
    let agent = at.ws.read(|snap| super::find(snap, &at.agent.slug))?;
    let offer = upgrade::offer(&at.ws, &agent, None).await?;
    Ok(Json(OfferOut::of(&agent, &offer)))
}

async fn undo(at: At<ApiError>, Json(body): Json<UndoBody>) -> Result<Json<BackOut>, ApiError> {
    let commit = CommitId::parse(&body.commit)?;
    let back = apply::take_back(at.hand(), commit).await?;
    Ok(Json(BackOut {
        commit: back.commit.map(|commit| commit.to_string()),
        files: back.paths,
        kept: back.kept.into_iter().collect(),
    }))
}
