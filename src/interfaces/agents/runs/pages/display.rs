//! Formatting on run pages: times, faces, Markdown.

use std::time::Duration;

use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{Called, by_slug};
use features::links::queries as links;
use features::runs::model::{Body, Run};
use features::runs::queries::questions::Reader;
use features::runs::queries::steps::What;
use features::runs::queries::words;
use features::tasks::model::Task;
use features::workspace::model::{Member, Settings};
use features::workspace::queries::modules::Off;
use kernel::{AccountId, Actor, Can, Outcome, RunId, RunState, Timestamp};
use store::{Range, Read, ReadExt, StoreError};
use web::html::SafeHtml;
use web::md;
use web::parts::Face;
use web::session::{Access, Person};
use web::time::RelTime;

/// Size limit of a blob that a page reads in full, in bytes.
const MAX_BLOB: u64 = 4 * 1024 * 1024;

/// The reader's context: workspace, rights, time and zone.
pub(super) struct Look<'a> {
    pub ws: &'a Ws,
    pub me: AccountId,
    pub access: Access,
    pub now: Timestamp,
    pub zone: TimeZone,
    pub may_write: bool,
    /// Whether this person may chat with agents.
    pub may_chat: bool,
    /// Whether this person may change agents and their files.
    pub may_manage: bool,
    /// Whether this person may answer approvals.
    pub may_approve: bool,
    settings: Option<Settings>,
    /// Display names of agents.
    called: Called,
}

impl<'a> Look<'a> {
    pub fn new(tx: &dyn Read, ws: &'a Ws, who: &Person) -> Result<Self, StoreError> {
        let agents: Vec<Agent> = tx.list(&Range::all())?;
        Ok(Self {
            ws,
            me: who.account,
            access: who.access,
            may_write: who.access.may(Can::Write),
            may_chat: who.access.may(Can::Chat),
            may_manage: who.access.may(Can::Agents),
            may_approve: who.access.may(Can::Approve),
            now: ws.app.clock.now(),
            zone: TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC),
            settings: tx.get::<Settings>(())?,
            called: Called::among(&agents),
        })
    }

    /// The context for cards of questions.
    pub fn reader(&self) -> Reader<'_> {
        Reader { ws: self.ws, now: self.now, zone: &self.zone, access: self.access, me: self.me }
    }

    /// Tone and text of an unsuccessful end.
    pub fn trouble(
        &self,
        tx: &dyn Read,
        what: &What,
    ) -> Result<Option<(&'static str, String)>, StoreError> {
        let What::Ended { outcome, .. } = what else { return Ok(None) };
        Ok(match outcome {
            Outcome::Done | Outcome::Snoozed { .. } | Outcome::NoOutcome => None,
            Outcome::Stopped { by: Some(by) } if *by == self.me => {
                Some(("neutral", "You stopped this.".to_owned()))
            }
            Outcome::Stopped { by: Some(by) } => {
                Some(("neutral", format!("{} stopped this.", self.person(tx, *by)?)))
            }
            Outcome::Stopped { by: None } => Some(("neutral", "This was stopped.".to_owned())),
            Outcome::Limit { .. } | Outcome::Interrupted => {
                words::reason(outcome).map(|text| ("warn", text))
            }
            Outcome::Failed { .. } | Outcome::CrashLoop => {
                words::reason(outcome).map(|text| ("danger", text))
            }
        })
    }

    pub fn time(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }

    /// Whether this person may save something as knowledge. Not while that module is disabled.
    pub fn may_keep(&self) -> bool {
        let is_off = |settings| Off::in_settings(settings).has("knowledge");
        self.may_write && !self.settings.as_ref().is_some_and(is_off)
    }

    /// `MC-142`.
    pub fn task_name(&self, task: &Task) -> String {
        let key = self.settings.as_ref().map_or("HQ", |settings| settings.task_key.as_str());
        format!("{key}-{}", task.number)
    }

    /// The face of an agent, with a ring while it works.
    pub fn agent(&self, agent: &Agent, works: bool) -> Face {
        self.called.face(agent).working(works.into())
    }

    /// The display name of an agent.
    pub fn called(&self, agent: &Agent) -> String {
        self.called.name(agent)
    }

    /// Address of "stop", if the run can be stopped and this person may.
    pub fn stop(&self, run: &Run) -> Option<String> {
        let may = self.may_chat && run.can_stop();
        may.then(|| self.ws.url(&format!("runs/{}/stop", run.name())))
    }

    /// The name of an actor; "You" for the reader.
    pub fn actor(&self, tx: &dyn Read, actor: Actor) -> Result<String, StoreError> {
        Ok(match actor {
            Actor::Person { account, .. } if account == self.me => "You".to_owned(),
            Actor::Person { account, .. } => self.person(tx, account)?,
            Actor::Agent { agent, .. } => {
                let agent = tx.get::<Agent>(agent)?;
                agent.map_or_else(|| "An agent".to_owned(), |agent| self.called(&agent))
            }
            Actor::Plugin(_) | Actor::Gateway(_) | Actor::System(_) => "HQ".to_owned(),
        })
    }

    /// The face of an actor; the reader's own shows initials, too.
    pub fn face(&self, tx: &dyn Read, actor: Actor) -> Result<Face, StoreError> {
        Ok(Face::person(&match actor {
            Actor::Person { account, .. } => self.person(tx, account)?,
            other => self.actor(tx, other)?,
        }))
    }

    pub fn person(&self, tx: &dyn Read, account: AccountId) -> Result<String, StoreError> {
        let member = tx.get::<Member>(account)?;
        Ok(member.map_or_else(|| "Former member".to_owned(), |member| member.name))
    }

    /// Renders Markdown with links to tasks and agents.
    pub fn md(&self, tx: &dyn Read, text: &str) -> SafeHtml {
        self.md_of(tx, text, None)
    }

    /// Renders text of a run; citations of records that the run did not read are marked.
    pub fn md_of(&self, tx: &dyn Read, text: &str, by: Option<RunId>) -> SafeHtml {
        let text = links::named_in(tx, self.ws, text, by);
        md::render(&text, &|word| self.target(tx, word))
    }

    fn target(&self, tx: &dyn Read, word: &str) -> Option<String> {
        if let Some(slug) = word.strip_prefix('@') {
            let agent = by_slug(tx, &slug.to_lowercase()).ok().flatten()?;
            return Some(self.ws.url(&format!("agents/{}", agent.slug)));
        }
        let (key, number) = word.split_once('-')?;
        let settings = self.settings.as_ref()?;
        let ours = settings.task_key == key || settings.old_task_keys.iter().any(|old| old == key);
        let number: u32 = number.parse().ok().filter(|_| ours)?;
        Some(self.ws.url(&format!("tasks/{}-{number}", settings.task_key)))
    }

    /// The full text, unless its blob is too large.
    pub fn whole(&self, body: &Body) -> Option<String> {
        match body {
            Body::Inline(text) => Some(text.clone()),
            Body::Blob { id, .. } => {
                let bytes = self.ws.blobs.get(*id, MAX_BLOB).ok()?;
                String::from_utf8(bytes).ok()
            }
        }
    }

    /// How long a run has worked.
    pub fn duration(&self, run: &Run) -> Option<Duration> {
        let start = run.started_at?;
        let end = match run.state {
            RunState::Ended => run.ended_at?,
            _ => self.now,
        };
        Some(between(start, end))
    }
}

/// The time from one moment to a later one.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    let ms = to.as_millisecond().saturating_sub(from.as_millisecond());
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
