//! Shared context of the dashboard's parts.

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

/// Data shared by all parts of the dashboard.
pub struct DashboardContext<'a> {
    pub ws: &'a Ws,
    pub who: &'a Person,
    pub now: Timestamp,
    /// The person's time zone.
    pub zone: TimeZone,
    pub settings: Option<Settings>,
    /// Agents that are not archived.
    pub agents: Vec<Agent>,
    /// Distinct display names of the agents.
    pub called: Called,
}

impl<'a> DashboardContext<'a> {
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

    #[must_use]
    pub fn time(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }

    /// Display name, such as `MC-142`.
    #[must_use]
    pub fn task_name(&self, number: u32) -> String {
        let key = self.settings.as_ref().map_or("HQ", |settings| settings.task_key.as_str());
        format!("{key}-{number}")
    }

    /// An agent that is not archived.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    /// Start of today in the person's zone.
    #[must_use]
    pub fn midnight(&self) -> Timestamp {
        let today = self.now.to_zoned(self.zone.clone()).start_of_day();
        today.map_or(self.now, |start| start.timestamp())
    }
}
