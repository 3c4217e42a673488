//! What memory keeps of each vector: a byte a number, and what it takes to find it.
//!
//! Rows lie in blocks that readers share. A writer changes a block in place while nobody reads it and a copy of it
//! otherwise, so no search waits for a write, or sees half of one.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::Id;
use crate::lanes;
use crate::model::Hash;

/// How many rows a block has.
const ROWS: usize = 4096;

/// Up to [`ROWS`] rows, each column as long as it will ever be: a page of memory that no row has reached costs nothing.
#[derive(Clone)]
struct Block {
    rows: usize,
    ids: Vec<Id>,
    hashes: Vec<Hash>,
    live: Vec<bool>,
    scales: Vec<f32>,
    codes: Vec<i8>,
}

impl Block {
    fn new(dimensions: usize) -> Self {
        Self {
            rows: 0,
            ids: vec![Id::default(); ROWS],
            hashes: vec![Hash::default(); ROWS],
            live: vec![false; ROWS],
            scales: vec![0.0; ROWS],
            codes: vec![0; ROWS * dimensions],
        }
    }
}

/// A vector in bytes: `code · scale` is close to it.
struct Coded {
    codes: Vec<i8>,
    scale: f32,
}

impl Coded {
    fn new(vector: &[f32]) -> Self {
        let top = vector.iter().fold(0.0_f32, |top, number| top.max(number.abs()));
        let scale = top / 127.0;
        let share = if 0.0 < scale { 1.0 / scale } else { 0.0 };
        let codes = vector.iter().map(|number| (number * share).round() as i8).collect();
        Self { codes, scale }
    }
}

/// All rows as they were at one moment.
#[derive(Clone)]
pub struct Rows {
    dimensions: usize,
    blocks: Vec<Arc<Block>>,
}

impl Rows {
    /// How many slots there are, used or not.
    pub fn slots(&self) -> usize {
        match self.blocks.last() {
            Some(last) => (self.blocks.len() - 1) * ROWS + last.rows,
            None => 0,
        }
    }

    /// Whose vector is in a slot.
    pub fn id(&self, slot: usize) -> &Id {
        &self.blocks[slot / ROWS].ids[slot % ROWS]
    }

    /// What the text of the vector in a slot hashes to.
    pub fn hash(&self, slot: usize) -> &Hash {
        &self.blocks[slot / ROWS].hashes[slot % ROWS]
    }

    /// The slots in use, in the order of the file.
    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        self.blocks.iter().enumerate().flat_map(|(at, block)| {
            let rows = (0..block.rows).filter(|row| block.live[*row]);
            rows.map(move |row| at * ROWS + row)
        })
    }

    /// The slots of about the `most` vectors that are nearest to `query`, in no order.
    pub fn near(&self, query: &[f32], most: usize, allow: impl Fn(&Id) -> bool) -> Vec<usize> {
        let query = Coded::new(query);
        let mut found = BinaryHeap::new();
        let mut products = Vec::with_capacity(ROWS);
        for (at, block) in self.blocks.iter().enumerate() {
            lanes::scan(&query.codes, &block.codes[..block.rows * self.dimensions], &mut products);
            for (row, product) in products.iter().enumerate() {
                let near =
                    Near { score: *product as f32 * block.scales[row], slot: at * ROWS + row };
                let full = found.len() == most;
                // Whether it is allowed may take long to find out, so only those are asked that would be taken.
                if full && found.peek().is_some_and(|least| *least <= near) {
                    continue;
                }
                if block.live[row] && allow(&block.ids[row]) {
                    if full {
                        found.pop();
                    }
                    found.push(near);
                }
            }
        }
        found.into_iter().map(|near| near.slot).collect()
    }

    fn push(&mut self, id: &Id, hash: &Hash, coded: Option<&Coded>) {
        if self.slots().is_multiple_of(ROWS) {
            self.blocks.push(Arc::new(Block::new(self.dimensions)));
        }
        let last = self.blocks.last_mut().expect("invariant: a block was made");
        let block = Arc::make_mut(last);
        let row = block.rows;
        block.rows += 1;
        (block.ids[row], block.hashes[row]) = (*id, *hash);
        if let Some(coded) = coded {
            (block.live[row], block.scales[row]) = (true, coded.scale);
            block.codes[row * self.dimensions..][..self.dimensions].copy_from_slice(&coded.codes);
        }
    }

    fn kill(&mut self, slot: usize) {
        Arc::make_mut(&mut self.blocks[slot / ROWS]).live[slot % ROWS] = false;
    }
}

/// A slot and how near it is; the least is the nearest, so that a heap gives up the farthest first.
#[derive(PartialEq)]
struct Near {
    score: f32,
    slot: usize,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score).then(self.slot.cmp(&other.slot))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The rows, and where each id and each hash is among them.
pub struct Table {
    pub rows: Rows,
    by_id: HashTable<u32>,
    by_hash: HashTable<u32>,
    seed: RandomState,
}

impl Table {
    /// A table without rows.
    pub fn new(dimensions: usize) -> Self {
        Self {
            rows: Rows { dimensions, blocks: Vec::new() },
            by_id: HashTable::new(),
            by_hash: HashTable::new(),
            seed: RandomState::new(),
        }
    }

    /// How many rows are in use.
    pub fn live(&self) -> usize {
        self.by_id.len()
    }

    /// The slot of an id.
    pub fn slot(&self, id: &Id) -> Option<usize> {
        let same = |slot: &u32| self.rows.id(*slot as usize) == id;
        self.by_id.find(self.seed.hash_one(id), same).map(|slot| *slot as usize)
    }

    /// One of the slots of a hash.
    pub fn slot_of_text(&self, hash: &Hash) -> Option<usize> {
        let same = |slot: &u32| self.rows.hash(*slot as usize) == hash;
        self.by_hash.find(short(hash), same).map(|slot| *slot as usize)
    }

    /// Adds a row that is in use, after the last one. The id is in no other.
    pub fn push(&mut self, id: &Id, hash: &Hash, vector: &[f32]) {
        let slot = self.rows.slots() as u32;
        self.rows.push(id, hash, Some(&Coded::new(vector)));
        let Self { rows, by_id, by_hash, seed } = self;
        let key = |slot: &u32| seed.hash_one(rows.id(*slot as usize));
        by_id.insert_unique(seed.hash_one(id), slot, key);
        by_hash.insert_unique(short(hash), slot, |slot| short(rows.hash(*slot as usize)));
    }

    /// Adds a row that is not in use, so that the next has the slot after it.
    pub fn skip(&mut self) {
        self.rows.push(&Id::default(), &Hash::default(), None);
    }

    /// Takes the row of an id out of use and tells which it was.
    pub fn kill(&mut self, id: &Id) -> Option<usize> {
        let rows = &self.rows;
        let of = |slot: &u32| rows.id(*slot as usize) == id;
        let (slot, _) = self.by_id.find_entry(self.seed.hash_one(id), of).ok()?.remove();
        let key = short(rows.hash(slot as usize));
        if let Ok(entry) = self.by_hash.find_entry(key, |other| *other == slot) {
            entry.remove();
        }
        self.rows.kill(slot as usize);
        Some(slot as usize)
    }
}

/// The beginning of a hash, which is as random as all of it.
fn short(hash: &Hash) -> u64 {
    u64::from_le_bytes(hash[..8].try_into().expect("invariant: 8 bytes"))
}
