//! Slash commands in chats: executed with the message, so that they never wait behind a run.

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Grant, Sender};
use features::runs::rules::SessionSpec;
use features::workspace::queries as workspace;
use kernel::{Can, Error, Role};
use slash::{Caller, CommandError, Parsed, Spoken, Surface, Talk, Words};
use store::WriteTx;
use web::session::Access;

/// What commands need besides the message.
#[derive(Clone)]
pub struct Context {
    pub ws: Ws,
    /// The capabilities of a role.
    pub rights: fn(Role) -> Access,
}

/// Refused in rooms, because their answers show what only the caller may see.
const PRIVATE: [&str; 9] =
    ["approve", "answer", "task", "tasks", "jobs", "context", "status", "usage", "budget"];

/// Whether a text is a command that decides something.
pub(super) fn is_decision(text: &str) -> bool {
    let decides = |name| matches!(name, "approve" | "answer");
    matches!(slash::parse(text), Parsed::Command { command, .. } if decides(command.name))
}

/// Executes a message that is a command. Returns its name and answer; `None` if the message is text for the agent.
pub(super) fn run(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    (agent, spec, grant): (&Agent, &SessionSpec, Grant),
    text: &str,
) -> Result<Option<(String, String)>, Error> {
    let (command, arguments) = match slash::parse(text) {
        Parsed::Text => return Ok(None),
        Parsed::Unknown { .. } if grant.sender == Sender::Guest => return Ok(None),
        Parsed::Unknown { nearest } => {
            let known: Vec<String> = nearest.iter().map(|name| format!("/{name}")).collect();
            let hint = match known.is_empty() {
                true => "Send /help for a list.".to_owned(),
                false => format!("Did you mean {}?", known.join(" or ")),
            };
            return Ok(Some(("unknown".to_owned(), format!("I don’t know this command. {hint}"))));
        }
        Parsed::Command { command, arguments } => (command, arguments),
    };
    let caller = match grant.sender {
        Sender::Person(account) => workspace::member(tx, account)?.map(|member| Caller {
            account: Some(account),
            role: member.role,
            access: (cx.rights)(member.role),
            is_proved: false,
        }),
        Sender::Guest => None,
    };
    let caller = caller.unwrap_or(Caller {
        account: None,
        role: Role::Viewer,
        access: Access::of(&[Can::Read]),
        is_proved: false,
    });
    let talk = match spec.owner {
        Some(_) => Talk::Of(None),
        None => Talk::At(spec.clone()),
    };
    let (ws, agent) = (cx.ws.clone(), agent.clone());
    let place = slash::Place { ws, caller, agent, talk, surface: Surface::Messenger };
    if !place.admits(command) {
        return Ok(None);
    }
    if grant.is_room && PRIVATE.contains(&command.name) {
        let text = format!("Send /{} to me in a direct chat.", command.name);
        return Ok(Some((command.name.to_owned(), text)));
    }
    match place.execute(tx, command, arguments) {
        Ok(answer) => Ok(Some((command.name.to_owned(), answer.text))),
        Err(error) => Ok(Some((command.name.to_owned(), sentence(&error.to_string())))),
    }
}

/// The text of a member for the agent, without the settings before it: `/think high`, `/model`, `/fast` or `/steer`.
/// A guest’s text has no settings.
///
/// # Errors
/// The answer to wrong settings.
pub(super) fn words(tx: &WriteTx<'_>, sender: Sender, text: &str) -> Result<Words, String> {
    let plain = Words { text: text.to_owned(), ..Words::default() };
    if sender == Sender::Guest || !matches!(slash::parse(text), Parsed::Text) {
        return Ok(plain);
    }
    let answer = |error: CommandError| sentence(&error.to_string());
    let Spoken::Words(words) = slash::read(text).map_err(answer)? else { return Ok(plain) };
    let model = words.model.map(|name| slash::model(tx, &name)).transpose().map_err(answer)?;
    Ok(Words { model, ..words })
}

fn sentence(text: &str) -> String {
    let text = kernel::text::capitalized(text);
    if text.ends_with(['.', '?', '!']) { text } else { format!("{text}.") }
}

/// The text without the bot's name after a command: `/stop@ada_bot` is `/stop`.
pub(super) fn without_bot(text: &str, handle: &str) -> String {
    let trimmed = text.trim_start();
    let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
    let (first, rest) = trimmed.split_at(end);
    match first.strip_prefix('/').and_then(|name| name.split_once('@')) {
        Some((name, at)) if at.eq_ignore_ascii_case(handle) => format!("/{name}{rest}"),
        _ => text.to_owned(),
    }
}
