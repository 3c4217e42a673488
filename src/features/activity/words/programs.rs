//! Sentences for events of agents' programs and browsers.

use super::{Speaker, Words};
use crate::agents::model::Agent;
use crate::jobs::model::Job;
use entity::Area;
use kernel::{AgentId, Event, WheelAct};
use store::{ReadExt, StoreError};
use web::format;

impl Speaker<'_> {
    /// Input to background programs, and their state after a restart of HQ.
    pub(super) fn program(&self, event: &Event) -> Result<Option<(Area, Words)>, StoreError> {
        let words = match event {
            Event::JobInputSent { job, .. } => {
                let Some(job) = self.read.get::<Job>(*job)? else { return Ok(None) };
                self.run("sent input to a program in", job.run, "", "terminal")?
            }
            Event::RunsTakenUp(runs) => Some(Words {
                verb: "resumed".to_owned(),
                thing: format::count((*runs).into(), "run", "runs"),
                path: "runs".to_owned(),
                rest: "after a restart".to_owned(),
                icon: "refresh",
                ..Words::default()
            }),
            Event::WheelTurned(agent, act) => self.wheel(*agent, *act)?,
            other => return self.grouping(other),
        };
        Ok(words.map(|words| (Area::Agents, words)))
    }

    /// Manual control of an agent's browser.
    fn wheel(&self, agent: AgentId, act: WheelAct) -> Result<Option<Words>, StoreError> {
        let Some(agent) = self.read.get::<Agent>(agent)? else { return Ok(None) };
        let (verb, rest) = match act {
            WheelAct::Taken => ("took control of", ""),
            WheelAct::TakenOver => ("took control of", "from someone else"),
            WheelAct::HandedBack => ("returned control of", ""),
            WheelAct::Left => ("returned control of", "after inactivity"),
            WheelAct::Acted => ("acted in", ""),
        };
        Ok(Some(Words {
            verb: verb.to_owned(),
            path: format!("agents/{}/browser", agent.slug),
            thing: format!("{}’s browser", agent.name),
            rest: rest.to_owned(),
            icon: "globe",
            ..Words::default()
        }))
    }
}
