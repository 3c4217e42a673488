//! `hq member …` and `hq invite …`: who belongs to a workspace, and who is asked in.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use kernel::Role;

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{handle, listed, moment, one_of, part, pick, query, quoted};

const MEMBERS: &str = "/api/v1/members";
/// Where invitations are.
const INVITES: &str = "/api/v1/invites";
/// What is asked of people who sign in.
const POLICY: &str = "/api/v1/sign-in-policy";

/// `hq member …`
#[derive(Subcommand)]
pub enum Command {
    /// List the workspace's members
    List(Place),
    /// Change the role of a member
    Role {
        #[command(flatten)]
        which: Which,
        /// owner, admin, member or viewer
        #[arg(value_parser = one_of(Role::ALL.iter().map(|one| one.word())))]
        role: String,
    },
    /// Remove a member: their name stays, their work is handed over
    Remove(Leaving),
    /// Hand a member's work over; they stay a member
    Handover(Leaving),
    /// Reset a lost second step; the member is signed out everywhere
    ResetFactors(Which),
    /// Show or set (`on`, `off`) whether owners and admins must use two-step sign-in
    SecondStep {
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        set: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Which member.
#[derive(Args)]
pub struct Which {
    /// The handle, email address or name
    member: String,
    #[command(flatten)]
    place: Place,
}

/// Whose work goes to whom.
#[derive(Args)]
pub struct Leaving {
    #[command(flatten)]
    which: Which,
    /// Who takes over: a handle, email address or name [default: you, or an owner]
    #[arg(long)]
    to: Option<String>,
}

/// `hq invite …`
#[derive(Subcommand)]
pub enum Invite {
    /// List open invitations
    List(Place),
    /// Create an invitation; its link is printed once, and emailed if there are an address and a mail server
    Add {
        /// The role of the new member
        #[arg(long, default_value = Role::Member.word(), value_parser = one_of(Role::ALL.iter().map(|one| one.word())))]
        role: String,
        /// The only email address that can use it
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Revoke an invitation: its link stops working
    Withdraw {
        /// Its id, as `hq invite list` shows it
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Runs one of `hq member`.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => {
            let all = members(door, &place).await?;
            print(common, &all, &listed(&all, member_row, "No members."))
        }
        Command::Role { which, role } => {
            let path = path(door, &which, "").await?;
            let ask = Ask::patch(path, &json!({ "role": role }));
            let now = door.call(ask.within(which.place.workspace.as_ref())).await?;
            let role = kernel::text::with_article(word(&now, "role"));
            let message = format!("{} is now {role}.", word(&now, "name"));
            print(common, &now, &[message])
        }
        Command::Remove(flags) => {
            let ask = Ask::delete(leaving(door, &flags, "").await?);
            let gone = door.call(ask.within(flags.which.place.workspace.as_ref())).await?;
            print(common, &gone, &[format!("Removed {} from the workspace.", word(&gone, "name"))])
        }
        Command::Handover(flags) => {
            let ask = Ask::post(leaving(door, &flags, "/handover").await?, &json!({}));
            let left = door.call(ask.within(flags.which.place.workspace.as_ref())).await?;
            print(common, &left, &["Work handed over.".to_owned()])
        }
        Command::ResetFactors(which) => {
            let path = path(door, &which, "/reset-factors").await?;
            let ask = Ask::post(path, &json!({})).within(which.place.workspace.as_ref());
            let now = door.call(ask).await?;
            let name = word(&now, "name");
            print(common, &now, &[format!("{name} now signs in with only a password.")])
        }
        Command::SecondStep { set, place } => {
            let ask = match set {
                None => Ask::get(POLICY),
                Some(word) => Ask::put(POLICY, &json!({ "factor_for_admins": word == "on" })),
            };
            let policy = door.call(ask.within(place.workspace.as_ref())).await?;
            let message = match policy["factor_for_admins"].as_bool() {
                Some(true) => "Owners and admins must use two-step sign-in.",
                _ => "Two-step sign-in is optional.",
            };
            print(common, &policy, &[message.to_owned()])
        }
    }
}

/// Runs one of `hq invite`.
pub async fn invite(common: &Common, door: &Door, command: Invite) -> Result<u8, CommandError> {
    match command {
        Invite::List(place) => {
            let all = door.call(Ask::get(INVITES).within(place.workspace.as_ref())).await?;
            print(common, &all, &listed(&all, invite_row, "No open invitations."))
        }
        Invite::Add { role, email, place } => {
            let body = json!({ "role": role, "email": email });
            let ask = Ask::post(INVITES, &body).within(place.workspace.as_ref());
            let made = door.call(ask).await?;
            let who = match word(&made, "email") {
                "" => "Whoever opens it first joins".to_owned(),
                email => format!("Only {email} can join"),
            };
            let message = format!(
                "{who} as {}. Valid once, until {}:",
                kernel::text::with_article(word(&made, "role")),
                moment(&made, "expires_at")
            );
            let email = match (made["emailed"].as_bool(), word(&made, "email_error")) {
                (Some(true), _) => Some("The link was sent by email.".to_owned()),
                (_, "") => None,
                (_, why) => Some(format!("The email was not sent: {why}. Send the link yourself.")),
            };
            let mut lines = vec![message, word(&made, "link").to_owned()];
            lines.extend(email);
            print(common, &made, &lines)
        }
        Invite::Withdraw { id, place } => {
            let path = format!("{INVITES}/{}", part(&id));
            let gone = door.call(Ask::delete(path).within(place.workspace.as_ref())).await?;
            print(common, &gone, &["Revoked the invitation.".to_owned()])
        }
    }
}

async fn members(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get(MEMBERS).within(place.workspace.as_ref())).await
}

/// What a member may be called.
fn names(one: &Value) -> Vec<&str> {
    ["account", "handle", "email", "name"].map(|key| word(one, key)).to_vec()
}

/// The account of a member by any name.
async fn account(door: &Door, meant: &str, place: &Place) -> Result<String, CommandError> {
    let all = members(door, place).await?;
    let meant = meant.strip_prefix('@').unwrap_or(meant);
    let found = pick(&all, meant, ("member", "hq member list"), names)?;
    Ok(word(found, "account").to_owned())
}

async fn path(door: &Door, which: &Which, below: &str) -> Result<String, CommandError> {
    Ok(format!("{MEMBERS}/{}{below}", account(door, &which.member, &which.place).await?))
}

/// Where what leaves work behind is asked for, with who takes it over.
async fn leaving(
    door: &Door,
    Leaving { which, to }: &Leaving,
    below: &str,
) -> Result<String, CommandError> {
    let heir = match to {
        Some(to) => Some(account(door, to, &which.place).await?),
        None => None,
    };
    let path = path(door, which, below).await?;
    Ok(format!("{path}{}", query(&[("to", heir.as_deref())])))
}

fn member_row(one: &Value) -> Vec<String> {
    let state = match one["disabled_at"].is_string() {
        true => format!("disabled since {}", moment(one, "disabled_at")),
        false => String::new(),
    };
    let text = |key| word(one, key).to_owned();
    vec![handle(one), quoted(word(one, "name")), text("email"), text("role"), state]
}

fn invite_row(one: &Value) -> Vec<String> {
    let email = match word(one, "email") {
        "" => "anyone with the link".to_owned(),
        email => email.to_owned(),
    };
    let until = format!("until {}", moment(one, "expires_at"));
    vec![word(one, "id").to_owned(), word(one, "role").to_owned(), email, until]
}
