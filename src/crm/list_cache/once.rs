//! What several cells have, kept once: their words, and things that are as small as a number by their places.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// Longer words, in bytes, are hardly ever those of two rows.
const SHARED: usize = 64;

/// Where words stand among all, and how many cells have them.
pub(super) struct Word {
    at: u32,
    len: u32,
    count: u32,
}

/// The words of all cells, one behind the other.
#[derive(Default)]
pub(super) struct Words {
    pub(super) all: String,
    pub(super) places: Vec<Word>,
    /// Places that have no words any more.
    free: Vec<u32>,
    /// The places of words that several cells may have, by their hashes. Of two with one hash the first is here.
    pub(super) known: HashMap<u64, u32>,
    hasher: RandomState,
    /// How many bytes no cell has any more.
    lost: usize,
}

impl Words {
    /// So many bytes may be lost before they are taken out, if that is as many as are left.
    pub(super) const SPARED: usize = 64 << 10;

    pub(super) fn get(&self, place: u32) -> &str {
        let Some(word) = self.places.get(place as usize) else { return "" };
        let at = word.at as usize;
        self.all.get(at..at + word.len as usize).unwrap_or_default()
    }

    /// The place of words; those that several cells may have are looked up.
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
            // There is no room for more: a cell with these words is found by none of them.
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

    /// A cell has these words no more.
    pub(super) fn leave(&mut self, place: u32) {
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

/// Things of which each is kept once.
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

    /// The place of one, where it is kept.
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
