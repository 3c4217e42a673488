//! `hq user …`: accounts, for whoever runs the machine.

use axum::http::Method;
use clap::{Args, Subcommand};

use app::config::Config;
use server::local::{FreshLink, LinkRequest};
use server::people::local::{Line, PeopleRequest};

use super::Common;
use super::commands::{list, print};
use super::reach::{self, CommandError, block_on};

/// `hq user …`
#[derive(Subcommand)]
pub enum Command {
    /// List accounts
    List,
    /// Create a one-time link that sets a new password (or sets HQ up)
    ResetLink(ResetLink),
    /// Disable an account: it is signed out everywhere, and its tokens stop working
    Disable {
        /// The email address
        email: String,
    },
    /// Enable a disabled account
    Enable {
        /// The email address
        email: String,
    },
    /// Remove an account that belongs to no workspace
    Remove {
        /// The email address
        email: String,
    },
}

/// Flags of `hq user reset-link`.
#[derive(Args)]
pub struct ResetLink {
    /// The email address; optional if there is one account
    email: Option<String>,
    /// Also reset a lost second step
    #[arg(long)]
    factors: bool,
}

pub fn run(common: &Common, config: Config, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List => list(common, config, "/local/accounts", line),
        Command::ResetLink(flags) => reset_link(common, config, flags),
        Command::Disable { email } => {
            let done = "is disabled; no one can sign in with it";
            act(common, config, &PeopleRequest::Disable { email }, done)
        }
        Command::Enable { email } => act(
            common,
            config,
            &PeopleRequest::Enable { email },
            "is enabled; it can sign in again",
        ),
        Command::Remove { email } => act(
            common,
            config,
            &PeopleRequest::Remove { email },
            "is removed; its address can be used again",
        ),
    }
}

fn line(one: &Line) -> String {
    let places: Vec<_> =
        one.places.iter().map(|place| format!("{} of {}", place.role, place.slug)).collect();
    let state = match one.disabled_at {
        Some(at) => format!("disabled since {at}"),
        None if places.is_empty() => "in no workspace".to_owned(),
        None => places.join(", "),
    };
    format!("{:<32} {:<24} {state}", one.email, one.name)
}

fn act(
    common: &Common,
    config: Config,
    wish: &PeopleRequest,
    done: &str,
) -> Result<u8, CommandError> {
    let now: Line = block_on(async {
        reach::local(config).await?.call(Method::POST, "/local/accounts", Some(wish)).await
    })?;
    print(common, &now, &[format!("The account {} {done}.", now.email)])
}

/// `hq user reset-link`.
fn reset_link(common: &Common, config: Config, flags: ResetLink) -> Result<u8, CommandError> {
    let wish = LinkRequest { email: flags.email, factors: flags.factors };
    let made: FreshLink = block_on(async {
        reach::local(config).await?.call(Method::POST, "/local/reset-link", Some(&wish)).await
    })?;
    let what = match &made.email {
        Some(email) => format!("Sets a new password for {email}, once, until {}:", made.expires_at),
        None => format!("Sets HQ up, once, until {}:", made.expires_at),
    };
    print(common, &made, &[what, made.link.clone()])
}
