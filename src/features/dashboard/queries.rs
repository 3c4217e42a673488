//! Shared context of the dashboard's parts.

pub mod away;
pub mod hosts;
mod late;
pub mod mission;
pub mod needs;
pub mod requests;
pub mod since;
pub mod tally;
mod waiting;

use jiff::tz::{Offset, TimeZone};

use crate::agents::model::Agent;
use crate::agents::queries::{self as agents, Called};
use crate::runs::queries::today;
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

/// Name of the day of daily costs and budgets, which is a day in UTC: "today", or "today (UTC)" in other zones.
#[must_use]
pub fn spend_day(now: Timestamp, zone: &TimeZone) -> &'static str {
    if zone.to_offset(now) == Offset::UTC { "today" } else { "today (UTC)" }
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

    /// "today", with "UTC" if the day of the budgets is not the person's own.
    #[must_use]
    pub fn spend_day(&self) -> &'static str {
        spend_day(self.now, &self.zone)
    }

    /// Start of today in the person's zone.
    #[must_use]
    pub fn midnight(&self) -> Timestamp {
        today::midnight(self.now, &self.zone)
    }
}
