//! Text into the numbers of tokens, framed and cut.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::Tokenizer;

use crate::problem::{EmbedError, Refused};

/// A tokenizer that fits its network.
pub struct Tokens {
    tokenizer: Tokenizer,
    /// The tokens before each text.
    head: Vec<u32>,
    /// The tokens after it.
    tail: Vec<u32>,
    /// The most tokens of one text, with head and tail.
    most: usize,
    vocabulary: usize,
}

impl Tokens {
    /// Reads a `tokenizer.json`. That it cuts or pads, as many published files have it, is not followed.
    ///
    /// # Errors
    /// If it is no tokenizer, or knows tokens that the network does not.
    pub fn read(json: &[u8], vocabulary: usize, most: usize) -> Result<Self, Refused> {
        // The crate promises nothing for files by others, so a panic in it is one more refusal.
        catch_unwind(AssertUnwindSafe(|| Self::parse(json, vocabulary, most)))
            .unwrap_or_else(|_| Err(unfit("its parts contradict each other")))
    }

    fn parse(json: &[u8], vocabulary: usize, most: usize) -> Result<Self, Refused> {
        let mut tokenizer =
            Tokenizer::from_bytes(json).map_err(|error| unfit(error.to_string()))?;
        tokenizer.with_truncation(None).map_err(|error| unfit(error.to_string()))?;
        tokenizer.with_padding(None);
        let known = tokenizer.get_vocab(true).into_values().max();
        if known.is_none_or(|id| vocabulary <= id as usize) {
            return Err(unfit(format!("it does not have the {vocabulary} tokens of the network")));
        }
        let mut tokens = Self { tokenizer, head: Vec::new(), tail: Vec::new(), most, vocabulary };
        tokens.frame()?;
        Ok(tokens)
    }

    /// Finds out what the tokenizer puts around a text.
    fn frame(&mut self) -> Result<(), Refused> {
        const PROBE: &str = "a";
        let ids = |framed| {
            let encoding = self.tokenizer.encode_fast(PROBE, framed);
            encoding.map(|of| of.get_ids().to_vec()).map_err(|error| unfit(error.to_string()))
        };
        let (bare, framed) = (ids(false)?, ids(true)?);
        let at = framed.windows(bare.len().max(1)).position(|window| window == bare);
        let Some(at) = at else {
            return Err(unfit("it does not keep a text in one piece"));
        };
        let (head, tail) = (framed[..at].to_vec(), framed[at + bare.len()..].to_vec());
        if self.most <= head.len() + tail.len() {
            return Err(unfit("it leaves no room for a text"));
        }
        (self.head, self.tail) = (head, tail);
        Ok(())
    }

    /// The most tokens of one text, with those around it.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many tokens the whole text has, without those around it.
    pub fn count(&self, text: &str) -> usize {
        // ok: a text that cannot be cut has no tokens, and `ids` says why.
        self.tokenizer.encode_fast(text, false).map_or(0, |encoding| encoding.len())
    }

    /// The tokens of a text with those around it, as many as the network takes; never none.
    ///
    /// # Errors
    /// If the tokenizer gives up on it.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let failed = |reason: String| EmbedError::Tokens { reason };
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| failed(error.to_string()))?;
        let room = self.most - self.head.len() - self.tail.len();
        let body = encoding.get_ids().iter().take(room);
        let ids: Vec<u32> = self.head.iter().chain(body).chain(&self.tail).copied().collect();
        match ids.iter().find(|id| self.vocabulary <= **id as usize) {
            Some(id) => Err(failed(format!("the network does not know the token {id}"))),
            None if ids.is_empty() => Err(failed("it has none".to_owned())),
            None => Ok(ids),
        }
    }
}

fn unfit(reason: impl Into<String>) -> Refused {
    Refused::Tokenizer { reason: reason.into() }
}
