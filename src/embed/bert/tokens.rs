//! Tokenizer: text to token ids, with special tokens and truncation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::Tokenizer;

use crate::problem::{EmbedError, Refused};

/// A tokenizer that fits the network's vocabulary.
pub struct Tokens {
    tokenizer: Tokenizer,
    /// Special tokens before each text.
    head: Vec<u32>,
    /// Special tokens after each text.
    tail: Vec<u32>,
    /// Limit of tokens per text, including special ones.
    most: usize,
    vocabulary: usize,
}

impl Tokens {
    /// Reads a `tokenizer.json`. Its truncation and padding settings are ignored.
    ///
    /// # Errors
    /// If the file is invalid, or has tokens that the network does not know.
    pub fn read(json: &[u8], vocabulary: usize, most: usize) -> Result<Self, Refused> {
        // The crate may panic on unusual files.
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

    /// Determines the special tokens around a text.
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

    /// Limit of tokens per text, including special ones.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Number of tokens of the whole text, without special ones.
    pub fn count(&self, text: &str) -> usize {
        // ok: for a text that cannot be tokenized, `ids` returns the error.
        self.tokenizer.encode_fast(text, false).map_or(0, |encoding| encoding.len())
    }

    /// Token ids of a text with special tokens, truncated to the limit; never empty.
    ///
    /// # Errors
    /// If the text cannot be tokenized.
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
