//! `hq workspace …`

use std::path::PathBuf;

use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use app::config::Config;
use kernel::WorkspaceState;
use server::workspaces::local::{Line, WorkspaceRequest};
use web::format;

use super::Common;
use super::commands::{list, print};
use super::door::{Ask, Door};
use super::reach::{self, CommandError, block_on};

/// `hq workspace …`
#[derive(Subcommand)]
pub enum Command {
    /// List workspaces with their states
    List,
    /// Add a workspace
    Add(Add),
    /// Rename a workspace; its slug stays
    Rename {
        /// Its slug
        slug: String,
        /// The new name
        name: String,
    },
    /// Archive a workspace: it can be read, its agents stop
    Archive {
        /// Its slug
        slug: String,
    },
    /// Restore a workspace that is archived or about to be deleted
    Restore {
        /// Its slug
        slug: String,
    },
    /// Delete a workspace after seven days; until then it can be restored
    Delete {
        /// Its slug
        slug: String,
        /// Its full name, to confirm
        #[arg(long)]
        name: Option<String>,
    },
    /// Move a workspace's folder away; this HQ adopts it again at its next start if it is put back
    ///
    /// Another HQ also adopts it, but its members are accounts of this HQ. There all work is paused until someone
    /// resumes it, the person who set up that HQ owns it, and the others have to be invited again by their addresses.
    /// `hq export` and `hq import` do the same with one file, and keep members who have an account there.
    Move {
        /// Its slug
        slug: String,
        /// A folder that does not exist yet
        to: PathBuf,
    },
}

/// Flags of `hq workspace add`.
#[derive(Args)]
pub struct Add {
    /// Its name
    name: String,
    /// Its time zone, such as Europe/Berlin [default: UTC]
    #[arg(long)]
    zone: Option<String>,
    /// The owner's email address; optional if there is one account
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
}

/// Runs one of them.
///
/// # Errors
/// What was refused, or that HQ does not answer.
pub fn run(common: &Common, config: Config, command: Command) -> Result<u8, CommandError> {
    let (wish, done) = match command {
        Command::List => return list(common, config, "/local/workspaces", line),
        Command::Add(Add { name, zone, owner }) => {
            (WorkspaceRequest::Add { name, zone, email: owner }, "is ready")
        }
        Command::Rename { slug, name } => return rename(common, &config, &slug, &name),
        Command::Archive { slug } => (WorkspaceRequest::Archive { slug }, "is archived"),
        Command::Restore { slug } => (WorkspaceRequest::Restore { slug }, "is restored"),
        Command::Delete { slug, name } => (
            WorkspaceRequest::Delete { slug, name },
            "will be deleted in seven days; to keep it: `hq workspace restore`",
        ),
        Command::Move { slug, to } => {
            // The program may run elsewhere than this command.
            let to = std::path::absolute(&to).map_err(|e| CommandError::Failed(e.to_string()))?;
            (WorkspaceRequest::Move { slug, to }, "is moved")
        }
    };
    let answer: Value = block_on(async {
        reach::local(config).await?.call(Method::POST, "/local/workspaces", Some(&wish)).await
    })?;
    let slug = answer["slug"].as_str().unwrap_or_default();
    print(common, &answer, &[format!("The workspace {slug} {done}.")])
}

fn rename(common: &Common, config: &Config, slug: &String, name: &str) -> Result<u8, CommandError> {
    let body = json!({ "name": name });
    let settings = block_on(async {
        let door = Door::here(config).await?;
        door.call(Ask::patch("/api/v1/settings", &body).within(Some(slug))).await
    })?;
    print(common, &settings, &[format!("Renamed the workspace {slug} to {name}.")])
}

fn line(one: &Line) -> String {
    let state = match (&one.broken, one.state) {
        (Some(reason), _) => format!("can't be opened: {reason}"),
        (None, WorkspaceState::Active) => format::count(one.members as u64, "member", "members"),
        (None, WorkspaceState::Archived) => "archived".to_owned(),
        (None, WorkspaceState::Deleting) => {
            let at = one.delete_after.map(|at| at.to_string()).unwrap_or_default();
            format!("will be deleted at {at}")
        }
    };
    format!("{:<24} {:<32} {state}", one.slug, one.name)
}
