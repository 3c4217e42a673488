//! What all parts of the first page know.

pub mod away;
pub mod hosts;
mod late;
pub mod mission;
pub mod needs;
pub mod since;
pub mod tally;
mod waiting;

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::agents::queries::{self as agents, Called};
use crate::workspace::model::Settings;
use app::Ws;
use kernel::{AgentId, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::session::Person;
use web::time::RelTime;

/// What all parts of the first page know.
pub struct DashboardContext<'a> {
    /// The workspace.
    pub ws: &'a Ws,
    pub who: &'a Person,
    /// The moment.
    pub now: Timestamp,
    /// The zone of the person.
    pub zone: TimeZone,
    /// What is set for the workspace.
    pub settings: Option<Settings>,
    /// All agents that are not archived.
    pub agents: Vec<Agent>,
    /// What they are called among each other.
    pub called: Called,
}

impl<'a> DashboardContext<'a> {
    /// Reads it.
    pub fn new(tx: &dyn Read, ws: &'a Ws, who: &'a Person) -> Result<Self, StoreError> {
        let agents = agents::all(tx)?;
        Ok(Self {
            ws,
            who,
            now: ws.app.clock.now(),
            zone: TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC),
            settings: tx.get::<Settings>(())?,
            called: Called::among(&agents),
            agents,
        })
    }

    /// A moment as the person sees it.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }

    /// `MC-142`.
    #[must_use]
    pub fn task_name(&self, number: u32) -> String {
        let key = self.settings.as_ref().map_or("HQ", |settings| settings.task_key.as_str());
        format!("{key}-{number}")
    }

    /// One that is not archived.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    /// The person's midnight.
    #[must_use]
    pub fn midnight(&self) -> Timestamp {
        let today = self.now.to_zoned(self.zone.clone()).start_of_day();
        today.map_or(self.now, |start| start.timestamp())
    }
}
