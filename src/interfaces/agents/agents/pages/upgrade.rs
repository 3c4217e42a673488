//! Upgrading an agent to the newest version of its template, file by file, and the list of all agents that can be
//! upgraded.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries::head::{self, Head, Place};
use features::agents::queries::{self as agents, Called};
use features::agents::templates;
use features::agents::upgrade::apply::{self, UpgradeRequest};
use features::agents::upgrade::compare::{Change, Choice as Chosen, Fate};
use features::agents::upgrade::{self, Offer, UpgradeError, Version, Word};
use git::{CommitId, GitError};
use kernel::display;
use kernel::text::capitalized;
use kernel::{Can, Problem as _, ProblemKind};
use tool::diff;
use tool::merge::Side;
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::form::sentence;
use web::format::{self, query_value};
use web::html;
use web::hx::Hx;
use web::parts::{Choice, Face};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::versions::{Line, lines};
use super::{When, find};
use crate::agents::at::At;

/// An agent's template.
pub(super) struct TemplateView {
    pub name: String,
    /// Date of the agent's version; empty if unknown.
    pub of: String,
    /// Address of the upgrade; empty for an archived agent.
    pub href: String,
    /// Whether there is a newer version that was not dismissed.
    pub is_behind: bool,
}

/// The template for the page of an agent.
pub(super) fn template(ws: &Ws, when: &When, agent: &Agent) -> TemplateView {
    let agents = std::slice::from_ref(agent);
    let read_versions = || {
        let version = upgrade::version(ws, agent)?;
        Ok::<_, GitError>((version, 0 < upgrade::behind(ws, agents)?))
    };
    let (version, is_behind) = read_versions().unwrap_or_else(|error| {
        tracing::warn!(agent.id = %agent.id, "the version of its template cannot be told: {error}");
        (None, false)
    });
    TemplateView {
        name: called(&agent.template),
        of: version.map(|version| day(when, &version)).unwrap_or_default(),
        href: match agent.archived_at {
            // The files of an archived agent are not in use.
            Some(_) => String::new(),
            None => ws.url(&format!("agents/{}/upgrade", agent.slug)),
        },
        is_behind,
    }
}

/// The display name of a template.
fn called(template: &str) -> String {
    templates::find(template).map_or(template, |one| &one.manifest.name).to_owned()
}

fn day(when: &When, version: &Version) -> String {
    display::long_day(version.at.to_zoned(when.zone.clone()).date())
}

/// Date, time and commit of a version: two versions can be a minute apart.
fn exactly(when: &When, version: &Version) -> String {
    let time = display::time(version.at.to_zoned(when.zone.clone()).time());
    format!("{}, {time} ({})", day(when, version), version.commit.short())
}

/// A conflicting place in a file.
struct PlaceView {
    name: String,
    mine: String,
    theirs: String,
}

/// A file with conflicts.
struct ClashView {
    path: String,
    is_text: bool,
    places: Vec<PlaceView>,
}

/// A changed file.
struct FileView {
    path: String,
    href: String,
    lines: Vec<Line>,
}

/// Files with the same kind of change.
struct Group {
    title: &'static str,
    about: &'static str,
    files: Vec<FileView>,
}

struct WordView {
    label: String,
    before: String,
    after: String,
}

/// The available upgrade.
struct View {
    name: String,
    template: String,
    slug: String,
    from: String,
    to: String,
    mark: String,
    is_any: bool,
    is_move: bool,
    is_passed: bool,
    clashes: Vec<ClashView>,
    groups: Vec<Group>,
    words: Vec<WordView>,
    /// Other templates to switch to.
    templates: Vec<Choice>,
    manages: bool,
}

#[derive(Template)]
#[template(path = "agents/upgrade.html")]
struct UpgradePage {
    shell: Shell,
    head: Head,
    view: View,
}

/// Title and explanation of each kind of change.
const GROUPS: [(&[Fate], &str, &str); 5] = [
    (
        &[Fate::Merged, Fate::Clash],
        "Merged with the agent’s changes",
        "They contain lines from both.",
    ),
    (&[Fate::Added, Fate::Taken], "Applied", "They weren’t changed here."),
    (&[Fate::Removed], "Removed", "Removed from the template and not changed here."),
    (&[Fate::Kept], "Kept", "Removed from the template, but changed here."),
    (&[Fate::Gone], "Not added", "They were deleted here."),
];

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct UpgradePageParams {
    template: String,
}

impl UpgradePageParams {
    fn template(&self) -> Option<&str> {
        Some(self.template.trim()).filter(|template| !template.is_empty())
    }
}

/// `GET /agents/{slug}/upgrade`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(slug): Path<String>,
    Query(params): Query<UpgradePageParams>,
) -> Result<Response, PageError> {
    let when = When::of(&ws, &who);
    let (agent, head) = ws.read(|snap| {
        let agent = find(snap, &slug)?;
        let head = head::head(&ws, snap, &agent, Place::Overview, who.access, when.now)?;
        Ok::<_, PageError>((agent, head))
    })?;
    let offer = upgrade::offer(&ws, &agent, params.template()).await?;
    let view = view(&when, &agent, &head, &offer);
    html::page(&UpgradePage { shell, head, view })
}

