//! Questions to a connection that makes vectors. Each is paid by the workspace: the most that it may cost is held back
//! before it, and what it cost is booked after it.

use std::sync::Arc;

use app::Ws;
use crypto::redact::Spot;
use kernel::{Actor, CallEnd, CallKind, Cause, ConnectionId, Part};
use providers::Provider;
use providers::catalog::Model;
use providers::embedding::{EmbedRequest, Embedded, MOST, Purpose};
use providers::error::ProviderError;
use providers::model::Usage as Tokens;
use store::ReadExt as _;

use super::{VectorError, priced};
use crate::connections::checks;
use crate::connections::model::{Connection, Maker};
use crate::connections::provider::provider;
use crate::connections::rules::ConnectionError;
use crate::connections::rules::paid::{self, Spent};

/// No person asks for each of them.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);

/// Vectors that were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// One of length one for each text, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// How many tokens were read, as the server counted, else about how many.
    pub tokens: u64,
}

/// Somebody who makes vectors, ready to be asked.
pub(in crate::connections) struct Line {
    connection: ConnectionId,
    model: String,
    known: Model,
    provider: Arc<dyn Provider>,
}

impl Line {
    pub(in crate::connections) fn of(
        ws: &Ws,
        connection: ConnectionId,
        model: &str,
    ) -> Result<Self, VectorError> {
        let now = ws.app.clock.now();
        let known = ws.read(|snap| {
            let stored = snap.get::<Connection>(connection)?;
            let stored = stored.ok_or(ConnectionError::NotFound(connection))?;
            priced(snap, &stored, (model, now))
        })?;
        let provider = provider(ws, Some(connection))?;
        Ok(Self { connection, model: model.to_owned(), known, provider })
    }

    pub(in crate::connections) async fn ask(
        &self,
        ws: &Ws,
        texts: Vec<String>,
        purpose: Purpose,
    ) -> Result<Embedded, VectorError> {
        let request = EmbedRequest { model: self.model.clone(), texts, purpose };
        let call = Spent {
            kind: CallKind::Embedding,
            provider: self.provider.name(),
            asked: self.model.clone(),
            model: self.model.clone(),
            tokens: None,
            known: self.known.clone(),
            end: CallEnd::Refused,
        };
        let (id, asking, size) = (self.connection, call.clone(), request.size());
        let held = ws.write(&BY, move |tx| paid::hold_sent(tx, id, &asking, size)).await?;
        let answer = self.provider.embed(&request).await;
        let spent = match &answer {
            Ok(made) => {
                let tokens = made.tokens.map(|input| Tokens { input, ..Tokens::default() });
                Spent { tokens, end: CallEnd::Answered, ..call }
            }
            Err(error) => checks::ended(call, Some(error.class)),
        };
        ws.write(&BY, move |tx| paid::close(tx, id, (held, spent))).await?;
        answer.map_err(|error| vector_error(ws, &error))
    }
}

fn vector_error(ws: &Ws, error: &ProviderError) -> VectorError {
    let said = error.class.explained(&error.message);
    VectorError::Provider {
        class: error.class,
        said: ws.app.redactor.masked(Spot::Errors, &said).into_owned(),
        wait: error.retry_after,
    }
}

/// The vectors of texts, however many there are.
///
/// # Errors
/// When the budget does not allow it, the provider fails, or its vectors have another length than before.
pub async fn made(
    ws: &Ws,
    maker: &Maker,
    (texts, purpose): (Vec<String>, Purpose),
) -> Result<Made, VectorError> {
    let line = Line::of(ws, maker.connection, &maker.model)?;
    let mut made = Made { vectors: Vec::new(), tokens: 0 };
    let mut rest = texts.into_iter();
    loop {
        let some: Vec<String> = rest.by_ref().take(MOST).collect();
        if some.is_empty() {
            return Ok(made);
        }
        let bytes: u64 = some.iter().map(|text| text.len() as u64).sum();
        let answer = line.ask(ws, some, purpose).await?;
        let found = answer.vectors.first().map_or(0, Vec::len);
        if found != maker.length() {
            return Err(VectorError::Length { found, wanted: maker.length() });
        }
        made.tokens += answer.tokens.unwrap_or(bytes.div_ceil(4));
        made.vectors.extend(answer.vectors);
    }
}
