//! The sandbox of an agent's programs: the requested restrictions, and how this machine's self-test enforces them.

use schemars::JsonSchema;
use serde::Serialize;

use app::{App, Ws};
use sandbox::SandboxError;
use sandbox::policy::{Limits, WithoutLandlock};
use sandbox::posture::{Overall, Posture, SelfTest, Verdict};
use store::{ReadExt as _, StoreError};

use super::authorize::{self, Reach};
use crate::agents::model::{Agent, ReachOf};
use crate::agents::queries::reach;
use crate::workspace::model::Settings;

/// What is asked for, and what was found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Explained {
    /// Whether the agent runs programs at all.
    pub runs: bool,
    /// What its programs may do, in sentences.
    pub asked: Vec<String>,
    /// The hosts that they reach, if they are listed.
    pub hosts: Vec<String>,
    /// What this machine makes of it: `strong`, `coarse` or `none`.
    pub overall: &'static str,
    /// The same in a sentence.
    pub says: &'static str,
    /// Whether programs are started on this machine.
    pub starts: bool,
    /// The version of the kernel's Landlock in use; 0 for none.
    pub landlock_abi: u8,
    /// What the self-test has tried.
    pub found: Vec<Found>,
}

/// One thing that the self-test has tried.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Found {
    /// `held`, `coarse`, `broken`, or `limit` for what is the same on every machine.
    pub how: &'static str,
    /// In a sentence.
    pub text: String,
}

/// Runs the sandbox self-test: three programs, about 0.1 s. Blocking.
///
/// # Errors
/// If the self-test cannot run.
pub fn tested(app: &App, without_landlock: WithoutLandlock) -> Result<Posture, SandboxError> {
    let key = app.config.key_file();
    let test = SelfTest {
        data: app.config.data.clone(),
        master_key: key.is_file().then_some(key),
        without_landlock,
        landlock_ceiling: None,
    };
    test.run(&app.sandbox)
}

/// The requested restrictions of an agent's programs and their enforcement on this machine. Blocking.
///
/// # Errors
/// If the store fails or the self-test cannot run.
pub fn explain(ws: &Ws, agent: &Agent) -> Result<Explained, StoreError> {
    let (reach, hosts, settings) = ws.read(|snap| {
        let reach = authorize::programs(snap, &[agent.id])?;
        let hosts = reach::of(snap, ReachOf::Agent(agent.id))?;
        Ok::<_, StoreError>((reach, hosts, snap.get::<Settings>(())?))
    })?;
    let free = settings.is_some_and(|settings| settings.exec_without_jail);
    let without = if free { WithoutLandlock::Start } else { WithoutLandlock::Refuse };
    let posture =
        tested(&ws.app, without).map_err(|error| StoreError::Failed(error.to_string()))?;
    let hosts = if agent.network { hosts } else { Vec::new() };
    let (overall, says) = match (posture.overall, posture.starts) {
        (Overall::Strong, _) => ("strong", "Fully enforced on this machine."),
        (Overall::Coarse, _) => ("coarse", "Enforced, with the exceptions below."),
        (Overall::None, true) => {
            ("none", "Not enforced on this machine: programs can do anything HQ can.")
        }
        (Overall::None, false) => {
            ("none", "This machine can’t enforce it, so programs don’t start.")
        }
    };
    let found = posture.lines.into_iter().map(|line| Found {
        how: match line.verdict {
            Verdict::Held => "held",
            Verdict::Coarse => "coarse",
            Verdict::Broken => "broken",
            Verdict::Limit => "limit",
        },
        text: line.text,
    });
    Ok(Explained {
        runs: agent.exec,
        asked: describe_restrictions(agent, reach, !hosts.is_empty(), free),
        hosts,
        overall,
        says,
        starts: posture.starts,
        landlock_abi: posture.landlock_abi,
        found: found.collect(),
    })
}

/// The requested restrictions as sentences.
fn describe_restrictions(agent: &Agent, reach: Reach, has_hosts: bool, free: bool) -> Vec<String> {
    if !agent.exec {
        return vec!["It doesn’t run programs.".to_owned()];
    }
    let mut restrictions = vec![
        "They can only write to the agent’s folder and its scratch folder.".to_owned(),
        "They can read system programs, but nothing of HQ or other agents.".to_owned(),
    ];
    restrictions.push(match (agent.network, has_hosts) {
        (false, _) => "They have no network access.".to_owned(),
        (true, true) => "They reach only its listed hosts, through HQ.".to_owned(),
        (true, false) => {
            "They reach every public host on ports 80 and 443 through HQ, but no private hosts."
                .to_owned()
        }
    });
    let Limits { file_bytes, open_files, .. } = Limits::default();
    if let (Some(bytes), Some(files)) = (file_bytes, open_files) {
        let files = web::format::grouped(files);
        let size = web::format::size(bytes);
        restrictions.push(format!("Each can have at most {files} open files of up to {size}."));
    }
    if free {
        restrictions.push(match reach {
            Reach::Unjailed => {
                "An owner allows them to run without a sandbox here, because the kernel has \
                 none."
                    .to_owned()
            }
            _ => "An owner allows them to run without a sandbox where the kernel has \
                none."
                .to_owned(),
        });
    }
    restrictions
}