fn view(when: &When, agent: &Agent, head: &Head, offer: &Offer) -> View {
    let clash = |(n, change): (usize, &Change)| {
        let place = |(m, place): (usize, &tool::merge::Place)| PlaceView {
            name: field(n, m),
            mine: place.mine.clone(),
            theirs: place.theirs.clone(),
        };
        ClashView {
            path: change.path.clone(),
            is_text: change.is_text,
            places: change.places.iter().enumerate().map(place).collect(),
        }
    };
    let is_clash = |(_, change): &(usize, &Change)| change.fate == Fate::Clash;
    let group = |(fates, title, about): (&[Fate], &'static str, &'static str)| Group {
        title,
        about,
        files: offer
            .changes
            .iter()
            .filter(|change| fates.contains(&change.fate))
            .map(|change| file(head, change))
            // A conflicting file is listed again if it also gets non-conflicting lines from the template.
            .filter(|file| !file.lines.is_empty() || !fates.contains(&Fate::Clash))
            .collect(),
    };
    let word = |word: &Word| WordView {
        label: match word.field {
            "description" => "Description".to_owned(),
            field => capitalized(field),
        },
        before: word.before.clone(),
        after: word.after.clone(),
    };
    let others = templates::builtin()
        .iter()
        .map(|one| Choice::new(&one.slug, &one.manifest.name, one.slug == offer.to.template));
    View {
        name: agent.name.clone(),
        template: called(&offer.to.template),
        slug: offer.to.template.clone(),
        from: offer.from.as_ref().map(|from| exactly(when, from)).unwrap_or_default(),
        to: exactly(when, &offer.to),
        mark: offer.mark.clone(),
        is_any: offer.is_any(),
        is_move: offer.is_move(),
        is_passed: offer.is_passed,
        clashes: offer.changes.iter().enumerate().filter(is_clash).map(clash).collect(),
        groups: GROUPS.into_iter().map(group).filter(|group| !group.files.is_empty()).collect(),
        words: offer.words.iter().map(word).collect(),
        templates: others.collect(),
        manages: head.manages,
    }
}

/// Form field of a conflicting place. The numbers refer to the offer that the form's `mark` identifies.
fn field(file: usize, place: usize) -> String {
    format!("place-{file}-{place}")
}

fn file(head: &Head, change: &Change) -> FileView {
    let (now, then) = change.texts();
    let unified = diff::unified(&change.path, &now, &then);
    // Skip the two header lines, which name the file.
    let unified = unified.splitn(3, '\n').nth(2).unwrap_or_default();
    FileView {
        href: format!("{}/files?path={}", head.base, query_value(&change.path)),
        path: change.path.clone(),
        lines: if change.is_text { lines(unified) } else { Vec::new() },
    }
}

/// `POST /agents/{slug}/upgrade`: applies the upgrade with the selected sides.
pub(super) async fn take(
    app: App,
    at: At<PageError>,
    hx: Hx,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    let word = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let template = Some(word("template")).filter(|one| !one.is_empty()).map(str::to_owned);
    let offer = upgrade::offer(&at.ws, &at.agent, template.as_deref()).await?;
    let side = |n, m| match word(&field(n, m)) {
        "template" => Side::Theirs,
        _ => Side::Mine,
    };
    let clashes = offer.changes.iter().enumerate().filter(|(_, one)| one.fate == Fate::Clash);
    let chosen = clashes.map(|(n, change)| {
        let sides = (0..change.places.len()).map(|m| side(n, m)).collect();
        (change.path.clone(), Chosen::Each(sides))
    });
    let wish = UpgradeRequest {
        template,
        mark: Some(word("mark").to_owned()),
        choices: chosen.collect(),
        rest: None,
    };
    let base = at.ws.url(&format!("agents/{}", at.agent.slug));
    let back = query_value(word("template"));
    let (flash, to) = match apply::apply(at.hand(), wish).await {
        Ok(applied) => {
            let name = at.ws.read(|snap| agents::called(snap, &at.agent))?;
            let flash = Flash::ok(format!(
                "Applied {} from {name}’s template.",
                format::count(applied.paths.len() as u64, "file", "files")
            ));
            let to = applied.commit.map(|commit| format!("{base}/history?commit={commit}"));
            (flash, to.unwrap_or(base))
        }
        Err(error) => (refused(error)?, format!("{base}/upgrade?template={back}")),
    };
    Ok(flash::say(&app, flash, hx.go_to(&to)))
}

