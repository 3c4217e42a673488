//! Executes commands. Each one does what a button of the page does, through the same rules.

use app::Ws;
use features::agents::model::Agent;
use features::connections::queries::named::{self, Named};
use features::runs::model::{ConversationOptions, QueueOf, QueueRequest, Run, Session};
use features::runs::queries::{self, preferences, queue as reading, talk};
use features::runs::rules::sessions::Lasts;
use features::runs::rules::{self, NewInput, RunError, Sent, SessionSpec};
use kernel::{AccountId, RunId, SessionId, Thinking};
use store::{ReadExt as _, StoreError, WriteTx};
use web::idempotency::Once;
use web::session::Person;

use crate::runs::taking;

use super::{Command, CommandError, Spoken, Words, read, tell};

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
    /// Resolves the place to a session spec.
    ///
    /// # Errors
    /// `NoSession` if the conversation does not exist, is archived, or this person may not write in it.
    pub fn spec(&self) -> Result<SessionSpec, RunError> {
        let Self { ws, who, agent, talk } = self;
        let me = (who.account, who.role);
        let place = ws.read(|snap| talk::place_of(snap, agent, me, *talk))?;
        match (place, talk) {
            (Some((key, owner)), _) => {
                Ok(SessionSpec { agent: agent.id, key, owner: Some(owner), task: None })
            }
            (None, Some(id)) => Err(RunError::NoSession(*id)),
            (None, None) => Err(RunError::NoAgent(agent.id)),
        }
    }

    fn session(&self) -> Result<Option<Session>, RunError> {
        let key = self.spec()?.key;
        Ok(self.ws.read(|snap| queries::session_by_key(snap, &key))?)
    }

    async fn say(
        &self,
        words: Words,
        new: NewInput,
        expected: Option<String>,
        once: Once,
    ) -> Result<Sent, CommandError> {
        let model = match words.model {
            Some(name) => Some(self.model(&name)?),
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

    async fn act(&self, command: Command, once: Once) -> Result<Done, CommandError> {
        Ok(Done::Told(match command {
            Command::Help => tell::help(),
            Command::Status => self.describe(tell::status)?,
            Command::Usage => self.describe(tell::usage)?,
            Command::Context(detail) => self.describe(|scene| tell::makeup(scene, detail))?,
            Command::New(model) => return self.anew(model, once).await.map(Done::Anew),
            Command::Stop => self.stop(once).await?,
            Command::Compact(focus) => self.compact(focus, once).await?,
            Command::Model(None, _) => self.describe(tell::model)?,
            Command::Model(Some(name), lasts) => {
                let model = match name.as_str() {
                    "" => None,
                    name => Some(self.model(name)?),
                };
                let lasts = lasting(lasts);
                self.choose(once, move |tx, id, by| {
                    rules::sessions::choose_model(tx, id, by, model, lasts)
                })
                .await?;
                self.describe(tell::model)?
            }
            Command::Think(None, _) => self.describe(tell::model)?,
            Command::Think(Some(level), lasts) => {
                self.think(level, lasting(lasts), once).await?;
                self.describe(tell::model)?
            }
            Command::Fast(None) => self.describe(tell::fast)?,
            Command::Fast(Some(fast)) => {
                self.talk(once, move |wish| ConversationOptions { fast, ..wish }).await?;
                self.describe(tell::fast)?
            }
            Command::Queue(None) => self.describe(tell::queue)?,
            Command::Queue(Some(wish)) => {
                self.queue(wish, once).await?;
                self.describe(tell::queue)?
            }
            Command::Aside(question) => self.aside(question, once).await?,
            Command::Jobs => self.describe(tell::jobs)?,
            Command::Reasoning(None) => self.describe(tell::reasoning)?,
            Command::Reasoning(Some(shown)) => {
                self.talk(once, move |wish| ConversationOptions { shows_thoughts: shown, ..wish })
                    .await?;
                self.describe(tell::reasoning)?
            }
            Command::Verbose(None) => self.describe(tell::verbose)?,
            Command::Verbose(Some(shown)) => {
                self.talk(once, move |wish| ConversationOptions { shows_tools: shown, ..wish })
                    .await?;
                self.describe(tell::verbose)?
            }
            Command::Answer(run, text) => self.answer(run, text, once).await?,
            Command::Approve(None) => self.approvals()?,
            Command::Approve(Some(answer)) => self.approve(answer, once).await?,
            Command::Task(Some(text)) => self.task(&text)?,
            Command::Task(None) | Command::Tasks => self.tasks()?,
            Command::Budget => self.budget()?,
            Command::Pause => self.pause(once).await?,
            Command::Resume => self.resume(once).await?,
            Command::Agent(name) => self.other_agent(name.as_deref())?,
            Command::Rename(name) => {
                self.choose(once, move |tx, id, by| rules::sessions::rename(tx, id, by, &name))
                    .await?;
                self.describe(tell::title)?
            }
        }))
    }

    /// Describes the current state of the conversation.
    fn describe(
        &self,
        tell: impl FnOnce(&tell::CommandContext<'_>) -> Result<String, StoreError>,
    ) -> Result<String, RunError> {
        let session = self.session()?;
        let text = self.ws.read(|snap| {
            let now = self.ws.app.clock.now();
            let (agent, session) = (self.agent, session.as_ref());
            tell(&tell::CommandContext {
                ws: self.ws,
                tx: snap,
                who: self.who,
                agent,
                session,
                now,
            })
        });
        Ok(text?)
    }

    /// Resolves a typed model name: `id`, `id@connection` or `connection/id`.
    fn model(&self, text: &str) -> Result<String, CommandError> {
        match self.ws.read(|snap| named::model(snap, text))? {
            Named::Known(name) => Ok(name),
            Named::Unknown(near) => {
                Err(CommandError::Model { near: near.join(", "), name: text.to_owned() })
            }
        }
    }

    /// Changes the conversation, creating it if necessary.
    async fn choose(
        &self,
        once: Once,
        change: impl FnOnce(&mut WriteTx<'_>, SessionId, AccountId) -> Result<(), RunError>
        + Send
        + 'static,
    ) -> Result<(), CommandError> {
        let (spec, by) = (self.spec()?, self.who.account);
        let write = once.run(move |tx| {
            let session = rules::open_session(tx, spec)?;
            change(tx, session.id, by)
        });
        Ok(self.ws.write(self.who, write).await?)
    }

    async fn think(
        &self,
        level: Option<Thinking>,
        lasts: Lasts,
        once: Once,
    ) -> Result<(), CommandError> {
        self.choose(once, move |tx, id, by| {
            rules::sessions::choose_thinking(tx, id, by, level, lasts)
        })
        .await
    }

    async fn queue(&self, wish: QueueRequest, once: Once) -> Result<(), CommandError> {
        let whole = wish == QueueRequest::default();
        self.choose(once, move |tx, id, _| {
            let of = QueueOf::Session(id);
            let before = reading::chosen(tx, of)?;
            let wish = match whole {
                true => wish,
                false => QueueRequest {
                    mode: wish.mode.or(before.mode),
                    debounce_ms: wish.debounce_ms.or(before.debounce_ms),
                    cap: wish.cap.or(before.cap),
                    drop: wish.drop.or(before.drop),
                },
            };
            rules::queue::choose(tx, of, wish)
        })
        .await
    }

    async fn anew(&self, model: Option<String>, once: Once) -> Result<String, CommandError> {
        let model = model.map(|name| self.model(&name)).transpose()?;
        let (spec, by, chosen) = (self.spec()?, self.who.account, model.clone());
        let write = once.run(move |tx| -> Result<_, RunError> {
            let now = queries::session_by_key(tx, &spec.key)?;
            let new = match (now, &chosen) {
                // The session is empty, so it serves as the new one.
                (Some(old), _) if old.events == 0 && old.active_run.is_none() => Some(old.id),
                (Some(old), _) => Some(rules::sessions::reset(tx, old.id, by)?.id),
                (None, Some(_)) => Some(rules::open_session(tx, spec)?.id),
                (None, None) => None,
            };
            if let (Some(new), Some(model)) = (new, chosen) {
                let lasts = Lasts::Conversation;
                rules::sessions::choose_model(tx, new, by, Some(model), lasts)?;
            }
            Ok(())
        });
        self.ws.write(self.who, write).await?;
        Ok(match model {
            Some(model) => format!("Started a new conversation with `{model}`."),
            None => "Started a new conversation. Earlier messages are still readable.".to_owned(),
        })
    }

    async fn stop(&self, once: Once) -> Result<String, CommandError> {
        let run = self.session()?.and_then(|session| session.active_run);
        let Some(run) = run else { return Ok("Nothing is running here.".to_owned()) };
        let by = Some(self.who.account);
        // Read before the write: the run ends here at once, and its possible cost is booked then.
        let later = self.stops_later(run)?;
        let stop = once.run(move |tx| rules::request_stop(tx, run, by).map(|run| run.number));
        match self.ws.write(self.who, stop).await {
            Ok(number) => Ok(match later {
                Some(later) => format!("R-{number} is stopping. {later} Queued messages stay."),
                None => format!("R-{number} is stopping. Queued messages stay."),
            }),
            Err(RunError::Ended(name)) => Ok(format!("{name} has already ended.")),
            Err(error) => Err(error.into()),
        }
    }

    /// Notice of what a silent machine may still do for a stopped run.
    fn stops_later(&self, id: RunId) -> Result<Option<String>, StoreError> {
        self.ws.read(|snap| match snap.get::<Run>(id)? {
            Some(run) => taking::stops_later(self.ws, snap, &run),
            None => Ok(None),
        })
    }

    /// Changes a preference of the conversation.
    async fn talk(
        &self,
        once: Once,
        change: impl FnOnce(ConversationOptions) -> ConversationOptions + Send + 'static,
    ) -> Result<(), CommandError> {
        self.choose(once, move |tx, id, _| {
            let of = QueueOf::Session(id);
            let wish = change(preferences::chosen(tx, of)?);
            rules::preferences::choose(tx, of, wish)
        })
        .await
    }

    async fn answer(
        &self,
        name: Option<String>,
        text: String,
        once: Once,
    ) -> Result<String, CommandError> {
        let here = self.session()?.and_then(|session| session.active_run);
        let who = self.who;
        let run = self.ws.read(|snap| -> Result<_, StoreError> {
            let run = match (&name, here) {
                (Some(name), _) => queries::by_name(snap, name)?,
                (None, Some(run)) => snap.get::<Run>(run)?,
                (None, None) => None,
            };
            match run {
                Some(run) if talk::may_see_run(snap, &run, who.account, who.role)? => Ok(Some(run)),
                _ => Ok(None),
            }
        })?;
        let Some(run) = run else {
            return match name {
                Some(name) => Err(RunError::NotFound(name).into()),
                None => Ok("There is no open question here.".to_owned()),
            };
        };
        let (id, by) = (run.id, who.account);
        let answer = once.run(move |tx| rules::park::answer(tx, id, &text, by).map(drop));
        self.ws.write(who, answer).await?;
        Ok(format!("{} continues with your answer.", run.name()))
    }

    async fn aside(&self, question: String, once: Once) -> Result<String, CommandError> {
        let session = self.session()?.ok_or(RunError::Silent)?;
        let (id, by) = (session.id, self.who.account);
        let ask = once.run(move |tx| rules::aside::ask(tx, id, by, question));
        let sent = self.ws.write(self.who, ask).await?;
        let run = self.ws.read(|snap| snap.get::<Run>(sent.run))?;
        let Some(run) = run else { return Err(RunError::NotFound(sent.run.to_string()).into()) };
        let page = format!("agents/{}/chat?session={}", self.agent.slug, run.session);
        Ok(format!(
            "{} is answering on the side: [view answer]({}). Both are deleted after a day.",
            run.name(),
            self.ws.url(&page)
        ))
    }

    async fn compact(&self, focus: String, once: Once) -> Result<String, CommandError> {
        let session = self.session()?.ok_or(RunError::Silent)?;
        let (id, by) = (session.id, self.who.account);
        let ask = once.run(move |tx| rules::talk::compact(tx, id, by, &focus));
        self.ws.write(self.who, ask).await?;
        Ok("Summarizing the older part of the conversation.".to_owned())
    }
}

fn lasting(lasts: bool) -> Lasts {
    if lasts { Lasts::On } else { Lasts::Conversation }
}
