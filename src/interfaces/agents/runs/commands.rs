//! Chat commands of the page, the API and the terminal: sends a message, or executes the command in it.

use app::Ws;
use features::agents::model::Agent;
use features::runs::queries;
use features::runs::rules::{self, NewInput, RunError, Sent, SessionSpec};
use kernel::SessionId;
use slash::{CommandError, Request, Spoken, Surface, Talk, Words, read};
use web::idempotency::Once;
use web::session::Person;

/// The conversation in which a message is sent.
pub struct Place<'p> {
    pub ws: &'p Ws,
    /// The sender.
    pub who: &'p Person,
    /// The recipient.
    pub agent: &'p Agent,
    /// The conversation; the person's own if `None`.
    pub talk: Option<SessionId>,
}

/// Result of a message.
#[derive(Debug)]
pub enum Done {
    Said(Sent),
    /// Output of a command, as Markdown.
    Told(String),
    /// Output of a command that made another conversation the person's own.
    Anew(String),
}

/// Sends a message, or executes the command in it. `new` is the message with its attachments; model, thinking and mode
/// in its text override its fields. Unlike a command, a message is refused if the conversation's leaf is not
/// `expected`.
///
/// # Errors
/// The command is invalid, or an error of [`rules::queue()`].
pub async fn run(
    place: &Place<'_>,
    new: NewInput,
    expected: Option<String>,
    once: Once,
) -> Result<Done, CommandError> {
    match read(&new.text)? {
        Spoken::Words(words) => place.say(words, new, expected, once).await.map(Done::Said),
        Spoken::Command(_) if !new.attached.is_empty() => Err(CommandError::Files),
        Spoken::Command(command) => place.act(command, once).await,
    }
}

impl Place<'_> {
    fn at(&self) -> slash::Place {
        slash::Place {
            ws: self.ws.clone(),
            caller: self.who.into(),
            agent: self.agent.clone(),
            talk: Talk::Of(self.talk),
            surface: Surface::Web,
        }
    }

    /// Resolves the place to a session spec.
    ///
    /// # Errors
    /// `NoSession` if the conversation does not exist, is archived, or this person may not write in it.
    pub fn spec(&self) -> Result<SessionSpec, RunError> {
        self.ws.read(|snap| self.at().spec(snap))
    }

    async fn say(
        &self,
        words: Words,
        new: NewInput,
        expected: Option<String>,
        once: Once,
    ) -> Result<Sent, CommandError> {
        let model = match words.model {
            Some(name) => Some(self.ws.read(|snap| slash::model(snap, &name))?),
            None => new.model,
        };
        let new = NewInput {
            text: words.text,
            model,
            mode: words.mode.or(new.mode),
            thinking: words.thinking.or(new.thinking),
            fast: words.fast.or(new.fast),
            ..new
        };
        let spec = self.spec()?;
        let say = once.run(move |tx| -> Result<_, RunError> {
            if let Some(leaf) = &expected {
                let session = queries::session_by_key(tx, &spec.key)?;
                rules::talk::expect(session.as_ref(), leaf)?;
            }
            rules::talk::say(tx, spec, new)
        });
        Ok(self.ws.write(self.who, say).await?)
    }

    async fn act(&self, request: Request, once: Once) -> Result<Done, CommandError> {
        let (place, now) = (self.at(), self.ws.app.clock.now());
        if let Some(text) = self.ws.read(|snap| place.look(snap, now, &request))? {
            return Ok(Done::Told(text));
        }
        let act = once.run(move |tx| place.act(tx, request));
        let answer = self.ws.write(self.who, act).await?;
        Ok(if answer.is_anew { Done::Anew(answer.text) } else { Done::Told(answer.text) })
    }
}