/// Shows an error that a person can act on as a notice; returns any other error.
fn refused(error: UpgradeError) -> Result<Flash, PageError> {
    match error {
        error @ (UpgradeError::Working(_)
        | UpgradeError::Moved
        | UpgradeError::Undecided(_)
        | UpgradeError::Key { .. }
        | UpgradeError::NotLast
        | UpgradeError::Nothing(_)) => Ok(Flash::danger(sentence(&error.to_string()))),
        error if error.kind() == ProblemKind::Full => {
            Ok(Flash::danger(sentence(&error.to_string())))
        }
        error => Err(error.into()),
    }
}

/// `POST /agents/{slug}/upgrade/dismiss`
pub(super) async fn pass(app: App, at: At<PageError>, hx: Hx) -> Result<Response, PageError> {
    apply::pass(at.hand()).await?;
    let name = at.ws.read(|snap| agents::called(snap, &at.agent))?;
    let message = format!("{name} is unchanged until its template changes again.");
    Ok(flash::say(
        &app,
        Flash::ok(message),
        hx.go_to(&at.ws.url(&format!("agents/{}", at.agent.slug))),
    ))
}

#[derive(Deserialize)]
pub(super) struct Which {
    commit: String,
}

/// `POST /agents/{slug}/upgrade/undo`: reverts an upgrade.
pub(super) async fn undo(
    app: App,
    at: At<PageError>,
    hx: Hx,
    Form(Which { commit }): Form<Which>,
) -> Result<Response, PageError> {
    let id = CommitId::parse(&commit)?;
    let hand = at.hand();
    let flash = match apply::take_back(hand, id).await {
        Ok(back) if back.kept.is_empty() => {
            let name = at.ws.read(|snap| agents::called(snap, &at.agent))?;
            Flash::ok(format!("{name} was restored to before the upgrade."))
        }
        Ok(back) => {
            let kept: Vec<&str> = back.kept.iter().map(|(path, _)| path.as_str()).collect();
            Flash::ok(format!(
                "Upgrade undone. Kept because they changed since: \
                {}.",
                kept.join(", ")
            ))
        }
        Err(error) => refused(error)?,
    };
    Ok(flash::say(&app, flash, hx.go_to(&at.ws.url(&format!("agents/{}/upgrade", at.agent.slug)))))
}

/// An agent with an available upgrade.
struct Row {
    face: Face,
    href: String,
    template: String,
    /// Date of the agent's version; empty if unknown.
    from: String,
    to: String,
    about: String,
    is_clean: bool,
}

#[derive(Template)]
#[template(path = "agents/upgrades.html")]
struct UpgradesPage {
    shell: Shell,
    rows: Vec<Row>,
    /// Label of the button that applies all upgrades without conflicts; empty if there are none.
    take: String,
    all_href: String,
}

/// `GET /agents/upgrades`
pub(super) async fn list(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    let when = When::of(&ws, &who);
    let all = upgrade::offers(&ws).await?;
    let called = Called::among(&ws.read(|snap| agents::all(snap))?);
    let one = |(agent, offer): &(Agent, Offer)| row(&ws, &when, (agent, called.face(agent)), offer);
    let rows: Vec<Row> = all.iter().map(one).collect();
    let clean = rows.iter().filter(|row| row.is_clean).count();
    let take = match clean {
        0 => String::new(),
        _ if !who.access.may(Can::Agents) => String::new(),
        1 => "Upgrade the one without conflicts".to_owned(),
        many => format!("Upgrade all {many} without conflicts"),
    };
    html::page(&UpgradesPage { shell, rows, take, all_href: ws.url("agents/upgrades") })
}

fn row(ws: &Ws, when: &When, (agent, face): (&Agent, Face), offer: &Offer) -> Row {
    let work = offer.changes.iter().filter(|change| change.fate.is_work()).count();
    let clash = offer.count(Fate::Clash);
    let mut about = match work {
        0 => "profile".to_owned(),
        work => format::count(work as u64, "file", "files"),
    };
    if 0 < clash {
        about.push_str(&format!(", {clash} with conflicts"));
    }
    Row {
        face,
        href: ws.url(&format!("agents/{}/upgrade", agent.slug)),
        template: called(&offer.to.template),
        from: offer.from.as_ref().map(|from| exactly(when, from)).unwrap_or_default(),
        to: exactly(when, &offer.to),
        about,
        is_clean: offer.is_clean(),
    }
}

/// `POST /agents/upgrades`: applies all upgrades without conflicts.
pub(super) async fn take_clean(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
) -> Result<Response, PageError> {
    let (mut done, mut refused) = (0, Vec::new());
    for each in apply::apply_clean(&ws, &who).await? {
        match each.came {
            Ok(_) => done += 1,
            Err(error) => {
                let name = ws.read(|snap| agents::called(snap, &each.agent))?;
                refused.push(format!("{name} is unchanged: {error}."));
            }
        }
    }
    let message = format!("{} upgraded.", format::count(done, "agent is", "agents are"));
    let flash = match refused.is_empty() {
        true => Flash::ok(message),
        false => Flash::danger(format!("{message} {}", refused.join(" "))),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url("agents/upgrades"))))
}
