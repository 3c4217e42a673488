//! One browser action through the API: parameters, access checks, execution.
//!
//! An action by a person's program needs no approval, like an action by the person. Permissions that deny an action to
//! this agent's browser apply here too, and so do the hosts and scripts that its policy blocks.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use app::Ws;
use browser::act::{Aim, Click, Does, Point, Stake, Wait};
use browser::fields::FieldKind;
use browser::hang;
use browser::page::Page;
use browser::refs;
use browser::tabs::DialogAnswer;
use features::agents::model::Agent;
use features::browsers::queries;
use features::trust::queries::{self as trust, SiteAct};
use kernel::{ProblemKind, TypedId as _};
use net::guard;
use web::error::{ApiError, Failure};
use web::session::Person;

/// Default and maximum duration of `wait`, in seconds.
const SECONDS: u64 = 10;
const MAX_SECONDS: u64 = 60;
/// Extra time for the snapshot after a wait.
const BEHIND: Duration = Duration::from_secs(4);
/// Default distance of `scroll`, in pixels.
const SCROLL: f64 = 600.0;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Navigate,
    Back,
    Forward,
    Reload,
    Click,
    Hover,
    Type,
    Fill,
    Select,
    Press,
    Scroll,
    Drag,
    Wait,
    Dialog,
    Evaluate,
}

/// An act, with the arguments of the agents' tool `browser`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BrowserAct")]
pub(super) struct ActBody {
    pub(super) kind: Kind,
    /// The number of the tab; without it the one at work.
    pub(super) tab: Option<u32>,
    /// A part of the page, such as e12 in a snapshot.
    #[serde(rename = "ref")]
    part: Option<String>,
    /// For drag: where to.
    to_ref: Option<String>,
    /// For navigate; for wait: a part of the address.
    url: Option<String>,
    /// For type, fill, dialog; for wait: words that come; for evaluate: the script.
    text: Option<String>,
    /// For select: words or values.
    options: Option<Vec<String>>,
    /// For press: Enter, ArrowDown, Control+A. For dialog: Escape for Cancel.
    key: Option<String>,
    /// For click without ref, and for scroll: pixels.
    x: Option<f64>,
    /// As x; scroll goes 600 down.
    y: Option<f64>,
    /// For wait (10).
    seconds: Option<u64>,
}

impl Kind {
    /// Whether the action loads another page.
    pub(super) fn brings_a_page(self) -> bool {
        matches!(self, Self::Navigate | Self::Back | Self::Forward | Self::Reload)
    }
}

impl ActBody {
    /// A navigation of a tab, with an address if the kind takes one.
    pub(super) fn moving(kind: Kind, tab: Option<u32>, url: Option<String>) -> Self {
        Self {
            kind,
            tab,
            url,
            part: None,
            to_ref: None,
            text: None,
            options: None,
            key: None,
            x: None,
            y: None,
            seconds: None,
        }
    }

    fn part(&self) -> Result<u32, ApiError> {
        let part = self.part.as_deref();
        Ok(refs::parse(part.ok_or_else(|| ApiError::invalid("ref", "give a ref, such as e12"))?)?)
    }

    /// The target; `None` for an action that only reads or navigates.
    fn aim(&self) -> Result<Option<Aim>, ApiError> {
        Ok(match (self.kind, self.x, self.y) {
            (Kind::Click, Some(x), Some(y)) if self.part.is_none() => {
                Some(Aim::Place(Point { x, y }))
            }
            (Kind::Press, ..) if self.part.is_none() => Some(Aim::Focus),
            (Kind::Evaluate, ..) if self.part.is_none() => Some(Aim::Page),
            (Kind::Dialog, ..) => Some(Aim::Page),
            (
                Kind::Click
                | Kind::Press
                | Kind::Type
                | Kind::Fill
                | Kind::Select
                | Kind::Drag
                | Kind::Evaluate,
                ..,
            ) => Some(Aim::Part(self.part()?)),
            _ => None,
        })
    }

    fn text(&self) -> Result<&str, ApiError> {
        self.text.as_deref().ok_or_else(|| ApiError::invalid("text", "enter the text"))
    }

    fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(SECONDS).clamp(1, MAX_SECONDS))
    }

    /// Time limit of the action, including the snapshot after it.
    pub(super) fn budget(&self) -> Duration {
        match self.kind {
            Kind::Wait | Kind::Evaluate => self.seconds() + BEHIND,
            _ => hang::ACT_WITHIN,
        }
    }

    fn wait(&self) -> Wait {
        match (&self.text, &self.url) {
            (Some(text), _) => Wait::Text(text.clone()),
            (None, Some(url)) => Wait::Url(url.clone()),
            (None, None) => Wait::Idle,
        }
    }
}

fn forbidden(code: &str, why: impl Into<String>) -> ApiError {
    ApiError(Failure::new(ProblemKind::Forbidden, code, why))
}

/// Refuses an address that the agent's browser policy or a permission blocks.
pub(super) fn may_open(ws: &Ws, agent: &Agent, url: &str) -> Result<(), ApiError> {
    // ok: opening an invalid address fails later
    let Some(at) = browser::page::address(url).ok().and_then(|url| guard::parse(&url).ok()) else {
        return Ok(());
    };
    if let Some(why) = ws.read(|snap| queries::closes(snap, &[agent.id], &at))? {
        return Err(forbidden("denied", why));
    }
    unless_refused(ws, agent, Some(("GET", at.as_str())))
}

