//! Executes commands. Each one does what a button of the page does, through the same rules.

use features::connections::queries::named::{self, Named};
use features::runs::model::{ConversationOptions, QueueOf, QueueRequest, Run};
use features::runs::queries::{self, preferences, queue as reading, silent, talk};
use features::runs::rules::sessions::Lasts;
use features::runs::rules::{self, RunError};
use kernel::{AccountId, SessionId, Timestamp};
use store::{Read, ReadExt as _, StoreError, WriteTx};

use super::tell::{self, CommandContext};
use super::{Answer, CommandError, Place, Request};

/// Resolves a typed model name: `id`, `id@connection` or `connection/id`.
///
/// # Errors
/// `Model` if no connection has it.
pub fn model(tx: &dyn Read, text: &str) -> Result<String, CommandError> {
    match named::model(tx, text)? {
        Named::Known(name) => Ok(name),
        Named::Unknown(near) => {
            Err(CommandError::Model { near: near.join(", "), name: text.to_owned() })
        }
    }
}

impl Place {
    /// The answer of a command that changes nothing; `None` if the command is one for [`Place::act`].
    ///
    /// # Errors
    /// The conversation does not exist, or an error of the store.
    pub fn look(
        &self,
        tx: &dyn Read,
        now: Timestamp,
        request: &Request,
    ) -> Result<Option<String>, CommandError> {
        let describe = |tell: &dyn Fn(&CommandContext<'_>) -> Result<String, StoreError>| {
            self.describe(tx, now, tell)
        };
        Ok(Some(match request {
            Request::Help => tell::help(self),
            Request::Status => describe(&tell::status)?,
            Request::Usage => describe(&tell::usage)?,
            Request::Context(detail) => describe(&|scene| tell::makeup(scene, *detail))?,
            Request::Model(None, _) | Request::Think(None, _) => describe(&tell::model)?,
            Request::Fast(None) => describe(&tell::fast)?,
            Request::Queue(None) => describe(&tell::queue)?,
            Request::Jobs => describe(&tell::jobs)?,
            Request::Reasoning(None) => describe(&tell::reasoning)?,
            Request::Verbose(None) => describe(&tell::verbose)?,
            Request::Approve(None) => self.approvals(tx)?,
            Request::Task(Some(text)) => return self.task(tx, text),
            Request::Task(None) | Request::Tasks => self.tasks(tx)?,
            Request::Budget => self.budget(tx, now)?,
            Request::Agent(name) => self.other_agent(tx, name.as_deref())?,
            _ => return Ok(None),
        }))
    }

    /// Executes a command for which the caller has the rights. An error requires the transaction to be dropped; see
    /// [`Place::execute`].
    ///
    /// # Errors
    /// Those of [`Place::look`] and of the rules.
    pub fn act(&self, tx: &mut WriteTx<'_>, request: Request) -> Result<Answer, CommandError> {
        let now = tx.now();
        if let Some(text) = self.look(tx, now, &request)? {
            return Ok(Answer { text, is_anew: false });
        }
        let is_anew = matches!(request, Request::New(_));
        let text = match request {
            Request::New(model) => self.anew(tx, model)?,
            Request::Stop => self.stop(tx)?,
            Request::Compact(focus) => self.compact(tx, &focus)?,
            Request::Model(Some(name), lasts) => {
                let model = match name.as_str() {
                    "" => None,
                    name => Some(model(tx, name)?),
                };
                self.choose(tx, |tx, id, by| {
                    rules::sessions::choose_model(tx, id, by, model, lasting(lasts))
                })?;
                self.describe(tx, now, &tell::model)?
            }
            Request::Think(Some(level), lasts) => {
                self.choose(tx, |tx, id, by| {
                    rules::sessions::choose_thinking(tx, id, by, level, lasting(lasts))
                })?;
                self.describe(tx, now, &tell::model)?
            }
            Request::Fast(Some(fast)) => {
                self.talk(tx, |wish| ConversationOptions { fast, ..wish })?;
                self.describe(tx, now, &tell::fast)?
            }
            Request::Queue(Some(wish)) => {
                self.queue(tx, wish)?;
                self.describe(tx, now, &tell::queue)?
            }
            Request::Aside(question) => self.aside(tx, question)?,
            Request::Reasoning(Some(shown)) => {
                self.talk(tx, |wish| ConversationOptions { shows_thoughts: shown, ..wish })?;
                self.describe(tx, now, &tell::reasoning)?
            }
            Request::Verbose(Some(shown)) => {
                self.talk(tx, |wish| ConversationOptions { shows_tools: shown, ..wish })?;
                self.describe(tx, now, &tell::verbose)?
            }
            Request::Answer(run, text) => self.answer(tx, run, &text)?,
            Request::Approve(Some(answer)) => self.approve(tx, answer)?,
            Request::Task(Some(title)) => self.create(tx, &title)?,
            Request::Pause => self.pause(tx)?,
            Request::Resume => self.resume(tx)?,
            Request::Rename(name) => {
                self.choose(tx, |tx, id, by| rules::sessions::rename(tx, id, by, &name))?;
                self.describe(tx, now, &tell::title)?
            }
            // `look` has answered the others.
            _ => String::new(),
        };
        Ok(Answer { text, is_anew })
    }

