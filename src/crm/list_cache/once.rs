//! Shared values of several cells, stored once: texts, and small things by index.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// Texts longer than this many bytes are rarely shared and are not deduplicated.
const SHARED: usize = 64;

/// Position of a text in the buffer, and the number of cells that use it.
pub(super) struct Word {
    at: u32,
    len: u32,
    count: u32,
}

/// The texts of all cells in one buffer.
#[derive(Default)]
pub(super) struct Words {
    pub(super) all: String,
    pub(super) places: Vec<Word>,
    /// Unused indexes.
    free: Vec<u32>,
    /// Indexes of deduplicated texts by hash. On a collision the first one is kept.
    pub(super) known: HashMap<u64, u32>,
    hasher: RandomState,
    /// Number of unused bytes in the buffer.
    lost: usize,
}

impl Words {
    /// Garbage of more than this many bytes is collected if it is at least half of the buffer.
    pub(super) const SPARED: usize = 64 << 10;

    pub(super) fn get(&self, place: u32) -> &str {
        let Some(word) = self.places.get(place as usize) else { return "" };
        let at = word.at as usize;
        self.all.get(at..at + word.len as usize).unwrap_or_default()
    }

    /// The index of a text; deduplicates it if `shared`.
    pub(super) fn add(&mut self, text: &str, shared: bool) -> u32 {
        let hash = (shared && text.len() <= SHARED).then(|| self.hasher.hash_one(text));
        let known = hash.and_then(|hash| self.known.get(&hash).copied());
        if let Some(place) = known.filter(|place| self.get(*place) == text) {
            self.places[place as usize].count += 1;
            return place;
        }
        let word = match (u32::try_from(self.all.len()), u32::try_from(text.len())) {
            (Ok(at), Ok(len)) => {
                self.all.push_str(text);
                Word { at, len, count: 1 }
            }
            // The buffer is full: this text cannot be found by search.
            _ => Word { at: 0, len: 0, count: 1 },
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = word;
                place
            }
            None => {
                self.places.push(word);
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(hash) = hash {
            self.known.entry(hash).or_insert(place);
        }
        place
    }

    /// Releases a cell's use of a text.
    pub(super) fn release(&mut self, place: u32) {
        let Some(word) = self.places.get_mut(place as usize) else { return };
        word.count = word.count.saturating_sub(1);
        if 0 < word.count {
            return;
        }
        let hash = self.hasher.hash_one(self.get(place));
        if self.known.get(&hash) == Some(&place) {
            self.known.remove(&hash);
        }
        self.lost += self.get(place).len();
        self.places[place as usize].len = 0;
        self.free.push(place);
    }

    pub(super) fn tidy(&mut self) {
        let left = self.all.len() - self.lost;
        if self.lost < left.max(Self::SPARED) {
            return;
        }
        let mut all = String::with_capacity(left);
        for word in &mut self.places {
            let at = word.at as usize;
            let own = self.all.get(at..at + word.len as usize).unwrap_or_default();
            word.at = u32::try_from(all.len()).unwrap_or(u32::MAX);
            all.push_str(own);
        }
        (self.all, self.lost) = (all, 0);
    }
}

/// A set of things by index, each stored once.
pub(super) struct Once<T> {
    all: Vec<T>,
    places: HashMap<T, u32>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Once<T> {
    pub(super) fn add(&mut self, one: T) -> u32 {
        if let Some(at) = self.find(&one) {
            return at;
        }
        let at = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(one.clone());
        self.places.insert(one, at);
        at
    }

    /// The index of a thing, if it is stored.
    pub(super) fn find(&self, one: &T) -> Option<u32> {
        self.places.get(one).copied()
    }

    pub(super) fn all(&self) -> &[T] {
        &self.all
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.all.get(at as usize)
    }
}