/// Refuses what a permission denies to this agent's browser, whoever acts, and scripts where they are disabled.
pub(super) async fn let_through(
    ws: &Ws,
    agent: &Agent,
    page: &Page,
    body: &ActBody,
) -> Result<(), ApiError> {
    if body.kind == Kind::Evaluate && !ws.read(|snap| queries::policy(snap, agent.id))?.scripts {
        let why = "scripts are off for this agent's browser; an owner or admin can allow them";
        return Err(forbidden("evaluate_off", why));
    }
    if body.kind == Kind::Navigate {
        return may_open(ws, agent, body.url.as_deref().unwrap_or_default());
    }
    let Some(aim) = body.aim()? else { return unless_refused(ws, agent, None) };
    let stake = page.stake(aim).await?;
    let does = match body.kind {
        Kind::Click => Does::Click,
        Kind::Press => Does::Press(body.key.as_deref().unwrap_or_default()),
        _ => Does::Other,
    };
    let sends = stake.is_sent_by(does);
    let mut acts = vec![SiteAct::Act];
    acts.extend((sends && stake.is_delicate()).then_some(SiteAct::Send));
    acts.extend((sends && stake.downloads).then_some(SiteAct::Download));
    acts.extend((body.kind == Kind::Evaluate).then_some(SiteAct::Evaluate));
    may_act(ws, agent, &stake, &acts)
}

/// Refuses actions at a site that a permission denies.
pub(super) fn may_act(
    ws: &Ws,
    agent: &Agent,
    stake: &Stake,
    acts: &[SiteAct],
) -> Result<(), ApiError> {
    let site = stake.site();
    for act in acts {
        unless_refused(ws, agent, site.as_ref().map(|at| (act.word(), at.as_str())))?;
    }
    Ok(())
}

fn unless_refused(ws: &Ws, agent: &Agent, does: Option<(&str, &str)>) -> Result<(), ApiError> {
    let now = ws.app.clock.now();
    match ws.read(|snap| trust::refused_in_browser(snap, agent.id, does, now))? {
        Some(why) => Err(forbidden("denied", format!("{why}."))),
        None => Ok(()),
    }
}

/// The field that the action types a credential into, if any. From then on capture is paused.
pub(super) async fn credential(page: &Page, body: &ActBody) -> Result<Option<u32>, ApiError> {
    let field = match (body.kind, &body.part) {
        (Kind::Type | Kind::Fill | Kind::Press, Some(_)) => page.field(body.part()?).await?,
        (Kind::Press, None) => page.focused_field().await?,
        _ => None,
    };
    let takes = |kind| matches!(kind, FieldKind::Password | FieldKind::Code);
    Ok(field.filter(|field| takes(field.kind)).map(|field| field.number))
}

pub(super) async fn perform(
    page: &Page,
    who: &Person,
    body: &ActBody,
) -> Result<Option<String>, ApiError> {
    match body.kind {
        Kind::Navigate => {
            let url = body.url.as_deref();
            let url = url.ok_or_else(|| ApiError::invalid("url", "enter the URL to open"))?;
            page.navigate(url).await.map(drop)?;
        }
        Kind::Back => page.back().await.map(drop)?,
        Kind::Forward => page.forward().await.map(drop)?,
        Kind::Reload => page.reload().await.map(drop)?,
        Kind::Click => match (&body.part, body.x, body.y) {
            (None, Some(x), Some(y)) => page.click_at(Point { x, y }, Click::default()).await?,
            _ => page.click(body.part()?, Click::default()).await?,
        },
        Kind::Hover => page.hover(body.part()?).await?,
        Kind::Type => page.type_text(body.part()?, body.text()?).await?,
        Kind::Fill => page.fill(body.part()?, body.text()?).await?,
        Kind::Select => {
            let options = body.options.as_deref();
            let options = options.ok_or_else(|| ApiError::invalid("options", "give the option"))?;
            page.select(body.part()?, options).await?;
        }
        Kind::Press => {
            let key = body.key.as_deref();
            let key = key.ok_or_else(|| ApiError::invalid("key", "give a key, such as Enter"))?;
            match &body.part {
                Some(_) => page.press_in(body.part()?, key).await?,
                None => page.press(key).await?,
            }
        }
        Kind::Scroll => {
            let part = body.part.as_deref().map(refs::parse).transpose()?;
            let usual = if body.x.is_some() { 0.0 } else { SCROLL };
            page.scroll(part, body.x.unwrap_or(0.0), body.y.unwrap_or(usual)).await?;
        }
        Kind::Drag => {
            let to = body.to_ref.as_deref();
            let to = to.ok_or_else(|| ApiError::invalid("to_ref", "give the ref to drag it to"))?;
            page.drag(body.part()?, refs::parse(to)?).await?;
        }
        Kind::Wait => {
            page.wait(&body.wait(), body.seconds()).await?;
        }
        Kind::Evaluate => {
            let part = body.part.as_deref().map(refs::parse).transpose()?;
            return Ok(Some(page.run_script(part, body.text()?, body.seconds()).await?));
        }
        Kind::Dialog => {
            let answer = match body.key.as_deref() {
                Some("Escape") => DialogAnswer::Dismiss,
                _ => DialogAnswer::Accept(body.text.clone().unwrap_or_default()),
            };
            page.answer_next_dialog(who.account.uuid(), answer)?;
        }
    }
    Ok(None)
}