    /// Describes the current state of the conversation.
    fn describe(
        &self,
        tx: &dyn Read,
        now: Timestamp,
        tell: &dyn Fn(&CommandContext<'_>) -> Result<String, StoreError>,
    ) -> Result<String, CommandError> {
        let session = self.session(tx)?;
        let (ws, who, agent, session) = (&self.ws, self.caller, &self.agent, session.as_ref());
        Ok(tell(&CommandContext { ws, tx, who, agent, session, now })?)
    }

    /// Changes the conversation, creating it if necessary.
    fn choose(
        &self,
        tx: &mut WriteTx<'_>,
        change: impl FnOnce(&mut WriteTx<'_>, SessionId, AccountId) -> Result<(), RunError>,
    ) -> Result<(), CommandError> {
        let (spec, by) = (self.spec(tx)?, self.me()?);
        let session = rules::open_session(tx, spec)?;
        Ok(change(tx, session.id, by)?)
    }

    fn queue(&self, tx: &mut WriteTx<'_>, wish: QueueRequest) -> Result<(), CommandError> {
        let whole = wish == QueueRequest::default();
        self.choose(tx, |tx, id, _| {
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
    }

    fn anew(&self, tx: &mut WriteTx<'_>, name: Option<String>) -> Result<String, CommandError> {
        let chosen = name.map(|name| model(tx, &name)).transpose()?;
        let (spec, by) = (self.spec(tx)?, self.me()?);
        let now = queries::session_by_key(tx, &spec.key)?;
        let new = match (now, &chosen) {
            // The session is empty, so it serves as the new one.
            (Some(old), _) if old.events == 0 && old.active_run.is_none() => Some(old.id),
            (Some(old), _) => Some(rules::sessions::reset(tx, old.id, by)?.id),
            (None, Some(_)) => Some(rules::open_session(tx, spec)?.id),
            (None, None) => None,
        };
        if let (Some(new), Some(model)) = (new, &chosen) {
            let lasts = Lasts::Conversation;
            rules::sessions::choose_model(tx, new, by, Some(model.clone()), lasts)?;
        }
        Ok(match chosen {
            Some(model) => format!("Started a new conversation with `{model}`."),
            None => "Started a new conversation. Earlier messages are still readable.".to_owned(),
        })
    }

    fn stop(&self, tx: &mut WriteTx<'_>) -> Result<String, CommandError> {
        let run = self.session(tx)?.and_then(|session| session.active_run);
        let Some(run) = run else { return Ok("Nothing is running here.".to_owned()) };
        // Read before the write: the run ends here at once, and its possible cost is booked then.
        let later = match tx.get::<Run>(run)? {
            Some(run) => silent::stops_later(&self.ws, tx, &run)?,
            None => None,
        };
        match rules::request_stop(tx, run, self.caller.account).map(|run| run.number) {
            Ok(number) => Ok(match later {
                Some(later) => format!("R-{number} is stopping. {later} Queued messages stay."),
                None => format!("R-{number} is stopping. Queued messages stay."),
            }),
            Err(RunError::Ended(name)) => Ok(format!("{name} has already ended.")),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a preference of the conversation.
    fn talk(
        &self,
        tx: &mut WriteTx<'_>,
        change: impl FnOnce(ConversationOptions) -> ConversationOptions,
    ) -> Result<(), CommandError> {
        self.choose(tx, |tx, id, _| {
            let of = QueueOf::Session(id);
            let wish = change(preferences::chosen(tx, of)?);
            rules::preferences::choose(tx, of, wish)
        })
    }

    fn answer(
        &self,
        tx: &mut WriteTx<'_>,
        name: Option<String>,
        text: &str,
    ) -> Result<String, CommandError> {
        let here = self.session(tx)?.and_then(|session| session.active_run);
        let (by, role) = (self.me()?, self.caller.role);
        let run = match (&name, here) {
            (Some(name), _) => queries::by_name(tx, name)?,
            (None, Some(run)) => tx.get::<Run>(run)?,
            (None, None) => None,
        };
        let run = match run {
            Some(run) if talk::may_see_run(tx, &run, by, role)? => run,
            _ => match name {
                Some(name) => return Err(RunError::NotFound(name).into()),
                None => return Ok("There is no open question here.".to_owned()),
            },
        };
        rules::park::answer(tx, run.id, text, by)?;
        Ok(format!("{} continues with your answer.", run.name()))
    }

    fn aside(&self, tx: &mut WriteTx<'_>, question: String) -> Result<String, CommandError> {
        let session = self.session(tx)?.ok_or(RunError::Silent)?;
        let sent = rules::aside::ask(tx, session.id, self.me()?, question)?;
        let run = tx.get::<Run>(sent.run)?;
        let run = run.ok_or_else(|| RunError::NotFound(sent.run.to_string()))?;
        let page = format!("agents/{}/chat?session={}", self.agent.slug, run.session);
        Ok(format!(
            "{} is answering on the side: [view answer]({}). Both are deleted after a day.",
            run.name(),
            self.url(&page)
        ))
    }

    fn compact(&self, tx: &mut WriteTx<'_>, focus: &str) -> Result<String, CommandError> {
        let session = self.session(tx)?.ok_or(RunError::Silent)?;
        rules::talk::compact(tx, session.id, self.me()?, focus)?;
        Ok("Summarizing the older part of the conversation.".to_owned())
    }
}

fn lasting(lasts: bool) -> Lasts {
    if lasts { Lasts::On } else { Lasts::Conversation }
}
