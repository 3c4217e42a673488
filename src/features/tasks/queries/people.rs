//! People and agents of a workspace: names, avatars, and lookup by name.

use crate::agents::model::Agent;
use crate::agents::queries::Called;
use crate::runs::model::{self as runs, Run};
use crate::tasks::queries::error::TaskError;
use crate::workspace::model::Member;
use kernel::{AccountId, Actor, AgentId, Assignee, RunState};
use store::{Range, Read, ReadExt, StoreError};
use tool::args::nearest;
use web::parts::{Choice, Face};

/// The members and agents of a workspace, loaded once per page or tool call.
pub struct People {
    members: Vec<Member>,
    agents: Vec<Agent>,
    working: Vec<AgentId>,
    called: Called,
}

impl People {
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let live = read.scan::<Run>(runs::RUN_LIVE, &Range::all())?;
        let working = live.iter().filter(|run| run.state == RunState::Running);
        let agents: Vec<Agent> = read.list(&Range::all())?;
        Ok(Self {
            working: working.map(|run| run.agent).collect(),
            members: read.list(&Range::all())?,
            called: Called::among(&agents),
            agents,
        })
    }

    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    /// Also finds former members.
    #[must_use]
    pub fn member(&self, id: AccountId) -> Option<&Member> {
        self.members.iter().find(|member| member.account == id)
    }

    /// Active or archived agent by case-insensitive slug.
    #[must_use]
    pub fn agent_called(&self, slug: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.slug.eq_ignore_ascii_case(slug))
    }

    /// Current member by case-insensitive handle.
    #[must_use]
    pub fn member_called(&self, handle: &str) -> Option<&Member> {
        let mut here = self.members.iter().filter(|member| member.left_at.is_none());
        here.find(|member| member.handle.eq_ignore_ascii_case(handle))
    }

    /// Agent slug or member handle, as used with `@` and by tools.
    #[must_use]
    pub fn handle(&self, who: Assignee) -> String {
        match who {
            Assignee::Agent(id) => self.agent(id).map(|agent| agent.slug.clone()),
            Assignee::Person(id) => self.member(id).map(|member| member.handle.clone()),
            Assignee::System => Some("hq".to_owned()),
        }
        .unwrap_or_else(|| "unknown".to_owned())
    }

    #[must_use]
    pub fn name(&self, who: Assignee) -> String {
        self.face(who).name
    }

    #[must_use]
    pub fn face(&self, who: Assignee) -> Face {
        match who {
            Assignee::Agent(id) => match self.agent(id) {
                Some(agent) => Face::agent(&self.called.name(agent), &agent.emoji, &agent.slug)
                    .working(self.working.contains(&id).into()),
                None => Face::agent("Former agent", "", "former"),
            },
            Assignee::Person(id) => match self.member(id) {
                Some(member) => Face::person(&member.name),
                None => Face::person("Former member"),
            },
            Assignee::System => Face::agent("HQ", "⚙️", "hq"),
        }
    }

    /// Face of an assignee, or the placeholder for nobody.
    #[must_use]
    pub fn face_or_nobody(&self, who: Option<Assignee>) -> Face {
        let nobody = || Face { name: "Unassigned".to_owned(), ..Face::nobody() };
        who.map_or_else(nobody, |who| self.face(who))
    }

    #[must_use]
    pub fn actor(&self, actor: Actor) -> Face {
        self.face(assignee_of(actor))
    }

    /// Agent slug or member handle of an actor.
    #[must_use]
    pub fn actor_handle(&self, actor: Actor) -> String {
        self.handle(assignee_of(actor))
    }

    /// Resolves `me`, a slug or handle (with or without `@`), an id, `none`, or `hq` for HQ itself.
    ///
    /// # Errors
    /// If the name is unknown. The message suggests the nearest name.
    pub fn find(&self, text: &str, me: Assignee) -> Result<Option<Assignee>, TaskError> {
        let word = text.trim().trim_start_matches('@');
        if word.eq_ignore_ascii_case("me") {
            return Ok(Some(me));
        }
        if let Some(agent) = self.agent_called(word) {
            return Ok(Some(Assignee::Agent(agent.id)));
        }
        if let Some(member) = self.member_called(word) {
            return Ok(Some(Assignee::Person(member.account)));
        }
        if word.is_empty() || ["none", "nobody", "unassigned"].contains(&word) {
            return Ok(None);
        }
        if let Ok(id) = word.parse()
            && self.agent(id).is_some()
        {
            return Ok(Some(Assignee::Agent(id)));
        }
        if let Ok(id) = word.parse()
            && self.member(id).is_some()
        {
            return Ok(Some(Assignee::Person(id)));
        }
        // After the handles, because a person may have this handle.
        if ["hq", "system"].iter().any(|own| word.eq_ignore_ascii_case(own)) {
            return Ok(Some(Assignee::System));
        }
        Err(self.unknown(word))
    }

    fn unknown(&self, word: &str) -> TaskError {
        let agents = self.agents.iter().filter(|agent| agent.archived_at.is_none());
        let members = self.members.iter().filter(|member| member.left_at.is_none());
        let names = agents
            .map(|agent| agent.slug.as_str())
            .chain(members.map(|member| member.handle.as_str()));
        let near = nearest(word, names, 3);
        let hint = match near.is_empty() {
            true => "; create an agent first".to_owned(),
            false => format!("; available: {}", near.join(", ")),
        };
        TaskError::UnknownAssignee { name: word.chars().take(60).collect(), hint }
    }

    /// Possible assignees for a select, including the current one in any case. Excludes HQ itself, because assigning to
    /// it starts nothing.
    #[must_use]
    pub fn choices(&self, now: Option<Assignee>, me: AccountId) -> Vec<Choice> {
        let mut list = vec![Choice::new("", "Unassigned", now.is_none())];
        for agent in &self.agents {
            let chosen = now == Some(Assignee::Agent(agent.id));
            if agent.archived_at.is_none() || chosen {
                list.push(Choice::new(&agent.slug, self.called.name(agent), chosen));
            }
        }
        for member in &self.members {
            let chosen = now == Some(Assignee::Person(member.account));
            if member.left_at.is_none() || chosen {
                let me = if member.account == me { " (you)" } else { "" };
                list.push(Choice::new(&member.handle, format!("{}{me}", member.name), chosen));
            }
        }
        if now == Some(Assignee::System) {
            list.push(Choice::new("hq", "HQ", true));
        }
        list
    }

    /// Possible assignees: agents, then members.
    #[must_use]
    pub fn takers(&self) -> Vec<Assignee> {
        let here = self.members.iter().filter(|member| member.left_at.is_none());
        let agents = self.agents().map(|agent| Assignee::Agent(agent.id));
        agents.chain(here.map(|member| Assignee::Person(member.account))).collect()
    }

    /// Returns `true` if a run of the agent is running.
    #[must_use]
    pub fn is_working(&self, id: AgentId) -> bool {
        self.working.contains(&id)
    }

    /// Slugs and handles with display names: agents, then members.
    #[must_use]
    pub fn names(&self) -> Vec<(String, String)> {
        let agents = self.agents().map(|agent| (agent.slug.clone(), self.called.name(agent)));
        agents.chain(self.members_named()).collect()
    }

    /// Handles of current members with display names.
    #[must_use]
    pub fn members_named(&self) -> Vec<(String, String)> {
        let here = self.members.iter().filter(|member| member.left_at.is_none());
        here.map(|member| (member.handle.clone(), member.name.clone())).collect()
    }

    /// Agents that are not archived, in creation order.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().filter(|agent| agent.archived_at.is_none())
    }
}

#[must_use]
pub fn assignee_of(actor: Actor) -> Assignee {
    match actor {
        Actor::Person { account, .. } => Assignee::Person(account),
        Actor::Agent { agent, .. } => Assignee::Agent(agent),
        Actor::Plugin(_) | Actor::Gateway(_) | Actor::System(_) => Assignee::System,
    }
}
